//! a2z moves a tenant's users from Auth0 to ZITADEL, online, in one command.
//!
//! # Layout
//!
//! The order of the modules is the order in which data flows; each hands a plain owned type to the next:
//! `ExportedUser -> Joined -> Draft (+ findings) -> Outcome`.
//!
//! ```text
//!             ticket files (hashes, MFA)                       ledger (SQLite, 0600)
//!                        │                                      ▲        │
//! Auth0 ── export ──> export.ndjson.gz ── read ── join ── map ──┤ plan   │ what is left?
//!   job, poll, link      (0600, kept)     row   +hash   Draft   │        ▼
//!                                                               └── import ──> ZITADEL ──> verify ──> report
//! ```
//!
//! - [`http`] knows no vendor; [`auth0`] and [`zitadel`] never import one another.
//! - [`mapping`] and [`join`] do no I/O.
//! - `progress` reads [`event`]s, `report` reads the ledger; the engine itself never prints.

pub mod auth0;
pub mod cli;
pub mod config;
pub mod error;
pub mod event;
pub mod hashes;
pub mod http;
pub mod import;
pub mod input;
pub mod join;
pub mod ledger;
pub mod log;
pub mod mapping;
pub mod merge;
pub mod plan;
pub mod progress;
pub mod report;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod state;
pub mod zitadel;
