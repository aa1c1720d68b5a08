//! One run of a migration, stage after stage. Each stage is a type that holds what the next one needs, and `next` leads there:
//!
//! ```text
//! Folder ─ check ─> Checked ─ run, export, plan, survey ─> Planned ─ confirm, write ─> Imported ─ compare ─> Verified
//! ```
//!
//! [`Checked`] and [`Planned`] know their [`Goal`]: only a plan that was made for a [`Cutover`] has a client of ZITADEL for
//! certain, so only such a plan can be carried out. Nothing here parses arguments, prints or asks: events and values go out,
//! and the answer to the question before the first write comes in. [`compare`], [`login`] and [`rollback`] start from the
//! ledger of an earlier run.
//!
//! ```no_run
//! use a2z_core::{
//!     error::Result,
//!     run::{Checked, Cutover, Folder, Work},
//! };
//!
//! async fn migrate(work: &Work) -> Result<()> {
//!     let folder = Folder::open(work)?;
//!     let planned = Checked::<Cutover>::of(work, &folder).await?.next().await?;
//!     // Whoever answers here has seen the plan, and agrees to what is written.
//!     let imported = planned.next(async |_to_write| Ok(())).await.map_err(|stopped| stopped.error)?;
//!     let verified = imported.next(async |_| Ok(false)).await.map_err(|stopped| stopped.error)?;
//!     verified.end(0, &folder.path().join("report.html"))
//! }
//! ```

pub mod check;
mod checked;
mod choose;
pub mod compare;
mod export;
mod factor_file;
mod factors;
pub mod facts;
mod folder;
mod goal;
pub mod idps;
mod imported;
pub mod login;
mod organization;
mod plan;
mod planned;
mod providers;
mod remember;
mod repair;
pub mod rollback;
mod shared;
mod structure;
mod tenant;
#[cfg(test)]
mod tests;
pub mod tickets;
mod verified;
mod work;

pub use self::{
    checked::Checked,
    folder::Folder,
    goal::{Cutover, Goal, PlanOnly},
    imported::Imported,
    planned::{Planned, ToWrite},
    verified::Verified,
    work::{Stopped, Work},
};
