//! Every file that is read while the exporter runs: regular files only, bounded in size, away from the
//! event loop, within a deadline.
//!
//! A file may lie on a mount whose server is gone, or be a pipe that nobody writes to: whoever opens it
//! on the event loop stops every probe and the exporter's own server. A read that hangs cannot be
//! ended, only left behind, so each folder may have few of them: a dead mount fails its own readers
//! and leaves the threads to the others.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::cause::Cause as _;
use crate::say::Message;
use crate::{say, say::Say};

/// Larger than any credential, certificate bundle or list of confirmations.
pub const LARGEST: u64 = 4 << 20;

/// How long a read may take; a local disk needs a thousandth of it.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Without waiting: opening a pipe waits for somebody who writes to it.
fn open(path: &Path) -> Result<File, ReadError> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    let flags = i32::try_from(nonblocking).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)
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
}
