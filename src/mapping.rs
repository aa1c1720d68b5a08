//! 4 MAP: pure functions, no I/O. A [`crate::join::Joined`] becomes a [`draft::Draft`] that ZITADEL is sure to accept,
//! or a refusal with a reason, and findings.

pub mod draft;
pub mod finding;
