//! The filled-in checklist as a file, at the moments at which somebody will ask for it later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::markdown;
use super::wording::Home;
use crate::cause::Cause as _;
use crate::checklist::Judgement;
use crate::event::Occurrence;
use crate::files;
use crate::say::{Message, minute};
use crate::writer::Writer;
use crate::{say, state};

/// How long before the end of an event its last report is written: at the end itself the next event
/// is the current one already.
const BEFORE_END: SignedDuration = SignedDuration::from_mins(1);

/// How long after a moment a report is still that of the moment: the exporter judges every few seconds.
const IN_TIME: SignedDuration = SignedDuration::from_mins(2);

/// The last moment that was reached, with its name: a lead time, the start, or shortly before the end.
fn moment(event: &Occurrence, now: Timestamp) -> Option<(Timestamp, String)> {
    let leads = event.lead_times.iter().filter_map(|lead| Some((event.start.checked_sub(SignedDuration::try_from(lead.0).ok()?).ok()?, format!("T-{lead}"))));
    let ends = event.end.checked_sub(BEFORE_END).ok().map(|at| (at, "end".to_owned()));
    let all = leads.chain([(event.start, "start".to_owned())]).chain(ends);
    all.filter(|(at, _)| *at <= now).max_by_key(|(at, _)| *at)
}

/// Writes filled-in checklists, on a thread of its own.
#[derive(Debug)]
pub struct Archive {
    writer: Writer,
    work: Arc<Mutex<Work>>,
}

#[derive(Debug, Default)]
struct Work {
    /// What is to be written, by its place.
    due: BTreeMap<PathBuf, Report>,
    /// What is there.
    done: BTreeSet<PathBuf>,
    failed: Option<Message>,
    /// The folder that was tried, and whether that is still to be done.
    folder: Option<(PathBuf, bool)>,
}

/// A report that is to be written, unless there is one that was written in time.
#[derive(Debug, Clone)]
struct Report {
    text: String,
    instead_of: Option<PathBuf>,
}

/// Reports that are remembered, written or not; a year of weekly events has fewer.
const MOST: usize = 1_000;

impl Default for Archive {
    fn default() -> Self {
        let work = Arc::new(Mutex::new(Work::default()));
        let shared = Arc::clone(&work);
        Self { writer: Writer::new("archive", move || write_all(&shared)), work }
    }
}

impl Archive {
    /// Tries whether the folder can be written to, once for each: who learns that at the first lead time has lost it.
    pub fn prepare(&self, folder: &Path) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.folder.as_ref().is_some_and(|(known, _)| known == folder) {
            return;
        }
        work.folder = Some((folder.to_owned(), true));
        drop(work);
        self.writer.wake();
    }

    /// Keeps the report of the last moment that was reached, unless there is one already: the first of
    /// a moment stands. What cannot be written is tried again at each call, and said once.
    pub fn keep(&self, folder: &Path, judgement: &Judgement, event: &Occurrence, home: Home<'_>) {
        let Some((at, moment)) = moment(event, judgement.at) else { return };
        // Names of events come from the configuration, and this one must stay within the folder.
        let name = format!("{}-{}-{}-{}", plain(&judgement.checklist), plain(&event.of), event.start.strftime("%Y%m%dT%H%MZ"), plain(&moment));
        let in_time = folder.join(format!("{name}.md"));
        // Nobody may take it for what was known at the moment.
        let is_late = judgement.at.duration_since(at) > IN_TIME;
        let path = if is_late { folder.join(format!("{name}-written-late.md")) } else { in_time.clone() };
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if work.done.contains(&path) || (is_late && (work.done.contains(&in_time) || work.due.contains_key(&in_time))) {
            return;
        }
        if work.due.len() < MOST {
            work.due.entry(path).or_insert_with(|| Report {
                text: if is_late { late(judgement, at, home) } else { markdown(std::slice::from_ref(judgement), home) },
                instead_of: is_late.then_some(in_time),
            });
        }
        drop(work);
        if !self.writer.is_late() {
            self.writer.wake();
        }
    }

    /// Waits on this thread until everything is written, or was tried; whether that was in time.
    pub fn settle(&self, within: Duration) -> bool {
        self.writer.settle(within)
    }
}

