//! Configuration of the `dns` collector and its rules.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::rules::{References, name, pace, plain_host, quoted, socket_address, unique};
use crate::value::{Problem, Span};

/// DNS names to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "DnsCollector")]
pub struct Config {
    /// Time between looks at a name.
    pub interval: Span,
    /// Deadline of a question, retry over TCP included.
    pub timeout: Span,
    /// Whom to ask.
    pub resolvers: Vec<Resolver>,
    /// Whether to ask this host's own resolvers, too, as `system`.
    pub system_resolver: bool,
    /// Networks whose addresses hide the origin; Cloudflare's when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxied_networks: Option<Vec<String>>,
    /// What to ask for.
    pub names: Vec<Name>,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Span::secs(30), timeout: Span::secs(4), resolvers: Vec::new(), system_resolver: true, proxied_networks: None, names: Vec::new() }
    }
}

/// What the host's own resolvers are called, in the `resolver` label.
pub(super) const SYSTEM: &str = "system";

/// A name server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// Unique name, the `resolver` label; not `system`, beside this host's own.
    pub name: String,
    /// `address:port`.
    pub address: String,
}

/// A name and what it must resolve to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DnsName")]
pub struct Name {
    /// The name, the `target` label; `*.example.com` is asked with a random label.
    pub name: String,
    /// Record types to ask for; the CNAME chain comes with them. One that fails beside one that answers makes
    /// the name unknown.
    #[serde(default = "both_types")]
    pub record_types: Vec<RecordType>,
    /// What it must resolve to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

fn both_types() -> Vec<RecordType> {
    vec![RecordType::A, RecordType::Aaaa]
}

/// A record type that holds addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// IPv4.
    A,
    /// IPv6.
    Aaaa,
}

impl RecordType {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }
}

/// Whether whoever resolves a name answers it himself, so that the answer says nothing about any name server.
/// Source: RFC 6761, sections 6.3 and 6.4, and RFC 7686, section 2.
fn is_answered_here(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    ["localhost", "invalid", "onion"].iter().any(|here| last.eq_ignore_ascii_case(here))
}

/// Whether a name is a full one that name servers are asked about.
pub(crate) fn is_asked_of_name_servers(name: &str) -> bool {
    name.contains('.') && !is_answered_here(name)
}

/// Whether two names are one: the dot at the end and the case of letters tell nothing apart.
/// Source: RFC 4343, section 3
pub(super) fn is_one_name(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

/// What a name must resolve to; exactly one field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "DnsAnswer")]
pub struct Expect {
    /// The answer must be among these addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The CNAME chain of each record type must reach this name, or the answer must be among its addresses. Where it answers
    /// with a part of them at a time, it is asked up to twelve times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_name: Option<String>,
    /// The load balancer that a Service has right now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
}

/// A Service of type LoadBalancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadBalancer {
    /// Configured cluster.
    pub cluster: String,
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        pace(path, self.interval, self.timeout, problems);
        if self.resolvers.is_empty() && !self.system_resolver {
            problems.push(Problem::bare(format!("{path}.resolvers"), "must name at least one resolver while system_resolver is false"));
        }
        unique(&format!("{path}.resolvers"), self.resolvers.iter().map(|resolver| resolver.name.as_str()), problems);
        for (index, resolver) in self.resolvers.iter().enumerate() {
            name(&format!("{path}.resolvers[{index}].name"), &resolver.name, problems);
            if self.system_resolver && resolver.name == SYSTEM {
                let rule = "must not be system, as this host's own resolvers are called; give it another name, or set system_resolver to false";
                problems.push(Problem::new(format!("{path}.resolvers[{index}].name"), rule, quoted(&resolver.name)));
            }
            socket_address(&format!("{path}.resolvers[{index}].address"), &resolver.address, problems);
        }
        for (index, network) in self.proxied_networks.iter().flatten().enumerate() {
            if network.parse::<IpNet>().is_err() {
                problems.push(Problem::new(format!("{path}.proxied_networks[{index}]"), "must be a network such as 104.16.0.0/13", quoted(network)));
            }
        }
        unique(&format!("{path}.names"), self.names.iter().map(|name| name.name.as_str()), problems);
        for (index, name) in self.names.iter().enumerate() {
            name.validate(&format!("{path}.names[{index}]"), references, problems);
        }
    }
}

/// The host of what was given as a URL or with a port.
fn host_of(name: &str) -> String {
    let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
    let host = rest.split(['/', ':', '?', '#']).next().unwrap_or_default();
    plain_host(host).filter(|host| *host != name).map_or_else(String::new, |host| format!("; write {host}"))
}

impl Name {
    fn validate(&self, base: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        let path = base;
        let concrete = self.name.replacen("*.", "r.", usize::from(self.name.starts_with("*.")));
        if concrete.contains('*') || !concrete.contains('.') || hickory_resolver::proto::rr::Name::from_ascii(&concrete).is_err() {
            let rule = format!("must be a full domain name, with a wildcard only as its first label{}", host_of(&self.name));
            problems.push(Problem::new(format!("{path}.name"), rule, quoted(&self.name)));
        }
        for (path, asked) in
            [("name", Some(self.name.as_str())), ("expect.canonical_name", self.expect.as_ref().and_then(|expect| expect.canonical_name.as_deref()))]
        {
            if let Some(asked) = asked.filter(|asked| is_answered_here(asked)) {
                let wrong = "must not end in localhost, invalid or onion, which no name server is asked about";
                problems.push(Problem::new(format!("{base}.{path}"), wrong, quoted(asked)));
            }
        }
        if self.record_types.is_empty() {
            problems.push(Problem::bare(format!("{path}.record_types"), "must name at least one record type"));
        }
        let Some(expect) = &self.expect else { return };
        let path = format!("{path}.expect");
        let given = [!expect.addresses.is_empty(), expect.canonical_name.is_some(), expect.load_balancer.is_some()];
        if given.iter().filter(|given| **given).count() != 1 {
            problems.push(Problem::bare(&path, "must have exactly one of addresses, canonical_name and load_balancer"));
        }
        if expect.canonical_name.as_deref().is_some_and(|own| is_one_name(own, &self.name)) {
            let rule = "must be another name than the one that is asked, which is always its own";
            problems.push(Problem::new(format!("{path}.canonical_name"), rule, quoted(&self.name)));
        }
        for (index, address) in expect.addresses.iter().enumerate() {
            if address.parse::<IpAddr>().is_err() {
                problems.push(Problem::new(format!("{path}.addresses[{index}]"), "must be an IP address", quoted(address)));
            }
        }
        if let Some(LoadBalancer { cluster, namespace, service }) = &expect.load_balancer {
            references.cluster(&format!("{path}.load_balancer.cluster"), cluster, problems);
            references.service(&format!("{path}.load_balancer.service"), namespace, service, problems);
        }
    }
}
