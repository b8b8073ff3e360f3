//! Events: warnings by reason, evictions after their pod is gone, and how long images took to pull.
//!
//! Events live an hour and are deduplicated by count, so each is followed and its growth counted.

#![expect(clippy::struct_field_names, reason = "an Event of the API has an eventTime")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use serde::{Deserialize, Deserializer};

use crate::collectors::kubernetes::kinds::podrow::uid;
use crate::collectors::kubernetes::kinds::pods::Eviction;
use crate::collectors::kubernetes::kinds::reasons::starved_resource;
use crate::collectors::kubernetes::kinds::shortages::Shortages;
use crate::collectors::kubernetes::reading::clock::{Clock, now};
use crate::collectors::kubernetes::reading::objects::{Index, Place, kind, or_default};
use crate::collectors::kubernetes::watching::recent::{Recent, Tally};
use crate::collectors::kubernetes::watching::visibility::looked_at;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say::forgotten;
use crate::word::Word;

const COVERAGE: Coverage = looked_at(&["Event"]);

metrics! {
    /// Families about events.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about warnings.
    WARNING_FAMILIES {
        static WARNINGS: Gauge<3> = gauge(
            "readiness_warning_events",
            Unit::Number,
            &["cluster", "namespace", "reason"],
            "Warning events within the window by reason, repetitions included, from the Kubernetes API.",
        )
        .covered_by(COVERAGE);
    }

    /// Families about pulls of images.
    PULL_FAMILIES {
        static PULLS: Gauge<2> = gauge(
            "readiness_image_pulls",
            Unit::Number,
            &["cluster", "image"],
            "Pulls of an image within the window that named their duration, from Pulled events of the Kubernetes API.",
        )
        .covered_by(COVERAGE);
        static PULL_DURATION: Gauge<4> = gauge(
            "readiness_image_pull_duration_seconds",
            Unit::Seconds,
            &["cluster", "image", "duration", "statistic"],
            "How long pulls of an image took within the window: the pull itself, and including the wait for others, from Pulled events of the Kubernetes API.",
        )
        .covered_by(COVERAGE);
        static IMAGE_SIZE: Gauge<2> = gauge(
            "readiness_image_size_bytes",
            Unit::Bytes,
            &["cluster", "image"],
            "Size of an image as its kubelet named it with the last pull, from Pulled events of the Kubernetes API.",
        )
        .covered_by(COVERAGE);
    }
}

/// Series of one kind; what happens most often is kept.
const SERIES: usize = 200;
/// Pulls of one image that statistics are made of.
const PULLS_KEPT: usize = 64;
/// Images whose pulls are kept; further ones wait until others have left the window.
const IMAGES_KEPT: usize = 5_000;
/// Seconds between two searches for what has left the window.
const SWEEP: i64 = 60;

kind!(
    Event, "", "v1", "events", "crate::collectors::kubernetes::reading::objects::slim",
    involved_object: Involved, reason: String, message: String, first_timestamp: Said, last_timestamp: Said,
    event_time: Said, count: i64, series: Option<Series>
);

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct Involved {
    #[serde(default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    namespace: String,
    uid: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Series {
    #[serde(default, deserialize_with = "or_default")]
    count: i64,
    #[serde(default)]
    last_observed_time: Said,
}

/// A moment that whoever may create events chose, in Unix seconds. One that is none here, such as the last
/// day of the year 9999, is left out: it must not hide all other events.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::collectors::kubernetes) struct Said(Option<i64>);

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(Self(text.and_then(|text| text.parse().ok()).map(Timestamp::as_second)))
    }
}

impl Event {
    fn times(&self) -> u32 {
        // The API takes any number here, too.
        let said = self.series.as_ref().map_or(self.count, |series| series.count).max(1);
        u32::try_from(said).unwrap_or(u32::MAX)
    }

    fn at(&self, clock: &Clock) -> i64 {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time.0);
        let at = self.last_timestamp.0.or(self.first_timestamp.0).max(series.or(self.event_time.0));
        at.or_else(|| Some(self.metadata.creation_timestamp.as_ref()?.0.as_second())).map_or_else(now, |at| at.saturating_sub(clock.ahead()))
    }
}

