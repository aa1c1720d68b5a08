//! Lenient readings of raw JSON scalars, for rows that Auth0, the dashboard and people's scripts write differently.
//! Absent, `null` and `""` are the same.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Key;

/// A raw JSON value as it stands in the row.
pub(crate) type Raw<'a> = &'a RawValue;

/// The text of a string, or of a number or flag as it is written (no digit is lost). `None` for what says nothing.
///
/// # Errors
/// An object, an array, or a string with a broken escape.
pub(crate) fn text(raw: Raw<'_>) -> Result<Option<Cow<'_, str>>, ()> {
    let json = raw.get();
    match json.as_bytes().first() {
        Some(b'"') => {
            let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
            let text = if inner.contains('\\') {
                Cow::Owned(serde_json::from_str::<String>(json).map_err(|_| ())?)
            } else {
                Cow::Borrowed(inner)
            };
            Ok((!text.is_empty()).then_some(text))
        }
        Some(b'n') => Ok(None),
        Some(b'{' | b'[') | None => Err(()),
        Some(_) => Ok(Some(Cow::Borrowed(json))),
    }
}

/// `true`, `"true"`, `"True"`, `1`; the same for false.
///
/// # Errors
/// Anything else that says something.
pub(crate) fn flag(raw: Raw<'_>) -> Result<Option<bool>, ()> {
    let Some(text) = text(raw)? else { return Ok(None) };
    let text = text.trim();
    if text == "1" || text.eq_ignore_ascii_case("true") {
        Ok(Some(true))
    } else if text == "0" || text.eq_ignore_ascii_case("false") {
        Ok(Some(false))
    } else if text.is_empty() {
        Ok(None)
    } else {
        Err(())
    }
}

/// A count, as number or string.
///
/// # Errors
/// Anything else that says something.
pub(crate) fn number(raw: Raw<'_>) -> Result<Option<u64>, ()> {
    text(raw)?.map(|text| text.trim().parse().map_err(|_| ())).transpose()
}

/// A moment, in every spelling that exports and ticket files are known to have: see [`super::dates`].
///
/// # Errors
/// Anything else that says something.
pub(crate) fn date(raw: Raw<'_>) -> Result<Option<Timestamp>, ()> {
    let mut raw = raw;
    for _ in 0..3 {
        if !raw.get().starts_with('{') {
            let Some(text) = text(raw)? else { return Ok(None) };
            let text = text.trim();
            return if text.is_empty() { Ok(None) } else { super::dates::read(text).map(Some).ok_or(()) };
        }
        match only_value(raw, &["$date", "$numberLong", "$numberDouble", "$numberInt"]) {
            Some(inner) => raw = inner,
            None if raw.get().trim_matches(['{', '}', ' ', '\n', '\t', '\r']).is_empty() => return Ok(None),
            None => return Err(()),
        }
    }
    Err(())
}

/// The text of `key` in a row that cannot be read: cut off, damaged, or too long. Only an id of Auth0's form
/// (`provider|id`) is taken for one.
pub(crate) fn salvage(row: &[u8], key: &str) -> Option<String> {
    let row = String::from_utf8_lossy(row);
    let key = format!("{key}\"");
    row.match_indices(&key).find_map(|(at, key)| {
        let rest = row.get(at + key.len()..)?.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        let id = rest.split('"').next().filter(|id| id.len() < rest.len())?;
        let sound =
            id.contains('|') && id.chars().count() <= 200 && !id.contains('\\') && !id.contains(char::is_control);
        sound.then(|| id.to_owned())
    })
}

/// The value of the first of `keys` in a raw object.
pub(crate) fn only_value<'a>(raw: Raw<'a>, keys: &'static [&'static str]) -> Option<Raw<'a>> {
    struct Find(&'static [&'static str]);
    impl<'de> Visitor<'de> for Find {
        type Value = Option<Raw<'de>>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<Key<'de>>()? {
                if self.0.contains(&&*key.0) {
                    found = Some(map.next_value::<Raw<'de>>()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    serde_json::Deserializer::from_str(raw.get()).deserialize_map(Find(keys)).ok().flatten()
}

/// Where a key belongs in a table of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the names.
    pub(crate) index: usize,
    /// In its own spelling.
    pub(crate) exact: bool,
}

/// The place of `key` in `names`, in its own spelling or another.
pub(crate) fn place(names: &[&str], key: &str) -> Option<Place> {
    let exact = names.iter().position(|name| *name == key).map(|index| Place { index, exact: true });
    exact.or_else(|| names.iter().position(|name| alike(name, key)).map(|index| Place { index, exact: false }))
}

/// The fields of an object by their place in a table of names. A name in its own spelling counts before one that only
/// looks like it (`Email Verified`, `emailVerified`); of two of a kind the last counts.
pub(crate) struct Fields<'a, const N: usize> {
    exact: [Option<Raw<'a>>; N],
    alike: [Option<Raw<'a>>; N],
}

impl<'a, const N: usize> Fields<'a, N> {
    /// Reads `json`, which must be one object. `place` says where a key goes: its index, and whether it is exact. Keys
    /// without a place are handed to `other`.
    ///
    /// # Errors
    /// No JSON, or no object.
    pub(crate) fn read(
        json: &'a [u8],
        place: impl Fn(&str) -> Option<Place>,
        other: impl FnMut(&str),
    ) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let fields = deserializer.deserialize_map(Gather::<N, _, _> { place, other })?;
        deserializer.end()?;
        Ok(fields)
    }

    /// The value at a place.
    pub(crate) fn get(&self, index: usize) -> Option<Raw<'a>> {
        let said = |raw: &Raw<'a>| !matches!(raw.get(), "null" | "\"\"");
        let exact = self.exact.get(index).copied().flatten();
        let alike = self.alike.get(index).copied().flatten();
        exact.filter(said).or(alike).or(exact)
    }
}

struct Gather<const N: usize, P, O> {
    place: P,
    other: O,
}

impl<'de, const N: usize, P, O> Visitor<'de> for Gather<N, P, O>
where
    P: Fn(&str) -> Option<Place>,
    O: FnMut(&str),
{
    type Value = Fields<'de, N>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { exact: [None; N], alike: [None; N] };
        while let Some(key) = map.next_key::<Key<'de>>()? {
            if let Some(place) = (self.place)(&key.0) {
                let value = map.next_value::<Raw<'de>>()?;
                let table = if place.exact { &mut fields.exact } else { &mut fields.alike };
                if let Some(slot) = table.get_mut(place.index) {
                    *slot = Some(value);
                }
            } else {
                (self.other)(&key.0);
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(fields)
    }
}

/// Whether `key` is `name` but for capitals, blanks and underscores: `Email Verified`, `emailVerified`, `email_verified`.
pub(crate) fn alike(name: &str, key: &str) -> bool {
    letters(name).eq(letters(key))
}

fn letters(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().filter(|b| !matches!(b, b' ' | b'_' | b'-')).map(|b| b.to_ascii_lowercase())
}
