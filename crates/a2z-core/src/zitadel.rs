//! 6 WRITE: the ZITADEL instance. Nothing here knows Auth0.

pub mod barrier;
mod chunks;
pub mod client;
pub mod create;
pub mod deleted;
pub mod events;
pub mod failure;
pub mod idps;
pub mod import;
pub mod instance;
mod lists;
pub mod lookup;
pub mod repair;
pub mod search;
pub mod settings;
pub mod structure;
mod token;
pub mod update;
pub mod users;
pub mod version;
