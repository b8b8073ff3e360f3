//! Whether the turns of rotations carry a key all the way to a moment: pure.
//!
//! One turn that comes in time is no more than that. A job that runs on Fridays renews a key of eight hours
//! every four, all Friday long, and on Saturday the key is dead. So the way is walked from turn to turn: each
//! makes a key that must live until the next one is surely over.

use super::predict::Rule;

/// The turns of one rotation.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    /// Of each of its objects, which all do their part.
    pub(super) rules: Vec<Rule>,
    /// Whether it leaves a key alone while most of its life is ahead.
    pub(super) spares: bool,
}

/// A key, and how long those live that come after it; in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) made: i64,
    pub(super) ends: i64,
    pub(super) lives: i64,
}

/// How far the turns carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// All the way; the next turn is over by then.
    Whole(i64),
    /// The key of now ends before the next turn is surely over, if there is one.
    Now(Option<i64>),
    /// A later key is made by the turn of that moment, ends then, and the next turn comes later or never.
    Later { made: i64, ends: i64, next: Option<i64> },
    /// There are more turns until then than are looked at.
    TooFar,
}

/// Turns that are looked at: a year and a half of those that must come every three hours.
const MOST: usize = 4_000;

/// After this part of its life a key is due for whoever renews only what is due: `step`, certbot, lego and
/// cert-manager all renew when a third is left.
/// Source: <https://cert-manager.io/docs/usage/certificate/#reissuance-triggered-by-expiry-renewal>
pub(super) fn due(key: &Key) -> i64 {
    key.made.saturating_add(key.ends.saturating_sub(key.made) / 3 * 2)
}

impl Turns {
    /// Between which moments it makes the key that follows one of now.
    fn first(&self, key: &Key, now: i64) -> Option<(i64, i64)> {
        let from = due(key).max(now);
        self.of_all(|rule| if self.spares { rule.from(from) } else { rule.next(now) })
    }

    /// The same of a key that it made itself.
    fn after(&self, key: &Key) -> Option<(i64, i64)> {
        self.of_all(|rule| if self.spares { rule.from(due(key)) } else { rule.after(key.made) })
    }

    fn of_all(&self, turn: impl Fn(&Rule) -> Option<(i64, i64)>) -> Option<(i64, i64)> {
        let all: Vec<(i64, i64)> = self.rules.iter().map(turn).collect::<Option<_>>()?;
        Some((all.iter().map(|(earliest, _)| *earliest).min()?, all.iter().map(|(_, latest)| *latest).max()?))
    }

    /// Whether it can be asked what follows a moment at which it does not run.
    fn is_fixed(&self) -> bool {
        !self.spares && !self.rules.iter().any(|rule| matches!(rule, Rule::Interval { .. }))
    }
}

/// Walks from `now` until a moment. Each of the rotations renews the key, and a turn is over `lasts` seconds
/// after it began.
pub(super) fn walk(rotations: &[Turns], key: Key, lasts: i64, now: i64, until: i64) -> Way {
    let soonest = |turn: &dyn Fn(&Turns) -> Option<(i64, i64)>| rotations.iter().filter_map(turn).min_by_key(|(_, latest)| *latest);
    let over = |latest: i64| latest.saturating_add(lasts);
    let Some(first) = soonest(&|own| own.first(&key, now)) else { return Way::Now(None) };
    if over(first.1) > key.ends {
        return Way::Now(Some(over(first.1)));
    }
    let follows = |made: i64| Key { made, ends: made.saturating_add(key.lives), lives: key.lives };
    let (mut own, may_skip) = (follows(first.0), rotations.iter().all(Turns::is_fixed));
    let (rules, mut since) = (|| rotations.iter().flat_map(|own| &own.rules), own.made);
    let period = rules().map(Rule::period).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()).filter(|_| may_skip);
    for _ in 0..MOST {
        if own.ends >= until || is_even(rotations, &key, lasts) {
            return Way::Whole(over(first.1));
        }
        let next = soonest(&|turns| turns.after(&own));
        let Some((earliest, latest)) = next.filter(|(_, latest)| over(*latest) <= own.ends) else {
            return Way::Later { made: own.made, ends: own.ends, next: next.map(|(_, latest)| over(latest)) };
        };
        // Between two turns of which the second comes before a key of the first ends there is no longer pause.
        let late = Key { made: own.ends.saturating_sub(lasts).saturating_sub(latest - own.made), ..own };
        let later = may_skip.then(|| soonest(&|turns| turns.after(&late))).flatten();
        let later = later.filter(|(begins, latest)| *begins > earliest && over(*latest) <= own.ends);
        own = follows(later.map_or(earliest, |(begins, _)| begins));
        // What was walked once without a pause is the same again and again, until a clock changes.
        if let Some(period) = period.filter(|period| own.made.saturating_sub(since) >= *period) {
            let steady = rules().filter_map(|rule| rule.clocks_change(since)).min().unwrap_or(i64::MAX);
            let times = (steady.min(until).saturating_sub(own.made) / period - 1).max(0);
            own = follows(own.made.saturating_add(times.saturating_mul(period)));
            since = own.made;
        }
    }
    Way::TooFar
}

