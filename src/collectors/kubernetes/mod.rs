//! Kubernetes clusters, watched live: nodes, pods, events, workloads, capacity, Karpenter and more.
//!
//! One watching source per cluster, so that a cluster that hangs delays no other, and beside it
//! sources with clocks of their own for what has no watch: kubelets, the metrics API, reviews of
//! access. Everything only reads. Keeps a few numbers per object and never a whole object.

mod capacity;
mod client;
mod cluster;
pub(super) mod config;
pub mod init;
mod kinds;
mod moments;
mod parts;
mod platforms;
mod polled;
pub(super) mod reading;
mod subjects;
mod watch;
mod watching;

use std::sync::Arc;

pub(in crate::collectors) use client::api::secret;
pub(in crate::collectors) use client::connect::Link;
pub use config::{
    Access, Backups, Capacity, CertManager, ClientVersion, ClusterConfig, Config, Eks, GpuOperator, Karpenter, NodeClasses, NodeGroup, ObjectRef, Operator,
    PoolTemplate, Prometheus, Range, Reach, ReplicaBand, Selector, ServiceRef, Storage, Toleration, Usage, WorkloadKind, WorkspaceSelector,
};
#[cfg(test)]
pub(in crate::collectors) use kinds::cronjobs::cron_job_facts;
pub(in crate::collectors) use kinds::cronjobs::{CronJobFacts, cron_jobs};
pub use kinds::services::load_balancers;
pub(in crate::collectors) use kinds::workloads::{is_scaled_to_zero, rolls_out};
pub(in crate::collectors) use kinds::workspaces::images as workspace_images;
pub(in crate::collectors) use moments::{Moments, certificate_renewals, expiry_near_event, node_expiries, renewed_certificate};
#[cfg(test)]
pub(in crate::collectors) use platforms::nodes_of_platforms;
pub(in crate::collectors) use platforms::{new_platforms, node_platforms};
pub(in crate::collectors) use polled::replicas::{oldest_start, running_containers};
pub use reading::permission::Permission;

use kinds::{
    backups, certmanager, classes, cronjobs, events, gpu, karpenter, lifetimes, locations, monitoring, nodeclasses, nodes, pods, quotas, services, volumes,
    workloads, workspaces,
};
use polled::{kubelets, replicas, reviews, usage};
use watching::visibility;

use super::section::{Estate, Section, left_out};
use crate::driver::{Form, Task};
use crate::event::Schedule;
use crate::made::Made;
use crate::metric::Family;
use crate::say::Message;
use crate::snapshot::{Source, Subjects};
use crate::value::names::{self, Visit};
use crate::value::rules::References;
use crate::value::{Problem, Span};

/// The `collector` label.
pub const NAME: &str = "kubernetes";

