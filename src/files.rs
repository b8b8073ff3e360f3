//! Every file that is read while the exporter runs: regular files only, bounded in size, away from the
//! event loop, within a deadline.
//!
//! A file may lie on a mount whose server is gone, or be a pipe that nobody writes to: whoever opens it
//! on the event loop stops every probe and the exporter's own server. A read that hangs cannot be
//! ended, only left behind, so each folder may have few of them: a dead mount fails its own readers
//! and leaves the threads to the others.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::cause::Cause as _;
use crate::say;
use crate::say::{Message, Say};
use crate::word::Word;

/// Larger than any credential, certificate bundle or list of confirmations.
pub const LARGEST: u64 = 4 << 20;

/// How long a read may take; a local disk needs a thousandth of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Files and folders that are remembered to be there; more than the configuration of five thousand
/// credentials names.
const REMEMBERED: usize = 1 << 15;

/// What stands for the name of a file that is not shown.
pub(crate) const HIDDEN: &str = "(a name that is hidden, since it may be a secret)";

/// Reads of one folder at a time, those that hang included.
const PER_FOLDER: usize = 4;

/// What a file holds.
pub struct Content {
    /// Its bytes, overwritten when they are dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// What the system says about it.
    pub about: Metadata,
}

impl Content {
    /// Its text.
    pub fn text(&self) -> Result<&str, ReadError> {
        std::str::from_utf8(&self.bytes).map_err(|_| ReadError::Unusable(say!("it is not UTF-8 text")))
    }
}

/// Why a file was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("no such file")]
    Absent,
    /// It is there, and is nothing to read.
    #[error("{0}")]
    Unusable(Message),
    /// The system refused, or did not answer in time.
    #[error("{0}")]
    Failed(Message),
}

impl Say for ReadError {}

/// Reads a file off the event loop, within five seconds.
pub async fn read(path: &Path, most: u64) -> Result<Content, ReadError> {
    let late = || ReadError::Failed(say!("it could not be read within {} s", PATIENCE.as_secs()));
    let reading = async {
        let slot = slot_of(path).await?;
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            read_now(&path, most)
        });
        read.await.ok()
    };
    match tokio::time::timeout(PATIENCE, reading).await {
        Ok(Some(read)) => read,
        Ok(None) | Err(_) => Err(late()),
    }
}

/// Reads a file on this thread: before the event loop runs, or where a thread is there for it.
pub fn read_now(path: &Path, most: u64) -> Result<Content, ReadError> {
    let file = open(path)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(ReadError::Unusable(say!("it is no regular file")));
    }
    let too_large = || ReadError::Unusable(say!("it is larger than {}", Message::of_size(most)));
    if about.len() > most {
        return Err(too_large());
    }
    // The whole length at once: a vector that grows leaves copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default().saturating_add(1)));
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    // It may have grown since, and files of /proc have no length.
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(Content { bytes, about }) }
}

/// What was found to be there.
static SEEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The name of a file as people may see it. Where a file is to be named, somebody may have written the
/// token, the key or the whole kubeconfig itself, and its folder is then that of the configuration. So
/// a name is shown if the file was seen, if it was allowed where it was read, or if its last part is
/// called like a file with such contents and its folder was seen or is called like one.
///
/// Nothing is looked up: whoever prints may be on the event loop. What is there is remembered where
/// files are opened.
pub(crate) fn shown(name: &str) -> Cow<'_, str> {
    let path = Path::new(name);
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_folder = |folder: &Path| {
        seen.contains(folder) || folder.components().all(|part| !matches!(part, Component::Normal(part) if part.to_str().and_then(Word::file).is_none()))
    };
    let is_document = path.file_name().and_then(|last| Word::document(last.to_str()?)).is_some();
    let is_shown = seen.contains(path) || (is_document && path.parent().is_none_or(is_folder));
    if is_shown { say::plain(name) } else { HIDDEN.into() }
}

/// Looks whether a file or its folder is there, on this thread.
pub(crate) fn look(path: &Path) {
    let known = if path.symlink_metadata().is_ok() { Some(path) } else { path.parent().filter(|folder| folder.is_dir()) };
    if let Some(known) = known {
        remember(known);
    }
}

/// Lets the name of a file be shown that a person wrote, if all parts of it are ordinary words. Where a
/// secret is kept one word is not enough: it may be the secret itself.
pub(crate) fn allow(written: &Path, path: &Path, of_secret: bool) {
    let parts: Vec<_> = written.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let is_ordinary = parts.iter().all(|part| part.as_os_str().to_str().and_then(Word::file).is_some());
    if is_ordinary && parts.len() > usize::from(of_secret) {
        remember(path);
    }
}

impl Say for std::path::Display<'_> {
    /// Who was asked for the name of a file may have given what is to be in it.
    fn say(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.to_string()))
    }
}

/// Remembers that a name may be shown, as one from the command line may.
pub(crate) fn remember(path: &Path) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.len() < REMEMBERED && !seen.contains(path) {
        seen.insert(path.to_owned());
    }
}

