//! Names come from clusters and servers, and some are hostile.

use jiff::Timestamp;

use super::*;
use crate::checklist::{CheckState, CheckVerdict, Context, Given, Line, SectionVerdict, Severity, judge, load, scene};
use crate::snapshot::tests::source;
use crate::snapshot::{Source, Store};
use crate::value::ExternalUrl;

/// A line that says something of a subject.
pub(crate) fn line<const N: usize>(state: CheckState, evidence: &str, labels: [(&'static str, &str); N]) -> Line {
    Line {
        state,
        severity: Severity::Critical,
        evidence: evidence.into(),
        fix: None,
        labels: labels.into(),
        seen_at: None,
        since: None,
        since_at_least: false,
        mended: false,
        look: 1,
    }
}

/// A check with these lines.
pub(crate) fn check(name: &str, required: bool, lines: Vec<Line>) -> CheckVerdict {
    let worst = lines.iter().map(|line| line.state).max().unwrap_or(CheckState::Unknown);
    CheckVerdict {
        name: name.to_owned(),
        runbook: name.to_owned(),
        item: "W1".to_owned(),
        title: format!("{name} is good"),
        state: if worst == CheckState::Fail && !required { CheckState::Warn } else { worst },
        unasked: None,
        required,
        remedy: "Do it.".to_owned(),
        attested: false,
        mend: None,
        collector: "kubernetes",
        note: None,
        lines,
        more_good: 0,
    }
}

/// A judgement of these checks.
pub(crate) fn judged(checks: Vec<CheckVerdict>) -> Judgement {
    Judgement { sections: vec![SectionVerdict { title: "1. Section".to_owned(), checks }], ..hostile() }
}

fn hostile() -> Judgement {
    let family = crate::collectors::family("readiness_node_schedulable").unwrap();
    let name = "<script>alert(1)</script>`*_\u{7}\n# Heading".to_owned();
    let given = [Given { family, labels: vec!["eu".into(), name], state: None, value: 0.0 }];
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let snapshot = scene(&given, family, now);
    judge(&load("workshop", None).unwrap(), &Context::new(&snapshot, now))
}

#[test]
fn markdown_and_xml_stay_what_they_are() {
    let judgements = [hostile()];
    let markdown = markdown(&judgements, None);
    assert!(markdown.contains(r"\<script\>") && !markdown.contains("\n# Heading"), "{markdown}");
    let junit = junit(&judgements, None);
    assert!(junit.contains("&lt;script&gt;") && !junit.contains('\u{7}'), "{junit}");
}

/// A report is read where no link of the page works.
#[test]
fn every_format_leads_to_the_exporter_whose_address_is_known() {
    let full = || vec![line(CheckState::Fail, "A node is full.", [("node", "n")])];
    let judged = [judged(vec![check("NodeNotReady", true, full()), check("Own", true, full())])];
    let home = ExternalUrl::read("https://example.com/readiness").unwrap();
    let formats =
        |home: Home<'_>| [text(&judged, false, home), summary(&judged, false, home), markdown(&judged, home), junit(&judged, home), json(&judged, &[], home)];
    let address = "https://example.com/readiness/runbooks/NodeNotReady";
    for (told, page, runbook) in [
        (0, "\nhttps://example.com/readiness/\n".to_owned(), format!("(runbook: {address})\n")),
        (1, "The page: https://example.com/readiness/\n".to_owned(), format!("(runbook: {address})\n")),
        (2, "The page: <https://example.com/readiness/>.\n".to_owned(), format!("Runbook: [NodeNotReady]({address}).\n")),
        (
            3,
            "<properties><property name=\"url\" value=\"https://example.com/readiness/\"></property></properties>".to_owned(),
            format!("\nRunbook: {address}</failure>"),
        ),
        (4, "\"url\": \"https://example.com/readiness/\"".to_owned(), format!("\"runbook_url\": \"{address}\"")),
    ] {
        let (with, without) = (&formats(Some(&home))[told], &formats(None)[told]);
        assert!(with.contains(&page) && with.contains(&runbook), "{page} and {runbook} are not in {with}");
        assert!(!with.contains("runbooks/Own"), "one of somebody's own has no runbook there: {with}");
        assert!(!without.contains("://") && !without.contains("url"), "{without}");
    }
}

#[test]
fn the_worst_decision_counts() {
    let mut go = hostile();
    go.decision = Decision::Go;
    let mut no_go = hostile();
    no_go.decision = Decision::NoGo;
    assert_eq!(overall(&[go.clone(), no_go]), Decision::NoGo);
    assert_eq!(overall(&[go.clone(), hostile()]), Decision::Undecided);
    assert_eq!(overall(&[go]), Decision::Go);
    assert_eq!(overall(&[]), Decision::Undecided);
}

#[test]
fn an_event_is_told_on_the_clocks_of_its_people_too() {
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let told = |zone: &str, start: &str| {
        let event_zone = jiff::tz::TimeZone::get(zone).unwrap();
        let (event_start, event_end) = (at(start), at("2026-12-01T17:00:00Z"));
        event_line(&Judgement { event: Some("w".to_owned()), event_start, event_end, event_zone, participants: Some(5), ..hostile() }).unwrap()
    };
    let start = "2026-12-01T14:00:00Z";
    assert_eq!(
        told("America/New_York", start),
        "w: 2026-12-01 09:00 EST to 2026-12-01 12:00 EST (2026-12-01 14:00 UTC to 2026-12-01 17:00 UTC), in 10d 2h, 5 participants"
    );
    assert_eq!(
        told("Europe/London", start),
        "w: 2026-12-01 14:00 UTC to 2026-12-01 17:00 UTC, in 10d 2h, 5 participants",
        "the clocks of winter are those of UTC"
    );
    assert_eq!(
        told("Asia/Tokyo", "2026-11-20T00:00:00Z"),
        "w: running, from 2026-11-20 09:00 JST to 2026-12-02 02:00 JST (2026-11-20 00:00 UTC to 2026-12-01 17:00 UTC), 5 participants"
    );
}

#[test]
fn distances_are_written_in_two_units() {
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
    for (seconds, text) in [(5, "5s"), (65, "1m 5s"), (3_700, "1h 1m"), (180_000, "2d 2h"), (-65, "1m 5s")] {
        assert_eq!(distance(at(100_000), at(100_000 + seconds)), text);
    }
}

#[test]
fn what_one_cause_hides_is_explained_once() {
    let store = Store::default();
    let kubernetes = crate::collectors::all().find(|collector| collector.name == "kubernetes").unwrap();
    let emits = kubernetes.families().map(|family| family.name).collect();
    store.add(Source { identity: [("cluster", "eu")].into(), emits, ..source("kubernetes", "eu") });
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let snapshot = store.snapshot();
    let judged = judge(&load("workshop", None).unwrap(), &Context::new(&snapshot, now));
    let text = text(std::slice::from_ref(&judged), false, None);
    assert_eq!(text.matches("kubernetes eu has not been looked at yet.").count(), 1, "{text}");
    assert!(text.matches("            For the same reason as ").count() > 20, "{text}");
    // What only a person can confirm says whom to ask, each time.
    assert!(text.matches("            nobody can confirm this yet").count() > 3, "{text}");
    assert!(json(&[judged], &[], None).matches("kubernetes eu has not been looked at yet.").count() > 20);
}
