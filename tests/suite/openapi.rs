//! A small checker of requests against an `OpenAPI` description: what `contract/auth0/openapi.json` uses, no more.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test helper: it fails, or says that it is skipped")]

use std::{fs, path::PathBuf};

use serde_json::Value;

/// A description.
pub(crate) struct OpenApi {
    root: Value,
}

/// The folder with the recorded exchanges; says so and gives `None` where it is missing.
pub(crate) fn contract() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contract/auth0");
    let found = Some(folder).filter(|folder| folder.join("openapi.json").is_file());
    if found.is_none() {
        println!("skipped: ../shared/contract/auth0 is not here");
    }
    found
}

/// The steps between slashes, decoded.
fn steps(path: &str) -> Vec<String> {
    path.trim_matches('/').split('/').map(decoded).collect()
}

fn decoded(text: &str) -> String {
    let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

impl OpenApi {
    /// The description in the contract's folder.
    pub(crate) fn auth0() -> Option<Self> {
        let text = fs::read_to_string(contract()?.join("openapi.json")).unwrap();
        Some(Self { root: serde_json::from_str(&text).unwrap() })
    }

    /// What is wrong with a request; `path` is below `/api/v2`, with its query.
    pub(crate) fn check(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: Option<&Value>,
    ) -> Vec<String> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let Some((template, operation)) = self.operation(method, path) else {
            return vec![format!("{method} {path} is not described")];
        };
        let mut wrong = Vec::new();
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        for (step, given) in steps(template).iter().zip(steps(path)) {
            let Some(name) = step.strip_prefix('{').and_then(|step| step.strip_suffix('}')) else { continue };
            if let Some(parameter) = parameters.iter().find(|one| one["in"] == "path" && one["name"] == *name) {
                self.text(&parameter["schema"], &given, &format!("path {name}"), &mut wrong);
            }
        }
        for (key, given) in url::form_urlencoded::parse(query.as_bytes()) {
            match parameters.iter().find(|one| one["in"] == "query" && one["name"] == *key) {
                Some(parameter) => self.text(&parameter["schema"], &given, &format!("query {key}"), &mut wrong),
                None => wrong.push(format!("query {key} is not described")),
            }
        }
        match (body, operation["requestBody"]["content"].as_object()) {
            (None, _) => {}
            (Some(_), None) => wrong.push("a body where none is described".to_owned()),
            (Some(body), Some(content)) => {
                let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
                match content.get(kind) {
                    Some(media) => self.value(&media["schema"], body, "body", &mut wrong),
                    None => wrong.push(format!("a body of type `{kind}`")),
                }
            }
        }
        wrong
    }

    /// What is wrong with an answer.
    pub(crate) fn check_answer(&self, method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        let path = path.split('?').next().unwrap_or_default();
        let Some((_, operation)) = self.operation(method, path) else {
            return vec![format!("{method} {path} is not described")];
        };
        let answer = &operation["responses"][status.to_string()];
        let mut wrong = Vec::new();
        if answer.is_null() {
            wrong.push(format!("status {status} is not described"));
        }
        let schema = &answer["content"]["application/json"]["schema"];
        if !schema.is_null() {
            self.value(schema, body, "answer", &mut wrong);
        }
        wrong
    }

    /// The template of a path and its operation; a template without parameters goes first.
    fn operation(&self, method: &str, path: &str) -> Option<(&str, &Value)> {
        let given = steps(path);
        let fits = |template: &str| {
            let wanted = steps(template);
            wanted.len() == given.len()
                && wanted.iter().zip(&given).all(|(one, other)| one.starts_with('{') || one == other)
        };
        let mut found: Vec<_> = self.root["paths"]
            .as_object()?
            .iter()
            .filter(|(template, item)| fits(template) && item.get(method.to_lowercase()).is_some())
            .collect();
        found.sort_by_key(|(template, _)| template.matches('{').count());
        found.first().map(|(template, item)| (template.as_str(), &item[method.to_lowercase()]))
    }

    fn resolved<'a>(&'a self, mut schema: &'a Value) -> &'a Value {
        while let Some(reference) = schema["$ref"].as_str() {
            schema = self.root.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
        }
        schema
    }

    /// A parameter: text that stands for a value.
    fn text(&self, schema: &Value, text: &str, at: &str, wrong: &mut Vec<String>) {
        let schema = self.resolved(schema);
        let value = match schema["type"].as_str() {
            Some("integer" | "number" | "boolean") => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            // Repeated: each is one item.
            Some("array") => Value::from(vec![Value::from(text)]),
            _ => Value::from(text),
        };
        self.value(schema, &value, at, wrong);
    }

    fn value(&self, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
        let schema = self.resolved(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            let fits = choices.iter().filter(|choice| {
                let mut wrong = Vec::new();
                self.value(choice, value, at, &mut wrong);
                wrong.is_empty()
            });
            // More than one fits an empty list: the description itself is loose there.
            if fits.count() == 0 {
                wrong.push(format!("{at}: none of the {} forms fits", choices.len()));
            }
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let is = |kind: &str| match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("unknown type `{other}`"),
        };
        if !types.is_empty() && !types.iter().any(|kind| is(kind)) {
            wrong.push(format!("{at}: is no {}", types.join(" or ")));
            return;
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            wrong.push(format!("{at}: {value} is not among {}", schema["enum"]));
        }
        if let Some(number) = value.as_f64() {
            if schema["minimum"].as_f64().is_some_and(|least| number < least) {
                wrong.push(format!("{at}: {number} is below {}", schema["minimum"]));
            }
            if schema["maximum"].as_f64().is_some_and(|most| number > most) {
                wrong.push(format!("{at}: {number} is above {}", schema["maximum"]));
            }
        }
        if let Some(text) = value.as_str() {
            self.string(schema, text, at, wrong);
        }
        if let Some(items) = value.as_array() {
            for (index, item) in items.iter().enumerate() {
                self.value(&schema["items"], item, &format!("{at}[{index}]"), wrong);
            }
        }
        if let Some(object) = value.as_object() {
            for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !object.contains_key(key) {
                    wrong.push(format!("{at}: lacks `{key}`"));
                }
            }
            for (key, value) in object {
                match &schema["properties"][key] {
                    Value::Null if schema["additionalProperties"] == Value::Bool(false) => {
                        wrong.push(format!("{at}: `{key}` is too much"));
                    }
                    Value::Null => self.value(&schema["additionalProperties"], value, &format!("{at}.{key}"), wrong),
                    property => self.value(property, value, &format!("{at}.{key}"), wrong),
                }
            }
        }
    }

    #[expect(clippy::unused_self, reason = "beside its siblings")]
    fn string(&self, schema: &Value, text: &str, at: &str, wrong: &mut Vec<String>) {
        let length = text.chars().count() as u64;
        if schema["minLength"].as_u64().is_some_and(|least| length < least)
            || schema["maxLength"].as_u64().is_some_and(|most| length > most)
        {
            wrong.push(format!("{at}: {length} characters"));
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !matches(pattern, text)
        {
            wrong.push(format!("{at}: `{text}` does not match `{pattern}`"));
        }
    }
}

