//! The table of what is not good: each check in the words of the paper, where it is worst, since when, and links to its
//! runbook and to the board that explains it. What does not fit is counted, since a wall cannot be scrolled.

use serde_json::{Value, json};

use super::header::{self, of, within};
use super::panel::{blank, columns, moment, named, sorted, width};
use super::query::listed;
use super::table::{arranged, coloured, merge, verdicts};
use crate::checklist::{Check, Checklist, Kind};
use crate::collectors;
use crate::promql::{Compute as _, Query, call, metric, text};

/// What a table is about.
struct Listing<'a> {
    /// Whose checks; the first one's board explains what no other board does.
    checklists: &'a [Checklist],
    /// Only checks on facts of these collectors; all if there is none.
    about: &'a [&'a str],
    /// States of checks, as a pattern.
    states: &'a str,
    /// Only what blocks.
    required: bool,
    /// Rows that fit.
    rows: u32,
    /// What is said when there is nothing to list.
    well: &'a str,
    /// Where runbooks are.
    runbooks: &'a str,
}

/// The two lists of a board: what is wrong, and what is not known. Apart, since one cluster that is silent makes dozens
/// of checks unknown, and would hide each that failed.
pub(super) struct Lists<'a> {
    /// Whose checks.
    pub(super) checklists: &'a [Checklist],
    /// Only checks on facts of these collectors; all if there is none.
    pub(super) about: &'a [&'a str],
    /// Only what blocks.
    pub(super) required: bool,
    /// What they are about, behind their titles.
    pub(super) of: &'a str,
    /// Where runbooks are.
    pub(super) runbooks: &'a str,
}

impl Lists<'_> {
    /// Both with their widths, of a height.
    pub(super) fn both(&self, height: u64) -> [(u64, Value); 2] {
        let Lists { checklists, about, required, of, runbooks } = *self;
        let list = |states, well| Listing { checklists, about, states, required, rows: rows(height), well, runbooks };
        let (blocks, states) = if required { (" and blocks", "fail") } else { ("", "fail|warn") };
        let wrong =
            list(states, "nothing is wrong").table(&format!("What is wrong{of}{blocks}"), "Checks that failed, the latest first, in the words of the paper.");
        let unseen =
            list("unknown", "everything is known").table(&format!("What is not known{of}{blocks}"), "Unknown is never go: find out why it cannot be seen.");
        [(12, wrong), (12, unseen)]
    }
}

/// Boards by whose facts they show.
const BOARDS: [(&str, &[&str]); 4] = [
    ("readiness-clusters", CLUSTERS),
    ("readiness-images", IMAGES),
    ("readiness-credentials", CREDENTIALS),
    ("readiness-exporter", &[collectors::memory::NAME]),
];

/// The runbook of what has none of its own, and that of a board on which nothing is known.
const NO_GO: &str = "ReadinessNoGo";
const ABSENT: &str = "ReadinessExporterAbsent";

/// The collectors of the board of clusters.
pub(super) const CLUSTERS: &[&str] = &[collectors::kubernetes::NAME];
/// The collectors of the board of images.
pub(super) const IMAGES: &[&str] = &[collectors::registry::NAME];
/// The collectors of the board of credentials.
pub(super) const CREDENTIALS: &[&str] =
    &[collectors::credentials::NAME, collectors::rotations::NAME, collectors::lapses::NAME, collectors::secrets_manager::NAME];

fn label(query: Query, name: &str, value: &str, of: &str, pattern: &str) -> Query {
    call("label_replace", [query, text(name), text(value), text(of), text(pattern)])
}

fn is(query: Query, name: &str, value: &str) -> Query {
    label(query, name, value, "", "")
}

