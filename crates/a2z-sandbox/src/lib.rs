//! Both vendors in process, on loopback ports, with state, rules and errors like the real ones, and with faults to
//! order. `a2z demo` and `a2z sandbox` show it, most of the tests live on it. It is never kinder than the real thing.

pub mod auth0;
pub mod faults;
pub mod tenant;
pub mod zitadel;

mod door;

pub use door::Seen;
pub(crate) use door::{Control, Door, Site, body_of};
