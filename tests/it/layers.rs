//! The layers of the source: of two modules at most one knows the other, whichever way round.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::common::repository;

/// Which modules a file names, its tests left out.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let name = |rest: &str| rest.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => drop(found.insert(name(rest))),
            Some(group) => found.extend(first_names(group).into_iter().map(name)),
        }
    }
    found
}

/// `a::{b, c}, d }` up to its end as `a::{b, c}` and `d`.
fn first_names(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                parts.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

#[test]
fn modules_are_read_from_every_form_of_a_path() {
    let text =
        "use crate::say;\nuse crate::{files, net::{a, b}, state};\n// crate::web\nfn f() { crate::event::x() }\n#[cfg(test)]\nmod tests {\n use crate::cli; }";
    assert_eq!(named(text).into_iter().collect::<Vec<_>>(), ["event", "files", "net", "say", "state"]);
}

/// All Rust files below a folder that are no tests.
fn sources(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Files that are tests as a whole: the ones whose module is declared below `#[cfg(test)]`.
fn of_tests(files: &[std::path::PathBuf]) -> BTreeSet<std::path::PathBuf> {
    let mut tests = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let folder = if matches!(name, "mod" | "lib" | "main") { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        for after in text.split("#[cfg(test)]\nmod ").skip(1) {
            if let Some(module) = after.lines().next().unwrap().strip_suffix(';') {
                tests.insert(folder.join(format!("{module}.rs")));
            }
        }
    }
    tests
}

#[test]
fn no_module_of_the_top_level_is_in_a_circle() {
    let root = repository("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let tests = of_tests(&files);
    let mut knows: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for file in files.iter().filter(|file| !tests.contains(*file)) {
        let inner = file.strip_prefix(&root).unwrap();
        let module = inner.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        for other in named(&std::fs::read_to_string(file).unwrap()) {
            let is_module = root.join(format!("{other}.rs")).exists() || root.join(&other).is_dir();
            if is_module && other != module {
                knows.entry(module.clone()).or_default().insert(other, inner.display().to_string());
            }
        }
    }
    assert!(knows.len() > 15 && knows["app"].contains_key("checklist"), "the reader of sources reads nothing: {knows:?}");
    // Whoever knows nobody that is left, or is known to nobody, is in no circle.
    let mut left: BTreeSet<&str> = knows.keys().map(String::as_str).collect();
    let is_free = |left: &BTreeSet<&str>, module: &str| {
        !knows[module].keys().any(|other| left.contains(other.as_str())) || !left.iter().any(|other| knows[*other].contains_key(module))
    };
    while let Some(free) = left.iter().copied().find(|module| is_free(&left, module)) {
        left.remove(free);
    }
    let circle: Vec<String> = left
        .iter()
        .flat_map(|module| {
            knows[*module].iter().filter(|(other, _)| left.contains(other.as_str())).map(move |(other, file)| format!("{module} -> {other} ({file})"))
        })
        .collect();
    assert!(circle.is_empty(), "these modules know each other in a circle:\n{}", circle.join("\n"));
}
