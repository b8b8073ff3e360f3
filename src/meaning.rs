//! What a state means to a reader, and the colour that follows from it: one table for everything that shows states, so
//! that a board and a page cannot disagree about what is good.
//!
//! A word that is not in the table is unknown and never good: what a later release adds must earn its green.

/// What a state means to a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Meaning {
    /// All is well in it.
    Good,
    /// Not right, and nothing that blocks.
    Warning,
    /// It must not be so.
    Bad,
    /// Not seen, or not known what it means.
    Unknown,
    /// Bad or unseen, and somebody answers for it.
    Waived,
    /// Not asked, or good or bad only by what else is known.
    NotAsked,
}

/// Every state that something shows, by what it means. A state set has no word that means something else in another.
const STATES: [(Meaning, &[&str]); 6] = [
    (
        Meaning::Good,
        &[
            "pass",
            "go",
            "seen",
            "granted",
            "up",
            "present",
            "pullable",
            "valid",
            "consistent",
            "match",
            "identical",
            "current",
            "none",
            "idle",
            "running",
            "rotating",
            "done",
            "suspended_for_event",
            "renewed",
            "same index",
            "same platforms",
            "same configs",
            "ready",
            "all seen",
            "in force",
        ],
    ),
    (Meaning::Warning, &["warn", "unproven"]),
    (
        Meaning::Bad,
        &[
            "fail",
            "no_go",
            "no-go",
            "refused",
            "none seen",
            "not all seen",
            "absent",
            "empty",
            "deleted",
            "denied",
            "down",
            "malformed",
            "incomplete",
            "invalid",
            "differs",
            "different",
            "stale",
            "conflict",
            "possible",
            "failed",
            "missed",
            "forgotten",
            "overdue",
            "missing",
            "throttled",
            "slow",
            "pending",
        ],
    ),
    (Meaning::Unknown, &["unknown", "undecided", "untold", "unseen", "not seen", "no data", "no rules"]),
    (Meaning::Waived, &["waived"]),
    (Meaning::NotAsked, &["not_applicable", "not asked", "at", "never", "off", "source", "none configured", "more"]),
];

impl Meaning {
    /// All of them, worst first.
    pub const ALL: [Self; 6] = [Self::Bad, Self::Unknown, Self::Warning, Self::Waived, Self::NotAsked, Self::Good];

    /// What a state means.
    pub fn of(state: &str) -> Self {
        STATES.iter().find(|(_, states)| states.contains(&state)).map_or(Self::Unknown, |(meaning, _)| *meaning)
    }

    /// Whether a state has its place in the table.
    pub fn is_listed(state: &str) -> bool {
        STATES.iter().any(|(_, states)| states.contains(&state))
    }

    /// Every state that is listed, with what it means.
    pub fn listed() -> impl Iterator<Item = (&'static str, Self)> {
        STATES.iter().flat_map(|(meaning, states)| states.iter().map(|state| (*state, *meaning)))
    }

    /// Its colour, on light and on dark ground, which who does not see red or green tells from every other.
    pub const fn colour(self) -> &'static str {
        match self {
            Self::Good => "#2e9565",
            Self::Warning => "#eecf06",
            Self::Bad => "#c4162a",
            Self::Unknown => "#df5f04",
            Self::Waived => "#b33fda",
            Self::NotAsked => "#666b7a",
        }
    }

    /// The word for it, which stands beside its colour.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
            Self::Waived => "waived",
            Self::NotAsked => "not asked",
        }
    }
}

/// A state as people read it.
pub fn words(state: &str) -> String {
    match state {
        "not_applicable" => "not asked".to_owned(),
        "no_go" => "no-go".to_owned(),
        "at" => "on a day".to_owned(),
        other => other.replace('_', " "),
    }
}

/// Red, green and blue, or what is made of them.
type Colour = [f64; 3];

/// The parts of a colour as a screen takes them, of `#rrggbb`; what is none is black.
fn parts(colour: &str) -> [u8; 3] {
    [1, 3, 5].map(|at| colour.get(at..at + 2).and_then(|part| u8::from_str_radix(part, 16).ok()).unwrap_or_default())
}

/// The parts of a colour by how much light they are.
fn linear(colour: &str) -> Colour {
    parts(colour).map(|part| {
        let part = f64::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    })
}

