use std::time::Duration;

use super::*;
use crate::collectors::rotations::tests::of_key;
use crate::labels::Labels;
use crate::snapshot::{Observation, Source, Store, Subjects};

const HOUR: i64 = 3600;

/// What is seen of a key of twelve hours that is renewed every four, two hours after the last time.
struct Scene {
    schedule: &'static str,
    /// `None` where it is not known.
    suspension: Option<Suspension>,
    /// Whether anything is said of a suspension.
    can_be_suspended: bool,
    run: Option<Ran>,
    last: Option<i64>,
    changed: Option<i64>,
    /// Where it may have been changed earlier.
    earliest: Option<i64>,
    copies: Likeness,
    /// Whether somebody may have made it by hand.
    by_hand: bool,
}

impl Scene {
    fn good() -> Self {
        let changed = Some(LAST_TURN + 9);
        Self {
            schedule: "0 */4 * * *",
            suspension: Some(Suspension::Running),
            can_be_suspended: true,
            run: Some(Ran::Idle),
            last: Some(LAST_TURN),
            changed,
            earliest: changed,
            copies: Likeness::Identical,
            by_hand: false,
        }
    }

    /// A key that was changed then.
    fn changed(at: i64) -> Self {
        Self { changed: Some(at), earliest: Some(at), ..Self::good() }
    }

    fn snapshot(&self) -> Snapshot {
        let labels = ["keys", "us/ws/rotate-key"];
        let mut samples = vec![reach::COPIES.sample(["both"], self.copies)];
        samples.extend(self.run.map(|run| RUN.sample(labels, run)));
        let suspension = || self.suspension.map_or_else(|| SUSPENSION.unseen(labels), |state| SUSPENSION.sample(labels, state));
        samples.extend(self.can_be_suspended.then(suspension));
        samples.extend(self.last.map(|at| LAST.sample(labels, at as f64)));
        let (store, interval) = (Store::default(), Duration::from_mins(1));
        of_key(&store, self.changed.iter().flat_map(|at| credentials::changed_at("key", *at, self.earliest)).collect());
        store.add(Source {
            collector: "rotations",
            name: "example".to_owned(),
            identity: Labels::default(),
            covers: Vec::new(),
            subjects: Subjects::Nothing,
            emits: Vec::new(),
            off: Vec::new().into(),
            reads: &[],
            selectors: Vec::new(),
            interval,
            keep: interval * 3,
        });
        store.report("rotations", "example", Duration::ZERO, Ok(Observation::new(samples, 1, 0)));
        store.snapshot()
    }
}

/// Noon of a Thursday.
const LAST_TURN: i64 = 1_799_928_000;
const NOW: i64 = LAST_TURN + 2 * HOUR;

fn config() -> Config {
    serde_saphyr::from_str("rotations: [{ name: keys, cron_jobs: rotate-key, credential: key }]\ncopies: [{ name: both, credentials: [key, copy] }]").unwrap()
}

fn said(scene: &Scene, credential: &str, ends: i64) -> String {
    at(scene, credential, ends, NOW, NOW + 60 * HOUR)
}

fn at(scene: &Scene, credential: &str, ends: i64, now: i64, until: i64) -> String {
    by(&config(), scene, credential, ends, now, until)
}

