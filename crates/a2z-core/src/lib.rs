//! The library behind `a2z`, which moves a tenant's users from Auth0 to ZITADEL. It knows no command line, draws no progress
//! and prints nothing.
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
//! # Layers
//!
//! A module knows modules of its own layer and of the layers below, and no two files know one another in a circle; a test
//! reads this picture and holds it against the code.
//!
//! ```text
//! program    cli commands log progress report summary              parses, confirms, prints
//! run        run config fuzzing                                    one run, stage after stage
//! work       plan import structure verify rollback survey merge    what each stage does
//! knowledge  ledger ownership zitadel join                         what is known, and the way to ZITADEL
//! user       mapping user                                          pure: what a user is to us
//! sources    auth0 hashes http input                               what is read, and how
//! base       environment error event json state stop text sandbox  what everybody may use
//! ```
//!
//! - [`http`] knows no vendor; [`auth0`] and [`zitadel`] never import one another.
//! - [`mapping`], [`join`] and [`user`] do no I/O. [`user::state`] decides what a user becomes; the ledger stores it.
//! - [`ownership`] is the one answer to whose something in ZITADEL is.
//! - [`rollback`] goes the other way: it deletes what the ledger says that we created, and ZITADEL says is still as it was.
//! - [`run`] leads through the stages of one run, each a type; the program's commands parse, confirm and print.
//! - Whoever listens reads [`event`]s; the engine itself never prints.

pub mod auth0;
pub mod config;
pub mod environment;
pub mod error;
pub mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hashes;
pub mod http;
pub mod import;
pub mod input;
pub mod join;
mod json;
pub mod ledger;
pub mod mapping;
pub mod merge;
pub mod ownership;
pub mod plan;
pub mod rollback;
pub mod run;
pub mod state;
pub mod stop;
pub mod structure;
pub mod survey;
#[doc(hidden)]
pub mod text;
pub mod user;
pub mod verify;
pub mod zitadel;
