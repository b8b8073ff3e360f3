use super::*;

fn event(yaml: &str) -> Schedule {
    let mut config: EventConfig = serde_saphyr::from_str(yaml).unwrap();
    config.name_checklist(&[SHIPPED]);
    Schedule::parse(&config).unwrap()
}

fn next(schedule: &Schedule, now: &str) -> (String, String) {
    let found = schedule.at(now.parse().unwrap()).unwrap();
    (found.start.to_string(), found.end.to_string())
}

#[test]
fn nine_in_london_stays_nine_when_the_clocks_change() {
    let schedule = event("{name: w, time_zone: Europe/London, cron: '0 9 * * SUN', duration: 2h}");
    assert_eq!(next(&schedule, "2026-10-20T00:00:00Z"), ("2026-10-25T09:00:00Z".into(), "2026-10-25T11:00:00Z".into()));
    assert_eq!(next(&schedule, "2026-10-12T00:00:00Z").0, "2026-10-18T08:00:00Z");
}

#[test]
fn an_offset_that_would_be_passed_over_is_refused() {
    for start in [
        "2026-12-01T09:00:00-08:00",
        "2026-12-01T09:00+05:00",
        "2026-12-01T09:00:00-08:00[America/Los_Angeles]",
        "2026-12-01T09:00[Europe/Berlin]",
        "2026-12-01T09:00z",
    ] {
        for (field, times) in [("start", format!("start: '{start}', duration: 3h")), ("end", format!("start: 2026-12-01T08:00, end: '{start}'"))] {
            let config: EventConfig = serde_saphyr::from_str(&format!("{{name: w, time_zone: Europe/Berlin, {times}}}")).unwrap();
            let (broken, rule, got) = Schedule::parse(&config).unwrap_err();
            assert_eq!((broken, got.as_str()), (field, start));
            assert!(rule.ends_with("without an offset, since time_zone says where"), "{rule}");
        }
    }
}

#[test]
fn a_start_in_the_skipped_hour_happens_when_it_is_over() {
    let schedule = event("{name: w, time_zone: Europe/Berlin, cron: '30 2 * * *', duration: 1h}");
    assert_eq!(next(&schedule, "2026-03-29T00:00:00Z").0, "2026-03-29T01:00:00Z");
}

#[test]
fn a_running_occurrence_comes_before_the_next() {
    let schedule = event("{name: w, time_zone: UTC, cron: '0 9 1 * *', duration: 3h}");
    assert_eq!(next(&schedule, "2026-12-01T11:59:59Z").0, "2026-12-01T09:00:00Z");
    assert_eq!(next(&schedule, "2026-12-01T12:00:00Z").0, "2027-01-01T09:00:00Z");
}

#[test]
fn every_occurrence_that_is_prepared_for_is_one_of_those_that_come() {
    let daily = [event("{name: daily, time_zone: UTC, cron: '0 9 * * *', duration: 3h, participants: 5}")];
    let at = |now: &str| -> Timestamp { now.parse().unwrap() };
    let told = |now: &str| coming(&daily, at(now)).into_iter().map(|own| format!("{} {}", own.name, own.start)).collect::<Vec<_>>();
    let three = ["daily 2026-12-01T09:00:00Z", "daily +1 2026-12-02T09:00:00Z", "daily +2 2026-12-03T09:00:00Z"];
    assert_eq!(told("2026-12-01T08:59:59Z"), three[..2], "two days ahead nobody works for the third yet");
    assert_eq!(told("2026-12-01T09:00:00Z"), three);
    assert_eq!(told("2026-12-01T12:00:00Z"), ["daily 2026-12-02T09:00:00Z", "daily +1 2026-12-03T09:00:00Z"]);
    // Facts about it are there when it is judged first.
    assert_eq!(foreseen(&daily, at("2026-12-01T08:30:00Z")).len(), 3);
    let starts = samples(&daily, at("2026-12-01T09:00:00Z")).into_iter().filter(|sample| sample.family.name == START.0.name);
    assert_eq!(starts.map(|sample| sample.labels[1].to_string()).collect::<Vec<_>>(), ["daily", "daily +1", "daily +2"]);
    let demands = demands(&daily, at("2026-12-01T10:00:00Z"));
    assert_eq!(
        demands.iter().map(|(own, demand)| (own.name.as_str(), *demand)).collect::<Vec<_>>(),
        [("daily", Some(5)), ("daily +1", Some(5)), ("daily +2", Some(5))]
    );
    // What starts while another one runs comes as well, and a weekly one alone.
    let long = [event("{name: long, time_zone: UTC, cron: '0 * * * *', duration: 90m, lead_times: []}")];
    assert_eq!(coming(&long, at("2026-12-01T09:10:00Z")).iter().map(|own| own.name.as_str()).collect::<Vec<_>>(), ["long", "long +1"]);
    let weekly = event("{name: weekly, time_zone: UTC, cron: '0 9 * * MON', duration: 3h}");
    assert_eq!(weekly.judged(at("2026-12-05T10:00:00Z")).count(), 1);
    let often = event("{name: often, time_zone: UTC, cron: '* * * * *', duration: 1m}");
    assert!(often.judged(at("2026-12-05T10:00:00Z")).count() == MOST_JUDGED && often.is_crowded(at("2026-12-05T10:00:00Z")));
    assert!(!daily[0].is_crowded(at("2026-12-05T10:00:00Z")));
}

