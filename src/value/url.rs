//! A URL of the configuration: one type with one set of rules, which cannot print what it hides.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use super::rules::{misspelt, plain_host};
use super::{MASKED, Problem};
use crate::say;
use crate::say::{Message, Say};

/// A URL as it was written. Printed without user, password, fragment and the values of its query,
/// and not at all unless it is a URL.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Url(String);

/// What a URL may be.
#[derive(Clone, Copy)]
pub struct UrlRule {
    /// Schemes that it may have.
    pub schemes: &'static [&'static str],
    /// Whether the first label of its host may be `*`.
    pub wildcard: bool,
}

impl UrlRule {
    /// Of an API that is asked with a credential.
    pub const HTTPS: Self = Self { schemes: &["https"], wildcard: false };
    /// Of a proxy.
    pub const PROXY: Self = Self { schemes: &["http"], wildcard: false };
}

impl Url {
    /// Takes a URL that does not come from the configuration.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself, for whoever connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both lead to the very same place: the case of a host, and what goes without saying, tell nothing apart.
    pub fn is_same(&self, other: &Self) -> bool {
        let place = |url: &Self| (url.0.contains("://*."), url.parse().ok());
        self == other || matches!((place(self), place(other)), ((own, Some(one)), (its, Some(two))) if own == its && one == two)
    }

    /// What a path is put behind.
    pub fn base(&self) -> &str {
        self.0.trim_end_matches('/')
    }

    /// The parts of it; a wildcard stands for some label.
    pub fn parse(&self) -> Result<url::Url, Message> {
        url::Url::parse(&self.concrete()).map_err(|error| {
            // By its kind alone: the rest of the text may be a password.
            match error {
                url::ParseError::RelativeUrlWithoutBase => say!("must be a URL that begins with a scheme, such as https://"),
                url::ParseError::EmptyHost => say!("must be a URL with a host"),
                url::ParseError::InvalidPort => say!("must be a URL whose port is a number up to 65535"),
                url::ParseError::InvalidIpv4Address | url::ParseError::InvalidIpv6Address => say!("must be a URL whose address is one"),
                url::ParseError::InvalidDomainCharacter | url::ParseError::IdnaError => say!("must be a URL whose host has characters that a name can have"),
                _ => say!("must be a URL"),
            }
        })
    }

    /// The same with the scheme that was left out, where it begins with a host; what stands behind that may be a secret.
    fn with_scheme(&self, rule: UrlRule) -> String {
        let (place, rest) = self.0.split_at(self.0.find(['/', '?', '#']).unwrap_or(self.0.len()));
        let (host, port) = place.split_once(':').unwrap_or((place, ""));
        let is_host = plain_host(host).is_some() && port.bytes().all(|byte| byte.is_ascii_digit()) && !rest.starts_with("//");
        let scheme = rule.schemes.last().copied().unwrap_or_default();
        let more = if rest.is_empty() { "" } else { "/..." };
        if is_host { format!("; did you mean {scheme}://{place}{more}?") } else { String::new() }
    }

    fn concrete(&self) -> String {
        self.0.replacen("://*.", "://r-0.", 1)
    }

