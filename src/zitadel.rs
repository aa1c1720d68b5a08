//! 6 WRITE: the ZITADEL instance. Nothing here knows Auth0.

pub mod create;
pub mod failure;
pub mod import;
