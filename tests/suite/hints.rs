//! What errors and hints tell people to type exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use a2z::cli::Cli;
use clap::CommandFactory as _;

/// Flags of other programs, by the program's name.
const OTHERS: [(&str, &str); 1] = [("gpg ", "--decrypt")];

/// The string literals of the sources, without comments and tests, each with its file.
fn literals() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["src", "crates/a2z-core/src", "crates/a2z-sandbox/src"] {
        collect(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    assert!(found.len() > 1_000, "{}", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !["tests.rs", "testing.rs"].contains(&name) {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let file = path.display().to_string();
            found.extend(strings(&lines.collect::<Vec<_>>().join("\n")).into_iter().map(|text| (file.clone(), text)));
        }
    }
}

/// The string literals of Rust; a quote as a character does not open one.
fn strings(source: &str) -> Vec<String> {
    let source = source.replace("'\"'", "' '").replace("b'\"'", "' '").replace("'\\\"'", "' '");
    let (mut found, mut text, mut inside, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in source.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' if inside => {
                inside = false;
                found.push(std::mem::take(&mut text));
            }
            '"' => inside = true,
            c if inside => text.push(c),
            _ => {}
        }
    }
    found
}

/// The flags in a text: `--word`, not in the middle of something.
fn flags(text: &str) -> Vec<&str> {
    let starts = text.match_indices("--").filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"-_(".contains(c))
            && text[at + 2..].starts_with(|c: char| c.is_ascii_lowercase())
    });
    let end = |at: usize| {
        text[at + 2..].find(|c: char| !c.is_ascii_lowercase() && c != '-').map_or(text.len(), |n| at + 2 + n)
    };
    starts.map(|(at, _)| text[at..end(at)].trim_end_matches('-')).collect()
}

/// The flags of each verb, the global ones included.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let mut command = Cli::command();
    command.build();
    let of = |command: &clap::Command| {
        command.get_arguments().filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")).collect()
    };
    command.get_subcommands().map(|verb| (verb.get_name().to_owned(), of(verb))).collect()
}

#[test]
fn the_reader_of_hints_reads() {
    assert_eq!(strings(r#"f("a\"b", '"', "c")"#), ["ab", "c"]);
    assert_eq!(
        flags("`--users FILE`, a--b, --, x --org; --mfa-survey: var(--good)"),
        ["--users", "--org", "--mfa-survey"]
    );
}

#[test]
fn hints_name_only_flags_that_exist() {
    let known = known();
    let all: BTreeSet<&str> = known.values().flatten().map(String::as_str).collect();
    let mut seen = BTreeSet::new();
    for (file, text) in literals() {
        // Not a style sheet's variables.
        for flag in flags(&text).into_iter().filter(|_| !text.contains("{color-scheme:")) {
            let of_others = OTHERS.iter().any(|(program, other)| text.contains(program) && *other == flag);
            assert!(all.contains(flag) || of_others, "{file}: `{flag}` is no flag: {text}");
            seen.insert(flag.to_owned());
        }
        // Whole command lines: the flag is the verb's.
        for (at, _) in text.match_indices("a2z ") {
            let line = text[at + 4..].split(['`', '|', ';', '\n']).next().unwrap();
            let verb = line.split([' ', ',', '.', ':']).next().unwrap();
            let Some(of_verb) = known.get(verb) else { continue };
            for flag in flags(line) {
                assert!(of_verb.contains(flag), "{file}: `a2z {verb}` has no `{flag}`: {text}");
            }
        }
    }
    assert!(seen.len() >= 10, "{seen:?}");
}

/// `a2z VERB` in a hint is a verb.
#[test]
fn hints_name_only_verbs_that_exist() {
    let known = known();
    let mut seen = BTreeSet::new();
    for (file, text) in literals() {
        for (at, _) in text.match_indices("`a2z ") {
            let verb = text[at + 5..].split(|c: char| !c.is_ascii_lowercase()).next().unwrap();
            assert!(known.contains_key(verb), "{file}: there is no `a2z {verb}`: {text}");
            seen.insert(verb.to_owned());
        }
    }
    assert!(seen.len() >= 4, "{seen:?}");
}
