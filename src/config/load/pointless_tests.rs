//! What can never be wrong, or never right, is refused: nobody learns anything from it.

use super::*;

fn told(collectors: &str) -> Vec<String> {
    match load_str(&format!("collectors:\n  {collectors}\n"), "readiness.yaml", Path::new("/etc/readiness"), Some(BTreeMap::new())) {
        Ok(_) => Vec::new(),
        Err(LoadError::Invalid { problems, .. }) => problems.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_resolver_is_not_called_as_the_hosts_own_beside_it() {
    let dns = |name: &str, more: &str| told(&format!("dns: {{ resolvers: [{{ name: {name}, address: '127.0.0.1:53' }}], names: [{{ name: a.test }}]{more} }}"));
    let wrong = "collectors.dns.resolvers[0] (system).name: must not be system, as this host's own resolvers are called; give it another name, or set system_resolver to false (got \"system\")";
    assert_eq!(dns("system", ""), [wrong]);
    assert_eq!((dns("system", ", system_resolver: false"), dns("public", "")), (Vec::new(), Vec::new()));
}

#[test]
fn a_name_is_not_expected_to_be_itself() {
    let dns = |name: &str| told(&format!("dns: {{ names: [{{ name: a.test, expect: {{ canonical_name: {name} }} }}] }}"));
    let wrong =
        "collectors.dns.names[0] (a.test).expect.canonical_name: must be another name than the one that is asked, which is always its own (got \"a.test\")";
    assert_eq!((dns("a.test"), dns("A.test.")), (vec![wrong.to_owned()], vec![wrong.to_owned()]));
    assert_eq!(dns("b.test"), [""; 0]);
}

#[test]
fn a_rotation_happens() {
    let rotation = |schedule: &str, more: &str| told(&format!("rotations: {{ rotations: [{{ name: r, schedule: '{schedule}'{more} }}] }}"));
    let path = "collectors.rotations.rotations[0] (r)";
    assert_eq!(rotation("0 3 30 2 *", ""), [format!("{path}.schedule: must describe a time that exists (got \"0 3 30 2 *\")")]);
    assert_eq!(rotation("0 3 29 2 *", ", time_zone: Europe/London"), [""; 0]);
    let zone = format!("{path}.time_zone: must be an IANA time zone: no time zone is called \"Europe/Londn\" (got \"Europe/Londn\")");
    assert_eq!(rotation("@daily", ", time_zone: Europe/Londn"), [zone.as_str()]);
    let cron = "must be a schedule that can be read: a cron expression has five fields, such as 0 9 * * MON";
    assert_eq!(rotation("0 3", ", time_zone: Europe/Londn"), [format!("{path}.schedule: {cron} (got \"0 3\")"), zone]);
}

#[test]
fn a_rule_on_a_body_can_be_broken_and_kept() {
    let target = |more: &str| told(&format!("http: {{ targets: [{{ name: a, url: 'http://a.test/', {more} }}] }}"));
    let path = "collectors.http.targets[0] (a)";
    for empty in ["''", "' '"] {
        let wrong = format!("{path}.expect.body_contains: must not be empty, as every body contains that");
        assert_eq!(target(&format!("expect: {{ body_contains: {empty} }}")), [wrong]);
    }
    for pattern in ["", "OK|", ".*", "(?s)^.*$", "[^z]*"] {
        let wrong = format!("{path}.expect.body_matches: must be a regular expression that does not match every body (got {pattern:?})");
        assert_eq!(target(&format!("expect: {{ body_matches: '{pattern}' }}")), [wrong]);
    }
    let head = format!("{path}.method: must not be HEAD, whose answer has no body, while expect asks something of the body (got \"HEAD\")");
    for rule in ["body_contains: OK", "body_matches: OK", "json: [{ pointer: /a, equals: 1 }]", "identity: [{ pointer: /a, equals: 1 }]"] {
        assert_eq!(target(&format!("method: HEAD, expect: {{ {rule} }}")), std::slice::from_ref(&head));
        let bare = format!("{path}.expect.status: must name a status whose answer has a body, while expect asks something of it");
        assert_eq!(target(&format!("expect: {{ status: [204, 304], {rule} }}")), [bare]);
        assert_eq!(target(&format!("expect: {{ status: [200, 204], {rule} }}")), [""; 0]);
    }
    for good in [
        "method: HEAD",
        "expect: { status: [204] }",
        "expect: { body_matches: '^$' }",
        "expect: { body_matches: '^(OK|UP)?$' }",
        "expect: { body_matches: '.' }",
    ] {
        assert_eq!(target(good), [""; 0], "{good}");
    }
}
