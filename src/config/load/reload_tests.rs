//! A reload is as good as a restart: whatever of the configuration changes, somebody is started anew.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::driver::Task;

/// Every value within a document that has no values of its own, by its JSON pointer.
fn leaves(at: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(&format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), value, found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| leaves(&format!("{at}/{index}"), item, found)),
        _ => found.push(at.to_owned()),
    }
}

/// Other values that may stand there, of which most break a rule somewhere.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(is) => vec![json!(!is)],
        Value::Number(number) => vec![json!(number.as_f64().unwrap() + 1.0), json!(number.as_i64().unwrap_or(0) + 1), json!(number.as_f64().unwrap() / 2.0)],
        Value::String(text) => {
            let (secret, longer, digit) = (format!("{text}?q=2"), format!("{text}2"), text.replace('1', "2"));
            let span = if text.ends_with('s') { "17s" } else { "17m" };
            [secret, longer, digit, span.to_owned(), "6h".to_owned(), "30 3 * * *".to_owned()]
                .into_iter()
                .filter(|other| other != text)
                .map(Value::from)
                .collect()
        }
        _ => Vec::new(),
    }
}

/// There is one while the program runs.
static STATE: LazyLock<Arc<State>> = LazyLock::new(|| Arc::new(State::glance(None)));

type Tasks = BTreeMap<(&'static str, String), Task>;

fn tasks(document: &Value) -> Option<Tasks> {
    let loaded = load_str(&document.to_string(), "readiness.yaml", Path::new("/nowhere"), Some(BTreeMap::new())).ok()?;
    Some(loaded.tasks(&STATE).ok()?.into_iter().map(|task| ((task.source.collector, task.source.name.clone()), task)).collect())
}

fn equal(one: &Tasks, other: &Tasks) -> bool {
    let is = |(key, task): (&(&str, String), &Task)| one.get(key).is_some_and(|own| task.is(&own.source, own.timeout, &own.form));
    one.len() == other.len() && other.iter().all(is)
}

/// A configuration in which every collector has something to do.
fn document() -> Value {
    let mut document: Value = serde_saphyr::from_str(include_str!("../../../examples/workshop.yaml")).unwrap();
    let own: Value = serde_saphyr::from_str(OWN).unwrap();
    for (name, section) in own.as_object().unwrap() {
        document["collectors"][name] = section.clone();
    }
    let text = document.to_string();
    // Files of the lab are not there.
    let mut document: Value = serde_json::from_str(&text).unwrap();
    without(&mut document, "ca_file");
    document
}

/// What the example does not have.
const OWN: &str = "
secrets_manager: { interval: 1m, timeout: 5s, secrets: [{ name: database, region: us-east-2, id: database, role_arn: arn:aws:iam::123456789012:role/a }] }
";

fn without(value: &mut Value, name: &str) {
    match value {
        Value::Object(fields) => {
            fields.remove(name);
            fields.values_mut().for_each(|value| without(value, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without(item, name)),
        _ => {}
    }
}

#[test]
fn every_value_that_changes_starts_somebody_anew() {
    let document = document();
    let all = collectors::all().filter_map(|collector| collector.key.strip_prefix("collectors."));
    let without: Vec<&str> = all.filter(|name| document["collectors"].get(name).is_none()).collect();
    assert_eq!(without, [""; 0], "give these a section in examples/workshop.yaml, or in OWN if the lab has nothing for them");
    let before = tasks(&document).unwrap();
    assert!(equal(&before, &tasks(&document).unwrap()), "what did not change goes on");
    let (mut all, mut changed, mut silent) = (Vec::new(), 0, Vec::new());
    for part in ["/collectors", "/clusters", "/events", "/attestations"] {
        leaves(part, document.pointer(part).unwrap(), &mut all);
    }
    // One target is as good as the next.
    let kind = |at: &String| at.split('/').map(|key| if key.parse::<usize>().is_ok() { "*" } else { key }).collect::<Vec<_>>().join("/");
    let found: BTreeMap<String, String> = all.into_iter().map(|at| (kind(&at), at)).collect();
    for at in found.values() {
        let now = |other: Value| {
            let mut document = document.clone();
            *document.pointer_mut(at).unwrap() = other;
            tasks(&document)
        };
        let Some(after) = others(document.pointer(at).unwrap()).into_iter().find_map(now) else { continue };
        changed += 1;
        if equal(&before, &after) {
            silent.push(at);
        }
    }
    assert!(changed > found.len() / 2, "{changed} of {} values could be changed", found.len());
    assert_eq!(silent, [""; 0], "nobody noticed");
}

#[test]
fn what_a_file_of_authorities_holds_counts_as_its_name_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let document = |collector: &str| -> Value {
        serde_saphyr::from_str(&format!("collectors: {{ {} }}", collector.replace("FILE", &file.display().to_string()))).unwrap()
    };
    for collector in [
        "http: { ca_file: FILE, targets: [{ name: a, kind: a, url: 'https://a.test/' }] }",
        "tls: { ca_file: FILE, targets: [{ name: a, address: 'a.test:443' }] }",
        "registry: { registries: [{ host: a.test, ca_file: FILE }] }",
        "credentials: { ca_file: FILE, credentials: [{ name: a, kind: jwt, from: { env: TOKEN } }] }",
    ] {
        let with = |name: &str| {
            std::fs::write(&file, readiness_lab::Authority::new(name).unwrap().pem()).unwrap();
            tasks(&document(collector)).unwrap()
        };
        let one = with("one");
        assert!(equal(&one, &tasks(&document(collector)).unwrap()), "{collector}");
        assert!(!equal(&one, &with("other")), "{collector}");
    }
}
