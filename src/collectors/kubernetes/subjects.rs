//! What the configuration names in a cluster, so that whatever no check asks about can be told. What is
//! looked at without having been named, such as nodes and quotas, is no subject.

use crate::collectors::kubernetes::cluster;
use crate::collectors::kubernetes::config::{Config, WorkloadKind};
use crate::collectors::kubernetes::kinds::cronjobs;
use crate::collectors::kubernetes::kinds::nodes;
use crate::collectors::kubernetes::kinds::services;
use crate::collectors::kubernetes::kinds::workloads;
use crate::collectors::kubernetes::kinds::workspaces;
use crate::collectors::kubernetes::parts::named;
use crate::collectors::kubernetes::polled::replicas;
use crate::collectors::kubernetes::polled::reviews;
use crate::collectors::kubernetes::polled::usage;
use crate::collectors::kubernetes::watching::visibility;
use crate::labels::Labels;
use crate::metric::Family;
use crate::snapshot::Subject;

/// The subjects of a cluster, in the order of the file; `config` is what concerns this cluster, and `all` says
/// something about the cluster itself.
pub(super) fn subjects(config: &Config, cluster: &str, all: &[&[&'static Family]]) -> Vec<Subject> {
    let here = |what: String, labels: &[(&'static str, &str)], families: &[&[&'static Family]]| Subject {
        what: format!("{what} of cluster {cluster}"),
        labels: labels.iter().copied().chain([("cluster", cluster)]).collect::<Labels>(),
        // Which permissions are missing says something about the cluster, and nothing about one thing in it.
        families: families.iter().copied().flatten().map(|family| family.name).filter(|name| *name != visibility::MISSING.0.name).collect(),
    };
    let every = all.iter().copied().flatten().map(|family| family.name);
    let mut found = vec![Subject { what: format!("cluster {cluster}"), labels: [("cluster", cluster)].into(), families: every.collect() }];
    let selected: &[&[&Family]] =
        &[visibility::FAMILIES, workloads::FAMILIES, workloads::asked::FAMILIES, workloads::revisions::FAMILIES, replicas::FAMILIES, usage::WORKLOAD_FAMILIES];
    let scheduled: &[&[&Family]] = &[visibility::FAMILIES, cronjobs::FAMILIES];
    found.extend(config.workloads.iter().map(|own| {
        let families = if own.kind == WorkloadKind::CronJob { scheduled } else { selected };
        here(format!("workload {}", own.name), &[("selector", &own.name)], families)
    }));
    found.extend(
        config
            .services
            .iter()
            .map(|own| here(format!("service {}/{}", own.namespace, own.name), &[("namespace", &own.namespace), ("name", &own.name)], &[services::FAMILIES])),
    );
    let inhabited: &[&[&Family]] = &[visibility::FAMILIES, workspaces::FAMILIES];
    found.extend(config.workspaces.iter().map(|own| here(format!("workspaces {}", own.name), &[("selector", &own.name)], inhabited)));
    found.extend(config.node_groups.iter().map(|own| here(format!("node group {}", own.name), &[("group", &own.name)], &[nodes::GROUP_FAMILIES])));
    found.extend(config.images.iter().map(|image| here(format!("cached image {image}"), &[("image", image)], &[nodes::IMAGE_FAMILIES])));
    found.extend(config.access.iter().map(|own| {
        let who = own.subject.as_deref().unwrap_or(reviews::SELF);
        let labels = [("subject", who), ("verb", &own.verb), ("group", &own.group), ("resource", &own.resource), ("namespace", &own.namespace)];
        here(format!("access of {who} to {} {}", own.verb, own.resource), &labels, &[reviews::ACCESS_FAMILIES])
    }));
    let read: &[&[&Family]] = &[reviews::OBJECT_FAMILIES, reviews::ANNOTATION_FAMILIES, reviews::IDENTITY_FAMILIES];
    found.extend(config.objects.iter().map(|own| {
        let labels = [("resource", own.resource.as_str()), ("namespace", &own.namespace), ("name", &own.name)];
        here(format!("object {} {}", own.resource, own.name), &labels, read)
    }));
    found.extend(config.clients.iter().map(|own| here(format!("client {}", own.name), &[("client", &own.name)], &[cluster::CLIENT_FAMILIES])));
    found.extend(named(config).into_iter().filter(|part| part.on).map(|part| here(part.key.to_owned(), &[], part.families)));
    found
}
