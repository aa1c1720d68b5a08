//! 7 IMPORT: pass 2. Takes what the plan says is to be done, sends it, and settles every user in the ledger.
//!
//! ```text
//! source ─ items ─> dispatch ─ jobs ─> drive ─ requests ─> create, update, complete ──> ZITADEL
//!                   (how many)           │ <── answer ──────────┘
//!                                        └─ judge: what comes next for each user
//! ```
//!
//! `dispatch` is the only file that spawns. It gives jobs to `drive`, as many at a time as [`limit`] allows and the lag of
//! ZITADEL's projections permits. What an answer means is decided in `judge`, which is pure.

pub mod codes;
mod complete;
mod create;
mod dispatch;
mod doubt;
mod drive;
mod engine;
mod events;
mod factors;
pub mod item;
mod judge;
pub mod lag;
pub mod limit;
mod links;
mod metadata;
mod outcome;
mod owner;
mod password;
pub mod repair;
mod resolve;
pub mod settings;
pub mod source;
mod update;
pub mod visible;

pub use self::{
    dispatch::run,
    doubt::settle_aside,
    engine::{Engine, Parts},
};
