use std::time::Duration;

use jiff::Timestamp;

use super::forecast::{Forecast, Look};
use super::metrics::{Ran, Suspension};
use super::*;
use crate::collectors::kubernetes::CronJobFacts;
use crate::snapshot::{Observation, Snapshot, Store};

const HOUR: i64 = 3600;
/// Noon.
const NOW: i64 = 1_799_928_000;

/// How a CronJob of every four hours went, which last ran a day ago.
fn told(resumed: Option<(i64, bool)>) -> String {
    told_of(every_four_hours(Some(NOW - 24 * HOUR), resumed))
}

/// A CronJob of every four hours that was made a month ago.
fn every_four_hours(last: Option<i64>, resumed: Option<(i64, bool)>) -> CronJobFacts {
    CronJobFacts {
        subject: "us/ws/rotate-key".to_owned(),
        schedule: "0 */4 * * *".to_owned(),
        time_zone: String::new(),
        suspended: false,
        created: Some(NOW - 30 * 24 * HOUR),
        last,
        active: false,
        succeeded: None,
        failed: false,
        resumed,
    }
}

/// How a CronJob went.
fn told_of(job: CronJobFacts) -> String {
    let config: Config = serde_saphyr::from_str("rotations: [{ name: keys, cron_jobs: rotate-key }]").unwrap();
    let (state, seen, now) = (State::open(None), Snapshot::default(), Timestamp::from_second(NOW + 2 * HOUR).unwrap());
    let look = Look { config: &config, rotation: &config.rotations[0], state: &state, seen: &seen, now, until: NOW };
    let run = look.run(&look.cron_job(job), now.as_second());
    format!("{}: {}", run.state().unwrap(), run.detail.map(|detail| detail.to_string()).unwrap_or_default())
}

#[test]
fn what_was_due_while_a_cron_job_was_suspended_is_not_missed() {
    assert_eq!(told(None), "missed: it was due at 2027-01-13 16:00 UTC");
    assert_eq!(told(Some((NOW + HOUR, true))), "idle: ", "for the event, until an hour ago");
    assert_eq!(told(Some((NOW - HOUR, true))), "missed: it was due at 2027-01-14 12:00 UTC", "the turn after that");
    assert_eq!(told(Some((NOW - 25 * HOUR, false))), "missed: it was due at 2027-01-13 16:00 UTC", "it was written to before");
    let unknown = "unknown: it did not run at 2027-01-13 16:00 UTC, and was written to after that: whether it was suspended then cannot be told";
    assert_eq!(told(Some((NOW + HOUR, false))), unknown);
}

/// Who was never started is as late as who was started once: its controller begins with when it was made.
#[test]
fn a_cron_job_that_never_ran_is_missed_once_its_first_turn_is_over() {
    let never = |created: Option<i64>, resumed| CronJobFacts { created, ..every_four_hours(None, resumed) };
    let month = Some(NOW - 30 * 24 * HOUR);
    assert_eq!(told_of(never(month, None)), "missed: it was due at 2026-12-15 16:00 UTC");
    assert_eq!(told_of(never(Some(NOW + HOUR), None)), "idle: ", "its first turn comes in two hours");
    assert_eq!(told_of(never(month, Some((NOW + HOUR, true)))), "idle: ", "it was suspended until then");
    assert_eq!(told_of(never(month, Some((NOW - HOUR, true)))), "missed: it was due at 2027-01-14 12:00 UTC");
    assert_eq!(told_of(never(None, None)), "unknown: neither when it last ran nor when it was made is known");
    assert_eq!(told_of(CronJobFacts { suspended: true, ..never(month, None) }), "idle: ");
    // One that succeeded and of which no start is told was started by then.
    let succeeded = |at: i64| told_of(CronJobFacts { succeeded: Some(at), ..never(None, None) });
    assert_eq!(succeeded(NOW - 24 * HOUR), "missed: it was due at 2027-01-13 16:00 UTC");
    assert_eq!(succeeded(NOW + HOUR), "idle: ");
}

/// Adds the source of the credential `key` with these facts.
pub(super) fn of_key(store: &Store, samples: Vec<crate::metric::Sample>) {
    store.add(Source { subjects: Subjects::Nothing, ..Source::new(credentials::NAME, "key", Duration::from_mins(1)) });
    store.report(credentials::NAME, "key", Duration::ZERO, Ok(Observation::new(samples, 1, 0)));
}

/// A key of six hours that nothing but its own changes tells of, and that is said to be renewed every four or five.
fn by_changes(changes: &[i64]) -> Renewal {
    let config: Config = serde_saphyr::from_str("rotations: [{ name: keys, every: { min: 4h, max: 5h, credential: key } }]").unwrap();
    let (state, latest) = (Arc::new(State::open(None)), *changes.last().unwrap());
    let (store, interval) = (Store::default(), Duration::from_mins(1));
    store.add(Source { subjects: Subjects::Nothing, ..Source::new(NAME, "example", interval) });
    let labels = ["keys", ""];
    let samples = vec![RUN.sample(labels, Ran::Idle), LAST.sample(labels, latest as f64)];
    of_key(&store, credentials::changed_at("key", latest, Some(latest)));
    store.report(NAME, "example", Duration::ZERO, Ok(Observation::new(samples, 1, 0)));
    let now = Timestamp::from_second(NOW + HOUR).unwrap();
    for at in changes {
        state.last_rotation("keys", "key", Some(*at), now);
    }
    Renewals { config, schedules: Vec::new(), state }.of("key", latest + 6 * HOUR, &store.snapshot(), now)
}