/// Families of this collector, by subject.
pub static FAMILIES: &[&[&Family]] = &[
    cluster::FAMILIES,
    visibility::FAMILIES,
    nodes::FAMILIES,
    kubelets::FAMILIES,
    usage::FAMILIES,
    pods::FAMILIES,
    workspaces::FAMILIES,
    capacity::FAMILIES,
    events::FAMILIES,
    karpenter::FAMILIES,
    lifetimes::FAMILIES,
    nodeclasses::FAMILIES,
    gpu::FAMILIES,
    workloads::FAMILIES,
    workloads::asked::FAMILIES,
    workloads::revisions::FAMILIES,
    cronjobs::FAMILIES,
    replicas::FAMILIES,
    services::FAMILIES,
    quotas::FAMILIES,
    classes::FAMILIES,
    monitoring::FAMILIES,
    certmanager::FAMILIES,
    backups::FAMILIES,
    volumes::FAMILIES,
    locations::FAMILIES,
    reviews::FAMILIES,
];

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = FAMILIES;

    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, references, problems);
    }

    /// Room for fewer people than come, in all clusters together.
    fn odd(&self, path: &str, clusters: &[ClusterConfig], found: &mut Vec<Problem>) {
        let Some(capacity) = &self.capacity else { return };
        let clusters = if capacity.clusters.is_empty() { clusters.len() } else { capacity.clusters.len() };
        #[expect(clippy::cast_precision_loss, reason = "there are few clusters")]
        let all = capacity.share * clusters as f64;
        // Thirds are written as 0.33.
        if clusters > 0 && all < 0.99 {
            let rule = format!("is {} in {clusters} of the clusters, so room is asked for {:.0} % of the participants in all", capacity.share, all * 100.0);
            found.push(Problem::bare(format!("{path}.capacity.share"), rule));
        }
    }

    fn offers<'a>(&'a self, references: &mut References<'a>) {
        references.workloads.extend(self.workloads.iter().map(|selector| selector.name.as_str()));
        references.services.extend(self.services.iter().map(|service| (service.namespace.as_str(), service.name.as_str())));
    }

    fn names(&mut self, path: &str, visit: &mut Visit<'_>) {
        names::file(&format!("{path}.storage.ca_file"), &mut self.storage.ca_file, visit);
    }

    fn permissions(&self, cluster: &ClusterConfig) -> Vec<Permission> {
        permissions(self, cluster)
    }

    fn tasks(&self, estate: &Estate<'_>) -> Result<Vec<Task>, Message> {
        Ok(estate.clusters.iter().flat_map(|cluster| cluster_tasks(self, cluster, estate.schedules)).collect())
    }
}

fn cluster_tasks(whole: &Config, settings: &ClusterConfig, schedules: &[Schedule]) -> Vec<Task> {
    let name = &settings.name;
    let config = &whole.of(name);
    let link = Made::of((settings.clone(), config.timeout.0), |(settings, timeout)| Link::new(settings.clone(), *timeout));
    let cluster = Made::of((settings.clone(), config.clone(), schedules.to_vec()), |(settings, config, schedules)| {
        Arc::new(cluster::Cluster::new(settings, config, schedules))
    });
    let task = |suffix: &str, emits: Vec<&'static str>, interval: Span, timeout: Span, form: Made<Form>| Task {
        source: Source {
            identity: [("cluster", name.as_str())].into(),
            covers: vec![("selector", cluster.selectors())],
            subjects: Subjects::Nothing,
            emits,
            off: left_out(&parts::parts(whole)).into(),
            ..Source::new(NAME, format!("{name}{suffix}"), interval.0)
        },
        timeout: timeout.0,
        form,
    };
    let names = |families: &[&'static Family]| families.iter().map(|family| family.name).collect::<Vec<_>>();
    let both = || (cluster.clone(), link.clone());
    let watch = Made::of((both(), config.timeout.0), |((cluster, link), timeout)| {
        Form::Watch(Box::new(watch::ClusterWatch::new(Arc::clone(cluster), Link::clone(link), *timeout)))
    });
    let mut watched = task("", cluster.emitted(), config.interval, config.timeout, watch);
    watched.source.subjects = Subjects::Each(subjects::subjects(config, name, FAMILIES));
    let mut tasks = vec![watched];
    let storage = &config.storage;
    let reach = storage.via.unwrap_or_else(|| link.default_reach());
    if config.nodes && reach != Reach::Off {
        let round = Made::of((both(), storage.clone(), reach), |((cluster, link), storage, reach)| {
            Form::poll(kubelets::Kubelets::new(Arc::clone(cluster), Link::clone(link), storage.clone(), *reach))
        });
        // It may wait an interval for the nodes and take another; each kubelet has a deadline of its own.
        tasks.push(task(" kubelets", names(kubelets::FAMILIES), storage.interval, Span(storage.interval.0 * 2), round));
    }
    if config.nodes && config.usage.enabled {
        let metrics = Made::of((both(), config.usage.interval.0, config.usage.timeout.0), |((cluster, link), interval, timeout)| {
            Form::poll(usage::Metrics::new(Arc::clone(cluster), Link::clone(link), *interval, *timeout))
        });
        let mut emits = names(usage::NODE_FAMILIES);
        if !cluster.watches_no_workload() {
            emits.extend(names(usage::WORKLOAD_FAMILIES));
        }
        tasks.push(task(" metrics", emits, config.usage.interval, Span(config.usage.interval.0 * 2), metrics));
    }
    if !cluster.watches_no_workload() {
        let replicas = Made::of((both(), config.timeout.0), |((cluster, link), timeout)| {
            Form::poll(replicas::Replicas::new(Arc::clone(cluster), Link::clone(link), *timeout))
        });
        let mut emits = names(replicas::RESTART_FAMILIES);
        if config.workloads.iter().any(|selector| selector.aws_role) {
            emits.extend(names(replicas::ROLE_FAMILIES));
        }
        tasks.push(task(" replicas", emits, Span(config.interval.0 * 4), Span(config.interval.0 * 4), replicas));
    }
    let (access, objects) = (config.access.clone(), config.objects.clone());
    if !(access.is_empty() && objects.is_empty()) {
        let mut emits = Vec::new();
        let parts = [
            (!access.is_empty(), reviews::ACCESS_FAMILIES),
            (!objects.is_empty(), reviews::OBJECT_FAMILIES),
            (objects.iter().any(|object| object.annotation.is_some()), reviews::ANNOTATION_FAMILIES),
            (objects.iter().any(|object| object.uid.is_some()), reviews::IDENTITY_FAMILIES),
        ];
        emits.extend(parts.into_iter().filter(|(on, _)| *on).flat_map(|(_, families)| names(families)));
        let reviews = Made::of((name.clone(), link.clone(), access, objects, config.timeout.0), |(name, link, access, objects, timeout)| {
            Form::poll(reviews::Reviews::new(name, Link::clone(link), access.clone(), objects.clone(), *timeout))
        });
        tasks.push(task(" reviews", emits, Span(config.interval.0 * 4), Span(config.interval.0 * 4), reviews));
    }
    tasks
}