    /// Reports every rule that it breaks, and never what it says.
    pub(crate) fn validate(&self, path: &str, rule: UrlRule, problems: &mut Vec<Problem>) {
        let parsed = match self.parse() {
            Ok(parsed) => parsed,
            Err(_) if self.0.trim().is_empty() => {
                problems.push(Problem::bare(path, "must not be empty, but a URL such as https://app.example.com/healthz"));
                return;
            }
            Err(why) => {
                problems.push(Problem::bare(path, format!("{why}{}", self.with_scheme(rule))));
                return;
            }
        };
        if !rule.schemes.contains(&parsed.scheme()) {
            problems.push(Problem::bare(path, format!("must begin with {}{}", rule.schemes.join(":// or ") + "://", self.with_scheme(rule))));
        } else if parsed.host_str().is_none_or(|host| host.contains('*')) || (self.0.contains("://*.") && !rule.wildcard) {
            let where_ = if rule.wildcard { "must have a host; a wildcard may only be its first label" } else { "must have a host without a wildcard" };
            problems.push(Problem::bare(path, where_));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            problems.push(Problem::bare(path, "must not hold credentials; keep them in a file or the environment"));
        } else if let Some((name, _)) = parsed.query_pairs().find(|(name, _)| names_a_secret(name)) {
            let rule = format!("must not hold credentials, and the parameter {} is called like one; keep it in a file or the environment", misspelt(&name));
            problems.push(Problem::bare(path, rule));
        }
        if parsed.query().is_some_and(|query| query.split('&').any(|pair| pair.split_once('=').map_or(pair, |(_, value)| value) == "***")) {
            problems.push(Problem::bare(path, MASKED));
        }
    }
}

/// Whether what a header, a parameter or a key is called says that its value is a secret.
///
/// Names of credentials are run together as people like (`accesstoken`, `apikey`), so most words count
/// wherever they stand. Only `auth` and `key` are parts of ordinary words too, and those are told apart.
pub(crate) fn names_a_secret(name: &str) -> bool {
    const PARTS: [&str; 10] = ["token", "cookie", "secret", "password", "passwd", "session", "signature", "credential", "bearer", "jwt"];
    const WORDS: [&str; 4] = ["sig", "pass", "pwd", "sas"];
    const WHOLE: [&str; 2] = ["code", "se"];
    let words = words_of(name);
    let name = name.to_lowercase();
    PARTS.iter().any(|part| name.contains(part))
        || WHOLE.contains(&name.as_str())
        || name.starts_with("x-amz-")
        || name.starts_with("x-goog-")
        || words.iter().any(|word| WORDS.contains(&word.as_str()) || holds_auth(word) || holds_key(word))
}

/// `x-api-key`, `api_key` and `apiKey` in their words, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = '_';
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (before.is_lowercase() && c.is_uppercase());
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

/// `authorization` and `oauth`, and not `author` or `authority`.
fn holds_auth(word: &str) -> bool {
    let is_author = |rest: &str| rest.starts_with("or") && !rest.starts_with("oriz") && !rest.starts_with("oris");
    word.match_indices("auth").any(|(at, part)| !is_author(&word[at + part.len()..]))
}

