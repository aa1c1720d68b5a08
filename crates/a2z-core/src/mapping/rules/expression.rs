//! One expression of the operator's, in CEL (<https://cel.dev>), compiled and checked once.
//!
//! What is plain CEL stays plain CEL, with one difference: a field that a user does not have is `null`, at any depth,
//! and no error. Therefore every path into the user (`user_metadata.a.b`, `app_metadata["a b"]`, `identities[0].provider`)
//! is replaced by a variable of its own, which [`super::row`] resolves from the row's own bytes.

use std::sync::{Arc, LazyLock};

use cel::{
    Context, Env, ExecutionError, Value,
    common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators},
    extensions,
    parser::ParseError,
};

use super::row::{Key, Path, Root, Row};
use crate::text::nearest;

/// An expression is a line or two; what is longer was not written by hand.
const MOST_BYTES: usize = 2_000;
/// How deep an expression may be nested: evaluation recurses.
const MOST_DEPTH: usize = 40;
/// The parser recurses over brackets and over chains of operators, before there is a depth to be measured.
const MOST_BRACKETS: usize = 10;
const MOST_OPERATORS: usize = 100;

/// What may be called: CEL's standard library and its strings extension. Operators are called by names of their own.
pub(super) const FUNCTIONS: [&str; 35] = [
    "bool",
    "bytes",
    "charAt",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "indexOf",
    "int",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "matches",
    "replace",
    "size",
    "split",
    "startsWith",
    "string",
    "substring",
    "timestamp",
    "trim",
    "type",
    "uint",
    "upperAscii",
];

/// The types that may be named: `type(user_metadata.age) == int`.
const TYPES: [&str; 9] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];

/// The library, built once: it is the same for every expression.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // Cannot fail: nothing was declared twice. A test calls each of its functions.
    let _ = env.add_extension(extensions::strings);
    Arc::new(env)
});

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place in the expression, in characters from 0.
    pub at: usize,
    /// In words, lower case.
    pub message: String,
}

/// Why an expression came to nothing for one user. Holds nothing of the user's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure(pub(super) String);

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    source: String,
    expr: IdedExpr,
    paths: Vec<Path>,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.source)
    }
}

impl Expression {
    /// Compiles and checks `source`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn compile(source: &str) -> Result<Self, Fault> {
        let fault = |at: usize, message: &str| Err(Fault { at, message: message.to_owned() });
        if source.trim().is_empty() {
            return fault(0, "is empty");
        }
        if source.len() > MOST_BYTES {
            return fault(0, "is longer than 2,000 bytes");
        }
        if is_too_much(source) {
            return fault(0, "is too long: several rules are easier to read");
        }
        let parser = ENV.parser().enable_optional_syntax(false).enable_ident_escape_syntax(true);
        let (mut expr, places) =
            parser.parse_with_source_info(source).map_err(|errors| first_error(&errors.errors, source))?;
        if depth_exceeds(&expr, MOST_DEPTH) {
            return fault(0, "is nested too deeply");
        }
        let mut paths = Vec::new();
        Compiler { places: &places, paths: &mut paths, bound: Vec::new() }.node(&mut expr)?;
        let compiled = Self { source: source.to_owned(), expr, paths };
        compiled.try_out()?;
        Ok(compiled)
    }

    /// As it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What no user could mend (`1 > 'a'`) is found with a user who has nothing.
    fn try_out(&self) -> Result<(), Fault> {
        let nobody = crate::auth0::user::ExportedUser::default();
        match self.evaluate(&Row::new(&nobody, jiff::Timestamp::UNIX_EPOCH)) {
            Err(error @ (ExecutionError::NoSuchOverload(_) | ExecutionError::UndeclaredReference(_)))
                if !is_missing(&error) =>
            {
                Err(Fault { at: 0, message: why(&error) })
            }
            _ => Ok(()),
        }
    }

    fn evaluate(&self, row: &Row<'_>) -> Result<Value, ExecutionError> {
        let variables = row.with(&self.paths);
        let mut context = Context::with_env(Arc::clone(&ENV));
        context.set_variable_resolver(&variables);
        Value::resolve(&self.expr, &context)
    }

    /// Does the condition hold? A comparison with something that the user does not have is neither true nor false, as in
    /// SQL: then it does not hold.
    pub(super) fn holds(&self, row: &Row<'_>) -> Result<bool, Failure> {
        match self.evaluate(row) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(Value::Null) => Ok(false),
            Ok(other) => Err(Failure(format!("it is {}, neither true nor false", named(&other)))),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(Failure(why(&error))),
        }
    }

    /// The text that it comes to, exactly as it stands in the row where it is a path. None: the user has no such thing.
    pub(super) fn text(&self, row: &Row<'_>) -> Result<Option<String>, Failure> {
        if let (Expr::Ident(_), [path]) = (&self.expr.expr, self.paths.as_slice()) {
            return row.text(path).map_err(|what| Failure(format!("it is {what}, not a text")));
        }
        match self.evaluate(row) {
            Ok(Value::String(text)) => Ok(Some(Arc::unwrap_or_clone(text))),
            Ok(Value::Int(number)) => Ok(Some(number.to_string())),
            Ok(Value::UInt(number)) => Ok(Some(number.to_string())),
            Ok(Value::Null) => Ok(None),
            Ok(other) => Err(Failure(format!("it is {}, not a text", named(&other)))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(Failure(why(&error))),
        }
    }
}

