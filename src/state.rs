//! What must outlive the process: when things last rotated, and how verdicts changed. One small file, optional, written as a
//! whole or not at all. A file that cannot be trusted is reported and begun anew.
//!
//! Holds names and times only; nothing of a credential.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::checklist::Judgement;
use crate::history::{Change, History};

/// Larger than any that this program writes.
const LARGEST: u64 = 4 << 20;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Kept {
    /// When something last rotated, in Unix seconds, by rotation and subject.
    rotations: BTreeMap<String, i64>,
    /// How verdicts changed.
    history: History,
}

/// The file: what is kept, and a hash by which a file that was cut off or edited is recognised.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    version: u32,
    sha256: String,
    kept: serde_json::Value,
}

const VERSION: u32 = 1;

/// How the file was found, and whether it can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It was read, and what it says holds.
    Read,
    /// There was none, as at the first start.
    New,
    /// It could not be trusted and was begun anew.
    Rebuilt,
    /// It cannot be written now.
    Unwritable,
}

impl Health {
    /// The state of the state set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::New => "new",
            Self::Rebuilt => "rebuilt",
            Self::Unwritable => "unwritable",
        }
    }
}

/// Remembers across restarts, where a file is configured, else until the process ends.
#[derive(Debug)]
pub struct State {
    path: Option<PathBuf>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    kept: Kept,
    found: Health,
    why: Option<String>,
    unwritten: Option<String>,
}

impl State {
    /// What the file says, for a process that only looks once: it never writes, since that would undo
    /// what a running exporter remembers beside it.
    pub fn glance(path: Option<&Path>) -> Self {
        let kept = path.and_then(|path| read(path).ok().flatten()).unwrap_or_default();
        Self { path: None, inner: Mutex::new(Inner { kept, found: Health::New, why: None, unwritten: None }) }
    }

    /// Reads the file, if one is configured. Never fails: what cannot be trusted is not used.
    pub fn open(path: Option<PathBuf>) -> Self {
        let (kept, found, why) = match path.as_deref().map(read) {
            None | Some(Ok(None)) => (Kept::default(), Health::New, None),
            Some(Ok(Some(kept))) => (kept, Health::Read, None),
            Some(Err(why)) => {
                tracing::error!("{why}; beginning anew");
                (Kept::default(), Health::Rebuilt, Some(why))
            }
        };
        let state = Self { path, inner: Mutex::new(Inner { kept, found, why, unwritten: None }) };
        // So that a folder that cannot be written to is known at the start and not after the first rotation.
        state.change(|_| true);
        state
    }

    /// Where the file is.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// How the file is, with a reason for people.
    pub fn health(&self) -> (Health, Option<String>) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &inner.unwritten {
            Some(why) => (Health::Unwritable, Some(why.clone())),
            None => (inner.found, inner.why.clone()),
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
            match last {
                Some(at) => kept.rotations.insert(key, at) != Some(at),
                None => kept.rotations.remove(&key).is_some(),
            }
        });
        last
    }

    /// Remembers how verdicts changed.
    pub fn record(&self, judgements: &[Judgement]) {
        self.change(|kept| kept.history.record(judgements));
    }

    /// How verdicts changed from a moment on, oldest first.
    pub fn changes(&self, since: Timestamp) -> Vec<Change> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.kept.history.since(since).cloned().collect()
    }

    fn change(&self, change: impl FnOnce(&mut Kept) -> bool) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // What could not be written is tried again with the next change, whatever that is.
        let changed = change(&mut inner.kept) || inner.unwritten.is_some();
        let Some(path) = self.path.as_deref().filter(|_| changed) else { return };
        let outcome = write(path, &inner.kept).map_err(|error| format!("write state file {}: {error}", path.display()));
        if let (Err(why), None) = (&outcome, &inner.unwritten) {
            tracing::error!("{why}");
        }
        inner.unwritten = outcome.err();
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How verdicts changed, from the file of another process, which goes on writing it.
pub fn changes_of(path: &Path, since: Timestamp) -> Result<Vec<Change>, String> {
    let kept = read(path)?.ok_or_else(|| format!("read state file {}: there is none yet", path.display()))?;
    Ok(kept.history.since(since).cloned().collect())
}

fn read(path: &Path) -> Result<Option<Kept>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("read state file {}: {why}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error)),
        Ok(about) if about.len() > LARGEST => return Err(failed(&format!("it is larger than {} MiB", LARGEST >> 20))),
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let sealed: Sealed = serde_json::from_str(&text).map_err(|_| failed(&"it is broken"))?;
    if sealed.version != VERSION {
        return Err(failed(&format!("version {} is not known", sealed.version)));
    }
    if hash(&sealed.kept.to_string()) != sealed.sha256 {
        return Err(failed(&"its content is not what was written"));
    }
    serde_json::from_value(sealed.kept).map(Some).map_err(|_| failed(&"it is broken"))
}

fn write(path: &Path, kept: &Kept) -> std::io::Result<()> {
    let kept = serde_json::to_value(kept)?;
    let sealed = Sealed { version: VERSION, sha256: hash(&kept.to_string()), kept };
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

    const NOW: i64 = 1_764_000_000;

    fn last(state: &State, observed: Option<i64>) -> Option<i64> {
        state.last_rotation("keys", "us/a", observed, Timestamp::from_second(NOW).unwrap())
    }

    #[test]
    fn what_was_observed_survives_a_restart_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = Some(folder.path().join("state.json"));
        let state = State::open(path.clone());
        assert_eq!(state.health().0, Health::New);
        assert_eq!(last(&state, None), None);
        assert_eq!(last(&state, Some(NOW - 60)), Some(NOW - 60));
        let again = State::open(path.clone());
        assert_eq!(again.health().0, Health::Read);
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
        last(&State::open(Some(path.clone())), Some(NOW - 60));
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
        last(&State::open(Some(path.clone())), Some(NOW - 60));
        let good = std::fs::read_to_string(&path).unwrap();
        let edited = good.replace(&(NOW - 60).to_string(), &(NOW - 10).to_string());
        assert_ne!(edited, good);
        let newer = good.replace("\"version\":1", "\"version\":2");
        for bad in [edited.as_str(), &newer, &good[..good.len() / 2], "", "{}", "\u{0}"] {
            std::fs::write(&path, bad).unwrap();
            let state = State::open(Some(path.clone()));
            assert_eq!(state.health().0, Health::Rebuilt, "{bad}");
            assert_eq!(last(&state, None), None);
            assert_eq!(State::open(Some(path.clone())).health().0, Health::Read, "it was begun anew");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_known_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing/state.json");
        let state = State::open(Some(path.clone()));
        assert_eq!(state.health().0, Health::Unwritable);
        assert_eq!(last(&state, Some(NOW)), Some(NOW), "it is remembered all the same");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        assert_eq!(last(&state, Some(NOW)), Some(NOW));
        assert_eq!(state.health().0, Health::New, "mended, and written");
        assert_eq!(last(&State::open(Some(path)), None), Some(NOW));
    }

    #[test]
    fn fuzz_a_state_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        last(&State::open(Some(path.clone())), Some(NOW - 60));
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
