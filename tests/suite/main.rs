//! One binary for all integration tests.

mod bad_input;
mod config;
mod contract_auth0;
mod contract_zitadel;
mod cutover;
mod delta;
mod harness;
mod layout;
mod live;
mod openapi;
mod requests;
mod sandbox_zitadel;
mod secrets;
mod trouble;
