//! What must outlive the process: when things last rotated, how verdicts and lines changed, and since when lines are not good.
//! One small file, optional, written as a
//! whole or not at all. A file that cannot be trusted is reported and begun anew.
//!
//! Holds names, times and the sentences of lines; nothing of a credential.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::cause::Cause as _;
use crate::files::{self, ReadError};
use crate::history::{Change, History, Verdicts};
use crate::lasting::{Lasting, Lines};
use crate::metric::states;
use crate::say;
use crate::say::Message;
use crate::writer::Writer;

/// Larger than any that this program writes.
const LARGEST: u64 = 4 << 20;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Kept {
    /// When something last rotated, in Unix seconds, by rotation and subject.
    rotations: BTreeMap<String, i64>,
    /// When it did the time before.
    rotations_before: BTreeMap<String, i64>,
    /// How verdicts changed.
    history: History,
    /// Since when lines are not good.
    lasting: Lasting,
}

/// The file: what is kept, and a hash by which a file that was cut off or edited is recognised.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u32,
    sha256: String,
    /// As it stands in the file, which is what the hash is of.
    kept: Box<RawValue>,
}

const VERSION: u32 = 5;
/// The oldest one that is read: it knows nothing of lines, of rotations before the last, of what reloads took out of sight nor of how lines changed, and else says the same.
const OLDEST: u32 = 1;

states! {
    /// How the file was found, or that it cannot be written.
    pub enum Health {
        /// It was read, and what it says holds.
        Read => "read": "the state file was read, and what it says holds",
        /// There was none, as at the first start.
        New => "new": "there was no state file when the exporter started, and it was begun",
        /// It could not be trusted and was begun anew.
        Rebuilt => "rebuilt",
        /// It cannot be written now.
        Unwritable => "unwritable",
    }
}

/// Remembers across restarts, where a file is configured, else until the process ends.
///
/// The file is read and written on a thread of its own, always as it is then: whoever remembers
/// something waits for no disk.
#[derive(Debug)]
pub struct State {
    file: Option<(PathBuf, Writer)>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    kept: Kept,
    /// `None` until the file was read.
    found: Option<Health>,
    why: Option<Message>,
    unwritten: Option<Message>,
}

/// How long the start waits for the file. What comes later is taken in then.
const OPENING: Duration = Duration::from_secs(1);

impl State {
    /// What the file says, for a process that only looks once: it never writes, since that would undo
    /// what a running exporter remembers beside it.
    pub fn glance(path: Option<&Path>) -> Self {
        let inner = Arc::new(Mutex::new(Inner { kept: Kept::default(), found: Some(Health::New), why: None, unwritten: None }));
        if let Some(path) = path.map(Path::to_owned) {
            let seen = Arc::clone(&inner);
            let reader = Writer::new("state-file", move || {
                if let Ok(Some(kept)) = read(&path) {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).kept = kept;
                }
            });
            reader.wake();
            reader.settle(OPENING);
        }
        Self { file: None, inner }
    }

    /// Reads the file, if one is configured. Never fails: what cannot be trusted is not used.
    pub fn open(path: Option<PathBuf>) -> Self {
        let found = path.is_none().then_some(Health::New);
        let inner = Arc::new(Mutex::new(Inner { kept: Kept::default(), found, why: None, unwritten: None }));
        let file = path.map(|path| {
            let (own, inner) = (path.clone(), Arc::clone(&inner));
            (path, Writer::new("state-file", move || exchange(&own, &inner)))
        });
        if let Some((_, writer)) = &file {
            // Written at once, so that a folder that cannot be written to is known now and not after
            // the first rotation.
            writer.wake();
            writer.settle(OPENING);
        }
        Self { file, inner }
    }

    /// Where the file is.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// How the file is, with a reason for people.
    pub fn health(&self) -> (Health, Option<Message>) {
        let late = self.file.as_ref().filter(|(_, writer)| writer.is_late());
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match (&inner.unwritten, inner.found, late) {
            (Some(why), _, _) => (Health::Unwritable, Some(why.clone())),
            (None, _, Some((path, _))) => (Health::Unwritable, Some(say!("read or write state file {}: it does not end", path.display()))),
            (None, None, None) => (Health::Unwritable, Some(say!("the state file was not read yet"))),
            (None, Some(found), None) => (found, inner.why.clone()),
        }
    }

    /// The later one of what was observed and what is remembered, which is then remembered. What lies
    /// after `now` was observed with a clock that was wrong, and is forgotten.
    pub fn last_rotation(&self, rotation: &str, subject: &str, observed: Option<i64>, now: Timestamp) -> Option<i64> {
        let key = format!("{rotation} {subject}");
        let past = |at: &i64| *at <= now.as_second() + 60;
        let mut last = None;
        self.change(|kept| {
            let before = kept.rotations.get(&key).copied();
            last = [before, observed].into_iter().flatten().filter(past).max();
            if let Some(before) = before.filter(|before| last.is_some_and(|last| last > *before)) {
                kept.rotations_before.insert(key.clone(), before);
            }
            match last {
                Some(at) => kept.rotations.insert(key, at) != Some(at),
                None => kept.rotations.remove(&key).is_some(),
            }
        });
        last
    }

    /// When something rotated before the last time, if both were seen.
    pub fn rotation_before(&self, rotation: &str, subject: &str) -> Option<i64> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.kept.rotations_before.get(&format!("{rotation} {subject}")).copied()
    }

    /// Remembers how verdicts changed, and since when lines are not good.
    pub fn record(&self, judged: &mut [Verdicts<'_>], lines: Vec<Lines>) {
        let at = judged.first().map(|first| first.at);
        self.change(|kept| {
            let changed = kept.history.record(judged);
            at.is_some_and(|at| kept.lasting.record(at, lines)) || changed
        });
    }

    /// Since when lines were not good when somebody judged last.
    pub fn lasting(&self, now: Timestamp) -> Vec<Lines> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).kept.lasting.at(now)
    }

    /// How verdicts changed from a moment on, oldest first.
    pub fn changes(&self, since: Timestamp) -> Vec<Change> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.kept.history.since(since).into_iter().cloned().collect()
    }

    /// Waits on this thread until everything is written; whether that was in time.
    pub fn settle(&self, within: Duration) -> bool {
        self.file.as_ref().is_none_or(|(_, writer)| writer.settle(within))
    }

    fn change(&self, change: impl FnOnce(&mut Kept) -> bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // What could not be written is tried again with the next change, whatever that is.
        let changed = change(&mut inner.kept) || inner.unwritten.is_some();
        drop(inner);
        if let Some((_, writer)) = self.file.as_ref().filter(|_| changed) {
            writer.wake();
        }
    }
}

