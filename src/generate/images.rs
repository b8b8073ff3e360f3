//! The images board: one table with the places of an image across, from upstream over its mirrors
//! into the clusters, and below it what the registries say.

use serde_json::{Value, json};

use super::dashboard::{self, Layout};
use super::query::{listed, named, over_time};
use super::table::states;
use crate::promql::{Compute as _, Metric, Query, call, metric, text};

/// Digests with how deeply each agrees with the place before it; upstream has none before it.
fn cells(labels: &[&str]) -> Query {
    let place = ["group", "hop", "subject"];
    let digests = |metric: Metric| metric.max(&[&place, labels].concat());
    let agreeing = metric("readiness_image_match_state").max(&[&place[..], &["state"]].concat()).ones().grouped();
    let first = digests(metric("readiness_image_digest_info").like("hop", "upstream|pin"))
        .and("unless on (group, hop, subject)", metric("readiness_image_match_state"));
    let first = call("label_replace", [first, text("state"), text("source"), text(""), text("")]);
    digests(metric("readiness_image_digest_info")).and("* on (group, hop, subject) group_left (state)", agreeing).and("or", first)
}

/// The same with labels put together in one.
fn joined(query: Query, name: &str, of: [&str; 2]) -> Query {
    call("label_join", [query, text(name), text(" "), text(of[0]), text(of[1])])
}

/// Colours of the states, as patterns of a cell.
const COLOURS: [(&str, &str); 4] = [(".* none$", "red"), (".* unknown$", "orange"), (".* (index|platform|config)$", "green"), (".* source$", "blue")];

/// The board.
pub(super) fn board() -> String {
    let mut layout = Layout::default();
    layout.place(&[(8, dashboard::decisions()), (8, agreement()), (8, dashboard::event(None))], 5);
    layout.place(&[(24, matrix())], 8);
    layout.place(&[(16, places()), (8, behind())], 9);
    layout.place(
        &[
            (8, states("Registries", "Whether each registry answers, and lets this program in.", "readiness_registry_state", &["registry"])),
            (16, states("Images that must exist", "Whether each is there.", "readiness_registry_image_state", &["registry", "repository", "tag"])),
        ],
        8,
    );
    layout.place(
        &[
            (8, states("Images of workspaces", "Whether what running workspaces use still exists.", "readiness_workspace_image_state", &["image"])),
            (8, states("Pull secrets", "Whether each pull secret is there and can be read.", "readiness_pull_secret_state", &["cluster", "namespace", "name"])),
            (
                8,
                states(
                    "What pull secrets can pull",
                    "Whether the registry lets each pull secret have the image.",
                    "readiness_image_pullable_state",
                    &["cluster", "namespace", "name", "image"],
                ),
            ),
        ],
        8,
    );
    layout.finish("Images", "readiness-images", "now-6h")
}

fn patterns() -> Value {
    COLOURS
        .iter()
        .enumerate()
        .map(|(index, (pattern, colour))| json!({ "type": "regex", "options": { "pattern": pattern, "result": { "color": colour, "index": index } } }))
        .collect()
}

/// Whether all clusters agree, by group.
fn agreement() -> Value {
    let query = metric("readiness_image_clusters_state").ones().max(&["group", "state"]);
    json!({ "type": "stat", "title": "All clusters run the same", "description": "Platforms of one index count as one image.",
        "targets": [named(query, "{{group}}: {{state}}")],
        "options": { "textMode": "name", "colorMode": "background", "reduceOptions": { "calcs": ["lastNotNull"] } },
        "fieldConfig": { "defaults": { "noValue": "no image group is configured" }, "overrides": [
            { "matcher": { "id": "byRegexp", "options": ".*: identical" }, "properties": [{ "id": "color", "value": { "mode": "fixed", "fixedColor": "green" } }] },
            { "matcher": { "id": "byRegexp", "options": ".*: different" }, "properties": [{ "id": "color", "value": { "mode": "fixed", "fixedColor": "red" } }] },
            { "matcher": { "id": "byRegexp", "options": ".*: unknown" }, "properties": [{ "id": "color", "value": { "mode": "fixed", "fixedColor": "orange" } }] }] } })
}

/// Groups down, places across, digests as short hashes, red where one parts from the place before.
fn matrix() -> Value {
    let query = joined(joined(cells(&["short"]), "place", ["hop", "subject"]), "cell", ["short", "state"]);
    json!({ "type": "table", "title": "Which image stands where",
        "description": "The first twelve digits of the digest, and how deeply it agrees with the place before it: the same index, platform manifests or configs. Where several run in one place, the table below has all of them.",
        "targets": [listed("A", query)],
        "transformations": [{ "id": "groupingToMatrix", "options": { "columnField": "place", "rowField": "group", "valueField": "cell" } }],
        "fieldConfig": { "defaults": { "noValue": "not known", "mappings": patterns(), "custom": { "cellOptions": { "type": "color-background" } } }, "overrides": [] } })
}

fn places() -> Value {
    let query = joined(cells(&["image", "short"]), "cell", ["short", "state"]);
    json!({ "type": "table", "title": "Every place",
        "description": "Each digest at each place, with the words by which it was asked for.",
        "targets": [listed("A", query)],
        "transformations": [{ "id": "organize", "options": { "excludeByName": { "Time": true, "Value": true, "short": true, "state": true },
            "renameByName": { "group": "Group", "hop": "Hop", "subject": "Where", "image": "Asked for as", "cell": "Digest and agreement" } } }],
        "fieldConfig": { "defaults": { "noValue": "no image group is configured" }, "overrides": [
            { "matcher": { "id": "byName", "options": "Digest and agreement" }, "properties": [{ "id": "mappings", "value": patterns() }, { "id": "custom.cellOptions", "value": { "type": "color-background" } }] }] } })
}

fn behind() -> Value {
    json!({ "type": "timeseries", "title": "How much older than the place before",
        "description": "From the times at which the images were made; nothing where they agree.",
        "targets": [over_time(metric("readiness_image_behind_seconds").max(&["group", "hop", "subject"]), "{{group}} {{hop}} {{subject}}")],
        "fieldConfig": { "defaults": { "unit": "s", "noValue": "nothing is behind" }, "overrides": [] } })
}