fn named(value: &Value) -> &'static str {
    match value {
        Value::List(_) => "a list",
        Value::Map(_) => "an object",
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => "a number",
        Value::String(_) => "a text",
        Value::Bool(_) => "true or false",
        Value::Timestamp(_) => "a date",
        Value::Duration(_) => "a span of time",
        _ => "something else",
    }
}

/// The expression met something that the user does not have.
fn is_missing(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_) => true,
        ExecutionError::NoSuchOverload(error) => error.argument_types().iter().any(|name| name == "null_type"),
        ExecutionError::UnsupportedBinaryOperator(_, a, b) | ExecutionError::ValuesNotComparable(a, b) => {
            matches!(a, Value::Null) || matches!(b, Value::Null)
        }
        ExecutionError::UnexpectedType { got, .. } => got == "null_type",
        _ => false,
    }
}

/// In words; the library's own would quote the user's values.
fn why(error: &ExecutionError) -> String {
    let operator = |name: &str| name.trim_matches('_').trim_start_matches('@').to_owned();
    match error {
        ExecutionError::NoSuchOverload(error) => {
            let types = error.argument_types().join(", ");
            format!("`{}` does not take ({types})", operator(error.function()))
        }
        ExecutionError::UndeclaredReference(name) => format!("`{name}` is not known"),
        ExecutionError::FunctionError { function, .. } => format!("`{}` refuses the value", operator(function)),
        ExecutionError::Overflow(..) => "a number is too large".into(),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".into(),
        ExecutionError::UnsupportedBinaryOperator(name, a, b) => {
            format!("`{name}` does not take {} and {}", named(a), named(b))
        }
        ExecutionError::UnexpectedType { got, want } => format!("{got} where {want} is wanted"),
        _ => "it cannot be evaluated".into(),
    }
}

/// The first error of the parser in a few words, without the long list of what it would have liked instead.
fn first_error(errors: &[ParseError], source: &str) -> Fault {
    let Some(error) = errors.first() else { return Fault { at: 0, message: "is no CEL expression".into() } };
    let (line, column) = (usize::try_from(error.pos.0).unwrap_or(1), usize::try_from(error.pos.1).unwrap_or(1));
    let before: usize =
        source.split_inclusive('\n').take(line.saturating_sub(1)).map(|line| line.chars().count()).sum();
    let message = error.msg.lines().next().unwrap_or_default();
    let message = message.split(" expecting ").next().unwrap_or(message).trim_start_matches("Syntax error: ");
    let at = (before + column.saturating_sub(1)).min(source.chars().count());
    Fault { at, message: format!("is no CEL expression: {message}") }
}

/// Replaces paths by variables, and refuses what is not known.
struct Compiler<'a> {
    places: &'a SourceInfo,
    paths: &'a mut Vec<Path>,
    /// Names that a comprehension (`identities.exists(i, …)`) gave to its elements.
    bound: Vec<String>,
}

