//! Writes on a thread of their own: a disk that hangs delays no judging, no scrape and no probe.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a write may take before it is called late; a local disk needs a hundredth of it.
const LATE: Duration = Duration::from_secs(5);

/// How long it rests after a run, while nobody waits for it: what changes many times a second is written once for all.
/// Whoever ends without a word, as by a power cut, loses that much.
const REST: Duration = Duration::from_secs(5);

/// Runs one piece of work again and again, one run at a time. The thread lives as long as there is
/// something to write: one that hangs cannot be ended, and no second one follows it.
pub(crate) struct Writer {
    name: &'static str,
    work: Arc<dyn Fn() + Send + Sync>,
    shared: Arc<(Mutex<Phase>, Condvar)>,
}

/// The thread, which runs or rests.
#[derive(Default, PartialEq, Eq)]
enum Thread {
    #[default]
    None,
    Unhurried,
    /// Somebody wants all of it written now: it does not rest until it is, even if whoever asked has left.
    Hurried,
}

#[derive(Default)]
struct Phase {
    thread: Thread,
    running_since: Option<Instant>,
    /// Something changed since the run began.
    again: bool,
    said: bool,
}

impl Phase {
    fn is_done(&self) -> bool {
        self.running_since.is_none() && !self.again
    }
}

impl Writer {
    /// A thread of this name for this work.
    pub(crate) fn new(name: &'static str, work: impl Fn() + Send + Sync + 'static) -> Self {
        Self { name, work: Arc::new(work), shared: Arc::default() }
    }

    /// Runs the work soon, and once more if it is running now or has just run.
    pub(crate) fn wake(&self) {
        let mut phase = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if phase.thread != Thread::None {
            phase.again = true;
            return;
        }
        let (work, shared) = (Arc::clone(&self.work), Arc::clone(&self.shared));
        let run = move || {
            loop {
                work();
                let mut phase = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                (phase.running_since, phase.said) = (None, false);
                shared.1.notify_all();
                let rested = shared.1.wait_timeout_while(phase, REST, |phase| phase.thread != Thread::Hurried);
                phase = rested.unwrap_or_else(PoisonError::into_inner).0;
                if !std::mem::take(&mut phase.again) {
                    phase.thread = Thread::None;
                    return;
                }
                phase.running_since = Some(Instant::now());
            }
        };
        if std::thread::Builder::new().name(self.name.to_owned()).spawn(run).is_ok() {
            (phase.thread, phase.running_since) = (Thread::Unhurried, Some(Instant::now()));
        } else {
            // The next change tries again.
            tracing::error!(thread = self.name, "the system gives no thread to write on");
        }
    }

    /// Whether a run takes too long; the log says so once.
    pub(crate) fn is_late(&self) -> bool {
        let mut phase = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let late = phase.running_since.is_some_and(|since| since.elapsed() > LATE);
        if late && !std::mem::replace(&mut phase.said, true) {
            tracing::error!(thread = self.name, "a file could neither be read nor written within {} s; it is waited for", LATE.as_secs());
        }
        late
    }

    /// Waits on this thread until nothing is left to write; whether that was in time.
    pub(crate) fn settle(&self, within: Duration) -> bool {
        let mut phase = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if phase.thread == Thread::Unhurried {
            phase.thread = Thread::Hurried;
        }
        self.shared.1.notify_all();
        let waited = self.shared.1.wait_timeout_while(phase, within, |phase| !phase.is_done());
        waited.unwrap_or_else(PoisonError::into_inner).0.is_done()
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    #[test]
    fn changes_during_a_run_are_one_more_run() {
        let runs = Arc::new(AtomicUsize::new(0));
        let (go, gone) = mpsc::channel::<()>();
        let (counted, gone) = (Arc::clone(&runs), Mutex::new(gone));
        let writer = Writer::new("test", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = gone.lock().unwrap().recv();
        });
        assert!(writer.settle(Duration::ZERO), "nothing is to be written");
        for _ in 0..100 {
            writer.wake();
        }
        assert!(!writer.settle(Duration::from_millis(10)), "the disk hangs, and whoever waits does not");
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert!(writer.settle(PATIENCE));
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        drop(go);
        // Whatever follows at once waits for a rest, unless somebody waits for it.
        writer.wake();
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        assert!(writer.settle(PATIENCE));
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn who_asks_again_and_again_waits_for_no_rest() {
        let runs = Arc::new(AtomicUsize::new(0));
        let (begun, entered) = mpsc::channel::<()>();
        let counted = Arc::clone(&runs);
        let writer = Writer::new("test", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            begun.send(()).unwrap();
        });
        writer.wake();
        entered.recv().unwrap();
        writer.wake();
        let asked = Instant::now();
        while !writer.settle(Duration::ZERO) {
            std::thread::yield_now();
        }
        assert!(asked.elapsed() < REST / 2, "{:?}", asked.elapsed());
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }
}
