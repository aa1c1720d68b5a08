//! One binary for all integration tests.

mod config;
mod contract_auth0;
mod contract_zitadel;
mod live;
mod openapi;
mod sandbox_zitadel;
