//! `a2z merge`: export file and hash file to import bodies, offline.

use super::Context;
use crate::{cli, error::Result};

/// Stub until the engine is merged.
///
/// # Errors
/// None yet.
pub fn merge(_: &Context, _: &cli::Merge) -> Result<()> {
    Ok(())
}
