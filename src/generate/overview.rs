//! The board for the wall: the word, what stands in its way, and how it came to be. It fits one screen.

use serde_json::{Value, json};

use super::dashboard::Layout;
use super::header::{meant, of};
use super::listing::Lists;
use super::panel::{Axis, graph, panel};
use super::query::over_time;
use crate::checklist::Checklist;
use crate::promql::{Compute as _, Query};

/// Rows of the two lists.
const LISTS: u64 = 14;

/// The board.
pub(super) fn board(checklist: &Checklist, runbooks: &str) -> String {
    let name = &checklist.name;
    let mut layout = Layout::with_header(Some(checklist), &[]);
    let lists = Lists { checklists: std::slice::from_ref(checklist), about: &[], required: true, of: "", runbooks };
    layout.place(&lists.both(LISTS), LISTS);
    let decided = of(Some(checklist), "readiness_decision_state").max(&["checklist", "state"]).ones().sum(&["state"]);
    let not_good = of(Some(checklist), "readiness_check_state").like("state", "fail|unknown|warn|waived").max(&["check", "state"]).sum(&["state"]);
    layout.place(&[(12, history("The decision", decided)), (12, verdicts(not_good))], 8);
    layout.finish(&format!("Go or no-go: {}", checklist.title), &format!("readiness-overview-{name}"), "now-6h")
}

fn verdicts(query: Query) -> Value {
    let mut graph =
        graph("Checks that are not good", "How many checks stand in each verdict, over time.", vec![over_time(query, "{{state}}")], Axis::of("none"));
    meant(&mut graph);
    // Last values are at the top; here they would stay when nothing more is known.
    graph["options"]["legend"] = json!({ "showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": [] });
    graph
}

fn history(title: &str, query: Query) -> Value {
    let mut panel = panel("state-timeline", title, "When it was which; a gap is a time of which nothing is known.", vec![over_time(query, "{{state}}")]);
    panel["options"] = json!({ "showValue": "never", "mergeValues": true, "legend": { "showLegend": false } });
    meant(&mut panel);
    panel
}
