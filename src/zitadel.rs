//! 6 WRITE: the ZITADEL instance. Nothing here knows Auth0.

pub mod create;
pub mod failure;
pub mod update;
pub mod import;
