//! Every kind of mistake, with the exact words a person reads.

mod hidden;

use super::*;

fn load(text: &str) -> Result<Loaded, LoadError> {
    load_with(text, &[])
}

fn load_with(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, LoadError> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load_str(text, "readiness.yaml", Path::new("/etc/readiness"), Some(environment))
}

fn problems(text: &str) -> Vec<String> {
    match load(text) {
        Err(LoadError::Invalid { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert!(load("").unwrap().settings.collectors.http.is_none());
    assert_eq!(load("# nothing\n").unwrap().checklists[0].name, "workshop");
}

#[test]
fn everything_wrong_is_reported_in_one_run() {
    let text = r#"
colectors: {}
events:
  - { name: w, time_zone: Mars/Base, start: 2026-12-01T09:00, duration: 1h }
  - { name: w, time_zone: UTC, cron: "0 9 * * *", duration: 1h, checklist: worshop }
clusters:
  - { name: us, server: "https://a", token: { env: T } }
waivers:
  - { check: NodeNotRedy, who: Ada, why: spare, until: 2026-12-02T00:00:00Z }
collectors:
  http:
    interval: 5s
    timeout: 10s
    targets:
      - { name: a, url: "https://a.test/", kindd: healthz }
      - { name: a, url: "ftp://a.test/", expect: { status: ["200"], body_matches: "(" } }
  dns:
    names:
      - { name: "a.test", expect: { load_balancer: { cluster: eu, namespace: n, service: s } } }
  kubernetes:
    workloads:
      - { name: w, kind: Deploymnt, namespace: n, names: [x] }
"#;
    assert_eq!(
        problems(text),
        [
            "colectors: unknown key; did you mean collectors?",
            "collectors.dns.names[0] (a.test).expect.load_balancer.cluster: must name a configured cluster (got \"eu\")",
            "collectors.dns.names[0] (a.test).expect.load_balancer.service: must be listed in collectors.kubernetes.services, which reads its load balancer (got \"n/s\")",
            "collectors.http.targets[0] (a).kindd: unknown key; did you mean kind?",
            "collectors.http.targets[1] (a): must have a name that collectors.http.targets[0] does not have (got \"a\")",
            "collectors.http.targets[1] (a).expect.body_matches: must be a regular expression; the error is at character 1 (got \"(\")",
            "collectors.http.targets[1] (a).expect.status[0]: must be a whole number, without quotes (got \"200\")",
            "collectors.http.targets[1] (a).url: must begin with http:// or https://",
            "collectors.http.timeout: must be greater than 0 and at most the interval, 5s (got 10s)",
            "collectors.kubernetes.workloads[0] (w).kind: must be one of Deployment, StatefulSet, DaemonSet, CronJob; did you mean Deployment? (got \"Deploymnt\")",
            "events[0] (w).time_zone: must be an IANA time zone such as Europe/London (got \"Mars/Base\")",
            "events[1] (w): must have a name that events[0] does not have (got \"w\")",
            "events[1] (w).checklist: must name a configured checklist; did you mean workshop? (got \"worshop\")",
            "waivers[0].check: must name a check; did you mean NodeNotReady? (got \"NodeNotRedy\")",
        ]
        .map(str::to_owned)
        .to_vec()
    );
}

/// A check of another checklist is one, and what a label is called is no secret.
#[test]
fn a_waiver_of_a_check_that_stands_elsewhere_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let check = "{ name: Own, item: '1', title: t, metric: readiness_http_success, fails: is_false, evidence: e, remedy: r }";
    std::fs::write(folder.path().join("own.yaml"), format!("checklist: own\ntitle: Own\nsections: [{{ title: S, checks: [{check}] }}]\n")).unwrap();
    let told = |waiver: &str| {
        let text = format!(
            "checklists: [{{ name: workshop }}, {{ name: own, file: own.yaml }}]\nwaivers: [{{ {waiver}, who: a, why: b, until: 2026-12-02T00:00:00Z }}]\n"
        );
        load_str(&text, "readiness.yaml", folder.path(), Some(BTreeMap::new())).map_err(|error| error.to_string())
    };
    let wrong = told("check: Own, checklists: [workshop]").unwrap_err();
    assert!(wrong.contains("waivers[0].check: must be a check of workshop; this is one of own (got \"Own\")"), "{wrong}");
    let wrong = told("check: Own, resolver: w").unwrap_err();
    assert!(wrong.contains("waivers[0].resolver: unknown key; known are check, checklists, event, labels, until, who, why"), "{wrong}");
    assert!(told("check: Own, hunter: w").unwrap_err().contains("waivers[0].***: unknown key, hidden"));
    assert!(told("check: Own, checklists: [own]").is_ok());
}

#[test]
fn dangling_references_are_reported() {
    let text = r#"
events: [{ name: w, time_zone: UTC, cron: "0 9 * * *", duration: 1h, checklist: worshop }]
clusters: [{ name: us, server: "https://a", token: { env: T } }]
collectors:
  dns: { names: [{ name: a.test, expect: { load_balancer: { cluster: uss, namespace: n, service: s } } }] }
  kubernetes: { workloads: [{ name: w, kind: Deployment, namespace: n, names: [x], clusters: [eu] }] }
"#;
    assert_eq!(
        problems(text),
        [
            "collectors.dns.names[0] (a.test).expect.load_balancer.cluster: must name a configured cluster; did you mean us? (got \"uss\")",
            "collectors.dns.names[0] (a.test).expect.load_balancer.service: must be listed in collectors.kubernetes.services, which reads its load balancer (got \"n/s\")",
            "collectors.kubernetes.workloads[0] (w).clusters[0]: must name a configured cluster (got \"eu\")",
            "events[0] (w).checklist: must name a configured checklist; did you mean workshop? (got \"worshop\")",
        ]
    );
}

#[test]
fn what_is_no_yaml_is_told_with_its_line_and_a_tab_by_its_name() {
    let told = |text: &str| load(text).unwrap_err().to_string();
    assert_eq!(told("collectors:\n\thttp: {}\n"), "parse config readiness.yaml: line 2 is indented with a tab; YAML takes spaces alone");
    assert_eq!(told("collectors:\n  http: {}\n\ttls: {}\n"), "parse config readiness.yaml: line 3 is indented with a tab; YAML takes spaces alone");
    let open = "it is not YAML (line 2, column 1); the { of line 1 is never closed";
    assert_eq!(told("collectors: { http: { targets: [] }\nevents: []\n"), format!("parse config readiness.yaml: {open}"));
}

/// What somebody writes who sees the file for the first time, and what he is told to write.
#[test]
fn a_newcomers_mistake_is_told_with_what_belongs_there() {
    let target = |rest: &str| format!("collectors: {{ http: {{ targets: [{{ name: app, {rest} }}] }} }}\n");
    let event = |rest: &str| format!("events: [{{ name: e, duration: 3h, {rest} }}]\n");
    let app = "url: 'https://a.test/'";
    let sections = "known are credentials, dns, http, kubernetes, registry, rotations, secrets_manager, tls";
    for (text, told) in [
        ("collectors: [{ http: {} }]\n".to_owned(), format!("collectors: must be a map of settings; {sections} (got a list)")),
        ("collectors: http\n".to_owned(), format!("collectors: must be a map of settings; {sections} (got a text)")),
        ("http: {}\n".to_owned(), "http: unknown key; it belongs in collectors".to_owned()),
        ("collectors: { targets: [] }\n".to_owned(), "collectors.targets: unknown key; it belongs in collectors.http or collectors.tls".to_owned()),
        (
            "collectors: { http: { targets: { name: app } } }\n".to_owned(),
            "collectors.http.targets: must be a list, each entry a map with name and url, with a dash before it (got a map)".to_owned(),
        ),
        ("collectors: { http: { targets: ['https://a.test'] } }\n".to_owned(), "collectors.http.targets[0]: must be a map with name and url (got a text)".to_owned()),
        ("checklists: estate\n".to_owned(), "checklists: must be a list, each entry a map with name, with a dash before it (got a text)".to_owned()),
        (target(&format!("{app}, expect: {{ status: 200 }}")), "collectors.http.targets[0] (app).expect.status: must be a list, such as [200] (got 200)".to_owned()),
        (
            target("url: app.example.com/healthz"),
            "collectors.http.targets[0] (app).url: must be a URL that begins with a scheme, such as https://; did you mean https://app.example.com/...?".to_owned(),
        ),
        (target("url: ''"), "collectors.http.targets[0] (app).url: must not be empty, but a URL such as https://app.example.com/healthz".to_owned()),
        (
            "collectors: { http: { interval: '${EVERY}' } }\n".to_owned(),
            "collectors.http.interval: must be a duration such as 30s, 10m, 1h30m or 7d; nothing is put in for ${...} here: set READINESS__COLLECTORS__HTTP__INTERVAL in the environment (got \"${EVERY}\")".to_owned(),
        ),
        ("collectors: { tls: { targets: [{ name: a, address: a.test }] } }\n".to_owned(), "collectors.tls.targets[0] (a).address: must be host:port; write a.test:443 (got \"a.test\")".to_owned()),
        (
            "collectors: { dns: { names: [{ name: 'https://a.test/' }] } }\n".to_owned(),
            "collectors.dns.names[0].name: must be a full domain name, with a wildcard only as its first label; write a.test (got \"https://a.test/\")".to_owned(),
        ),
        (event("time_zone: Berlin, start: 2027-01-01T09:00"), "events[0] (e).time_zone: must be an IANA time zone such as Europe/London; did you mean Europe/Berlin? (got \"Berlin\")".to_owned()),
        (
            event("time_zone: UTC, start: 2027-01-01T09:00Z"),
            "events[0] (e).start: must be a local time such as 2026-12-01T09:00, without an offset, since time_zone says where (got \"2027-01-01T09:00Z\")".to_owned(),
        ),
        (event("time_zone: UTC, start: 2027-01-01T09:00, participants: '20'"), "events[0] (e).participants: must be a whole number, without quotes (got \"20\")".to_owned()),
        ("checklists: [{ name: estat }]\n".to_owned(), "checklists[0] (estat).name: must be a shipped checklist (workshop, estate) unless file is set; did you mean estate? (got \"estat\")".to_owned()),
        // What another key was meant for is not missing.
        (event("timezone: UTC, start: 2027-01-01T09:00"), "events[0] (e).timezone: unknown key; did you mean time_zone?".to_owned()),
    ] {
        assert_eq!(problems(&text), [told], "{text}");
    }
    for windows in ["\u{feff}checklists: [{ name: estate }]\n", "checklists:\r\n- name: estate\r\n"] {
        assert_eq!(load(windows).unwrap().checklists[0].name, "estate", "a mark or an end of line of another system is no mistake");
    }
}

#[test]
fn no_wrong_value_of_an_event_hides_another() {
    let text = "
events:
  - { name: a, time_zone: Mars/Base, start: 2026-13-01T09:00, duration: 1h }
  - { name: b, time_zone: Mars/Base, start: yesterday, duration: long }
  - { name: c, time_zone: UTC, start: 2026-12-01T09:00, cron: '61 9', duration: 1h }
  - { name: d, time_zone: Europe/London, start: 2027-03-28T01:30, duration: 1h }
  - { name: e, time_zone: Europe/London, start: 2027-10-31T01:30, duration: 1h }
";
    let (zone, time) = ("must be an IANA time zone such as Europe/London (got \"Mars/Base\")", "must be a local time such as 2026-12-01T09:00");
    assert_eq!(
        problems(text),
        [
            format!("events[0] (a).start: {time} (got \"2026-13-01T09:00\")"),
            format!("events[0] (a).time_zone: {zone}"),
            "events[1] (b).duration: must be a duration such as 30s, 10m, 1h30m or 7d (got \"long\")".to_owned(),
            format!("events[1] (b).start: {time} (got \"yesterday\")"),
            format!("events[1] (b).time_zone: {zone}"),
            "events[2] (c): must have one of start and cron, not both".to_owned(),
            "events[2] (c).cron: must be a cron expression of five fields, such as 0 9 * * MON (got \"61 9\")".to_owned(),
            "events[3] (d).start: must be a time that exists: the clocks of its time zone are put forward past it (got \"2027-03-28T01:30\")".to_owned(),
        ]
    );
}

#[test]
fn a_key_that_does_not_exist_is_found_at_every_level() {
    let good: Value = serde_saphyr::from_str(include_str!("../../../examples/workshop.yaml")).unwrap();
    let mut pointers = Vec::new();
    maps(&good, String::new(), &mut pointers);
    assert!(pointers.len() > 20);
    for pointer in pointers {
        // The names of overrides and the labels of waivers are free.
        let mut wrong = good.clone();
        wrong.pointer_mut(&pointer).and_then(Value::as_object_mut).unwrap().insert("bogus".into(), 1.into());
        let text = serde_json::to_string(&wrong).unwrap();
        let found = load(&text).unwrap_err().to_string();
        assert!(found.contains(".bogus: must be ") || found.contains("***: unknown key, hidden since it may be a secret"), "{pointer}: {found}");
    }
}

fn maps(value: &Value, pointer: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                maps(value, format!("{pointer}/{key}"), found);
            }
            found.push(pointer);
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| maps(item, format!("{pointer}/{index}"), found)),
        _ => {}
    }
}

