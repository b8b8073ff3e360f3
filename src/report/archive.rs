//! The filled-in checklist as a file, at the moments at which somebody will ask for it later.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::markdown;
use crate::checklist::Judgement;
use crate::event::Occurrence;
use crate::state;

/// How long before the end of an event its last report is written: at the end itself the next event
/// is the current one already.
const BEFORE_END: SignedDuration = SignedDuration::from_mins(1);

/// The last moment that was reached, by name: a lead time, the start, or shortly before the end.
fn moment(event: &Occurrence, now: Timestamp) -> Option<String> {
    let leads = event.lead_times.iter().filter_map(|lead| Some((event.start.checked_sub(SignedDuration::try_from(lead.0).ok()?).ok()?, format!("T-{lead}"))));
    let ends = event.end.checked_sub(BEFORE_END).ok().map(|at| (at, "end".to_owned()));
    let all = leads.chain([(event.start, "start".to_owned())]).chain(ends);
    all.filter(|(at, _)| *at <= now).max_by_key(|(at, _)| *at).map(|(_, name)| name)
}

/// Writes the report of the last moment that was reached, unless it is there already.
pub fn archive(folder: &Path, judgement: &Judgement, event: &Occurrence) -> Result<(), String> {
    let Some(moment) = moment(event, judgement.at) else { return Ok(()) };
    // Names of events come from the configuration, and this one must stay within the folder.
    let plain = |text: &str| text.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' }).collect::<String>();
    let name = format!("{}-{}-{}-{}.md", plain(&judgement.checklist), plain(&event.name), event.start.strftime("%Y%m%dT%H%MZ"), plain(&moment));
    let path = folder.join(name);
    let failed = |error: std::io::Error| format!("write {}: {error}", path.display());
    if path.try_exists().map_err(failed)? {
        return Ok(());
    }
    std::fs::create_dir_all(folder).map_err(failed)?;
    state::replace(&path, &markdown(std::slice::from_ref(judgement))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checklist::Decision;
    use crate::config::Span;

    #[test]
    fn each_moment_of_an_event_has_one_report() {
        let at = |hour: i64| Timestamp::from_second(1_764_000_000 + hour * 3600).unwrap();
        let event = Occurrence {
            name: "../Work shop".into(),
            checklist: "c".into(),
            start: at(0),
            end: at(3),
            participants: None,
            lead_times: vec![Span::days(2), Span::hours(1)],
        };
        assert_eq!(moment(&event, at(-49)), None);
        for (hour, name) in [(-48, "T-2d"), (-2, "T-2d"), (-1, "T-1h"), (0, "start"), (2, "start"), (3, "end")] {
            assert_eq!(moment(&event, at(hour)).as_deref(), Some(name));
        }
        let folder = tempfile::tempdir().unwrap();
        let judged = |hour: i64, decision| Judgement {
            checklist: "c".into(),
            title: "T".into(),
            revision: "r".into(),
            decision,
            at: at(hour),
            event: Some("../Work shop".into()),
            event_start: Some(at(0)),
            event_end: Some(at(3)),
            participants: None,
            sections: Vec::new(),
        };
        for (hour, decision) in [(-49, Decision::Go), (-47, Decision::NoGo), (-40, Decision::Go), (-1, Decision::Go)] {
            archive(folder.path(), &judged(hour, decision), &event).unwrap();
        }
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        assert_eq!(files, ["c-.._Work_shop-20251124T1600Z-T-1h.md", "c-.._Work_shop-20251124T1600Z-T-2d.md"]);
        let first = std::fs::read_to_string(folder.path().join(&files[1])).unwrap();
        assert!(first.starts_with("# T: NO-GO"), "the first one of a moment stands: {first}");
    }
}
