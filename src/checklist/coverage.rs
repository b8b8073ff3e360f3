//! What is seen of one address, resolver or name says nothing about its neighbours, whichever metric of
//! the probing collectors a check is about.

use std::collections::BTreeSet;

use super::*;
use crate::collectors;
use crate::metric::{Coverage, Family, Unit};

/// Collectors whose sources see their subjects together, or have one alone. Every other one probes.
const TOGETHER: [&str; 8] = ["attestations", "credentials", "kubernetes", "lapses", "memory", "registry", "rotations", "secrets_manager"];

fn families() -> impl Iterator<Item = &'static Family> {
    collectors::all().filter(|collector| !TOGETHER.contains(&collector.name)).flat_map(collectors::Collector::families)
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A check on a family that no value and no second state fails.
fn check_of(family: &Family) -> Check {
    let fails = match family.states.first() {
        Some(state) => format!("{{ equals: {state} }}"),
        None if family.unit == Unit::Timestamp && family.name.contains("_last_") => "{ older_than: 3650d }".to_owned(),
        None if family.unit == Unit::Timestamp => "{ expires_within: 1s }".to_owned(),
        None if family.unit == Unit::Mark => "{ equals: 1 }".to_owned(),
        None => "{ below: 1e-300 }".to_owned(),
    };
    let text = format!(
        "checklist: mine\ntitle: t\nsections: [{{ title: s, checks: [{{ name: A, item: '1', title: t, metric: {}, fails: {fails}, evidence: 'e', remedy: r }}] }}]",
        family.name
    );
    parse(&text).unwrap_or_else(|problems| panic!("{problems:#?}")).checks().next().unwrap().clone()
}

/// A fact about one of the subjects, which differ in every label.
fn fact(family: &'static Family, subject: &str, state: Option<&str>) -> Given {
    let labels = family.labels.iter().map(|label| format!("{subject}-{label}")).collect();
    Given { family, labels, state: state.map(str::to_owned), value: 1e6 }
}

fn judged(family: &'static Family, given: &[Given]) -> CheckVerdict {
    judge_one(&check_of(family), &Context::new(&scene(given, family, now()), now()))
}

#[test]
fn every_metric_of_a_probe_is_covered_for_each_subject() {
    let speaking: BTreeSet<_> = families().filter_map(|family| family.covered_by).map(|coverage| coverage.states).collect();
    for family in families() {
        // What speaks for the others has a state for every subject, of which one is that it was not seen.
        let Some(Coverage { states, seen, borne_in, .. }) = family.covered_by else {
            assert!(
                speaking.contains(family.name),
                "{} is covered by nothing: a state set must say of each of its subjects whether it was seen, in the `covered_by` of what it speaks for",
                family.name
            );
            continue;
        };
        let speaker = collectors::family(states).unwrap();
        assert!(!borne_in.is_empty() && borne_in.iter().all(|state| seen.contains(state)), "{}", family.name);
        assert!(seen.iter().all(|state| speaker.states.contains(state)), "{} is seen in states that {states} has", family.name);
        let shared = speaker.labels.iter().filter(|label| family.labels.contains(label)).count();
        assert!(shared > 0, "{} and {states} have a subject in common", family.name);
    }
}

#[test]
fn a_neighbour_answers_for_nobody() {
    for family in families() {
        let Some(Coverage { states, seen, borne_in, .. }) = family.covered_by else { continue };
        let speaker = collectors::family(states).unwrap();
        let good = || fact(family, "good", family.states.get(1).copied());
        let given = [good(), fact(speaker, "good", Some(borne_in[0]))];
        assert_eq!(judged(family, &given).state, CheckState::Pass, "{} alone", family.name);
        for state in speaker.states {
            let verdict = judged(family, &[good(), given[1].clone(), fact(speaker, "bare", Some(state))]);
            let allowed = seen.contains(state) && !borne_in.contains(state);
            assert_eq!(verdict.state, if allowed { CheckState::Pass } else { CheckState::Unknown }, "{} beside one that is {state}: {verdict:#?}", family.name);
            assert!(allowed || verdict.lines.iter().any(|line| line.evidence.starts_with("bare-")), "{}: the line names the subject", family.name);
        }
    }
}

/// Of an answer that broke off in the middle, what came before was told; that makes nothing good.
#[test]
fn a_subject_has_one_verdict() {
    for family in families() {
        let Some(Coverage { states, seen, borne_in, .. }) = family.covered_by else { continue };
        let speaker = collectors::family(states).unwrap();
        for state in speaker.states.iter().filter(|state| !seen.contains(state)) {
            let good = family.states.get(1).copied();
            let given = [fact(family, "good", good), fact(speaker, "good", Some(borne_in[0])), fact(family, "cut", good), fact(speaker, "cut", Some(state))];
            let verdict = judged(family, &given);
            let of = |subject: &str| verdict.lines.iter().filter(|line| line.evidence.starts_with(subject)).map(|line| line.state).collect::<Vec<_>>();
            assert_eq!((of("cut-"), of("good-")), (vec![CheckState::Unknown], vec![CheckState::Pass]), "{} of {state}: {verdict:#?}", family.name);
            let bad = Given { value: 0.0, state: family.states.first().map(|state| (*state).to_owned()), ..fact(family, "cut", None) };
            if !matches!(family.unit, Unit::Mark) {
                let verdict = judged(family, &[given[0].clone(), given[1].clone(), bad, given[3].clone()]);
                assert_eq!(verdict.lines.iter().map(|line| line.state).collect::<Vec<_>>(), [CheckState::Fail, CheckState::Pass], "{} of {state}", family.name);
            }
        }
    }
}
