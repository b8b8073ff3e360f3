//! Whether the token in a pull secret outlasts an event, by its own end or by how it was renewed before: pure.
//!
//! A token of ECR lives for twelve hours, and one of others for less, so none outlasts an event of tomorrow, and that is as it should be as long as
//! somebody renews it. Nothing in a Secret tells whether anybody does: a job and a person write the same. So it
//! counts that two tokens were seen, one after the other, and that the next one is not late.

use crate::metric::{Coverage, Sample, StateSet, metrics, state_set, states};
use crate::say;
use crate::say::Message;
use crate::value::Span;

states! {
    /// Whether a token carries a pull secret through an event.
    pub(super) enum Outlook {
        Outlasts => "outlasts": "it expires after the event is over",
        Renewed => "renewed",
        Ends => "ends",
        Unknown => "unknown",
    }
}

metrics! {
    /// What is filled only while events are configured.
    pub(super) EVENT_FAMILIES;

    static OUTLOOK: StateSet<Outlook, 5> = state_set(
        "readiness_pull_secret_event_state",
        &["cluster", "namespace", "name", "registry", "event"],
        "Whether the token in a pull secret outlasts an event by an hour, or was seen to be renewed in time and is not late; ends where its renewal stopped, unknown where none was seen. From its own end and the tokens before it, cached from the Kubernetes API.",
    )
    .covered_by(Coverage::of(super::pull_secrets::STATES, &["present"]).quiet());
}

const HOUR: i64 = 3600;

/// By how much a token must outlast an event, and a renewal may be late: jobs that run every five or seven hours
/// have one short pause a day.
const SPARE: i64 = HOUR;

/// A token, in Unix seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) ends: i64,
    /// When it was made, if it tells.
    pub(super) made: Option<i64>,
    /// When the one before it was made, if that was seen.
    pub(super) before: Option<i64>,
}

impl Token {
    /// The fact about one event, which ends then.
    pub(super) fn sample(self, labels: [String; 5], event_ends: i64, now: i64) -> Sample {
        let (state, why) = self.outlook(event_ends, now);
        let sample = OUTLOOK.sample(labels, state);
        if let Some(why) = why { sample.with_detail(why) } else { sample }
    }

    /// The same about a token that does not tell when it expires.
    pub(super) fn untold(labels: [String; 5], why: &'static str) -> Sample {
        OUTLOOK.sample(labels, Outlook::Unknown).with_detail(why)
    }

    fn outlook(self, event_ends: i64, now: i64) -> (Outlook, Option<Message>) {
        if self.ends >= event_ends.saturating_add(SPARE) {
            return (Outlook::Outlasts, None);
        }
        let Some(made) = self.made else {
            let state = if self.ends > now { Outlook::Unknown } else { Outlook::Ends };
            return (state, Some(say!("it expires before, and it does not tell when it was made, so nobody sees whether it is renewed in time")));
        };
        let life = self.ends.saturating_sub(made);
        // Of a life of an hour a quarter is to spare, or none could be renewed in time.
        let spare = SPARE.min(life / 4);
        let in_time = 1..=life - spare;
        let Some(pause) = self.before.map(|before| made.saturating_sub(before)).filter(|pause| in_time.contains(pause)) else {
            return (Outlook::Unknown, Some(say!("it expires before, and it was not seen to be renewed in time; two tokens in a row show that")));
        };
        let age = now.saturating_sub(made);
        if age <= pause + spare && self.ends > now {
            (Outlook::Renewed, Some(say!("it was renewed {} after the one before it", Span::whole_minutes(pause))))
        } else if age > 2 * (pause + spare) || self.ends <= now {
            (Outlook::Ends, Some(say!("it was renewed {} after the one before it, and is {} old now", Span::whole_minutes(pause), Span::whole_minutes(age))))
        } else {
            (Outlook::Unknown, Some(say!("it was renewed {} after the one before it, and the next one is late", Span::whole_minutes(pause))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_799_928_000;

    const LIFE: i64 = 12 * HOUR;

    /// What becomes of a token that was made so many hours ago, the one before it as many hours earlier.
    fn told(age: i64, pause: Option<i64>, event_in: i64) -> &'static str {
        let made = NOW - age * HOUR;
        Token { ends: made + LIFE, made: Some(made), before: pause.map(|pause| made - pause * HOUR) }.outlook(NOW + event_in * HOUR, NOW).0.as_str()
    }

    /// The same of one that lives for an hour, in minutes.
    fn of_an_hour(age: i64, pause: i64) -> &'static str {
        let made = NOW - age * 60;
        Token { ends: made + HOUR, made: Some(made), before: Some(made - pause * 60) }.outlook(NOW + 72 * HOUR, NOW).0.as_str()
    }

    #[test]
    fn a_shorter_life_leaves_less_to_spare() {
        for (age, pause, expected) in [(10, 30, "renewed"), (45, 30, "renewed"), (46, 30, "unknown"), (10, 50, "unknown"), (61, 30, "ends")] {
            assert_eq!(of_an_hour(age, pause), expected, "{age} {pause}");
        }
        let silent = |ends: i64| Token { ends, made: None, before: Some(NOW - HOUR) }.outlook(NOW + 72 * HOUR, NOW).0.as_str();
        assert_eq!([silent(NOW + HOUR), silent(NOW - HOUR), silent(NOW + 73 * HOUR)], ["unknown", "ends", "outlasts"]);
    }

    #[test]
    fn a_token_that_ends_before_the_event_must_be_seen_to_be_renewed() {
        assert_eq!(told(2, None, 9), "outlasts");
        assert_eq!(told(2, None, 10), "unknown", "less than an hour is left");
        for (age, pause, expected) in [
            (2, None, "unknown"),
            (2, Some(4), "renewed"),
            (5, Some(4), "renewed"),
            (6, Some(4), "unknown"),
            (11, Some(4), "ends"),
            (11, Some(11), "renewed"),
            // Every seven hours: at 0, 7, 14 and 21.
            (4, Some(3), "renewed"),
            (7, Some(3), "unknown"),
            // By hand, before each event.
            (2, Some(24), "unknown"),
            (13, Some(4), "ends"),
        ] {
            assert_eq!(told(age, pause, 72), expected, "{age} {pause:?}");
        }
    }
}
