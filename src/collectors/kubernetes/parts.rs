//! The parts of the section, in one table: the key of each, whether the configuration has it, and what only it fills.

use super::capacity;
use super::cluster;
use super::config::{Config, Reach, WorkloadKind};
use super::kinds::{
    backups, certmanager, classes, events, gpu, karpenter, lifetimes, locations, monitoring, nodeclasses, nodes, pods, quotas, volumes, workloads, workspaces,
};
use super::polled::{kubelets, replicas, reviews, usage};
use crate::collectors::section::Part;

/// Every part that may be left out.
pub(super) fn parts(config: &Config) -> [Part<'static>; 25] {
    let with_workloads = config.workloads.iter().any(|selector| selector.kind != WorkloadKind::CronJob);
    let with_role = config.workloads.iter().any(|selector| selector.aws_role);
    let with_bands = config.workloads.iter().any(|selector| !selector.replicas.is_empty());
    let with_uid = config.objects.iter().any(|object| object.uid.is_some());
    let [karpenter, gpu, capacity, prometheus, cert_manager, velero, snapshots] = named(config);
    [
        Part { key: "nodes", on: config.nodes, families: const { &[nodes::NODE_FAMILIES, nodes::IMAGE_FAMILIES, capacity::REQUEST_FAMILIES] } },
        Part { key: "pods", on: config.pods, families: const { &[pods::FAMILIES, capacity::REQUEST_FAMILIES, cluster::EVICTION_FAMILIES] } },
        Part { key: "events", on: config.events, families: const { &[events::FAMILIES] } },
        Part { key: "quotas", on: config.quotas, families: const { &[quotas::FAMILIES] } },
        Part { key: "storage_classes", on: config.storage_classes, families: const { &[classes::STORAGE_FAMILIES] } },
        Part { key: "ingress_classes", on: config.ingress_classes, families: const { &[classes::INGRESS_FAMILIES] } },
        Part { key: "storage", on: config.storage.via != Some(Reach::Off), families: const { &[kubelets::FAMILIES] } },
        Part { key: "usage", on: config.usage.enabled, families: const { &[usage::FAMILIES] } },
        Part { key: "workspaces", on: !config.workspaces.is_empty(), families: const { &[workspaces::FAMILIES, quotas::PRESENT_FAMILIES] } },
        Part { key: "images", on: !config.images.is_empty(), families: const { &[nodes::IMAGE_FAMILIES] } },
        Part { key: "node_groups", on: !config.node_groups.is_empty(), families: const { &[nodes::GROUP_FAMILIES] } },
        Part { key: "workloads", on: with_workloads, families: const { &[workloads::STAGE_FAMILIES] } },
        Part { key: "workloads[].aws_role", on: with_role, families: const { &[replicas::ROLE_FAMILIES] } },
        Part { key: "workloads[].replicas", on: with_bands, families: const { &[workloads::asked::REQUIRED_FAMILIES] } },
        Part { key: "objects[].uid", on: with_uid, families: const { &[reviews::IDENTITY_FAMILIES] } },
        Part { key: "access", on: !config.access.is_empty(), families: const { &[reviews::ACCESS_FAMILIES] } },
        Part { key: "objects", on: !config.objects.is_empty(), families: const { &[reviews::OBJECT_FAMILIES, reviews::ANNOTATION_FAMILIES] } },
        Part { key: "clients", on: !config.clients.is_empty(), families: const { &[cluster::CLIENT_FAMILIES] } },
        karpenter,
        gpu,
        capacity,
        prometheus,
        cert_manager,
        velero,
        snapshots,
    ]
}

/// Those that are one thing in a cluster, so that whoever has them wants them judged.
pub(super) fn named(config: &Config) -> [Part<'static>; 7] {
    let velero = config.backups.as_ref().is_some_and(|part| part.velero.is_some());
    let snapshots = config.backups.as_ref().is_some_and(|part| !part.volume_snapshots.is_empty());
    [
        Part { key: "karpenter", on: config.karpenter.is_some(), families: const { &[karpenter::FAMILIES, lifetimes::FAMILIES, nodeclasses::FAMILIES] } },
        Part { key: "gpu_operator", on: config.gpu_operator.is_some(), families: const { &[gpu::FAMILIES] } },
        Part { key: "capacity", on: config.capacity.is_some(), families: const { &[capacity::ROOM_FAMILIES] } },
        Part { key: "prometheus", on: config.prometheus.is_some(), families: const { &[monitoring::FAMILIES] } },
        Part { key: "cert_manager", on: config.cert_manager.is_some(), families: const { &[certmanager::FAMILIES] } },
        Part { key: "backups.velero", on: velero, families: const { &[backups::BACKUP_FAMILIES, backups::SCHEDULE_FAMILIES, locations::FAMILIES] } },
        Part { key: "backups.volume_snapshots", on: snapshots, families: const { &[volumes::VOLUME_FAMILIES, volumes::SNAPSHOT_FAMILIES] } },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_no_karpenter_is_asked_nothing_about_it() {
        let config = Config::default();
        let left_out: Vec<&str> = parts(&config).iter().filter(|part| !part.on).flat_map(|part| part.families.concat()).map(|family| family.name).collect();
        let of_karpenter = ["readiness_nodepool_", "readiness_nodeclaim", "readiness_nodeclass_"];
        let all = super::super::FAMILIES.concat();
        for family in all.iter().filter(|family| of_karpenter.iter().any(|begin| family.name.starts_with(begin))) {
            assert!(left_out.contains(&family.name), "{}", family.name);
        }
    }
}
