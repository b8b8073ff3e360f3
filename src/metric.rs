//! Declarations of metrics, samples of them, and the text that Prometheus reads.
//!
//! A metric is declared once, in a block of `metrics!` beside the collector that fills it. The number of
//! labels is part of the type, so a sample with a missing label does not compile, and so are the states of
//! a state set. Observed facts never live in a long-lived `GaugeVec`: a vanished object must lose its
//! series at once.

mod states;
mod text;

use std::marker::PhantomData;
use std::sync::Arc;

pub use states::States;
pub(crate) use states::states;
pub use text::{Format, of_counters, write_header, write_samples};

use crate::say::Message;

/// What the value of a metric means; decides how values are written for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count, or an amount without a unit of its own; never below 0.
    Number,
    /// Whether something is so: 1, or 0.
    Flag,
    /// 1 wherever there is a series; what is said stands in its labels.
    Mark,
    /// What is used of a limit, shown as a percentage: it may be above 1 for a while.
    Ratio,
    /// A part of a whole, shown as a percentage: at most 1.
    Share,
    /// A length of time in seconds.
    Seconds,
    /// A moment, in seconds since the Unix epoch.
    Timestamp,
    /// A size in bytes.
    Bytes,
}

/// Which facts prove that a metric could be seen at all.
///
/// Kubernetes metrics have one series per object, so no series may mean "nothing there" or
/// "not allowed to look". The coverage state set tells the two apart.
#[derive(Debug, Clone, Copy)]
pub struct Coverage {
    /// A state set that says of each scope whether it was seen.
    pub states: &'static str,
    /// The states in which it was.
    pub seen: &'static [&'static str],
    /// The values of its `kind` label that speak for the metric; none are all of them.
    pub kinds: &'static [&'static str],
    /// Whether the metric has series only for what is wrong, so that none at all is good news once
    /// everything was seen.
    pub quiet: bool,
    /// Whether only some of what was seen has anything that the metric could tell: then no series says nothing,
    /// neither good nor bad.
    pub sparse: bool,
    /// The states of the coverage in which each subject must bear the fact itself: an address that answered
    /// has a status, and is not spoken for by its neighbours.
    pub borne_in: &'static [&'static str],
}

impl Coverage {
    /// The metric can be judged where a state set is in one of these states.
    pub const fn of(states: &'static str, seen: &'static [&'static str]) -> Self {
        Self { states, seen, kinds: &[], quiet: false, sparse: false, borne_in: &[] }
    }

    /// The same, for a metric that every subject bears that was seen.
    #[must_use]
    pub const fn each(self) -> Self {
        self.each_in(self.seen)
    }

    /// The same, for a metric that a subject bears in some of the states in which it was seen.
    #[must_use]
    pub const fn each_in(mut self, borne_in: &'static [&'static str]) -> Self {
        self.borne_in = borne_in;
        self
    }

    /// The same, for a metric that only some subjects have anything to tell of.
    #[must_use]
    pub const fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// The same, for a metric that has series only for what is wrong.
    #[must_use]
    pub const fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }
}

/// The declaration of one metric family, without its label count.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Full name as scraped, `readiness_<subject>_<quantity>_<unit>`.
    pub name: &'static str,
    /// One sentence that names the source.
    pub help: &'static str,
    /// Label names in the order of a sample's values; a state set's `state` is not among them.
    pub labels: &'static [&'static str],
    /// Unit of the value.
    pub unit: Unit,
    /// The closed list of states when this is a state set, else empty.
    pub states: &'static [&'static str],
    /// What people read for a state with which all is well, where its name alone is no sentence.
    pub sayings: &'static [(&'static str, &'static str)],
    /// See [`Coverage`].
    pub covered_by: Option<Coverage>,
    /// What an entry of the configuration needs for the metric to be there, where not every entry has it.
    pub made_by: Option<&'static str>,
    /// A label with all the values that it can have.
    pub values: Option<(&'static str, &'static [&'static str])>,
    /// States beside `unknown` that say that nothing was seen: they are good news for no check, and bad for those that
    /// name them.
    pub unseen: &'static [&'static str],
}

impl Family {
    /// Whether each of its samples is about one event.
    pub fn is_of_events(&self) -> bool {
        self.labels.contains(&"event")
    }
}

/// A gauge with `N` labels.
#[derive(Debug)]
pub struct Gauge<const N: usize>(pub Family);

/// One series per state of `S`, of which exactly one is 1; `N` labels beside `state`.
#[derive(Debug)]
pub struct StateSet<S, const N: usize>(pub Family, PhantomData<S>);

