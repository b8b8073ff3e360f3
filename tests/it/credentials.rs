//! What a look tells of credentials in files: of those that are missing, broken, ended, old or open to everybody.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use readiness_lab::{Authority, Leaf};
use tempfile::TempDir;

use crate::common::{exporter, run};

const DAY: u64 = 86_400;

/// A folder with credentials, and what the configuration says of them.
struct Kept {
    folder: TempDir,
    entries: String,
}

/// What a check came to: its state, its lines as state and evidence, and what to do about the cause of each.
#[derive(Debug)]
struct Said {
    state: String,
    lines: Vec<(String, String)>,
    fixes: Vec<String>,
}

impl Said {
    /// The line of a credential.
    fn of(&self, name: &str) -> (&str, &str) {
        let own = |evidence: &str| evidence.starts_with(&format!("{name} / ")) || evidence.contains(&format!(" credential {name} "));
        let line = self.lines.iter().find(|(_, evidence)| own(&evidence.replacen("Credential", "A credential", 1)));
        line.map_or(("", ""), |(state, evidence)| (state, evidence))
    }
}

impl Kept {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), entries: String::new() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.txt"))
    }

    /// A credential in a file of its name, unless there is none.
    fn with(mut self, name: &str, kind: &str, text: Option<&str>, more: &str) -> Self {
        if let Some(text) = text {
            fs::write(self.file(name), text).unwrap();
            self.mode(name, 0o600);
        }
        self.entries += &format!("      - {{ name: {name}, kind: {kind}, from: {{ file: {name}.txt }}{more} }}\n");
        self
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.file(name), Permissions::from_mode(mode)).unwrap();
    }

    fn written(&self, name: &str, days: u64) {
        fs::File::open(self.file(name)).unwrap().set_modified(SystemTime::now() - Duration::from_secs(days * DAY)).unwrap();
    }

    /// What a single look says, by check.
    fn look(&self) -> BTreeMap<String, Said> {
        fs::write(self.path().join("readiness.yaml"), format!("collectors:\n  credentials:\n    credentials:\n{}", self.entries)).unwrap();
        let (_, report, errors) = run(exporter().args(["check", "--output", "json"]).current_dir(self.path()));
        let report: serde_json::Value = serde_json::from_str(&report).unwrap_or_else(|_| panic!("{report}{errors}"));
        let checks = report["judgements"][0]["sections"].as_array().unwrap().iter().flat_map(|section| section["checks"].as_array().unwrap());
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let said = |check: &serde_json::Value| Said {
            state: text(&check["state"]),
            lines: check["lines"].as_array().unwrap().iter().map(|line| (text(&line["state"]), text(&line["evidence"]))).collect(),
            fixes: check["lines"].as_array().unwrap().iter().map(|line| line["remedy"].as_str().unwrap_or_default().to_owned()).collect(),
        };
        checks.map(|check| (text(&check["name"]), said(check))).collect()
    }
}

fn token(claims: &str) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode(claims))
}

fn day(days_from_now: i64) -> String {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + days_from_now * 86_400).unwrap().strftime("%F").to_string()
}

/// A mistyped path must not make anybody rotate a good key.
#[test]
fn what_is_missing_is_red_once_and_unknown_elsewhere() {
    let kept = Kept::new().with("gone", "opaque", None, "").with("empty", "gitlab", Some(" \n"), ", expires: 2099-01-01");
    let said = kept.look();
    assert_eq!(said["CredentialMissing"].of("gone").0, "fail");
    assert_eq!(said["CredentialMissing"].of("empty").0, "fail");
    let others: Vec<_> = said.iter().filter(|(name, said)| *name != "CredentialMissing" && !said.lines.is_empty() && said.lines[0].1.contains(" / ")).collect();
    assert!(others.len() >= 7, "{others:#?}");
    for (check, said) in others {
        for (state, evidence) in &said.lines {
            let why = if evidence.starts_with("gone / ") { "gone / opaque: read gone.txt: no such file." } else { "empty / gitlab: it is empty." };
            assert!(state == "unknown" && evidence == why, "{check}: {state} {evidence}");
        }
    }
}

