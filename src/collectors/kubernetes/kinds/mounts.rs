//! What pods write to that has an end of its own: claims that they mount, and emptyDirs with a size limit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::collectors::kubernetes::kinds::pod::{Pod, Volume};
use crate::collectors::kubernetes::reading::clock::Clock;

/// What one pod that runs mounts.
#[derive(Debug, PartialEq)]
pub(in crate::collectors::kubernetes) struct Mounts {
    pub(in crate::collectors::kubernetes) namespace: Box<str>,
    /// Claims with a file system.
    pub(in crate::collectors::kubernetes) claims: Box<[Box<str>]>,
    /// Size limits of its emptyDirs in bytes, by volume.
    pub(in crate::collectors::kubernetes) dirs: BTreeMap<Box<str>, f64>,
    /// When its kubelet took it on, on the exporter's clock.
    pub(in crate::collectors::kubernetes) since: i64,
}

impl Mounts {
    /// `None` for a pod that mounts none of these, or is not there to write to them. A kubelet mounts only what a
    /// container mounts, and a device without a file system is never full.
    /// Source: `GetPodVolumeNames` in `pkg/volume/util/util.go` of Kubernetes.
    pub(in crate::collectors::kubernetes) fn of(pod: &Pod, clock: &Clock) -> Option<Self> {
        if !pod.is_running() || pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
        let mounted: BTreeSet<&str> = containers.flat_map(|container| &container.volume_mounts).map(|mount| mount.name.as_str()).collect();
        let volumes = || pod.spec.volumes.iter().filter(|volume| mounted.contains(volume.name.as_str()));
        let claims: BTreeSet<Box<str>> = volumes().filter_map(|volume| claim(volume, name)).collect();
        let dirs: BTreeMap<_, _> = volumes().filter_map(|volume| Some((volume.name.as_str().into(), size_limit(volume)?))).collect();
        let since = clock.ours_or_now(pod.status.start_time.as_ref().or(pod.metadata.creation_timestamp.as_ref()));
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default().into();
        (!claims.is_empty() || !dirs.is_empty()).then(|| Self { namespace, claims: claims.into_iter().collect(), dirs, since })
    }
}

/// The claim that a volume of a pod of this name is: one that it names, or that was made for it.
/// Source: <https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#persistentvolumeclaim-naming>
fn claim(volume: &Volume, pod: &str) -> Option<Box<str>> {
    let own = volume.ephemeral.as_ref().map(|_| format!("{pod}-{}", volume.name).into());
    own.or_else(|| volume.claim().map(Box::from))
}

/// The bytes above which its kubelet evicts the pod or, where it lies in memory, the bytes that there are.
/// Source: `emptyDirLimitEviction` in `pkg/kubelet/eviction/eviction_manager.go` of Kubernetes.
fn size_limit(volume: &Volume) -> Option<f64> {
    volume.empty_dir.as_ref()?.size_limit.0.filter(|bytes| *bytes > 0.0)
}

/// Those of all pods that mount something, which are few, by node.
#[derive(Debug, Default)]
pub(in crate::collectors::kubernetes) struct Mounted(BTreeMap<Arc<str>, BTreeMap<u128, Arc<Mounts>>>);

impl Mounted {
    pub(in crate::collectors::kubernetes) fn put(&mut self, node: &Arc<str>, uid: u128, mounts: Mounts) {
        self.0.entry(Arc::clone(node)).or_default().insert(uid, Arc::new(mounts));
    }

    pub(in crate::collectors::kubernetes) fn remove(&mut self, node: &str, uid: u128) {
        let Some(own) = self.0.get_mut(node) else { return };
        own.remove(&uid);
        if own.is_empty() {
            self.0.remove(node);
        }
    }

    pub(in crate::collectors::kubernetes) fn on(&self, node: &str) -> BTreeMap<u128, Arc<Mounts>> {
        self.0.get(node).cloned().unwrap_or_default()
    }
}
