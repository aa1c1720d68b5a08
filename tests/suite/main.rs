//! One binary for all integration tests.

mod config;
mod contract_auth0;
mod openapi;
