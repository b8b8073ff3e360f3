//! PromQL of every condition and guard, word for word.

use std::collections::BTreeMap;

use super::events::{Events, Stage};
use super::rules::expression;
use super::*;
use crate::checklist::{Condition, Guard};
use crate::collectors;
use crate::meaning::Meaning;
use crate::value::ExternalUrl;

fn promql(metric: &str, filter: &str, condition: &str, harsher: Option<f64>, when: &str) -> String {
    let filter: BTreeMap<String, String> = serde_saphyr::from_str(filter).unwrap();
    let condition: Condition = serde_saphyr::from_str(condition).unwrap();
    let when: Guard = serde_saphyr::from_str(when).unwrap();
    expression(collectors::family(metric).unwrap(), &filter, &condition, harsher, &Events { checklist: "workshop", when, stage: Stage::Due })
}

#[test]
fn every_condition_has_its_expression() {
    let ratio = "readiness_http_success_ratio";
    let moment = "readiness_attestation_expiry_timestamp_seconds";
    for (metric, filter, condition, harsher, expected) in [
        (ratio, "{}", "is_false", None, "min by (target, kind) (readiness_http_success_ratio == 0)"),
        (ratio, "{ kind: wildcard }", "above: 0.6", Some(0.85), "max by (target, kind) (readiness_http_success_ratio{kind=\"wildcard\"}) > 0.6 <= 0.85"),
        (ratio, "{}", "below: 1", Some(0.9), "min by (target, kind) (readiness_http_success_ratio) < 1 >= 0.9"),
        (ratio, "{}", "equals: 0.5", None, "max by (target, kind) (readiness_http_success_ratio == 0.5)"),
        (ratio, "{}", "differs: 1", None, "max by (target, kind) (readiness_http_success_ratio < 1 or readiness_http_success_ratio > 1)"),
        (
            moment,
            "{}",
            "expires_within: 7d",
            Some(86_400.0),
            "min by (attestation, for_event) (readiness_attestation_expiry_timestamp_seconds) - time() < 604800 >= 86400",
        ),
        (
            moment,
            "{}",
            "expires_within: { after_event_end: 1d }",
            None,
            "min by (attestation, for_event) (readiness_attestation_expiry_timestamp_seconds) - scalar(max(readiness_event_end_timestamp_seconds{checklist=\"workshop\"}) or vector(time())) < 86400",
        ),
        (
            "readiness_workload_ready_replicas",
            "{}",
            "differs: readiness_workload_desired_replicas",
            None,
            "max by (cluster, selector, kind, namespace, name) (readiness_workload_ready_replicas < readiness_workload_desired_replicas or readiness_workload_ready_replicas > readiness_workload_desired_replicas)",
        ),
        (
            ratio,
            r#"{ kind: "a\"\\\n\x07é\u0301\uFFFD" }"#,
            "is_false",
            None,
            "min by (target, kind) (readiness_http_success_ratio{kind=\"a\\\"\\\\\\n\u{7}é\u{301}\\ufffd\"} == 0)",
        ),
        (moment, "{}", "older_than: 2d", None, "time() - min by (attestation, for_event) (readiness_attestation_expiry_timestamp_seconds) > 172800"),
        (
            "readiness_tls_verification_state",
            "{ target: a }",
            "equals: [expired, wrong_name]",
            None,
            "max by (target, address, state) (readiness_tls_verification_state{target=\"a\",state=~\"expired|wrong_name\"}) == 1",
        ),
        (
            "readiness_workload_ready_replicas",
            "{ selector: w }",
            "below: readiness_workload_desired_replicas",
            None,
            "min by (cluster, selector, kind, namespace, name) (readiness_workload_ready_replicas{selector=\"w\"} < readiness_workload_desired_replicas{selector=\"w\"})",
        ),
        (ratio, "{}", "promql: rate(x[5m]) > 1", None, "rate(x[5m]) > 1"),
    ] {
        assert_eq!(promql(metric, filter, condition, harsher, "{}"), expected);
    }
}

const STARTS: &str = "max by (event) (readiness_event_start_timestamp_seconds{checklist=\"workshop\"})";
const PARTICIPANTS: &str = "max by (event) (readiness_event_participants{checklist=\"workshop\"})";