/// The patterns of the description, by their forms: there is no need for a whole engine.
fn matches(pattern: &str, text: &str) -> bool {
    let alphanumeric = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let Some(prefix) = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix("[A-Za-z0-9]{16}$")) {
        return text.strip_prefix(prefix).is_some_and(alphanumeric);
    }
    if pattern.starts_with("^2[0-9]{3}") {
        let digits = text.len() == 8 && text.starts_with('2') && text.bytes().all(|byte| byte.is_ascii_digit());
        return digits && ("01".."13").contains(&&text[4..6]) && ("01".."32").contains(&&text[6..8]);
    }
    if let Some(sort) = pattern.strip_suffix("\\:(1|-1)$") {
        let Some((field, way)) = text.split_once(':') else { return false };
        let known = !sort.contains("display_name") || ["display_name", "created_at", "name"].contains(&field);
        return known && ["1", "-1"].contains(&way) && !field.is_empty();
    }
    if pattern.starts_with("^((") && pattern.ends_with(")*$") {
        // A list of words: those of the first group.
        let words: Vec<&str> =
            pattern.split(['(', ')', '|', ',', '^', '$', '*']).filter(|word| !word.is_empty()).collect();
        return text.split(',').all(|word| words.contains(&word));
    }
    panic!("pattern `{pattern}` is not known to the checker")
}
