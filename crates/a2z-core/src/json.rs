//! Texts of JSON as Rust has them. JSON may hold half of a surrogate pair (`"\ud83d"`, a name that JavaScript cut in the
//! middle of an emoji), UTF-8 may not: it becomes U+FFFD here, where `serde_json` by itself refuses the whole text.

use std::borrow::Cow;

use serde::{
    Deserialize,
    de::{Deserializer, Visitor},
};

/// What stands in for half of a surrogate pair.
const REPLACEMENT: &str = "\u{fffd}";

/// A key of an object, borrowed where it has no escape.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_bytes<E>(self, key: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Key(from_wtf8(key)))
            }
            fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(from_wtf8(key).into_owned())))
            }
        }
        // As bytes, which may hold half a surrogate pair: one odd key must not cost the object.
        deserializer.deserialize_bytes(Keys)
    }
}

/// The text of a JSON string. Halves of surrogate pairs, which JSON may hold and UTF-8 may not, become U+FFFD.
pub(crate) fn lossy(json: &str) -> Cow<'_, str> {
    struct Bytes;
    impl<'de> Visitor<'de> for Bytes {
        type Value = Cow<'de, str>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text")
        }
        fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
            Ok(from_wtf8(bytes))
        }
        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(Cow::Owned(from_wtf8(bytes).into_owned()))
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_bytes(Bytes).unwrap_or_default()
}

/// UTF-8, perhaps with lone surrogates in it, as `serde_json` gives the bytes of a string.
fn from_wtf8(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replaced(bytes)),
    }
}

#[cold]
fn replaced(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        // A surrogate takes three bytes, ED A0..BF xx; no character of UTF-8 begins so.
        if first == 0xED && matches!(after.first(), Some(0xA0..=0xBF)) {
            out.extend(REPLACEMENT.as_bytes());
            rest = after.get(2..).unwrap_or_default();
        } else {
            out.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