/// Takes in what the file says, once, and writes what is remembered. Until it was read it is not
/// written, which would undo what it says.
fn exchange(path: &Path, inner: &Mutex<Inner>) {
    let lock = || inner.lock().unwrap_or_else(PoisonError::into_inner);
    if lock().found.is_none() {
        let (kept, found, why) = match read(path) {
            Ok(None) => (Kept::default(), Health::New, None),
            Ok(Some(kept)) => (kept, Health::Read, None),
            Err(why) => {
                tracing::error!("{why}; beginning anew");
                (Kept::default(), Health::Rebuilt, Some(why))
            }
        };
        let mut inner = lock();
        inner.kept.follow(kept);
        (inner.found, inner.why) = (Some(found), why);
    }
    // Of thousands of lines a copy would be larger than their text.
    let kept = serde_json::value::to_raw_value(&lock().kept);
    let outcome = kept.map_err(Into::into).and_then(|kept| write(path, kept)).map_err(|error| say!("write state file {}: {}", path.display(), error.words()));
    let mut inner = lock();
    if let (Err(why), None) = (&outcome, &inner.unwritten) {
        tracing::error!("{why}");
    }
    inner.unwritten = outcome.err();
}

impl Kept {
    /// Puts what was remembered before it.
    fn follow(&mut self, before: Self) {
        for (key, at) in before.rotations {
            // What was seen since may be one more turn.
            match self.rotations.get(&key).copied() {
                Some(own) if own > at => drop(self.rotations_before.entry(key).or_insert(at)),
                _ => drop(self.rotations.insert(key, at)),
            }
        }
        for (key, at) in before.rotations_before {
            self.rotations_before.entry(key).or_insert(at);
        }
        self.history.follow(before.history);
        self.lasting.follow(before.lasting);
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How verdicts changed, from the file of another process, which goes on writing it.
pub fn changes_of(path: &Path, since: Timestamp) -> Result<Vec<Change>, Message> {
    let kept = read(path)?.ok_or_else(|| say!("read state file {}: there is none yet", path.display()))?;
    Ok(kept.history.since(since).into_iter().cloned().collect())
}

fn read(path: &Path) -> Result<Option<Kept>, Message> {
    let failed = |why: Message| say!("read state file {}: {}", path.display(), why);
    let content = match files::read_now(path, LARGEST) {
        Err(ReadError::Absent) => return Ok(None),
        content => content.map_err(|error| failed(say!("{}", error)))?,
    };
    let sealed: Sealed = serde_json::from_slice(&content.bytes).map_err(|_| failed(say!("it is broken")))?;
    if !(OLDEST..=VERSION).contains(&sealed.version) {
        return Err(failed(say!("version {} is not known", sealed.version)));
    }
    if hash(sealed.kept.get()) != sealed.sha256 {
        return Err(failed(say!("its content is not what was written")));
    }
    serde_json::from_str(sealed.kept.get()).map(Some).map_err(|_| failed(say!("it is broken")))
}

fn write(path: &Path, kept: Box<RawValue>) -> std::io::Result<()> {
    let sealed = Sealed { version: VERSION, sha256: hash(kept.get()), kept };
    replace(path, &serde_json::to_string(&sealed)?)
}

/// Writes a file beside its place first and then into it, so that whoever reads finds all or nothing.
pub(crate) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
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
}
