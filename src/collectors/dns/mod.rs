//! DNS names: what every resolver answers, whether they agree, and whether the answer is the one
//! that the estate expects.
//!
//! Each look asks every resolver afresh, without a cache and without search domains. A wildcard is
//! asked with a label that no cache has seen. What stands behind a proxying CDN is reported as
//! unknown, since its addresses prove nothing about the origin.

mod agreement;
pub(super) mod config;
mod look;
mod metrics;
mod origin;
mod view;

use std::time::Duration;

use ipnet::IpNet;

pub(crate) use config::is_asked_of_name_servers;
use config::is_one_name;
pub use config::{Config, Expect, LoadBalancer, Name, RecordType, Resolver};

use self::agreement::Agreement;
use self::look::DnsCollector;
use self::metrics::{AGREEMENT, FAMILIES, ORIGIN, TARGET};
use self::origin::Origin;
use super::kubernetes::{self, ClusterConfig, Permission};
use super::section::{Estate, Section};
use crate::cause::Cause as _;
use crate::driver::{Form, Task};
use crate::made::Made;
use crate::metric::Family;
use crate::net::Resolver as Asked;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Source;
use crate::value::Problem;
use crate::value::names::Visit;
use crate::value::rules::{References, repeated};

/// The `collector` label.
pub const NAME: &str = "dns";

/// Networks of Cloudflare's proxy, as published at <https://www.cloudflare.com/ips/>.
const CLOUDFLARE: [&str; 22] = [
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, references, problems);
    }

    fn odd(&self, path: &str, _: &[ClusterConfig], found: &mut Vec<Problem>) {
        let names = repeated(&self.names, |one, other| is_one_name(&one.name, &other.name)).into_iter();
        found.extend(names.map(|(index, name, first)| {
            let rule = format!("{} is the same name as {} for every resolver, so it is asked and counted twice", name.name, first.name);
            Problem::bare(format!("{path}.names[{index}]"), rule)
        }));
    }

    fn offers<'a>(&'a self, _: &mut References<'a>) {}

    fn names(&mut self, _: &str, _: &mut Visit<'_>) {}

    fn permissions(&self, _: &ClusterConfig) -> Vec<Permission> {
        Vec::new()
    }

    fn tasks(&self, _: &Estate<'_>) -> Result<Vec<Task>, Message> {
        tasks(self)
    }
}

/// One task per name.
fn tasks(config: &Config) -> Result<Vec<Task>, Message> {
    let broken = |resolver: &str, why: Message| say!("dns resolver {}: {}", named(resolver), why);
    let mut resolvers = Vec::new();
    for resolver in &config.resolvers {
        let address = resolver.address.parse().map_err(|_| broken(&resolver.name, say!("must be an IP address with a port")))?;
        let built = Made::try_of((address, config.timeout.0), |(address, timeout)| Asked::at(*address, *timeout));
        let built = built.map_err(|error| broken(&resolver.name, error.words()))?;
        resolvers.push((resolver.name.clone(), built));
    }
    if config.system_resolver {
        let built = Made::try_of(config.timeout.0, |timeout| Asked::system(*timeout)).map_err(|error| broken(config::SYSTEM, error.words()))?;
        resolvers.push((config::SYSTEM.to_owned(), built));
    }
    let networks: Vec<&str> = config.proxied_networks.as_ref().map_or_else(|| CLOUDFLARE.to_vec(), |own| own.iter().map(String::as_str).collect());
    let proxied: Vec<IpNet> = networks.iter().filter_map(|network| network.parse().ok()).collect();
    Ok(config.names.iter().map(|name| task(config, name, &resolvers, &proxied)).collect())
}

fn task(config: &Config, name: &Name, resolvers: &[(String, Made<Asked>)], proxied: &[IpNet]) -> Task {
    let mut emits: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    if name.expect.is_none() {
        emits.retain(|family| *family != TARGET.0.name);
    }
    if name.name.starts_with("*.") {
        emits.retain(|family| *family != ORIGIN.0.name);
    }
    if resolvers.len() < 2 {
        emits.retain(|family| *family != AGREEMENT.0.name);
    }
    let waits = name.expect.as_ref().is_some_and(|expect| expect.load_balancer.is_some());
    Task {
        source: Source {
            identity: [("target", name.name.as_str())].into(),
            emits,
            reads: if waits { &[kubernetes::NAME] } else { &[] },
            ..Source::new(NAME, &name.name, config.interval.0)
        },
        // Two rounds: the name, and what it is compared with.
        timeout: config.timeout.0 * 2 + Duration::from_secs(1),
        form: Made::of((name.clone(), resolvers.to_vec(), proxied.to_vec(), config.timeout.0), |(name, resolvers, proxied, timeout)| {
            Form::poll(DnsCollector {
                name: name.clone(),
                resolvers: resolvers.iter().map(|(name, asked)| (name.clone(), Asked::clone(asked))).collect(),
                origins: vec![Origin::default(); resolvers.len()],
                proxied: proxied.clone(),
                timeout: *timeout,
                agreement: Agreement::default(),
            })
        }),
    }
}

#[cfg(test)]
mod tests;
