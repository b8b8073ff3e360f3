//! The rules of `mod.rs`, each with the files that somebody writes.

use super::file::{HEADERS, Tls, parse};
use super::look::read;
use super::*;

const HASH: &str = "$2b$10$7EqJtq98hPqEX7fNZaFWoOa1GrmzVxBkCq0Yx0yVxpb3Q0n8l4Qyq";

fn file(text: &str) -> Option<File> {
    parse(text.as_bytes()).unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// Writes a text and looks until it was judged.
fn written(watch: &mut Watch, text: &str) -> Change {
    std::fs::write(&watch.path, text).unwrap();
    assert!(watch.check().rules.is_none(), "the first look at {text:?} is not believed");
    watch.check()
}

fn begun(text: &str) -> (tempfile::TempDir, Watch) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yaml");
    std::fs::write(&path, text).unwrap();
    let watch = Watch::begin(&path).unwrap().0;
    (folder, watch)
}

fn users() -> String {
    format!("basic_auth_users:\n  ada: \"{HASH}\"\n")
}

#[test]
fn what_holds_nothing_is_told_from_what_says_nothing() {
    for text in ["", " \n", "# just a comment\n", "null\n", "~", "---\n", "--- # \n...\n"] {
        assert!(file(text).is_none(), "{text:?}");
    }
    assert!(file("{}").is_some());
    assert!(file("basic_auth_users:\n").unwrap().basic_auth_users.is_none());
    assert!(file("basic_auth_users: {}\n").unwrap().basic_auth_users.is_some());
}

#[test]
fn a_file_without_content_keeps_what_is_in_force() {
    let (folder, mut watch) = begun(&users());
    for text in ["", "# a comment\n", "null\n", "{}\n", "http_server_config: {}\n", "basic_auth_users:\n", "nonsense: 1\n", "a: [\n"] {
        let change = written(&mut watch, text);
        assert!(change.kept.is_some(), "{text:?} is said");
        assert!(change.rules.is_none_or(|rules| rules.users.contains_key("ada")), "{text:?} opens the door");
        let again = watch.check();
        assert!(again.kept.is_none() && again.rules.is_none(), "{text:?} is said once");
    }
    std::fs::remove_file(&watch.path).unwrap();
    watch.check();
    assert!(watch.check().kept.unwrap().as_str().contains("web.yaml"));
    assert!(written(&mut watch, &users()).rules.unwrap().users.contains_key("ada"));
    assert!(written(&mut watch, "basic_auth_users: {}\n").rules.unwrap().users.is_empty(), "in words it ends");
    drop(folder);
}

/// However far a writer has come, the door is as closed as before.
#[test]
fn no_part_of_a_file_loses_a_protection() {
    let full = "tls_server_config:\n  cert_file: a.pem\n  key_file: a.key\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans:\n    - prometheus\n  min_version: TLS13\nbasic_auth_users:\n  ada: x\nrate_limit:\n  interval: 1s\n  burst: 3\n";
    let flow = "tls_server_config: { cert_file: a.pem, key_file: a.key, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem, client_allowed_sans: [prometheus] }\nbasic_auth_users: { ada: x }\n";
    let users_first = "basic_auth_users:\n  ada: x\ntls_server_config:\n  client_allowed_sans: [a]\n  client_ca_file: ca.pem\n  key_file: a.key\n  cert_file: a.pem\n  client_auth_type: VerifyClientCertIfGiven\n";
    for text in [full, flow, users_first] {
        let whole = file(text).unwrap();
        assert_eq!(whole.unsaid(&whole), None);
        for end in 0..text.len() {
            let Ok(Some(part)) = parse(&text.as_bytes()[..end]) else { continue };
            if whole.unsaid(&part).is_some() {
                continue;
            }
            let tls = part.tls().unwrap_or_else(|| panic!("without TLS: {}", &text[..end]));
            assert!(tls.needs_certificate() && !tls.names().is_empty(), "no certificate: {}", &text[..end]);
            assert!(part.basic_auth_users.is_some_and(|users| !users.is_empty()), "no password: {}", &text[..end]);
        }
    }
}