#[test]
fn guards_hold_for_one_event_together() {
    let body = "(min by (target, kind) (readiness_http_success_ratio == 0))";
    let guarded = |when: &str| promql("readiness_http_success_ratio", "{}", "is_false", None, when);
    let all = format!("({STARTS} - time() <= 86400) and on (event) ({STARTS} <= time()) and on (event) ({PARTICIPANTS} > 15)");
    assert_eq!(guarded("{ participants_above: 15, lead_time_within: 1d, event_active: true }"), format!("{body} and on () ({all})"));
    // Without an event it is judged as if one were now.
    let none = "(vector(1) unless on () readiness_event_start_timestamp_seconds{checklist=\"workshop\"})";
    assert_eq!(guarded("{ event_active: true }"), format!("{body} and on () ((({STARTS} <= time())) or {none})"));
}

#[test]
fn what_must_last_until_an_event_ends_is_compared_with_those_that_count() {
    let expr = promql("readiness_attestation_expiry_timestamp_seconds", "{}", "expires_within: { after_event_end: 1d }", None, "{ participants_above: 15 }");
    let counted = format!("(max by (event) (readiness_event_end_timestamp_seconds{{checklist=\"workshop\"}}) and on (event) (({PARTICIPANTS} > 15)))");
    let body = format!("min by (attestation, for_event) (readiness_attestation_expiry_timestamp_seconds) - scalar(max({counted})) < 86400");
    assert_eq!(expr, format!("({body}) and on () (({PARTICIPANTS} > 15))"));
}

#[test]
fn a_fact_about_an_event_counts_while_that_event_comes() {
    let expr = promql("readiness_rotation_conflict_state", "{}", "equals: conflict", None, "{}");
    assert_eq!(
        expr,
        format!("(max by (rotation, subject, event, state) (readiness_rotation_conflict_state{{state=~\"conflict\"}}) == 1) and on (event) (({STARTS}))")
    );
}

#[test]
fn a_checklist_of_ones_own_becomes_rules_as_well() {
    let text = "checklist: mine\ntitle: Mine\nsections: [{ title: S, checks: [{ name: TooManyErrors, item: '1', title: t, fails: { promql: 'rate(errors_total[5m]) > 1' }, severity: critical, for: 1m, evidence: Errors., remedy: Look. }] }]\n";
    let checklist = checklist::parse(text).unwrap();
    let files = files(&[checklist], &Published::new(Some("https://runbooks.example/"), None));
    let rules = &files.iter().find(|(name, _)| name == "alerts/mine.rules.yaml").unwrap().1;
    for part in [
        "alert: TooManyErrors",
        "expr: rate(errors_total[5m]) > 1",
        "for: 1m",
        "https://runbooks.example/TooManyErrors.md",
        "ReadinessChecklistRevisionDiffers",
    ] {
        assert!(rules.contains(part), "{part} is not in\n{rules}");
    }
}

/// The exporter has the runbooks that are shipped, and its page has each check; one of somebody's own has no runbook there.
#[test]
fn what_is_generated_leads_to_the_exporter_whose_address_is_known() {
    let own = "{ name: OwnErrors, item: '1', title: t, fails: { promql: 'rate(errors_total[5m]) > 1' }, severity: critical, for: 1m, evidence: Errors., remedy: Look. }";
    let text = format!("checklist: mine\ntitle: Mine\nsections: [{{ title: S, checks: [{own}, {{ check: NodeNotReady, item: '2', title: t }}] }}]\n");
    let checklist = checklist::parse(&text).unwrap();
    let home = ExternalUrl::read("https://example.com/readiness").unwrap();
    let made = |runbooks: Option<&str>, name: &str| {
        let made = files(std::slice::from_ref(&checklist), &Published::new(runbooks, Some(&home)));
        made.into_iter().find(|(own, _)| own == name).unwrap().1
    };
    let rules: serde_json::Value = serde_saphyr::from_str(&made(None, "alerts/mine.rules.yaml")).unwrap();
    let annotations = |alert: &str| {
        let mut all = rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        all.find(|rule| rule["alert"] == alert).unwrap()["annotations"].clone()
    };
    assert_eq!(annotations("NodeNotReady")["runbook_url"], "https://example.com/readiness/runbooks/NodeNotReady.md");
    assert_eq!(annotations("NodeNotReady")["page_url"], "https://example.com/readiness/#NodeNotReady");
    assert_eq!(
        (&annotations("OwnErrors")["runbook_url"], annotations("OwnErrors")["page_url"].as_str()),
        (&serde_json::Value::Null, Some("https://example.com/readiness/#OwnErrors"))
    );
    assert_eq!(annotations("ReadinessChecklistRevisionDiffers")["page_url"], "https://example.com/readiness/");
    assert!(made(None, "docs/checks.md").contains("| 1 | OwnErrors | t |"));
    assert!(made(None, "dashboards/clusters.json").contains("https://example.com/readiness/runbooks/${__data.fields.Runbook}.md"));
    // Where runbooks are published by themselves, those lead there and the page stays.
    let rules = made(Some("https://runbooks.example/"), "alerts/mine.rules.yaml");
    for part in ["https://runbooks.example/OwnErrors.md", "https://example.com/readiness/#OwnErrors"] {
        assert!(rules.contains(part), "{part} is not in {rules}");
    }
}

