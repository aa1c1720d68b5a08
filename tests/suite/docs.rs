//! What the docs name is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The texts: those of the root, and of the folders of the docs.
fn texts(root: &Path) -> Vec<PathBuf> {
    let files = ["", "docs", "docs/src"].into_iter().flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    // What changed once may be gone since.
    files.filter(|file| file.extension().is_some_and(|end| end == "md") && !file.ends_with("CHANGELOG.md")).collect()
}

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
    for doc in texts(&root) {
        let text = fs::read_to_string(&doc).unwrap();
        for path in paths(&text) {
            assert!(root.join(path).exists(), "{} names `{path}`, which is not there", doc.display());
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
