//! The judge of a running exporter: when it judges, and what it keeps of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::App;
use crate::checklist::{Checklist, Context, Judgement, Left, Memories, Recalls, Unjudged, Waiver, forget_library, judge, unjudged};
use crate::config::Loaded;
use crate::driver::Task;
use crate::event::{self, Schedule};
use crate::snapshot::Snapshot;

/// How long after a change the judge waits for more of them, at least: with hundreds of sources something
/// changes all the time, and judging is the dearest thing that this program does.
const SETTLE: Rest = Rest { least: Duration::from_millis(500), most: Duration::from_secs(2), times: 100 };
/// How long it rests without any change: time passes, and facts go stale.
const TICK: Rest = Rest { least: Duration::from_secs(1), most: Duration::from_secs(5), times: 500 };

/// How long the judge rests: so many times as long as it worked, so that a large estate does not cost all of a core.
struct Rest {
    least: Duration,
    most: Duration,
    times: u32,
}

impl Rest {
    /// No longer than `most`, where that is not less than the least of all.
    fn after(&self, work: Duration, most: Duration) -> Duration {
        work.saturating_mul(self.times).min(self.most).min(most).max(self.least)
    }
}

/// The parts of the configuration that the judge uses; the collectors have theirs.
pub(super) struct Active {
    pub(super) checklists: Vec<Checklist>,
    archive: Option<PathBuf>,
    pub(super) schedules: Vec<Schedule>,
    /// In the order of the checklists.
    waivers: Vec<Vec<Waiver>>,
    unjudged: Vec<Unjudged>,
}

impl Active {
    pub(super) fn new(loaded: Loaded, tasks: &[Task]) -> Self {
        let mut unjudged = unjudged(&loaded.checklists, tasks.iter().map(|task| &task.source));
        unjudged.extend(loaded.settings.unused_clusters().into_iter().map(|(_, cluster)| Unjudged::cluster(cluster)));
        let of = |checklist: &Checklist| loaded.waivers.iter().filter(|own| own.is_for(&checklist.name)).cloned().collect();
        let waivers = loaded.checklists.iter().map(of).collect();
        let mut checklists = loaded.checklists;
        // Nobody judges by examples, and nobody names a check before the next reload.
        checklists.iter_mut().flat_map(|own| &mut own.sections).flat_map(|section| &mut section.checks).for_each(|check| check.examples = Vec::new());
        forget_library();
        Self { schedules: loaded.schedules, waivers, unjudged, checklists, archive: loaded.settings.archive }
    }

    /// Judges each checklist for each of its events that is running or coming, and as if one were now
    /// where none is.
    pub(super) fn judge(&self, snapshot: &Snapshot, now: Timestamp, memories: &Memories, recalls: &mut Recalls) -> Vec<Judgement> {
        let coming = event::coming(&self.schedules, now);
        let mut judged = Vec::new();
        for (checklist, waivers) in self.checklists.iter().zip(&self.waivers) {
            let recall = Some(recalls.of(&checklist.name));
            let own: Vec<_> = coming.iter().filter(|event| event.checklists.contains(&checklist.name)).map(Some).collect();
            for event in if own.is_empty() { vec![None] } else { own } {
                let memory = memories.of(&checklist.name, event.map(|event| event.name.as_str()));
                judged.push(judge(checklist, &Context { event, waivers, unjudged: &self.unjudged, memory, recall, ..Context::new(snapshot, now) }));
            }
        }
        recalls.forget_unused();
        judged
    }
}

/// What the judge last came to, and when by the clock that never jumps.
pub(super) struct Judged {
    pub(super) judgements: Arc<Vec<Judgement>>,
    pub(super) since: Instant,
}

impl App {
    /// Judges for ever: after each change, and now and then without one.
    pub async fn keep_judging(self: Arc<Self>) {
        let mut memories = Memories::again(self.state.load().lasting(Timestamp::now()));
        let mut recalls = Recalls::default();
        let mut version = self.store.subscribe();
        let mut last = self.active.load_full();
        let mut left: Option<Left> = None;
        loop {
            let (now, began) = (Timestamp::now(), Instant::now());
            let active = self.active.load_full();
            if !Arc::ptr_eq(&last, &active) {
                memories.reloaded(&last.checklists, &active.checklists);
                left = left.or_else(|| Some(Left::new(self.judgements(), &last.checklists, &active.checklists)));
                recalls = Recalls::default();
                last = Arc::clone(&active);
            }
            let snapshot = self.store.snapshot();
            let of_all = snapshot.all_attempted();
            let mut judged = active.judge(&snapshot, now, &memories, &mut recalls);
            memories.apply(&mut judged, of_all);
            // Before everything was looked at once, most is unknown, which is no change of anything.
            if of_all {
                let state = self.state.load();
                // Without a file nothing outlives the process, and there may be thousands of them.
                let lasting = if state.path().is_some() { memories.lasting() } else { Vec::new() };
                let left = left.take();
                let mut verdicts: Vec<_> = judged.iter().map(Judgement::verdicts).collect();
                if let Some(left) = &left {
                    left.explain(&judged, &mut verdicts);
                }
                state.record(&mut verdicts, lasting);
                self.archive(&judged);
            }
            self.judged.store(Arc::new(Judged { judgements: Arc::new(judged), since: Instant::now() }));
            let work = began.elapsed();
            // What is red turns green after two good looks, and of a source that flaps the judge must not see those alone: so
            // it rests half as long as the fastest source, and while anything is red as little as it may.
            let fastest = snapshot.views.iter().map(|view| view.source.interval).min().unwrap_or_default();
            let most = if memories.hold() { Duration::ZERO } else { fastest / 2 };
            tokio::select! {
                changed = version.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(TICK.after(work, Duration::MAX)) => {}
            }
            tokio::time::sleep(SETTLE.after(work, most)).await;
        }
    }

    /// Judges what is known now, without memory: for a single run.
    pub fn judge_once(&self) -> Vec<Judgement> {
        self.active.load().judge(&self.store.snapshot(), Timestamp::now(), &Memories::default(), &mut Recalls::default())
    }

    /// Keeps the filled-in checklist at the moments that matter, if there is a folder for it.
    fn archive(&self, judged: &[Judgement]) {
        let active = self.active.load();
        let Some(folder) = &active.archive else { return };
        self.archive.prepare(folder);
        let Some(first) = judged.first() else { return };
        let coming = event::coming(&active.schedules, first.at);
        for judgement in judged {
            if let Some(event) = coming.iter().find(|event| judgement.event.as_ref() == Some(&event.name)) {
                self.archive.keep(folder, judgement, event, self.place.external.as_ref());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_that_works_long_rests_longer() {
        let rests = |work: u64, most: u64| [SETTLE, TICK].map(|rest| rest.after(Duration::from_millis(work), Duration::from_millis(most)).as_millis());
        assert_eq!([0, 6, 15, 1_000].map(|work| rests(work, 7_500)), [[500, 1_000], [600, 3_000], [1_500, 5_000], [2_000, 5_000]]);
        assert_eq!([0, 500, 1_000, 1_500].map(|most| rests(1_000, most)[0]), [500, 500, 1_000, 1_500], "no look of the fastest source is missed");
    }
}
