//! Values that may be odd: read as leniently as their meaning allows, and noted.

use std::borrow::Cow;

use crate::{
    auth0::user::{ExportedUser, Reading},
    input::{
        lenient::{Flag, Read, odd_flag, odd_text},
        scalar::{Raw, flag, text},
    },
};

/// The text at `field`, and whether it is one of several that could be meant. `numbers` may be texts there.
pub(super) fn words(
    raw: Raw<'_>,
    field: impl Into<Cow<'static, str>>,
    numbers: bool,
    user: &mut ExportedUser,
) -> Option<(String, bool)> {
    if raw.get().starts_with(['"', 'n'])
        && let Ok(text) = text(raw)
    {
        return text.map(|text| (text.into_owned(), false));
    }
    match odd_text(raw, numbers) {
        Ok(Read { text, odd, of_several }) => {
            user.note(Reading::Repaired, field, odd);
            Some((text, of_several))
        }
        Err(what) => {
            user.note(Reading::LeftOut, field, what);
            None
        }
    }
}

/// Whether an address or number is verified. Only what says so plainly (`true`, `"true"`, 1) verifies; the second is
/// whether Auth0, which takes whatever is not empty, would call it verified.
pub(super) fn verified(
    raw: Raw<'_>,
    field: impl Into<Cow<'static, str>>,
    user: &mut ExportedUser,
) -> (Option<bool>, bool) {
    let is_text = raw.get().starts_with('"');
    match flag(raw) {
        Ok(None) => return (None, false),
        Ok(flag) if !is_text => return (flag, false),
        Ok(Some(true)) if raw.get().trim_matches(['"', ' ']).eq_ignore_ascii_case("true") => {
            return (Some(true), false);
        }
        Ok(_) | Err(()) => {}
    }
    let (what, truthy) = match odd_flag(raw) {
        Flag::Truthy(what) => (what, true),
        Flag::No(what) | Flag::Unclear(what) => (what, false),
    };
    user.note(Reading::Unverified, field, what);
    (Some(false), truthy)
}