fn by(config: &Config, scene: &Scene, credential: &str, ends: i64, now: i64, until: i64) -> String {
    let rules = |_: &Rotation| Rules::from([("us/ws/rotate-key".to_owned(), Rule::cron_job(scene.schedule, "", scene.last).unwrap())]);
    match (Case { config, credential, ends, seen: &scene.snapshot(), now, until, rules: &rules, doubts: &|_, _| scene.by_hand }).renewal() {
        Renewal::Nobody => "nobody".to_owned(),
        Renewal::Proven(how) => format!("proven: {how}"),
        Renewal::Refuted(why) => format!("refuted: {why}"),
        Renewal::Lapses(ends, why) => format!("lapses after {}h: {why}", (ends - NOW) / HOUR),
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
        (Scene { suspension: Some(Suspension::Forgotten), ..Scene::good() }, "refuted: rotation keys is suspended"),
        (Scene { suspension: Some(Suspension::SuspendedForEvent), ..Scene::good() }, "refuted: rotation keys is suspended"),
        (Scene { suspension: None, ..Scene::good() }, "unseen: rotation keys cannot be seen"),
        (Scene { can_be_suspended: false, ..Scene::good() }, "unseen: rotation keys cannot be seen"),
        (Scene { run: Some(Ran::Failed), ..Scene::good() }, "refuted: rotation keys failed"),
        (Scene { run: Some(Ran::Slow), ..Scene::good() }, "refuted: rotation keys does not come to an end"),
        (Scene { run: Some(Ran::Missed), ..Scene::good() }, "refuted: rotation keys did not run when it was due"),
        (Scene { run: Some(Ran::Unknown), ..Scene::good() }, "unseen: rotation keys cannot be seen"),
        (Scene { run: None, ..Scene::good() }, "unseen: rotation keys cannot be seen"),
        (Scene { last: None, ..Scene::good() }, "unseen: rotation keys was not seen to change it"),
        (Scene { changed: None, ..Scene::good() }, "unseen: rotation keys was not seen to change it"),
        // Somebody made a key by hand after it last ran.
        (Scene::changed(NOW - HOUR / 2), "unseen: rotation keys was not seen to change it: when it was last changed, nothing that renews it ran"),
        (
            Scene { schedule: "@every 4h", ..Scene::changed(LAST_TURN + 1200) },
            "unseen: rotation keys was not seen to change it: when it was last changed, nothing that renews it ran",
        ),
        (Scene { schedule: "@every 4h", ..Scene::good() }, "proven: rotation keys renews it by "),
        // It ran on time, and left the key as it was.
        (Scene::changed(NOW - 6 * HOUR), "refuted: rotation keys ran, and did not change it"),
        // Another key of its Secret was changed, or this one, by who writes both.
        (
            Scene { earliest: None, ..Scene::good() },
            "unseen: rotation keys ran, and whether that changed it is not known, since other things are written where it is kept",
        ),
        (
            Scene { earliest: Some(NOW - 90 * HOUR), ..Scene::good() },
            "unseen: rotation keys ran, and whether that changed it is not known, since other things are written where it is kept",
        ),
        (Scene { earliest: None, ..Scene::changed(NOW - 90 * HOUR) }, "refuted: rotation keys ran, and did not change it"),
        (Scene { schedule: "0 12 14 1 *", ..Scene::good() }, "refuted: rotation keys may be over no sooner than"),
        (Scene { copies: Likeness::Different, ..Scene::good() }, "refuted: its copies both differ"),
        (Scene { copies: Likeness::Unknown, ..Scene::good() }, "unseen: whether its copies both are the same is not known"),
    ];
    for (scene, expected) in cases {
        assert!(said(&scene, "key", ends).starts_with(expected), "{}\n{expected}", said(&scene, "key", ends));
    }
}

#[test]
fn a_run_that_is_not_over_has_not_changed_the_key_yet() {
    let before = Scene { run: Some(Ran::Running), ..Scene::changed(LAST_TURN - 4 * HOUR + 9) };
    assert!(said(&before, "key", NOW + 6 * HOUR).starts_with("proven"));
    // The one before it should have.
    let long_ago = Scene { run: Some(Ran::Running), ..Scene::changed(LAST_TURN - 8 * HOUR + 9) };
    assert_eq!(said(&long_ago, "key", NOW + 6 * HOUR), "refuted: rotation keys ran, and did not change it");
    // One that ended a minute ago, after the credential was looked at last.
    let ended = Scene::changed(LAST_TURN - 4 * HOUR + 9);
    let [soon, later] = [LAST_TURN + 60, LAST_TURN + 3601].map(|now| at(&ended, "key", LAST_TURN + 5 * HOUR, now, now + 60 * HOUR));
    assert!(soon.starts_with("proven") && later.starts_with("refuted"), "{soon}\n{later}");
}