/// One sentence for all causes tells whoever mistyped a path to issue a new key.
#[test]
fn what_to_do_about_a_credential_follows_from_the_cause() {
    let kept = Kept::new()
        .with("gone", "gitlab", None, "")
        .with("empty", "opaque", Some(" \n"), "")
        .with("broken", "jwt", Some("no token"), "")
        .with("expired", "jwt", Some(&token(r#"{"exp":1}"#)), "")
        .with("due", "opaque", Some("a"), ", max_age: 30d")
        .with("past", "opaque", Some("a"), &format!(", expires: {}", day(-3)))
        .with("mute", "opaque", Some("a"), ", expires: 2099-01-01")
        .with("unasked", "gitlab", Some("glpat-a"), ", api: 'https://127.0.0.1:9'");
    fs::create_dir(kept.file("folder")).unwrap();
    let kept = Kept { entries: format!("{}      - {{ name: folder, kind: opaque, from: {{ file: folder.txt }} }}\n", kept.entries), ..kept };
    kept.written("due", 40);
    let said = kept.look();
    for (check, name, expected) in [
        ("CredentialMissing", "gone", "Put the file there, "),
        ("CredentialInvalid", "gone", "Put the file there, "),
        ("CredentialMissing", "empty", "Write the credential to its place"),
        ("CredentialInvalid", "broken", "Compare what stands there with the configuration"),
        ("CredentialInvalid", "expired", "Issue a new one, "),
        ("CredentialInvalid", "due", "Rotate it, or agree on a longer `max_age`."),
        ("CredentialInvalid", "past", "If it was renewed, correct the end"),
        ("CredentialUnproven", "mute", "Try it by hand before the event"),
        ("CredentialInvalid", "unasked", "Let the exporter reach the issuer"),
        ("CredentialMissing", "folder", "Let the user that the exporter runs as read this file"),
    ] {
        let all: Vec<_> = said[check].lines.iter().zip(&said[check].fixes).collect();
        assert!(all.iter().any(|((_, evidence), fix)| evidence.contains(name) && fix.starts_with(expected)), "{check} of {name}: {all:#?}");
    }
    for (check, said) in said.iter().filter(|(name, _)| ["CredentialMissing", "CredentialInvalid", "CredentialUnproven"].contains(&name.as_str())) {
        let silent = said.lines.iter().zip(&said.fixes).find(|((state, _), fix)| state != "pass" && fix.is_empty());
        assert!(silent.is_none(), "{check}: {silent:?}");
    }
}

#[test]
fn what_is_broken_is_red_once_and_proved_by_nobody() {
    let good = token(r#"{"exp":4000000000}"#);
    let said = Kept::new().with("broken", "jwt", Some("no token"), "").with("good", "jwt", Some(&good), "").look();
    let why = "broken / jwt: it is no token of three parts.";
    assert_eq!(said["CredentialInvalid"].of("broken"), ("fail", "Credential broken (jwt) does not work. Seen: it is no token of three parts."));
    for check in ["CredentialUnproven", "CredentialExpiryUnknown", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"] {
        assert_eq!(said[check].of("broken"), ("unknown", why), "{check}");
    }
    assert_eq!(said["CredentialUnproven"].of("good").0, "fail");
    assert_eq!(said["CredentialExpiryUnknown"].of("good"), ("pass", "good / jwt: it is known when it expires."));
}

#[test]
fn what_has_ended_by_what_is_written_down_has_ended() {
    let endless = token("{}");
    let kept = Kept::new()
        .with("past", "opaque", Some("a"), &format!(", expires: {}", day(-3)))
        .with("lasting", "opaque", Some("b"), &format!(", expires: {}", day(300)))
        .with("differing", "jwt", Some(&endless), &format!(", expires: {}", day(-3)))
        .with("due", "opaque", Some("c"), ", max_age: 30d")
        .with("young", "opaque", Some("d"), ", max_age: 30d")
        .with("soon", "opaque", Some("e"), ", max_age: 1h");
    kept.written("due", 40);
    let all = kept.look();
    let (state, evidence) = all["CredentialExpiresSoon"].of("soon");
    assert!(
        state != "pass" && evidence.contains(" Seen: that is when it reaches its agreed age, max_age 1h; it tells no end of its own."),
        "{state} {evidence}"
    );
    let said = &all["CredentialInvalid"];
    assert_eq!(said.of("past"), ("fail", "Credential past (opaque) does not work. Seen: it has expired, by the end that is written down."));
    assert_eq!(said.of("differing"), ("unknown", "differing / jwt: the end that is written down has passed, and the credential tells another one."));
    assert_eq!(said.of("due"), ("unknown", "due / opaque: it is older than max_age, and nobody was asked whether it works."));
    for name in ["lasting", "young"] {
        let good = format!("{name} / opaque: its form is right, and no issuer has proved that it works. Seen: nobody was asked whether it works.");
        assert_eq!(said.of(name), ("pass", good.as_str()));
    }
}

#[test]
fn where_nothing_tells_an_end_nothing_is_compared() {
    let alone = Kept::new().with("alone", "opaque", Some("a"), ", expires: 2099-01-01");
    let said = &alone.look()["CredentialEndDiffers"];
    assert_eq!((said.state.as_str(), said.lines.len()), ("not_applicable", 0), "{said:?}");
    let lasting = token(r#"{"exp":4070908800}"#);
    let beside = alone.with("told", "jwt", Some(&lasting), ", expires: 2099-01-01").with("other", "jwt", Some(&lasting), ", expires: 2098-01-01");
    let said = &beside.look()["CredentialEndDiffers"];
    assert_eq!((said.state.as_str(), said.lines.len()), ("fail", 2), "{said:?}");
    assert_eq!(said.of("told"), ("pass", "told / jwt: both are the same day. Seen: declared 2099-01-01, told 2099-01-01 00:00 UTC."));
}

/// A copy is young, whatever it is a copy of.
#[test]
fn a_copy_makes_no_credential_young() {
    let authority = Authority::new("Root").unwrap();
    let of = |days: i64| authority.issue_pem(&Leaf::good(&["a.test"]).begins_in(-days * 86_400)).unwrap().0;
    let issued = |days: i64| token(&format!(r#"{{"iat":{}}}"#, jiff::Timestamp::now().as_second() - days * 86_400));
    let kept = Kept::new()
        .with("old-certificate", "certificate", Some(&of(100)), "")
        .with("young-certificate", "certificate", Some(&of(10)), "")
        .with("old-token", "jwt", Some(&issued(100)), "")
        .with("young-token", "jwt", Some(&issued(10)), "")
        .with("dateless", "jwt", Some(&token("{}")), "")
        .with("old-file", "opaque", Some("a"), "");
    kept.written("old-file", 100);
    let said = &kept.look()["CredentialTooOld"];
    for name in ["old-certificate", "old-token", "old-file"] {
        let (state, evidence) = said.of(name);
        assert!(state == "fail" && evidence.contains(" is at least 100d "), "{name}: {state} {evidence}");
    }
    let place = "Seen: that is when it was written to its place, and a copy hides the age of what was copied.";
    for (name, is_of_its_place) in [("young-certificate", false), ("young-token", false), ("dateless", true)] {
        let (state, evidence) = said.of(name);
        assert!(
            state == "pass" && evidence.contains(" ago, which is within 90d.") && evidence.contains(place) == is_of_its_place,
            "{name}: {state} {evidence}"
        );
    }
}

#[test]
fn only_a_file_with_a_secret_in_it_is_exposed_by_being_read() {
    let (certificate, key) = Authority::new("Root").unwrap().issue_pem(&Leaf::good(&["a.test"])).unwrap();
    let kept = Kept::new()
        .with("public", "certificate", Some(&certificate), "")
        .with("changeable", "certificate", Some(&certificate), "")
        .with("pair", "certificate", Some(&format!("{certificate}{key}")), "")
        .with("misplaced", "certificate", Some("a password"), "")
        .with("date", "date", Some("2099-01-01"), "")
        .with("private", "opaque", Some("a"), "")
        .with("read", "opaque", Some("b"), "")
        .with("both", "opaque", Some("c"), "");
    let modes = [("public", 0o644), ("changeable", 0o646), ("pair", 0o644), ("misplaced", 0o644), ("date", 0o444), ("read", 0o604), ("both", 0o666)];
    for (name, mode) in &modes {
        kept.mode(name, *mode);
    }
    let said = &kept.look()["CredentialFileExposed"];
    for (name, kind) in [("public", "certificate"), ("date", "date")] {
        let (state, evidence) = said.of(name);
        assert!(state == "pass" && evidence.starts_with(&format!("{name} / {kind}: everybody may read its file, which holds no secret.")), "{evidence}");
    }
    assert_eq!(said.of("private").0, "pass");
    for (name, may) in [("changeable", "read and write"), ("pair", "read"), ("misplaced", "read"), ("read", "read"), ("both", "read and write")] {
        let (state, evidence) = said.of(name);
        let mode = modes.iter().find(|(own, _)| *own == name).unwrap().1;
        let seen = format!("Seen: everybody may {may} {name}.txt, whose mode is 0{mode:o}.");
        assert!(state == "fail" && evidence.ends_with(&seen), "{evidence}");
    }
}
