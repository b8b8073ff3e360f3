//! Graphs that are drawn by hand, from lists: what they ask, what they are called, and whose bounds they show.

use serde_json::{Value, json};

use super::header;
use super::panel::{Axis, bounded, graph};
use super::paper::{bounds, farthest, unit};
use super::query::over_time;
use crate::checklist::{Check, Checklist};
use crate::promql::{Compute as _, Query, metric};

/// A graph: title, what it means, query, legend, unit, the check whose bounds it shows, and its width.
pub(super) struct Graph {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) query: fn() -> Query,
    pub(super) legend: &'static str,
    pub(super) unit: &'static str,
    pub(super) check: Option<&'static str>,
    pub(super) width: u64,
}

/// What is left for those who come, which more than one board shows.
pub(super) const HEADROOM: Graph = Graph {
    title: "Headroom",
    about: "What is left once all expected workspaces run.",
    query: || metric("readiness_capacity_headroom_ratio").min(&["cluster", "event"]),
    legend: "{{cluster}} {{event}}",
    unit: "percentunit",
    check: Some("CapacityHeadroomLow"),
    width: 8,
};

/// Rows of graphs with their widths, with the bounds that the checklists have.
pub(super) fn rows(graphs: &[&[Graph]], checklists: &[Checklist]) -> Vec<Vec<(u64, Value)>> {
    graphs.iter().map(|row| row.iter().map(|graph| (graph.width, graph.panel(checklists))).collect()).collect()
}

impl Graph {
    fn panel(&self, checklists: &[Checklist]) -> Value {
        let check: Option<&Check> = self.check.and_then(|name| checklists.iter().flat_map(Checklist::checks).find(|check| check.name == name));
        let title = check.map_or_else(|| self.title.to_owned(), |check| format!("{} ({})", self.title, check.item));
        let about = check.map_or_else(|| self.about.to_owned(), |check| format!("{} {} is red beyond the bound: {}", self.about, check.name, check.remedy));
        let axis = Axis::of(check.and_then(unit).unwrap_or(self.unit));
        let mut panel = graph(&title, &about, vec![over_time((self.query)(), self.legend)], axis);
        if let Some((check, bounds)) = check.and_then(|check| Some((check, bounds(check)?))) {
            bounded(&mut panel, bounds, farthest(check) * 1.2);
        }
        if self.width < 8 {
            panel["options"]["legend"] = json!({ "showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": [] });
        }
        panel
    }
}

/// A query of what happens in clusters, with nothing of it as 0 where a cluster is seen: no line means that nobody looked.
pub(super) fn or_zero(query: Query) -> Query {
    query.and("or on (cluster)", header::clusters_with(1).max(&["cluster"]).and("*", 0).grouped())
}