/// A check leads to its runbook where there is one, and its bounds are written as people write them.
#[test]
fn the_table_of_ones_own_checks_leads_nowhere_that_is_not_there() {
    let own = "{ name: OwnEnd, item: '1', title: t, metric: readiness_tls_chain_not_after_timestamp_seconds, fails: { expires_within: 7d }, worsens: [{ at: 3d, severity: critical }], evidence: e, remedy: r }";
    let text = format!("checklist: mine\ntitle: Mine\nsections: [{{ title: S, checks: [{own}, {{ check: NodeNotReady, item: '2', title: t }}] }}]\n");
    let checklist = checklist::parse(&text).unwrap();
    let table =
        |url: &str| files(std::slice::from_ref(&checklist), &Published::new(Some(url), None)).into_iter().find(|(name, _)| name == "docs/checks.md").unwrap().1;
    let published = table(RUNBOOK_URL);
    assert!(published.contains("| 1 | OwnEnd | t |") && published.contains(&format!("[NodeNotReady]({RUNBOOK_URL}/NodeNotReady.md)")), "{published}");
    assert!(published.contains("warning, critical at 3d"), "{published}");
    assert!(table("https://runbooks.example/").contains("[OwnEnd](https://runbooks.example/OwnEnd.md)"), "who publishes runbooks has this one, too");
    let shipped = repository(std::slice::from_ref(&checklist), &Published::new(None, None)).into_iter().find(|(name, _)| name == "docs/checks.md").unwrap().1;
    assert!(shipped.contains("[NodeNotReady](runbooks/NodeNotReady.md)"), "{shipped}");
}

fn is_yes_or_no(help: &str) -> bool {
    help.starts_with("Whether ") || help.starts_with("1 when ")
}

