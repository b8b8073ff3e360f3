//! The board of a checklist: the paper, section by section in its own words, and behind each section the graphs of its
//! facts with the bounds of its checks.

use serde_json::{Value, json};

use super::dashboard::Layout;
use super::events::{Events, Stage};
use super::header::of;
use super::listing::{Lists, sentences};
use super::panel::{Axis, bounded, columns, graph, named, sorted, width};
use super::query::{listed, over_time};
use super::table::{arranged, verdicts};
use crate::checklist::{Check, Checklist, Condition, Guard, Kind, Red};
use crate::meaning::Meaning;
use crate::metric::Unit;
use crate::promql::{Compute as _, Query, call, text};

/// Rows of the table of what is not good, on the first screen.
const FIRST: u64 = 10;
/// Sections side by side.
const ACROSS: usize = 3;

/// The dashboard of a checklist.
pub(super) fn board(checklist: &Checklist, runbooks: &str) -> String {
    let mut layout = Layout::with_header(Some(checklist), &[]);
    let lists = Lists { checklists: std::slice::from_ref(checklist), about: &[], required: false, of: "", runbooks };
    layout.place(&lists.both(FIRST), FIRST);
    let sections = sections(checklist);
    let tables = sections.iter().map(|(title, checks)| (height(checks.len()), table(checklist, title, checks)));
    layout.columns(tables, ACROSS);
    for (part, checks) in parts(&sections) {
        let graphs: Vec<(u64, Value)> = checks.iter().filter_map(|check| graph_of(checklist, check)).map(|panel| (12, panel)).collect();
        if !graphs.is_empty() {
            layout.fold(&format!("Graphs: {part}"), &graphs.chunks(2).map(<[_]>::to_vec).collect::<Vec<_>>(), 8);
        }
    }
    layout.finish(&format!("Readiness: {}", checklist.title), &format!("readiness-{}", checklist.name), "now-3h")
}

/// Rows of the grid, of 38 pixels, for a title, a head and as many small rows.
fn height(rows: usize) -> u64 {
    u64::try_from(rows * 36 + 90).unwrap_or(u64::MAX).div_ceil(38)
}

/// The parts of the paper in the order of their numbers.
fn sections(checklist: &Checklist) -> Vec<(&str, Vec<&Check>)> {
    let number = |title: &str| title.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX);
    let mut parts: Vec<_> = checklist.sections.iter().filter(|section| !section.checks.is_empty()).collect();
    // What has no number comes last; among equals the order of the file counts.
    parts.sort_by_key(|section| number(&section.title));
    parts.into_iter().map(|section| (section.title.as_str(), section.checks.iter().collect())).collect()
}

/// Sections together that only differ behind a colon.
fn parts<'a>(sections: &[(&'a str, Vec<&'a Check>)]) -> Vec<(&'a str, Vec<&'a Check>)> {
    let mut parts: Vec<(&str, Vec<&Check>)> = Vec::new();
    for (title, checks) in sections {
        let part = title.split(": ").next().unwrap_or(title);
        match parts.last_mut() {
            Some((last, all)) if *last == part => all.extend(checks),
            _ => parts.push((part, checks.clone())),
        }
    }
    parts
}

/// The line of the paper as a text that sorts as people count: W1.2 before W1.10.
fn ordered(query: Query) -> Query {
    let key = |query: Query, value: &str, pattern: &str| call("label_replace", [query, text("line"), text(value), text("item"), text(pattern)]);
    key(key(query, "$1", "(.*)"), "$1.0$2$3", "([^.]*)\\.([0-9])([^0-9].*)?")
}

fn table(checklist: &Checklist, title: &str, checks: &[&Check]) -> Value {
    let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    let states = of(Some(checklist), "readiness_check_state").like("check", &names.join("|")).ones().max(&["check", "state"]);
    let items = Query::Call("topk by (check) ".to_owned(), vec![1.into(), of(Some(checklist), "readiness_check_info").max(&["check", "item"])]);
    let query = ordered(states.and("* on (check) group_left (item)", items));
    let columns = columns(&["Time", "Value", "item", "line"], &[("check", "Check"), ("state", "Verdict")]);
    let about = "Verdicts in the order of the paper checklist; the status page has the evidence of each.";
    let mut table = arranged(title, about, vec![listed(query)], vec![sorted("line", false), columns]);
    table["fieldConfig"]["overrides"] =
        json!([named("Check", vec![json!({ "id": "mappings", "value": sentences(checks.iter().copied()) }), width(480)]), verdicts("Verdict", 130)]);
    table
}

