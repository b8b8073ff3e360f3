//! Whether a rotation was seen to renew a credential, now and until the events are over: pure but for what it
//! remembers.
//!
//! A key of eight hours that is renewed every four never outlives an event a week away, and that is as it
//! should be, as long as its rotation works. So its end counts against an event only where that was not
//! seen: the last turn came in time and changed the key, the next one comes before the key ends, no pause until
//! the last event is over is longer than a key lives, nothing is suspended, and all copies are the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::config::{Config, Rotation};
use super::forecast::Look;
use super::hand;
use super::metrics::{LAST, RUN, Ran, SUSPENSION, Suspension};
use super::predict::Rule;
use super::reach::{self, Likeness};
use super::times::{moment, seconds};
use super::way::{self, Key, Turns, Way};
use crate::collectors::credentials;
use crate::event::{self, Schedule};
use crate::metric::{Sample, States as _};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::value::Span;

/// What was seen of the renewal of a credential.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors) enum Renewal {
    /// No rotation of the configuration renews it.
    Nobody,
    /// It is renewed before it expires, as often as it must be, and by what.
    Proven(Message),
    /// It is not, and why.
    Refuted(Message),
    /// It is, but one that comes after it expires at that moment without being renewed, and why.
    Lapses(i64, Message),
    /// Whether it is cannot be seen, and why.
    Unseen(Message),
}

/// What renewals are judged by.
pub(in crate::collectors) struct Renewals {
    pub(in crate::collectors) config: Config,
    pub(in crate::collectors) schedules: Vec<Schedule>,
    pub(in crate::collectors) state: Arc<State>,
}

impl Renewals {
    /// Whether a credential that ends at a second is renewed before, by the facts of rotations. A copy is
    /// renewed with the credential that it is one of.
    pub(in crate::collectors) fn of(&self, credential: &str, ends: i64, seen: &Snapshot, now: Timestamp) -> Renewal {
        let Self { config, schedules, state } = self;
        let until = until(config, schedules, now);
        let rules = |rotation: &Rotation| {
            let found = Look { config, rotation, state, seen, now, until }.rotators();
            found.into_iter().filter_map(|rotator| Some((rotator.subject, rotator.rule.ok()?))).collect()
        };
        let doubts = |rotations: &[&Rotation], rotation: &Rotation| {
            let looks: Vec<Look<'_>> = rotations.iter().map(|rotation| Look { config, rotation, state, seen, now, until }).collect();
            rotation.renewed_credential().is_some_and(|renewed| hand::may_have_made(&looks, renewed, ends))
        };
        Case { config, credential, ends, seen, now: now.as_second(), until, rules: &rules, doubts: &doubts }.renewal()
    }
}

/// The moment to which keys must be carried: the end of the last event that comes, and what is asked beyond it.
pub(super) fn until(config: &Config, schedules: &[Schedule], now: Timestamp) -> i64 {
    let last = event::coming(schedules, now).iter().map(|event| event.end.as_second()).max();
    last.map_or(now.as_second(), |end| end.saturating_add(seconds(config.guard.max(BEYOND))))
}

/// What ends less than this after an event counts against it (`CredentialExpiresBeforeEventEnd`).
const BEYOND: Span = Span::hours(1);

/// For how long nobody says that a turn did nothing, where it is not written down how long its key may be on its way:
/// external-secrets looks for a new one once an hour unless it is told otherwise.
/// Source: <https://external-secrets.io/latest/api/externalsecret/>
const PATIENCE: i64 = 3600;

/// Seconds by which clocks of a cluster may differ.
const CLOCKS: i64 = 60;

/// The rules of the objects of a rotation.
type Rules = BTreeMap<String, Rule>;

/// One credential at one moment.
struct Case<'a> {
    config: &'a Config,
    credential: &'a str,
    ends: i64,
    seen: &'a Snapshot,
    now: i64,
    until: i64,
    rules: &'a dyn Fn(&Rotation) -> Rules,
    /// Whether the last change of what a rotation renews may be one that somebody made by hand; the first are all that renew it.
    doubts: &'a dyn Fn(&[&Rotation], &Rotation) -> bool,
}

