//! 1 EXPORT: the Auth0 tenant. Nothing here knows ZITADEL.

pub mod rows;
pub mod user;
