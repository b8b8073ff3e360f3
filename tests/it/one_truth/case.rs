//! Random cases: a check of a checklist, what one or two exporters saw of its subjects from minute
//! to minute, and the events that were prepared for meanwhile.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fastrand::Rng;
use readiness_exporter::checklist;
use readiness_exporter::collectors::{self, Collector};
use readiness_exporter::metric::{Family, Unit};
use serde_json::{Value, json};

/// Minutes that a case lasts: long enough to wait for `for`, to fire, and to be kept firing.
pub(super) const MINUTES: usize = 20;

/// What makes trouble in a label, in YAML, in a regular expression or in PromQL.
const WORDS: [&str; 20] = [
    "",
    "a",
    "b",
    "c",
    " ",
    "a|b",
    ".*",
    "say \"no\"",
    "C:\\new\\table",
    "two\nlines",
    "tab\there",
    "return\rhere",
    "\u{1}\u{1f}\u{7f}",
    "Zürich 東京 😀",
    "e\u{301}\u{200b}\u{2028}",
    "{{ $value }}",
    "'quoted'",
    "`back`",
    "#: - &x !y %z",
    "null",
];

/// One case.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// What it was made from.
    pub(super) seed: u64,
    /// The check, as it stands in a checklist.
    pub(super) check: Check,
    /// What there was to see.
    pub(super) facts: Vec<Fact>,
    /// What is prepared for.
    pub(super) events: Vec<Event>,
    /// Exporters that look, and the minutes in which each cannot be scraped.
    pub(super) replicas: Vec<std::ops::Range<usize>>,
}

/// The parts of a check that decide.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) metric: &'static str,
    pub(super) filter: BTreeMap<String, String>,
    pub(super) fails: Value,
    pub(super) severity: &'static str,
    pub(super) worsens: Vec<Value>,
    /// Minutes of `for`.
    pub(super) hold: usize,
    pub(super) when: BTreeMap<&'static str, Value>,
}

/// One series, or one state set, over time.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) family: &'static Family,
    pub(super) collector: &'static str,
    pub(super) labels: Vec<String>,
    /// Which of two sources shows it.
    pub(super) source: usize,
    /// By replica and minute; nothing where it was not seen. Of a state set the place of the state,
    /// or NaN for none.
    pub(super) values: Vec<Vec<Option<f64>>>,
}

/// One event, in seconds since the beginning.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) start: i64,
    pub(super) seconds: u64,
    pub(super) participants: Option<u32>,
    pub(super) lead_times: Vec<&'static str>,
}

