//! What backups and snapshots are worth that nobody looks after, that run, or that failed.

use crate::collectors::kubernetes::kinds::volumes;
use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::tests::of_kinds::filled;
use crate::collectors::kubernetes::tests::{ago, place, rows, says, words};
use crate::metric::Sample;

fn line(sample: &Sample) -> String {
    format!("{} {}", words(sample), sample.detail.as_ref().map_or("", |detail| detail.as_str())).trim().to_owned()
}

#[test]
fn a_location_that_velero_does_not_look_at_is_not_known_to_be_there() {
    let location = |every: Value, age: i64, phase: &str| {
        let object = json!({ "metadata": { "name": "default" }, "spec": { "validationFrequency": every }, "status": { "phase": phase, "lastValidationTime": ago(age) } });
        rows::<locations::BackupStorageLocation>(&[object]).remove(0).rsplit(' ').next().unwrap().to_owned()
    };
    let every = |every: &str, age: i64| location(json!(every), age, "Available");
    assert_eq!([location(json!(null), 20 * 3600, "Available"), every("1m0s", 20 * 3600), every("12h", 130 * 3600)], ["NaN", "NaN", "NaN"]);
    assert_eq!([location(json!(null), 90, "Available"), every("1m0s", 3000), every("12h", 30 * 3600), every("0s", 9_000_000)], ["1", "1", "1", "1"]);
    assert_eq!(location(json!(null), 20 * 3600, "Unavailable"), "0");
    let untold = json!({ "metadata": { "name": "default" }, "status": { "phase": "Available" } });
    says(&rows::<locations::BackupStorageLocation>(&[untold]), "velero_location_available eu/default = 1");
}

fn backups(own: &[Value]) -> Vec<String> {
    let schedule = json!({ "metadata": { "name": "daily" }, "spec": { "schedule": "0 2 * * *" }, "status": { "phase": "Enabled" } });
    let mut samples = Vec::new();
    backups::last_made(&filled(own), &filled(&[schedule]), &backups::Need::default(), &place("Schedule"), &mut samples);
    samples.iter().map(line).collect()
}

