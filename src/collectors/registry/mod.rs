//! Images: what registries hold, what clusters run, and whether all of them agree.
//!
//! A tag is a word that can mean another image tomorrow, so everything here is about digests.
//! Nothing is pulled: tags are asked for with HEAD, manifests are read once per digest, and layers
//! are only asked whether they are there. What was there is asked for again, since it can be deleted.

mod about;
mod answers;
mod auth;
mod client;
pub(super) mod config;
mod content;
pub(super) mod digest;
mod docker_config;
mod ecr;
mod groups;
mod hosts;
mod keyring;
mod manifest;
mod platforms;
mod presence;
mod pull_secrets;
pub(super) mod reference;
mod registries;
mod renewed;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(in crate::collectors) use auth::{Ending, Identity, Life};
pub use config::{Bound, Config, EcrConfig, Group, Mirror, Prefix, PullSecret, RegistryConfig, SecretName};

use super::kubernetes::{self, ClusterConfig, Link, Permission};
use super::section::{Estate, Part, Section, left_out};
use crate::driver::{Form, Task};
use crate::event::Schedule;
use crate::labels::Labels;
use crate::made::{Made, Shared};
use crate::metric::Family;
use crate::net::Trust;
use crate::say::Message;
use crate::snapshot::{Source, Subjects};
use crate::value::Problem;
use crate::value::names::{self, Visit};
use crate::value::rules::References;
use pull_secrets::Needs;
use reference::Reference;
use registries::Registries;

/// The `collector` label.
pub const NAME: &str = "registry";

/// Families of this collector, by subject.
pub static FAMILIES: &[&[&Family]] = &[hosts::FAMILIES, groups::FAMILIES, platforms::FAMILIES, pull_secrets::FAMILIES, renewed::EVENT_FAMILIES];

/// Images that are looked for at once. Many wait for what another asks for; what a registry has to bear is
/// bounded by the slots of its client.
const AT_ONCE: usize = 64;

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = FAMILIES;

    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, references, problems);
    }

    fn odd(&self, _: &str, _: &[ClusterConfig], _: &mut Vec<Problem>) {}

    fn offers<'a>(&'a self, _: &mut References<'a>) {}

    fn names(&mut self, path: &str, visit: &mut Visit<'_>) {
        for (index, registry) in self.registries.iter_mut().enumerate() {
            let path = format!("{path}.registries[{index}]");
            names::file(&format!("{path}.ca_file"), &mut registry.ca_file, visit);
            names::file(&format!("{path}.docker_config"), &mut registry.docker_config, visit);
            names::secret(&format!("{path}.password"), &mut registry.password, visit);
            names::secret(&format!("{path}.token"), &mut registry.token, visit);
        }
    }

    fn permissions(&self, cluster: &ClusterConfig) -> Vec<Permission> {
        permissions(self, &cluster.name)
    }

    fn tasks(&self, estate: &Estate<'_>) -> Result<Vec<Task>, Message> {
        tasks(self, estate.collectors.kubernetes.as_ref(), estate.clusters, &Needs { schedules: estate.schedules.to_vec(), state: Arc::clone(estate.state) })
    }
}