impl Listing<'_> {
    fn only(&self) -> Option<&Checklist> {
        if let [only] = self.checklists { Some(only) } else { None }
    }

    /// Checks in one of the states, with their state, as moments since when they are in it; 0 where that is not known.
    fn bad(&self) -> Query {
        let own = ["checklist", "check", "state"];
        let mut bad = within(of(self.only(), "readiness_check_state").like("state", self.states).ones().max(&own), self.only(), self.about);
        if self.required {
            bad = bad.and("and on (checklist, check)", of(self.only(), "readiness_check_required").ones().grouped());
        }
        let since = of(self.only(), "readiness_check_since_timestamp_seconds").min(&["checklist", "check"]);
        let timed = bad.clone().grouped().and("* on (checklist, check) group_left ()", since).grouped();
        timed.and("or", bad.grouped().and("*", 0))
    }

    /// Those of them that fit, the latest first.
    fn shown(&self) -> Query {
        call("topk", [self.rows.into(), self.bad()])
    }

    /// The same with the board that explains each, and its runbook; what people confirm has none of its own.
    fn linked(&self) -> Query {
        let info = of(self.only(), "readiness_check_info").max(&["checklist", "check", "collector"]);
        let one = Query::Call("topk by (checklist, check) ".to_owned(), vec![1.into(), info]);
        let mut query = self.shown().grouped().and("* on (checklist, check) group_left (collector)", one);
        query = label(query, "board", "readiness-$1", "checklist", "(.*)");
        for (board, about) in BOARDS {
            query = label(query, "board", board, "collector", &about.join("|"));
        }
        query = label(query, "runbook", "$1", "check", "(.*)");
        let checks = self.checklists.iter().flat_map(Checklist::checks);
        let attested: Vec<&str> = checks.filter(|check| matches!(check.kind, Kind::Attestation)).map(|check| check.name.as_str()).collect();
        if !attested.is_empty() {
            query = label(query, "runbook", NO_GO, "check", &attested.join("|"));
        }
        query.max(&["check", "state", "board", "runbook"]).and("*", 1000)
    }

    /// How many more there are, that nothing is to be listed, or that nobody knows: always a row.
    fn rest(&self) -> Query {
        let more = call("count", [self.bad()]).and("-", self.rows).grouped().and(">", 0);
        let counted =
            is(is(label(call("count_values", [text("check"), more]), "check", "and $1 more", "check", "(.*)"), "board", &self.own_board()), "state", "more");
        let counted = is(counted, "runbook", NO_GO);
        let well = call("count", [header::fresh(self.only())]).and("unless on ()", self.bad().grouped());
        let well = is(is(well, "check", self.well), "state", "pass");
        let dead = call("vector", [1.into()]).and("unless on ()", header::fresh(self.only()));
        let dead = is(is(dead, "check", "nothing is judged, or nothing is scraped"), "state", "no data");
        let dead = is(is(dead, "runbook", ABSENT), "board", "readiness-exporter");
        let well = is(is(well, "runbook", NO_GO), "board", &self.own_board());
        let zero = |query: Query| query.grouped().and("*", 0).grouped();
        zero(counted).and("or", zero(well)).and("or", zero(dead))
    }

    fn own_board(&self) -> String {
        self.checklists.first().map_or_else(String::new, |checklist| format!("readiness-{}", checklist.name))
    }

    /// The table.
    fn table(&self, title: &str, about: &str) -> Value {
        let among = |query: Query| query.and("and on (check)", self.shown().grouped());
        let place = of(self.only(), "readiness_check_place_info").max(&["check", "place"]);
        let place = Query::Call("topk by (check) ".to_owned(), vec![1.into(), place]);
        let lines = of(self.only(), "readiness_check_lines").like("verdict", "fail|warn|unknown").max(&["checklist", "check", "verdict"]).sum(&["check"]);
        let targets = vec![listed(self.linked().and("or", self.rest())), listed(among(place)), listed(among(lines))];
        let renamed = [
            ("state", "State"),
            ("check", "Check"),
            ("place", "Where it is worst"),
            ("Value #C", "Subjects"),
            ("Value #A", "Since"),
            ("runbook", "Runbook"),
            ("board", "Board"),
        ];
        let mut table = arranged(title, about, targets, vec![merge(), columns(&["Time", "Value #B"], &renamed), sorted("Since", true)]);
        let sentences = sentences(self.checklists.iter().flat_map(Checklist::checks));
        table["fieldConfig"]["overrides"] = json!([
            verdicts("State", 90),
            named("Check", vec![json!({ "id": "mappings", "value": sentences }), links(self.runbooks)]),
            named("Where it is worst", vec![width(190), blank()]),
            named("Subjects", vec![width(80), json!({ "id": "decimals", "value": 0 }), blank()]),
            named("Since", [moment(), vec![width(130)]].concat()),
            named("Runbook", hidden()),
            named("Board", hidden()),
        ]);
        table
    }
}

/// Where a check leads: to its runbook, and to the board that explains it.
fn links(runbooks: &str) -> Value {
    let board = "/d/${__data.fields.Board}?${datasource:queryparam}&${cluster:queryparam}&${event:queryparam}";
    json!({ "id": "links", "value": [
        { "title": "Open the runbook", "url": format!("{runbooks}/${{__data.fields.Runbook}}.md"), "targetBlank": true },
        { "title": "Open the board that explains it", "url": board, "targetBlank": false }] })
}

/// A column that only links read, in the words of older and of newer versions.
fn hidden() -> Vec<Value> {
    vec![json!({ "id": "custom.hidden", "value": true }), json!({ "id": "custom.hideFrom", "value": { "viz": true, "legend": true, "tooltip": true } })]
}

/// What each check asks, with its line, in the words of the paper.
pub(super) fn sentences<'a>(checks: impl Iterator<Item = &'a Check>) -> Value {
    let mut words = serde_json::Map::new();
    for check in checks {
        // Of two papers the first has the word.
        words.entry(check.name.clone()).or_insert_with(|| json!({ "text": format!("{} {}", check.item, check.title()) }));
    }
    json!([{ "type": "value", "options": words }])
}

/// Sources that are not seen, each with how long ago it was.
pub(super) fn sources(title: &str) -> Value {
    let down = metric("readiness_collector_up").max(&["collector", "source"]).and("==", 0).grouped();
    let last = metric("readiness_collector_last_success_timestamp_seconds").max(&["collector", "source"]);
    let timed = down.clone().and("+ on (collector, source)", last).grouped().and("*", 1000);
    let rows = is(timed.and("or", down.clone()).grouped(), "state", "not seen");
    let up = metric("readiness_collector_up");
    let well = is(is(call("count", [up.clone().and("unless on ()", down)]).and("*", 0), "source", "every source is seen"), "state", "seen");
    let dead = is(is(call("absent", [up.into()]).and("*", 0), "source", "nothing is scraped"), "state", "no data");
    let columns = columns(&["Time"], &[("state", "State"), ("collector", "Collector"), ("source", "Source"), ("Value", "Last seen")]);
    let targets = vec![listed(rows.and("or", well).and("or", dead))];
    let mut table = arranged(title, "Checks on these are unknown until they are seen.", targets, vec![merge(), columns]);
    table["fieldConfig"]["overrides"] = json!([coloured("State"), named("Last seen", moment()), named("Collector", vec![width(140)])]);
    table
}

/// Rows that a table of a height has room for, below its title and its head and above the one that says how many more.
fn rows(height: u64) -> u32 {
    // A row of the grid is 38 pixels with its gap, one of a small table 36.
    u32::try_from((height * 38).saturating_sub(8 + 40 + 36) / 36).map_or(1, |rows| Ord::max(rows.saturating_sub(1), 1))
}
