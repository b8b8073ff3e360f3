//! Backups of Velero.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::collectors::cron_job::JobSchedule;
use crate::collectors::kubernetes::reading::clock::now;
use crate::collectors::kubernetes::reading::objects::{Key, Kind, Place, Rows, flag, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::looked_at;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::{Message, named};
use crate::value::Span;
use crate::word::Word;

/// Where there is no schedule backups by hand are all there is, and no backup is news of a schedule.
const BACKUPS: Coverage = Coverage { quiet: false, ..looked_at(&["Backup", "Schedule"]) };
/// Where there is no schedule none is off; whether there are backups is asked of these.
const SCHEDULES: Coverage = looked_at(&["Schedule"]);

metrics! {
    /// Families about backups, but for where Velero keeps them.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about backups of Velero.
    pub(in crate::collectors::kubernetes) BACKUP_FAMILIES {
        static BACKUP_TIME: Gauge<2> = gauge(
            "readiness_velero_backup_last_completed_timestamp_seconds",
            Unit::Timestamp,
            &["cluster", "schedule"],
            "When the newest backup of a Velero schedule that can be restored completed: partial failure does not count, nor what is empty, has expired, expires before an event that is prepared for is over and before the next one is done, or lies in a location that does not exist, from the velero.io/v1 API. Without any schedule, of all backups. Beside a backup of the last day it is not told of a schedule that runs less often or is new, until four hours after a run of it was due.",
        )
        .covered_by(BACKUPS);
        static BACKUP_GOOD: Gauge<2> = gauge(
            "readiness_velero_backup_last_success",
            Unit::Flag,
            &["cluster", "schedule"],
            "Whether the newest finished backup of a Velero schedule has phase Completed and is not empty, from the velero.io/v1 API; NaN where it is said to have fewer objects than were found, or a later one has been running for half a day.",
        )
        .covered_by(BACKUPS);
    }

    /// Families about schedules of Velero.
    pub(in crate::collectors::kubernetes) SCHEDULE_FAMILIES {
        static SCHEDULE_ENABLED: Gauge<2> = gauge(
            "readiness_velero_schedule_enabled",
            Unit::Flag,
            &["cluster", "schedule"],
            "Whether a Velero schedule is enabled and not paused, from the velero.io/v1 API.",
        )
        .covered_by(SCHEDULES);
    }
}

kind!(Backup, "velero.io", "v1", "backups", "crate::collectors::kubernetes::reading::objects::labelled", spec: BackupSpec, status: BackupStatus);
kind!(Schedule, "velero.io", "v1", "schedules", "crate::collectors::kubernetes::reading::objects::slim", spec: ScheduleSpec, status: PhaseStatus);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct BackupSpec {
    storage_location: Option<String>,
}

/// How much Velero has found to back up.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Progress {
    total_items: Option<i64>,
    items_backed_up: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct BackupStatus {
    #[serde(default, deserialize_with = "or_default")]
    phase: String,
    start_timestamp: Option<Time>,
    completion_timestamp: Option<Time>,
    /// When it may be deleted.
    expiration: Option<Time>,
    progress: Option<Progress>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct ScheduleSpec {
    paused: Option<bool>,
    #[serde(default, deserialize_with = "or_default")]
    schedule: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct PhaseStatus {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) phase: String,
}

/// Every day there is a moment at which the copy of yesterday is a day old and that of today is not done. Words for
/// it, while nobody knows whether there is one of today.
pub(super) fn in_progress(last: Option<i64>, begun: Option<i64>, now: i64) -> Option<Message> {
    let is_due = last.is_some_and(|at| at <= now.saturating_sub(DAY) && at > now.saturating_sub(DAY + LONGEST));
    let begun = begun.filter(|begun| is_due && Some(*begun) > last && *begun > now.saturating_sub(LONGEST))?;
    let since = Span::secs(u64::try_from(now.saturating_sub(begun)).unwrap_or_default());
    Some(say!("the last one is a day old, and the next one has been running for {}", since))
}

/// What is kept of a backup.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Taken {
    schedule: String,
    phase: String,
    started: Option<i64>,
    completed: Option<i64>,
    expires: Option<i64>,
    /// Whether nothing was found that could be backed up.
    is_empty: bool,
    /// How many objects are in it and how many were found, where it says that these are not as many: it is told as complete
    /// once both numbers are the same.
    /// Source: `BackupWithResolvers` in <https://github.com/vmware-tanzu/velero/blob/main/pkg/backup/backup.go>
    partly: Option<[i64; 2]>,
    location: Option<String>,
}

/// Where and until when backups are needed.
#[derive(Debug, Clone, Default)]
pub(in crate::collectors::kubernetes) struct Need {
    /// The places that there are, unless that is not known.
    pub(in crate::collectors::kubernetes) locations: Option<BTreeSet<String>>,
    /// The end of the last event that is prepared for, on the cluster's clock.
    pub(in crate::collectors::kubernetes) until: Option<i64>,
}

impl Taken {
    fn is_finished(&self) -> bool {
        matches!(self.phase.as_str(), "Completed" | "PartiallyFailed" | "Failed" | "FailedValidation")
    }

    /// Why it cannot be restored, or could not while the events that are prepared for run, unless the next one is surely
    /// done by then. One that is past its time is deleted at any moment; with its place it is lost.
    fn lacks(&self, now: i64, plan: Option<&Plan>, need: &Need) -> Option<&'static str> {
        let is_lost = self.location.as_ref().is_some_and(|own| need.locations.as_ref().is_some_and(|all| !all.contains(own)));
        let ends_early = |at: i64| need.until.is_some_and(|until| at < until) && !plan.is_some_and(|plan| plan.is_done_by(now, at));
        match self.expires {
            _ if self.phase != "Completed" => Some("it is not complete"),
            _ if self.is_empty => Some("there is nothing in it"),
            _ if is_lost => Some("the location in which it lies does not exist"),
            Some(at) if at <= now => Some("it has expired"),
            Some(at) if ends_early(at) => Some("it expires before an event is over and before the next one is surely done"),
            _ => None,
        }
    }

    fn is_whole(&self) -> bool {
        self.phase == "Completed" && !self.is_empty
    }
}