/// How many times as bright one is as the other.
/// Source: <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>
pub(crate) fn contrast(one: &str, other: &str) -> f64 {
    let [a, b] = [one, other].map(|colour| linear(colour).iter().zip([0.2126, 0.7152, 0.0722]).map(|(part, share)| part * share).sum::<f64>() + 0.05);
    a.max(b) / a.min(b)
}

/// A colour with so many percent of another.
pub(crate) fn mixed(colour: &str, other: &str, percent: u32) -> String {
    let [r, g, b] = [0, 1, 2].map(|at| {
        let [of, with] = [colour, other].map(|colour| u32::from(parts(colour)[at]));
        (of * (100 - percent.min(100)) + with * percent.min(100)) / 100
    });
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// How much of red, green and blue each kind of eye takes from those of a screen, in linear light: all, without red
    /// cones, without green ones (Machado and others, 2009).
    const EYES: [[Colour; 3]; 3] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [[0.152_286, 1.052_583, -0.204_868], [0.114_503, 0.786_281, 0.099_216], [-0.003_882, -0.048_116, 1.051_998]],
        [[0.367_322, 0.860_646, -0.227_968], [0.280_085, 0.672_501, 0.047_413], [-0.011_820, 0.042_940, 0.968_881]],
    ];

    fn times(matrix: &[Colour; 3], colour: Colour) -> Colour {
        matrix.map(|row| row.iter().zip(colour).map(|(a, b)| a * b).sum())
    }

    /// Lightness, and how red and how yellow, in steps of equal look (CIE 1976).
    fn look(eye: &[Colour; 3], colour: &str) -> Colour {
        let seen = times(eye, linear(colour)).map(|part| part.clamp(0.0, 1.0));
        let [x, y, z] = times(&[[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], seen);
        let [x, y, z] = [x / 0.9505, y, z / 1.089].map(|t| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn every_eye_tells_each_colour_from_every_other() {
        for (index, one) in Meaning::ALL.into_iter().enumerate() {
            for other in &Meaning::ALL[index + 1..] {
                for (eye, name) in EYES.iter().zip(["all colours", "no red", "no green"]) {
                    let [a, b] = [one, *other].map(|meaning| look(eye, meaning.colour()));
                    let apart = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(apart > 24.0, "{one:?} and {other:?} are {apart:.0} apart for an eye that sees {name}");
                }
            }
        }
    }

    #[test]
    fn every_colour_is_seen_on_light_and_on_dark_ground() {
        for meaning in Meaning::ALL {
            let (on_light, on_dark) = (contrast(meaning.colour(), "#ffffff"), contrast(meaning.colour(), "#181b1f"));
            assert!(on_light > 1.45 && on_dark > 2.8, "{meaning:?}: {on_light:.1} on light, {on_dark:.1} on dark");
        }
    }

    /// Grafana writes in a light colour on what is less bright than 180 of 255, and in a dark one on the rest.
    #[test]
    fn the_word_on_a_colour_can_be_read() {
        for meaning in Meaning::ALL {
            let colour = meaning.colour();
            let [r, g, b] = parts(colour).map(f64::from);
            let ink = if 0.299 * r + 0.587 * g + 0.114 * b > 180.0 { "#202226" } else { "#f7f8fa" };
            assert!(contrast(colour, ink) > 3.3, "{meaning:?}: {:.1}", contrast(colour, ink));
        }
    }

    #[test]
    fn a_state_means_one_thing_and_what_is_not_listed_is_not_good() {
        let states: Vec<_> = Meaning::listed().map(|(state, _)| state).collect();
        assert_eq!(states.len(), states.iter().collect::<BTreeSet<_>>().len(), "a state twice");
        for state in ["", "a_new_state", "Pass", "not_ready", "unready"] {
            assert_eq!(Meaning::of(state), Meaning::Unknown, "{state}");
        }
        assert_eq!(Meaning::ALL.len(), Meaning::ALL.map(Meaning::word).iter().collect::<BTreeSet<_>>().len());
    }

    #[test]
    fn every_verdict_and_every_decision_is_listed() {
        use crate::checklist::{CheckState, Decision};
        use crate::metric::States as _;
        let words = CheckState::WORDS.iter().chain(Decision::WORDS);
        assert!(words.clone().count() > 8);
        for word in words {
            assert!(Meaning::is_listed(word), "{word}");
        }
    }
}