#[test]
fn an_occurrence_is_known_by_the_name_that_it_had() {
    let at = |now: &str| -> Timestamp { now.parse().unwrap() };
    let weekly = [event("{name: weekly, time_zone: UTC, cron: '0 9 * * TUE', duration: 3h}")];
    let names = |all: Vec<Occurrence>| all.into_iter().map(|own| own.name).collect::<Vec<_>>();
    // 2026-12-01 is a Tuesday. The next one has facts before it is the one that is judged.
    assert_eq!(names(foreseen(&weekly, at("2026-12-01T10:59:59Z"))), ["weekly"]);
    assert_eq!(names(foreseen(&weekly, at("2026-12-01T11:00:00Z"))), ["weekly", "weekly +1"]);
    assert_eq!(names(coming(&weekly, at("2026-12-01T11:59:59Z"))), ["weekly"]);
    let next = coming(&weekly, at("2026-12-01T12:00:00Z")).remove(0);
    assert_eq!(next.start, at("2026-12-08T09:00:00Z"));
    let name_at = |moment: &str| next.name_at(Some(at(moment)));
    let names = [name_at("2026-12-01T11:59:59Z"), name_at("2026-12-01T12:00:00Z"), next.name_at(None)];
    assert_eq!(names, [Some("weekly +1"), Some("weekly"), Some("weekly")]);
    assert_eq!([name_at("2026-11-24T12:00:00Z"), name_at("2026-11-24T11:59:59Z")], [Some("weekly +1"), None], "facts of two weeks ago were about others");
    let once = event("{name: w, time_zone: UTC, start: 2026-12-01T09:00, duration: 90m}");
    assert_eq!(once.judged(at("2026-11-01T00:00:00Z")).next().unwrap().turn, None);
}

#[test]
fn a_one_off_event_ends_for_good() {
    let schedule = event("{name: w, time_zone: America/Vancouver, start: 2026-12-01T09:00, duration: 90m}");
    assert_eq!(next(&schedule, "2026-11-01T00:00:00Z").1, "2026-12-01T18:30:00Z");
    assert_eq!(schedule.at("2026-12-01T18:30:00Z".parse().unwrap()), None);
}

#[test]
fn each_event_needs_room_for_itself_and_for_what_overlaps_it() {
    let one = |name: &str, start: &str, duration: &str, people: u32, leads: &str| {
        event(&format!("{{name: {name}, time_zone: UTC, start: '{start}', duration: {duration}, participants: {people}, lead_times: {leads}}}"))
    };
    let course = one("course", "2026-12-01T09:00", "99h", 500, "[2d]");
    let demo = one("demo", "2026-12-02T09:00", "1h", 5, "[1h]");
    let later = one("later", "2026-12-20T09:00", "1h", 900, "[2d, 1d]");
    // It has no number, and nobody knows whether there is room for it because others have one.
    let open = event("{name: open, time_zone: UTC, start: 2026-12-20T09:30, duration: 1h}");
    let all = [later, demo, course, open];
    let at = |now: &str| -> Timestamp { now.parse().unwrap() };
    let told = |all: &[Schedule], now: &str| {
        let said = |(own, demand): Demand| format!("{} {}", own.name, demand.map_or_else(|| "?".to_owned(), |demand| demand.to_string()));
        demands(all, at(now)).into_iter().map(said).collect::<Vec<_>>()
    };
    assert_eq!(told(&all, "2026-11-20T00:00:00Z"), ["course 500", "demo 500", "later 900", "open ?"]);
    // The demo ends first, and the course still needs its room.
    assert_eq!(told(&all, "2026-12-02T10:00:00Z"), ["course 500", "later 900", "open ?"]);
    // A small event that is over before the large one starts needs no room for that, and gives it none.
    let small = one("small", "2026-12-19T09:00", "24h", 5, "[2d]");
    assert_eq!(told(&[small, all[0].clone()], "2026-12-19T10:00:00Z"), ["small 5", "later 900"]);
    let long = one("long", "2026-12-19T09:00", "25h", 5, "[2d]");
    assert_eq!(told(&[long.clone(), all[0].clone()], "2026-12-19T10:00:00Z"), ["long 900", "later 900"]);
    assert_eq!(told(&[long, all[0].clone()], "2026-12-20T10:00:00Z"), Vec::<String>::new());
    // What it overlaps may be an occurrence that nobody prepares yet, or one that is over.
    let daily = event("{name: daily, time_zone: UTC, cron: '0 8 * * *', duration: 90m, participants: 50, lead_times: [1h]}");
    let demo = one("demo", "2026-12-09T09:00", "3h", 5, "[1h]");
    assert_eq!(told(&[daily.clone(), demo.clone()], "2026-12-01T07:00:00Z"), ["daily 50", "demo 50"]);
    assert_eq!(told(&[daily, demo], "2026-12-09T09:30:00Z"), ["demo 5", "daily 50"]);
}

#[test]
fn impossible_times_are_refused() {
    for yaml in [
        "{name: w, time_zone: Mars/Base, start: 2026-12-01T09:00, duration: 1h}",
        "{name: w, time_zone: UTC, start: 2026-12-01T09:00, end: 2026-12-01T08:00}",
        "{name: w, time_zone: UTC, start: yesterday, duration: 1h}",
        "{name: w, time_zone: UTC, cron: '0 0 31 2 *', duration: 1h}",
        "{name: w, time_zone: UTC, cron: '61 * * * *', duration: 1h}",
        "{name: w, time_zone: UTC, cron: '0 9 * * *', duration: 0s}",
    ] {
        let config: EventConfig = serde_saphyr::from_str(yaml).unwrap();
        assert!(Schedule::parse(&config).is_err(), "{yaml}");
    }
}