/// The shapes of conditions, with how what they look at is chosen.
#[derive(Clone, Copy)]
enum Shape {
    IsFalse,
    Number(&'static str),
    Metric(&'static str),
    State,
    States,
    Expires,
    ExpiresAfterEvent,
    OlderThan,
}

const SHAPES: [Shape; 13] = [
    Shape::IsFalse,
    Shape::Number("above"),
    Shape::Number("below"),
    Shape::Number("equals"),
    Shape::Number("differs"),
    Shape::Metric("above"),
    Shape::Metric("below"),
    Shape::Metric("differs"),
    Shape::State,
    Shape::States,
    Shape::Expires,
    Shape::ExpiresAfterEvent,
    Shape::OlderThan,
];

impl Case {
    /// The case of a seed: the first that a checklist may have, since bounds that a metric never passes are refused.
    pub(super) fn new(seed: u64) -> Self {
        const TRIES: usize = 50;
        let rng = &mut Rng::with_seed(seed);
        let mut drawn = std::iter::repeat_with(|| Self::drawn(seed, rng)).take(TRIES);
        drawn.find(|case| checklist::parse(&case.checklist("c", "C")).is_ok()).unwrap_or_else(|| panic!("seed {seed}: no case of {TRIES} is accepted"))
    }

    fn drawn(seed: u64, rng: &mut Rng) -> Self {
        let shape = *pick(rng, &SHAPES);
        let events: Vec<Event> = (0..*pick(rng, &[0, 0, 1, 1, 2, 3])).map(|_| Event::random(rng)).collect();
        let (family, other) = subject_of(rng, shape);
        let (fails, bands, anchors) = condition(rng, shape, family, other, &events);
        let severities: &[&str; 3] = pick(rng, &[["info", "warning", "critical"], ["info", "critical", "critical"], ["warning", "critical", "critical"]]);
        let bands = bands.into_iter().take(if severities[1] == severities[2] { 1 } else { 2 });
        let worsens = bands.zip(&severities[1..]).map(|(at, severity)| json!({ "at": at, "severity": severity })).collect();
        let replicas: Vec<_> = (0..rng.usize(1..=2)).map(|_| if rng.u8(..4) == 0 { window(rng) } else { 0..0 }).collect();
        let mut facts: Vec<Fact> = Vec::new();
        for _ in 0..rng.usize(1..=4) {
            let labels: BTreeMap<&str, &str> = family.labels.iter().map(|label| (*label, word(rng, label))).collect();
            for (family, source) in [Some((family, 0)), other.map(|other| (other, rng.usize(..2)))].into_iter().flatten() {
                let labels: Vec<String> = family.labels.iter().map(|label| labels[label].to_owned()).collect();
                if !facts.iter().any(|fact| fact.family.name == family.name && fact.labels == labels) {
                    facts.push(Fact {
                        family,
                        collector: collectors::owner(family.name),
                        labels,
                        source,
                        values: timelines(rng, family, &anchors, replicas.len()),
                    });
                }
            }
        }
        let mut filter = BTreeMap::new();
        if rng.u8(..5) < 2 {
            for _ in 0..rng.usize(1..=2).min(family.labels.len()) {
                let at = rng.usize(..family.labels.len());
                let known = facts[0].labels[at].clone();
                filter.insert(family.labels[at].to_owned(), if rng.u8(..5) == 0 { (*pick(rng, &WORDS)).to_owned() } else { known });
            }
        }
        let check = Check { metric: family.name, filter, fails, severity: severities[0], worsens, hold: *pick(rng, &[0, 1, 2, 3, 5]), when: guard(rng) };
        Self { seed, check, facts, events, replicas }
    }

    /// A checklist of this check alone, as YAML.
    pub(super) fn checklist(&self, checklist: &str, alert: &str) -> String {
        let Check { metric, filter, fails, severity, worsens, hold, when } = &self.check;
        let check = json!({ "name": alert, "item": "1", "title": "t", "metric": metric, "where": filter, "fails": fails, "severity": severity,
            "worsens": worsens, "for": format!("{hold}m"), "when": when, "evidence": "It is wrong.", "remedy": "Mend it." });
        yaml(&json!({ "checklist": checklist, "title": "t", "sections": [{ "title": "s", "checks": [check] }] }))
    }
}

impl Case {
    /// This case without one or the other part of it.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut without = |change: &dyn Fn(&mut Self)| {
            let mut case = self.clone();
            change(&mut case);
            if format!("{case:?}") != format!("{self:?}") {
                smaller.push(case);
            }
        };
        for at in 0..self.events.len() {
            without(&|case| {
                case.events.remove(at);
            });
        }
        if self.replicas.len() > 1 {
            for at in 0..self.replicas.len() {
                without(&|case| {
                    case.replicas.remove(at);
                    case.facts.iter_mut().for_each(|fact| drop(fact.values.remove(at)));
                });
            }
        }
        if self.facts.len() > 1 {
            (0..self.facts.len()).for_each(|at| without(&|case| drop(case.facts.remove(at))));
        }
        without(&|case| case.replicas.fill(0..0));
        without(&|case| case.check.filter.clear());
        without(&|case| drop(case.check.worsens.pop()));
        without(&|case| case.check.hold = 0);
        without(&|case| case.facts.iter_mut().for_each(|fact| fact.source = 0));
        self.check.when.keys().for_each(|key| without(&|case| drop(case.check.when.remove(key))));
        for (at, word) in WORDS.iter().enumerate() {
            let plain = |text: &mut String| {
                if text == word {
                    *text = format!("v{at}");
                }
            };
            without(&|case| {
                case.facts.iter_mut().flat_map(|fact| &mut fact.labels).for_each(plain);
                case.check.filter.values_mut().for_each(plain);
            });
        }
        for length in [10, 5, 2, 1] {
            for start in (0..MINUTES).step_by(length) {
                let blank = |fact: &mut Fact| fact.values.iter_mut().for_each(|seen| seen[start..start + length].fill(None));
                without(&|case| case.facts.iter_mut().for_each(blank));
                if self.facts.len() > 1 {
                    (0..self.facts.len()).for_each(|at| without(&|case| blank(&mut case.facts[at])));
                }
            }
        }
        smaller
    }
}

/// JSON is YAML, but for one character, which YAML wants escaped.
pub(super) fn yaml(value: &Value) -> String {
    value.to_string().replace('\u{7f}', "\\u007f")
}

