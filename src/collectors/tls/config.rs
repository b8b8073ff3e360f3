//! Which TLS servers are asked.

use std::path::PathBuf;

use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::rules::{name, pace, quoted, socket_address, unique};
use crate::value::{Problem, Span};
use crate::word::Word;

/// TLS servers whose certificates are watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Time between looks at a target.
    pub interval: Span,
    /// Deadline of a look.
    pub timeout: Span,
    /// PEM certificates to trust beside the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A name server to use instead of the system's, `address:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver: Option<String>,
    /// Whom to ask.
    pub targets: Vec<Target>,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Span::mins(1), timeout: Span::secs(5), ca_file: None, resolver: None, targets: Vec::new() }
    }
}

/// One TLS server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Unique name, the `target` label.
    pub name: String,
    /// `host:port`. Each address of the host is asked, 16 at most; more are unknown.
    pub address: String,
    /// The name to ask for and to verify; the host of `address` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        pace(path, self.interval, self.timeout, problems);
        if let Some(resolver) = &self.resolver {
            socket_address(&format!("{path}.resolver"), resolver, problems);
        }
        unique(&format!("{path}.targets"), self.targets.iter().map(|target| target.name.as_str()), problems);
        for (index, target) in self.targets.iter().enumerate() {
            let path = format!("{path}.targets[{index}]");
            name(&format!("{path}.name"), &target.name, problems);
            match split(&target.address) {
                None => problems.push(Problem::new(format!("{path}.address"), format!("must be host:port{}", bare(&target.address)), quoted(&target.address))),
                Some((host, _)) if ServerName::try_from(host.to_owned()).is_err() => {
                    let rule = format!("must be host:port, without scheme and path{}", bare(&target.address));
                    problems.push(Problem::new(format!("{path}.address"), rule, quoted(&target.address)));
                }
                Some((host, _)) => {
                    let asked = target.server_name.as_deref().unwrap_or(host);
                    if ServerName::try_from(asked.to_owned()).is_err() {
                        problems.push(Problem::new(format!("{path}.server_name"), "must be a host name or an IP address", quoted(asked)));
                    }
                }
            }
        }
    }
}

/// Host and port of an address.
/// How an address is written that was given as a URL. A URL may hold a password, so of others nothing is shown.
fn bare(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://").filter(|(_, rest)| !rest.contains('@')) else { return String::new() };
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = if scheme == "https" { ":443" } else { ":PORT" };
    let (host, own) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, port.parse::<u16>().ok()));
    let port = own.map_or_else(|| port.to_owned(), |own| format!(":{own}"));
    Word::host(host).map_or_else(String::new, |host| format!("; write {}{port}", host.as_str()))
}

pub(super) fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some(())?;
    Some((host, port.parse().ok().filter(|port| *port > 0)?))
}