#[test]
fn the_environment_overrides_the_file_and_is_checked_like_it() {
    let file = "collectors: { http: { interval: 30s } }";
    let loaded = load_with(file, &[("READINESS__COLLECTORS__HTTP__INTERVAL", "10s"), ("READINESS_SERVICE_PORT", "tcp://1")]).unwrap();
    assert_eq!(loaded.settings.collectors.http.unwrap().interval.to_string(), "10s");
    let loaded =
        load_with("collectors: { kubernetes: {} }\nclusters: [{name: a, in_cluster: true}]", &[("READINESS__COLLECTORS__KUBERNETES__NODES", "false")]).unwrap();
    assert!(!loaded.settings.collectors.kubernetes.unwrap().nodes);
    let wrong = load_with(file, &[("READINESS__COLLECTORS__HTTP__INTERVAL", "soon"), ("READINESS__COLECTORS", "x")]).unwrap_err().to_string();
    assert_eq!(
        wrong,
        "the environment has 2 problems:\n  from READINESS__COLECTORS: unknown key; did you mean collectors?\n  from READINESS__COLLECTORS__HTTP__INTERVAL: must be a duration such as 30s, 10m, 1h30m or 7d (got \"soon\")"
    );
}

#[test]
fn paths_are_taken_from_the_folder_of_the_file() {
    let loaded = load("attestations: { file: said.yaml }").unwrap();
    assert_eq!(loaded.settings.attestations.unwrap().file, Path::new("/etc/readiness/said.yaml"));
}

