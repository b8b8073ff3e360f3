//! The layers of the source: of two modules at most one knows the other, whichever way round; and inside a module no
//! more than a handful of files know each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::common::repository;

/// What a file says, its tests and comments and the reach of what it offers left out.
fn code(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let mut of_tests = false;
    let is_code = |line: &&str| {
        let after = std::mem::replace(&mut of_tests, line.trim() == "#[cfg(test)]");
        let is_none = line.trim_start().starts_with("//") || (after && line.contains("use "));
        !is_none
    };
    code.lines().filter(is_code).map(|line| line.replace("pub(in crate::", "pub(in ")).collect()
}

/// Every path that begins with `start`, in each form of a path: `crate::a::{b, c::D}` as `crate a b` and `crate a c D`.
fn paths<'a>(code: &'a str, start: &str) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&format!("{start}::")) {
        if !code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':') {
            follow(&code[at..], &[], &mut found);
        }
    }
    found
}

/// Follows a path to its ends.
fn follow<'a>(rest: &'a str, before: &[&'a str], found: &mut Vec<Vec<&'a str>>) {
    let rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        return parts(group).into_iter().for_each(|part| follow(part, before, found));
    }
    let (name, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len()));
    let path = [before, &[name]].concat();
    match rest.strip_prefix("::") {
        Some(rest) => follow(rest, &path, found),
        None => found.push(path),
    }
}

/// `a::{b, c}, d }` up to its end as `a::{b, c}` and `d`.
fn parts(group: &str) -> Vec<&str> {
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
fn every_form_of_a_path_is_read() {
    let text = "use crate::say;\nuse crate::{files, net::{a, b as c}, state};\n// crate::web\npub(in crate::report) fn f() { crate::event::x() }\n\
                #[cfg(test)]\nuse crate::runbooks;\n#[cfg(test)]\nmod tests {\n use crate::cli; }";
    let read: Vec<String> = paths(&code(text), "crate").into_iter().map(|path| path[1..].join(".")).collect();
    assert_eq!(read, ["say", "files", "net.a", "net.b", "state", "event.x"]);
}

/// All Rust files below a folder that are no tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Files that are tests as a whole: the ones whose module is declared below `#[cfg(test)]`, and what is in their folders.
fn of_tests(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut tests = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let folder = if matches!(name, "mod" | "lib" | "main") { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        for after in text.split("#[cfg(test)]\nmod ").skip(1) {
            if let Some(module) = after.lines().next().unwrap().strip_suffix(';') {
                let folder = folder.join(module);
                tests.extend(files.iter().filter(|file| file.starts_with(&folder)).cloned());
                tests.insert(folder.with_extension("rs"));
            }
        }
    }
    tests
}

/// A file of the source by its module: `collectors::dns` in `src/collectors/dns/mod.rs`.
struct Source {
    module: Vec<String>,
    file: String,
    code: String,
}

impl Source {
    fn new(file: &Path, text: &str) -> Self {
        let mut module: Vec<String> = file.with_extension("").iter().map(|name| name.to_str().unwrap().to_owned()).collect();
        module.pop_if(|last| last == "mod" || last == "lib");
        Self { module, file: file.display().to_string(), code: code(text) }
    }
}

/// All files of the library that are no tests.
fn all() -> Vec<Source> {
    let root = repository("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let tests = of_tests(&files);
    let source = |file: &PathBuf| Source::new(file.strip_prefix(&root).unwrap(), &std::fs::read_to_string(file).unwrap());
    files.iter().filter(|file| !tests.contains(*file) && !file.ends_with("main.rs")).map(source).collect()
}

/// Which files a file names. A path leads to the last file on its way: what a file passes on counts as its own.
fn named<'a>(source: &Source, all: &'a [Source]) -> BTreeSet<&'a str> {
    let children = all.iter().filter(|other| other.module.len() == source.module.len() + 1 && other.module.starts_with(&source.module));
    let starts = children.filter_map(|child| child.module.last()).map(String::as_str).chain(["crate", "super", "self"]);
    let paths = starts.flat_map(|start| paths(&source.code, start));
    let files = paths.filter_map(|path| {
        let mut module = if path[0] == "crate" { Vec::new() } else { source.module.clone() };
        for name in path.iter().filter(|name| !matches!(**name, "crate" | "self")) {
            if *name == "super" { drop(module.pop()) } else { module.push((*name).to_owned()) }
        }
        let on_the_way = all.iter().filter(|other| module.starts_with(&other.module));
        on_the_way.max_by_key(|other| other.module.len()).map(|other| other.file.as_str())
    });
    files.filter(|file| *file != source.file).collect()
}

/// Whom each one knows.
type Knows<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Whom one knows directly or through others.
fn reached<'a>(knows: &Knows<'a>, from: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = knows[from].iter().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(&knows[file]);
        }
    }
    reached
}