/// Counts that were seen of each event, so that only growth is counted.
#[derive(Debug, Default)]
struct Counts {
    seen: BTreeMap<u128, (u32, u32)>,
    round: u32,
}

impl Counts {
    /// How often it happened since it was last seen.
    fn growth(&mut self, event: &Event) -> u32 {
        let times = event.times();
        let (_, before) = self.seen.insert(uid(event.metadata.uid.as_deref()), (self.round, times)).unwrap_or_default();
        times.saturating_sub(before)
    }

    fn has_named(&self, event: &Event) -> bool {
        self.seen.get(&uid(event.metadata.uid.as_deref())).is_some_and(|(round, _)| *round == self.round)
    }

    fn remove(&mut self, event: &Event) {
        self.seen.remove(&uid(event.metadata.uid.as_deref()));
    }

    fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    fn complete(&mut self) {
        let round = self.round;
        self.seen.retain(|_, (own, _)| *own == round);
    }
}

/// What Karpenter says when its cloud has no machine for a claim.
const NO_MACHINE: &str = "InsufficientCapacityError";
/// Reasons that checks ask for by name; a storm of others must not hide them.
const ALWAYS: [&str; 1] = [NO_MACHINE];

/// What is kept of events of one kind, beside how often each of them was seen.
pub(in crate::collectors::kubernetes) trait Digest: Send + 'static {
    const FAMILIES: &'static [&'static [&'static Family]];

    /// What happened `growth` times since it was last seen, the last time at `at`; whether that changes a fact.
    fn take(&mut self, event: Event, growth: u32, at: i64) -> bool;

    fn facts(&self, place: &Place, samples: &mut Vec<Sample>);
}

/// Events of a cluster, of which only what is new is told.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Counted<D> {
    counts: Counts,
    clock: Clock,
    pub(in crate::collectors::kubernetes) digest: D,
}

impl<D: Digest> Counted<D> {
    pub(in crate::collectors::kubernetes) fn new(digest: D, clock: Clock) -> Self {
        Self { counts: Counts::default(), clock, digest }
    }
}

impl<D: Digest> Index for Counted<D> {
    type Object = Event;
    const KIND: &'static str = "Event";
    const FAMILIES: &'static [&'static [&'static Family]] = D::FAMILIES;
    const WINDOWED: bool = true;

    fn begin(&mut self) {
        self.counts.begin();
    }

    fn has_named(&self, event: &Event) -> bool {
        self.counts.has_named(event)
    }

    fn put(&mut self, event: Event, _: bool) -> bool {
        let growth = self.counts.growth(&event);
        let at = event.at(&self.clock);
        self.digest.take(event, growth, at)
    }

    fn remove(&mut self, event: &Event) -> bool {
        self.counts.remove(event);
        false
    }

    fn complete(&mut self) {
        self.counts.complete();
    }

    fn len(&self) -> usize {
        self.counts.seen.len()
    }

    fn facts(&self, place: &Place, samples: &mut Vec<Sample>) {
        self.digest.facts(place, samples);
    }
}

/// Warnings, by namespace and reason.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Warnings {
    window: i64,
    tally: Tally<(Arc<str>, Arc<str>)>,
    pub(in crate::collectors::kubernetes) evictions: Recent<u128, Eviction>,
    shortages: Shortages,
}

impl Warnings {
    pub(in crate::collectors::kubernetes) fn new(window: i64) -> Self {
        Self { window, tally: Tally::new(window), evictions: Recent::new(window), shortages: Shortages::default() }
    }

    /// Machines that were missing within the window, on a clock that is so many seconds ahead.
    pub(in crate::collectors::kubernetes) fn shortages(&self, ahead: i64) -> Shortages {
        self.shortages.since(now().saturating_sub(self.window), ahead)
    }
}