#[test]
fn what_is_no_yaml_says_where() {
    let message = load("events: [\n").unwrap_err().to_string();
    assert!(message.starts_with("parse config readiness.yaml: "), "{message}");
    assert_eq!(problems("- 1"), ["(top level): must be a map of settings, such as `collectors:` with what to look at below it (got a list)"]);
}

#[test]
fn fuzz_configurations() {
    let example = include_str!("../../../examples/workshop.yaml");
    // Of the example only its beginning: what is broken there is as good as what is broken later.
    let short = &example[..example.find("collectors:").unwrap()];
    crate::fuzz::survive_text(&[short, "events: [{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }]\n"], |text| {
        load_str(text, "readiness.yaml", Path::new("."), Some(BTreeMap::new())).is_ok()
    });
}

/// A text that looks like what stands for a list inside is still a text, or a problem, and no list.
#[test]
fn nothing_in_the_file_can_stand_for_a_list() {
    let text = "events: [{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }]\nwaivers: \"\\0list 0\"\n";
    let loaded = load_str(text, "readiness.yaml", Path::new("."), Some(BTreeMap::new()));
    assert!(loaded.is_err(), "{:?}", loaded.map(|loaded| loaded.settings.waivers));
}

#[test]
fn an_unknown_key_is_shown_only_where_it_looks_like_a_known_one() {
    for (text, expected) in [
        ("collectors: { http: { timout: 5s } }", "collectors.http.timout: unknown key; did you mean timeout?"),
        ("collectors: { http: { kubeconfig: x } }", "collectors.http.kubeconfig: unknown key; known are ca_file, interval, resolver, targets, timeout, window"),
        (
            "collectors: { http: { correcthorse: 1 } }",
            "collectors.http.***: unknown key, hidden since it may be a secret; known are ca_file, interval, resolver, targets, timeout, window",
        ),
        // A key with a word that may be anything.
        ("collectors: { http: { ca_hunter_file: 1 } }", "collectors.http.***: unknown key, hidden since it may be a secret; did you mean ca_file?"),
        (
            "collectors: { http: { hunter_file: 1 } }",
            "collectors.http.***: unknown key, hidden since it may be a secret; known are ca_file, interval, resolver, targets, timeout, window",
        ),
        (
            "clusters: [{ name: a, server: 'https://a.test', token: { correcthorse: 1 } }]",
            "clusters[0] (a).token.***: unknown key, hidden since it may be a secret; known are env, file",
        ),
        (
            "correcthorse:",
            "***: unknown key, hidden since it may be a secret; known are archive, attestations, checklists, clusters, collectors, events, state_file, waivers",
        ),
    ] {
        assert_eq!(problems(text)[0], expected, "{text}");
    }
    // One that was renamed.
    let renamed = problems("collectors: { kubernetes: { capacity: { nodepools: [{ name: ws, max_new_nodes: 3 }] } } }");
    let expected = "collectors.kubernetes.capacity.nodepools[0] (ws).***: unknown key, hidden since it may be a secret; did you mean max_nodes?";
    assert!(renamed.iter().any(|problem| problem == expected), "{renamed:?}");
    let long = &problems("clusters: [{ name: a, in_cluster: true, correcthorse: 1 }]")[0];
    assert!(long.ends_with(" more") && long.matches(", ").count() == 8, "{long}");
}

