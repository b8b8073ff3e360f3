//! `/metrics` with 100,000 series: our writer, gzip included, against the `prometheus` crate's
//! encoder on the same samples in the same run; and memory over 1,000 scrapes.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::proto::{Gauge as ProtoGauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, TextEncoder};
use readiness_exporter::exposition::{Exposition, Out};
use readiness_exporter::labels::Labels;
use readiness_exporter::metric::{Format, Gauge, Unit, gauge};
use readiness_exporter::snapshot::{Observation, Snapshot, Source, Store, Subjects};

#[path = "common/mod.rs"]
mod common;

const SOURCES: usize = 50;
const SERIES: usize = 2_000;

static FACT: Gauge<5> =
    gauge("readiness_bench_ready_replicas", Unit::Number, &["cluster", "selector", "kind", "namespace", "name"], "A fact with five labels.");

fn main() {
    let store = Store::default();
    for source in 0..SOURCES {
        let name = format!("cluster-{source}");
        let samples = (0..SERIES)
            .map(|n| FACT.sample([&name, "workspaces", "Deployment", &format!("team-{}", n % 40), &format!("workspace-{n}-7d9c5b")], n as f64))
            .collect();
        store.add(Source {
            collector: "kubernetes",
            name: name.clone(),
            identity: Labels::default(),
            covers: vec![],
            subjects: Subjects::Whole,
            emits: vec![],
            off: Arc::default(),
            reads: &[],
            selectors: Vec::new(),
            interval: Duration::from_secs(15),
            keep: Duration::from_secs(45),
        });
        store.report("kubernetes", &name, Duration::ZERO, Ok(Observation::new(samples, SERIES, 1)));
    }
    let snapshot = store.snapshot();
    let ours = common::median(21, || scrape(black_box(&snapshot), Format::Text).len());
    let open = common::median(21, || scrape(black_box(&snapshot), Format::OpenMetrics).len());
    let writing = common::median(21, || all(black_box(&snapshot)).len());
    let crate_way = common::median(21, || compress(&through_the_crate(black_box(&snapshot))).len());
    let text = all(&snapshot);
    println!("series                       {}", text.lines().filter(|line| !line.starts_with('#')).count());
    println!("text                         {:.1} MB, gzip {:.2} MB", text.len() as f64 / 1e6, compress(text.as_bytes()).len() as f64 / 1e6);
    println!("ours, gzip included          {:.1} ms (writing {:.1} ms)", common::ms(ours), common::ms(writing));
    println!("in OpenMetrics, gzip too     {:.1} ms", common::ms(open));
    println!("prometheus crate, gzip too   {:.1} ms ({:.1} times ours)", common::ms(crate_way), crate_way.as_secs_f64() / ours.as_secs_f64());
    drop(text);
    let before = common::resident(std::process::id());
    for _ in 0..1_000 {
        black_box(scrape(&snapshot, Format::Text));
    }
    println!("resident before/after 1,000  {:.1} / {:.1} MiB", common::mib(before), common::mib(common::resident(std::process::id())));
}

fn all(snapshot: &Snapshot) -> String {
    Exposition::new(snapshot.clone(), Vec::new(), String::new()).text()
}

/// As it is sent: compressed piece by piece.
fn scrape(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let (mut out, mut sent) = (Out::new(true), Vec::new());
    let mut exposition = Exposition::new(snapshot.clone(), Vec::new(), String::new()).written_as(format);
    while exposition.write_next(&mut out).unwrap() {
        sent.extend(out.take());
    }
    sent.extend(out.take());
    sent.concat()
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(text).unwrap();
    out.finish().unwrap()
}

fn through_the_crate(snapshot: &Snapshot) -> Vec<u8> {
    let mut metrics = Vec::new();
    for sample in snapshot.views.iter().flat_map(|view| view.of(FACT.0.name)) {
        let pairs = sample.label_pairs().map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        let mut value = ProtoGauge::default();
        value.set_value(sample.value);
        metric.set_gauge(value);
        metrics.push(metric);
    }
    let mut family = MetricFamily::default();
    family.set_name(FACT.0.name.to_owned());
    family.set_help(FACT.0.help.to_owned());
    family.set_field_type(MetricType::GAUGE);
    family.set_metric(metrics);
    let mut out = Vec::new();
    TextEncoder::new().encode(&[family], &mut out).unwrap();
    out
}
