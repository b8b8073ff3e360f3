//! What stands on top of every board: the word, how fresh it is, what can be seen, and what is coming. Whoever stands
//! before it must see at once that nothing is known, so every number here exists even where nothing is scraped.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::exporter::{STALE_AFTER, WATCHDOG};
use super::panel::{fixed, named, panel, stat, steps, words};
use super::query::{formatted, now};
use crate::checklist::{CheckState, Checklist, Decision};
use crate::collectors;
use crate::meaning::{self, Meaning};
use crate::metric::States as _;
use crate::promql::{Compute as _, Metric, Query, call, metric, text, time};
use crate::report;

/// What stands for a number where there is none.
const NONE: i32 = -1;

/// How a decision is counted, worst first; what comes first wins where two exporters differ.
const DECISIONS: [(Decision, i32); 3] = [(Decision::NoGo, 2), (Decision::Undecided, 3), (Decision::Go, 1)];

/// How high the header is.
pub(super) const HEIGHT: u64 = 6;

/// A metric of one checklist, or of all.
pub(super) fn of(checklist: Option<&Checklist>, name: &str) -> Metric {
    checklist.into_iter().fold(metric(name), |all, checklist| all.with("checklist", &checklist.name))
}

/// A query, and a number where it has no result, with a label that says why.
pub(super) fn or_else(query: Query, number: i32, label: &str, why: &str) -> Query {
    let instead = call("label_replace", [call("vector", [f64::from(number).into()]), text(label), text(why), text(""), text("")]);
    query.grouped().and("or on ()", instead)
}

/// The panels with their places: x, y, width, height.
pub(super) fn panels(checklist: Option<&Checklist>, about: &[&str]) -> Vec<([u64; 4], Value)> {
    vec![
        ([0, 0, 7, 6], decision(checklist)),
        ([7, 0, 5, 6], counts(checklist, about)),
        ([12, 0, 5, 6], event(checklist)),
        ([17, 0, 3, 6], seen("Clusters seen", "Clusters whose last look succeeded, of those that are configured.", clusters())),
        ([20, 0, 4, 3], judged(checklist)),
        ([20, 3, 4, 3], alerts()),
    ]
}

/// The word. One that is older than a judgement may be is none.
fn decision(checklist: Option<&Checklist>) -> Value {
    let labels = ["checklist", "event"];
    let word = |(decision, number): (Decision, i32)| {
        of(checklist, "readiness_decision_state").with("state", decision.as_str()).ones().max(&labels).and("*", f64::from(number)).grouped()
    };
    let [first, second, third] = DECISIONS.map(word);
    let query = first.and("or", second).and("or", third).grouped().and("and on (checklist)", fresh(checklist));
    let query = call("label_replace", [query, text("event"), text("no event is configured"), text("event"), text("none")]);
    let query = or_else(query, NONE, "event", "nothing is judged, or nothing is scraped");
    let legend = if checklist.is_some() { "{{event}}" } else { "{{checklist}} {{event}}" };
    let mut panel = stat(
        "Decision",
        "What the checklist comes to. No data is not go, and neither is a judgement that is out of date.",
        vec![formatted(query, "time_series", legend)],
        true,
    );
    let told = DECISIONS.map(|(decision, number)| (number, report::word(decision)));
    panel["fieldConfig"]["defaults"]["mappings"] = words(&[&told[..], &[(NONE, "NO DATA")]].concat());
    panel
}

/// How old each judgement is, of those that are not out of date.
pub(super) fn fresh(checklist: Option<&Checklist>) -> Query {
    time().and("-", of(checklist, "readiness_judged_timestamp_seconds").min(&["checklist"])).grouped().and("<", STALE_AFTER).grouped()
}