/// All that the configuration makes this program ask of a cluster. `/version` needs no permission.
fn permissions(config: &Config, settings: &ClusterConfig) -> Vec<Permission> {
    let config = &config.of(&settings.name);
    let all = |group: &str, resource: &str, verbs: &'static [&'static str]| Permission {
        group: group.to_owned(),
        resource: resource.to_owned(),
        verbs,
        names: Vec::new(),
        namespace: None,
    };
    let watched = cluster::Cluster::new(settings, config, &[]);
    let mut permissions = watched.permissions();
    let reach = config.storage.via.unwrap_or_else(|| Link::new(settings.clone(), config.timeout.0).default_reach());
    match reach {
        Reach::NodeProxy if config.nodes => permissions.push(all("", "nodes/proxy", &["get"])),
        Reach::Kubelet if config.nodes => permissions.push(all("", "nodes/stats", &["get"])),
        Reach::NodeProxy | Reach::Kubelet | Reach::Off => {}
    }
    let usage = config.nodes && config.usage.enabled;
    if usage {
        permissions.push(all("metrics.k8s.io", "nodes", &["get", "list"]));
    }
    for query in config.workloads.iter().filter(|query| query.kind != WorkloadKind::CronJob) {
        let within = |group: &str| Permission { namespace: Some(query.namespace.clone()), ..all(group, "pods", &["get", "list"]) };
        permissions.push(within(""));
        if usage {
            permissions.push(within("metrics.k8s.io"));
        }
    }
    if config.access.iter().any(|access| access.subject.is_none()) {
        permissions.push(all("authorization.k8s.io", "selfsubjectaccessreviews", &["create"]));
    }
    if config.access.iter().any(|access| access.subject.is_some()) {
        permissions.push(all("authorization.k8s.io", "subjectaccessreviews", &["create"]));
    }
    for object in &config.objects {
        let group = object.api_version.split_once('/').map_or("", |(group, _)| group);
        let namespace = (!object.namespace.is_empty()).then(|| object.namespace.clone());
        permissions.push(Permission { names: vec![object.name.clone()], namespace, ..all(group, &object.resource, &["get"]) });
    }
    permissions
}

#[cfg(test)]
mod tests;