impl Event {
    fn random(rng: &mut Rng) -> Self {
        // On a minute, and a second beside it, before, within and after the case.
        let minute = rng.i64(-30..40) * 60;
        Self {
            start: minute + rng.i64(-1..=1),
            seconds: rng.u64(1..40) * 60 + rng.u64(0..=1),
            participants: *pick(rng, &[None, Some(0), Some(10), Some(11), Some(500)]),
            lead_times: pick(rng, &[vec![], vec!["2d", "1h"], vec!["10m"], vec!["20m", "1m"]]).clone(),
        }
    }
}

/// The value of a label; of one that names an event most often one that there is.
fn word(rng: &mut Rng, label: &str) -> &'static str {
    if label == "event" && rng.u8(..4) > 0 { pick::<&str>(rng, &["e0", "e1"]) } else { pick::<&str>(rng, &WORDS) }
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

/// A few minutes of a case.
fn window(rng: &mut Rng) -> std::ops::Range<usize> {
    let start = rng.usize(..MINUTES);
    start..(start + rng.usize(1..8)).min(MINUTES)
}

/// Metrics by what conditions they bear.
struct Families {
    numbers: Vec<&'static Family>,
    moments: Vec<&'static Family>,
    state_sets: Vec<&'static Family>,
    /// Numbers of the same labels, in any order.
    twins: Vec<(&'static Family, &'static Family)>,
}

static FAMILIES: LazyLock<Families> = LazyLock::new(|| {
    let (state_sets, rest): (Vec<&'static Family>, Vec<&'static Family>) =
        collectors::all().flat_map(Collector::families).partition(|family| !family.states.is_empty());
    let (moments, numbers): (Vec<&'static Family>, Vec<&'static Family>) = rest.into_iter().partition(|family| family.unit == Unit::Timestamp);
    let same = |a: &Family, b: &Family| a.labels.len() == b.labels.len() && a.labels.iter().all(|label| b.labels.contains(label));
    let pairs = numbers.iter().flat_map(|a| numbers.iter().map(move |b| (*a, *b)));
    let twins = pairs.filter(|(a, b)| a.name != b.name && same(a, b)).collect();
    Families { numbers, moments, state_sets, twins }
});

/// What is looked at, and what it is compared with.
fn subject_of(rng: &mut Rng, shape: Shape) -> (&'static Family, Option<&'static Family>) {
    let family = match shape {
        Shape::State | Shape::States => *pick(rng, &FAMILIES.state_sets),
        Shape::Expires | Shape::ExpiresAfterEvent | Shape::OlderThan => *pick(rng, &FAMILIES.moments),
        Shape::IsFalse | Shape::Number(_) => *pick(rng, &FAMILIES.numbers),
        Shape::Metric(_) => {
            let (family, other) = *pick(rng, &FAMILIES.twins);
            return (family, Some(other));
        }
    };
    (family, None)
}