impl Digest for Warnings {
    const FAMILIES: &'static [&'static [&'static Family]] = &[WARNING_FAMILIES];

    fn take(&mut self, event: Event, growth: u32, at: i64) -> bool {
        let namespace: Arc<str> = event.involved_object.namespace.as_str().into();
        if event.reason == "Evicted" {
            let pod = uid(event.involved_object.uid.as_deref());
            self.evictions.record(pod, at, (Arc::clone(&namespace), starved_resource(&event.message)));
        }
        if event.reason == NO_MACHINE && event.involved_object.kind == "NodeClaim" {
            self.shortages.add(&event.involved_object.name, at);
        }
        let reason = Word::of(&event.reason).map_or("Other", Word::as_str);
        self.tally.add((namespace, reason.into()), at, u64::from(growth));
        growth > 0
    }

    fn facts(&self, place: &Place, samples: &mut Vec<Sample>) {
        let mut ranked: Vec<_> = self.tally.totals().into_iter().collect();
        ranked.sort_by_key(|((_, reason), count)| (!ALWAYS.contains(&&**reason), std::cmp::Reverse(*count)));
        ranked.truncate(SERIES);
        samples.extend(ranked.into_iter().map(|((namespace, reason), count)| {
            WARNINGS.sample([Arc::clone(&place.cluster), namespace, reason], count.times as f64).with_detail(count.words(self.window))
        }));
    }
}

/// What a kubelet said about a pull.
#[derive(Debug, Clone, PartialEq)]
struct Pull {
    image: String,
    seconds: f64,
    waiting: Option<f64>,
    bytes: Option<f64>,
}

/// Every form of the message since 1.19; the older one names no duration.
/// Source: `pkg/kubelet/images/image_manager.go` of Kubernetes.
static PULLED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^Successfully pulled image "([^"]+)"(?: in ([0-9a-zµ.]+))?(?:\s*\(([0-9a-zµ.]+) including waiting\))?(?:\. Image size: (\d+) bytes\.?)?\.?$"#)
        .ok()
});

fn pull(message: &str) -> Option<Pull> {
    let found = PULLED.as_ref()?.captures(message.trim())?;
    let seconds = |at: usize| found.get(at).and_then(|text| go_duration(text.as_str()));
    let bytes = found.get(4).and_then(|text| text.as_str().parse().ok()).filter(|bytes: &f64| bytes.is_finite());
    Some(Pull { image: Word::joined(&found[1])?.to_string(), seconds: seconds(2)?, waiting: seconds(3), bytes })
}

/// A duration as Go writes it: `1m21.284220239s`, `812ms`, `1h2m3s`.
fn go_duration(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 7] = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let letters = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == &rest[end..letters])?;
        total += number * unit;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then_some(total).filter(|total| total.is_finite())
}

/// Pulls, by image.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Pulls {
    window: i64,
    images: BTreeMap<Arc<str>, Vec<(i64, Pull)>>,
    swept: i64,
}

impl Pulls {
    pub(in crate::collectors::kubernetes) fn new(window: i64) -> Self {
        Self { window, images: BTreeMap::new(), swept: 0 }
    }
}

impl Digest for Pulls {
    const FAMILIES: &'static [&'static [&'static Family]] = &[PULL_FAMILIES];

    fn take(&mut self, event: Event, growth: u32, at: i64) -> bool {
        if growth == 0 {
            return false;
        }
        let now = now();
        let oldest = now.saturating_sub(self.window);
        let Some(pull) = pull(&event.message).filter(|_| at > oldest) else { return false };
        // Not with each event: all that is kept is looked at.
        if now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.images.retain(|_, pulls| {
                pulls.retain(|(at, _)| *at > oldest);
                !pulls.is_empty()
            });
        }
        if self.images.len() >= IMAGES_KEPT && !self.images.contains_key(&*pull.image) {
            return false;
        }
        let pulls = self.images.entry(pull.image.as_str().into()).or_default();
        pulls.push((at, pull));
        pulls.sort_by_key(|(at, _)| *at);
        let surplus = pulls.len().saturating_sub(PULLS_KEPT);
        pulls.drain(..surplus);
        true
    }

