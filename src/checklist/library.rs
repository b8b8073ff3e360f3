//! The checks that every checklist can name. A record says when something is bad, how loud, and what to do;
//! a checklist says in whose words it stands, where, and whether it blocks.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use include_dir::{Dir, include_dir};

use super::raw::RawCheck;
use crate::cause::Cause as _;
use crate::value::Problem;
use crate::value::rules::quoted;

/// One file for each subject: all that are in the folder.
static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/checks");

/// The files, by name, and what each holds.
pub(super) fn files() -> impl Iterator<Item = (Cow<'static, str>, &'static str)> {
    FILES.files().filter_map(|file| Some((file.path().to_string_lossy(), file.contents_utf8()?)))
}

/// The records by their names.
type Records = Arc<BTreeMap<String, RawCheck>>;

/// Those that were read, until they are forgotten.
static RECORDS: Mutex<Option<Records>> = Mutex::new(None);

/// Every record by its name. They are inside the binary, so a problem of theirs is told once, by the tests.
pub(super) fn records() -> Result<Records, Vec<Problem>> {
    let mut known = RECORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(records) = &*known {
        return Ok(Arc::clone(records));
    }
    let records = Arc::new(read()?);
    *known = Some(Arc::clone(&records));
    Ok(records)
}

/// Frees what no checklist will name before the next reload.
pub fn forget() {
    *RECORDS.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

fn read() -> Result<BTreeMap<String, RawCheck>, Vec<Problem>> {
    let mut records = BTreeMap::new();
    for (file, text) in files() {
        let read: Vec<RawCheck> = serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
            .map_err(|error| vec![Problem::bare(format!("checks/{file}"), format!("must follow the model: {}", error.words()))])?;
        for record in read {
            let name = record.name.clone().unwrap_or_default();
            if records.insert(name.clone(), record).is_some() {
                return Err(vec![Problem::new(format!("checks/{file}"), "must have a name that no other has", quoted(&name))]);
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Bound, Checklist, Condition, Kind, SHIPPED, parse};
    use super::*;

    fn of(lines: &str) -> Result<Checklist, String> {
        let text = format!("checklist: mine\ntitle: t\nsections: [{{ title: s, checks: [{lines}] }}]");
        parse(&text).map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn every_record_is_on_a_shipped_checklist_which_takes_it_as_it_is() {
        let records = records().unwrap();
        let mut wanted: BTreeSet<&str> = records.keys().map(String::as_str).collect();
        for (_, text) in SHIPPED {
            let checklist = parse(text).unwrap();
            for check in checklist.checks().filter(|check| !matches!(check.kind, Kind::Attestation)) {
                assert_eq!(check.name, check.runbook);
                wanted.remove(check.name.as_str());
            }
        }
        assert_eq!(wanted, BTreeSet::new(), "checks/ has these, and no line of checklists/workshop.yaml names them");
    }

    #[test]
    fn a_line_gives_a_check_other_subjects_another_bound_and_another_name() {
        let lines = "{ check: ProvisionersBelowBaseline, name: DemoProvisionersMissing, item: '7', title: 'Demo has {threshold} provisioners', where: { selector: demo }, fails: { below: 2 } }, \
                     { check: ProvisionersBelowBaseline, item: '8', title: Others }";
        let checklist = of(lines).unwrap();
        let [demo, others] = checklist.checks().collect::<Vec<_>>()[..] else { panic!("{checklist:?}") };
        assert_eq!(
            (demo.name.as_str(), demo.runbook.as_str(), demo.title().as_str()),
            ("DemoProvisionersMissing", "ProvisionersBelowBaseline", "Demo has 2 provisioners")
        );
        assert!(matches!(&demo.kind, Kind::Fact { condition, .. } if *condition == Condition::Below(Bound::Number(2.0))), "{:?}", demo.kind);
        assert_eq!(demo.filter.get("selector").map(String::as_str), Some("demo"));
        assert!(demo.examples.is_empty() && !others.examples.is_empty(), "examples of another bound prove nothing");
        assert_eq!((demo.remedy.as_str(), others.name.as_str()), (others.remedy.as_str(), "ProvisionersBelowBaseline"));
    }

    #[test]
    fn a_line_that_cannot_be_meant_is_refused() {
        for (line, why) in [
            ("{ check: NodeNotRedy, item: '1', title: t }", "did you mean NodeNotReady?"),
            ("{ check: NodeNotReady, title: t }", "item: must be set"),
            ("{ check: NodeNotReady, item: '1' }", "title: must be set"),
            ("{ check: NodeNotReady, item: '1', title: t, metric: readiness_http_success }", "must have none of attest, metric"),
            ("{ check: NodeNotReady, item: '1', title: t, fails: is_false }", "must keep the shape of the condition"),
            ("{ check: NodeNotReady, item: '1', title: t, where: { nod: a } }", "did you mean node?"),
            (
                "{ name: EndpointUnhealthy, item: '1', title: t, metric: readiness_http_body_bytes, fails: { above: 9 }, evidence: e, remedy: r }",
                "EndpointUnhealthy.name: must be a name of its own, because a check of the library with another metric has it",
            ),
            ("{ check: NodeNotReady, name: EndpointUnhealthy, item: '1', title: t }", "must be a name of its own"),
            ("{ attest: EndpointUnhealthy, item: '1', title: t, remedy: r }", "must be a name of its own"),
            ("{ check: NodeNotReady, item: '1', title: t }, { check: NodeNotReady, item: '2', title: t }", "a name that no other check has"),
        ] {
            let found = of(line).map(|_| ()).unwrap_err();
            assert!(found.contains(why), "{line}: {found}");
        }
        // Who wrote the very question anew has the right runbook.
        assert!(of("{ name: EndpointUnhealthy, item: '1', title: t, metric: readiness_http_success, fails: is_false, evidence: e, remedy: r }").is_ok());
    }
}
