//! The house keeps its order: who may know whom, and who may do what.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A source file without comments and without its tests.
struct Source {
    /// Below `src/`, with slashes.
    path: String,
    text: String,
    /// The same with its comments.
    whole: String,
}

/// The crates' sources; the paths of the sandbox begin with its name.
const SOURCES: [&str; 3] = ["src", "crates/a2z-core/src", "crates/a2z-sandbox/src"];

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for root in SOURCES {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(root);
        collect(&root, &root, &mut sources);
    }
    assert!(sources.len() > 80);
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "tests" {
                collect(root, &path, sources);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && !["tests.rs", "testing.rs"].contains(&name) {
            let text = fs::read_to_string(&path).unwrap();
            // Tests stand at the end of a file, in a module of their own.
            let tests = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(super) mod tests {"];
            let text = &text[..tests.iter().filter_map(|start| text.find(start)).min().unwrap_or(text.len())];
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            sources.push(Source {
                path: place(root, &path),
                text: lines.collect::<Vec<_>>().join("\n"),
                whole: text.to_owned(),
            });
        }
    }
}

/// Where a file is below its root; files of the sandbox are below `sandbox/`.
fn place(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    if root.ends_with("a2z-sandbox/src") { format!("sandbox/{path}") } else { path }
}

impl Source {
    /// Is in a module: the file of its name, or the folder.
    fn is_in(&self, module: &str) -> bool {
        self.path == format!("{module}.rs") || self.path.starts_with(&format!("{module}/"))
    }

    /// The modules of the crate that it names, in `use crate::…` and anywhere else.
    fn knows(&self) -> BTreeSet<String> {
        let mut known = BTreeSet::new();
        for (at, found) in self.text.match_indices("crate::") {
            if self.text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let rest = &self.text[at + found.len()..];
            match rest.strip_prefix('{') {
                Some(list) => known.extend(top_level(list)),
                None => known.extend(ident(rest)),
            }
        }
        known
    }
}

fn ident(text: &str) -> Option<String> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// The first steps of a `use` list, up to its closing brace.
fn top_level(list: &str) -> Vec<String> {
    let (mut depth, mut starts, mut fresh) = (0, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                fresh = false;
                starts.extend(ident(&list[at..]));
            }
            _ => {}
        }
    }
    starts
}

#[test]
fn the_reader_of_uses_reads() {
    let source = Source {
        path: "x.rs".to_owned(),
        text: "use crate::{a::{b, c}, d::E,\n f};\nfn g() { crate::h::i(); $crate::z::y() }\nuse crate::j;".to_owned(),
        whole: String::new(),
    };
    assert_eq!(source.knows(), ["a", "d", "f", "h", "j"].map(str::to_owned).into());
}

/// Files of `module` know none of `others`.
#[track_caller]
fn knows_none_of(sources: &[Source], module: &str, others: &[&str]) {
    let files: Vec<_> = sources.iter().filter(|source| source.is_in(module)).collect();
    assert!(!files.is_empty(), "no module `{module}`");
    for source in files {
        let known: Vec<_> = source.knows().into_iter().filter(|name| others.contains(&name.as_str())).collect();
        assert!(known.is_empty(), "src/{} knows {known:?}", source.path);
    }
}

#[test]
fn who_knows_whom() {
    let sources = sources();
    knows_none_of(&sources, "auth0", &["zitadel", "import", "plan", "ledger", "mapping", "commands", "report"]);
    knows_none_of(&sources, "zitadel", &["auth0", "hashes", "join", "import", "plan", "ledger", "commands", "report"]);
    knows_none_of(
        &sources,
        "http",
        &["auth0", "zitadel", "hashes", "join", "mapping", "plan", "import", "ledger", "report", "run", "commands"],
    );
    knows_none_of(&sources, "mapping", &["zitadel", "http", "ledger", "import", "plan", "input", "run", "commands"]);
    knows_none_of(&sources, "join", &["zitadel", "http", "ledger", "import", "plan", "input", "run", "commands"]);
    // Views: of events, and of the ledger.
    knows_none_of(
        &sources,
        "progress",
        &[
            "auth0", "zitadel", "hashes", "join", "mapping", "plan", "import", "ledger", "report", "http", "run",
            "commands",
        ],
    );
    knows_none_of(
        &sources,
        "report",
        &["auth0", "zitadel", "hashes", "join", "plan", "import", "event", "http", "run", "commands"],
    );
    // A run hands events and values out: who reads arguments, prints and asks is above it.
    knows_none_of(&sources, "run", &["cli", "commands", "progress", "log", "report", "summary"]);
    // The sandbox stands for the vendors: it must not share code with what it tests.
    knows_none_of(
        &sources,
        "sandbox",
        &[
            "auth0", "zitadel", "hashes", "join", "mapping", "plan", "import", "ledger", "report", "http", "run",
            "commands",
        ],
    );
    for source in sources.iter().filter(|source| !source.is_in("commands") && !source.is_in("lib")) {
        let knows = source.knows().contains("sandbox");
        assert!(!knows || source.is_in("sandbox"), "src/{} knows the sandbox", source.path);
    }
}