fn backup(name: &str, phase: &str, begun: i64, more: &Value) -> Value {
    let mut backup =
        json!({ "metadata": { "name": name, "labels": { "velero.io/schedule-name": "daily" } }, "status": { "phase": phase, "startTimestamp": ago(begun) } });
    backup["status"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    backup
}

#[test]
fn a_backup_that_does_not_come_to_an_end_says_that_nobody_makes_them() {
    let good = |begun: i64| backup("good", "Completed", begun, &json!({ "completionTimestamp": ago(begun) }));
    let success =
        |own: &[Value]| backups(own).into_iter().find_map(|line| line.strip_prefix("velero_backup_last_success eu/daily = ").map(str::to_owned)).unwrap();
    let running = |begun: i64| backup("now", "InProgress", begun, &json!({}));
    assert_eq!(success(&[good(20 * 3600), running(19 * 3600)]), "NaN one has been running for 19h and does not come to an end");
    assert_eq!(success(&[good(20 * 3600), running(5 * 3600)]), "1 Completed");
    assert_eq!(success(&[good(3600), running(19 * 3600)]), "1 Completed", "a later one was made");
    let progress = |done: i64, all: i64| {
        let progress = json!({ "completionTimestamp": ago(60), "progress": { "itemsBackedUp": done, "totalItems": all } });
        success(&[backup("good", "Completed", 60, &progress)])
    };
    assert_eq!(progress(90, 90), "1 Completed");
    assert_eq!(progress(40, 90), "NaN it is said to be complete, with 40 of 90 objects");
}

#[test]
fn a_backup_past_its_time_is_none() {
    let completed = |expires: i64| {
        let own = backup("a", "Completed", 3600, &json!({ "completionTimestamp": ago(3600), "expiration": ago(expires) }));
        backups(&[own]).iter().any(|line| line == "velero_backup_last_completed_timestamp_seconds eu/daily = 0 of the newest one: it has expired")
    };
    assert_eq!((completed(60), completed(-60)), (true, false));
}

#[test]
fn a_snapshot_that_failed_is_none_and_one_that_is_being_taken_is_waited_for() {
    let claim = json!({ "metadata": { "name": "db", "creationTimestamp": ago(900_000) }, "spec": { "volumeName": "pv" }, "status": { "phase": "Bound" } });
    let of_db = json!({ "source": { "persistentVolumeClaimName": "db" } });
    let taken = |age: i64, more: &Value| {
        let mut status = json!({ "readyToUse": true, "creationTime": ago(age) });
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "metadata": { "name": format!("s{age}"), "creationTimestamp": ago(age) }, "spec": of_db, "status": status })
    };
    let told = |snapshots: &[Value]| {
        let mut samples = Vec::new();
        volumes::snapshots(&filled(std::slice::from_ref(&claim)), &filled(snapshots), "coder", &place("PersistentVolumeClaim"), &mut samples);
        samples.iter().map(line).collect::<Vec<_>>()
    };
    let newest = |snapshots: &[Value]| {
        told(snapshots).into_iter().find_map(|line| line.strip_prefix("volume_snapshot_last_ready_timestamp_seconds eu/coder/db = ").map(str::to_owned))
    };
    says(&told(&[taken(600, &json!({ "error": { "message": "Failed to create" } }))]), "volume_usable_snapshots eu/coder/db = 0");
    says(&told(&[taken(600, &json!({ "error": null }))]), "volume_usable_snapshots eu/coder/db = 1");
    let is = |seconds: i64| Some((clock::now() - seconds).to_string());
    let (yesterday, running) = (86_520, json!({ "readyToUse": false }));
    let old = taken(yesterday, &json!({}));
    assert_eq!(newest(&[old.clone(), taken(300, &running)]).as_deref(), Some("NaN the last one is a day old, and the next one has been running for 5m"));
    assert_eq!(newest(std::slice::from_ref(&old)), is(yesterday));
    assert_eq!(newest(&[old.clone(), taken(5 * 3600, &running)]), is(yesterday), "it does not come to an end");
    assert_eq!(newest(&[old, taken(300, &json!({ "readyToUse": false, "error": {} }))]), is(yesterday), "it failed");
    assert_eq!(newest(&[taken(60 * 3600, &json!({})), taken(300, &running)]), is(60 * 3600), "two were missed before");
}

#[test]
fn a_backup_of_nothing_in_no_place_or_that_ends_too_soon_is_none() {
    let now = clock::now();
    let told = |times: &str, more: &Value, location: &str| {
        let schedule = json!({ "metadata": { "name": "daily" }, "spec": { "schedule": times }, "status": { "phase": "Enabled" } });
        let mut own = backup("a", "Completed", 4000, &json!({ "completionTimestamp": ago(3900) }));
        own["status"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        own["spec"] = json!({ "storageLocation": location });
        let need = backups::Need { locations: Some(["default".to_owned()].into()), until: Some(now + 24 * 3600) };
        let mut samples = Vec::new();
        backups::last_made(&filled(&[own]), &filled(&[schedule]), &need, &place("Schedule"), &mut samples);
        let mut lines = samples.iter().map(line);
        let told = lines.find_map(|line| line.strip_prefix("velero_backup_last_completed_timestamp_seconds eu/daily = ").map(str::to_owned));
        told.unwrap().strip_prefix("0 of the newest one: ").map(str::to_owned)
    };
    let none = |why: &str| Some(why.to_owned());
    let hourly = "0 * * * *";
    let yearly = "0 0 29 2 *";
    assert_eq!(told(yearly, &json!({ "progress": { "totalItems": 900 } }), "default"), None);
    assert_eq!(told(yearly, &json!({ "progress": { "totalItems": 0 } }), "default"), none("there is nothing in it"));
    assert_eq!(told(yearly, &json!({}), "gone"), none("the location in which it lies does not exist"));
    let ends = |times: &str, hours: i64| told(times, &json!({ "expiration": ago(-3600 * hours) }), "default");
    assert_eq!((ends(yearly, 25), ends(yearly, -1)), (None, none("it has expired")));
    assert_eq!(ends(yearly, 6), none("it expires before an event is over and before the next one is surely done"));
    assert_eq!(ends(hourly, 6), None, "the next one is there by then");
}