#[test]
fn a_protection_ends_in_words() {
    let tls = |more: &str| file(&format!("tls_server_config: {{ cert_file: a, key_file: b{more} }}")).unwrap();
    let named = tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: c, client_allowed_sans: [p]");
    let required = tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: c");
    let asked = tls(", client_auth_type: VerifyClientCertIfGiven, client_ca_file: c");
    let none = tls(", client_auth_type: NoClientCert");
    let off = file("tls_server_config: {}").unwrap();
    for (before, after, lost) in [
        (&named, &required, Some("tls_server_config.client_allowed_sans")),
        (&named, &tls(", client_auth_type: RequireAndVerifyClientCert, client_ca_file: c, client_allowed_sans: []"), None),
        (&named, &asked, None),
        (&named, &none, None),
        (&named, &tls(""), Some("tls_server_config.client_auth_type")),
        (&required, &tls(""), Some("tls_server_config.client_auth_type")),
        (&required, &named, None),
        (&asked, &tls(""), None),
        (&tls(""), &off, None),
        (&named, &off, None),
        (&tls(""), &File::default(), Some("tls_server_config")),
        (&off, &File::default(), None),
    ] {
        assert_eq!(before.unsaid(after).map(|(key, _)| key), lost, "{before:?} -> {after:?}");
    }
}

#[test]
fn half_a_certificate_changes_nothing_and_a_wrong_file_renews_it() {
    let folder = tempfile::tempdir().unwrap();
    let pair = |file: &str| {
        let (cert, key) = (folder.path().join(format!("{file}.pem")), folder.path().join(format!("{file}.key")));
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&cert)
            .output();
        assert!(made.unwrap().status.success());
        (std::fs::read_to_string(cert).unwrap(), std::fs::read_to_string(key).unwrap())
    };
    let ((_, _), (cert, key)) = (pair("s"), pair("new"));
    let path = folder.path().join("web.yaml");
    std::fs::write(&path, "tls_server_config: { cert_file: s.pem, key_file: s.key }").unwrap();
    let mut watch = Watch::begin(&path).unwrap().0;
    let served = folder.path().join("s.pem");
    for half in [&cert[..cert.len() / 2], "", &cert] {
        std::fs::write(&served, half).unwrap();
        watch.check();
        let change = watch.check();
        assert!(change.rules.is_none() && change.kept.is_some(), "the key is of the old one");
    }
    std::fs::write(folder.path().join("s.key"), key).unwrap();
    std::fs::write(&path, "nonsense: 1").unwrap();
    watch.check();
    let change = watch.check();
    assert!(change.rules.unwrap().acceptor.is_some() && change.kept.unwrap().as_str().contains("a key is not known"));
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let (folder, mut watch) = begun(&users());
    std::fs::remove_file(&watch.path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&watch.path).status().unwrap().success());
    watch.check();
    assert!(watch.check().kept.unwrap().as_str().contains("it is no regular file"));
    std::fs::remove_file(&watch.path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &watch.path).unwrap();
    assert!(read(&watch.path).is_err());
    drop(folder);
}

#[test]
fn what_is_wrong_is_named_and_no_hash_is() {
    for (text, said) in [
        ("hunter2: 1\n", "a key is not known; known are tls_server_config, "),
        ("rate_limits: 1\n", "rate_limits: a key is not known"),
        ("tls_server_config: { client_auth_type: NoClientCrt }", "NoClientCrt: a value is not known"),
        ("tls_server_config: { client_auth_type: hunter2 }", "known are NoClientCert, "),
        ("basic_auth_users: [hunter2]\n", "line 1"),
        ("basic_auth_users: hunter2\n", "line 1"),
        ("basic_auth_users: {a: b}\nrate_limit: hunter2\n", "line 2"),
    ] {
        let why = parse(text.as_bytes()).unwrap_err();
        assert!(why.as_str().contains(said) && !why.as_str().contains("hunter2"), "{text}: {why}");
    }
}

#[test]
fn the_documented_file_is_one() {
    let text = include_str!("../../../docs/web-configuration.md").split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = parse(text.as_bytes()).unwrap().unwrap();
    assert!(file.tls().is_some_and(Tls::needs_certificate) && file.rate_limit.is_some());
    let names: Vec<String> = file.http_server_config.unwrap().headers.keys().map(|name| name.to_ascii_lowercase()).collect();
    assert!(names.len() == HEADERS.len() && names.iter().all(|name| HEADERS.contains(&name.as_str())));
}

#[test]
fn fuzz_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yaml");
    let seed = format!(
        "basic_auth_users: {{ a: \"{HASH}\" }}\nhttp_server_config: {{ headers: {{ X-Frame-Options: deny }} }}\nrate_limit: {{ interval: 1s, burst: 3 }}\n"
    );
    crate::fuzz::survive(&[seed.as_bytes()], |bytes| {
        std::fs::write(&path, bytes).unwrap();
        Watch::begin(&path).is_ok()
    });
}
