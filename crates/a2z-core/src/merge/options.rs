//! What to merge, and how.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{input::settings::Source, join::Join, mapping::settings::Mapping};

/// What to merge, and how.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// The export.
    pub users: Source,
    /// Password-hash files; none: nobody gets a password.
    pub passwords: Vec<Source>,
    /// MFA files; none: nobody gets a second factor.
    pub mfa: Vec<Source>,
    /// The body. With `split_users` its name gets a number: `body.json`, `body-0001.json`.
    pub output: PathBuf,
    /// The organization that receives the users; it must exist.
    pub organization_id: String,
    /// `timeout` of the import request.
    pub timeout: Duration,
    /// One user a line.
    pub multiline: bool,
    /// Whatever Auth0 says, take every e-mail as verified (but no placeholder), or none; as Auth0 says, if it is not set.
    pub email_verified: Option<bool>,
    /// At most so many users a body, and each body under the server's limit.
    pub split_users: Option<usize>,
    /// Leave out users that the import endpoint strands, and list them in this file.
    pub leave_out_stranded: Option<PathBuf>,
    /// How hash rows find their users.
    pub join: Join,
    /// How users are mapped.
    pub mapping: Mapping,
    /// The longest line of an input file, in bytes.
    pub max_line: usize,
}

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
