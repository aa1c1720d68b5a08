//! What the docs name is there.

use std::{fs, path::PathBuf};

/// The texts for whoever changes a2z.
const DOCS: [&str; 6] =
    ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/faults.md", "docs/glossary.md", "docs/testing.md"];

/// Paths between back quotes or behind a link that begin with a folder of the repository.
fn paths(text: &str) -> Vec<&str> {
    // What a fuzzer makes is not there.
    let parts = text.split(['`', '(', ')', ' ', '\n']);
    let folders = ["src/", "tests/", "docs/", "examples/", "benches/", "fuzz/", "scripts/", "crates/"];
    parts
        .filter(|part| folders.iter().any(|folder| part.starts_with(folder)))
        .map(|part| part.trim_end_matches(['.', ',', ';', ':']))
        .filter(|part| !part.contains(['*', '{', '<', '$']) && *part != "fuzz/artifacts")
        .collect()
}

#[test]
fn every_path_in_the_docs_exists() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut found = 0;
    for doc in DOCS {
        let text = fs::read_to_string(root.join(doc)).unwrap();
        for path in paths(&text) {
            assert!(root.join(path).exists(), "{doc} names `{path}`, which is not there");
            found += 1;
        }
    }
    assert!(found > 40, "{found}");
}

#[test]
fn the_reader_of_paths_reads() {
    let text = "see `src/a.rs`, [b](docs/b.md), `tests/*.rs` and (src/c.rs).";
    assert_eq!(paths(text), ["src/a.rs", "docs/b.md", "src/c.rs"]);
}
