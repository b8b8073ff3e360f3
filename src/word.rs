//! What may be shown of words that somebody else chose.
//!
//! Reasons, phases and codes in answers of servers and in objects are names by their own
//! documentation and free text by their type: a controller, a webhook or whoever may write an object
//! can put a secret or a page of HTML there. What looks like a name is one; anything else reaches no
//! page, report, metric, log or label.

use std::fmt;

use crate::say;
use crate::say::{Message, Say, named};

/// A name: letters and digits, 64 at most, as `CrashLoopBackOff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<'a>(&'a str);

impl<'a> Word<'a> {
    /// The text, if it is a name.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        Self::made_of(text, 64, b"")
    }

    /// The text, if it is a name with what joins its parts: a version, the type of a condition or of
    /// a medium, the reference of an image, a host.
    pub(crate) fn joined(text: &'a str) -> Option<Self> {
        Self::made_of(text, 256, b".-_/+:@")
    }

    /// The text, if it is the name of a file or a folder as people give them: ordinary words.
    pub(crate) fn file(text: &'a str) -> Option<Self> {
        Self::made_of(text, 64, b".-_").filter(|_| words_of(text).all(is_ordinary) && text.bytes().any(|byte| byte.is_ascii_alphabetic()))
    }

    /// The text, if it is the name of a file that holds what an exporter reads. One of the words or the
    /// end says so: any other word may be a password as well.
    pub(crate) fn document(text: &'a str) -> Option<Self> {
        let extension = text.rsplit_once('.').map(|(_, end)| end);
        let is_known = extension.is_some_and(|end| EXTENSIONS.contains(&end));
        let says = |word: &str| CONTENTS.contains(&word.to_ascii_lowercase().as_str());
        Self::made_of(text, 64, b".-_").filter(|_| is_known || Self::file(text).is_some_and(|_| words_of(text).any(says)))
    }

    /// The text, if it is the name of a variable of the environment, as they are written by custom.
    pub(crate) fn variable(text: &'a str) -> Option<Self> {
        let is_capital = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let is_custom = text.bytes().all(is_capital) && text.split('_').all(is_ordinary_capital);
        // `gitlab_token`, of which no word is a secret and one says what is in it.
        let says = || text.contains('_') && text.split('_').all(is_ordinary) && text.split('_').any(|word| CONTENTS.contains(&word));
        Self::made_of(text, 64, b"_").filter(|_| is_custom || says())
    }

    /// The text, if it is the name of a host as certificates have it.
    pub(crate) fn host(text: &'a str) -> Option<Self> {
        Self::made_of(text, 256, b".-_*")
    }

    /// The text, if it is what people call an item of a list.
    pub(crate) fn label(text: &'a str) -> Option<Self> {
        Self::made_of(text, 63, b".-_")
    }

    fn made_of(text: &'a str, most: usize, joints: &[u8]) -> Option<Self> {
        let is_name = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || joints.contains(&byte));
        is_name.then_some(Self(text))
    }

    /// The name.
    pub(crate) fn as_str(self) -> &'a str {
        self.0
    }
}

/// Whether whoever wrote one name most likely meant the other, of which the case of letters and what joins words are no part.
pub(crate) fn resembles(wrong: &str, known: &str) -> bool {
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect::<String>();
    let [wrong, known] = [wrong, known].map(plain);
    wrong == known || strsim::jaro_winkler(&wrong, &known) > 0.9
}

/// A suggestion for a name that is not known, or nothing.
pub(crate) fn did_you_mean<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Message {
    // Whoever leaves a word out has named the others.
    let words = |name: &str| name.split(['_', '-', '.']).map(str::to_owned).collect::<Vec<_>>();
    let typed = words(wrong);
    let holds_all = |name: &str| {
        let mut own = words(name).into_iter();
        typed.len() > 2 && typed.iter().all(|typed| own.any(|word| word == *typed))
    };
    let score = |name: &str| strsim::jaro_winkler(wrong, name) + f64::from(u8::from(holds_all(name)));
    let close = known.map(|name| (score(name), name)).filter(|(score, _)| *score > 0.8);
    close.max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(|| "".into(), |(_, name)| say!("; did you mean {}?", named(name)))
}

/// What files end on that hold text, certificates, keys and settings.
const EXTENSIONS: [&str; 23] = [
    "yaml",
    "yml",
    "json",
    "toml",
    "ini",
    "conf",
    "cfg",
    "env",
    "properties",
    "pem",
    "crt",
    "cer",
    "cert",
    "key",
    "pub",
    "csr",
    "txt",
    "jks",
    "p12",
    "pfx",
    "kubeconfig",
    "jwt",
    "md",
];

