//! The exporter's own state file: whether it could be trusted, and whether it can be written.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::driver::{Form, Poll, Task};
use crate::labels::Labels;
use crate::metric::{Family, StateSet, state_set};
use crate::snapshot::{CollectError, Observation, Snapshot, Source, Subjects};
use crate::state::State;

/// The `collector` label.
pub const NAME: &str = "memory";

static FILE: StateSet<0> = state_set(
    "readiness_state_file_state",
    &["read", "new", "rebuilt", "unwritable"],
    &[],
    "How the state file was found when the exporter started, or that it cannot be written now, from the file system; rebuilt when it could not be trusted.",
);

/// Families of this collector.
pub static FAMILIES: &[&Family] = &[&FILE.0];

const INTERVAL: Duration = Duration::from_secs(15);

/// The task, if there is a file.
pub fn task(state: &Arc<State>) -> Option<Task> {
    let path = state.path()?;
    Some(Task {
        source: Source {
            collector: NAME,
            name: "state-file".to_owned(),
            identity: Labels::default(),
            covers: Vec::new(),
            subjects: Subjects::Nothing,
            emits: vec![FILE.0.name],
            off: Arc::default(),
            reads: &[],
            interval: INTERVAL,
            keep: INTERVAL * 3,
        },
        fingerprint: path.display().to_string(),
        timeout: INTERVAL,
        form: Form::Poll(Box::new(Looker(Arc::clone(state)))),
    })
}

struct Looker(Arc<State>);

impl Poll for Looker {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async {
            let (health, why) = self.0.health();
            let sample = FILE.sample::<&str>([], health.as_str());
            let sample = if let Some(why) = why { sample.with_detail(why) } else { sample };
            Ok(Observation::new(vec![sample], 1, 0))
        }
        .boxed()
    }
}