/// Without waiting: opening a pipe waits for somebody who writes to it.
fn open(path: &Path) -> Result<File, ReadError> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    let flags = i32::try_from(nonblocking).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    match &opened {
        Ok(_) => remember(path),
        Err(_) => look(path),
    }
    opened.map_err(failed)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
fn failed(error: std::io::Error) -> ReadError {
    if error.kind() == std::io::ErrorKind::NotFound { ReadError::Absent } else { ReadError::Failed(error.words()) }
}

/// A place among the reads of a folder.
async fn slot_of(path: &Path) -> Option<OwnedSemaphorePermit> {
    static FOLDERS: Mutex<BTreeMap<PathBuf, Arc<Semaphore>>> = Mutex::new(BTreeMap::new());
    let folder = {
        let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        // Only those in use are worth their memory.
        folders.retain(|_, slots| Arc::strong_count(slots) > 1);
        let folder = path.parent().unwrap_or(path).to_owned();
        Arc::clone(folders.entry(folder).or_insert_with(|| Arc::new(Semaphore::new(PER_FOLDER))))
    };
    folder.acquire_owned().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    #[tokio::test]
    async fn only_regular_files_of_the_wanted_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hunter2").unwrap();
        assert_eq!(read(&path, 7).await.unwrap().text(), Ok("hunter2"));
        assert_eq!(read(&path, 6).await.err().unwrap().to_string(), "it is larger than 0 KiB");
        assert_eq!(read(&folder.path().join("none"), 7).await.err(), Some(ReadError::Absent));
        let zeros = folder.path().join("zeros");
        std::os::unix::fs::symlink("/dev/zero", &zeros).unwrap();
        for odd in [folder.path(), &zeros, &pipe(folder.path(), "pipe")] {
            assert_eq!(read(odd, 7).await.err().unwrap().to_string(), "it is no regular file", "{}", odd.display());
        }
        // A file of the system that has no length.
        assert!(read(Path::new("/proc/self/status"), LARGEST).await.unwrap().bytes.len() > 100);
        assert!(read(Path::new("/proc/self/status"), 10).await.is_err());
    }

    #[tokio::test]
    async fn a_folder_that_hangs_fails_its_own_readers_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "hunter2").unwrap();
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("token"), "hunter3").unwrap();
        let mut hanging = Vec::new();
        for _ in 0..PER_FOLDER {
            hanging.push(slot_of(&path).await.unwrap());
        }
        tokio::time::pause();
        assert_eq!(read(&path, LARGEST).await.err().unwrap().to_string(), "it could not be read within 5 s");
        tokio::time::resume();
        assert!(read(&other.path().join("token"), LARGEST).await.is_ok());
        drop(hanging);
        assert!(read(&path, LARGEST).await.is_ok());
    }

    #[tokio::test]
    async fn a_name_is_shown_once_the_file_or_its_folder_was_seen() {
        let folder = tempfile::Builder::new().prefix("zq81secret").tempdir().unwrap();
        let [there, token, other] = ["zq82secret", "token", "zq83secret"].map(|name| folder.path().join(name));
        std::fs::write(&there, "x").unwrap();
        for path in [&there, &token, &other] {
            assert_eq!(shown(path.to_str().unwrap()), HIDDEN);
            let _ = read(path, LARGEST).await;
        }
        for path in [&there, &token] {
            assert_eq!(shown(path.to_str().unwrap()), path.to_str().unwrap());
        }
        assert_eq!(shown(other.to_str().unwrap()), HIDDEN);
    }

    #[test]
    fn a_name_of_a_file_is_said_only_if_it_looks_like_one() {
        for name in ["/no/such/token", "ca.crt", "../secrets/kubeconfig", "/var/run/secrets/kubernetes.io/serviceaccount/token"] {
            assert_eq!(say!("read {}", Path::new(name).display()).as_str(), format!("read {name}"));
        }
        for secret in ["hunter2", "/etc/readiness/hunter2", "/hunter2/token", "/9j4AAQSkZJRgABAQAAAQABAAD", "token: x", "-----BEGIN KEY-----\nx", ""] {
            assert_eq!(say!("read {}", Path::new(secret).display()).as_str(), "read (a name that is hidden, since it may be a secret)");
        }
    }

    #[test]
    fn a_name_that_was_written_in_ordinary_words_is_shown() {
        for (written, of_secret, is_shown) in [
            ("secrets/gitlab", true, true),
            ("./keys/coder", true, true),
            ("gitlab", true, false),
            ("gitlab", false, true),
            ("../.kube/prod", false, true),
            ("9j4AAQSkZJRg/ABAQAAAQABAAD", true, false),
            ("hunter2", false, false),
        ] {
            let path = Path::new(if of_secret { "/zq84secret" } else { "/zq85secret" }).join(written);
            allow(Path::new(written), &path, of_secret);
            assert_eq!(shown(path.to_str().unwrap()) != HIDDEN, is_shown, "{written}");
        }
    }
}
