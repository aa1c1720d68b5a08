//! The configuration file: TOML, with our own words for its errors. The parser's and serde's errors quote the source
//! line or the value, which may be a secret; ours give file, line, column and key.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    level::Level,
    rules,
    schema::{Collected, Given, KEYS, Key, Value, idp},
};
use crate::{
    error::{Error, Result, printable},
    text::nearest,
};

/// One thing that is wrong.
struct Problem {
    offset: usize,
    message: String,
    /// A rule of the operator's, and the place in it: shown below the message. Only ever of a rule, which is no secret.
    quoted: Option<(String, usize)>,
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    base: &'a Path,
    problems: Vec<Problem>,
}

/// Puts the file's values into `collected`.
pub(super) fn apply(path: &Path, bytes: &[u8], collected: &mut Collected) -> Result<()> {
    let name = path.display();
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].split(|b| *b == b'\n').count();
        Error::usage(format!("cannot read `{name}`: line {line} is not UTF-8 text"))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let base = path.parent().unwrap_or(Path::new(""));
    let mut reader = Reader { path, text, base, problems: Vec::new() };
    match DeTable::parse(text) {
        Ok(table) => reader.top(table.get_ref(), collected),
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            // The first line of the parser's message says what it stumbled over, without the source.
            let what = error.message().lines().next().unwrap_or_default();
            reader.problem(offset, format!("this is not TOML: {what}"));
        }
    }
    reader.finish()
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>, collected: &mut Collected) {
        for (name, value) in table {
            let (offset, name) = (name.span().start, name.get_ref().as_ref());
            let is_section =
                KEYS.iter().any(|key| key.path.split_once('.').is_some_and(|(section, _)| section == name));
            match value.get_ref() {
                DeValue::Table(inner) if is_section => {
                    for (key, value) in inner {
                        self.key(&format!("{name}.{}", key.get_ref()), key.span().start, value, collected);
                    }
                }
                _ if is_section => self.problem(offset, format!("`{name}` is a section: write `[{name}]`")),
                _ => self.key(name, offset, value, collected),
            }
        }
    }

    fn key(&mut self, path: &str, offset: usize, value: &Spanned<DeValue<'_>>, collected: &mut Collected) {
        let connection = path.strip_prefix("idps.").filter(|_| !KEYS.iter().any(|key| key.path == path));
        if let Some(connection) = connection {
            let given = convert(value.get_ref()).ok_or_else(|| "expected the id of an identity provider".to_owned());
            if let Err(what) = given.and_then(|given| idp(collected, connection, &given)) {
                self.problem(value.span().start, format!("`{path}`: {what}"));
            }
            return;
        }
        if rules::PATHS.contains(&path) {
            let problems = rules::apply(path, value, self.text, &mut collected.config.mapping);
            self.problems.extend(problems.into_iter().map(|rules::Problem { offset, message, quoted }| Problem {
                offset,
                message,
                quoted,
            }));
            return;
        }
        let Some(key) = KEYS.iter().find(|key| key.path == path) else { return self.unknown(path, offset) };
        if !key.in_file {
            let message = format!(
                "`{path}` may not stand in the file: put the secret into a file of its own and name it as `{path}_file`, \
                 or set `{}`",
                key.env
            );
            return self.problem(offset, message);
        }
        let Some(value_given) = convert(value.get_ref()) else {
            return self
                .problem(value.span().start, format!("`{path}`: a table, a date or a mixed list is no value here"));
        };
        let origin = format!("`{path}` in `{}`", self.path.display());
        let given = Given { value: value_given, level: Level::File, origin, base: Some(self.base) };
        if let Err(what) = (key.set)(collected, given) {
            self.problem(value.span().start, format!("`{path}`: {what}"));
        }
    }

    fn unknown(&mut self, path: &str, offset: usize) {
        let (section, name) = path.split_once('.').unwrap_or(("", path));
        let split = |key: &'static Key| key.path.split_once('.').unwrap_or(("", key.path));
        let elsewhere = KEYS.iter().filter(|key| key.in_file).find(|key| split(key).1 == name);
        let tables = rules::PATHS.iter().filter_map(|path| path.split_once('.')).filter(|(s, _)| *s == section);
        let siblings = KEYS.iter().filter(|key| key.in_file && split(key).0 == section).map(|key| split(key).1);
        let siblings = siblings.chain(tables.map(|(_, name)| name));
        let sections = KEYS.iter().map(|key| split(key).0).filter(|s| section.is_empty() && !s.is_empty());
        let advice = if let Some(key) = elsewhere {
            match split(key).0 {
                "" => "; it belongs to the top of the file".to_owned(),
                section => format!("; it belongs to `[{section}]`"),
            }
        } else if let Some(near) = nearest(name, siblings.chain(sections)) {
            format!("; did you mean `{near}`?")
        } else {
            String::new()
        };
        // A secret that slipped to the left of the equals sign is not repeated whole.
        let shown: String = path.chars().take(60).collect();
        let word = if section.is_empty() { "key or section" } else { "key" };
        self.problem(offset, format!("unknown {word} `{shown}`{advice}"));
    }

    fn problem(&mut self, offset: usize, message: String) {
        self.problems.push(Problem { offset, message, quoted: None });
    }

    fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        format!("line {line}, column {column}")
    }

    fn finish(mut self) -> Result<()> {
        self.problems.sort_by_key(|problem| problem.offset);
        let name = self.path.display();
        let texts: Vec<String> = self
            .problems
            .iter()
            .map(|p| format!("{}: {}{}", self.place(p.offset), printable(&p.message), p.caret()))
            .collect();
        let error = match texts.as_slice() {
            [] => return Ok(()),
            [one] => Error::usage(format!("`{name}`, {one}")),
            many => {
                let error = Error::usage(format!("`{name}` has {} errors", many.len()));
                many.iter().fold(error, Error::because)
            }
        };
        Err(error.hint("every key with its default is in config.example.toml"))
    }
}

impl Problem {
    /// The line of the rule with a caret below the place that is wrong; the error sets them in.
    fn caret(&self) -> String {
        let Some((source, at)) = &self.quoted else { return String::new() };
        let before: String = source.chars().take(*at).collect();
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = source[start..].lines().next().unwrap_or_default();
        let column = before[start..].chars().count();
        // A tab takes as much room below as above.
        let blank: String = line.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        format!("\n{}\n{blank}^", printable(line))
    }
}

fn convert(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(number) => Value::Int(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::Float(number.as_str().parse().ok()?),
        DeValue::Array(items) => {
            let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
            Value::List(items.iter().map(text).collect::<Option<_>>()?)
        }
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}
