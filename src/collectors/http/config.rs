//! Configuration of the `http` collector and its rules.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::rules::{hosts, name, pace, quoted, secret, socket_address, unique};
use crate::value::{Problem, SecretRef, Span, Url, UrlRule, names_a_secret};

/// HTTP endpoints to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "HttpCollector")]
pub struct Config {
    /// Time between looks at a target.
    pub interval: Span,
    /// Deadline of a look.
    pub timeout: Span,
    /// Length of the window of the success ratio.
    pub window: Span,
    /// PEM certificates to trust beside the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A name server to use instead of the system's, `address:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// What to ask.
    pub targets: Vec<Target>,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Span::secs(15), timeout: Span::secs(5), window: Span::mins(10), ca_file: None, resolver: None, targets: Vec::new() }
    }
}

/// One URL and what it must answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HttpTarget")]
pub struct Target {
    /// Unique name, the `target` label.
    pub name: String,
    /// What kind of endpoint this is; checks select by it. The shipped checklists know
    /// `healthz`, `wildcard`, `identity` and `document`.
    #[serde(default = "default_kind")]
    pub kind: String,
    /// The URL. A host that begins with `*.` gets a fresh random label at each look. Each address of the host
    /// is asked, 16 at most; more are unknown.
    pub url: Url,
    /// Request method.
    #[serde(default = "default_method")]
    pub method: String,
    /// Request headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// What a good answer looks like.
    #[serde(default)]
    pub expect: Expect,
    /// How many redirects to follow; with 0 a redirect is an answer like any other. Of another host, one
    /// address is asked.
    #[serde(default)]
    pub follow_redirects: u8,
    /// Other hosts whose answer counts as the target's after a redirect. No header of this target
    /// is sent to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_hosts: Vec<String>,
    /// Largest body that is read; a larger one is a failure.
    #[serde(default = "default_max_body")]
    pub max_body_bytes: u64,
    /// An HTTP proxy to go through. The environment's proxy variables are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Url>,
    /// Instead of the collector's interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// Instead of the collector's timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// Of what people and pipelines ask.
pub(crate) const WEB: UrlRule = UrlRule { schemes: &["http", "https"], wildcard: true };

fn default_kind() -> String {
    "healthz".to_owned()
}

fn default_method() -> String {
    "GET".to_owned()
}

const fn default_max_body() -> u64 {
    1024 * 1024
}

/// A request header; exactly one of `value` and `value_from`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HttpHeader")]
pub struct Header {
    /// Header name.
    pub name: String,
    /// A value that is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where the secret value is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<SecretRef>,
}

/// What a good answer looks like; all parts must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "HttpAnswer")]
pub struct Expect {
    /// Acceptable status codes.
    pub status: Vec<u16>,
    /// Text that the body must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_contains: Option<String>,
    /// A regular expression that the body must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_matches: Option<String>,
    /// JSON fields that must have these values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub json: Vec<JsonRule>,
    /// JSON fields that tell this service from another one behind the same wildcard.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<JsonRule>,
}

impl Default for Expect {
    fn default() -> Self {
        Self { status: vec![200], body_contains: None, body_matches: None, json: Vec::new(), identity: Vec::new() }
    }
}

/// A JSON field and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonRule {
    /// JSON Pointer (RFC 6901), such as `/workspace_proxy`.
    pub pointer: String,
    /// The value.
    pub equals: serde_json::Value,
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        pace(path, self.interval, self.timeout, problems);
        if self.window < self.interval {
            problems.push(Problem::new(format!("{path}.window"), format!("must be at least the interval, {}", self.interval), self.window));
        }
        if let Some(resolver) = &self.resolver {
            socket_address(&format!("{path}.resolver"), resolver, problems);
        }
        unique(&format!("{path}.targets"), self.targets.iter().map(|target| target.name.as_str()), problems);
        for (index, target) in self.targets.iter().enumerate() {
            let path = format!("{path}.targets[{index}]");
            if target.interval.is_some() || target.timeout.is_some() {
                pace(&path, target.interval.unwrap_or(self.interval), target.timeout.unwrap_or(self.timeout), problems);
            }
            target.validate(&path, problems);
        }
    }
}

