//! How the rotation of a secret goes, by the description of the secret: pure.
//!
//! Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html>

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::primitives::DateTime;

use super::super::rotations::managed;
use super::Going;
use crate::value::Span;

/// The label of the version that everybody reads.
pub(super) const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";

/// By what a secret is rotated.
pub(super) struct Rule {
    pub(super) schedule: String,
    /// Empty for the default.
    pub(super) window: String,
}

/// The rule; `None` while rotation is off.
pub(super) fn rule(said: &DescribeSecretOutput) -> Option<Rule> {
    let rules = said.rotation_rules().filter(|_| said.rotation_enabled() == Some(true))?;
    let days = || rules.automatically_after_days().map(|days| format!("rate({days} days)"));
    let schedule = rules.schedule_expression().map(str::to_owned).or_else(days).unwrap_or_default();
    Some(Rule { schedule, window: rules.duration().unwrap_or_default().to_owned() })
}

/// The versions that have a label.
pub(super) fn versions<'a>(said: &'a DescribeSecretOutput, label: &'static str) -> impl Iterator<Item = &'a str> {
    let all = said.version_ids_to_stages().into_iter().flatten();
    all.filter(move |(_, labels)| labels.iter().any(|own| own == label)).map(|(version, _)| version.as_str())
}

/// A version that is pending and not current is a rotation that has begun and is not over; one that failed leaves it
/// behind.
/// Source: <https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html>
fn pending(said: &DescribeSecretOutput) -> Option<&str> {
    versions(said, PENDING).find(|version| versions(said, CURRENT).all(|current| current != *version))
}

/// The version that is pending and when that was first seen, by what was known before.
pub(super) fn pending_since(before: Option<(String, i64)>, said: &DescribeSecretOutput, now: i64) -> Option<(String, i64)> {
    let version = pending(said)?;
    Some(before.filter(|(own, _)| own == version).unwrap_or_else(|| (version.to_owned(), now)))
}

/// How the rotation goes. `seen` is when a pending version was first seen, and `slow` how long a rotation may take.
pub(super) fn state(said: &DescribeSecretOutput, seen: Option<i64>, slow: Span, now: i64) -> Going {
    let slow = i64::try_from(slow.0.as_secs()).unwrap_or(i64::MAX);
    let second = |at: Option<&DateTime>| at.map(DateTime::secs);
    let is_on = said.rotation_enabled() == Some(true);
    // Nothing tells when the version was made; it was when the secret was last changed, at the latest.
    let begun = seen.map(|seen| second(said.last_changed_date()).map_or(seen, |changed| changed.min(seen)));
    let is_over = |at: i64, patience: i64| at.saturating_add(patience) < now;
    // A rotation may begin at the last moment and is over a while later.
    let next = second(said.next_rotation_date()).is_some_and(|at| is_over(at, if begun.is_some() { slow } else { 0 }));
    match begun {
        Some(begun) if is_over(begun, slow) => Going::Pending,
        _ if is_on && (next || due(said).is_some_and(|at| is_over(at, slow))) => Going::Overdue,
        Some(_) => Going::Rotating,
        None if is_on && said.last_rotated_date().is_none() => Going::Never,
        None if is_on => Going::Done,
        None => Going::Off,
    }
}

