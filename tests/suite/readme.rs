//! The README and the handbook agree with the program: codes, verbs, exit codes, flags. `A2Z_TEST_BLESS=1` writes the tables
//! of the codes again.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use a2z::{
    mapping::finding::{BlockedCode, FindingCode},
    merge::Stranded,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The README and the chapters of the handbook, each with its text.
fn texts() -> Vec<(PathBuf, String)> {
    let mut files = vec![root().join("README.md")];
    files.extend(fs::read_dir(root().join("docs/src")).unwrap().map(|entry| entry.unwrap().path()));
    files.sort();
    assert!(files.len() > 10);
    files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect()
}

/// All of them as one text.
fn readme() -> String {
    texts().into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// The text between `<!-- NAME -->` and `<!-- end of NAME -->`.
fn section<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap_or_else(|| panic!("no section {name}"));
    rest.split_once(&format!("<!-- end of {name} -->")).unwrap_or_else(|| panic!("{name} does not end")).0
}

fn table(head: &str, rows: impl Iterator<Item = [String; 3]>) -> String {
    let mut out = format!("| {head} |\n|---|---|---|\n");
    for [code, message, hint] in rows {
        let cell = |text: String| text.replace('|', "\\|");
        writeln!(out, "| `{code}` | {} | {} |", cell(message), cell(hint)).unwrap();
    }
    out
}

/// The sections that are made from the code.
fn made() -> [(&'static str, String); 3] {
    let blocked = BlockedCode::ALL.iter().map(|c| [c.code(), c.message(), c.hint()].map(str::to_owned));
    let findings = FindingCode::ALL.iter().map(|c| [c.code(), c.message(), c.hint()].map(str::to_owned));
    let stranded =
        [Stranded::EmailNotVerified, Stranded::NoPassword, Stranded::PhoneNotVerified, Stranded::ChangeIgnored];
    let stranded =
        stranded.iter().map(|s| [s.code(), s.message(), "`a2z cutover` takes another road"].map(str::to_owned));
    [
        ("blocked codes", table("Code | What it means | What to do", blocked)),
        ("finding codes", table("Code | What it means | What to do", findings)),
        ("stranded codes", table("Code | What it means | What to do", stranded)),
    ]
}

#[test]
fn every_code_of_a_user_is_explained() {
    let bless = std::env::var_os("A2Z_TEST_BLESS").is_some();
    for (name, table) in made() {
        let mark = format!("<!-- {name} -->\n");
        let (file, text) = texts().into_iter().find(|(_, text)| text.contains(&mark)).unwrap();
        let old = section(&text, name).to_owned();
        if bless {
            fs::write(file, text.replace(&format!("{mark}{old}"), &format!("{mark}{table}"))).unwrap();
            continue;
        }
        for row in table.lines() {
            assert!(
                old.lines().any(|line| line == row),
                "{name}: this row is missing or says something else:\n{row}\n\
                A2Z_TEST_BLESS=1 cargo test readme:: writes the tables anew"
            );
        }
        assert_eq!(old, table, "{name}: A2Z_TEST_BLESS=1 cargo test readme:: writes the tables anew");
    }
}

/// Every file of `src`, as text.
fn sources(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            out.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap());
        }
    }
}

/// The string literals that follow `marker`, white space aside.
fn literals_after<'a>(text: &'a str, marker: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(marker).skip(1).filter_map(|rest| Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0))
}

#[test]
fn every_warning_is_explained() {
    let mut text = String::new();
    for folder in ["src", "crates/a2z-core/src"] {
        sources(&root().join(folder), &mut text);
    }
    // What `check` fails with, and what others warn with.
    let markers = [".warn(", "Warning { code:", ".fail(", "facts.ok("];
    let used: BTreeSet<&str> = markers.iter().flat_map(|marker| literals_after(&text, marker)).collect();
    assert!(
        used.contains("instance-too-large") && used.contains("zitadel-roles"),
        "the search finds nothing: {used:?}"
    );
    let readme = readme();
    let explained: BTreeSet<&str> = section(&readme, "warnings")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0))
        .collect();
    let missing: Vec<_> = used.difference(&explained).collect();
    assert!(missing.is_empty(), "the handbook does not explain the warnings {missing:?}");
    let stale: Vec<_> = explained.difference(&used).collect();
    assert!(stale.is_empty(), "the handbook explains warnings that the program does not have: {stale:?}");
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_a2z")).args(words).arg("--help").env_clear().output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The lines below `heading`, to the next blank one.
fn below<'a>(text: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let rest = text.split_once(heading).unwrap_or_else(|| panic!("no `{heading}`")).1;
    rest.trim_start_matches('\n').lines().take_while(|line| !line.trim().is_empty())
}

#[test]
fn verbs_and_exit_codes_are_the_programs() {
    let (help, readme) = (help(&[]), readme());
    let verbs: BTreeSet<&str> = below(&help, "Commands:")
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    let listed: BTreeSet<&str> = section(&readme, "verbs")
        .lines()
        .filter_map(|line| line.strip_prefix("| `a2z ")?.split_once('`').map(|(verb, _)| verb))
        .collect();
    assert_eq!(verbs, listed);

    let codes: Vec<String> = below(&help, "Exit codes:")
        .map(|line| {
            let (code, meaning) = line.trim().split_once("  ").unwrap();
            format!("| {code} | {meaning} |")
        })
        .collect();
    assert!(codes.len() >= 7, "{codes:?}");
    let listed: Vec<&str> = section(&readme, "exit codes")
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("Code"))
        .collect();
    assert_eq!(codes, listed);
}

#[test]
fn every_flag_in_the_readme_exists() {
    let readme = readme();
    let mut known = help(&[]);
    for verb in below(&help(&[]), "Commands:").filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next()) {
        if !verb.starts_with(['-', ' ']) && verb != "help" {
            known.push_str(&help(&[verb]));
        }
    }
    let mut checked = 0;
    for line in readme.lines().filter(|line| line.contains("a2z ")) {
        // Only what stands behind `a2z` on its line is for a2z.
        let Some((_, command)) = line.split_once("a2z ") else { continue };
        let command = command.split(['`', '#', '|']).next().unwrap();
        for flag in command.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2) {
            let flag = flag.trim_end_matches([',', '.', ')', ';', ':', ']']);
            checked += 1;
            assert!(known.contains(&format!("{flag} ")) || known.contains(&format!("{flag}\n")), "{flag} in: {line}");
        }
    }
    assert!(checked > 10, "no flags were found");
}

#[test]
fn links_in_the_texts_lead_somewhere() {
    let mut checked = 0;
    for (file, text) in texts() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            checked += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { file.clone() } else { file.parent().unwrap().join(path) };
            assert!(path.exists(), "{}: {target} does not exist", file.display());
            if !anchor.is_empty() {
                let text = fs::read_to_string(&path).unwrap();
                let found = text.lines().filter(|line| line.starts_with('#')).any(|line| anchor_of(line) == anchor);
                assert!(found, "{}: no heading for {target}", file.display());
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn every_chapter_is_in_the_summary_and_in_the_readme() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for (file, _) in texts().into_iter().filter(|(file, _)| file.parent().unwrap().ends_with("docs/src")) {
        let name = file.file_name().unwrap().to_str().unwrap();
        if name != "SUMMARY.md" {
            assert!(summary.contains(&format!("({name})")), "{name} is not in the summary");
            let linked = name == "introduction.md" || readme.contains(&format!("(docs/src/{name})"));
            assert!(linked, "{name} is not in the README");
        }
    }
}

/// As GitHub makes them.
fn anchor_of(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}