/// The circles among those who know each other, each with what its members know of it.
fn circles<'a>(knows: &Knows<'a>) -> Vec<Knows<'a>> {
    let reach: Knows<'a> = knows.keys().map(|file| (*file, reached(knows, file))).collect();
    let circle = |file: &&'a str| -> BTreeSet<&'a str> { reach[*file].iter().copied().filter(|other| reach[other].contains(file)).collect() };
    let circles: BTreeSet<BTreeSet<&str>> = knows.keys().map(circle).filter(|circle| !circle.is_empty()).collect();
    circles.iter().map(|circle| circle.iter().map(|file| (*file, knows[file].intersection(circle).copied().collect())).collect()).collect()
}

/// A circle in words.
fn told(circle: &Knows<'_>) -> String {
    let line = |(file, known): (&&str, &BTreeSet<&str>)| format!("  {file} -> {}\n", known.iter().copied().collect::<Vec<_>>().join(", "));
    format!("{} files:\n{}", circle.len(), circle.iter().map(line).collect::<String>())
}

/// Who knows whom, where `name` says for a file as what it counts.
fn knowing<'a>(all: &'a [Source], name: impl Fn(&'a str) -> &'a str) -> Knows<'a> {
    let mut knows: Knows<'a> = BTreeMap::new();
    for source in all {
        let own = name(&source.file);
        knows.entry(own).or_default().extend(named(source, all).into_iter().map(&name).filter(|other| *other != own));
    }
    knows
}

#[test]
fn circles_are_found_along_the_files_on_the_way_of_a_path() {
    let files = [
        ("a/mod.rs", "mod b;\nmod c;\npub use c::Deep;\nfn f() { b::g() }"),
        ("a/b.rs", "use super::{c::Deep as Other, d};\nuse std::fmt;"),
        ("a/c/mod.rs", "use self::low::Leaf;\nuse crate::e;"),
        ("a/c/low.rs", "pub(in crate::a) struct Leaf;"),
        ("a/d.rs", "fn f() -> super::Deep {}"),
        ("e.rs", "/// Not [`crate::a`].\nstruct E;"),
    ];
    let all = files.map(|(file, text)| Source::new(Path::new(file), text));
    let circles: Vec<String> = circles(&knowing(&all, |file| file)).iter().map(told).collect();
    assert_eq!(circles, ["3 files:\n  a/b.rs -> a/d.rs\n  a/d.rs -> a/mod.rs\n  a/mod.rs -> a/b.rs\n"]);
}

#[test]
fn no_module_of_the_top_level_is_in_a_circle() {
    let all = all();
    let knows = knowing(&all, |file| file.trim_end_matches(".rs").split('/').next().unwrap());
    assert!(knows.len() > 15 && knows["app"].contains("checklist"), "the reader of sources reads nothing: {knows:?}");
    let circles: String = circles(&knows).iter().map(told).collect();
    assert!(circles.is_empty(), "these modules know each other in a circle:\n{circles}");
}

/// The module that a file belongs to; each collector is one.
fn module(file: &str) -> Vec<&str> {
    let depth = if file.starts_with("collectors/") { 2 } else { 1 };
    file.trim_end_matches(".rs").split('/').take(depth).collect()
}

/// Two or three files can be one idea; whoever must read more at once to understand one of them is lost.
const LARGEST_CIRCLE: usize = 5;

#[test]
fn circles_of_files_are_small_and_within_a_module() {
    let all = all();
    let knows = knowing(&all, |file| file);
    assert!(knows.len() > 150 && knows["driver.rs"].contains("snapshot/mod.rs"), "the reader of sources reads nothing: {knows:?}");
    let modules = |circle: &Knows<'_>| circle.keys().map(|file| module(file)).collect::<BTreeSet<_>>().len();
    let is_wrong = |circle: &&Knows<'_>| circle.len() > LARGEST_CIRCLE || modules(circle) > 1;
    let wrong: String = circles(&knows).iter().filter(is_wrong).map(told).collect();
    assert!(wrong.is_empty(), "these files know each other in a circle of more than {LARGEST_CIRCLE}, or across modules:\n{wrong}");
}

/// The rooms of the Kubernetes collector, each after those that it may know.
const ROOMS: [&str; 5] = ["reading", "client", "watching", "kinds", "polled"];

#[test]
fn rooms_know_only_those_before_them() {
    let all = all();
    let room = |file: &str| ROOMS.iter().position(|room| file.starts_with(&format!("collectors/kubernetes/{room}/")));
    let known = |source: &'_ Source| named(source, &all).into_iter().filter_map(room).collect::<BTreeSet<_>>();
    let in_rooms: Vec<_> = all.iter().filter_map(|source| Some((source, room(&source.file)?))).collect();
    assert!(in_rooms.iter().any(|(source, own)| known(source).iter().any(|other| other < own)), "the reader of sources reads nothing");
    for (source, own) in in_rooms {
        let later: Vec<_> = known(source).into_iter().filter(|other| *other > own).map(|other| ROOMS[other]).collect();
        assert!(later.is_empty(), "{} knows {later:?}", source.file);
    }
}
