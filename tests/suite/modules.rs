//! The modules of the program form no circle, files included, and none knows a module of a layer above its own.
//!
//! An edge is a reference by path: in a `use`, or in the code. A `mod` and the re-export of a child do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A module by its path: `["import", "repair"]`; the root is empty.
type Module = Vec<String>;

/// Modules, and what each one refers to.
type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// Circles that are still there. It may only shrink.
const KNOWN: &[&str] = &[
    "sandbox/auth0 sandbox/auth0/download sandbox/auth0/jobs sandbox/auth0/lists sandbox/auth0/paging \
     sandbox/auth0/reply sandbox/auth0/token",
    "sandbox/tenant/made_up sandbox/tenant/ticket",
    "sandbox/zitadel sandbox/zitadel/access sandbox/zitadel/codes sandbox/zitadel/email sandbox/zitadel/import \
     sandbox/zitadel/pages sandbox/zitadel/people sandbox/zitadel/projections sandbox/zitadel/routes \
     sandbox/zitadel/state sandbox/zitadel/users",
];

/// The crates' sources, and the module that stands for their root.
const SOURCES: [(&str, &[&str]); 3] =
    [("src", &[]), ("crates/a2z-core/src", &[]), ("crates/a2z-sandbox/src", &["sandbox"])];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The code of every module, without comments, texts and tests.
fn modules() -> BTreeMap<Module, String> {
    let mut modules = BTreeMap::new();
    for (folder, module) in SOURCES {
        let mut module: Module = module.iter().map(|name| (*name).to_owned()).collect();
        collect(&root().join(folder), &mut module, &mut modules);
    }
    assert!(modules.len() > 150);
    modules
}

