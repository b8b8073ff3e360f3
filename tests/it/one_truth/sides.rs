//! The two sides: what the judge says of a case from minute to minute, and whether a real Prometheus
//! says the same with the generated rules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use readiness_exporter::checklist::{self, CheckState, Checklist, Context, Severity, judge_one};
use readiness_exporter::collectors;
use readiness_exporter::event::EventConfig;
use readiness_exporter::event::{self, Occurrence, Schedule};
use readiness_exporter::generate;
use readiness_exporter::labels::Labels;
use readiness_exporter::metric::{Family, Sample, write_samples};
use readiness_exporter::snapshot::{Observation, Snapshot, Source, Store, Subjects};
use serde_json::{Value, json};

use super::case::{Case, Fact, MINUTES, yaml};
use crate::common::run;

/// How long every alert outlives what it was about.
const KEPT: usize = 5;

/// A line that is red: its labels with the state of a state set, and how loud.
type Red = (BTreeMap<String, String>, Severity);

/// What the judge says of a case.
struct Judged {
    /// By minute, the lines that are red for one replica at least, each as loud as its worst.
    red: Vec<BTreeMap<BTreeMap<String, String>, Severity>>,
}

/// A case under the names that keep it apart from others in one Prometheus.
pub(super) struct Named<'a> {
    case: &'a Case,
    alert: String,
    prefix: String,
    checklist: Checklist,
    schedules: Vec<Schedule>,
}

impl<'a> Named<'a> {
    pub(super) fn new(case: &'a Case, number: usize) -> Self {
        let (name, alert) = (format!("c{number}"), format!("C{number}"));
        let text = case.checklist(&name, &alert);
        let checklist = checklist::parse(&text).unwrap_or_else(|problems| panic!("seed {}: {problems:#?}\n{text}", case.seed));
        let schedules = case.events.iter().enumerate().map(|(at, event)| {
            let config: EventConfig = serde_json::from_value(json!({ "name": format!("e{at}"), "checklist": name, "time_zone": "UTC",
                "start": Timestamp::from_second(event.start).unwrap().to_string().trim_end_matches('Z'),
                "duration": format!("{}s", event.seconds), "participants": event.participants, "lead_times": event.lead_times }))
            .unwrap();
            Schedule::parse(&config).unwrap()
        });
        Self { case, prefix: format!("{name}_"), alert, schedules: schedules.collect(), checklist }
    }

    /// What is judged for: each event that comes, or none.
    fn events(&self, now: Timestamp) -> Vec<Option<Occurrence>> {
        let coming = event::coming(&self.schedules, now);
        if coming.is_empty() { vec![None] } else { coming.into_iter().map(Some).collect() }
    }

    /// What the judges of all replicas say.
    fn judged(&self) -> Judged {
        let check = self.checklist.checks().next().unwrap();
        let red = (0..MINUTES).map(|minute| {
            let now = at(minute);
            let mut red: BTreeMap<BTreeMap<String, String>, (bool, Severity)> = BTreeMap::new();
            for (event, replica) in self.events(now).iter().flat_map(|event| self.up(minute).map(move |replica| (event, replica))) {
                let samples = |fact: &Fact| fact.sample(replica, minute);
                let snapshot = snapshot(&self.case.facts, samples);
                let context = Context { event: event.as_ref(), ..Context::new(&snapshot, now) };
                for line in judge_one(check, &context).lines.iter().filter(|line| matches!(line.state, CheckState::Fail | CheckState::Warn)) {
                    let mut labels: BTreeMap<String, String> = line.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                    let sample = snapshot.samples_of(self.case.check.metric).find(|sample| sample.label_pairs().all(|(name, value)| labels[name] == value));
                    let state = sample.unwrap().label("state").map(str::to_owned);
                    labels.extend(state.map(|state| ("state".to_owned(), state)));
                    labels.retain(|_, value| !value.is_empty());
                    // What blocks for one event is not told again as what will block for another.
                    let seen = (line.state == CheckState::Fail, line.severity);
                    let worst = red.entry(labels).or_insert(seen);
                    *worst = seen.max(*worst);
                }
            }
            let told = red.into_iter().map(|(mut labels, (blocks, severity))| {
                labels.extend((!blocks).then(|| ("stage".to_owned(), "early".to_owned())));
                (labels, severity)
            });
            told.collect()
        });
        Judged { red: red.collect() }
    }

    /// The replicas that can be scraped.
    fn up(&self, minute: usize) -> impl Iterator<Item = usize> {
        self.case.replicas.iter().enumerate().filter(move |(_, down)| !down.contains(&minute)).map(|(replica, _)| replica)
    }