/// One task for each registry, image group and pull secret. Fails when a file that the configuration
/// names cannot be used.
fn tasks(config: &Config, kubernetes: Option<&kubernetes::Config>, clusters: &[ClusterConfig], needs: &Needs) -> Result<Vec<Task>, Message> {
    // What a file holds is a part as its name is: another root under the same name is another registry.
    let roots = config.registries.iter().map(|own| Trust::of_files(own.ca_file.as_deref())).collect::<Result<Vec<_>, _>>()?;
    let registries =
        Made::try_of((config.clone(), clusters.to_vec(), roots), |(config, clusters, roots)| Registries::new(config, clusters, roots).map(Arc::new))?;
    let maker = Maker { config, off: off(config, &needs.schedules).into() };
    let mut tasks = Vec::new();
    // The places of a group are judged with the group.
    let named = config.images.iter().map(|text| Reference::parse(text)).collect::<Result<Vec<_>, _>>()?;
    for (host, images) in images_by_host(config)? {
        let mut emits = names(&[hosts::STATE_FAMILIES, hosts::REMAINING_FAMILIES].concat());
        if !images.is_empty() {
            emits.extend(names(hosts::IMAGE_FAMILIES));
            if config.registries.iter().any(|registry| registry.host == host && registry.ecr.is_some()) {
                emits.extend(names(hosts::ECR_FAMILIES));
            }
        }
        let asked = Made::try_of((registries.clone(), host.clone(), images), |(registries, host, images)| {
            registries.at(host).map(|registry| Form::poll(hosts::Host::new(registry, images.clone())))
        })?;
        let subjects = hosts::subjects(&host, &emits, &named);
        let mut task = maker.task(host.clone(), [("registry", host.as_str())].into(), emits, &[], asked);
        task.source.subjects = Subjects::Each(subjects);
        tasks.push(task);
    }
    for group in &config.groups {
        let running = clusters_of(group, kubernetes, clusters);
        let optional: Vec<_> =
            if running.is_empty() { [groups::OPTIONAL_FAMILIES, groups::CLUSTER_FAMILIES].concat() } else { groups::OPTIONAL_FAMILIES.to_vec() };
        let emits = groups::FAMILIES.iter().filter(|family| !optional.iter().any(|other| other.name == family.name)).map(|family| family.name).collect();
        let has_clusters = !running.is_empty();
        let looked = Made::try_of((registries.clone(), group.clone(), running), |(registries, group, running)| {
            groups::ImageGroup::new(group, registries, running.clone()).map(Form::poll)
        })?;
        let hops = [("upstream", group.pin.is_some()), ("mirror", !group.mirrors.is_empty()), ("cluster", has_clusters)];
        let hops = hops.iter().filter(|(_, has)| *has).map(|(hop, _)| (*hop).to_owned()).collect();
        let mut task = maker.task(format!("images {}", group.name), [("group", group.name.as_str())].into(), emits, &[kubernetes::NAME], looked);
        task.source.covers.push(("hop", hops));
        tasks.push(task);
    }
    let watched: BTreeSet<String> = kubernetes.iter().flat_map(|_| clusters).map(|cluster| cluster.name.clone()).collect();
    if has_wanted(config) {
        let platforms = Made::of((config.clone(), registries.clone(), watched), |(config, registries, watched)| {
            Form::poll(platforms::Platforms::new(config, registries, watched))
        });
        let mut task = maker.task("image platforms".to_owned(), Labels::default(), names(platforms::FAMILIES), &[kubernetes::NAME], platforms);
        task.source.subjects = Subjects::Nothing;
        tasks.push(task);
    }
    if config.workspace_images {
        let images = Made::of(registries.clone(), |registries| Form::poll(hosts::WorkspaceImages::new(Arc::clone(registries))));
        tasks.push(maker.task("workspace images".to_owned(), Labels::default(), names(hosts::WORKSPACE_FAMILIES), &[kubernetes::NAME], images));
    }
    for secret in &config.pull_secrets {
        let PullSecret { cluster, namespace, name, images } = secret;
        let Some(settings) = clusters.iter().find(|settings| settings.name == *cluster) else { continue };
        let mut emits = names(pull_secrets::SECRET_FAMILIES);
        if !needs.schedules.is_empty() {
            emits.extend(names(renewed::EVENT_FAMILIES));
        }
        if !images.is_empty() {
            emits.extend(names(pull_secrets::IMAGE_FAMILIES));
        }
        let identity = [("cluster", cluster.as_str()), ("namespace", namespace), ("name", name)].into();
        let needed = (needs.schedules.clone(), Shared(Arc::clone(&needs.state)));
        let parts = (secret.clone(), settings.clone(), registries.clone(), config.platforms.clone(), config.timeout.0, needed);
        let puller = Made::of(parts, |(secret, settings, registries, platforms, timeout, (schedules, Shared(state)))| {
            let link = Link::new(settings.clone(), *timeout);
            let needs = Needs { schedules: schedules.clone(), state: Arc::clone(state) };
            Form::poll(pull_secrets::Puller::new(secret.clone(), link, Arc::clone(registries), platforms.clone(), *timeout, needs))
        });
        tasks.push(maker.task(format!("pull secret {cluster}/{namespace}/{name}"), identity, emits, &[], puller));
    }
    Ok(tasks)
}

/// What pull secrets make this program ask of a cluster: each by its name.
fn permissions(config: &Config, cluster: &str) -> Vec<Permission> {
    let tried = config.pull_secrets.iter().map(|secret| (&secret.cluster, &secret.namespace, &secret.name));
    let used = config.registries.iter().filter_map(|registry| registry.pull_secret.as_ref()).map(|secret| (&secret.cluster, &secret.namespace, &secret.name));
    let secrets: BTreeSet<_> = tried.chain(used).filter(|(own, ..)| *own == cluster).collect();
    secrets.into_iter().map(|(_, namespace, name)| Permission::to_get_secret(namespace, name)).collect()
}