fn collect(folder: &Path, module: &mut Module, modules: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            module.push(name);
            collect(&path, module, modules);
            module.pop();
        } else if path.extension().is_some_and(|end| end == "rs") && !["main", "tests", "testing"].contains(&&*name) {
            let here = if name == "lib" { module.clone() } else { [module.as_slice(), &[name]].concat() };
            if !here.iter().any(|part| part == "tests") {
                modules.entry(here).or_default().push_str(&code(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

fn code(text: &str) -> String {
    let tests =
        ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(super) mod tests {", "#[cfg(test)]\npub(crate) mod tests {"];
    let text = &text[..tests.iter().filter_map(|start| text.find(start)).min().unwrap_or(text.len())];
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(without_texts).collect::<Vec<_>>().join("\n")
}

/// A line without what stands between quotes.
fn without_texts(line: &str) -> String {
    let (mut out, mut inside, mut escaped) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' if !escaped => inside = !inside,
            _ if !inside => out.push(c),
            _ => {}
        }
        escaped = inside && c == '\\' && !escaped;
    }
    out
}

/// The paths of a tree of `use`: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str, before: &[String], out: &mut Vec<Vec<String>>) {
    let segments = |text: &str| -> Vec<String> {
        let text = text.split(" as ").next().unwrap_or_default();
        text.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    let tree = tree.trim();
    let Some((head, list)) = tree.split_once('{') else {
        let mut path = segments(tree);
        path.pop_if(|last| last == "self" || last == "*");
        out.push([before, &path].concat());
        return;
    };
    let head = [before, &segments(head)].concat();
    let list = &list[..list.rfind('}').unwrap_or(list.len())];
    let (mut depth, mut start) = (0, 0);
    for (at, c) in list.char_indices().chain([(list.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if !list[start..at].trim().is_empty() {
                    expand(&list[start..at], &head, out);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// What a path in `module` names, from the root; `None` if it is not of this program.
fn absolute(module: &Module, path: &[String], children: &BTreeSet<Module>) -> Option<Vec<String>> {
    let is_child = |name: &String| children.contains(&[module.as_slice(), std::slice::from_ref(name)].concat());
    match path.first()?.as_str() {
        "crate" => {
            let root = module.iter().take(1).filter(|first| *first == "sandbox").cloned();
            Some(root.chain(path[1..].iter().cloned()).collect())
        }
        "self" => Some([module, &path[1..]].concat()),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            Some([&module[..module.len().saturating_sub(ups)], &path[ups..]].concat())
        }
        _ if is_child(&path[0]) => Some([module.as_slice(), path].concat()),
        _ => None,
    }
}

/// The statements `use …;` of a module (whether each is public, and its tree), and the rest of the code.
fn uses(code: &str) -> (Vec<(bool, String)>, String) {
    let (mut found, mut rest, mut lines) = (Vec::new(), String::new(), code.lines());
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        let public = trimmed.starts_with("pub");
        let bare = trimmed.strip_prefix("pub(crate) ").or(trimmed.strip_prefix("pub(super) "));
        let bare = bare.or(trimmed.strip_prefix("pub ")).unwrap_or(trimmed);
        let Some(tree) = bare.strip_prefix("use ") else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut tree = tree.to_owned();
        while !tree.contains(';') {
            tree.push_str(lines.next().unwrap_or(";"));
        }
        found.push((public, tree.split(';').next().unwrap_or_default().to_owned()));
    }
    (found, rest)
}

/// Paths in code outside of `use`: two or more names joined by `::`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$';
    code.split(|c| !is_name(c))
        .filter(|word| word.contains("::") && !word.starts_with([':', '$']))
        .map(|word| word.split("::").map(str::to_owned).collect())
        .collect()
}

fn graph(modules: &BTreeMap<Module, String>) -> Graph {
    let names: BTreeSet<Module> = modules.keys().cloned().collect();
    let resolve = |path: &[String]| (0..=path.len()).rev().map(|n| path[..n].to_vec()).find(|m| names.contains(m));
    let mut graph = Graph::new();
    for (module, code) in modules {
        let edges = graph.entry(module.clone()).or_default();
        let (uses, rest) = uses(code);
        for (public, tree) in uses {
            let mut all = Vec::new();
            expand(&tree, &[], &mut all);
            for target in all.iter().filter_map(|path| absolute(module, path, &names)).filter_map(|path| resolve(&path))
            {
                let of_child = public && target.len() > module.len() && target.starts_with(module);
                if target != *module && !of_child {
                    edges.insert(target);
                }
            }
        }
        let named = paths(&rest).into_iter().filter_map(|path| absolute(module, &path, &names));
        edges.extend(named.filter_map(|path| resolve(&path)).filter(|target| target != module));
    }
    graph
}

/// The groups of modules that know one another, directly or not.
fn circles(graph: &Graph) -> BTreeSet<Vec<String>> {
    let reach = |from: &Module| {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
        while let Some(module) = todo.pop() {
            todo.extend(graph.get(module).into_iter().flatten().filter(|target| seen.insert((*target).clone())));
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> = graph.keys().map(|module| (module, reach(module))).collect();
    let in_circle = reached.iter().filter(|(module, seen)| seen.contains(**module));
    in_circle
        .map(|(module, seen)| {
            let others = seen.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(*module)));
            others.map(|module| module.join("/")).collect()
        })
        .collect()
}

#[test]
fn the_reader_of_modules_reads() {
    let module = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Module>();
    let modules: BTreeMap<Module, String> = [
        ("", "mod a;\npub use a::b::C;\nfn f() { a::g() }"),
        ("a", "pub mod b;\npub use b::C;\nuse self::d::E;\nmod d;"),
        ("a/b", "use super::d::{E, F as G};\nuse crate::{x::{self, y::Z},\n std::w};"),
        ("a/d", "fn f() { super::b::h(); other::a::b() }"),
        ("x", ""),
        ("x/y", "use super::super::a;"),
    ]
    .map(|(path, code)| (module(path), code.to_owned()))
    .into();
    let graph = graph(&modules);
    let edges = |of: &str| graph[&module(of)].iter().map(|module| module.join("/")).collect::<Vec<_>>();
    assert_eq!(edges(""), ["a"]);
    assert_eq!(edges("a"), ["a/d"]);
    assert_eq!(edges("a/b"), ["", "a/d", "x", "x/y"]);
    assert_eq!(edges("a/d"), ["a/b"]);
    assert_eq!(edges("x/y"), ["a"]);
    let all: Vec<String> = ["", "a", "a/b", "a/d", "x/y"].map(str::to_owned).into();
    assert_eq!(circles(&graph), BTreeSet::from([all]));
    assert_eq!(without_texts(r#"a("b\"c", d)"#), "a(, d)");
}

#[test]
fn modules_form_no_circle() {
    let found = circles(&graph(&modules()));
    let known: BTreeSet<Vec<String>> =
        KNOWN.iter().map(|circle| circle.split(' ').map(str::to_owned).collect()).collect();
    assert_eq!(found, known, "a new circle, or one that is gone and still stands in `KNOWN`");
}

/// The layers of the picture in the core's `lib.rs`, the lowest first.
fn layers() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("crates/a2z-core/src/lib.rs")).unwrap();
    let picture = text.split("//! # Layers").nth(1).and_then(|text| text.split("```").nth(1)).unwrap();
    let lines = picture.lines().skip(1).map(|line| line.trim_start_matches("//!").trim());
    let mut layers: Vec<Vec<String>> = lines
        .filter(|line| !line.is_empty())
        // The name of the layer, its modules, and behind two spaces what it is for.
        .map(|line| line.split("  ").map(str::trim).filter(|part| !part.is_empty()).nth(1).unwrap())
        .map(|modules| modules.split(' ').map(str::to_owned).collect())
        .collect();
    layers.reverse();
    assert!(layers.len() > 5, "{layers:?}");
    layers
}

#[test]
fn no_module_knows_a_layer_above_its_own() {
    let layers = layers();
    let layer = |module: &Module| layers.iter().position(|layer| layer.contains(&module[0]));
    for (module, edges) in graph(&modules()).iter().filter(|(module, _)| !module.is_empty()) {
        let own = layer(module).unwrap_or_else(|| panic!("`{}` stands in no layer of `lib.rs`", module.join("/")));
        for target in edges.iter().filter(|target| !target.is_empty()) {
            let below = layer(target).is_some_and(|other| other <= own);
            assert!(below, "{} knows {}, which stands above it", module.join("/"), target.join("/"));
        }
    }
}
