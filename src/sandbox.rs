//! Both vendors in process, for `a2z demo`, `a2z sandbox` and the tests.

pub mod auth0;
pub mod tenant;
