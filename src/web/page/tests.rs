//! What a person sees first, whatever there is to see.

use super::*;
use crate::checklist::Decision;
use crate::report::tests::{check, judged as report_of, line};

pub(super) fn judged(decision: Decision, at: Timestamp) -> Judgement {
    Judgement { checklist: "c".into(), decision, at, ..report_of(Vec::new()) }
}

fn shown(judgements: &[Judgement], ago: u64, page: impl Fn(&Seen<'_>) -> String) -> String {
    let snapshot = crate::snapshot::Store::default().snapshot();
    page(&Seen { judgements, ago: Duration::from_secs(ago), snapshot: &snapshot, changes: &[], refused: &[] })
}

#[test]
fn a_judgement_that_is_old_is_no_go() {
    let judged = [judged(Decision::Go, Timestamp::UNIX_EPOCH)];
    let green = palette::ink(Meaning::Good).replace('#', "%23");
    for page in [status, wall] {
        let fresh = shown(&judged, 2, page);
        assert!(fresh.contains("class=\"verdict go\"") && fresh.contains("<span class=\"word\">GO</span>") && fresh.contains("<title>GO "), "{fresh}");
        assert!(fresh.contains("--old: 60s") && fresh.contains("has not been refreshed for 60 s") && fresh.contains(&green));
        let stale = shown(&judged, 90, page);
        assert!(stale.contains("class=\"verdict stale\"") && stale.contains("<span class=\"word\">STALE</span>") && stale.contains("<title>STALE "));
        let red = [line(CheckState::Fail, "a node is full", [("node", "n")])];
        let red = Judgement { decision: Decision::NoGo, ..report_of(vec![check("Full", true, red.into())]) };
        assert!(shown(&[red], 90, page).contains("Last judged 1m30s ago, as NO-GO."));
        assert!(stale.contains("Last judged 1m30s ago, as GO.") && !stale.contains("verdict go") && !stale.contains(&green), "{stale}");
    }
}

/// What is kept as a file has left the place from which its links lead on.
#[test]
fn a_page_that_is_kept_leads_to_the_exporter_whose_address_is_known() {
    let evidence = "a node says <a href=\"x\"> href=\"y\"";
    let red =
        || [Judgement { decision: Decision::NoGo, ..report_of(vec![check("NodeNotReady", true, vec![line(CheckState::Fail, evidence, [("node", "n")])])]) }];
    let home = crate::value::ExternalUrl::read("https://example.com/readiness").unwrap();
    let page = shown(&red(), 2, status);
    assert_eq!(kept(page.clone(), None), page);
    let kept = kept(page.clone(), Some(&home));
    for part in [
        "href=\"https://example.com/readiness/runbooks/NodeNotReady\"",
        "href=\"https://example.com/readiness/wall\"",
        "href=\"https://example.com/readiness/report.md\"",
        "href=\"#NodeNotReady\"",
        "href=\"data:image/svg+xml,",
        "src=\"page.js\"",
        "a node says &lt;a href=&quot;x&quot;&gt; href=&quot;y&quot;",
    ] {
        assert!(kept.contains(part), "{part} is not in {kept}");
    }
    let links = |text: &str| text.matches(" href=\"").count();
    assert_eq!(links(&kept), links(&page));
    assert!(kept.split(" href=\"").skip(1).all(|link| ["#", "data:", "https://example.com/readiness/"].iter().any(|start| link.starts_with(start))), "{kept}");
}