/// `apikey` and `keyid`, and not `monkey` or `keyword`.
fn holds_key(word: &str) -> bool {
    const BEFORE: [&str; 7] = ["mon", "don", "tur", "hoc", "joc", "whis", "hot"];
    const AFTER: [&str; 7] = ["word", "board", "note", "stone", "frame", "stroke", "hole"];
    let is_other = |before: &str, after: &str| BEFORE.contains(&before) || (before.is_empty() && AFTER.iter().any(|rest| after.starts_with(rest)));
    word.match_indices("key").any(|(at, part)| !is_other(&word[..at], &word[at + part.len()..]))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(parsed) = self.parse() else { return f.write_str("***") };
        // What has no host, such as `mailto:`, is all of it some kind of path.
        let Some(host) = parsed.host_str() else { return f.write_str("***") };
        let host = if self.0.contains("://*.") { Cow::Owned(host.replacen("r-0.", "*.", 1)) } else { Cow::Borrowed(host) };
        let user = if parsed.username().is_empty() && parsed.password().is_none() { "" } else { "***@" };
        write!(f, "{}://{user}{host}", parsed.scheme())?;
        if let Some(port) = parsed.port() {
            write!(f, ":{port}")?;
        }
        for (index, segment) in parsed.path().split('/').enumerate() {
            // `;jsessionid=` and the like.
            let (name, parameters) = segment.split_once(';').map_or((segment, ""), |(name, _)| (name, ";***"));
            write!(f, "{}{name}{parameters}", if index == 0 { "" } else { "/" })?;
        }
        for (index, pair) in parsed.query().into_iter().flat_map(|query| query.split('&')).enumerate() {
            // Without a value the name itself may be the secret.
            let name = pair.split_once('=').filter(|(_, value)| !value.trim_matches('=').is_empty()).map_or(String::new(), |(name, _)| format!("{name}="));
            write!(f, "{}{name}***", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl Say for Url {}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Url {
    fn schema_name() -> Cow<'static, str> {
        "Url".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_printed_nowhere() {
        for (text, shown) in [
            ("https://user:hunter2@example.com:8443/a/b?sig=hunter2&x=hunter2#hunter2", "https://***@example.com:8443/a/b?sig=***&x=***"),
            ("http://hunter2@proxy:3128", "http://***@proxy:3128/"),
            ("https://example.com/a;sid=hunter2/b;hunter2?hunter2=&hunter2==", "https://example.com/a;***/b;***?***&***"),
            ("https://*.example.com/healthz", "https://*.example.com/healthz"),
            ("https://user:hunter2@host:99999/", "***"),
            ("https://user:hunter2@ho st/", "***"),
            ("hunter2", "***"),
            ("mailto:hunter2", "***"),
        ] {
            let url = Url::new(text);
            assert_eq!(url.to_string(), shown);
            for printed in [url.to_string(), format!("{url:?}"), serde_json::to_string(&url).unwrap()] {
                assert!(!printed.contains("hunter2"), "{printed}");
            }
        }
    }

    #[test]
    fn what_breaks_a_rule_is_not_quoted() {
        let web = UrlRule { schemes: &["http", "https"], wildcard: true };
        for (text, rule, broken) in [
            ("https://example.com/a?b=c", web, None),
            ("https://*.example.com/", web, None),
            ("https://*.example.com/", UrlRule::HTTPS, Some("must have a host without a wildcard")),
            ("http://example.com/", UrlRule::HTTPS, Some("must begin with https://")),
            ("https://u:hunter2@example.com:99999", web, Some("must be a URL whose port is a number up to 65535")),
            ("hunter2@example.com", web, Some("must be a URL that begins with a scheme, such as https://")),
            ("https://u:hunter2@", web, Some("must be a URL with a host")),
            ("https://u:hunter2@example.com", web, Some("must not hold credentials; keep them in a file or the environment")),
            (
                "https://example.com?X-Amz-Date=hunter2",
                web,
                Some("must not hold credentials, and the parameter X-Amz-Date is called like one; keep it in a file or the environment"),
            ),
            (
                "https://example.com?code=hunter2",
                web,
                Some("must not hold credentials, and the parameter code is called like one; keep it in a file or the environment"),
            ),
            ("ftp://hunter2.example.com", web, Some("must begin with http:// or https://")),
        ] {
            let mut problems = Vec::new();
            Url::new(text).validate("url", rule, &mut problems);
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(said, broken.iter().map(|rule| format!("url: {rule}")).collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn a_name_is_that_of_a_secret_by_whole_words() {
        for name in [
            "author",
            "authors",
            "co-author",
            "authority",
            "keyword",
            "keywords",
            "monkey",
            "turkey",
            "keyboard",
            "encode",
            "page",
            "status_code",
            "signal",
            "asset",
            "passenger",
        ] {
            assert!(!names_a_secret(name), "{name}");
        }
        for name in [
            "auth",
            "api_key",
            "apiKey",
            "x-amz-signature",
            "sig",
            "code",
            "accesstoken",
            "apikey",
            "authtoken",
            "sessionid",
            "clientsecret",
            "Authorization",
            "authz",
            "authentication",
            "oauth",
            "x-auth",
            "subscription-key",
            "keyid",
            "key",
            "keys",
            "author_key",
            "keyword-token",
            "monkeyauth",
            "SIG",
            "request_sig",
            "user.pwd",
            "X-Goog-Date",
            "APIKey",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
    }
}