/// Words of the text that look like an error id of ZITADEL: `COMMAND-ziuna`, `V3-DKcYh`.
fn error_ids(text: &str) -> Vec<&str> {
    const FIRST: [&str; 14] = [
        "AUTH", "AUTHZ", "COMM", "COMMAND", "CRYPT", "EMAIL", "META", "ORG", "Org", "PHONE", "QUERY", "SESSION", "SQL",
        "V3",
    ];
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let is_id = |word: &&str| {
        word.split_once('-').is_some_and(|(first, rest)| {
            FIRST.contains(&first) && rest.len() >= 5 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    words.filter(is_id).collect()
}

#[test]
fn the_reader_of_error_ids_reads() {
    let text = "Some(\"COMMAND-ziuna\") // `V3-DKcYh`, Org-2B0ps; Retry-After, ORG-x, UTF-8, V3-a-bcdefg";
    assert_eq!(error_ids(text), ["COMMAND-ziuna", "V3-DKcYh", "Org-2B0ps"]);
}

/// Only these files hold any of these words.
#[track_caller]
fn only(sources: &[Source], words: &[&str], allowed: &[&str]) {
    for source in sources.iter().filter(|source| !allowed.iter().any(|module| source.is_in(module))) {
        for word in words {
            assert!(!source.text.contains(word), "src/{} has `{word}`", source.path);
        }
    }
}

#[test]
fn who_does_what() {
    let sources = sources();
    for source in sources.iter().filter(|source| source.is_in("mapping") || source.is_in("join")) {
        for word in ["std::fs", "std::net", "std::env", "std::process", "std::thread", "tokio", "reqwest", "rusqlite"] {
            assert!(!source.text.contains(word), "src/{} has `{word}`: it does no I/O", source.path);
        }
    }
    only(&sources, &["backoff::"], &["http/retry"]);
    // A rollback has many deletions under way, in one place, as an import has batches.
    let all = ["import", "ledger", "plan", "lib", "sandbox", "commands", "rollback"];
    only(&sources, &["spawn(", "spawn_local(", "thread::Builder", "thread::scope"], &all);
    // The downloaded file is read once more: work for a thread that may block, which is waited for.
    only(&sources, &["spawn_blocking("], &["import", "ledger", "plan", "lib", "sandbox", "commands", "auth0/download"]);
    only(&sources, &["rusqlite"], &["ledger"]);
    only(&sources, &["reqwest"], &["http", "auth0", "zitadel"]);
    only(&sources, &["indicatif"], &["progress"]);
    only(&sources, &["clap::"], &["cli", "lib", "main", "config", "log", "progress"]);
    for source in sources.iter().filter(|source| source.is_in("commands")) {
        assert!(source.whole.lines().count() < 150, "src/{}: a command parses, confirms and prints", source.path);
    }
    // Error ids of ZITADEL; `Failure::reason()` tells what they mean.
    let ids = sources.iter().filter(|source| source.path != "zitadel/failure/reason.rs" && !source.is_in("sandbox"));
    for source in ids {
        assert_eq!(error_ids(&source.whole), Vec::<&str>::new(), "src/{}: see zitadel/failure/reason.rs", source.path);
    }
    only(&sources, &["std::env::var"], &["environment"]);
}

/// The columns of the ledger that hold a state.
const STATES: [&str; 9] = ["action", "progress", "outcome", "owner", "wrote", "made", "state", "lost", "route"];

/// The text literals of a source, without those of the schema that only say what a column may hold.
fn literals(text: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find('"') {
        let inside = &rest[start + 1..];
        let mut escaped = false;
        let end = inside.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else { break };
        found.push(&inside[..end]);
        rest = &inside[end + 1..];
    }
    found
}

/// A number that a statement compares a state with, or gives to one.
fn bare_state(sql: &str) -> Option<String> {
    let spaced = sql.replace(['(', ')', ',', '='], " ").replace("<>", " ");
    let is_number = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    let mut of_state = false;
    for word in spaced.split_whitespace() {
        let name = word.rsplit('.').next().unwrap_or_default();
        if STATES.contains(&name) || ["THEN", "ELSE"].contains(&word) || word.starts_with('?') {
            of_state = true;
        } else if of_state && is_number(word) {
            return Some(format!("{word} in: {sql}"));
        } else if !["IN", "NOT", "IS", "<", ">", "max", "coalesce"].contains(&word) && !word.starts_with('{') {
            of_state = false;
        }
    }
    None
}

#[test]
fn no_statement_holds_the_number_of_a_state() {
    for (sql, bare) in [
        ("UPDATE users SET action = {TO_KEEP}, visible = 0 WHERE progress IN {IN_DOUBT} LIMIT 1", false),
        ("SELECT count(*) FROM roles WHERE made IN ({MADE}, ?1) AND have = 1", false),
        ("SELECT 1 FROM users u WHERE u.owner <> 1", true),
        ("UPDATE users SET progress = max(progress, 1)", true),
        ("SELECT u.outcome IN ({CREATED}, 1) FROM users u", true),
        ("UPDATE codes SET gave = CASE WHEN ?3 = 2 THEN ?4 ELSE gave END", true),
        ("SELECT CASE WHEN owner = {OURS} THEN 2 ELSE action END", true),
    ] {
        assert_eq!(bare_state(sql).is_some(), bare, "{sql}");
    }
    let sources = sources();
    let ledger = sources.iter().filter(|source| source.is_in("ledger") && !source.is_in("ledger/schema"));
    let (mut statements, mut bare) = (0, Vec::new());
    for source in ledger.filter(|source| source.path != "ledger/testing.rs") {
        for sql in literals(&source.text) {
            statements += usize::from(sql.contains("SELECT ") || sql.contains("UPDATE "));
            bare.extend(bare_state(sql).map(|what| format!("src/{}: {what}", source.path)));
        }
    }
    assert!(statements > 100, "{statements}");
    assert!(bare.is_empty(), "{bare:#?}");
}
