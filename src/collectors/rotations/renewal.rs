//! Whether a rotation was seen to renew a credential before it ends: pure.
//!
//! A key of eight hours that is renewed every four never outlives an event a week away, and that is as it
//! should be, as long as its rotation works. So its end counts against an event only where that was not
//! seen: the last turn came in time and changed the key, the next one comes before the key ends, nothing
//! is suspended, and all copies are the same.

use super::config::{Config, Rotation};
use super::{LAST, NEXT, RUN, SUSPENSION, moment, reach, seconds};
use crate::collectors::credentials;
use crate::metric::Sample;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;

/// What was seen of the renewal of a credential.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors) enum Renewal {
    /// No rotation of the configuration renews it.
    Nobody,
    /// It is renewed before it ends, and by what.
    Proven(Message),
    /// It is not, and why.
    Refuted(Message),
    /// Whether it is cannot be seen, and why.
    Unseen(Message),
}

/// Whether a credential that ends at a second is renewed before, by the facts of rotations. A copy is
/// renewed with the credential that it is one of.
pub(in crate::collectors) fn renewal(config: &Config, credential: &str, ends: i64, seen: &Snapshot) -> Renewal {
    let copies = config.copies.iter().filter(|copies| copies.credentials.iter().any(|own| own == credential));
    let same: Vec<&str> = copies.clone().flat_map(|copies| &copies.credentials).map(String::as_str).chain([credential]).collect();
    let renews = |rotation: &&Rotation| rotation.renewed_credential().is_some_and(|own| same.contains(&own));
    let rotations: Vec<&Rotation> = config.rotations.iter().filter(renews).collect();
    if rotations.is_empty() {
        return Renewal::Nobody;
    }
    for copies in copies {
        let state = seen.samples_of(reach::COPIES.0.name).find(|sample| sample.label("copies") == Some(copies.name.as_str())).and_then(Sample::state);
        match state {
            Some("identical") => {}
            Some("different") => return Renewal::Refuted(say!("its copies {} differ", named(&copies.name))),
            _ => return Renewal::Unseen(say!("whether its copies {} are the same is not known", named(&copies.name))),
        }
    }
    // One that renews it is enough; of the others it is told why they do not.
    let mut found: Vec<Renewal> = rotations.into_iter().map(|rotation| by(config, rotation, ends, seen)).collect();
    found.sort_by_key(|renewal| match renewal {
        Renewal::Proven(_) => 0,
        Renewal::Unseen(_) => 1,
        Renewal::Refuted(_) | Renewal::Nobody => 2,
    });
    found.into_iter().next().unwrap_or(Renewal::Nobody)
}

/// The same of one rotation, of which every object must do its part.
fn by(config: &Config, rotation: &Rotation, ends: i64, seen: &Snapshot) -> Renewal {
    let name = rotation.name.as_str();
    let of = |family: &'static str| seen.samples_of(family).filter(move |sample| sample.label("rotation") == Some(name));
    let Some(credential) = rotation.renewed_credential() else { return Renewal::Nobody };
    let changed = credentials::last_changed(seen, credential);
    let earliest = credentials::changed_not_before(seen, credential);
    let mut proven = None;
    for run in of(RUN.0.name) {
        let own = |sample: &&Sample| sample.label("subject") == run.label("subject");
        let why = |text: &'static str| say!("rotation {} {}", named(name), text);
        match of(SUSPENSION.0.name).find(own).and_then(Sample::state) {
            Some("running") => {}
            // What runs as a service of its own cannot be suspended.
            None if !rotation.can_be_suspended() => {}
            Some("suspended_for_event" | "forgotten") => return Renewal::Refuted(why("is suspended")),
            _ => return Renewal::Unseen(why("cannot be seen")),
        }
        let is_under_way = match run.state() {
            Some("idle") => false,
            Some("running") => true,
            Some("slow") => return Renewal::Refuted(why("does not come to an end")),
            Some("failed") => return Renewal::Refuted(why("failed")),
            Some("missed") => return Renewal::Refuted(why("did not run when it was due")),
            _ => return Renewal::Unseen(why("cannot be seen")),
        };
        let last = of(LAST.0.name).find(own).map(Sample::second);
        let next = of(NEXT.0.name).filter(own).find(|sample| sample.label("bound") == Some("latest")).map(Sample::second);
        let (Some(last), Some(changed)) = (last, changed) else { return Renewal::Unseen(why("was not seen to change it")) };
        // One that is under way has not changed it yet; clocks of two machines differ by a little.
        let began = last.saturating_sub(CLOCKS);
        if !is_under_way && changed < began {
            return Renewal::Refuted(why("ran, and did not change it"));
        }
        if !is_under_way && earliest.is_none_or(|earliest| earliest < began) {
            return Renewal::Unseen(why("ran, and whether that changed it is not known, since other things are written where it is kept"));
        }
        let Some(next) = next else { return Renewal::Refuted(why("never runs again")) };
        let done = next.saturating_add(seconds(config.slow_after));
        if done > ends {
            return Renewal::Refuted(say!("rotation {} may be over no sooner than {}, which is after its end", named(name), named(&moment(done))));
        }
        proven = proven.max(Some(done));
    }
    proven.map_or_else(
        || Renewal::Unseen(say!("rotation {} cannot be seen", named(name))),
        |done| Renewal::Proven(say!("rotation {} renews it by {}", named(name), named(&moment(done)))),
    )
}

