//! Where a person finds what is wrong: in the file, or in a variable of the environment.

use serde_json::Value;

use super::origins::Origins;
use super::variables::{Variables, name_of};
use crate::value::Problem;
use crate::word::Word;

/// Says where a problem is found in the settings, of which some may have been cut out by now.
pub(super) fn locate(problem: &mut Problem, origins: &Origins, now: &Value, variables: &Variables) {
    problem.path = origins.path(&problem.path);
    if problem.is_of_a_variable() {
        return;
    }
    if variables.hold(&problem.path) {
        *problem = problem.clone().in_variable(name_of(&problem.path));
        return;
    }
    let named = with_names(&problem.path, origins.whole(now));
    if named != problem.path {
        problem.with_items(named);
    }
}

/// `targets[37].url` as `targets[37] (oregon-health).url`.
fn with_names(path: &str, settings: &Value) -> String {
    let (mut shown, mut rest, mut here) = (String::new(), path, Some(settings));
    while !rest.is_empty() {
        let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '.' | '[')).map_or(rest.len(), |(at, _)| at);
        let (part, after) = rest.split_at(end);
        shown.push_str(part);
        let index = part.strip_prefix('[').and_then(|part| part.strip_suffix(']')?.parse::<usize>().ok());
        here = match index {
            Some(index) => here.and_then(|list| list.get(index)),
            None => here.and_then(|map| map.get(part.trim_start_matches('.'))),
        };
        let name = here.filter(|_| index.is_some() && !shown.contains("headers[")).and_then(|item| Word::label(item.get("name")?.as_str()?));
        shown.extend(name.map(|name| format!(" ({name})")));
        rest = after;
    }
    shown
}
