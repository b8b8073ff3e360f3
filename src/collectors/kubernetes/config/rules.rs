//! Rules that the parts of a cluster's configuration keep, and what of them concerns one cluster.

use super::{Config, Karpenter, NodeClasses};
use crate::collectors::kubernetes::reading::quantity;
use crate::collectors::kubernetes::reading::version;
use crate::value::rules::{References, name, pace, quoted, unique};
use crate::value::{Problem, Span};

impl Config {
    /// What of it concerns a cluster.
    pub(in crate::collectors::kubernetes) fn of(&self, cluster: &str) -> Self {
        let here = |clusters: &[String]| clusters.is_empty() || clusters.iter().any(|name| name == cluster);
        let mut own = self.clone();
        own.workloads.retain(|part| here(&part.clusters));
        own.services.retain(|part| here(&part.clusters));
        own.workspaces.retain(|part| here(&part.clusters));
        own.node_groups.retain(|part| here(&part.clusters));
        own.access.retain(|part| here(&part.clusters));
        own.objects.retain(|part| here(&part.clusters));
        own.karpenter = own.karpenter.filter(|part| here(&part.clusters)).map(|part| {
            let auto = part.auto_mode.iter().any(|name| name == cluster);
            Karpenter { node_classes: if auto { NodeClasses::Eks } else { part.node_classes }, ..part }
        });
        own.gpu_operator = own.gpu_operator.filter(|part| here(&part.clusters));
        own.capacity = own.capacity.filter(|part| here(&part.clusters));
        own.prometheus = own.prometheus.filter(|part| here(&part.clusters));
        own.cert_manager = own.cert_manager.filter(|part| here(&part.clusters));
        own.backups = own.backups.filter(|part| here(&part.clusters));
        own
    }

    /// Reports every rule that the parts break.
    pub(super) fn validate_parts(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        if self.window.0 < Span::secs(10).0 || self.window.0 > Span::days(7).0 {
            problems.push(Problem::new(format!("{path}.window"), "must be between 10s and 7d", self.window));
        }
        pace(&format!("{path}.storage"), self.storage.interval, self.storage.timeout, problems);
        pace(&format!("{path}.usage"), self.usage.interval, self.usage.timeout, problems);
        if !(1..=200).contains(&self.storage.concurrency) {
            problems.push(Problem::new(format!("{path}.storage.concurrency"), "must be between 1 and 200", self.storage.concurrency));
        }
        if self.storage.top_pods > 200 {
            problems.push(Problem::new(format!("{path}.storage.top_pods"), "must be at most 200", self.storage.top_pods));
        }
        let unmeasured = &self.storage.without_statistics;
        unique(&format!("{path}.storage.without_statistics"), unmeasured.iter().map(String::as_str), problems);
        for (at, entry) in unmeasured.iter().enumerate().filter(|(_, entry)| !is_claim(entry)) {
            problems.push(Problem::new(format!("{path}.storage.without_statistics[{at}]"), "must be NAMESPACE or NAMESPACE/CLAIM", quoted(entry)));
        }
        self.validate_workspaces(path, references, problems);
        self.validate_clusters(path, references, problems);
        unique(&format!("{path}.node_groups"), self.node_groups.iter().map(|group| group.name.as_str()), problems);
        unique(&format!("{path}.clients"), self.clients.iter().map(|client| client.name.as_str()), problems);
        for (index, client) in self.clients.iter().enumerate() {
            if version::minor(&client.version).is_none() {
                problems.push(Problem::new(format!("{path}.clients[{index}].version"), "must be a version such as v1.33.1", quoted(&client.version)));
            }
        }
        let groups = self.node_groups.iter().enumerate().map(|(at, group)| (format!("{path}.node_groups[{at}]"), &group.tolerations));
        for (path, tolerations) in groups.chain(self.capacity.iter().map(|part| (format!("{path}.capacity"), &part.tolerations))) {
            for (at, toleration) in tolerations.iter().flatten().enumerate() {
                toleration.validate(&format!("{path}.tolerations[{at}]"), problems);
            }
        }
        for (index, object) in self.objects.iter().enumerate() {
            let path = format!("{path}.objects[{index}]");
            name(&format!("{path}.resource"), &object.resource, problems);
            name(&format!("{path}.name"), &object.name, problems);
            for (field, text) in [("annotation", &object.annotation), ("uid", &object.uid)] {
                if let Some(text) = text {
                    name(&format!("{path}.{field}"), text, problems);
                }
            }
        }
        for (at, _) in self.node_groups.iter().enumerate().filter(|(_, group)| group.at_least == 0) {
            problems.push(Problem::new(format!("{path}.node_groups[{at}].at_least"), "must be above 0, because no group has fewer nodes", 0));
        }
        if self.backups.as_ref().is_some_and(|part| part.velero.is_none() && part.volume_snapshots.is_empty()) {
            problems.push(Problem::bare(format!("{path}.backups"), "must name velero or volume_snapshots, because nothing is looked at without"));
        }
    }