    /// What Prometheus scrapes, as input series of promtool: one replica after the other, minute by
    /// minute, in the text that the exporter writes.
    fn series(&self) -> BTreeMap<String, Vec<Option<String>>> {
        let mut series: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
        for minute in 0..MINUTES {
            for replica in self.up(minute) {
                for line in self.scrape(replica, minute).lines() {
                    let (key, value) = line.rsplit_once(' ').unwrap();
                    let key = key.strip_suffix('}').map_or_else(|| format!("{key}{{"), |key| format!("{key},"));
                    let key = format!("{}{key}instance=\"{replica}\",job=\"readiness\"}}", self.prefix);
                    series.entry(key).or_insert_with(|| vec![None; MINUTES])[minute] = Some(number(value));
                }
            }
        }
        series
    }

    /// The case for people: the check, its rules, and what was scraped.
    pub(super) fn describe(&self) -> String {
        let mut lines = vec![self.case.checklist(&self.checklist.name, &self.alert)];
        lines.extend(self.rules().iter().map(|rule| format!("{} for {}: {}", text(&rule["labels"]["severity"]), text(&rule["for"]), text(&rule["expr"]))));
        for minute in 0..MINUTES {
            for replica in self.up(minute) {
                let scrape = self.scrape(replica, minute);
                lines.extend(
                    scrape.lines().filter(|line| !line.ends_with(" 0") || !line.contains("state=")).map(|line| format!("{minute}m, replica {replica}: {line}")),
                );
            }
        }
        lines.join("\n")
    }

    /// The samples of one scrape.
    fn scrape(&self, replica: usize, minute: usize) -> String {
        let mut samples: Vec<Sample> = self.case.facts.iter().filter_map(|fact| fact.sample(replica, minute)).collect();
        samples.extend(event::samples(&self.schedules, at(minute)));
        let mut text = String::new();
        write_samples(&mut text, &samples);
        text
    }

    /// The generated rules, with the prefix on every metric.
    fn rules(&self) -> Vec<Value> {
        let file: Value =
            serde_saphyr::from_str(&generate::alert_rules(&self.checklist, &generate::Published::new(Some("https://runbooks.example"), None))).unwrap();
        let rules = file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
        let own = rules.filter(|rule| rule["alert"] == *self.alert).cloned().map(|mut rule| {
            rule["expr"] = text(&rule["expr"]).replace("readiness_", &format!("{}readiness_", self.prefix)).into();
            rule
        });
        own.collect()
    }
}

impl Case {
    fn family(&self) -> &'static Family {
        collectors::family(self.check.metric).unwrap()
    }
}

impl Fact {
    fn sample(&self, replica: usize, minute: usize) -> Option<Sample> {
        let value = self.values[replica][minute]?;
        Some(Sample { family: self.family, labels: self.labels.iter().map(|label| label.as_str().into()).collect(), value, detail: None })
    }
}

fn at(minute: usize) -> Timestamp {
    Timestamp::from_second(i64::try_from(minute).unwrap() * 60).unwrap()
}

