//! What may be a secret is told nowhere.

use super::*;

#[test]
fn an_address_that_is_a_url_is_shown_as_it_is_written_unless_there_may_be_a_secret_in_it() {
    let told = |address: &str| problems(&format!("collectors: {{ tls: {{ targets: [{{ name: a, address: '{address}' }}] }} }}\n")).concat();
    for (address, hint) in [
        ("https://localhost:8443", "; write localhost:8443 (got \"https://localhost:8443\")"),
        ("https://example.com/", "; write example.com:443 (got \"https://example.com/\")"),
        ("localhost:https", "must be host:port (got \"localhost:https\")"),
        ("hunter2:hunter2", "must be host:port (got ***)"),
        ("https://example.com/hunter2", "; write example.com:443 (got ***)"),
        ("https://example.com:hunter2", "; write example.com:443 (got ***)"),
        ("ldaps://example.com", "; write example.com:PORT (got ***)"),
        ("https://user:hunter2@example.com:443", "host:port, without scheme and path (got ***)"),
    ] {
        assert!(told(address).contains(hint) && !told(address).contains("hunter2"), "{}", told(address));
    }
    let schedule = |text: &str| problems(&format!("collectors: {{ rotations: {{ rotations: [{{ name: a, schedule: '{text}' }}] }} }}\n")).concat();
    assert!(schedule("@dayly").ends_with("(got ***)") && schedule("@every 1hh").ends_with("(got \"@every 1hh\")"), "{}", schedule("@every 1hh"));
}

#[test]
fn a_secret_in_the_wrong_place_is_refused_and_not_printed() {
    for text in [
        "clusters: [{ name: a, server: 'https://a', token: hunter2 }]",
        "checklists: [{ name: workshop, overrides: { hunter2: { enabled: false } } }]",
        "collectors: { http: { targets: [{ name: a, url: 'https://a.test', headers: [{ name: Authorization, value: Bearer hunter2 }] }] } }",
        "collectors: { http: { targets: [{ name: a, url: 'https://u:hunter2@a.test' }] } }",
        "collectors: { http: { targets: [{ name: a, url: 'https://a.test?token=hunter2' }] } }",
        "collectors: { http: { targets: [{ name: a, url: 'https://a.test', headers: { Authorization: hunter2 } }] } }",
        "collectors: { http: { targets: [{ name: a, url: 'a.test/hunter2' }] } }",
        "collectors: { http: { targets: [{ name: a, url: 'user:hunter2@a.test' }] } }",
        "collectors: { tls: { targets: [{ name: a, address: 'eyJhbGciOiJIUzI1NiJ9.hunter2.c2lnbmF0dXJl' }] } }",
        "collectors: { dns: { names: [{ name: 'https://eyJhbGciOiJIUzI1NiJ9.hunter2.c2lnbmF0dXJl/' }] } }",
    ] {
        let message = load(text).unwrap_err().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_number_in_the_place_of_a_name_is_not_printed() {
    for (text, path) in [
        ("clusters: [{ name: a, server: 'https://a.test', token: { file: 48151623 } }]", "clusters[0] (a).token.file"),
        ("clusters: [{ name: a, server: 'https://a.test', token: { env: 48151623 } }]", "clusters[0] (a).token.env"),
        ("clusters: [{ name: a, kubeconfig: 48151623 }]", "clusters[0] (a).kubeconfig"),
        ("collectors: { http: { ca_file: 48151623 } }", "collectors.http.ca_file"),
    ] {
        assert!(problems(text).contains(&format!("{path}: must be text (put numbers that are names in quotes) (got ***)")), "{:?}", problems(text));
    }
}

#[test]
fn what_config_print_writes_in_place_of_a_secret_is_not_taken_back() {
    let rule = "holds ***, which config print writes in place of a secret";
    for (text, path) in [
        ("collectors: { http: { targets: [{ name: a, url: 'https://a.test/?x=***' }] } }", "collectors.http.targets[0] (a).url"),
        ("collectors: { http: { targets: [{ name: a, url: 'https://a.test/?***' }] } }", "collectors.http.targets[0] (a).url"),
        ("attestations: { file: '***' }", "attestations.file"),
        ("clusters: [{ name: a, server: 'https://a.test', token: { env: '***' } }]", "clusters[0] (a).token.env"),
    ] {
        assert!(problems(text).contains(&format!("{path}: {rule}")), "{:?}", problems(text));
    }
}

#[test]
fn what_is_no_name_of_a_file_is_refused_and_not_printed() {
    for (text, path) in [
        ("clusters: [{ name: a, kubeconfig: 'token: hunter2' }]", "clusters[0] (a).kubeconfig"),
        ("clusters: [{ name: a, kubeconfig: \"hunter2\\nhunter2\" }]", "clusters[0] (a).kubeconfig"),
        ("clusters: [{ name: a, server: 'https://a.test', token: { file: '-----BEGIN hunter2' } }]", "clusters[0] (a).token.file"),
        (
            "collectors: { registry: { registries: [{ host: a.test, docker_config: '{\"auths\":{\"h\":{\"auth\":\"hunter2\"}}}' }] } }",
            "collectors.registry.registries[0].docker_config",
        ),
        ("collectors: { http: { ca_file: '' } }", "collectors.http.ca_file"),
        ("checklists: [{ name: workshop, file: '{ hunter2' }]", "checklists[0] (workshop).file"),
        (
            "collectors: { credentials: { credentials: [{ name: a, kind: jwt, from: { file: 'hunter2: x' } }] } }",
            "collectors.credentials.credentials[0] (a).from.file",
        ),
    ] {
        let found = problems(text);
        assert!(found.contains(&format!("{path}: must be the name of a file")), "{found:?}");
        assert!(!found.concat().contains("hunter2"), "{found:?}");
    }
    let long = format!("state_file: {}", "a".repeat(256));
    assert_eq!(problems(&long), ["state_file: must be the name of a file"]);
    assert!(load(&format!("state_file: {0}/{0}", "a".repeat(255))).is_ok());
}

#[test]
fn settings_are_printed_without_what_may_be_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("zq9secret8"), "x").unwrap();
    let text = r#"
clusters:
  - { name: a, server: "https://a.test", token: { file: hunter2hunter2 }, ca_file: ca.crt }
  - { name: b, server: "https://a.test", token: { env: hunter2 } }
  - { name: c, server: "https://a.test", token: { env: B_TOKEN }, ca_file: zq9secret8 }
collectors:
  credentials: { credentials: [{ name: a, kind: jwt, from: { env: hunter2 } }, { name: b, kind: jwt, from: { file: /run/secrets/registry-token } }] }
"#;
    let mut settings = load_str(text, "readiness.yaml", folder.path(), Some(BTreeMap::new())).unwrap().settings;
    settings.hide_names();
    let printed = serde_saphyr::to_string(&settings).unwrap();
    assert!(!printed.contains("hunter2"), "{printed}");
    for shown in ["/ca.crt", "/zq9secret8", "env: B_TOKEN", "file: /run/secrets/registry-token"] {
        assert!(printed.contains(shown), "{printed}");
    }
}
