//! One binary for all integration tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what is wrong by failing, and prints what it skips"
)]

mod accounts;
mod asleep;
mod auth0_today;
mod bad_input;
mod cases;
mod chaos;
mod codes;
mod config;
mod contract_auth0;
mod contract_zitadel;
mod cutover;
mod delta;
mod docs;
mod edits;
mod examples;
mod faults;
mod files;
mod harness;
mod hints;
mod hostile;
mod layout;
mod limits;
mod links;
mod live;
mod machine;
mod matrix;
mod merge;
mod mfa;
mod modules;
mod openapi;
mod owners;
mod purge;
mod readme;
mod repair;
mod requests;
mod rollback;
mod rows;
mod rules;
mod runs;
mod sandbox_skips;
mod sandbox_zitadel;
mod secrets;
mod soak;
mod structure;
mod trouble;
mod verify;
