//! The dashboards against the types that Grafana publishes for them, by TypeScript's compiler: no key
//! that it does not know, no value that it would not read, for boards and for the options of panels.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::boards::panels;
use crate::common::{repository, run};

/// Statements that compile if Grafana knows everything in a board.
fn statements(name: &str, board: &Value) -> String {
    let mut out = format!("({board}) satisfies Board; // {name}\n");
    for panel in panels(board) {
        let kind = panel["type"].as_str().unwrap().replace('-', "");
        let title = &panel["title"];
        if !panel["options"].is_null() {
            writeln!(out, "({}) satisfies Part<{kind}.Options>; // {name}: {title}", panel["options"]).unwrap();
        }
        let custom = &panel["fieldConfig"]["defaults"]["custom"];
        if !custom.is_null() {
            writeln!(out, "({custom}) satisfies Part<{kind}.FieldConfig>; // {name}: {title}").unwrap();
        }
    }
    out
}

/// What the compiler says of boards; nothing if all is right.
fn compile(boards: &[(String, Value)]) -> String {
    let peers = repository("target/peers/grafana");
    let folder = tempfile::Builder::new().prefix("boards").tempdir_in(&peers).unwrap();
    let types = std::fs::read_to_string(repository("tests/grafana.ts")).unwrap().replace("./node_modules", "../node_modules");
    let statements: String = boards.iter().map(|(name, board)| statements(name, board)).collect();
    let file = folder.path().join("boards.ts");
    std::fs::write(&file, format!("{types}{statements}")).unwrap();
    let mut tsc = Command::new(peers.join("node_modules/.bin/tsc"));
    tsc.args(["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", "--pretty", "false"]);
    let (code, said, errors) = run(tsc.arg(file));
    assert_eq!(code == 0, said.is_empty(), "{code}: {said}{errors}");
    said
}

fn boards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(repository("dashboards")).unwrap().map(|entry| entry.unwrap().path());
    let read = |file: std::path::PathBuf| serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    files.map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), read(file))).collect()
}

#[test]
fn grafana_knows_everything_that_is_in_a_board() {
    let boards = boards();
    assert_eq!(boards.len(), 9);
    let said = compile(&boards);
    assert!(said.is_empty(), "{said}");
}

#[test]
fn what_grafana_does_not_know_is_seen() {
    let (name, board) = boards().into_iter().find(|(name, _)| name == "workshop-overview.json").unwrap();
    let wrong: [(&str, Value, &str); 6] = [
        ("/links/0/tagz", json!(["readiness"]), "'\"tagz\"' does not exist"),
        ("/panels/0/gridPos/w", json!("wide"), "'string' is not assignable to type 'number'"),
        ("/panels/0/options/textMode", json!("nmae"), "'\"nmae\"' is not assignable"),
        ("/panels/0/options/reduceOptions/calc", json!([]), "'\"calc\"' does not exist"),
        ("/templating/list/0/type", json!("data"), "'\"data\"' is not assignable"),
        ("/panels/0/fieldConfig/defaults/no_value", json!("none"), "'\"no_value\"' does not exist"),
    ];
    for (at, value, expected) in wrong {
        let mut board = board.clone();
        let (parent, key) = at.rsplit_once('/').unwrap();
        board.pointer_mut(parent).unwrap()[key] = value;
        let said = compile(&[(name.clone(), board)]);
        assert!(said.contains(expected), "{at}: {said}");
    }
}