#[test]
fn one_change_is_no_proof_of_an_interval_and_two_that_are_one_apart_are() {
    let once = by_changes(&[NOW]);
    assert!(matches!(&once, Renewal::Unseen(why) if why.as_str().starts_with("rotation keys was seen to change it once")), "{once:?}");
    assert!(matches!(by_changes(&[NOW - 4 * HOUR - 300, NOW]), Renewal::Proven(_)));
    assert!(matches!(by_changes(&[NOW - HOUR, NOW]), Renewal::Unseen(_)), "by hand, between two turns");
    assert!(matches!(by_changes(&[NOW - 9 * HOUR, NOW]), Renewal::Unseen(_)), "one turn was missed");
}

/// What is said of the renewal of a key of a day by a job of every hour that does nothing else now, an hour after noon,
/// when the key was changed at these moments with a tool of people and the job last succeeded then.
pub(super) fn by_hand(changes: &[i64], succeeded: Option<i64>) -> String {
    const JOBS: &str = "readiness_cronjob_schedule_info";
    let config: Config = serde_saphyr::from_str("rotations: [{ name: keys, cron_jobs: jobs, credential: key }]").unwrap();
    let (state, latest) = (Arc::new(State::open(None)), *changes.last().unwrap());
    let (schedule, now) = if succeeded.is_some() { ("0 */4 * * *", NOW + HOUR) } else { ("0 * * * *", NOW + 900) };
    let now = Timestamp::from_second(now).unwrap();
    let seen = |at: i64| {
        let (store, interval) = (Store::default(), Duration::from_mins(1));
        let covers = vec![("selector", vec!["jobs".to_owned()])];
        store.add(Source { subjects: Subjects::Nothing, emits: vec![JOBS], covers, ..Source::new(NAME, "example", interval) });
        let labels = ["keys", "eu/ws/rotate-key"];
        let mut samples = vec![RUN.sample(labels, Ran::Idle), LAST.sample(labels, NOW as f64), SUSPENSION.sample(labels, Suspension::Running)];
        of_key(&store, credentials::changed_at("key", at, Some(at)).into_iter().chain([credentials::changed_by_hand("key")]).collect());
        samples.extend(kubernetes::cron_job_facts("jobs", schedule, NOW, succeeded));
        store.report(NAME, "example", Duration::ZERO, Ok(Observation::new(samples, 1, 0)));
        store.snapshot()
    };
    let forecast = Forecast { config: config.clone(), schedules: Vec::new(), state: Arc::clone(&state) };
    for at in changes {
        forecast.forecast(&seen(*at), now);
    }
    match (Renewals { config, schedules: Vec::new(), state }).of("key", latest + 24 * HOUR, &seen(latest), now) {
        Renewal::Proven(_) => "proven".to_owned(),
        Renewal::Unseen(why) => format!("unseen: {why}"),
        other => format!("{other:?}"),
    }
}

/// Whoever plans around a window must know all of it, and not only from when on.
#[test]
fn a_window_is_told_with_both_its_ends() {
    let said = |rotation: &str| {
        let config: Config = serde_saphyr::from_str(&format!("rotations: [{{ name: r, {rotation} }}]")).unwrap();
        let event = "{ name: w, time_zone: UTC, start: 2026-11-27T20:00, duration: 2h }";
        let schedules = vec![Schedule::parse(&serde_saphyr::from_str(event).unwrap()).unwrap()];
        let forecast = Forecast { config, schedules, state: Arc::new(State::open(None)) };
        let samples = forecast.forecast(&Snapshot::default(), "2026-11-26T00:00:00Z".parse().unwrap());
        let told = samples.iter().find(|sample| sample.family.name == CONFLICT.0.name).unwrap();
        format!("{}: {}", told.state().unwrap(), told.detail.as_ref().map_or("", Message::as_str))
    };
    let day = "2026-11-27";
    let ends = |from: &str, until: &str, over: &str| {
        format!("at some moment between {day} {from} UTC and {day} {until} UTC, and what that stirs up may last until {day} {over} UTC")
    };
    assert_eq!(said("schedule: '0 20 * * FRI', duration: 1h"), format!("conflict: it rotates {}", ends("20:00", "21:00", "21:08")));
    // It began long before the event, and may happen until a moment before it.
    assert_eq!(said("schedule: '0 10 * * FRI', duration: 10h"), format!("possible: it may rotate {}", ends("10:00", "20:00", "20:08")));
    let exactly = format!("conflict: it rotates at {day} 21:00 UTC, and what that stirs up may last until {day} 21:08 UTC");
    assert_eq!(said("schedule: '0 21 * * FRI'"), exactly);
    assert_eq!(said("schedule: '0 10 * * FRI', duration: 1h"), "none: ");
}