    fn facts(&self, place: &Place, samples: &mut Vec<Sample>) {
        let oldest = now().saturating_sub(self.window);
        let recent = |pulls: &[(i64, Pull)]| pulls.iter().filter(|(at, _)| *at > oldest).map(|(_, pull)| pull.clone()).collect::<Vec<_>>();
        // They are kept in the order of their times.
        let latest = |pulls: &[(i64, Pull)]| pulls.last().map_or(0, |(at, _)| *at);
        let mut images: Vec<(&Arc<str>, Vec<Pull>, i64)> = self.images.iter().map(|(image, pulls)| (image, recent(pulls), latest(pulls))).collect();
        images.retain(|(_, pulls, _)| !pulls.is_empty());
        // The slowest are what somebody looks for.
        images.sort_by(|(_, a, _), (_, b, _)| slowest(b).total_cmp(&slowest(a)));
        for (image, pulls, last) in images.into_iter().take(SERIES) {
            samples.push(PULLS.sample([Arc::clone(&place.cluster), Arc::clone(image)], pulls.len() as f64));
            let kinds = [
                ("pull", pulls.iter().map(|pull| pull.seconds).collect()),
                ("including_waiting", pulls.iter().filter_map(|pull| pull.waiting).collect::<Vec<f64>>()),
            ];
            for (kind, durations) in kinds {
                for (statistic, value) in statistics(&durations) {
                    let labels = [Arc::clone(&place.cluster), Arc::clone(image), kind.into(), statistic.into()];
                    samples.push(PULL_DURATION.sample(labels, value).with_detail(forgotten(last, self.window)));
                }
            }
            let size = pulls.iter().rev().find_map(|pull| pull.bytes);
            samples.extend(size.map(|bytes| IMAGE_SIZE.sample([Arc::clone(&place.cluster), Arc::clone(image)], bytes)));
        }
    }
}

fn slowest(pulls: &[Pull]) -> f64 {
    pulls.iter().map(|pull| pull.waiting.unwrap_or(pull.seconds)).fold(0.0, f64::max)
}

/// Last, median and maximum of durations in the order of time.
pub(in crate::collectors::kubernetes) fn statistics(durations: &[f64]) -> Vec<(&'static str, f64)> {
    let Some(last) = durations.last() else { return Vec::new() };
    let mut sorted = durations.to_vec();
    sorted.sort_by(f64::total_cmp);
    vec![("last", *last), ("median", sorted[sorted.len() / 2]), ("max", sorted[sorted.len() - 1])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_message_is_read() {
        let read = |rest: &str| pull(&format!("Successfully pulled image \"r.io/a:1\"{rest}")).map(|pull| (pull.seconds, pull.waiting, pull.bytes));
        assert_eq!(read(""), None, "1.18 names no duration");
        assert_eq!(read(" in 49.657983991s"), Some((49.657_983_991, None, None)));
        assert_eq!(read(" in 1.234s (5.678s including waiting)"), Some((1.234, Some(5.678), None)));
        assert_eq!(read(" in 812ms (1m21.5s including waiting). Image size: 123456789 bytes."), Some((0.812, Some(81.5), Some(123_456_789.0))));
        for other in ["Container image \"a\" already present on machine", "Failed to pull image \"a\": 403", "", "Successfully pulled image \"a\" in ages"] {
            assert_eq!(pull(other), None, "{other}");
        }
    }

    #[test]
    fn go_durations_are_sums_of_units() {
        let near = |text: &str, seconds: f64| assert!((go_duration(text).unwrap() - seconds).abs() < 1e-9, "{text}");
        for (text, seconds) in [("1h2m3s", 3723.0), ("812ms", 0.812), ("1m21.284220239s", 81.284_220_239), ("15µs", 15e-6), ("0s", 0.0)] {
            near(text, seconds);
        }
        let endless = format!("{}h", "9".repeat(400));
        for text in ["", "5", "s", "1x", "1.2.3s", &endless] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }
}
