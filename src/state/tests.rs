use super::*;
use std::collections::BTreeSet;

use crate::lasting::Since;

const NOW: i64 = 1_764_000_000;

const PATIENCE: Duration = Duration::from_mins(1);

/// Once the disk was quick.
fn open(path: Option<PathBuf>) -> State {
    let state = State::open(path);
    assert!(state.settle(PATIENCE));
    state
}

fn last(state: &State, observed: Option<i64>) -> Option<i64> {
    let last = state.last_rotation("keys", "us/a", observed, Timestamp::from_second(NOW).unwrap());
    assert!(state.settle(PATIENCE));
    last
}

#[test]
fn what_was_observed_survives_a_restart_and_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = Some(folder.path().join("state.json"));
    let state = open(path.clone());
    assert_eq!(state.health().0, Health::New);
    assert_eq!(last(&state, None), None);
    assert_eq!(last(&state, Some(NOW - 7200)), Some(NOW - 7200));
    assert_eq!(state.rotation_before("keys", "us/a"), None);
    assert_eq!(last(&state, Some(NOW - 60)), Some(NOW - 60));
    let again = open(path.clone());
    assert_eq!((again.health().0, again.rotation_before("keys", "us/a")), (Health::Read, Some(NOW - 7200)));
    assert_eq!(last(&again, None), Some(NOW - 60), "a CronJob that was made anew forgets when it last ran");
    assert_eq!(last(&again, Some(NOW - 3600)), Some(NOW - 60));
    assert_eq!(last(&again, Some(NOW + 86_400)), Some(NOW - 60), "a clock that was wrong");
    assert_eq!(again.last_rotation("other", "us/a", None, Timestamp::from_second(NOW).unwrap()), None);
    assert!(!folder.path().join("state.new").exists());
}

#[test]
fn a_glance_knows_what_is_remembered_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    last(&open(Some(path.clone())), Some(NOW - 60));
    let before = std::fs::read(&path).unwrap();
    let glance = State::glance(Some(&path));
    assert_eq!(last(&glance, None), Some(NOW - 60));
    assert_eq!(last(&glance, Some(NOW)), Some(NOW));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_file(&path).unwrap();
    last(&State::glance(Some(&path)), Some(NOW));
    assert!(!path.exists());
}

#[test]
fn a_file_that_cannot_be_trusted_is_reported_and_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    last(&open(Some(path.clone())), Some(NOW - 60));
    let good = std::fs::read_to_string(&path).unwrap();
    let edited = good.replace(&(NOW - 60).to_string(), &(NOW - 10).to_string());
    assert_ne!(edited, good);
    let newer = good.replace("\"version\":5", "\"version\":6");
    for bad in [edited.as_str(), &newer, &good[..good.len() / 2], "", "{}", "\u{0}"] {
        std::fs::write(&path, bad).unwrap();
        let state = open(Some(path.clone()));
        assert_eq!(state.health().0, Health::Rebuilt, "{bad}");
        assert_eq!(last(&state, None), None);
        assert_eq!(open(Some(path.clone())).health().0, Health::Read, "it was begun anew");
    }
}

#[test]
fn since_when_lines_are_red_is_read_again_and_an_older_file_is_read_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let now = Timestamp::from_second(NOW).unwrap();
    let since = BTreeMap::from([(u64::MAX, Since { at: NOW - 90, at_least: false }), (7, Since { at: NOW - 60, at_least: true })]);
    let lines = vec![Lines { checklist: "c".to_owned(), event: Some("e".to_owned()), check: "Red".to_owned(), since }];
    let state = open(Some(path.clone()));
    let labels = [("target", "shop")].into();
    let seen = vec![crate::history::Seen { state: "fail", labels: &labels, evidence: "down." }];
    let first = BTreeSet::new();
    let mut verdicts =
        [Verdicts { at: now, checklist: "c", event: Some("e"), states: vec![(None, "no_go")], lines: vec![("Red", &seen)], first, left: BTreeMap::new() }];
    state.record(&mut verdicts, lines.clone());
    assert!(state.settle(PATIENCE));
    let again = open(Some(path.clone()));
    assert_eq!((again.health().0, again.lasting(now)), (Health::Read, lines));
    assert_eq!(again.changes(now).last().and_then(|change| change.subject.clone()).as_deref(), Some("shop"));
    let older = serde_json::json!({ "rotations": { "keys us/a": NOW - 60 }, "history": { "last": {}, "changes": [] } });
    let older = serde_json::value::to_raw_value(&older).unwrap();
    let sealed = Sealed { version: 1, sha256: hash(older.get()), kept: older };
    std::fs::write(&path, serde_json::to_string(&sealed).unwrap()).unwrap();
    let upgraded = open(Some(path));
    assert_eq!((upgraded.health().0, last(&upgraded, None)), (Health::Read, Some(NOW - 60)));
}

