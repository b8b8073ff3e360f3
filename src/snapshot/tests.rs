//! What the store keeps, and for how long.

use super::*;

static FACT: Gauge<1> = gauge("t_fact", Unit::Number, &["target"], "A fact.");

pub(crate) fn source(collector: &'static str, name: &str) -> Source {
    Source {
        collector,
        name: name.to_owned(),
        identity: [("target", name)].into(),
        covers: Vec::new(),
        subjects: Subjects::Whole,
        emits: vec!["t_fact"],
        off: Arc::default(),
        reads: &[],
        selectors: Vec::new(),
        interval: Duration::from_secs(10),
        keep: Duration::from_secs(30),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the outcome of a look")]
fn observed(value: f64) -> Result<Observation, CollectError> {
    Ok(Observation::new(vec![FACT.sample(["a"], value)], 1, 2))
}

#[tokio::test(start_paused = true)]
async fn a_failed_look_keeps_the_facts_and_keep_drops_them() {
    let store = Store::default();
    store.add(source("http", "a"));
    assert!(!store.snapshot().all_attempted());
    store.report("http", "a", Duration::ZERO, observed(1.0));
    tokio::time::advance(Duration::from_secs(20)).await;
    store.report("http", "a", Duration::ZERO, Err(CollectError::new(ErrorClass::Timeout, "list nodes: no answer")));
    let view = &store.snapshot().views[0];
    assert!(view.unseen.is_none() && view.of("t_fact").count() == 1 && view.failure.is_some());
    tokio::time::advance(Duration::from_secs(11)).await;
    let view = &store.snapshot().views[0];
    assert!(view.unseen.is_some() && view.facts.is_empty());
}

#[test]
fn a_source_has_series_before_its_first_look() {
    let store = Store::default();
    store.add(source("http", "a"));
    let snapshot = store.snapshot();
    let up = snapshot.views[0].looking(&UP.0);
    assert_eq!(up.iter().map(|sample| sample.value).collect::<Vec<_>>(), [0.0]);
}

#[test]
fn a_removed_source_leaves_no_series_and_late_reports_are_dropped() {
    let store = Store::default();
    store.add(source("http", "a"));
    store.remove("http", "a");
    store.report("http", "a", Duration::ZERO, observed(1.0));
    assert!(store.snapshot().views.is_empty());
}

#[test]
fn a_source_is_found_by_its_collector_and_its_name() {
    let store = Store::default();
    for (collector, name) in [("tls", "b"), ("http", "b"), ("tls", "a"), ("dns", "z")] {
        store.add(source(collector, name));
    }
    let snapshot = store.snapshot();
    let names = |collector: &str| snapshot.of_collector(collector).iter().map(|view| view.source.name.clone()).collect::<Vec<_>>();
    assert_eq!((names("tls"), names("http"), names("smtp")), (vec!["a".to_owned(), "b".to_owned()], vec!["b".to_owned()], Vec::new()));
    assert_eq!(snapshot.source("tls", "b").unwrap().source.collector, "tls");
    assert!(snapshot.source("http", "a").is_none());
}
