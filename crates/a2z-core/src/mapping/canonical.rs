//! One way to write a JSON value, whatever spaces, escapes and order of keys it came with: a change that is none must not
//! count as one. Only digests are made of it; what is sent to ZITADEL stays byte for byte what Auth0 said.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

/// The canonical form of an object or array. Anything else, and what is no JSON, stays as it is.
#[must_use]
pub fn canonical(value: &[u8]) -> Vec<u8> {
    let first = value.iter().find(|byte| !byte.is_ascii_whitespace());
    // The reader relies on valid input.
    if !matches!(first, Some(b'{' | b'[')) || serde_json::from_slice::<IgnoredAny>(value).is_err() {
        return value.to_vec();
    }
    let mut out = Vec::with_capacity(value.len());
    let mut reader = Reader { bytes: value, at: 0, depth: 0, too_deep: false };
    reader.value(&mut out);
    if reader.too_deep { value.to_vec() } else { out }
}

/// Deeper values are compared byte for byte: the walk is recursive, and the input may be hostile.
const MOST_DEEP: u32 = 128;

/// Walks over JSON that is known to be valid.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
    too_deep: bool,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> u8 {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied().unwrap_or_default()
    }

    /// Steps over `byte` if it comes next.
    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == byte;
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, out: &mut Vec<u8>) {
        if self.depth > MOST_DEEP {
            // Nothing more is read, and all loops end.
            (self.too_deep, self.at) = (true, self.bytes.len());
            return;
        }
        self.depth += 1;
        match self.peek() {
            b'{' => self.object(out),
            b'[' => self.array(out),
            b'"' => out.extend(string(self.string_token())),
            _ => out.extend(scalar(self.scalar_token())),
        }
        self.depth -= 1;
    }

    fn object(&mut self, out: &mut Vec<u8>) {
        self.at += 1;
        // Of two members with one name the last counts, as in JavaScript.
        let mut members = BTreeMap::new();
        while !self.skip(b'}') && self.at < self.bytes.len() {
            self.peek();
            let key = string(self.string_token());
            self.skip(b':');
            let mut value = Vec::new();
            self.value(&mut value);
            members.insert(key, value);
            self.skip(b',');
        }
        out.push(b'{');
        for (at, (key, value)) in members.into_iter().enumerate() {
            out.extend((at > 0).then_some(b','));
            out.extend(key);
            out.push(b':');
            out.extend(value);
        }
        out.push(b'}');
    }

    fn array(&mut self, out: &mut Vec<u8>) {
        self.at += 1;
        out.push(b'[');
        let start = out.len();
        while !self.skip(b']') && self.at < self.bytes.len() {
            if out.len() > start {
                out.push(b',');
            }
            self.value(out);
            self.skip(b',');
        }
        out.push(b']');
    }

    /// The string that begins here, with its quotes.
    fn string_token(&mut self) -> &'a [u8] {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'\\' => self.at += 1,
                b'"' => break,
                _ => {}
            }
        }
        &self.bytes[start..self.at.min(self.bytes.len())]
    }

    /// The number or word that begins here.
    fn scalar_token(&mut self) -> &'a [u8] {
        let start = self.at;
        while self
            .bytes
            .get(self.at)
            .is_some_and(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b',' | b']' | b'}'))
        {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }
}

/// A string with as few escapes as possible. One that no Rust string can hold (half a surrogate pair) stays as written.
fn string(token: &[u8]) -> Vec<u8> {
    serde_json::from_slice::<String>(token)
        .and_then(|text| serde_json::to_vec(&text))
        .unwrap_or_else(|_| token.to_vec())
}

/// A number as JavaScript would write it if it is a fraction or has an exponent; a whole number keeps all of its digits.
fn scalar(token: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(token);
    let is_fraction =
        text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) && text.contains(['.', 'e', 'E']);
    match text.parse::<f64>() {
        Ok(number) if is_fraction && number.is_finite() => format!("{number}").into_bytes(),
        _ if text == "-0" => b"0".to_vec(),
        _ => token.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        String::from_utf8(canonical(json.as_bytes())).unwrap()
    }

    #[test]
    fn spaces_escapes_and_the_order_of_keys_do_not_count() {
        let same = [
            r#"{"a":[1,2,{"x":null,"y":"é"}],"b":{},"c":[]}"#,
            "{ \"c\" : [ ] ,\n\"b\":{ }, \"a\" : [1 , 2.0, {\"y\":\"\\u00e9\", \"x\": null}]}",
            r#"{"c":[],"a":0,"b":{},"\u0061":[1,2e0,{"y":"é","x":null}]}"#,
        ];
        for json in same {
            assert_eq!(text(json), r#"{"a":[1,2,{"x":null,"y":"é"}],"b":{},"c":[]}"#, "{json}");
        }
    }

    #[test]
    fn values_that_differ_stay_different() {
        let different = [
            r#"{"n":9007199254740993}"#,
            r#"{"n":9007199254740992}"#,
            r#"{"n":9007199254740993123456789}"#,
            r#"{"n":"9007199254740993"}"#,
            r#"{"n":1.5}"#,
            r#"{"n":-1.5}"#,
            r#"{"n":true}"#,
            r#"{"n":null}"#,
            r#"{"n":[1,2]}"#,
            r#"{"n":[2,1]}"#,
            r#"{"n":[[1],2]}"#,
            r#"{"n":[[1,2]]}"#,
            r#"{"n":"\ud83d"}"#,
            r#"{"n":"a\"b,c]}"}"#,
            r#"{"n":{"m":1}}"#,
            "{}",
            "[]",
        ];
        let forms: std::collections::BTreeSet<String> = different.iter().map(|json| text(json)).collect();
        assert_eq!(forms.len(), different.len(), "{forms:?}");
    }

    #[test]
    fn what_is_no_container_stays_as_it_is() {
        for json in ["1.0", " \"a\" ", "true", "", "{", "[1,]", "{'a':1}", "not json"] {
            assert_eq!(text(json), json);
        }
        for depth in [200, 1_000_000] {
            let deep = "[".repeat(depth) + "{\"a\": 1}" + &"]".repeat(depth);
            assert_eq!(text(&deep), deep);
        }
    }

    #[test]
    fn the_canonical_form_is_its_own() {
        let json = r#"{"b":[{"z":1,"a":"\n\t\u0000\"\\/"}],"a":1e-7,"c":123456789.125}"#;
        let once = text(json);
        assert_eq!(text(&once), once);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&once).unwrap(),
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
    }
}