/// The last moment at which a rotation should have begun by its rule. It counts from the last one, or from when
/// rotation was switched on at the latest, which is a change of the secret: nothing was due while it was off.
fn due(said: &DescribeSecretOutput) -> Option<i64> {
    let second = |at: Option<&DateTime>| at.map(DateTime::secs);
    let (last, changed) = (second(said.last_rotated_date()), second(said.last_changed_date()).max(second(said.created_date())));
    let since = match last {
        // Without a date of the next one nobody has counted anew.
        Some(last) if said.next_rotation_date().is_none() => last,
        _ => last.max(changed)?,
    };
    let rule = rule(said)?;
    managed::rule(&rule.schedule, &rule.window, Some(since)).ok()?.due(since)
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::operation::describe_secret::builders::DescribeSecretOutputBuilder;
    use aws_sdk_secretsmanager::types::RotationRulesType;

    use super::*;

    const NOW: i64 = 1_764_000_000;
    const DAY: i64 = 24 * 3600;

    fn at(ago: i64) -> DateTime {
        DateTime::from_secs(NOW - ago)
    }

    fn on() -> DescribeSecretOutputBuilder {
        DescribeSecretOutput::builder().rotation_enabled(true).next_rotation_date(at(-60))
    }

    fn with_pending(said: DescribeSecretOutputBuilder) -> DescribeSecretOutputBuilder {
        said.version_ids_to_stages("v2", vec![PENDING.to_owned()]).version_ids_to_stages("v1", vec![CURRENT.to_owned()])
    }

    fn told(said: DescribeSecretOutputBuilder, seen: Option<i64>) -> Going {
        state(&said.build(), seen.map(|ago| NOW - ago), Span::mins(15), NOW)
    }

    #[test]
    fn how_a_rotation_goes_follows_from_the_description() {
        let both = vec![CURRENT.to_owned(), PENDING.to_owned()];
        for (said, state) in [
            (DescribeSecretOutput::builder(), Going::Off),
            (on(), Going::Never),
            (on().last_rotated_date(at(60)), Going::Done),
            (on().last_rotated_date(at(60)).next_rotation_date(at(1)), Going::Overdue),
            (on().last_rotated_date(at(60)).version_ids_to_stages("v1", both), Going::Done),
        ] {
            assert_eq!(told(said, None), state);
        }
        assert_eq!(pending(&with_pending(on()).build()), Some("v2"));
        assert_eq!(pending(&on().version_ids_to_stages("v1", vec![CURRENT.to_owned(), PENDING.to_owned()]).build()), None);
    }

    #[test]
    fn a_rotation_may_take_a_while_and_no_longer() {
        let changed = |ago: i64| with_pending(on()).last_rotated_date(at(DAY)).last_changed_date(at(ago));
        assert_eq!(told(changed(2), Some(0)), Going::Rotating, "every rotation looks like this for some seconds");
        assert_eq!(told(changed(15 * 60), Some(0)), Going::Rotating);
        assert_eq!(told(changed(15 * 60 + 1), Some(0)), Going::Pending, "nothing was made since, so it is as old");
        assert_eq!(told(changed(2), Some(15 * 60 + 1)), Going::Pending, "it was seen so long ago");
        assert_eq!(told(with_pending(on()), Some(0)), Going::Rotating);
        // It began at the last moment that its date allows.
        assert_eq!(told(changed(2).next_rotation_date(at(30)), Some(0)), Going::Rotating);
        assert_eq!(told(changed(2).next_rotation_date(at(16 * 60)), Some(0)), Going::Overdue, "it is begun again and again");
        // Also where somebody labelled it by hand.
        assert_eq!(told(with_pending(DescribeSecretOutput::builder()).last_changed_date(at(DAY)), Some(0)), Going::Pending);
    }

    #[test]
    fn a_version_that_stays_pending_is_known_from_look_to_look() {
        let mut known = None;
        let mut look = |version: &str, minute: i64| {
            // Somebody edits its tags again and again, so its own dates tell nothing.
            let said = with_pending(DescribeSecretOutput::builder().last_changed_date(DateTime::from_secs(minute * 60)));
            let said = said.version_ids_to_stages("v2", Vec::new()).version_ids_to_stages(version, vec![PENDING.to_owned()]).build();
            known = pending_since(known.take(), &said, minute * 60);
            state(&said, known.as_ref().map(|(_, since)| *since), Span::mins(15), minute * 60)
        };
        assert_eq!(
            [look("v3", 0), look("v3", 15), look("v3", 16), look("v4", 20), look("v4", 36)],
            [Going::Rotating, Going::Rotating, Going::Pending, Going::Rotating, Going::Pending]
        );
        assert_eq!(pending_since(Some(("v3".to_owned(), 1)), &on().build(), NOW), None);
    }

    #[test]
    fn what_the_rule_asks_for_is_overdue_whatever_the_next_date_says() {
        let rule = |days: i64| RotationRulesType::builder().automatically_after_days(days).build();
        let hourly = RotationRulesType::builder().schedule_expression("rate(4 hours)").build();
        let unset = |said: DescribeSecretOutputBuilder| said.set_next_rotation_date(None);
        for (said, state) in [
            (unset(on()).rotation_rules(rule(1)).created_date(at(90 * DAY)).last_changed_date(at(60 * DAY)), Going::Overdue),
            (on().rotation_rules(rule(1)).last_changed_date(at(60 * DAY)), Going::Overdue),
            (on().rotation_rules(rule(1)).last_changed_date(at(60)), Going::Never),
            (unset(on()).rotation_rules(rule(30)).last_rotated_date(at(90 * DAY)).last_changed_date(at(5 * DAY)), Going::Overdue),
            (on().rotation_rules(rule(30)).last_rotated_date(at(90 * DAY)).last_changed_date(at(90 * DAY)), Going::Overdue),
            (on().rotation_rules(hourly.clone()).last_rotated_date(at(DAY)).last_changed_date(at(DAY)), Going::Overdue),
            (on().rotation_rules(hourly).last_rotated_date(at(3600)).last_changed_date(at(3600)), Going::Done),
            (on().rotation_rules(rule(30)).last_rotated_date(at(29 * DAY)).last_changed_date(at(29 * DAY)), Going::Done),
            // It was off for an event, and was switched on again an hour ago.
            (on().rotation_rules(rule(1)).last_rotated_date(at(5 * DAY)).last_changed_date(at(3600)), Going::Done),
            (DescribeSecretOutput::builder().rotation_rules(rule(1)).last_rotated_date(at(5 * DAY)), Going::Off),
        ] {
            assert_eq!(told(said.clone(), None), state, "{said:?}");
        }
    }
}