#[test]
fn what_a_turn_made_may_be_on_its_way_for_a_bounded_time() {
    let (now, ends) = (LAST_TURN + 1800, LAST_TURN + 6 * HOUR);
    // Fifty minutes after the turn before, as external-secrets brought it.
    let synced = Scene::changed(LAST_TURN - 4 * HOUR + 3000);
    let said = |scene: &Scene, now: i64, ends: i64| at(scene, "key", ends, now, now + 60 * HOUR);
    let on_its_way = "unseen: rotation keys ran, and what it made has not arrived yet; arrives_within says how long it may be on its way";
    assert_eq!(said(&synced, now, ends), on_its_way);
    let refuted = "refuted: rotation keys ran, and did not change it";
    assert_eq!(said(&synced, LAST_TURN + 3601, ends), refuted, "an hour later it is none");
    assert_eq!(said(&synced, now, LAST_TURN + 3000), refuted, "it cannot wait for so long");
    assert_eq!(said(&Scene::changed(LAST_TURN - 8 * HOUR + 3000), now, ends), refuted, "the turn before brought nothing");
    // Where it is written down, that is how long, for what was made and for what comes.
    let mut patient = config();
    patient.rotations[0].arrives_within = Some(Span::hours(1));
    let patiently = |scene: &Scene, now: i64, ends: i64| by(&patient, scene, "key", ends, now, now + 60 * HOUR);
    assert!(patiently(&synced, now, ends).starts_with("proven: rotation keys renews it by 2027-01-14 17:10 UTC"), "{}", patiently(&synced, now, ends));
    assert!(patiently(&Scene::changed(LAST_TURN + 3000), NOW, ends).starts_with("proven"));
    assert_eq!(patiently(&synced, LAST_TURN + 4201, ends), refuted);
    assert!(patiently(&synced, now, LAST_TURN + 5 * HOUR).starts_with("refuted: rotation keys may be over no sooner than"));
    // What may arrive until the next turn comes may be anybody's.
    patient.rotations[0].arrives_within = Some(Span::hours(4));
    let anything = "unseen: rotation keys may take so long to arrive that any change before its next turn would count as its own; shorten arrives_within";
    assert_eq!(by(&patient, &Scene::good(), "key", NOW + 6 * HOUR, NOW, NOW + 60 * HOUR), anything);
}

#[test]
fn no_pause_until_the_event_is_over_may_be_longer_than_a_key_lives() {
    let ends = LAST_TURN + 8 * HOUR;
    let thursday = Scene { schedule: "0 */4 * * 4", ..Scene::good() };
    let said = |scene: &Scene, hours: i64| at(scene, "key", ends, NOW, NOW + hours * HOUR);
    assert_eq!(
        said(&thursday, 30),
        "lapses after 13h: rotation keys runs at 2027-01-14 20:00 UTC and is surely over again only at 2027-01-21 00:10 UTC, while what it makes lives for 7h 59m 51s"
    );
    assert!(said(&thursday, 13).starts_with("proven"), "the event is over by then");
    assert!(said(&Scene::good(), 24 * 60).starts_with("proven"));
    assert!(said(&Scene { schedule: "*/2 * * * *", last: Some(NOW - 600), ..Scene::changed(NOW - 590) }, 24 * 365).starts_with("proven"), "in strides");
}

#[test]
fn a_key_may_be_left_alone_while_it_is_young_if_two_turns_come_when_it_is_due() {
    // A day of life, made five hours ago by a job that comes every hour.
    let hourly = |made: i64| Scene { schedule: "0 * * * *", last: Some(NOW), ..Scene::changed(made) };
    let after = |hours: i64, made: i64| {
        let now = NOW + hours * HOUR;
        at(&Scene { last: Some(now - 900), ..hourly(made) }, "key", made + 24 * HOUR, now, now + 60 * HOUR)
    };
    let made = NOW - 5 * HOUR + 20;
    for hours in [0, 5, 11] {
        assert!(after(hours, made).starts_with("proven: rotation keys renews it by 2027-01-15 02:10"), "{hours}: {}", after(hours, made));
    }
    // Two thirds of it are over, and the next turn has come.
    for hours in [13, 15, 18] {
        assert_eq!(after(hours, made), "refuted: rotation keys ran, and did not change it", "{hours}");
    }
    // By hand, and between two turns.
    assert!(after(0, NOW - 5 * HOUR + 1800).starts_with("refuted"));
    // When it was made is not known.
    let unknown = Scene { earliest: None, ..hourly(made) };
    assert!(at(&unknown, "key", made + 24 * HOUR, NOW + 900, NOW + 60 * HOUR).starts_with("unseen"));
}

#[test]
fn the_next_turn_must_be_over_before_the_key_ends() {
    let late = seconds(config().slow_after);
    let said = |scene: &Scene, name: &str, ends: i64| at(scene, name, ends, NOW, NOW);
    assert!(said(&Scene::good(), "key", NOW + 2 * HOUR + late).starts_with("proven"));
    assert!(said(&Scene::good(), "key", NOW + 2 * HOUR + late - 1).starts_with("refuted: rotation keys may be over no sooner than"));
}