/// The fact behind a check with a constant bound, and the bound as a line.
fn graph_of(checklist: &Checklist, check: &Check) -> Option<Value> {
    let Kind::Fact { family, condition, .. } = &check.kind else { return None };
    let bounds = bounds(check)?;
    let events = Events { checklist: &checklist.name, when: Guard::default(), stage: Stage::Due };
    let Red::Fact { fact, .. } = condition.promql(family, &check.filter, None, &events.last_end()) else { return None };
    let legend: Vec<String> = family.labels.iter().map(|label| format!("{{{{{label}}}}}")).collect();
    let farthest = farthest(check);
    let fact =
        if matches!(condition, Condition::ExpiresWithin(_) | Condition::OlderThan(_)) { call("clamp_max", [fact, (farthest * 2.0).into()]) } else { fact };
    let about = if unit(check)? == "s" { " What is more than twice the bound is drawn there." } else { "" };
    let mut graph = graph(
        &format!("{} {}", check.item, check.title()),
        &format!("{} When it is red: {}{about}", check.name, check.remedy),
        vec![over_time(fact, &legend.join(" / "))],
        Axis::of(unit(check)?),
    );
    bounded(&mut graph, bounds, farthest * 1.2);
    Some(graph)
}

/// The bound of a check that lies farthest from zero.
pub(super) fn farthest(check: &Check) -> f64 {
    let Kind::Fact { condition, worsens, .. } = &check.kind else { return 0.0 };
    worsens.iter().map(|band| band.at.base()).chain(condition.bound()).fold(0.0, f64::max)
}

fn rises(condition: &Condition) -> bool {
    matches!(condition, Condition::Above(_) | Condition::OlderThan(_))
}

/// The bounds of a check as Grafana's thresholds, for checks that have a constant one. Where all is well nothing is
/// drawn: a green ground would say so of what nobody sees, too.
pub(super) fn bounds(check: &Check) -> Option<Value> {
    let Kind::Fact { condition, worsens, .. } = &check.kind else { return None };
    let bound = condition.bound()?;
    let harsher = worsens.iter().map(|band| (band.at.base(), Meaning::Bad.colour()));
    let mild = if check.required && worsens.is_empty() { Meaning::Bad } else { Meaning::Warning };
    // Grafana draws what is at a bound as beyond it. Of what is counted the bound stands before the first that is bad.
    let bound = if rises(condition) && unit(check) == Some("none") { bound + 0.5 } else { bound };
    let mut steps: Vec<(f64, &str)> = [(bound, mild.colour())].into_iter().chain(harsher).collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (clear, mut list) = ("transparent", Vec::new());
    if rises(condition) {
        list.push(json!({ "value": null, "color": clear }));
        list.extend(steps.iter().map(|(at, colour)| json!({ "value": at, "color": colour })));
    } else {
        list.push(json!({ "value": null, "color": steps.first().map_or(clear, |(_, colour)| colour) }));
        let after = steps.iter().skip(1).map(|(_, colour)| *colour).chain([clear]);
        list.extend(steps.iter().zip(after).map(|((at, _), colour)| json!({ "value": at, "color": colour })));
    }
    Some(json!({ "mode": "absolute", "steps": list }))
}

/// The unit of what a check compares.
pub(super) fn unit(check: &Check) -> Option<&'static str> {
    let Kind::Fact { family, condition, .. } = &check.kind else { return None };
    Some(match family.unit {
        Unit::Ratio | Unit::Share => "percentunit",
        Unit::Seconds => "s",
        Unit::Timestamp if matches!(condition, Condition::ExpiresWithin(_) | Condition::OlderThan(_)) => "s",
        Unit::Bytes => "bytes",
        Unit::Number | Unit::Flag | Unit::Mark | Unit::Timestamp => "none",
    })
}