/// What files without such an end are called after.
const CONTENTS: [&str; 30] = [
    "token",
    "tokens",
    "password",
    "passwd",
    "pass",
    "secret",
    "secrets",
    "key",
    "keys",
    "cert",
    "certs",
    "certificate",
    "ca",
    "cacert",
    "crt",
    "bundle",
    "config",
    "kubeconfig",
    "dockerconfigjson",
    "dockercfg",
    "credential",
    "credentials",
    "auth",
    "login",
    "state",
    "archive",
    "readiness",
    "keystore",
    "truststore",
    "license",
];

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(['.', '-', '_']).filter(|word| !word.is_empty())
}

/// Letters that begin at most with a capital, a few digits, or a short mixture such as `k8s`: tokens,
/// keys and hashes mix letters, capitals and digits at length, or go on for longer than any word.
fn is_ordinary(word: &str) -> bool {
    let of = |is: fn(&u8) -> bool| word.bytes().all(|byte| is(&byte));
    match word.len() {
        0..=4 => true,
        5..=8 if of(u8::is_ascii_digit) || of(u8::is_ascii_uppercase) => true,
        5..=16 => word.bytes().skip(1).all(|byte| byte.is_ascii_lowercase()) && of(u8::is_ascii_alphabetic),
        _ => false,
    }
}

/// The same of capitals.
fn is_ordinary_capital(word: &str) -> bool {
    word.len() <= 4 || (word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_uppercase()))
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Say for Word<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_a_word_out_is_told_the_whole_name() {
        let known = || ["readiness_http_status_code", "readiness_http_phase_duration_seconds", "readiness_http_success"].into_iter();
        assert_eq!(did_you_mean("readiness_http_duration_seconds", known()).as_str(), "; did you mean readiness_http_phase_duration_seconds?");
        assert_eq!(did_you_mean("readiness_http_sucess", known()).as_str(), "; did you mean readiness_http_success?");
        assert_eq!(did_you_mean("something else", known()).as_str(), "");
    }

    #[test]
    fn a_name_is_shown_and_a_sentence_is_not() {
        for name in ["Forbidden", "v1", &"a".repeat(64)] {
            assert_eq!(Word::of(name).map(Word::as_str), Some(name));
        }
        for name in ["v1.33.4+k3s1", "v1.31.2-eks-7f9249a", "node.example.com/Ready", "ghcr.io/a/b:1@sha256:00", "application/vnd.oci.image.index.v1+json"] {
            assert_eq!((Word::of(name), Word::joined(name).map(Word::as_str)), (None, Some(name)));
        }
        for name in ["aws-iam-authenticator_0.7", "kubelogin", "gke-gcloud-auth-plugin", "us-east-2", "serviceaccount", "README", "..data", "k8s"] {
            assert!(Word::file(name).is_some(), "{name}");
        }
        for name in ["token", "ca.crt", "db-password", "wildcard_2024.example.com.pem", ".dockerconfigjson", "zq81x.key", "GITHUB_TOKEN"] {
            assert!(Word::document(name).is_some(), "{name}");
        }
        for name in ["T", "GITHUB_TOKEN", "PGPASSWORD", "K8S_TOKEN_2", "AWS_SECRET_ACCESS_KEY", "gitlab_token"] {
            assert!(Word::variable(name).is_some(), "{name}");
        }
        assert!(Word::file("aws-iam-authenticator_0.7").is_some() && Word::host("*.lab-1.test").is_some());
        for text in ["plugin --password=x", "a/b", "a:b"] {
            assert_eq!((Word::file(text), Word::host(text)), (None, None), "{text}");
        }
        for text in ["", "no such thing", "<html>", "password=hunter2", "a\nb", "ü", &"a".repeat(257)] {
            assert_eq!((Word::of(text), Word::joined(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_the_name_of_nothing() {
        for secret in [
            "hunter2",
            "correcthorse",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "AKIAIOSFODNN7EXAMPLE",
            "JBSWY3DPEHPK3PXP",
            "wJalrXUtnFEMIKMDENG",
            &"abcde".repeat(8),
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
            "6f1c2d3e-4b5a-6978-8796-a5b4c3d2e1f0",
            "xoxb-token-16C7e42F292c",
            "a b",
            "{",
            "P@ssw0rd",
        ] {
            assert_eq!((Word::document(secret), Word::variable(secret)), (None, None), "{secret}");
        }
    }
}