#[test]
fn every_metric_is_well_named_and_explained() {
    let forbidden = ["severity", "alertname", "job", "instance", "service", "endpoint", "region", "zone", "env", "le", "quantile"];
    let mut seen = BTreeSet::new();
    for family in collectors::all()
        .flat_map(collectors::Collector::families)
        .chain(crate::snapshot::FAMILIES.iter().copied())
        .chain(crate::event::FAMILIES.iter().copied())
        .chain(crate::verdict::FAMILIES.iter().copied())
    {
        let name = family.name;
        assert!(seen.insert(name), "{name} is declared twice");
        assert!(name.starts_with("readiness_") && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
        assert!(family.help.ends_with('.') && family.help.len() > 20, "{name}: the help is a sentence");
        assert!(family.labels.iter().all(|label| !forbidden.contains(label)), "{name}: a label that belongs to targets");
        let suffix = match family.unit {
            crate::metric::Unit::Ratio | crate::metric::Unit::Share => "_ratio",
            crate::metric::Unit::Seconds => "_seconds",
            crate::metric::Unit::Timestamp => "_timestamp_seconds",
            crate::metric::Unit::Bytes => "_bytes",
            crate::metric::Unit::Number | crate::metric::Unit::Flag | crate::metric::Unit::Mark => "",
        };
        // What can be asked of a metric follows from this, so a new one may not forget it.
        assert_eq!(family.unit == crate::metric::Unit::Flag, family.states.is_empty() && is_yes_or_no(family.help), "{name}: whether it is 0 or 1");
        assert!(!name.ends_with("_info") || family.unit == crate::metric::Unit::Mark, "{name}: it is always 1");
        assert!(name.ends_with(suffix), "{name} lacks {suffix}");
        assert_eq!(family.states.is_empty(), !name.ends_with("_state"), "{name}: a state set, and nothing else, ends in _state");
    }
}

#[test]
fn every_threshold_of_the_live_board_is_a_checks() {
    let checklist = &shipped().unwrap()[0];
    for name in live::checks() {
        let check = checklist.checks().find(|check| check.name == name).unwrap_or_else(|| panic!("{name}"));
        assert!(paper::bounds(check).is_some(), "{name} has no constant bound");
    }
    let board = live::board(std::slice::from_ref(checklist));
    assert!(board.contains("\"value\": 0.6") && board.contains("\"value\": 0.85"), "the bands of the storage check");
}

/// Every board that is generated, by its file.
fn boards() -> Vec<(String, serde_json::Value)> {
    let files = files(&shipped().unwrap(), &Published::new(None, None)).into_iter().filter(|(name, _)| name.starts_with("dashboards/"));
    let boards: Vec<_> = files.map(|(name, text)| (name, serde_json::from_str(&text).unwrap())).collect();
    assert_eq!(boards.len(), 9);
    boards
}

/// The panels of a board, also those below headings that are closed.
fn panels(board: &serde_json::Value) -> Vec<&serde_json::Value> {
    let of = |panel: &serde_json::Value| panel["type"] == "row";
    let (rows, open): (Vec<_>, Vec<_>) = board["panels"].as_array().unwrap().iter().partition(|panel| of(panel));
    open.into_iter().chain(rows.into_iter().flat_map(|row| row["panels"].as_array().unwrap())).collect()
}

/// What every panel of every board has, so that nobody on the wall must guess.
#[test]
fn every_panel_is_explained() {
    let mut uids = BTreeSet::new();
    for (name, board) in &boards() {
        assert!(uids.insert(board["uid"].as_str().unwrap().to_owned()) && board["uid"].as_str().unwrap().len() <= 40, "{name}");
        let variables: Vec<&str> = board["templating"]["list"].as_array().unwrap().iter().map(|own| own["name"].as_str().unwrap()).collect();
        assert_eq!(variables, ["datasource", "cluster", "event"], "{name}");
        assert_eq!(board["annotations"]["list"].as_array().unwrap().len(), 2);
        let mut ids = BTreeSet::new();
        for panel in panels(board) {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name} {title}: an id twice");
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 10), "{name} {title}: no description");
            assert!(panel["fieldConfig"]["defaults"]["noValue"].is_string(), "{name} {title}: no text for no data");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name} {title}: no unit");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name} {title}");
            let place = &panel["gridPos"];
            assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{name} {title}: too wide");
            for target in panel["targets"].as_array().unwrap() {
                let expr = target["expr"].as_str().unwrap();
                assert!(!expr.contains("node_condition_state{condition"), "{name} {title}: not within the chosen clusters: {expr}");
            }
        }
    }
}

/// How many rows of the grid a screen of 1080 lines shows without Grafana's own bars.
const SCREEN: u64 = 28;

fn bottom(panel: &serde_json::Value) -> u64 {
    panel["gridPos"]["y"].as_u64().unwrap() + panel["gridPos"]["h"].as_u64().unwrap()
}

/// Every board says on its first screen what is decided, how fresh that is, what can be seen, and what is not good.
#[test]
fn the_first_screen_answers() {
    for (name, board) in &boards() {
        let first: Vec<&str> =
            board["panels"].as_array().unwrap().iter().filter(|panel| bottom(panel) <= SCREEN).map(|panel| panel["title"].as_str().unwrap()).collect();
        for wanted in ["Decision", "Checks by verdict", "Events", "Clusters seen", "Last judged", "Alerts that fire"] {
            assert!(first.contains(&wanted), "{name}: {wanted} is not on the first screen: {first:?}");
        }
        let own = match name.trim_start_matches("dashboards/").trim_end_matches(".json") {
            "workshop-overview" | "estate-overview" => ["What is wrong and blocks", "What is not known and blocks"],
            "workshop" => ["What is wrong", "1. Authentication and access"],
            "estate" => ["What is wrong", "1. Endpoints"],
            "clusters" => ["Clusters", "What is wrong in clusters"],
            "images" => ["Which image stands where", "What is wrong with images"],
            "credentials" => ["From now on: events, rotations, and until when credentials last", "Credentials: there, working, for how long"],
            "live" => ["Storage: the ten fullest file systems (W3.2)", "Workspaces"],
            _ => ["Sources that are not seen", "Permissions"],
        };
        let seen = own.iter().all(|wanted| first.iter().any(|title| title.starts_with(wanted)));
        assert!(seen, "{name}: {own:?} is not on the first screen: {first:?}");
        let open: Vec<_> = board["panels"].as_array().unwrap().iter().map(bottom).collect();
        let height = open.iter().max().unwrap();
        assert!(*height <= 90, "{name} is {height} rows high with everything folded");
    }
}

