//! One binary for all integration tests.

mod contract_auth0;
mod openapi;