impl Compiler<'_> {
    fn fault(&self, id: u64, message: String) -> Fault {
        Fault { at: self.places.offset_for(id).map_or(0, |(start, _)| start as usize), message }
    }

    fn node(&mut self, node: &mut IdedExpr) -> Result<(), Fault> {
        if let Some(path) = self.path(node)? {
            node.expr = self.variable(path);
            return Ok(());
        }
        let id = node.id;
        match &mut node.expr {
            Expr::Select(select) => {
                if select.test
                    && let Some(mut path) = self.path(&select.operand)?
                {
                    path.keys.push(Key::Name(std::mem::take(&mut select.field)));
                    let variable = self.variable(path);
                    let null = Expr::Literal(LiteralValue::Null);
                    node.expr = Expr::Call(CallExpr {
                        func_name: operators::NOT_EQUALS.to_owned(),
                        target: None,
                        args: vec![IdedExpr { id, expr: variable }, IdedExpr { id, expr: null }],
                    });
                    return Ok(());
                }
                self.node(&mut select.operand)
            }
            Expr::Call(call) => {
                let is_operator = call.func_name.starts_with(['_', '!', '-', '@']);
                if !is_operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    let near = near(&call.func_name, FUNCTIONS.iter().copied());
                    let message = format!("no function `{}` is known{near}", call.func_name);
                    return Err(self.fault(id, message));
                }
                call.target.iter_mut().try_for_each(|target| self.node(target))?;
                call.args.iter_mut().try_for_each(|arg| self.node(arg))
            }
            Expr::Comprehension(loops) => {
                self.node(&mut loops.iter_range)?;
                let before = self.bound.len();
                let names = [Some(&loops.iter_var), loops.iter_var2.as_ref(), Some(&loops.accu_var)];
                self.bound.extend(names.into_iter().flatten().cloned());
                for part in [&mut loops.accu_init, &mut loops.loop_cond, &mut loops.loop_step, &mut loops.result] {
                    self.node(part)?;
                }
                self.bound.truncate(before);
                Ok(())
            }
            Expr::List(list) => list.elements.iter_mut().try_for_each(|element| self.node(element)),
            Expr::Ident(name) => {
                if self.bound.contains(name) || TYPES.contains(&name.as_str()) {
                    return Ok(());
                }
                let near = near(name, Root::names());
                let message = format!("a user has no field `{name}`{near}");
                Err(self.fault(id, message))
            }
            Expr::Literal(_) => Ok(()),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err(self.fault(id, "objects cannot be made here".to_owned()))
            }
        }
    }

    fn variable(&mut self, path: Path) -> Expr {
        let place = self.paths.iter().position(|known| *known == path).unwrap_or_else(|| {
            self.paths.push(path);
            self.paths.len() - 1
        });
        Expr::Ident(format!("${place}"))
    }

    /// The path that a node spells, where it is one.
    fn path(&self, node: &IdedExpr) -> Result<Option<Path>, Fault> {
        let step = |operand: &IdedExpr, key: Key| {
            let Some(mut path) = self.path(operand)? else { return Ok(None) };
            if !path.root.has_fields() {
                return Err(self.fault(node.id, format!("`{}` has no fields", path.root.name())));
            }
            path.keys.push(key);
            Ok(Some(path))
        };
        match &node.expr {
            Expr::Ident(name) if !self.bound.contains(name) => {
                Ok(Root::parse(name).map(|root| Path { root, keys: Vec::new() }))
            }
            Expr::Select(select) if !select.test => step(&select.operand, Key::Name(select.field.clone())),
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(key)), .. }] => {
                    step(operand, Key::Name(key.inner().to_owned()))
                }
                [operand, IdedExpr { expr: Expr::Literal(LiteralValue::Int(at)), .. }] => {
                    match usize::try_from(*at.inner()) {
                        Ok(at) => step(operand, Key::At(at)),
                        Err(_) => Ok(None),
                    }
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }
}

fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// More than the parser can be given. Brackets and operators in a string count, too: no rule needs so many.
fn is_too_much(source: &str) -> bool {
    let (mut depth, mut choices, mut operators) = (0_usize, 0, 0);
    source.bytes().any(|b| {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            // `a ? b : c ? d : e` is as deep as it has choices.
            b'?' => choices += 1,
            b'+' | b'-' | b'*' | b'/' | b'%' | b'.' | b'<' | b'>' | b'=' | b'!' => operators += 1,
            _ => {}
        }
        depth + choices > MOST_BRACKETS || operators > MOST_OPERATORS
    })
}

/// Without recursion: what is too deep must not be walked by it.
fn depth_exceeds(expr: &IdedExpr, most: usize) -> bool {
    let mut left = vec![(expr, 1)];
    while let Some((node, depth)) = left.pop() {
        if depth > most {
            return true;
        }
        let mut push = |child| left.push((child, depth + 1));
        match &node.expr {
            Expr::Select(select) => push(&select.operand),
            Expr::Call(call) => {
                call.target.iter().for_each(|target| push(target));
                call.args.iter().for_each(&mut push);
            }
            Expr::List(list) => list.elements.iter().for_each(push),
            Expr::Comprehension(loops) => {
                [&loops.iter_range, &loops.accu_init, &loops.loop_cond, &loops.loop_step, &loops.result]
                    .into_iter()
                    .for_each(push);
            }
            _ => {}
        }
    }
    false
}
