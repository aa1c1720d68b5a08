//! Requests as protobuf messages: what the gateway decodes, what the validation refuses, and how large they are on
//! the wire inside. One table a message (in [`super::shapes`]) drives all three, as the generated code does.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::rules;

/// A message type: its Go name, as it stands in validation errors, and its fields in the order of the .proto file.
pub(super) struct Message {
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
    /// The group of which one must be set: the Go name of the `oneof`, and its members.
    pub(super) one_of: Option<(&'static str, &'static [&'static str])>,
}

/// A field of a message.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) many: bool,
    /// `optional` or member of a `oneof`: validated only where it is present.
    pub(super) optional: bool,
    pub(super) kind: Kind,
}

/// The type of a field, with its validation rule.
pub(super) enum Kind {
    Text {
        min: usize,
        max: usize,
        also: Also,
    },
    Bytes {
        min: usize,
        max: usize,
    },
    Bool {
        only_true: bool,
    },
    Choice(&'static [&'static str]),
    Message {
        of: &'static Message,
        required: bool,
    },
    /// A message that the sandbox does not look into.
    Any,
}

/// A rule on text beside its length.
pub(super) enum Also {
    Nothing,
    Plus,
    Email,
}

/// JSON as it came, with the keys that came twice still seen: the gateway refuses them.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Strict;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, v: bool) -> Result<Strict, E> {
                Ok(Strict(v.into()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Strict, E> {
                Ok(Strict(v.into()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Strict, E> {
                Ok(Strict(v.into()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Strict, E> {
                Ok(Strict(v.into()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Strict, E> {
                Ok(Strict(v.into()))
            }
            fn visit_string<E>(self, v: String) -> Result<Strict, E> {
                Ok(Strict(v.into()))
            }
            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                let mut items = Vec::new();
                while let Some(Strict(item)) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Strict(items.into()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut fields = Map::new();
                while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
                    if fields.contains_key(&key) {
                        return Err(A::Error::custom(format!("duplicate field {key:?}")));
                    }
                    fields.insert(key, value);
                }
                Ok(Strict(fields.into()))
            }
        }
        deserializer.deserialize_any(Walk)
    }
}

/// Reads a request as the gateway does: names in camelCase or as in the .proto file, what is unknown dropped in
/// silence, wrong types refused. The result has only known fields, under their camelCase names.
///
/// # Errors
/// The gateway's message for HTTP 400, code 3.
pub(super) fn decode(message: &Message, body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let Strict(json) = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => "unexpected EOF".to_owned(),
        _ => format!("proto: (line {}:{}): syntax error: {error}", error.line(), error.column()),
    })?;
    shape(message, json)
}

fn shape(message: &Message, json: Value) -> Result<Value, String> {
    let Value::Object(fields) = json else {
        return Err(format!("proto: (line 1:1): unexpected token {}", kind_of(&json)));
    };
    let mut known = Map::new();
    for (name, value) in fields {
        let Some(field) = message.fields.iter().find(|field| field.name == name || snake(field.name) == name) else {
            continue;
        };
        if value.is_null() {
            continue;
        }
        if known.contains_key(field.name) {
            return Err(format!("proto: (line 1:1): duplicate field {name:?}"));
        }
        let value = if field.many {
            let Value::Array(items) = value else {
                return Err(format!("proto: (line 1:1): unexpected token {}", kind_of(&value)));
            };
            let items = items.into_iter().map(|item| one(field, item));
            Value::Array(items.filter_map(Result::transpose).collect::<Result<_, _>>()?)
        } else {
            match one(field, value)? {
                Some(value) => value,
                None => continue,
            }
        };
        known.insert(field.name.to_owned(), value);
    }
    Ok(Value::Object(known))
}

fn one(field: &Field, value: Value) -> Result<Option<Value>, String> {
    let wrong = |what: &str, value: &Value| {
        Err(format!("proto: (line 1:1): invalid value for {what} field {}: {}", field.name, kind_of(value)))
    };
    match &field.kind {
        Kind::Text { .. } => match value {
            Value::String(_) => Ok(Some(value)),
            _ => wrong("string", &value),
        },
        Kind::Bool { .. } => match value {
            Value::Bool(_) => Ok(Some(value)),
            _ => wrong("bool", &value),
        },
        Kind::Bytes { .. } => match value.as_str().and_then(bytes_of) {
            Some(bytes) => Ok(Some(STANDARD.encode(bytes).into())),
            None => wrong("bytes", &value),
        },
        Kind::Choice(names) => match &value {
            Value::String(name) => Ok(names.contains(&name.as_str()).then_some(value)),
            Value::Number(number) => {
                let at = number.as_u64().and_then(|at| usize::try_from(at).ok());
                Ok(at.and_then(|at| names.get(at)).map(|&name| name.into()))
            }
            _ => wrong("enum", &value),
        },
        Kind::Message { of, .. } => shape(of, value).map(Some),
        Kind::Any => Ok(Some(value)),
    }
}

/// The bytes of a base64 text: either alphabet, with or without padding.
pub(super) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = if text.contains(['-', '_']) { alphabet::URL_SAFE } else { alphabet::STANDARD };
    GeneralPurpose::new(&alphabet, config).decode(text).ok()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "[",
        Value::Object(_) => "{",
    }
}

fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn pascal(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_uppercase().to_string() + chars.as_str()).unwrap_or_default()
}

/// Checks a decoded request as protoc-gen-validate does: the whole of it, the first failure only.
///
/// # Errors
/// The message for HTTP 400, code 3.
pub(super) fn validate(message: &Message, value: &Value) -> Result<(), String> {
    for field in message.fields {
        let fail =
            |at: &str, reason: String| Err(format!("invalid {}.{}{at}: {reason}", message.name, pascal(field.name)));
        match value.get(field.name) {
            Some(Value::Array(items)) if field.many => {
                for (i, item) in items.iter().enumerate() {
                    if let Err(reason) = check(field, Some(item)) {
                        return fail(&format!("[{i}]"), reason);
                    }
                }
            }
            None if field.many || field.optional => {}
            found => {
                if let Err(reason) = check(field, found) {
                    return fail("", reason);
                }
            }
        }
    }
    match message.one_of {
        Some((group, members)) if !members.iter().any(|member| value.get(member).is_some()) => {
            Err(format!("invalid {}.{group}: value is required", message.name))
        }
        _ => Ok(()),
    }
}

fn check(field: &Field, value: Option<&Value>) -> Result<(), String> {
    match &field.kind {
        Kind::Text { min, max, also } => {
            let text = value.and_then(Value::as_str).unwrap_or_default();
            let length = text.chars().count();
            if *min > 0 && !(*min..=*max).contains(&length) {
                return Err(format!("value length must be between {min} and {max} runes, inclusive"));
            }
            if length > *max {
                return Err(format!("value length must be at most {max} runes"));
            }
            match also {
                Also::Plus if !text.starts_with('+') => Err("value does not have prefix \"+\"".to_owned()),
                Also::Email => rules::validated_email(text)
                    .map_err(|cause| format!("value must be a valid email address | caused by: {cause}")),
                _ => Ok(()),
            }
        }
        Kind::Bytes { min, max } => {
            let length = value.and_then(Value::as_str).and_then(bytes_of).map_or(0, |bytes| bytes.len());
            if (*min..=*max).contains(&length) {
                return Ok(());
            }
            Err(format!("value length must be between {min} and {max} bytes, inclusive"))
        }
        Kind::Bool { only_true: true } if value != Some(&Value::Bool(true)) => Err("value must equal true".to_owned()),
        Kind::Message { required: true, .. } if value.is_none() => Err("value is required".to_owned()),
        Kind::Message { of, .. } => match value {
            Some(value) => {
                validate(of, value).map_err(|cause| format!("embedded message failed validation | caused by: {cause}"))
            }
            None => Ok(()),
        },
        Kind::Bool { .. } | Kind::Choice(_) | Kind::Any => Ok(()),
    }
}

/// The size of a decoded request in protobuf, in bytes: what the 4 MiB limit counts.
pub(super) fn size(message: &Message, value: &Value) -> usize {
    let field_size = |field: &Field| {
        let Some(value) = value.get(field.name) else { return 0 };
        let each = |item: &Value, bare: bool| match (size_of(&field.kind, item), &field.kind) {
            // A default is not sent, unless the field knows presence.
            (0, Kind::Text { .. } | Kind::Bytes { .. }) if bare => 0,
            (_, Kind::Bool { .. }) if bare && item == &Value::Bool(false) => 0,
            (length, Kind::Bool { .. } | Kind::Choice(_)) => tag(field.number) + length,
            (length, _) => tag(field.number) + varint(length) + length,
        };
        match value {
            Value::Array(items) if field.many => items.iter().map(|item| each(item, false)).sum(),
            value => each(value, !field.optional),
        }
    };
    message.fields.iter().map(field_size).sum()
}

fn size_of(kind: &Kind, value: &Value) -> usize {
    match kind {
        Kind::Text { .. } => value.as_str().map_or(0, str::len),
        Kind::Bytes { .. } => value.as_str().and_then(bytes_of).map_or(0, |bytes| bytes.len()),
        Kind::Bool { .. } | Kind::Choice(_) => 1,
        Kind::Message { of, .. } => size(of, value),
        Kind::Any => value.to_string().len() / 2,
    }
}

const fn tag(number: u32) -> usize {
    if number < 16 { 1 } else { 2 }
}

const fn varint(mut value: usize) -> usize {
    let mut length = 1;
    while value >= 0x80 {
        value >>= 7;
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::super::shapes::IMPORT;
    use super::*;

    fn import(user: &str) -> Result<Value, String> {
        decode(
            &IMPORT,
            format!(r#"{{"dataOrgs":{{"orgs":[{{"orgId":"1","humanUsers":[{user}]}}]}},"timeout":"1s"}}"#).as_bytes(),
        )
    }

    #[test]
    fn snake_case_is_taken_and_the_unknown_dropped() {
        let request = import(r#"{"user_id":"a","stat":"x","state":"INACTIVE","user":{"userName":"n"}}"#).unwrap();
        assert_eq!(
            request["dataOrgs"]["orgs"][0]["humanUsers"][0].to_string(),
            r#"{"user":{"userName":"n"},"userId":"a"}"#
        );
    }

    #[test]
    fn wrong_types_and_keys_that_come_twice_are_refused() {
        for user in
            [r#"{"userId":5}"#, r#"{"userId":"a","userId":"b"}"#, r#"{"userId":"a","user_id":"b"}"#, r#"{"user":[]}"#]
        {
            assert!(import(user).unwrap_err().starts_with("proto: "), "{user}");
        }
    }

    #[test]
    fn size_counts_tags_lengths_and_text() {
        // orgs[0]: orgId (1+1+1), humanUsers (1+1 + userId (1+1+3)); dataOrgs and orgs: two bytes each; timeout 1+1+2.
        let request = import(r#"{"userId":"abc"}"#).unwrap();
        assert_eq!(size(&IMPORT, &request), 2 + 2 + 3 + 2 + 5 + 4);
    }

    #[test]
    fn base64_of_either_alphabet_with_or_without_padding() {
        assert_eq!(bytes_of("-_8="), bytes_of("+/8"));
        assert_eq!(bytes_of("dg"), Some(b"v".to_vec()));
        assert_eq!(bytes_of("d g"), None);
    }
}