fn names(families: &[&'static Family]) -> Vec<&'static str> {
    families.iter().map(|family| family.name).collect()
}

/// Makes tasks that differ only in who is asked.
struct Maker<'a> {
    config: &'a Config,
    off: Arc<[(&'static str, &'static str)]>,
}

impl Maker<'_> {
    fn task(&self, name: String, identity: Labels, emits: Vec<&'static str>, reads: &'static [&'static str], form: Made<Form>) -> Task {
        let interval = self.config.interval.0;
        let source = Source { identity, emits, off: Arc::clone(&self.off), reads, ..Source::new(NAME, name, interval) };
        // Each request has a deadline of its own; a round of a thousand tags has as many.
        let timeout = (interval * 2).max(Duration::from_secs(5));
        Task { source, timeout, form }
    }
}

/// Every registry that is configured or named, with the tags that it is asked for.
fn images_by_host(config: &Config) -> Result<BTreeMap<String, BTreeSet<Reference>>, Message> {
    let mut hosts: BTreeMap<String, BTreeSet<Reference>> = config.registries.iter().map(|registry| (registry.host.clone(), BTreeSet::new())).collect();
    let places = config.groups.iter().flat_map(|group| [&group.upstream].into_iter().chain(group.mirrors.iter().map(|mirror| &mirror.image)));
    for text in config.images.iter().chain(places) {
        let reference = Reference::parse(text)?;
        hosts.entry(reference.host.clone()).or_default().insert(reference);
    }
    Ok(hosts)
}

/// The clusters that should run a group's image, with the selectors that say so.
fn clusters_of(group: &Group, kubernetes: Option<&kubernetes::Config>, clusters: &[ClusterConfig]) -> Vec<(String, Vec<String>)> {
    let selectors = || kubernetes.iter().flat_map(|config| &config.workloads).filter(|selector| group.workloads.contains(&selector.name));
    let own = |cluster: &ClusterConfig| {
        let here = selectors().filter(|selector| selector.clusters.is_empty() || selector.clusters.contains(&cluster.name));
        let names: Vec<_> = here.map(|selector| selector.name.clone()).collect();
        (!names.is_empty()).then(|| (cluster.name.clone(), names))
    };
    clusters.iter().filter_map(own).collect()
}

/// Whether an image is named that nodes must be able to run.
fn has_wanted(config: &Config) -> bool {
    let tried = config.pull_secrets.iter().any(|secret| !secret.images.is_empty());
    tried || !config.images.is_empty() || config.groups.iter().any(|group| !group.mirrors.is_empty())
}

/// What is switched off, by the key that would switch it on.
fn off(config: &Config, schedules: &[Schedule]) -> Vec<(&'static str, &'static str)> {
    let has_images = !(config.images.is_empty() && config.groups.is_empty());
    let tried = config.pull_secrets.iter().any(|secret| !secret.images.is_empty());
    let (in_ecr, compared) = (config.registries.iter().any(|registry| registry.ecr.is_some()), config.groups.iter().any(|group| !group.workloads.is_empty()));
    left_out(&[
        Part { key: "images", on: has_images, families: &[hosts::IMAGE_FAMILIES] },
        Part { key: "images", on: has_wanted(config), families: &[platforms::FAMILIES] },
        Part { key: "registries[].ecr", on: in_ecr, families: &[hosts::ECR_FAMILIES] },
        Part { key: "groups", on: !config.groups.is_empty(), families: &[groups::FAMILIES] },
        Part { key: "groups[].workloads", on: compared, families: &[groups::CLUSTER_FAMILIES] },
        Part { key: "workspace_images", on: config.workspace_images, families: &[hosts::WORKSPACE_FAMILIES] },
        Part { key: "pull_secrets", on: !config.pull_secrets.is_empty(), families: &[pull_secrets::SECRET_FAMILIES] },
        Part { key: "pull_secrets", on: !config.pull_secrets.is_empty(), families: &[renewed::EVENT_FAMILIES] },
        Part { key: "events", on: config.pull_secrets.is_empty() || !schedules.is_empty(), families: &[renewed::EVENT_FAMILIES] },
        Part { key: "pull_secrets[].images", on: tried, families: &[pull_secrets::IMAGE_FAMILIES] },
    ])
}

#[cfg(test)]
mod tests;
