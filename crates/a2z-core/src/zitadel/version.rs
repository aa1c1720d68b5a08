//! Which ZITADEL this is, as far as it says so, and whether its projections skip events.
//!
//! A projection that skips an event never reads it again: a user who was created is stored, and nobody finds the user
//! (zitadel#8517). ZITADEL fixed that in September 2026 (zitadel#12703, backport #12721), for events from then on.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{client::Client, failure::Failure};
use crate::error::printable;

/// The most characters of a version that are kept.
const LONGEST: usize = 80;

/// What is known of a range of versions.
struct Known {
    /// The first of them.
    from: (u64, u64, u64),
    /// The last of them.
    to: (u64, u64, u64),
    skips: Skips,
}

/// What is known of which versions, with its source. A version that is in no row is `unknown`.
///
/// - To 4.13.1: the tags of zitadel/zitadel up to v4.13.1 (2026-04-01) are older than the fix (2026-09); measured on the
///   source of 2026-07-10, which has no version of its own.
/// - After that: it is not known to us which release has the fix first. The newest one seen is 4.19.5 (2026-10-15); the
///   release notes of it do not name the fix, and the fix itself was reworked after it was merged.
const KNOWN: &[Known] = &[Known { from: (0, 0, 0), to: (4, 13, 1), skips: Skips::Affected }];

/// Do the projections skip events?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Skips {
    /// No more.
    Fixed,
    /// Under requests at a time, yes.
    Affected,
    /// It is not known of this version, or the version is not known: it counts as affected.
    #[default]
    Unknown,
}

impl fmt::Display for Skips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::Affected => "affected",
            Self::Unknown => "unknown",
        })
    }
}

impl Skips {
    /// What is known of the version with this text.
    #[must_use]
    pub fn of(version: &str) -> Self {
        let Some(version) = numbers(version) else { return Self::Unknown };
        let holds = |known: &&Known| known.from <= version && version <= known.to;
        KNOWN.iter().find(holds).map_or(Self::Unknown, |known| known.skips)
    }

    /// What it means for a migration.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Fixed => "its projections skip no events",
            Self::Affected => {
                "its projections may skip events; a2z looks for users who were passed over, and mends them"
            }
            Self::Unknown => {
                "it is not known whether its projections skip events; a2z looks for users who were passed over, and mends them"
            }
        }
    }
}

/// `v4.13.1` as numbers. A release candidate, a fork's name or the time of a build is no version of the table.
fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).split('.').map(|part| part.parse().ok());
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}

impl Client {
    /// The version of the instance, as it writes it: `v4.13.1`, or when it was started, if it was built without one.
    ///
    /// # Errors
    /// As [`Failure`] says: only an account with a role in the instance may ask.
    pub async fn version(&self) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Wire {
            instance: Instance,
        }
        #[derive(Deserialize)]
        struct Instance {
            version: String,
        }
        let what = "ask for the version";
        let wire: Wire = match self.get(what, "admin/v1/instances/me").read().await {
            // The Admin API is on its way out.
            Err(Failure::Refused { status: 404 | 405 | 501, .. }) => {
                let request = self.post(what, "zitadel.instance.v2.InstanceService/GetInstance", &json!({}));
                request.idempotent().read().await?
            }
            wire => wire?,
        };
        Ok(printable(&wire.instance.version).chars().take(LONGEST).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_or_it_counts_as_affected() {
        for known in ["v4.13.1", "4.13.1", "v4.13.0", "v4.2.0", "v3.4.9", "v2.71.12"] {
            assert_eq!(Skips::of(known), Skips::Affected, "{known}");
        }
        let unknown = [
            "v4.13.2",
            "v4.14.0",
            "v4.19.5",
            "v4.20.0",
            "v5.0.0",
            "v4.13.1-rc.1",
            "v4.13",
            "v4.13.1.1",
            "dev",
            "",
            "2026-12-01T03:01:27Z",
            "v99999999999999999999.0.0",
            "v-1.0.0",
        ];
        for unknown in unknown {
            assert_eq!(Skips::of(unknown), Skips::Unknown, "{unknown}");
        }
    }

    #[test]
    fn rows_do_not_overlap() {
        assert!(KNOWN.iter().all(|known| known.from <= known.to));
        assert!(KNOWN.windows(2).all(|two| two[0].to < two[1].from));
    }
}