#[test]
fn a_folder_that_cannot_be_written_to_is_known_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/state.json");
    let state = open(Some(path.clone()));
    assert_eq!(state.health().0, Health::Unwritable);
    assert_eq!(last(&state, Some(NOW)), Some(NOW), "it is remembered all the same");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    assert_eq!(last(&state, Some(NOW)), Some(NOW));
    assert_eq!(state.health().0, Health::New, "mended, and written");
    assert_eq!(last(&open(Some(path)), None), Some(NOW));
}

/// A pipe beside the file, where its next content is written first, is a disk that hangs.
#[test]
fn a_disk_that_hangs_delays_nobody_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    last(&open(Some(path.clone())), Some(NOW - 60));
    let pipe = path.with_extension("new");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let begun = tokio::time::Instant::now();
    let state = State::open(Some(path.clone()));
    for ago in (0..50).rev() {
        let at = state.last_rotation("keys", "us/a", Some(NOW - ago), Timestamp::from_second(NOW).unwrap());
        assert_eq!(at, Some(NOW - ago), "it is remembered all the same");
    }
    assert!(!state.settle(Duration::from_millis(10)));
    assert!(begun.elapsed() < OPENING * 5, "it took {:?}", begun.elapsed());
    // Whoever reads the pipe lets the write end; its place is free for the next one.
    let aside = folder.path().join("pipe");
    std::fs::rename(&pipe, &aside).unwrap();
    assert!(!std::fs::read(aside).unwrap().is_empty());
    assert!(state.settle(PATIENCE), "the disk is back, and what is latest was written");
    assert_eq!(last(&open(Some(path)), None), Some(NOW));
}

#[test]
fn what_is_read_late_comes_before_what_was_seen_since() {
    let mut kept = Kept { rotations: BTreeMap::from([("a".to_owned(), 5), ("b".to_owned(), 5)]), ..Kept::default() };
    kept.follow(Kept { rotations: BTreeMap::from([("b".to_owned(), 7), ("a".to_owned(), 3), ("c".to_owned(), 1)]), ..Kept::default() });
    assert_eq!(kept.rotations.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 5), ("b".to_owned(), 7), ("c".to_owned(), 1)]);
}

#[test]
fn only_a_regular_file_of_some_size_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    assert_eq!(read(&path).unwrap_err().to_string(), format!("read state file {}: it is no regular file", path.display()));
    std::fs::remove_file(&path).unwrap();
    std::fs::File::create(&path).unwrap().set_len(LARGEST + 1).unwrap();
    assert!(read(&path).unwrap_err().to_string().contains("it is larger than"));
}

#[test]
fn fuzz_a_state_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    last(&open(Some(path.clone())), Some(NOW - 60));
    let good = std::fs::read(&path).unwrap();
    crate::fuzz::survive(&[&good], |bytes| {
        std::fs::write(&path, bytes).unwrap();
        // Whatever is believed is what was written.
        if let Ok(Some(kept)) = read(&path) {
            assert_eq!(kept.rotations.into_iter().collect::<Vec<_>>(), [("keys us/a".to_owned(), NOW - 60)]);
        }
    });
}