/// A name as a part of that of a file: two that differ stay two.
fn plain(name: &str) -> String {
    name.chars().fold(String::new(), |mut plain, c| {
        if c.is_alphanumeric() || matches!(c, '-' | '.' | '_') {
            plain.push(c);
        } else {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| plain.push_str(&format!("%{byte:02X}")));
        }
        plain
    })
}

/// The report of a moment at which nothing was judged.
fn late(judgement: &Judgement, moment: Timestamp, home: Home<'_>) -> String {
    let text = markdown(std::slice::from_ref(judgement), home);
    format!("Written late, at {}: nothing was judged at {}.\n\n{text}", minute(judgement.at), minute(moment))
}

fn write_all(work: &Mutex<Work>) {
    let lock = || work.lock().unwrap_or_else(PoisonError::into_inner);
    let due = lock().due.clone();
    let mut failed = try_folder(work);
    // Every one is written, whatever becomes of the others.
    for (path, report) in due {
        match write(&path, &report) {
            Ok(()) => {
                let mut work = lock();
                work.due.remove(&path);
                if work.done.len() >= MOST {
                    work.done.clear();
                }
                work.done.insert(path);
            }
            Err(error) => {
                files::look(&path);
                failed = Some(say!("write {}: {}", path.display(), error.words()));
            }
        }
    }
    let mut work = lock();
    if let Some(why) = failed.as_ref().filter(|_| failed != work.failed) {
        tracing::error!("archive the checklist: {why}");
    }
    work.failed = failed;
}

/// Writes a file into a folder that is new here, and takes it away again; why that cannot be done.
fn try_folder(work: &Mutex<Work>) -> Option<Message> {
    let mut own = work.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((folder, untried)) = &mut own.folder else { return None };
    if !std::mem::take(untried) {
        return None;
    }
    let folder = folder.clone();
    drop(own);
    let path = folder.join(".readiness-exporter");
    let tried = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, "")).and_then(|()| std::fs::remove_file(&path));
    tried.err().map(|error| say!("write to folder {}: {}", folder.display(), error.words()))
}