/// A condition, harsher bounds for it, and the values at which it turns.
fn condition(rng: &mut Rng, shape: Shape, family: &Family, other: Option<&Family>, events: &[Event]) -> (Value, Vec<Value>, Vec<f64>) {
    let minute = rng.usize(..MINUTES) as f64 * 60.0;
    let span = |seconds: f64| format!("{}ms", (seconds * 1000.0).round());
    let margin = *pick(rng, &[0.0, 30.0, 60.0, 61.5, 300.0, 3600.0]);
    let mut harsher: Vec<f64> = vec![*pick(rng, &[1.0, 30.0, 0.001]), *pick(rng, &[1.0, 30.0])];
    harsher[1] += harsher[0];
    let ends = || events.iter().map(|event| (event.start + event.seconds.cast_signed()) as f64);
    match shape {
        Shape::IsFalse => (json!("is_false"), Vec::new(), vec![0.0, 1.0]),
        Shape::Number(operator) => {
            let shares = [1.0, 0.6, 0.1 + 0.2, 3.0, 1e-9, 1e-300, 1.0 - rng.f64()];
            let numbers = [1.0, 3.0, 0.5, 1e15, 107_374_182_400.0, 9_007_199_254_740_992.0];
            let mut bounds = shares.to_vec();
            // What nothing or everything is beyond is refused: see the bounds of a checklist.
            bounds.extend_from_slice(if operator == "below" { &[] } else { &[0.0] });
            bounds.extend_from_slice(if family.unit == Unit::Ratio { &[] } else { &numbers });
            let bound = *pick(rng, &bounds);
            let sign = if operator == "above" { 1.0 } else { -1.0 };
            let mut bands: Vec<f64> = if matches!(operator, "above" | "below") && rng.bool() {
                harsher.iter().map(|by| if bound.abs() > 1e12 { bound * (1.0 + sign * bound.signum() * by) } else { bound + sign * by }).collect()
            } else {
                Vec::new()
            };
            bands.dedup();
            let anchors = [bound].into_iter().chain(bands.iter().copied()).collect();
            (json!({ operator: bound }), bands.into_iter().map(Value::from).collect(), anchors)
        }
        Shape::Metric(operator) => (json!({ operator: other.map(|other| other.name) }), Vec::new(), vec![0.0, 1.0, 2.0, 2.0, 2.0]),
        Shape::State => (json!({ "equals": pick(rng, family.states) }), Vec::new(), Vec::new()),
        Shape::States => {
            let mut states: Vec<&str> = (0..rng.usize(1..=3)).map(|_| *pick(rng, family.states)).collect();
            states.dedup();
            (json!({ "equals": states }), Vec::new(), Vec::new())
        }
        Shape::Expires | Shape::ExpiresAfterEvent | Shape::OlderThan => {
            let mut bands: Vec<f64> = Vec::new();
            let sign = if matches!(shape, Shape::OlderThan) { 1.0 } else { -1.0 };
            if rng.bool() {
                bands = harsher.iter().map(|by| margin + sign * by).filter(|bound| *bound >= 0.0).collect();
            }
            let bounds = || [margin].into_iter().chain(bands.iter().copied());
            let (fails, anchors): (Value, Vec<f64>) = match shape {
                Shape::ExpiresAfterEvent => (
                    json!({ "expires_within": { "after_event_end": span(margin) } }),
                    bounds().flat_map(|bound| ends().chain([minute]).map(move |end| end + bound)).collect(),
                ),
                Shape::OlderThan => (json!({ "older_than": span(margin) }), bounds().map(|bound| minute - bound).collect()),
                _ => (json!({ "expires_within": span(margin) }), bounds().map(|bound| minute + bound).collect()),
            };
            (fails, bands.into_iter().map(|bound| json!(span(bound))).collect(), anchors)
        }
    }
}

fn guard(rng: &mut Rng) -> BTreeMap<&'static str, Value> {
    let mut when = BTreeMap::new();
    if rng.u8(..6) == 0 {
        when.insert("participants_above", json!(pick(rng, &[0, 10])));
    }
    if rng.u8(..6) == 0 {
        when.insert("lead_time_within", json!(pick(rng, &["0s", "1m", "5m", "1h"])));
    }
    if rng.u8(..6) == 0 {
        when.insert("event_active", json!(true));
    }
    when
}

/// What each replica saw: phases of a few minutes, in which replicas most often agree.
fn timelines(rng: &mut Rng, family: &Family, anchors: &[f64], replicas: usize) -> Vec<Vec<Option<f64>>> {
    let mut timelines = vec![Vec::with_capacity(MINUTES); replicas];
    while timelines[0].len() < MINUTES {
        let minutes = rng.usize(1..9).min(MINUTES - timelines[0].len());
        let first = value(rng, family, anchors);
        for (replica, timeline) in timelines.iter_mut().enumerate() {
            let seen = match (replica, rng.u8(..10)) {
                (0, _) | (_, 0..4) => first,
                (_, 4..6) => first.map(|value| if family.states.is_empty() { beside(rng, value) } else { value }),
                (_, 6..8) => value(rng, family, anchors),
                _ => None,
            };
            timeline.extend(std::iter::repeat_n(seen, minutes));
        }
    }
    timelines
}

fn value(rng: &mut Rng, family: &Family, anchors: &[f64]) -> Option<f64> {
    if rng.u8(..8) == 0 {
        return None;
    }
    if !family.states.is_empty() {
        return Some(if rng.u8(..8) == 0 { f64::NAN } else { rng.usize(..family.states.len()) as f64 });
    }
    if rng.u8(..10) < 3 {
        let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, f64::MAX, f64::MIN_POSITIVE, 5e-324];
        return Some(*pick(rng, &special));
    }
    let anchor = *pick(rng, anchors);
    Some(beside(rng, anchor))
}

fn beside(rng: &mut Rng, value: f64) -> f64 {
    match rng.u8(..7) {
        0 => value.next_up(),
        1 => value.next_down(),
        2 => value + 1.0,
        3 => value - 1.0,
        4 => -value,
        _ => value,
    }
}
