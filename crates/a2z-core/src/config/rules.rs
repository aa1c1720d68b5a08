//! The parts of `[mapping]` that are tables: `fields`, `skip`, `only`, `metadata_rename`. They stand in the file only.

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::Mapping;
use crate::{
    mapping::{
        paths::{Rename, Source, is_key},
        rules::{Expression, Field, Filter, Target},
    },
    text::nearest,
};

/// Their paths.
pub(super) const PATHS: [&str; 4] = ["mapping.fields", "mapping.skip", "mapping.only", "mapping.metadata_rename"];

/// Sources of one field, and rules of one kind; what is more was not meant.
const MOST: usize = 100;

/// What is wrong, and where in the file.
pub(super) struct Problem {
    /// In bytes.
    pub(super) offset: usize,
    pub(super) message: String,
    /// The expression, and the place in it, in characters.
    pub(super) quoted: Option<(String, usize)>,
}

/// Puts the table at `path` into `mapping`, and gives what is wrong with it. `text` is the whole file.
pub(super) fn apply(path: &str, value: &Spanned<DeValue<'_>>, text: &str, mapping: &mut Mapping) -> Vec<Problem> {
    let mut reader = Reader { path, text, problems: Vec::new() };
    match path {
        "mapping.fields" => mapping.rules.fields = reader.fields(value),
        "mapping.skip" => mapping.rules.skip = reader.filters(value),
        "mapping.only" => mapping.rules.only = reader.filters(value),
        _ => mapping.metadata_rename = reader.renames(value),
    }
    reader.problems
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, offset: usize, message: impl std::fmt::Display) {
        let message = format!("`{}`: {message}", self.path);
        self.problems.push(Problem { offset, message, quoted: None });
    }

    fn table<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let message = format!("is a table: write `[{}]`", self.path);
            self.problem(value.span().start, message);
        }
        table
    }

    fn list<'v, 'i>(&mut self, value: &'v Spanned<DeValue<'i>>, wanted: &str) -> Option<&'v DeArray<'i>> {
        let list = value.get_ref().as_array().filter(|list| list.len() <= MOST);
        if list.is_none() {
            self.problem(value.span().start, format_args!("expected {wanted}, at most {MOST}"));
        }
        list
    }

    fn fields(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Field> {
        let Some(table) = self.table(value) else { return Vec::new() };
        let mut fields = Vec::new();
        for (name, value) in table {
            let Some(target) = Target::ALL.iter().copied().find(|target| target.name() == name.get_ref().as_ref())
            else {
                let names = Target::ALL.iter().map(|target| target.name());
                let message = match nearest(name.get_ref(), names.clone()) {
                    Some(near) => format!("unknown field `{}`; did you mean `{near}`?", name.get_ref()),
                    None => format!(
                        "unknown field `{}`; there are {}",
                        name.get_ref(),
                        names.collect::<Vec<_>>().join(", ")
                    ),
                };
                self.problem(name.span().start, message);
                continue;
            };
            let sources = if value.get_ref().is_str() {
                self.expression(value).into_iter().collect()
            } else {
                let Some(list) = self.list(value, "an expression in quotes, or a list of them") else { continue };
                list.iter().filter_map(|source| self.expression(source)).collect()
            };
            fields.push(Field { target, sources });
        }
        fields
    }

    fn filters(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Filter> {
        let wanted = format!("rules: write `[[{}]]`", self.path);
        let Some(list) = self.list(value, &wanted) else { return Vec::new() };
        let mut filters = Vec::new();
        for rule in list {
            let Some(table) = self.table(rule) else { continue };
            let (mut condition, mut reason) = (None, None);
            let before = self.problems.len();
            for (name, value) in table {
                match name.get_ref().as_ref() {
                    "where" => condition = self.expression(value),
                    "reason" => match value.get_ref().as_str().map(str::trim).filter(|reason| !reason.is_empty()) {
                        Some(words) => reason = Some(words.to_owned()),
                        None => self.problem(value.span().start, "`reason` is a few words in quotes"),
                    },
                    other => {
                        let message = format!("unknown key `{other}`; a rule has `where` and `reason`");
                        self.problem(name.span().start, message);
                    }
                }
            }
            match condition {
                Some(condition) => filters.push(Filter { condition, reason }),
                None if self.problems.len() == before => self.problem(rule.span().start, "the rule has no `where`"),
                None => {}
            }
        }
        filters
    }

    fn renames(&mut self, value: &Spanned<DeValue<'_>>) -> Vec<Rename> {
        let Some(table) = self.table(value) else { return Vec::new() };
        let mut renames: Vec<Rename> = Vec::new();
        for (from, value) in table {
            let to = value.get_ref().as_str().filter(|to| is_key(to));
            let Some(to) = to else {
                self.problem(value.span().start, "the new key is 1 to 200 characters in quotes");
                continue;
            };
            match Source::parse(from.get_ref()) {
                Err(what) => self.problem(from.span().start, what),
                Ok(_) if renames.iter().any(|known| known.to == *to) => {
                    self.problem(value.span().start, format_args!("two values would get the key `{to}`"));
                }
                Ok(from) => renames.push(Rename { from, to: to.to_owned() }),
            }
        }
        renames
    }

    /// An expression; its errors are placed within its quotes.
    fn expression(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Expression> {
        let span = value.span();
        let Some(source) = value.get_ref().as_str() else {
            self.problem(span.start, "expected an expression in quotes");
            return None;
        };
        match Expression::compile(source) {
            Ok(expression) => Some(expression),
            Err(fault) => {
                // Where the string has escapes, its own beginning is the best place there is.
                let literal = self.text.get(span.clone()).unwrap_or_default();
                let within: usize = source.chars().take(fault.at).map(char::len_utf8).sum();
                let offset = literal.find(source).map_or(span.start, |start| span.start + start + within);
                let message = format!("`{}`: {}", self.path, fault.message);
                self.problems.push(Problem { offset, message, quoted: Some((source.to_owned(), fault.at)) });
                None
            }
        }
    }
}