impl Target {
    fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        name(&format!("{path}.kind"), &self.kind, problems);
        self.url.validate(&format!("{path}.url"), WEB, problems);
        if let Some(proxy) = &self.proxy {
            proxy.validate(&format!("{path}.proxy"), UrlRule::PROXY, problems);
        }
        if hyper::Method::from_bytes(self.method.as_bytes()).is_err() {
            problems.push(Problem::new(format!("{path}.method"), "must be an HTTP method", quoted(&self.method)));
        }
        if self.max_body_bytes == 0 || self.max_body_bytes > 64 * 1024 * 1024 {
            problems.push(Problem::new(format!("{path}.max_body_bytes"), "must be between 1 and 67108864", self.max_body_bytes));
        }
        for (index, header) in self.headers.iter().enumerate() {
            header.validate(&format!("{path}.headers[{index}]"), problems);
        }
        self.expect.validate(&format!("{path}.expect"), problems);
        if self.method == "HEAD" && self.expect.is_of_body() {
            let rule = "must not be HEAD, whose answer has no body, while expect asks something of the body";
            problems.push(Problem::new(format!("{path}.method"), rule, quoted(&self.method)));
        }
        hosts(&format!("{path}.redirect_hosts"), &self.redirect_hosts, problems);
    }
}

/// Statuses whose answers have no body.
/// Source: RFC 9110, sections 15.3.5 and 15.4.5
const BARE: [u16; 2] = [204, 304];

impl Expect {
    /// Whether it asks something of the body.
    pub(super) fn is_of_body(&self) -> bool {
        !self.json.is_empty() || !self.identity.is_empty() || self.body_contains.is_some() || self.body_matches.is_some()
    }

    fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        if self.status.is_empty() {
            problems.push(Problem::bare(format!("{path}.status"), "must name at least one status code"));
        }
        for (index, status) in self.status.iter().enumerate() {
            if !(100..600).contains(status) {
                problems.push(Problem::new(format!("{path}.status[{index}]"), "must be a status code between 100 and 599", status));
            }
        }
        if self.is_of_body() && !self.status.is_empty() && self.status.iter().all(|status| BARE.contains(status)) {
            let rule = "must name a status whose answer has a body, while expect asks something of it";
            problems.push(Problem::bare(format!("{path}.status"), rule));
        }
        // Most often a template that was filled with nothing.
        if self.body_contains.as_ref().is_some_and(|text| text.trim().is_empty()) {
            problems.push(Problem::bare(format!("{path}.body_contains"), "must not be empty, as every body contains that"));
        }
        if let Some(pattern) = &self.body_matches {
            let wrong = match regex::Regex::new(pattern) {
                Err(_) => format!("must be a regular expression{}", place(pattern)),
                Ok(any) if matches_everything(&any) => "must be a regular expression that does not match every body".to_owned(),
                Ok(_) => String::new(),
            };
            if !wrong.is_empty() {
                problems.push(Problem::new(format!("{path}.body_matches"), wrong, quoted(pattern)));
            }
        }
        for (list, rules) in [("json", &self.json), ("identity", &self.identity)] {
            for (index, rule) in rules.iter().enumerate() {
                if !rule.pointer.is_empty() && !rule.pointer.starts_with('/') {
                    problems.push(Problem::new(
                        format!("{path}.{list}[{index}].pointer"),
                        "must be a JSON pointer, which begins with /",
                        quoted(&rule.pointer),
                    ));
                }
            }
        }
    }
}

/// Whether a pattern takes nothing as well as texts that have nothing in common.
fn matches_everything(pattern: &regex::Regex) -> bool {
    let characters: String = (1..127_u8).map(char::from).collect();
    ["", &characters, "<html>\n<p>Sign in</p>\n</html>\n"].iter().all(|body| pattern.is_match(body))
}

/// Where a regular expression breaks off.
fn place(pattern: &str) -> String {
    match regex_syntax::ast::parse::Parser::new().parse(pattern) {
        Err(error) => format!("; the error is at character {}", error.span().start.offset + 1),
        Ok(_) => String::new(),
    }
}

impl Header {
    fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        if hyper::header::HeaderName::from_bytes(self.name.as_bytes()).is_err() {
            // Not quoted: whoever writes the whole header as its name writes the secret.
            problems.push(Problem::bare(format!("{path}.name"), "must be the name of a header alone, such as Authorization"));
        }
        match (&self.value, &self.value_from) {
            (Some(_), None) if names_a_secret(&self.name) => {
                problems.push(Problem::new(format!("{path}.value"), "must come from value_from, because this header carries a secret", "***"));
            }
            (Some(value), None) if hyper::header::HeaderValue::from_str(value).is_err() => {
                problems.push(Problem::new(format!("{path}.value"), "must be printable text", "***"));
            }
            (None, Some(reference)) => secret(&format!("{path}.value_from"), reference, problems),
            (Some(_), None) => {}
            _ => problems.push(Problem::bare(path, "must have exactly one of value and value_from")),
        }
    }
}
