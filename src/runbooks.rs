//! The runbooks that are inside the program, one for each check and each alert that it ships.

use include_dir::{Dir, include_dir};

static RUNBOOKS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/docs/runbooks");

/// The runbook of a check or alert, as Markdown; a check of somebody's own has none.
pub fn runbook(name: &str) -> Option<&'static str> {
    RUNBOOKS.get_file(format!("{name}.md")).and_then(|file| file.contents_utf8())
}

/// Names of all runbooks.
pub fn runbooks() -> impl Iterator<Item = &'static str> {
    RUNBOOKS.files().filter_map(|file| file.path().file_stem()?.to_str())
}
