//! What pods write to that has an end of its own: claims that they mount, and emptyDirs with a size limit.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::collectors::kubernetes::kinds::pod::{Pod, Volume};
use crate::collectors::kubernetes::reading::clock::Clock;

/// Size limits in bytes, by volume.
type Limits = BTreeMap<Box<str>, f64>;

/// What one pod that runs mounts.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Mounts {
    pub(in crate::collectors::kubernetes) namespace: Arc<str>,
    /// Claims with a file system, one after the other with a slash behind each: most pods have one, and a list of texts
    /// would be twice as large.
    claims: Box<str>,
    /// Size limits of its emptyDirs in bytes, by volume, where it has one.
    dirs: Option<Box<Limits>>,
    /// When its kubelet took it on, on the exporter's clock.
    pub(in crate::collectors::kubernetes) since: i64,
}

impl Mounts {
    /// `None` for a pod that mounts none of these, or is not there to write to them. A kubelet mounts only what a
    /// container mounts, and a device without a file system is never full.
    /// Source: `GetPodVolumeNames` in `pkg/volume/util/util.go` of Kubernetes.
    pub(in crate::collectors::kubernetes) fn of(pod: &Pod, namespace: &Arc<str>, clock: &Clock) -> Option<Self> {
        if !pod.is_running() || pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let containers = pod.spec.containers.iter().chain(&pod.spec.init_containers);
        let mounted: BTreeSet<&str> = containers.flat_map(|container| &container.volume_mounts).map(|mount| mount.name.as_str()).collect();
        let volumes = || pod.spec.volumes.iter().filter(|volume| mounted.contains(volume.name.as_str()));
        let claims: BTreeSet<Cow<'_, str>> = volumes().filter_map(|volume| claim(volume, name)).collect();
        let claims: Box<str> = claims.iter().flat_map(|claim| [claim, "/"]).collect();
        let dirs: Limits = volumes().filter_map(|volume| Some((volume.name.as_str().into(), size_limit(volume)?))).collect();
        let since = clock.ours_or_now(pod.status.start_time.as_ref().or(pod.metadata.creation_timestamp.as_ref()));
        (!claims.is_empty() || !dirs.is_empty()).then(|| {
            let dirs = (!dirs.is_empty()).then(|| Box::new(dirs));
            Self { namespace: Arc::clone(namespace), claims, dirs, since }
        })
    }

    /// Claims with a file system.
    pub(in crate::collectors::kubernetes) fn claims(&self) -> impl Iterator<Item = &str> {
        self.claims.split_terminator('/')
    }

    /// The name of an emptyDir with a size limit, and that limit in bytes.
    pub(in crate::collectors::kubernetes) fn dir(&self, volume: &str) -> Option<(&str, f64)> {
        self.dirs.as_ref()?.get_key_value(volume).map(|(name, limit)| (&**name, *limit))
    }
}

/// The claim that a volume of a pod of this name is: one that it names, or that was made for it.
/// Source: <https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#persistentvolumeclaim-naming>
fn claim<'a>(volume: &'a Volume, pod: &str) -> Option<Cow<'a, str>> {
    let own = volume.ephemeral.as_ref().map(|_| Cow::Owned(format!("{pod}-{}", volume.name)));
    own.or_else(|| volume.claim().map(Cow::Borrowed))
}

/// The bytes above which its kubelet evicts the pod or, where it lies in memory, the bytes that there are.
/// Source: `emptyDirLimitEviction` in `pkg/kubelet/eviction/eviction_manager.go` of Kubernetes.
fn size_limit(volume: &Volume) -> Option<f64> {
    volume.empty_dir.as_ref()?.size_limit.0.filter(|bytes| *bytes > 0.0)
}

/// Those of all pods that mount something, by node. In a cluster of workspaces that is every pod.
#[derive(Debug, Default)]
pub(in crate::collectors::kubernetes) struct Mounted(BTreeMap<Arc<str>, Vec<(u128, Mounts)>>);

impl Mounted {
    pub(in crate::collectors::kubernetes) fn put(&mut self, node: &Arc<str>, uid: u128, mounts: Mounts) {
        self.0.entry(Arc::clone(node)).or_default().push((uid, mounts));
    }

    pub(in crate::collectors::kubernetes) fn remove(&mut self, node: &str, uid: u128) {
        let Some(own) = self.0.get_mut(node) else { return };
        own.retain(|(other, _)| *other != uid);
        if own.is_empty() {
            self.0.remove(node);
        }
    }

    pub(in crate::collectors::kubernetes) fn on(&self, node: &str) -> BTreeMap<u128, Mounts> {
        self.0.get(node).into_iter().flatten().cloned().collect()
    }
}