impl Kind for Backup {
    type Row = Taken;
    const KIND: &'static str = "Backup";
    const FAMILIES: &'static [&'static [&'static Family]] = &[BACKUP_FAMILIES];

    fn row(self) -> Taken {
        let labels = self.metadata.labels.unwrap_or_default();
        let second = |time: Option<Time>| time.map(|time| time.0.as_second());
        Taken {
            schedule: labels.get("velero.io/schedule-name").cloned().unwrap_or_default(),
            phase: self.status.phase,
            started: second(self.status.start_timestamp),
            completed: second(self.status.completion_timestamp),
            expires: second(self.status.expiration),
            is_empty: self.status.progress.as_ref().is_some_and(|progress| progress.total_items == Some(0)),
            partly: self.status.progress.and_then(|progress| Some([progress.items_backed_up?, progress.total_items?])).filter(|[done, all]| done < all),
            location: self.spec.storage_location.filter(|name| !name.is_empty()),
        }
    }

    /// Whose backup it is can be told only together with the schedules.
    fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
}

/// What is kept of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Plan {
    phase: String,
    /// `None` for what cannot be read.
    times: Option<(JobSchedule, TimeZone)>,
    created: Option<i64>,
}

impl Plan {
    /// Whether no backup is due that is not there.
    fn is_served(&self, completed: Option<i64>, now: i64) -> bool {
        let due = completed.or(self.created).and_then(|since| self.next(since));
        due.is_some_and(|due| now < due.saturating_add(LONGEST))
    }

    /// Whether the backup that comes next is surely done by a moment.
    fn is_done_by(&self, now: i64, at: i64) -> bool {
        self.phase == "Enabled" && self.next(now).is_some_and(|due| due.saturating_add(LONGEST) <= at)
    }

    fn next(&self, since: i64) -> Option<i64> {
        let (times, zone) = self.times.as_ref()?;
        match times {
            JobSchedule::Times(times) => times.next(zone, since),
            JobSchedule::Every(seconds) => since.checked_add(*seconds),
        }
    }
}

/// When a schedule runs: in UTC unless it names a zone.
/// Source: <https://velero.io/docs/main/backup-reference/#schedule-a-backup>
fn times(schedule: &str) -> Option<(JobSchedule, TimeZone)> {
    let named = schedule.strip_prefix("CRON_TZ=").or_else(|| schedule.strip_prefix("TZ="));
    let (zone, schedule) = match named {
        Some(rest) => rest.split_once(' ').and_then(|(zone, rest)| Some((TimeZone::get(zone).ok()?, rest.trim())))?,
        None => (TimeZone::UTC, schedule),
    };
    Some((JobSchedule::parse(schedule)?, zone))
}

/// Seconds in which a backup that is due is expected to complete: those that Velero grants its operations.
/// Source: <https://velero.io/docs/main/customize-installation/> (`--default-item-operation-timeout`)
const LONGEST: i64 = 4 * 60 * 60;
/// Seconds after which nobody believes any more that a backup runs: thrice that.
const ENDLESS: i64 = 3 * LONGEST;
/// What a backup may be old at most, in seconds, for another schedule to run less often beside it.
pub(super) const DAY: i64 = 24 * 60 * 60;

