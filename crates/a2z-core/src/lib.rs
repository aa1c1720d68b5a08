//! The library behind `a2z`, which moves a tenant's users from Auth0 to ZITADEL. It knows no command line, draws no progress
//! and prints nothing.
//!
//! # Using it
//!
//! Maps an export file, without any network:
//!
//! ```
//! use a2z_core::{
//!     auth0::rows::{RowKind, Rows},
//!     config::{Config, Source},
//!     event::Events,
//!     hashes::{HashIndex, LoadOptions},
//!     input::Options,
//!     join::{Shape, join},
//!     mapping::{Roads, map},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let file = folder.path().join("users.ndjson");
//! std::fs::write(&file, r#"{"user_id":"auth0|1","email":"ada@example.com","email_verified":true,"name":"Ada Lovelace"}"#)?;
//!
//! let config = Config::default();
//! let hashes = HashIndex::load(&[], &LoadOptions::default(), &Events::silent())?;
//! let mut rows = Rows::open(&Source::File(file), &Options::new(config.input.max_line, "--users"))?;
//! let Some(row) = rows.next()? else { panic!("there is one") };
//! let RowKind::User(user) = row.kind else { panic!("it is a user") };
//! let joined = join(*user, &hashes, &config.join, &Shape { email_verified: true });
//! let mapped = map(joined, &config.mapping, Roads::UsersApiOnly);
//!
//! let draft = mapped.draft.map_err(|blocked| blocked.code.message())?;
//! assert_eq!((draft.user_id.as_str(), draft.user_name.as_str()), ("auth0|1", "ada@example.com"));
//! assert_eq!((draft.profile.first_name.as_str(), draft.profile.last_name.as_str()), ("Ada", "Lovelace"));
//! // What is worth a word: here, that there is no password.
//! assert!(mapped.findings.iter().any(|finding| finding.code.code() == "no-hash"));
//! # Ok(())
//! # }
//! ```
//!
//! Plans a run with a listener of one's own; [`run`] goes on from there:
//!
//! ```no_run
//! use a2z_core::{
//!     config::Config,
//!     error::Result,
//!     event::{Event, Events, Listen},
//!     run::{Checked, Folder, PlanOnly, Work},
//!     stop::Stop,
//! };
//!
//! struct Stages;
//!
//! impl Listen for Stages {
//!     fn on(&self, event: &Event) {
//!         if let Event::StageFinished { stage, done, .. } = event {
//!             println!("{}: {done}", stage.label());
//!         }
//!     }
//! }
//!
//! async fn plan(config: Config) -> Result<i64> {
//!     let work = Work { config, events: Events::new(Stages), stop: Stop::default() };
//!     let folder = Folder::open(&work)?;
//!     let planned = Checked::<PlanOnly>::of(&work, &folder).await?.next().await?;
//!     Ok(planned.number())
//! }
//! ```
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
