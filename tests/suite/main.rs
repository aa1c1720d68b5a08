//! One binary for all integration tests.

mod contract_auth0;
mod contract_zitadel;
mod openapi;