    fn validate_workspaces(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        unique(&format!("{path}.workspaces"), self.workspaces.iter().map(|selector| selector.name.as_str()), problems);
        let amount = |path: String, text: &str, problems: &mut Vec<Problem>| {
            if quantity::parse(text).is_none_or(|amount| amount <= 0.0) {
                problems.push(Problem::new(path, "must be a quantity above 0 such as 500m or 4Gi", quoted(text)));
            }
        };
        for (index, selector) in self.workspaces.iter().enumerate() {
            let path = format!("{path}.workspaces[{index}]");
            name(&format!("{path}.name"), &selector.name, problems);
            if selector.namespaces.is_empty() {
                problems.push(Problem::bare(format!("{path}.namespaces"), "must name at least one namespace"));
            }
            for (field, range) in [("cpu", &selector.cpu), ("memory", &selector.memory)] {
                if range.as_ref().is_some_and(|range| range.bounds().is_none()) {
                    problems.push(Problem::bare(format!("{path}.{field}"), "must have min and max that are quantities, min first"));
                }
            }
        }
        let Some(capacity) = &self.capacity else { return };
        let path = format!("{path}.capacity");
        let own =
            [Some(("cpu", &capacity.cpu)), Some(("memory", &capacity.memory)), capacity.ephemeral_storage.as_ref().map(|text| ("ephemeral_storage", text))];
        for (field, text) in own.into_iter().flatten() {
            amount(format!("{path}.{field}"), text, problems);
        }
        if quantity::parse(&capacity.memory).is_some_and(|bytes| bytes > 0.0 && bytes < SMALLEST) {
            problems.push(Problem::new(format!("{path}.memory"), "must be at least 1Mi, because it counts bytes", quoted(&capacity.memory)));
        }
        for (index, pool) in capacity.nodepools.iter().enumerate() {
            let sizes = [("cpu", &pool.cpu), ("memory", &pool.memory), ("ephemeral_storage", &pool.ephemeral_storage)];
            for (field, text) in sizes {
                if let Some(text) = text {
                    amount(format!("{path}.nodepools[{index}].{field}"), text, problems);
                }
            }
        }
        if references.complete() && !self.workspaces.iter().any(|selector| selector.name == capacity.workspaces) {
            let known = self.workspaces.iter().map(|selector| selector.name.as_str());
            let hint = crate::word::did_you_mean(&capacity.workspaces, known);
            problems.push(Problem::new(format!("{path}.workspaces"), format!("must name a selector of workspaces{hint}"), quoted(&capacity.workspaces)));
        }
        for (field, value) in [("per_participant", capacity.per_participant), ("share", capacity.share)] {
            if !(value > 0.0 && value <= 100.0) {
                problems.push(Problem::new(format!("{path}.{field}"), "must be above 0 and at most 100", value));
            }
        }
        if !(self.nodes && self.pods) {
            problems.push(Problem::bare(path, "needs nodes and pods"));
        }
    }

    fn validate_clusters(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        let mut named: Vec<(String, &[String])> = Vec::new();
        let parts = [
            ("karpenter", self.karpenter.as_ref().map(|part| &part.clusters)),
            ("capacity", self.capacity.as_ref().map(|part| &part.clusters)),
            ("gpu_operator", self.gpu_operator.as_ref().map(|part| &part.clusters)),
            ("prometheus", self.prometheus.as_ref().map(|part| &part.clusters)),
            ("cert_manager", self.cert_manager.as_ref().map(|part| &part.clusters)),
            ("backups", self.backups.as_ref().map(|part| &part.clusters)),
        ];
        named.extend(parts.into_iter().filter_map(|(part, clusters)| Some((format!("{path}.{part}"), clusters?.as_slice()))));
        named.extend(self.workspaces.iter().enumerate().map(|(at, part)| (format!("{path}.workspaces[{at}]"), part.clusters.as_slice())));
        named.extend(self.node_groups.iter().enumerate().map(|(at, part)| (format!("{path}.node_groups[{at}]"), part.clusters.as_slice())));
        named.extend(self.access.iter().enumerate().map(|(at, part)| (format!("{path}.access[{at}]"), part.clusters.as_slice())));
        named.extend(self.objects.iter().enumerate().map(|(at, part)| (format!("{path}.objects[{at}]"), part.clusters.as_slice())));
        if let Some(part) = &self.karpenter {
            for (position, cluster) in part.auto_mode.iter().enumerate() {
                let path = format!("{path}.karpenter.auto_mode[{position}]");
                references.cluster(&path, cluster, problems);
                if !part.clusters.is_empty() && !part.clusters.contains(cluster) {
                    problems.push(Problem::new(path, "must be one of karpenter.clusters", quoted(cluster)));
                }
            }
        }
        for (path, clusters) in named {
            for (position, cluster) in clusters.iter().enumerate() {
                references.cluster(&format!("{path}.clusters[{position}]"), cluster, problems);
            }
        }
    }
}

/// Bytes below which somebody left out the unit of memory: no workspace starts with as little.
const SMALLEST: f64 = 1024.0 * 1024.0;

/// Whether this names a namespace, or a claim in one.
fn is_claim(entry: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    entry.splitn(2, '/').all(is_name)
}
