//! The exporter's own state file: whether it could be trusted, and whether it can be written.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::section::Collector;
use crate::driver::{Form, Poll, Task};
use crate::made::{Made, Shared};
use crate::metric::{StateSet, metrics, state_set};
use crate::snapshot::{CollectError, Observation, Snapshot, Source, Subjects};
use crate::state::{Health, State};

/// The `collector` label.
pub const NAME: &str = "memory";

metrics! {
    /// Families of this collector.
    pub FAMILIES;

    static FILE: StateSet<Health, 0> = state_set(
        "readiness_state_file_state",
        &[],
        "How the state file was found when the exporter started, or that it cannot be written now, from the file system; rebuilt when it could not be trusted.",
    );
}

const INTERVAL: Duration = Duration::from_secs(15);

/// This collector.
pub(super) const COLLECTOR: Collector =
    Collector { name: NAME, key: "state_file", families: &[FAMILIES], tasks: |estate| Ok(task(estate.state).into_iter().collect()) };

/// The task, if there is a file.
fn task(state: &Arc<State>) -> Option<Task> {
    state.path()?;
    Some(Task {
        source: Source { subjects: Subjects::Nothing, emits: vec![FILE.0.name], ..Source::new(NAME, "state-file", INTERVAL) },
        timeout: INTERVAL,
        form: Made::of(Shared(Arc::clone(state)), |Shared(state)| Form::poll(Looker(Arc::clone(state)))),
    })
}

struct Looker(Arc<State>);

impl Poll for Looker {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async {
            let (health, why) = self.0.health();
            let sample = FILE.sample::<&str>([], health);
            let sample = if let Some(why) = why { sample.with_detail(why) } else { sample };
            Ok(Observation::new(vec![sample], 1, 0))
        }
        .boxed()
    }
}
