//! Whether somebody made a key by hand that a rotation should have made. A change shortly after a turn looks like one of
//! that turn, whoever made it; but a Secret names the tool that wrote it last. A job may run kubectl as well, so a tool
//! of people refutes nothing: the change is the rotation's where the job ran at that very time, or where the same was
//! seen at two turns, each before the key of the other ended.

use super::config::Rotation;
use super::forecast::{Look, Rotator};
use super::predict::Rule;
use super::times::seconds;
use crate::collectors::credentials;
use crate::say;
use crate::say::{Message, named};

/// Seconds by which clocks of a cluster may differ.
const CLOCKS: i64 = 60;

/// Whether the last change of a credential, which ends then, may be one that somebody made by hand: none of those that
/// renew it is seen to have made it.
pub(super) fn may_have_made(renewing: &[Look<'_>], credential: &str, ends: i64) -> bool {
    let Some(first) = renewing.first() else { return false };
    let Some(changed) = credentials::last_changed(first.seen, credential) else { return false };
    credentials::is_changed_by_hand(first.seen, credential) && !renewing.iter().any(|look| look.has_made(credential, changed, ends))
}

/// What is said of that.
pub(super) fn doubt(rotation: &Rotation) -> Message {
    say!(
        "rotation {} may not have made it: it was last written with a tool that people use by hand, such as kubectl, and not while the last run went on; it counts when that is seen at two turns, one before the key of the other ends",
        named(&rotation.name)
    )
}

impl Look<'_> {
    /// Remembers when what is renewed was changed with a tool of people, where the very moment is known.
    pub(super) fn remember_hands(&self) {
        let Some(credential) = self.rotation.renewed_credential().filter(|own| credentials::is_changed_by_hand(self.seen, own)) else { return };
        let (earliest, latest) = (credentials::changed_not_before(self.seen, credential), credentials::last_changed(self.seen, credential));
        let exact = latest.filter(|latest| earliest.is_some_and(|earliest| earliest.saturating_add(CLOCKS) >= *latest));
        self.remembered(&remembered_as(credential), exact);
    }

    /// Whether a rotation is seen to have made a change, with whatever tool.
    fn has_made(&self, credential: &str, changed: i64, ends: i64) -> bool {
        // Of an `every:` the changes are all that tells, and it is proven by two of them, whoever wrote.
        let before = self.state.rotation_before(&self.rotation.name, &remembered_as(credential)).filter(|_| self.rotation.every.is_none());
        let slow = seconds(self.config.slow_after).saturating_add(self.rotation.arrives_within.map_or(0, seconds));
        self.rotators().iter().any(|rotator| {
            let Ok(rule) = &rotator.rule else { return false };
            let is_of_a_turn = |at: i64| rule.may_have_made(at.saturating_sub(CLOCKS), at.saturating_add(CLOCKS), slow);
            let again = before.is_some_and(|before| is_of_a_turn(before) && follows(rule, before, changed, ends));
            is_of_a_turn(changed) && (self.rotation.every.is_some() || rotator.ran_at(changed, rule) || again)
        })
    }
}

/// What the state calls the changes of a credential with tools of people.
fn remembered_as(credential: &str) -> String {
    format!("{credential} by hand")
}

/// Whether a change came at a later turn than the one before it, while a key that lives as long as that of now was alive.
fn follows(rule: &Rule, before: i64, changed: i64, ends: i64) -> bool {
    let lives = ends.saturating_sub(changed);
    let is_later = rule.due(before.saturating_add(CLOCKS)).is_some_and(|due| due <= changed.saturating_add(CLOCKS));
    is_later && changed <= before.saturating_add(lives)
}

impl Rotator {
    /// Whether its last run that succeeded went on at a moment. While another one is under way nothing tells when that one
    /// began, but no turn lies between.
    fn ran_at(&self, at: i64, rule: &Rule) -> bool {
        let Some(over) = self.over.filter(|over| at <= over.saturating_add(CLOCKS)) else { return false };
        match self.last.filter(|began| *began <= over) {
            Some(began) => began.saturating_sub(CLOCKS) <= at,
            None => rule.due(at.saturating_add(CLOCKS)).is_some_and(|due| due > over),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{forecast::Run, tests::by_hand};
    use super::*;

    const HOUR: i64 = 3600;
    /// Noon, at which a turn of every four hours begins.
    const NOON: i64 = 1_799_928_000;

    fn job(last: i64, over: Option<i64>) -> Rotator {
        let rule = Rule::cron_job("0 */4 * * *", "", Some(last));
        Rotator { subject: String::new(), rule, last: Some(last), run: Run::Over, over, suspended: Some(false), resumed: None, made: None }
    }

    #[test]
    fn a_change_is_of_the_run_that_went_on_then() {
        let ran = |job: &Rotator, at: i64| job.ran_at(at, job.rule.as_ref().unwrap());
        let over = job(NOON, Some(NOON + 20));
        for (at, expected) in [(NOON + 9, true), (NOON - 30, true), (NOON + 75, true), (NOON + 420, false), (NOON - 300, false), (NOON - 4 * HOUR + 9, false)] {
            assert_eq!(ran(&over, at), expected, "{at}");
        }
        assert!(!ran(&job(NOON, None), NOON + 9), "no run ever succeeded");
        // The next one is under way.
        let next = job(NOON + 4 * HOUR, Some(NOON + 20));
        for (at, expected) in [(NOON + 9, true), (NOON + 420, false), (NOON - 300, false), (NOON + 4 * HOUR + 9, false)] {
            assert_eq!(ran(&next, at), expected, "{at}");
        }
    }

    #[test]
    fn two_changes_are_those_of_two_turns_where_the_first_key_still_lived() {
        let job = job(NOON, None);
        let seen = |before: i64, lives: i64| follows(job.rule.as_ref().unwrap(), before, NOON + 9, NOON + 9 + lives);
        assert!(seen(NOON - 4 * HOUR + 9, 8 * HOUR));
        assert!(seen(NOON - 8 * HOUR + 9, 9 * HOUR), "one that renews only what is due");
        assert!(!seen(NOON - 9 * HOUR, 8 * HOUR), "it had ended");
        assert!(!seen(NOON + 2, 8 * HOUR), "twice in one turn");
    }

    #[test]
    fn what_people_wrote_with_kubectl_proves_no_rotation_until_it_is_seen_at_two_turns() {
        let doubt = "unseen: rotation keys may not have made it: it was last written with a tool that people use by hand, such as kubectl, and not while the last run went on; it counts when that is seen at two turns, one before the key of the other ends";
        let seven_minutes = NOON - 5 * HOUR + 420;
        assert_eq!(by_hand(&[seven_minutes], None), doubt);
        // A job that runs kubectl itself.
        assert!(by_hand(&[NOON + 9], Some(NOON + 20)).starts_with("proven"));
        assert!(by_hand(&[NOON - 6 * HOUR + 9, seven_minutes], None).starts_with("proven"));
        assert_eq!(by_hand(&[NOON - 6 * HOUR + 1800, seven_minutes], None), doubt, "the one before was between two turns");
    }
}