impl Case<'_> {
    fn renewal(&self) -> Renewal {
        let Self { config, credential, seen, .. } = self;
        let copies = config.copies.iter().filter(|copies| copies.credentials.iter().any(|own| own == credential));
        let same: Vec<&str> = copies.clone().flat_map(|copies| &copies.credentials).map(String::as_str).chain([*credential]).collect();
        let renews = |rotation: &&Rotation| rotation.renewed_credential().is_some_and(|own| same.contains(&own));
        let rotations: Vec<&Rotation> = config.rotations.iter().filter(renews).collect();
        if rotations.is_empty() {
            return Renewal::Nobody;
        }
        for copies in copies {
            let told = seen.samples_of(reach::COPIES.0.name).find(|sample| sample.label("copies") == Some(copies.name.as_str()));
            match told.and_then(Likeness::of) {
                Some(Likeness::Identical) => {}
                Some(Likeness::Different) => return Renewal::Refuted(say!("its copies {} differ", named(&copies.name))),
                Some(Likeness::Unknown) | None => return Renewal::Unseen(say!("whether its copies {} are the same is not known", named(&copies.name))),
            }
        }
        let all: Vec<Rules> = rotations.iter().map(|rotation| (self.rules)(rotation)).collect();
        let (mut working, mut others) = (Vec::new(), Vec::new());
        for rotation in &rotations {
            match self.works(rotation, &all) {
                Ok(_) if (self.doubts)(&rotations, rotation) => others.push(Renewal::Unseen(hand::doubt(rotation))),
                Ok(turns) => working.push((*rotation, turns)),
                Err(why) => others.push(why),
            }
        }
        // Those that work may be enough; of the others it is told why they do not.
        let found = (!working.is_empty()).then(|| self.walk(&working));
        let mut found: Vec<Renewal> = found.into_iter().chain(others).collect();
        found.sort_by_key(|renewal| match renewal {
            Renewal::Proven(_) => 0,
            Renewal::Unseen(_) => 1,
            Renewal::Lapses(..) | Renewal::Refuted(_) | Renewal::Nobody => 2,
        });
        found.into_iter().next().unwrap_or(Renewal::Nobody)
    }

    /// The turns of a rotation that was seen to work, of which every object must do its part. `all` are the rules of
    /// whatever renews the credential.
    fn works(&self, rotation: &Rotation, all: &[Rules]) -> Result<Turns, Renewal> {
        let name = rotation.name.as_str();
        let of = |family: &'static str| self.seen.samples_of(family).filter(move |sample| sample.label("rotation") == Some(name));
        let (mut known, mut turns) = ((self.rules)(rotation), Turns { rules: Vec::new(), spares: false });
        for run in of(RUN.0.name) {
            let own = |sample: &&Sample| sample.label("subject") == run.label("subject");
            let why = |text: &'static str| say!("rotation {} {}", named(name), text);
            match of(SUSPENSION.0.name).find(own).and_then(Suspension::of) {
                Some(Suspension::Running) => {}
                // What runs as a service of its own cannot be suspended.
                None if !rotation.can_be_suspended() => {}
                Some(Suspension::SuspendedForEvent | Suspension::Forgotten) => return Err(Renewal::Refuted(why("is suspended"))),
                None => return Err(Renewal::Unseen(why("cannot be seen"))),
            }
            let is_under_way = match Ran::of(run) {
                Some(Ran::Idle) => false,
                Some(Ran::Running) => true,
                Some(Ran::Slow) => return Err(Renewal::Refuted(why("does not come to an end"))),
                Some(Ran::Failed) => return Err(Renewal::Refuted(why("failed"))),
                Some(Ran::Missed) => return Err(Renewal::Refuted(why("did not run when it was due"))),
                Some(Ran::Unknown) | None => return Err(Renewal::Unseen(why("cannot be seen"))),
            };
            let rule = known.remove(run.label("subject").unwrap_or_default()).ok_or_else(|| Renewal::Unseen(why("cannot be seen")))?;
            let last = of(LAST.0.name).find(own).map(Sample::second).ok_or_else(|| Renewal::Unseen(why("was not seen to change it")))?;
            // What a run changed is seen when it is over and the credential was looked at again.
            let settled = last.saturating_sub(i64::from(is_under_way)).min(self.now.saturating_sub(self.arrival(rotation)));
            turns.spares |= self.spares(rotation, &rule, settled, all)?;
            turns.rules.push(rule);
        }
        if turns.rules.is_empty() { Err(Renewal::Unseen(say!("rotation {} cannot be seen", named(name)))) } else { Ok(turns) }
    }

    /// Whether a rotation, which has run until `settled`, renews the credential only when it is due. One that has
    /// neither changed it nor had a reason to leave it alone does not work.
    fn spares(&self, rotation: &Rotation, rule: &Rule, settled: i64, all: &[Rules]) -> Result<bool, Renewal> {
        let why = |text: &'static str| say!("rotation {} {}", named(&rotation.name), text);
        let renewed = rotation.renewed_credential().unwrap_or(self.credential);
        let latest = credentials::last_changed(self.seen, renewed).ok_or_else(|| Renewal::Unseen(why("was not seen to change it")))?;
        if self.takes_any_change(rotation, rule, latest, all) {
            return Err(Renewal::Unseen(why("may take so long to arrive that any change before its next turn would count as its own; shorten arrives_within")));
        }
        // One that lives for so long was made so long before its end.
        let lived = rotation.lifetime.map(|lifetime| self.ends.saturating_sub(seconds(lifetime))).filter(|made| *made <= latest);
        let earliest = credentials::changed_not_before(self.seen, renewed).max(lived);
        let left_by = |changed: i64, moment: i64| rule.due(changed.saturating_add(CLOCKS)).is_some_and(|due| due <= moment);
        let was_left = |changed: i64| left_by(changed, settled);
        // What this turn made may be on its way. One before it left nothing behind that could be.
        let patience = self.now.saturating_sub(PATIENCE);
        let may_arrive = rotation.arrives_within.is_none() && self.ends > settled.saturating_add(PATIENCE) && !left_by(latest, settled.min(patience));
        let refuted = || {
            if may_arrive {
                return Renewal::Unseen(why("ran, and what it made has not arrived yet; arrives_within says how long it may be on its way"));
            }
            Renewal::Refuted(why("ran, and did not change it"))
        };
        match earliest {
            Some(earliest) if !was_left(earliest) => {
                let (from, to, slow) = (earliest.saturating_sub(CLOCKS), latest.saturating_add(CLOCKS), self.arrival(rotation));
                // What somebody made by hand says nothing about whoever should have made it.
                let is_of_a_turn = all.iter().flat_map(Rules::values).any(|rule| rule.may_have_made(from, to, slow));
                if is_of_a_turn {
                    Ok(false)
                } else if rule.is_unconfirmed() {
                    Err(Renewal::Unseen(why("was seen to change it once; that somebody did that by hand is excluded only when it changes again in time")))
                } else {
                    Err(Renewal::Unseen(why("was not seen to change it: when it was last changed, nothing that renews it ran")))
                }
            }
            Some(earliest) if earliest.saturating_add(seconds(self.config.slow_after)) >= latest => {
                let key = Key { made: latest, ends: self.ends, lives: 0 };
                if self.is_left_rightly(rotation, rule, &key, settled) { Ok(true) } else { Err(refuted()) }
            }
            _ if was_left(latest) && !self.is_left_rightly(rotation, rule, &Key { made: latest, ends: self.ends, lives: 0 }, settled) => Err(refuted()),
            _ => Err(Renewal::Unseen(why("ran, and whether that changed it is not known, since other things are written where it is kept"))),
        }
    }

    /// Whether what arrives shortly before the next turn would still count as made by one, as by `arrives_within`: then
    /// no change tells whether anything ran.
    fn takes_any_change(&self, rotation: &Rotation, rule: &Rule, latest: i64, all: &[Rules]) -> bool {
        let (slow, at) = (self.arrival(rotation), rule.next(latest).map(|(next, _)| next.saturating_sub(2 * CLOCKS)));
        let counts = |at: i64| all.iter().flat_map(Rules::values).any(|rule| rule.may_have_made(at, at, slow));
        rotation.arrives_within.is_some() && at.is_some_and(counts)
    }

    /// Whether a key that a rotation left alone was made by one of its turns, is not due yet, and two turns will
    /// come when it is: one that renews it, and one to mend what goes wrong then.
    fn is_left_rightly(&self, rotation: &Rotation, rule: &Rule, key: &Key, settled: i64) -> bool {
        let slow = self.arrival(rotation);
        let own = rule.may_have_made(key.made.saturating_sub(CLOCKS), key.made.saturating_add(CLOCKS), slow);
        let turn = rule.from(way::due(key)).filter(|(_, latest)| *latest > settled);
        let spare = turn.and_then(|(earliest, _)| rule.after(earliest));
        own && spare.is_some_and(|(_, latest)| latest.saturating_add(slow) <= key.ends)
    }

    /// Seconds from the beginning of a turn until what it makes has surely arrived.
    fn arrival(&self, rotation: &Rotation) -> i64 {
        seconds(self.config.slow_after).saturating_add(rotation.arrives_within.map_or(0, seconds))
    }

    /// Whether rotations that work carry the credential until the last event is over.
    fn walk(&self, working: &[(&Rotation, Turns)]) -> Renewal {
        let who = || Message::of_names(working.iter().map(|(rotation, _)| rotation.name.as_str()));
        let made = working.iter().filter_map(|(rotation, _)| credentials::last_changed(self.seen, rotation.renewed_credential()?)).max();
        let Some(made) = made else { return Renewal::Unseen(say!("rotation {} was not seen to change it", who())) };
        let written = working.iter().filter_map(|(rotation, _)| rotation.lifetime).map(seconds);
        let lives = written.chain([self.ends.saturating_sub(made)]).min().unwrap_or_default();
        let turns: Vec<Turns> = working.iter().map(|(_, turns)| turns.clone()).collect();
        let lasts = working.iter().map(|(rotation, _)| self.arrival(rotation)).max().unwrap_or_default();
        match way::walk(&turns, Key { made, ends: self.ends, lives }, lasts, self.now, self.until) {
            Way::Whole(over) => Renewal::Proven(say!("rotation {} renews it by {}", who(), named(&moment(over)))),
            Way::Now(None) => Renewal::Refuted(say!("rotation {} never runs again", who())),
            Way::Now(Some(over)) => Renewal::Refuted(say!("rotation {} may be over no sooner than {}, which is after its end", who(), named(&moment(over)))),
            Way::Later { made, ends, next } => Renewal::Lapses(ends, say!("rotation {} {}", who(), pause(made, lives, next))),
            Way::TooFar => Renewal::Unseen(say!("rotation {} runs too often to be followed until the last event is over", who())),
        }
    }
}

/// Why a key ends between two turns.
pub(super) fn pause(made: i64, lives: i64, next: Option<i64>) -> Message {
    let lives = Span::secs(u64::try_from(lives).unwrap_or_default());
    match next {
        Some(over) => {
            say!("runs at {} and is surely over again only at {}, while what it makes lives for {}", named(&moment(made)), named(&moment(over)), lives)
        }
        None => say!("runs at {} and then never again, while what it makes lives for {}", named(&moment(made)), lives),
    }
}

#[cfg(test)]
mod tests;
