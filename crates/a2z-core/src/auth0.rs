//! 1 EXPORT: the Auth0 tenant. Nothing here knows ZITADEL.

pub mod accounts;
pub mod client;
pub mod connections;
pub mod download;
pub mod export;
pub mod methods;
mod paging;
pub mod rows;
pub mod settings;
pub mod structure;
pub mod user;

#[cfg(test)]
mod tests;
