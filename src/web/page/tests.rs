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
