//! The images board: one table with the places of an image across, from upstream over its mirrors
//! into the clusters, and below it what the registries say.

use serde_json::{Value, json};

use super::dashboard::{Layout, WIDTH};
use super::header::or_else;
use super::listing::{IMAGES, Lists};
use super::panel::{Axis, columns, graph, sorted, stat, words};
use super::query::{listed, named, over_time};
use super::table::{arranged, mappings, states, unseen, wide};
use crate::checklist::Checklist;
use crate::promql::{Compute as _, Metric, Query, call, metric, text};

/// How deeply two places agree, in words.
const WORDS: [(&str, &str); 4] = [("index", "same index"), ("platform", "same platforms"), ("config", "same configs"), ("none", "differs")];

/// Places in the order in which an image goes through them.
const HOPS: [(&str, &str); 4] = [("upstream", "1"), ("pin", "2"), ("mirror", "3"), ("cluster", "4")];

fn label(query: Query, name: &str, value: &str, of: &str, pattern: &str) -> Query {
    call("label_replace", [query, text(name), text(value), text(of), text(pattern)])
}

/// Digests with how deeply each agrees with the place before it; upstream has none before it, and of a place that cannot
/// be seen only that is known.
fn cells(labels: &[&str]) -> Query {
    let place = ["group", "hop", "subject"];
    let digests = |metric: Metric| metric.max(&[&place, labels].concat());
    let known = || metric("readiness_image_digest_info");
    let agreeing = || metric("readiness_image_match_state").max(&[&place[..], &["state"]].concat()).ones().grouped();
    let first = digests(known().like("hop", "upstream|pin")).and("unless on (group, hop, subject)", metric("readiness_image_match_state"));
    let first = label(first, "state", "source", "", "");
    let unseen = agreeing().and("unless on (group, hop, subject)", known()).grouped();
    let all = digests(known()).and("* on (group, hop, subject) group_left (state)", agreeing()).and("or", first).and("or", unseen);
    let worded = WORDS.into_iter().fold(all, |query, (state, words)| label(query, "state", words, "state", state));
    HOPS.into_iter().fold(worded, |query, (hop, order)| label(query, "order", order, "hop", hop))
}

/// The same with labels put together in one.
fn joined(query: Query, name: &str, of: [&str; 2]) -> Query {
    call("label_join", [query, text(name), text(" "), text(of[0]), text(of[1])])
}

/// Where a place is, in words; there is one upstream of each image.
fn placed(query: Query) -> Query {
    label(joined(query, "place", ["hop", "subject"]), "place", "upstream", "hop", "upstream")
}

/// The board.
pub(super) fn board(checklists: &[Checklist], runbooks: &str) -> String {
    let mut layout = Layout::with_header(None, IMAGES);
    layout.place(&[(4, agreement()), (20, matrix())], 8);
    let lists = Lists { checklists, about: IMAGES, required: false, of: " with images", runbooks };
    layout.place(&lists.both(8), 8);
    layout.place(&[(16, places()), (8, behind())], 10);
    let (image, tag) = (("repository", "Repository"), ("tag", "Tag"));
    layout.place(
        &[
            (8, states("Registries", "Whether each registry answers, and lets this program in.", "readiness_registry_state", &[("registry", "Registry")])),
            (16, states("Images that must exist", "Whether each is there.", "readiness_registry_image_state", &[("registry", "Registry"), image, tag])),
        ],
        8,
    );
    let secret = [("name", "Secret"), ("namespace", "Namespace"), ("cluster", "Cluster")];
    let pulled = [("image", "Image"), secret[0], secret[1], secret[2]];
    layout.place(
        &[
            (12, states("Images of workspaces", "Whether what running workspaces use still exists.", "readiness_workspace_image_state", &[("image", "Image")])),
            (12, states("Pull secrets", "Whether each pull secret is there and can be read.", "readiness_pull_secret_state", &secret)),
        ],
        7,
    );
    let pull = states("What pull secrets can pull", "Whether the registry lets each pull secret have the image.", "readiness_image_pullable_state", &pulled);
    layout.place(&[(WIDTH, pull)], 7);
    layout.finish("Images", "readiness-images", "now-6h")
}

/// Whether all clusters agree, by group.
fn agreement() -> Value {
    let told = [("different", 2), ("unknown", 3), ("identical", 1)];
    let count = |(state, number): (&str, u32)| metric("readiness_image_clusters_state").with("state", state).ones().max(&["group"]).and("*", number);
    let [first, second, third] = told.map(count);
    let query = or_else(first.and("or", second).and("or", third), -1, "group", "no group is seen");
    let mut panel = stat("All clusters run the same", "Platforms of one index count as one image.", vec![named(query, "{{group}}")], true);
    panel["fieldConfig"]["defaults"]["mappings"] = words(&[(1, "identical"), (2, "different"), (3, "unknown"), (-1, "no data")]);
    panel
}

/// Groups down, places across, digests as short hashes, red where one parts from the place before.
fn matrix() -> Value {
    // Seven digits fit beside the words, as people shorten commits.
    let short = label(placed(cells(&["short"])), "short", "$1", "short", "(.{7}).*");
    let query = joined(short, "cell", ["short", "state"]);
    let mut table = arranged(
        "Which image stands where",
        "The first digits of the digest, and how deeply it agrees with the place before it: the same index, platform manifests or configs. Where several run in one place, the table below has all of them.",
        vec![listed(query)],
        vec![
            sorted("place", false),
            sorted("order", false),
            json!({ "id": "groupingToMatrix", "options": { "columnField": "place", "rowField": "group", "valueField": "cell" } }),
        ],
    );
    let defaults = &mut table["fieldConfig"]["defaults"];
    defaults["mappings"] = mappings();
    defaults["custom"] = json!({ "cellOptions": { "type": "color-background", "mode": "basic" } });
    let group = json!({ "id": "custom.cellOptions", "value": { "type": "auto" } });
    table["fieldConfig"]["overrides"] = json!([super::panel::named("group\\place", vec![group, json!({ "id": "displayName", "value": "Group" })])]);
    table
}

fn places() -> Value {
    let known = joined(placed(cells(&["image", "short"])), "cell", ["short", "state"]);
    let unseen = label(unseen("readiness_image_match_state", "place"), "cell", "$1", "state", "(.*)");
    let renamed = [("group", "Group"), ("place", "Where"), ("cell", "Digest and agreement"), ("image", "Asked for as")];
    let columns = columns(&["Time", "Value", "short", "state", "hop", "subject", "order"], &renamed);
    let mut table = arranged(
        "Every place",
        "Each digest at each place, with the words by which it was asked for; and what cannot be seen.",
        vec![listed(known.and("or", unseen))],
        vec![sorted("order", false), sorted("group", false), columns],
    );
    table["fieldConfig"]["overrides"] = json!([wide("Digest and agreement")]);
    table
}

fn behind() -> Value {
    let query = metric("readiness_image_behind_seconds").max(&["group", "hop", "subject"]);
    graph(
        "How much older than the place before",
        "From the times at which the images were made; no line where they agree, and none where nobody could look.",
        vec![over_time(query, "{{group}} {{hop}} {{subject}}")],
        Axis::of("s"),
    )
}