/// `kubectl apply` keeps what it was given in an annotation, which may have 256 KiB with its quotes escaped.
#[test]
fn a_board_fits_into_an_object_of_kubernetes() {
    for (name, board) in &boards() {
        let kept = serde_json::Value::String(board.to_string()).to_string().len();
        assert!(kept < 240_000, "{name} is {kept} bytes long");
    }
}

/// A wall cannot be scrolled: lists say how many more there are, and what is not judged is no reason to be calm.
#[test]
fn lists_have_a_row_for_everything() {
    let mut lists = 0;
    for (name, board) in &boards() {
        for panel in panels(board).into_iter().filter(|panel| panel.to_string().contains("Where it is worst")) {
            lists += 1;
            let (expr, all) = (panel["targets"][0]["expr"].as_str().unwrap(), panel.to_string());
            for part in ["and $1 more", "\"pass\"", "nothing is judged, or nothing is scraped", "topk(", "readiness_check_since_timestamp_seconds"] {
                assert!(expr.contains(part), "{name}: {part} is not in {expr}");
            }
            let of_the_estate = name.starts_with("dashboards/estate");
            let items = [
                if of_the_estate { "11.6 Every credential outlives the event by" } else { "W1.9 Every credential outlives the event by" },
                "runbooks/${__data.fields.Runbook}.md",
                "/d/${__data.fields.Board}?",
                "readiness_check_place_info",
                "readiness_check_lines",
            ];
            for part in items {
                assert!(all.contains(part), "{name}: {part} is not in the list");
            }
        }
    }
    assert_eq!(lists, 14);
}

/// What a reader meets is a word and not the name of a label.
#[test]
fn columns_have_titles() {
    for (name, board) in &boards() {
        for panel in panels(board).into_iter().filter(|panel| panel["type"] == "table") {
            let steps = panel["transformations"].as_array().unwrap();
            let Some(organize) = steps.iter().find(|step| step["id"] == "organize") else {
                assert_eq!(steps.last().unwrap()["id"], "groupingToMatrix", "{name}: {}", panel["title"]);
                continue;
            };
            let renamed = organize["options"]["renameByName"].as_object().unwrap();
            assert!(renamed.values().all(|title| title.as_str().unwrap().starts_with(char::is_uppercase)), "{name} {}: {renamed:?}", panel["title"]);
        }
    }
}

/// The state sets that an expression shows.
fn state_sets(expr: &str) -> impl Iterator<Item = &'static crate::metric::Family> {
    let words = expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter_map(|word| collectors::family(word).ok()).filter(|family| !family.states.is_empty())
}

#[test]
fn every_state_of_a_table_has_a_meaning() {
    let mut seen = 0;
    for (name, board) in &boards() {
        for panel in panels(board).into_iter().filter(|panel| panel["type"] == "table" && panel.to_string().contains("suspended_for_event")) {
            let exprs = panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap());
            // Those of nodes are counted, and those of images are put into words.
            for family in exprs.flat_map(state_sets).filter(|family| !["readiness_node_condition_state", "readiness_image_match_state"].contains(&family.name))
            {
                seen += 1;
                for state in family.states {
                    assert!(Meaning::is_listed(state), "{name}: {state} of {} has no meaning", family.name);
                }
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_form_of_a_condition_is_documented() {
    let document = keys::document();
    for line in [
        "- `is_false`: Red when the value is 0.",
        "- `above:` [Bound](#bound): Red when the value is above the bound.",
        "- `expires_within:` [Horizon](#horizon): Red when the moment is near or past.",
        "- `older_than:` duration: Red when the moment is longer ago than this.",
        "- number: A constant.",
        "- `after_event_end:` duration: From the end of the next event, or from now without one.",
    ] {
        assert!(document.lines().any(|own| own == line), "{line}\n{document}");
    }
    assert!(!document.contains("One of several forms"));
}
