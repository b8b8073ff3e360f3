//! Which TLS servers are asked.

use std::path::PathBuf;

use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::rules::{host_port, name, pace, quoted, socket_address, unique};
use crate::value::{Problem, Span};

/// TLS servers whose certificates are watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "TlsCollector")]
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
#[schemars(rename = "TlsTarget")]
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
            let Some((host, _)) = host_port(&format!("{path}.address"), &target.address, problems) else { continue };
            let asked = target.server_name.as_deref().unwrap_or(host);
            if ServerName::try_from(asked.to_owned()).is_err() {
                problems.push(Problem::new(format!("{path}.server_name"), "must be a host name or an IP address", quoted(asked)));
            }
        }
    }
}
