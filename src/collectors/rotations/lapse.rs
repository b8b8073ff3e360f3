//! What a rotation no longer renews, since it is suspended or pauses for too long, and when that ends. Suspending
//! keeps a rotation out of an event and lets a key of eight hours lapse in its middle: of all traps the one that
//! careful people fall into.

use super::config::Rotation;
use super::predict::Rule;
use super::renewal;
use super::times::{moment, seconds};
use super::way::{self, Key, Turns, Way};
use crate::collectors::credentials;
use crate::metric::{Coverage, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;

const STATES: &str = "readiness_rotation_lapse_state";
const LABELS: [&str; 2] = ["rotation", "subject"];

states! {
    /// Whether what a rotation renews ends.
    pub(super) enum Lapse {
        Renewed => "renewed",
        At => "at",
        Never => "never",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families about what a rotation no longer renews.
    pub(super) FAMILIES;

    pub(super) static STATE: StateSet<Lapse, 2> = state_set(
        STATES,
        &LABELS,
        "Whether what a rotation renews ends because the rotation is suspended, or pauses for longer than what it renews lives where no credential tells how long: renewed while it runs, else at a moment or never. From the credential, or from the last run and how long its key lives.",
    );
    pub(super) static MOMENT: Gauge<2> = gauge(
        "readiness_rotation_lapse_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When what a rotation no longer renews ends, since it is suspended or pauses for too long, from the credential, or from the last run and how long its key lives; the earliest where they differ.",
    )
    .covered_by(Coverage::of(STATES, &[Lapse::Renewed.as_str(), Lapse::At.as_str(), Lapse::Never.as_str()]).quiet());
}

/// What is known of a rotation.
pub(super) struct Known<'a> {
    pub(super) rotation: &'a Rotation,
    pub(super) subject: &'a str,
    /// Unless nothing tells.
    pub(super) suspended: Option<bool>,
    /// When it last ran, in Unix seconds, if that run renewed anything.
    pub(super) renewed: Option<i64>,
    /// By what it runs, unless nothing tells.
    pub(super) rule: Option<&'a Rule>,
    /// How long a run of it may take, in seconds.
    pub(super) lasts: i64,
    pub(super) now: i64,
    /// To when what it renews is needed.
    pub(super) until: i64,
}

impl Rotation {
    /// Whether it is known what it renews, and something tells when it no longer does.
    pub(super) fn renews(&self) -> bool {
        self.can_be_suspended() && (self.renewed_credential().is_some() || self.lifetime.is_some())
    }

    /// The credential that it renews, if the configuration says so.
    pub(super) fn renewed_credential(&self) -> Option<&str> {
        self.credential.as_deref().or_else(|| self.every.as_ref().map(|every| every.credential.as_str()))
    }
}

/// Facts about one rotation of which it is known what it renews.
pub(super) fn facts(known: &Known<'_>, seen: &Snapshot) -> Vec<Sample> {
    let labels = [known.rotation.name.as_str(), known.subject];
    match known.suspended {
        None => vec![STATE.sample(labels, Lapse::Unknown).with_detail("whether it is suspended is not known")],
        Some(false) => pause(known),
        Some(true) => match end(known, seen) {
            Err(why) => vec![STATE.sample(labels, Lapse::Unknown).with_detail(&why)],
            Ok(None) => vec![STATE.sample(labels, Lapse::Never)],
            Ok(Some(at)) => vec![STATE.sample(labels, Lapse::At), MOMENT.sample(labels, at as f64).with_detail(say!("it expires at {}", named(&moment(at))))],
        },
    }
}

/// Whether one that runs pauses for longer than what it renews lives. Where a credential tells, the lapse of that
/// one is judged, to which other rotations may come.
fn pause(known: &Known<'_>) -> Vec<Sample> {
    let labels = [known.rotation.name.as_str(), known.subject];
    let lives = known.rotation.lifetime.filter(|_| known.rotation.renewed_credential().is_none()).map(seconds);
    let (Some(lives), Some(made), Some(rule)) = (lives, known.renewed, known.rule) else { return vec![STATE.sample(labels, Lapse::Renewed)] };
    let key = Key { made, ends: made.saturating_add(lives), lives };
    let at = |ends: i64, why: Message| vec![STATE.sample(labels, Lapse::At), MOMENT.sample(labels, ends as f64).with_detail(say!("it {}", why))];
    match way::walk(&[Turns { rules: vec![rule.clone()], spares: false }], key, known.lasts, known.now, known.until) {
        Way::Whole(_) => vec![STATE.sample(labels, Lapse::Renewed)],
        Way::Now(next) => at(key.ends, renewal::pause(made, lives, next)),
        Way::Later { made, ends, next } => at(ends, renewal::pause(made, lives, next)),
        Way::TooFar => vec![STATE.sample(labels, Lapse::Unknown).with_detail("it runs too often to be followed until the last event is over")],
    }
}

/// When what it renewed last ends, in Unix seconds; `None` when it never does.
fn end(known: &Known<'_>, seen: &Snapshot) -> Result<Option<i64>, Message> {
    let told = known.rotation.renewed_credential().map(|credential| credentials::end_of(seen, credential));
    let lived = known.rotation.lifetime.map(|lifetime| {
        let renewed = known.renewed.ok_or_else(|| say!("when it last succeeded is not known"))?;
        Ok(Some(renewed.saturating_add(seconds(lifetime))))
    });
    let ways: Vec<Result<Option<i64>, Message>> = told.into_iter().chain(lived).collect();
    // A moment that one way tells holds, whatever the other does not know.
    let earliest = ways.iter().filter_map(|way| way.as_ref().ok().copied().flatten()).min();
    match (earliest, ways.into_iter().find_map(Result::err)) {
        (Some(at), _) => Ok(Some(at)),
        (None, Some(why)) => Err(why),
        (None, None) => Ok(None),
    }
}