/// The last backups of the schedules that there are: backups of a schedule that was deleted grow old, and
/// so do those that somebody made by hand. Where there is no schedule, backups by hand are all there is,
/// and count as those of a schedule without a name.
pub(in crate::collectors::kubernetes) fn last_made(backups: &Rows<Backup>, schedules: &Rows<Schedule>, need: &Need, place: &Place, samples: &mut Vec<Sample>) {
    let mut made: BTreeMap<&str, Vec<&Taken>> = schedules.iter().map(|(key, _)| (&*key.name, Vec::new())).collect();
    let unscheduled = made.is_empty();
    for (_, backup) in backups.iter() {
        if unscheduled {
            made.entry("").or_default().push(backup);
        } else if let Some(own) = made.get_mut(backup.schedule.as_str()) {
            own.push(backup);
        }
    }
    let now = now().saturating_add(place.clock.ahead());
    let plans: BTreeMap<&str, &Plan> = schedules.iter().map(|(key, plan)| (&*key.name, plan)).collect();
    let completed = |schedule: &str, backups: &[&Taken]| {
        let plan = plans.get(schedule).copied();
        backups.iter().filter(|backup| backup.lacks(now, plan, need).is_none()).filter_map(|backup| backup.completed).max()
    };
    let is_fresh = made.iter().filter_map(|(schedule, backups)| completed(schedule, backups)).any(|at| at > now.saturating_sub(DAY));
    for (schedule, backups) in made {
        let last = completed(schedule, &backups);
        // One that runs once a week beside one that runs every day, or that was made an hour ago, lacks nothing.
        let may_wait = is_fresh && last.is_none_or(|at| at <= now.saturating_sub(DAY));
        if !(may_wait && plans.get(schedule).is_some_and(|plan| plan.is_served(last, now))) {
            // A schedule that has never completed one is as old as time.
            let at = last.map_or(0, |at| at.saturating_sub(place.clock.ahead()));
            let sample = |at: f64| BACKUP_TIME.sample([&*place.cluster, schedule], at);
            let newest = backups.iter().filter(|backup| last.is_none() && backup.phase == "Completed").max_by_key(|backup| backup.completed);
            let lacks = newest.and_then(|newest| newest.lacks(now, plans.get(schedule).copied(), need));
            let begun = backups.iter().filter(|backup| backup.completed.is_none()).filter_map(|backup| backup.started).max();
            samples.push(match (in_progress(last, begun, now), lacks) {
                (Some(words), _) => sample(f64::NAN).with_detail(words),
                (None, Some(why)) => sample(at as f64).with_detail(say!("of the newest one: {}", why)),
                (None, None) => match age(last, now) {
                    Some(words) => sample(at as f64).with_detail(words),
                    None => sample(at as f64),
                },
            });
        }
        samples.extend(last_success(&backups, now).map(|(good, words)| BACKUP_GOOD.sample([&*place.cluster, schedule], good).with_detail(words)));
    }
}

/// How old the last backup is that is of no use any more, if there ever was one.
fn age(last: Option<i64>, now: i64) -> Option<Message> {
    let Some(last) = last else { return Some(say!("none is complete yet")) };
    let age = Span::secs(u64::try_from(now.saturating_sub(last)).unwrap_or_default());
    (last <= now.saturating_sub(DAY)).then(|| say!("the last one is {} old", age))
}

/// Whether the newest backup that is over is good; not known where a later one does not come to an end, since
/// whoever makes them may have stopped.
fn last_success(backups: &[&Taken], now: i64) -> Option<(f64, Message)> {
    let newest = backups.iter().filter(|backup| backup.is_finished()).max_by_key(|backup| backup.started.max(backup.completed));
    let last = newest.and_then(|newest| newest.started.max(newest.completed));
    let running = backups.iter().filter(|backup| !backup.is_finished()).filter_map(|backup| backup.started).filter(|begun| Some(*begun) > last).min();
    if let Some(begun) = running.filter(|begun| *begun < now.saturating_sub(ENDLESS)) {
        let since = Span::secs(u64::try_from(now.saturating_sub(begun)).unwrap_or_default());
        return Some((f64::NAN, say!("one has been running for {} and does not come to an end", since)));
    }
    newest.map(|newest| {
        if let Some([done, all]) = newest.partly.filter(|_| newest.is_whole()) {
            return (f64::NAN, say!("it is said to be complete, with {} of {} objects", done, all));
        }
        let words =
            if newest.phase == "Completed" && newest.is_empty { say!("it is complete, and there is nothing in it") } else { say!("{}", named(&newest.phase)) };
        (flag(newest.is_whole()), words)
    })
}

pub(in crate::collectors::kubernetes) fn phase_facts<'a>(
    rows: impl Iterator<Item = (&'a Key, &'a String)>,
    good: &str,
    family: &'static Gauge<2>,
    place: &Place,
    samples: &mut Vec<Sample>,
) {
    for (key, phase) in rows {
        let words = if phase.is_empty() { say!("no phase yet") } else { Word::of(phase).map_or_else(|| say!("an unknown phase"), |phase| say!("{}", phase)) };
        samples.push(family.sample([Arc::clone(&place.cluster), Arc::clone(&key.name)], flag(phase == good)).with_detail(words));
    }
}

impl Kind for Schedule {
    type Row = Plan;
    const KIND: &'static str = "Schedule";
    const FAMILIES: &'static [&'static [&'static Family]] = &[SCHEDULE_FAMILIES];

    fn row(self) -> Plan {
        Plan {
            phase: if self.spec.paused == Some(true) { "Paused".to_owned() } else { self.status.phase },
            times: times(&self.spec.schedule),
            created: self.metadata.creation_timestamp.map(|time| time.0.as_second()),
        }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        phase_facts(rows.iter().map(|(key, plan)| (key, &plan.phase)), "Enabled", &SCHEDULE_ENABLED, place, samples);
    }
}