/// Facts as the sources of one exporter, which have all been looked at.
fn snapshot(facts: &[Fact], sample: impl Fn(&Fact) -> Option<Sample>) -> Snapshot {
    let store = Store::default();
    let sources: BTreeSet<(&'static str, usize)> = facts.iter().map(|fact| (fact.collector, fact.source)).collect();
    for (collector, source) in sources {
        let own = || facts.iter().filter(|fact| fact.source == source && fact.collector == collector);
        let name = format!("source {source}");
        let emits: BTreeSet<&'static str> = own().map(|fact| fact.family.name).collect();
        store.add(Source {
            collector,
            name: name.clone(),
            identity: Labels::default(),
            covers: Vec::new(),
            subjects: Subjects::Whole,
            emits: emits.into_iter().collect(),
            off: std::sync::Arc::default(),
            reads: &[],
            selectors: Vec::new(),
            interval: Duration::from_mins(1),
            keep: Duration::from_mins(3),
        });
        let samples: Vec<Sample> = own().filter_map(&sample).collect();
        let objects = samples.len();
        store.report(collector, &name, Duration::ZERO, Ok(Observation::new(samples, objects, 0)));
    }
    store.snapshot()
}

/// promtool writes numbers as PromQL does, and reads no more than seventeen digits well.
fn number(text: &str) -> String {
    let value: f64 = text.parse().unwrap();
    if value.is_finite() { format!("{value:e}") } else { text.to_owned() }
}

/// `Some` for each minute as promtool's values; what vanishes from a scrape is marked stale.
fn values(seen: &[Option<String>]) -> String {
    let mut before = false;
    let words = seen.iter().map(|value| match value {
        Some(value) => {
            before = true;
            value.as_str()
        }
        None if std::mem::take(&mut before) => "stale",
        None => "_",
    });
    words.collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

impl Judged {
    /// The alerts that must be pending or firing, by minute: red for as long as `for` without a gap
    /// fires; what fires is kept for a while.
    fn alerts(&self, hold: usize) -> Vec<Vec<(Red, &'static str)>> {
        enum Alert {
            Pending(usize),
            Firing,
            Kept(usize),
        }
        let mut alerts: BTreeMap<Red, Alert> = BTreeMap::new();
        let minutes = self.red.iter().enumerate().map(|(minute, red)| {
            for (labels, severity) in red {
                let alert = alerts.entry((labels.clone(), *severity)).or_insert(Alert::Pending(minute));
                match alert {
                    Alert::Pending(since) if minute - *since < hold => {}
                    _ => *alert = Alert::Firing,
                }
            }
            alerts.retain(|(labels, severity), alert| {
                if red.get(labels) == Some(severity) {
                    return true;
                }
                match *alert {
                    Alert::Pending(_) => false,
                    Alert::Firing => {
                        *alert = Alert::Kept(minute);
                        true
                    }
                    Alert::Kept(since) => minute - since < KEPT,
                }
            });
            let seen = alerts.iter().map(|(red, alert)| (red.clone(), if matches!(alert, Alert::Pending(_)) { "pending" } else { "firing" }));
            seen.collect()
        });
        minutes.collect()
    }
}

/// Whether Prometheus says what the judge says, in each minute of each case; what promtool says if
/// not. `change` may make the rules wrong.
pub(super) fn agree(cases: &[Named<'_>], change: impl Fn(&mut Value)) -> Result<(), String> {
    let mut rules = Vec::new();
    let mut series = Vec::new();
    let mut alerts = vec![Vec::new(); MINUTES];
    let mut reds = vec![Vec::new(); MINUTES];
    for named in cases {
        let judged = named.judged();
        let name = [("alertname", named.alert.as_str()), ("checklist", &named.checklist.name)];
        for (minute, seen) in judged.alerts(named.case.check.hold).into_iter().enumerate() {
            alerts[minute].extend(seen.iter().map(|(red, state)| sample("ALERTS", red, &[name[0], name[1], ("alertstate", state)])));
        }
        for (minute, red) in judged.red.iter().enumerate() {
            reds[minute].extend(red.iter().map(|(labels, severity)| sample("red", &(labels.clone(), *severity), &name)));
        }
        let by = named.case.family().labels.iter().chain(&["state"]).copied().collect::<Vec<_>>().join(", ");
        for mut rule in named.rules() {
            change(&mut rule);
            let mut labels = rule["labels"].clone();
            labels["alertname"] = named.alert.as_str().into();
            rules.push(json!({ "record": "red", "expr": format!("count by ({by}) ({})", text(&rule["expr"])), "labels": labels }));
            rules.push(rule);
        }
        series.extend(named.series().iter().map(|(series, seen)| json!({ "series": series, "values": values(seen) })));
    }
    let expect = |expr: &str, seen: &[Vec<Value>]| {
        let tests = seen.iter().enumerate().map(|(minute, seen)| json!({ "expr": expr, "eval_time": format!("{minute}m"), "exp_samples": seen }));
        tests.collect::<Vec<_>>()
    };
    let tests = [expect("red", &reds), expect("ALERTS", &alerts)].concat();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &Value| std::fs::write(folder.path().join(name), yaml(content)).unwrap();
    write("rules.yaml", &json!({ "groups": [{ "name": "cases", "rules": rules }] }));
    write(
        "test.yaml",
        &json!({ "rule_files": ["rules.yaml"], "evaluation_interval": "1m",
            "tests": [{ "interval": "1m", "input_series": series, "promql_expr_test": tests }] }),
    );
    promtool(&folder.path().join("test.yaml"))
}

fn promtool(file: &Path) -> Result<(), String> {
    let (code, out, errors) = run(Command::new("promtool").args(["test", "rules"]).arg(file));
    if code == 0 { Ok(()) } else { Err(format!("{out}{errors}")) }
}

fn sample(name: &str, (labels, severity): &Red, more: &[(&str, &str)]) -> Value {
    let severity = severity.to_string();
    let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more.iter().copied()).chain([("severity", severity.as_str())]);
    let pairs: Vec<String> =
        pairs.map(|(name, value)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))).collect();
    json!({ "labels": format!("{name}{{{}}}", pairs.join(",")), "value": 1 })
}