#[test]
fn a_number_in_the_place_of_a_duration_is_told_the_rule_once() {
    for (text, expected) in [
        ("collectors: { http: { interval: 15, timeout: 20s } }", "collectors.http.interval: must be a duration such as 30s, 10m, 1h30m or 7d (got 15)"),
        ("collectors: { http: { interval: 2s, timeout: 15 } }", "collectors.http.timeout: must be a duration such as 30s, 10m, 1h30m or 7d (got 15)"),
        (
            "collectors: { http: { interval: 15, targets: [{ name: a, url: 'http://a.test', timeout: 20s }] } }",
            "collectors.http.interval: must be a duration such as 30s, 10m, 1h30m or 7d (got 15)",
        ),
        ("attestations: { file: x, interval: true }", "attestations.interval: must be a duration such as 30s, 10m, 1h30m or 7d (got true)"),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn a_condition_that_is_not_known_is_answered_with_those_that_are() {
    let all = "above, below, differs, equals, expires_within, older_than, promql";
    for (fails, expected) in [
        ("{ expires_wthin: 14d }", format!("expires_wthin: unknown key; did you mean expires_within? (known are {all})")),
        ("{ correcthorse: 14d }", format!("***: unknown key, hidden since it may be a secret; known are {all}")),
        ("correcthorse", format!("must be is_false, or a map with one of {all}")),
        ("{}", format!("must be is_false, or a map with one of {all}")),
        ("{ above: 1, below: 2 }", format!("must be is_false, or a map with one of {all}")),
        ("3", format!("must be is_false, or a map with one of {all}")),
        ("{ older_than: 3 }", "older_than: must be a duration such as 30s, 10m, 1h30m or 7d (got 3)".to_owned()),
    ] {
        let found = problems(&format!("checklists: [{{ name: workshop, overrides: {{ NodeNotReady: {{ fails: {fails} }} }} }}]"));
        let found: Vec<&str> = found.iter().map(|line| line.split_once(".fails").unwrap().1.trim_start_matches(['.', ':', ' '])).collect();
        assert_eq!(found, [expected], "{fails}");
    }
}

#[test]
fn a_problem_of_an_item_says_what_it_is_called() {
    let text = r#"
collectors:
  http:
    targets:
      - { name: a, url: "http://a.test" }
      - { name: oregon-health, url: "ftp://a.test", kindd: x }
      - { name: "hunter2 is secret", url: "ftp://a.test" }
events: [{ name: w, time_zone: Mars/Base, start: 2026-12-01T09:00, duration: 1h }]
"#;
    assert_eq!(
        problems(text),
        [
            "collectors.http.targets[1] (oregon-health).kindd: unknown key; did you mean kind?",
            "collectors.http.targets[1] (oregon-health).url: must begin with http:// or https://",
            "collectors.http.targets[2].url: must begin with http:// or https://",
            "events[0] (w).time_zone: must be an IANA time zone such as Europe/London (got \"Mars/Base\")",
        ]
    );
}

#[test]
fn a_problem_that_comes_from_a_variable_names_it() {
    let file = "collectors: { http: { interval: 30s } }\nclusters: [{ name: a, in_cluster: true }]";
    let message = |variables: &[(&str, &str)]| load_with(file, variables).unwrap_err().to_string();
    assert_eq!(
        message(&[("READINESS__COLLECTORS__HTTP__INTERVAL", "soon")]),
        "the environment has 1 problem:\n  from READINESS__COLLECTORS__HTTP__INTERVAL: must be a duration such as 30s, 10m, 1h30m or 7d (got \"soon\")"
    );
    assert_eq!(
        message(&[("READINESS__COLLECTORS__HTTP__INTERVAL", "2d"), ("READINESS__COLLECTORS__HTTP__TIMOUT", "2s")]),
        "the environment has 2 problems:\n  from READINESS__COLLECTORS__HTTP__INTERVAL: must be between 1s and 1d (got 2d)\n  from READINESS__COLLECTORS__HTTP__TIMOUT: unknown key; did you mean timeout?"
    );
    for (variable, value, name) in [
        ("READINESS__CLUSTERS", "[]", "READINESS__CLUSTERS"),
        ("READINESS__COLLECTORS__HTTP__TARGETS", "hunter2", "READINESS__COLLECTORS__HTTP__TARGETS"),
        ("READINESS__CLUSTERS__HUNTER", "hunter2", "READINESS__CLUSTERS__***"),
        ("READINESS__CLUSTERS__0__NAME", "hunter2", "READINESS__CLUSTERS__0__NAME"),
    ] {
        assert_eq!(message(&[(variable, value)]), format!("the environment has 1 problem:\n  from {name}: lists are set in the file only"));
    }
    let hidden = message(&[("READINESS__COLLECTORS__HTTP__CORRECTHORSE", "1")]);
    assert!(hidden.contains("from READINESS__COLLECTORS__HTTP__***: unknown key") && !hidden.contains("CORRECT"), "{hidden}");
    let both = load_with("colectors: {}", &[("READINESS__COLLECTORS__HTTP__INTERVAL", "soon")]).unwrap_err().to_string();
    assert!(both.starts_with("config readiness.yaml has 2 problems:\n  colectors: unknown key; did you mean collectors?\n  from READ"), "{both}");
}

#[test]
fn a_problem_is_told_where_it_stands_although_others_before_it_were_cut_out() {
    let targets: String = (0..11).map(|index| format!("      - {{ name: t{index}, url: 'http://a.test/' }}\n")).collect();
    let broken = targets.replacen("'http://a.test/'", "5", 1).replacen("t1, url: 'http", "t1, url: 'ftp", 1).replace("t10, url: 'http", "t10, url: 'ftp");
    assert_eq!(
        problems(&format!("collectors:\n  http:\n    targets:\n{broken}")),
        [
            "collectors.http.targets[0] (t0).url: must be text (put numbers that are names in quotes) (got 5)",
            "collectors.http.targets[1] (t1).url: must begin with http:// or https://",
            "collectors.http.targets[10] (t10).url: must begin with http:// or https://",
        ]
    );
}

#[test]
fn what_stands_twice_where_it_is_counted_is_refused() {
    let two = "clusters:\n- { name: eu, server: 'https://a.test', token: { file: t } }\n- { name: us, server: 'https://a.test', token: { file: t }, version: '1.33' }\n";
    assert_eq!(problems(two), ["clusters[1] (us): must not be reached in the very same way as clusters[0], which makes both one cluster (got \"us\")"]);
    assert!(load(&two.replacen("file: t", "file: other", 1)).is_ok(), "behind one server there may be several");
    let copies = "collectors:\n  credentials: { credentials: [{ name: key, kind: date, from: { file: key }, expires: 2027-01-01 }] }\n  rotations: { copies: [{ name: both, credentials: [key, key] }] }\n";
    assert_eq!(
        problems(copies),
        ["collectors.rotations.copies[0] (both).credentials[1]: must not be the same as collectors.rotations.copies[0].credentials[0] (got \"key\")"]
    );
    let event = |more: &str| format!("events:\n- {{ name: {more}, time_zone: UTC, start: 2026-12-01T09:00, duration: 1h }}\n");
    assert_eq!(problems(&event("w, lead_times: [48h, 2d]")), ["events[0] (w).lead_times[1]: must not be the same as events[0].lead_times[0] (got \"2d\")"]);
    assert_eq!(
        problems(&event("w, participants: 0")),
        ["events[0] (w).participants: must be at least 1; leave it out where nobody knows how many will come (got 0)"]
    );
    assert_eq!(
        problems(&event("w +1")),
        ["events[0].name: must not end in + and a number, as later occurrences of a recurring event are called (got \"w +1\")"]
    );
    assert!(load(&event("w, participants: 1")).is_ok());
}