/// Declares a gauge whose value is of `unit`.
pub const fn gauge<const N: usize>(name: &'static str, unit: Unit, labels: &'static [&'static str; N], help: &'static str) -> Gauge<N> {
    Gauge(Family { name, help, labels, unit, states: &[], sayings: &[], covered_by: None, made_by: None, values: None, unseen: &[] })
}

/// Declares a state set.
pub const fn state_set<S: States, const N: usize>(name: &'static str, labels: &'static [&'static str; N], help: &'static str) -> StateSet<S, N> {
    let family =
        Family { name, help, labels, unit: Unit::Number, states: S::WORDS, sayings: S::SAYINGS, covered_by: None, made_by: None, values: None, unseen: &[] };
    StateSet(family, PhantomData)
}

/// Declares metrics and the list of their families, so that one that is declared is listed.
///
/// The list has the order of the declarations, which is that of `docs/metrics.md`. Where some of the metrics are
/// filled together, they stand in a group that has a list of its own, and the first list is all groups.
macro_rules! metrics {
    (
        $(#[$doc:meta])* $scope:vis $list:ident;
        $($(#[$about:meta])* $own:vis static $name:ident: $kind:ty = $declared:expr;)+
    ) => {
        $($(#[$about])* $own static $name: $kind = $declared;)+
        $(#[$doc])*
        $scope static $list: &[&$crate::metric::Family] = &[$(&$name.0),+];
    };
    (
        $(#[$doc:meta])* $scope:vis $list:ident;
        $($(#[$part_doc:meta])* $part_scope:vis $part:ident {
            $($(#[$about:meta])* $own:vis static $name:ident: $kind:ty = $declared:expr;)+
        })+
    ) => {
        $($crate::metric::metrics! {
            $(#[$part_doc])* $part_scope $part;
            $($(#[$about])* $own static $name: $kind = $declared;)+
        })+
        // A group is more than a heading even where nobody asks for it alone.
        const _: &[&[&$crate::metric::Family]] = &[$($part),+];
        $(#[$doc])*
        $scope static $list: &[&$crate::metric::Family] = &[$($(&$name.0),+),+];
    };
}
pub(crate) use metrics;

impl<const N: usize> Gauge<N> {
    /// The same declaration, with the facts that prove it could be seen.
    #[must_use]
    pub const fn covered_by(mut self, coverage: Coverage) -> Self {
        self.0.covered_by = Some(coverage);
        self
    }

    /// The same declaration, with what an entry of the configuration needs for it, as in `add WHAT`.
    #[must_use]
    pub const fn made_by(mut self, entry: &'static str) -> Self {
        self.0.made_by = Some(entry);
        self
    }

    /// The same declaration, with all the values of a label.
    #[must_use]
    pub const fn with_values(mut self, label: &'static str, values: &'static [&'static str]) -> Self {
        self.0.values = Some((label, values));
        self
    }

    /// One observation. Labels that many samples share are best given as `Arc<str>`.
    pub fn sample<L: Into<Arc<str>>>(&'static self, labels: [L; N], value: f64) -> Sample {
        Sample { family: &self.0, labels: labels.into_iter().map(Into::into).collect(), value, detail: None }
    }
}

impl<S: States, const N: usize> StateSet<S, N> {
    /// The same declaration, with the facts that prove it could be seen.
    #[must_use]
    pub const fn covered_by(mut self, coverage: Coverage) -> Self {
        self.0.covered_by = Some(coverage);
        self
    }

    /// The same declaration, with what an entry of the configuration needs for it, as in `add WHAT`.
    #[must_use]
    pub const fn made_by(mut self, entry: &'static str) -> Self {
        self.0.made_by = Some(entry);
        self
    }

    /// The same declaration, with the states beside `unknown` in which nothing was seen.
    #[must_use]
    pub const fn unseen_in(mut self, states: &'static [&'static str]) -> Self {
        self.0.unseen = states;
        self
    }

    /// The set in state `current`.
    pub fn sample<L: Into<Arc<str>>>(&'static self, labels: [L; N], current: S) -> Sample {
        let index = S::ALL.iter().position(|state| *state == current);
        Sample { value: index.map_or(f64::NAN, |index| index as f64), ..self.unseen(labels) }
    }

    /// The set in none of its states, so that it has no 1 at all, which the judge reads as unknown.
    pub fn unseen<L: Into<Arc<str>>>(&'static self, labels: [L; N]) -> Sample {
        Sample { family: &self.0, labels: labels.into_iter().map(Into::into).collect(), value: f64::NAN, detail: None }
    }
}

/// One observed value of a family.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What was observed.
    pub family: &'static Family,
    /// Label values in the family's order. Those of one look that are about the same share them.
    pub labels: Arc<[Arc<str>]>,
    /// The value; for a state set the position of the current state, since one sample stands for
    /// all series of the set until it is written.
    pub value: f64,
    /// What a person wants to read next to a red line. Never exported, because free text is no
    /// label; never holds a secret.
    pub detail: Option<Message>,
}

impl Sample {
    /// The same sample with a line for people.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Message>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The moment of a gauge of moments, in Unix seconds; one beyond the calendar is its end, so that
    /// time arithmetic on whatever a peer claimed stays within bounds.
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds, far below 2^53")]
    pub fn second(&self) -> i64 {
        (self.value as i64).clamp(jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second())
    }

    /// The current state of a state set.
    pub fn state(&self) -> Option<&'static str> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the position of a state; NaN stands for none")]
        let index = (!self.value.is_nan()).then_some(self.value as usize)?;
        self.family.states.get(index).copied()
    }

    /// The value of a label; `state` names the current state of a state set.
    pub fn label(&self, name: &str) -> Option<&str> {
        let at = self.family.labels.iter().position(|label| *label == name);
        at.and_then(|at| self.labels.get(at).map(AsRef::as_ref)).or_else(|| if name == "state" { self.state() } else { None })
    }

    /// Labels with their names, without the state.
    pub fn label_pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.family.labels.iter().copied().zip(self.labels.iter().map(AsRef::as_ref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    states! {
        /// Whether a door is open.
        enum Door {
            Open => "open",
            Closed => "closed": "it is closed",
        }
    }

    metrics! {
        /// Families about a house.
        FAMILIES;

        /// Families about warmth.
        WARMTH {
            static TEMPERATURE: Gauge<2> = gauge("t_ratio", Unit::Ratio, &["room", "wall"], "How warm.\nReally.");
            static HEATED: Gauge<0> = gauge("t_heated", Unit::Number, &[], "Whether it is heated.");
        }

        /// Families about doors.
        DOORS {
            static DOOR: StateSet<Door, 1> = state_set("t_door_state", &["room"], "Whether it is open.");
        }
    }

    fn text(family: &Family, samples: &[Sample]) -> String {
        let mut out = String::new();
        write_header(&mut out, family, Format::Text);
        write_samples(&mut out, samples);
        out
    }

    #[test]
    fn every_legal_byte_of_a_label_value_survives() {
        let sample = TEMPERATURE.sample(["a\"b\\c\nd", "é€"], 0.25);
        assert_eq!(
            text(&TEMPERATURE.0, &[sample]),
            "# HELP t_ratio How warm.\\nReally.\n# TYPE t_ratio gauge\nt_ratio{room=\"a\\\"b\\\\c\\nd\",wall=\"é€\"} 0.25\n"
        );
    }

    #[test]
    fn what_is_declared_is_listed_in_its_order() {
        let names = |families: &[&'static Family]| families.iter().map(|family| family.name).collect::<Vec<_>>();
        assert_eq!(names(FAMILIES), ["t_ratio", "t_heated", "t_door_state"]);
        assert_eq!((names(WARMTH), names(DOORS)), (vec!["t_ratio", "t_heated"], vec!["t_door_state"]));
        assert_eq!(HEATED.sample::<&str>([], 1.0).family.name, "t_heated");
    }

    #[test]
    fn exactly_one_state_is_one() {
        assert_eq!(
            text(&DOOR.0, &[DOOR.sample(["hall"], Door::Closed)]),
            "# HELP t_door_state Whether it is open.\n# TYPE t_door_state gauge\n\
             t_door_state{room=\"hall\",state=\"open\"} 0\nt_door_state{room=\"hall\",state=\"closed\"} 1\n"
        );
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_none_is_none() {
        for door in [Door::Open, Door::Closed] {
            assert_eq!(Door::of(&DOOR.sample(["hall"], door)), Some(door));
        }
        assert_eq!(DOOR.0.sayings, [("closed", "it is closed")]);
        let unseen = DOOR.unseen(["hall"]);
        assert_eq!((Door::of(&unseen), unseen.state()), (None, None));
        assert!(text(&DOOR.0, &[unseen]).lines().skip(2).all(|series| series.ends_with(" 0")));
    }
}