/// How many checks stand in each verdict, the worst first.
pub(super) fn counts(checklist: Option<&Checklist>, about: &[&str]) -> Value {
    let order = [CheckState::Fail, CheckState::Unknown, CheckState::Warn, CheckState::Waived, CheckState::NotApplicable, CheckState::Pass];
    let target = |state: CheckState| {
        let all = of(checklist, "readiness_check_state").with("state", state.as_str()).max(&["checklist", "check"]);
        formatted(call("sum", [within(all, checklist, about)]), "time_series", &meaning::words(state.as_str()))
    };
    let mut panel = panel("bargauge", "Checks by verdict", "How many checks are bad, not known, waived, not asked, or good.", order.map(target).into());
    panel["options"] = json!({ "displayMode": "basic", "orientation": "horizontal", "valueMode": "color", "showUnfilled": true, "reduceOptions": { "calcs": ["lastNotNull"] } });
    panel["fieldConfig"]["defaults"]["min"] = json!(0);
    let own = |state: CheckState| {
        let means = Meaning::of(state.as_str());
        // None of it is neither good nor bad.
        named(&meaning::words(state.as_str()), vec![json!({ "id": "thresholds", "value": steps(&[(0.0, Meaning::NotAsked), (1.0, means)]) })])
    };
    panel["fieldConfig"]["overrides"] = order.map(own).into();
    panel
}

/// Checks, of which only those that judge the facts of some collectors; of all if none are named.
pub(super) fn within(checks: Query, checklist: Option<&Checklist>, about: &[&str]) -> Query {
    if about.is_empty() {
        return checks;
    }
    let info = of(checklist, "readiness_check_info").like("collector", &about.join("|"));
    checks.and("and on (checklist, check)", info)
}

/// The events that run and those that come, each with its day.
fn event(checklist: Option<&Checklist>) -> Value {
    let moment = |which: &str| of(checklist, &format!("readiness_event_{which}_timestamp_seconds")).min(&["event"]);
    let told = |query: Query, what: &str| call("label_replace", [query.grouped().and("*", 1000), text("what"), text(what), text(""), text("")]);
    let coming = told(moment("start").and(">", time()), "starts");
    let running = told(moment("end").and("and", moment("start").and("<=", time()).grouped()), "runs and ends");
    let none = call("vector", [f64::from(NONE).into()]).and("unless on ()", moment("start")).and("and on ()", fresh(checklist)).grouped();
    let mut panel = stat(
        "Events",
        "When the next one starts, when one that runs ends, and on which day.",
        vec![
            formatted(coming.and("or", running).and("or", none), "time_series", "{{event}} {{what}}"),
            formatted(moment("start").and("*", 1000), "time_series", "{{event}} is on"),
        ],
        false,
    );
    panel["options"]["colorMode"] = json!("none");
    let defaults = &mut panel["fieldConfig"]["defaults"];
    defaults["unit"] = json!("dateTimeFromNow");
    defaults["mappings"] = words(&[(NONE, "none configured")]);
    let day = json!({ "id": "unit", "value": "time:ddd D MMM HH:mm" });
    panel["fieldConfig"]["overrides"] = json!([{ "matcher": { "id": "byFrameRefID", "options": "B" }, "properties": [day] }]);
    panel
}

/// Whether each configured cluster is seen, among those that are chosen. The source of a cluster is called as it is;
/// what else is asked of it has a word behind the name.
pub(super) fn clusters() -> Query {
    metric("readiness_collector_up").with("collector", collectors::kubernetes::NAME).like("source", "[^ ]+").like("source", "$cluster").max(&["source"])
}

/// The clusters that are seen, with 1, or not, with 0, by their names.
pub(super) fn clusters_with(value: u32) -> Query {
    call("label_replace", [clusters().and("==", value).grouped(), text("cluster"), text("$1"), text("source"), text("(.*)")])
}

/// The clusters that are seen, with 1, or not, with 0, as rows that say so.
pub(super) fn cluster_states(value: u32, word: &str) -> Query {
    call("label_replace", [clusters_with(value), text("state"), text(word), text(""), text("")]).max(&["cluster", "state"])
}

