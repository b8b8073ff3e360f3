//! The checklist of any estate: it is about nobody's own names, and weaker in nothing than the workshop's.

use super::*;

fn both() -> [Checklist; 2] {
    ["workshop", "estate"].map(|name| load(name, None).unwrap())
}

/// Whether a check asks about what one team calls so.
fn is_of_one_team(check: &Check) -> bool {
    check.filter.contains_key("selector")
}

/// A full quota of a namespace, which is looked at without being named, is the affair of those who work there.
const ADVICE: [&str; 1] = ["ResourceQuotaNearlyUsed"];

/// With the same configuration its go rests on no less, but for the names of one team and for people.
#[test]
fn what_blocks_a_workshop_blocks_an_estate() {
    let [workshop, estate] = both();
    let blocks = |name: &str| estate.checks().any(|own| own.name == name && own.required);
    let needed = workshop.checks().filter(|check| check.required && matches!(check.kind, Kind::Fact { .. }) && !is_of_one_team(check));
    let missing: Vec<&str> = needed.map(|check| check.name.as_str()).filter(|name| !blocks(name)).collect();
    assert_eq!(missing, ADVICE, "name these in checklists/estate.yaml, required");
}

#[test]
fn nobody_has_to_confirm_or_to_rename_anything_for_it() {
    let [_, estate] = both();
    for check in estate.checks() {
        assert!(matches!(check.kind, Kind::Fact { .. }) && !is_of_one_team(check), "{}", check.name);
        assert_eq!((check.unconfigured, &check.name), (Unconfigured::NotApplicable, &check.runbook));
    }
    let items: Vec<String> = estate.sections.iter().flat_map(|section| section.checks.iter().map(|check| check.item.clone())).collect();
    let lengths = estate.sections.iter().enumerate().map(|(number, section)| (number + 1, section.checks.len()));
    let counted: Vec<String> = lengths.flat_map(|(number, length)| (1..=length).map(move |line| format!("{number}.{line}"))).collect();
    assert_eq!(items, counted, "lines are numbered in their order");
}

/// What a checklist says of lines of which nothing is configured is one of two words, and `unknown` when it says nothing.
#[test]
fn what_is_not_configured_is_unknown_unless_the_checklist_says_otherwise() {
    let list = |key: &str, line: &str| format!("checklist: mine\ntitle: t\n{key}sections: [{{ title: s, checks: [{{ {line}, item: '1', title: t }}] }}]\n");
    let wildcard = "check: WildcardRouteBroken";
    let told = |key: &str, line: &str| {
        let checklist = parse(&list(key, line)).unwrap_or_else(|problems| panic!("{problems:?}"));
        let target = Source { identity: [("target", "app"), ("kind", "healthz")].into(), emits: vec!["readiness_http_success"], ..source("http", "app") };
        let store = Store::default();
        store.add(target);
        let judged = judge(&checklist, &Context::new(&store.snapshot(), now()));
        let check = judged.checks().next().unwrap();
        (check.state, check.unasked, check.note.clone().unwrap(), judged.decision)
    };
    let note = "collectors.http is configured, but nothing in it has kind=wildcard (readiness_http_success)".to_owned();
    for key in ["", "unconfigured: unknown\n"] {
        assert_eq!(told(key, wildcard), (CheckState::Unknown, None, note.clone(), Decision::Undecided), "{key}");
    }
    let unasked = (CheckState::NotApplicable, Some(Unasked::NotConfigured), note, Decision::Undecided);
    assert_eq!(told("unconfigured: not_applicable\n", wildcard), unasked, "and no go follows from it");
    let named = told("unconfigured: not_applicable\n", "check: EndpointUnhealthy, where: { target: shpo }");
    assert_eq!((named.0, named.1), (CheckState::Unknown, None), "what the line names itself may be a slip");
    let wrong = problems(&list("unconfigured: ignored\n", wildcard));
    assert_eq!(wrong, ["unconfigured: a value is not known; known are unknown, not_applicable"]);
}