/// Seconds by which clocks of a cluster may differ.
const CLOCKS: i64 = 60;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::labels::Labels;
    use crate::snapshot::{Observation, Source, Store, Subjects};

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 3600;

    /// What is seen of a key that is renewed every four hours, two hours after the last time.
    struct Scene {
        suspension: &'static str,
        run: &'static str,
        last: Option<i64>,
        next: Option<i64>,
        changed: Option<i64>,
        copies: &'static str,
    }

    impl Scene {
        fn good() -> Self {
            let (last, next) = (Some(NOW - 2 * HOUR), Some(NOW + 2 * HOUR));
            Self { suspension: "running", run: "idle", last, next, changed: Some(NOW - 2 * HOUR + 9), copies: "identical" }
        }

        fn snapshot(&self) -> Snapshot {
            let labels = ["keys", "us/ws/rotate-key"];
            let mut samples = vec![reach::COPIES.sample(["both"], self.copies)];
            samples.extend((!self.run.is_empty()).then(|| RUN.sample(labels, self.run)));
            samples.extend((!self.suspension.is_empty()).then(|| SUSPENSION.sample(labels, self.suspension)));
            samples.extend(self.last.map(|at| LAST.sample(labels, at as f64)));
            samples.extend(self.next.map(|at| NEXT.sample([labels[0], labels[1], "latest"], at as f64)));
            samples.extend(self.changed.iter().flat_map(|at| credentials::changed_at("key", *at, Some(*at))));
            let (store, interval) = (Store::default(), Duration::from_mins(1));
            store.add(Source {
                collector: "rotations",
                name: "example".to_owned(),
                identity: Labels::default(),
                covers: Vec::new(),
                subjects: Subjects::Nothing,
                emits: Vec::new(),
                off: Vec::new().into(),
                reads: &[],
                interval,
                keep: interval * 3,
            });
            store.report("rotations", "example", Duration::ZERO, Ok(Observation::new(samples, 1, 0)));
            store.snapshot()
        }
    }

    fn config() -> Config {
        serde_saphyr::from_str("rotations: [{ name: keys, cron_jobs: rotate-key, credential: key }]\ncopies: [{ name: both, credentials: [key, copy] }]")
            .unwrap()
    }

    fn said(scene: &Scene, credential: &str, ends: i64) -> String {
        match renewal(&config(), credential, ends, &scene.snapshot()) {
            Renewal::Nobody => "nobody".to_owned(),
            Renewal::Proven(how) => format!("proven: {how}"),
            Renewal::Refuted(why) => format!("refuted: {why}"),
            Renewal::Unseen(why) => format!("unseen: {why}"),
        }
    }

    #[test]
    fn a_key_is_renewed_only_if_that_was_seen() {
        let ends = NOW + 6 * HOUR;
        for name in ["key", "copy"] {
            assert!(said(&Scene::good(), name, ends).starts_with("proven: rotation keys renews it by "), "{name}");
        }
        assert_eq!(said(&Scene::good(), "another", ends), "nobody");
        let cases = [
            (Scene { suspension: "forgotten", ..Scene::good() }, "refuted: rotation keys is suspended"),
            (Scene { suspension: "suspended_for_event", ..Scene::good() }, "refuted: rotation keys is suspended"),
            (Scene { suspension: "unknown", ..Scene::good() }, "unseen: rotation keys cannot be seen"),
            (Scene { suspension: "", ..Scene::good() }, "unseen: rotation keys cannot be seen"),
            (Scene { run: "failed", ..Scene::good() }, "refuted: rotation keys failed"),
            (Scene { run: "slow", ..Scene::good() }, "refuted: rotation keys does not come to an end"),
            (Scene { run: "missed", ..Scene::good() }, "refuted: rotation keys did not run when it was due"),
            (Scene { run: "unknown", ..Scene::good() }, "unseen: rotation keys cannot be seen"),
            (Scene { run: "", ..Scene::good() }, "unseen: rotation keys cannot be seen"),
            (Scene { last: None, ..Scene::good() }, "unseen: rotation keys was not seen to change it"),
            (Scene { changed: None, ..Scene::good() }, "unseen: rotation keys was not seen to change it"),
            // It ran on time, and left the key as it was.
            (Scene { changed: Some(NOW - 6 * HOUR), ..Scene::good() }, "refuted: rotation keys ran, and did not change it"),
            (Scene { next: None, ..Scene::good() }, "refuted: rotation keys never runs again"),
            (Scene { copies: "different", ..Scene::good() }, "refuted: its copies both differ"),
            (Scene { copies: "unknown", ..Scene::good() }, "unseen: whether its copies both are the same is not known"),
        ];
        for (scene, expected) in cases {
            assert_eq!(said(&scene, "key", ends), expected);
        }
        // Under way it has not changed the key yet.
        let under_way = Scene { run: "running", changed: Some(NOW - 6 * HOUR), ..Scene::good() };
        assert!(said(&under_way, "key", ends).starts_with("proven"));
    }

    #[test]
    fn the_next_turn_must_be_over_before_the_key_ends() {
        let late = seconds(config().slow_after);
        assert!(said(&Scene::good(), "key", NOW + 2 * HOUR + late).starts_with("proven"));
        assert!(said(&Scene::good(), "key", NOW + 2 * HOUR + late - 1).starts_with("refuted: rotation keys may be over no sooner than"));
    }
}