/// How many of some sources are seen, as a share with both numbers beside it.
pub(super) fn seen(title: &str, about: &str, up: Query) -> Value {
    let told = |label: &str, of: Query| call("count_values", [text(label), of]);
    let share = call("sum", [up.clone()]).and("/", call("count", [up.clone()])).grouped();
    let query = share
        .and("* on () group_left (seen)", told("seen", call("sum", [up.clone()])))
        .and("* on () group_left (configured)", told("configured", call("count", [up])));
    let query = call("label_join", [query, text("what"), text(" of "), text("seen"), text("configured")]);
    let query = or_else(query, NONE, "what", "nothing is scraped");
    let mut panel = stat(title, about, vec![formatted(query, "time_series", "{{what}}")], true);
    let defaults = &mut panel["fieldConfig"]["defaults"];
    defaults["unit"] = json!("percentunit");
    let mut told = words(&[(NONE, "no data"), (0, "none seen"), (1, "all seen")]);
    let some = json!({ "text": "not all seen", "color": Meaning::Bad.colour(), "index": 3 });
    told.as_array_mut().into_iter().for_each(|all| all.push(json!({ "type": "range", "options": { "from": 0, "to": 1, "result": some } })));
    defaults["mappings"] = told;
    defaults["thresholds"] = steps(&[(0.0, Meaning::Bad), (1.0, Meaning::Good)]);
    panel
}

/// How old the last judgement is. A board that is frozen is noticed by nothing else.
fn judged(checklist: Option<&Checklist>) -> Value {
    let age = time().and("-", call("min", [of(checklist, "readiness_judged_timestamp_seconds").into()]));
    let age = call("clamp_min", [call("round", [age]), 0.into()]);
    let mut panel = stat("Last judged", "How long ago; after three minutes it is out of date.", vec![formatted(age, "time_series", "ago")], false);
    panel["options"]["textMode"] = json!("value");
    let defaults = &mut panel["fieldConfig"]["defaults"];
    defaults["unit"] = json!("s");
    defaults["decimals"] = json!(0);
    defaults["thresholds"] = steps(&[(0.0, Meaning::Good), (f64::from(STALE_AFTER) / 2.0, Meaning::Warning), (f64::from(STALE_AFTER), Meaning::Bad)]);
    panel
}

/// Alerts that fire. Without the one that always does nobody evaluates the rules, and none firing would mean nothing.
fn alerts() -> Value {
    let firing = || metric("ALERTS").with("alertstate", "firing");
    let ours = call("count", [firing().like("severity", "critical|warning|info").into()]);
    let rules = call("max", [firing().with("alertname", WATCHDOG).into()]).and("*", 0);
    let query = or_else(ours.and("or", rules), NONE, "why", "no rules");
    let mut panel = stat("Alerts that fire", "Of all rules in Prometheus. No rules: those of this program are not loaded.", vec![now(query)], false);
    panel["options"]["textMode"] = json!("value");
    let defaults = &mut panel["fieldConfig"]["defaults"];
    defaults["mappings"] = words(&[(NONE, "no rules")]);
    defaults["thresholds"] = steps(&[(0.0, Meaning::Good), (1.0, Meaning::Bad)]);
    panel
}

/// Over time, each verdict and each decision in the colour of what it means, and any other word in that of what is unknown.
pub(super) fn meant(panel: &mut Value) {
    let states = CheckState::WORDS.iter().chain(Decision::WORDS);
    let known: BTreeSet<&str> = states.copied().collect();
    let own = |state: &str| named(state, vec![fixed(Meaning::of(state).colour()), json!({ "id": "displayName", "value": meaning::words(state) })]);
    panel["fieldConfig"]["overrides"] = known.into_iter().map(own).collect();
    panel["fieldConfig"]["defaults"]["color"] = fixed(Meaning::Unknown.colour())["value"].clone();
}
