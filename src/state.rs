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
mod tests;