/// Whether one of them runs at an interval that no key is too short for.
fn is_even(rotations: &[Turns], key: &Key, lasts: i64) -> bool {
    let carries = |rule: &Rule| matches!(rule, Rule::Interval { max, .. } if max.saturating_add(lasts) <= key.lives);
    rotations.iter().any(|own| !own.spares && !own.rules.is_empty() && own.rules.iter().all(carries))
}

#[cfg(test)]
mod tests {
    use super::super::predict::Known;
    use super::*;

    const HOUR: i64 = 3600;
    const LASTS: i64 = 600;

    fn at(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    fn job(schedule: &str, zone: &str) -> Turns {
        Turns { rules: vec![Rule::cron_job(schedule, zone, Some(at("2026-12-04T12:00:00Z"))).unwrap()], spares: false }
    }

    /// A key that was made at a moment, and what becomes of it until another; now is an hour after the first.
    fn walked(rotations: &[Turns], made: &str, hours: i64, until: &str) -> Way {
        let made = at(made);
        walk(rotations, Key { made, ends: made + hours * HOUR, lives: hours * HOUR }, LASTS, made + HOUR, at(until))
    }

    #[test]
    fn a_pause_that_is_longer_than_a_key_lives_is_found_wherever_it_is() {
        let friday = "2026-12-04T08:00:00Z";
        let weekly = walked(&[job("0 */4 * * 5", "")], friday, 8, "2026-12-05T11:00:00Z");
        let [made, ends, next] = [at("2026-12-04T20:00:00Z"), at("2026-12-05T04:00:00Z"), at("2026-12-11T00:10:00Z")];
        assert_eq!(weekly, Way::Later { made, ends, next: Some(next) });
        // The event is over before that, or every day is one.
        let whole = Way::Whole(at("2026-12-04T12:10:00Z"));
        assert_eq!(walked(&[job("0 */4 * * 5", "")], friday, 8, "2026-12-05T04:00:00Z"), whole);
        assert_eq!(walked(&[job("0 */4 * * *", "")], friday, 8, "2027-02-05T04:00:00Z"), whole);
        // By day alone.
        assert!(
            matches!(walked(&[job("0 8-20/4 * * *", "")], friday, 8, "2026-12-06T04:00:00Z"), Way::Later { ends, .. } if ends == at("2026-12-05T04:00:00Z"))
        );
        assert_eq!(walked(&[job("0 8-20/4 * * *", "")], friday, 13, "2026-12-06T04:00:00Z"), whole);
        // Weekdays and weekends are two rotations of one key.
        let pair = [job("0 */4 * * 1-5", ""), job("0 */4 * * 0,6", "")];
        assert_eq!(walked(&pair, friday, 8, "2026-12-16T04:00:00Z"), whole);
        assert!(matches!(walked(&pair[..1], friday, 8, "2026-12-16T04:00:00Z"), Way::Later { ends, .. } if ends == at("2026-12-05T04:00:00Z")));
        assert_eq!(walked(&[job("0 0 31 2 *", "")], friday, 8, friday), Way::Now(None));
        assert_eq!(walked(&[job("0 0 * * *", "")], friday, 8, friday), Way::Now(Some(at("2026-12-05T00:10:00Z"))));
    }

    #[test]
    fn nights_on_which_clocks_change_are_as_long_as_they_are() {
        // A turn that does not exist makes a pause of two days; one on a long night, of 25 hours.
        let spring = |zone: &str| walked(&[job("30 2 * * *", zone)], "2027-03-26T01:30:00Z", 30, "2027-03-30T12:00:00Z");
        assert!(matches!(spring("Europe/Berlin"), Way::Later { made, .. } if made == at("2027-03-27T01:30:00Z")), "{:?}", spring("Europe/Berlin"));
        assert!(matches!(spring(""), Way::Whole(_)));
        let autumn = |hours: i64| walked(&[job("0 6 * * *", "Europe/Berlin")], "2026-10-23T04:00:00Z", hours, "2026-10-27T12:00:00Z");
        assert!(matches!(autumn(25), Way::Later { made, .. } if made == at("2026-10-24T04:00:00Z")));
        assert!(matches!(autumn(26), Way::Whole(_)));
    }

    #[test]
    fn windows_and_intervals_count_by_their_last_moment() {
        let made = 1_000 * HOUR;
        let go = |rule: Rule, hours: i64| {
            walk(
                &[Turns { rules: vec![rule], spares: false }],
                Key { made, ends: made + hours * HOUR, lives: hours * HOUR },
                LASTS,
                made + HOUR,
                made + 9_000 * HOUR,
            )
        };
        let every = Rule::Interval { min: 4 * HOUR, max: 5 * HOUR, last: made, known: Known::Seen };
        assert!(matches!(go(every.clone(), 6), Way::Whole(_)) && matches!(go(every, 5), Way::Now(Some(_))));
        let windows = Rule::Periodic { first: made, period: 4 * HOUR, lasting: HOUR, last: None };
        assert!(matches!(go(windows.clone(), 6), Way::Whole(_)) && matches!(go(windows, 5), Way::Now(Some(_))));
    }

    #[test]
    fn who_renews_only_what_is_due_must_have_a_turn_in_the_last_third() {
        let sparing = |schedule: &str| [Turns { spares: true, ..job(schedule, "") }];
        let friday = "2026-12-04T08:00:00Z";
        assert!(matches!(walked(&sparing("0 * * * *"), friday, 24, "2027-03-05T04:00:00Z"), Way::Whole(over) if over == at("2026-12-05T00:10:00Z")));
        // Saturday is a day off, and so the key that is due then is not renewed.
        assert!(matches!(walked(&sparing("0 * * * 0-5"), friday, 24, "2026-12-10T04:00:00Z"), Way::Now(Some(_))));
    }

    #[test]
    fn the_way_is_bounded() {
        let minutely = |minutes: i64| {
            let key = Key { made: 0, ends: minutes * 60, lives: minutes * 60 };
            walk(&[job("* * * * *", "")], key, 60, 60, 365 * 24 * HOUR)
        };
        assert_eq!((minutely(5), minutely(240)), (Way::Whole(180), Way::Whole(180)));
        // What comes on dates is not the same each week.
        let dated = walk(&[job("* * 1-30 * *", "")], Key { made: 0, ends: 300, lives: 300 }, 60, 60, 365 * 24 * HOUR);
        assert!(matches!(dated, Way::TooFar | Way::Later { .. }), "{dated:?}");
    }

    #[test]
    fn an_event_that_is_far_away_takes_nothing_from_one_of_today() {
        let walked = |schedule: &str, zone: &str| walked(&[job(schedule, zone)], "2026-12-04T08:00:00Z", 2, "2027-11-30T08:00:00Z");
        for zone in ["", "Europe/Berlin", "America/New_York"] {
            assert!(matches!(walked("*/5 * * * *", zone), Way::Whole(_)), "{zone}");
        }
        // At night nothing runs for two hours and a half.
        let spared = walked("*/30 0,1,4-23 * * *", "");
        assert!(matches!(spared, Way::Later { made, .. } if made == at("2026-12-05T01:30:00Z")), "{spared:?}");
        let spring = self::walked(&[job("30 2 * * *", "Europe/Berlin")], "2026-12-04T01:30:00Z", 30, "2027-11-30T08:00:00Z");
        assert!(matches!(spring, Way::Later { made, .. } if made == at("2027-03-27T01:30:00Z")), "{spring:?}");
    }

    /// Turn by turn nothing else is found than in strides.
    #[test]
    fn fuzz_strides() {
        use proptest::prelude::*;
        proptest!(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() }, |(hours in prop::collection::btree_set(0..24_u8, 1..8), days in prop::collection::btree_set(0..7_u8, 1..7), life in 1..60_i64)| {
            let list = |all: &std::collections::BTreeSet<u8>| all.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
            let turns = job(&format!("0 {} * * {}", list(&hours), list(&days)), "");
            let now = at("2026-12-04T08:00:00Z");
            let made = turns.rules[0].next(now).unwrap().0;
            let (lives, until) = (life * HOUR, now + 20 * 24 * HOUR);
            let said = walk(std::slice::from_ref(&turns), Key { made, ends: made + lives, lives }, LASTS, made + 1, until);
            let (mut own, mut gap) = (made, None);
            while gap.is_none() && own + lives < until {
                let next = turns.rules[0].after(own).unwrap().0;
                gap = (next + LASTS > own + lives).then_some(own + lives);
                own = next;
            }
            let found = match said { Way::Later { ends, .. } => Some(ends), Way::Now(_) => Some(made + lives), _ => None };
            // The very next turn is asked for in any case.
            prop_assert!(found == gap || (gap.is_none() && matches!(said, Way::Now(_))), "{said:?} {gap:?}");
        });
    }
}