fn write(path: &Path, report: &Report) -> std::io::Result<()> {
    for there in [Some(path), report.instead_of.as_deref()].into_iter().flatten() {
        if there.try_exists()? {
            return Ok(());
        }
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    state::replace(path, &report.text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checklist::Decision;
    use crate::value::Span;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// A folder that cannot be written to is told when the exporter begins, not when the first report is due.
    #[test]
    fn a_folder_that_cannot_be_written_to_is_told_at_once() {
        let (folder, archive) = (tempfile::tempdir().unwrap(), Archive::default());
        let told = |path: &Path| {
            archive.prepare(path);
            assert!(archive.settle(PATIENCE));
            archive.work.lock().unwrap().failed.clone()
        };
        let good = folder.path().join("archive");
        assert_eq!(told(&good), None);
        assert_eq!(std::fs::read_dir(&good).unwrap().count(), 0, "nothing is left there");
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let why = told(&file).unwrap();
        assert!(why.as_str().starts_with("write to folder ") && why.as_str().ends_with("something else of that name is there"), "{why}");
    }

    #[test]
    fn two_events_have_two_files() {
        let names = ["a/b", "a b", "a_b", "a%20b", "a-b", "Gr\u{f6}\u{df}e", "../evil"].map(plain);
        assert_eq!(names, ["a%2Fb", "a%20b", "a_b", "a%2520b", "a-b", "Gr\u{f6}\u{df}e", "..%2Fevil"]);
    }

    #[test]
    fn each_moment_of_an_event_has_one_report() {
        let at = |hour: i64| Timestamp::from_second(1_764_000_000 + hour * 3600).unwrap();
        let event = Occurrence {
            name: "../Work shop +1".into(),
            of: "../Work shop".into(),
            checklists: vec!["c".into()],
            start: at(0),
            zone: jiff::tz::TimeZone::UTC,
            end: at(3),
            participants: None,
            lead_times: vec![Span::days(2), Span::hours(1)],
            turn: None,
        };
        assert_eq!(moment(&event, at(-49)), None);
        for (hour, name) in [(-48, "T-2d"), (-2, "T-2d"), (-1, "T-1h"), (0, "start"), (2, "start"), (3, "end")] {
            assert_eq!(moment(&event, at(hour)).map(|(_, name)| name).as_deref(), Some(name));
        }
        let (folder, archive) = (tempfile::tempdir().unwrap(), Archive::default());
        let judged = |hour: i64, decision| Judgement {
            checklist: "c".into(),
            title: "T".into(),
            revision: "r".into(),
            decision,
            at: at(hour),
            event: Some("../Work shop".into()),
            event_start: Some(at(0)),
            event_end: Some(at(3)),
            event_zone: jiff::tz::TimeZone::UTC,
            participants: None,
            sections: Vec::new(),
        };
        for (hour, decision) in [(-49, Decision::Go), (-48, Decision::NoGo), (-40, Decision::Go), (-1, Decision::Go)] {
            archive.keep(folder.path(), &judged(hour, decision), &event, None);
            assert!(archive.settle(PATIENCE));
        }
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, ["c-..%2FWork%20shop-20251124T1600Z-T-1h.md", "c-..%2FWork%20shop-20251124T1600Z-T-2d.md"]);
        let first = std::fs::read_to_string(folder.path().join(&files[1])).unwrap();
        assert!(first.starts_with("# T: NO-GO"), "the first one of a moment stands: {first}");
        // Another process finds it as it is.
        let again = Archive::default();
        again.keep(folder.path(), &judged(-47, Decision::Go), &event, None);
        assert!(again.settle(PATIENCE));
        assert_eq!(std::fs::read_to_string(folder.path().join(&files[1])).unwrap(), first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "what was written in time needs no late one");
        // Who begins in the middle of an event has not seen its start, and says so once.
        let elsewhere = tempfile::tempdir().unwrap();
        for hour in [1, 2] {
            let begun = Archive::default();
            begun.keep(elsewhere.path(), &judged(hour, Decision::Go), &event, None);
            assert!(begun.settle(PATIENCE));
        }
        let late: Vec<_> = std::fs::read_dir(elsewhere.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(late, [elsewhere.path().join("c-..%2FWork%20shop-20251124T1600Z-start-written-late.md")]);
        let text = std::fs::read_to_string(&late[0]).unwrap();
        assert!(text.starts_with("Written late, at 2025-11-24 17:00 UTC: nothing was judged at 2025-11-24 16:00 UTC.\n\n# T: GO\n"), "{text}");
        // A folder that hangs holds up nobody; what was first at a moment is written when it is back.
        let pipe = folder.path().join("c-..%2FWork%20shop-20251124T1600Z-start.new");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for decision in [Decision::NoGo, Decision::Go, Decision::Go] {
            archive.keep(folder.path(), &judged(0, decision), &event, None);
            assert!(!archive.settle(Duration::from_millis(10)));
        }
        // Whoever reads the pipe lets the write end; its place is free for the next one.
        let aside = folder.path().join("pipe");
        std::fs::rename(&pipe, &aside).unwrap();
        assert!(std::fs::read_to_string(aside).unwrap().starts_with("# T: NO-GO"));
        assert!(archive.settle(PATIENCE));
        assert!(std::fs::read_to_string(pipe.with_extension("md")).unwrap().starts_with("# T: NO-GO"));
        // Neither does one that is none.
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        archive.keep(&file, &judged(3, Decision::Go), &event, None);
        assert!(archive.settle(PATIENCE));
        assert!(archive.work.lock().unwrap().failed.is_some());
        std::fs::remove_file(&file).unwrap();
        archive.keep(&file, &judged(3, Decision::Go), &event, None);
        assert!(archive.settle(PATIENCE) && archive.work.lock().unwrap().failed.is_none() && file.is_dir());
    }
}
