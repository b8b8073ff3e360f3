//! Amounts of the resources that bound a cluster, and arithmetic on them.

use std::collections::BTreeMap;

use crate::collectors::kubernetes::reading::quantity::Quantity;
use crate::metric::states;

/// Names of the resources, as label values and in the order of [`Amounts`].
pub(in crate::collectors::kubernetes) const NAMES: [&str; 4] = ["cpu", "memory", "ephemeral_storage", "pods"];

states! {
    /// What keeps more workspaces from fitting.
    pub(in crate::collectors::kubernetes) enum Lack {
        Cpu => "cpu",
        Memory => "memory",
        EphemeralStorage => "ephemeral_storage",
        Pods => "pods",
        NodepoolCpu => "nodepool_cpu",
        NodepoolMemory => "nodepool_memory",
        NodepoolEphemeralStorage => "nodepool_ephemeral_storage",
        NodepoolNodes => "nodepool_nodes",
        NodepoolNotReady => "nodepool_not_ready",
        NodepoolWithoutLimit => "nodepool_without_limit",
        NodepoolOfUnknownSize => "nodepool_of_unknown_size",
        NodepoolOfOtherNodes => "nodepool_of_other_nodes",
        Taints => "taints",
        Device => "device",
        NodeAffinity => "node_affinity",
        AntiAffinity => "anti_affinity",
        TopologySpread => "topology_spread",
        Quota => "quota",
        LimitRange => "limit_range",
        Namespace => "namespace",
    }
}

/// As the API names them.
const API_NAMES: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pods"];

/// Cores, bytes, bytes and a count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::collectors::kubernetes) struct Amounts(pub(in crate::collectors::kubernetes) [f64; 4]);

/// What one pod asks for and may use, in whole thousandths of cores and whole bytes, as Kubernetes rounds them: sums of these
/// are exact, and nothing is left behind once all pods of a node are gone.
/// Source: `MilliValue` and `Value` in `pkg/api/resource/quantity.go` of apimachinery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(in crate::collectors::kubernetes) struct Asks {
    cpu: [u32; 2],
    memory: [u64; 2],
    storage: [u64; 2],
}

impl Asks {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "amounts are not negative, and what is more than there can be stays the most")]
    pub(in crate::collectors::kubernetes) fn of(requests: Amounts, limits: Amounts) -> Self {
        let both = |at: usize| [requests.0[at], limits.0[at]];
        let bytes = |amount: f64| amount.ceil() as u64;
        Self { cpu: both(0).map(|cores| in_thousandths(cores) as u32), memory: both(1).map(bytes), storage: both(2).map(bytes) }
    }

    /// CPU in thousandths of cores, memory and ephemeral storage.
    pub(in crate::collectors::kubernetes) fn requests(&self) -> [f64; 3] {
        [f64::from(self.cpu[0]), self.memory[0] as f64, self.storage[0] as f64]
    }

    /// What is requested, as whole numbers.
    pub(in crate::collectors::kubernetes) fn size(&self) -> [u64; 3] {
        [u64::from(self.cpu[0]), self.memory[0], self.storage[0]]
    }

    /// The same of limits.
    pub(in crate::collectors::kubernetes) fn limits(&self) -> [f64; 3] {
        [f64::from(self.cpu[1]), self.memory[1] as f64, self.storage[1] as f64]
    }
}

/// What is less than this part of a unit comes from how computers round, and not from what somebody wrote.
const SLACK: f64 = 1e-9;

/// Thousandths, rounded up.
fn in_thousandths(amount: f64) -> f64 {
    (amount * 1000.0 * (1.0 - 1e-12)).ceil()
}

/// How often a need fits into what is left.
pub(in crate::collectors::kubernetes) fn times(left: f64, need: f64) -> f64 {
    // 3.9 cores over 1.3 are three workspaces and not 2.9999.
    if need > 0.0 { (left / need + SLACK).floor().max(0.0) } else { f64::INFINITY }
}

/// A resource list of the API, of which some entries may be missing.
pub(in crate::collectors::kubernetes) type Listed = BTreeMap<String, Quantity>;

/// What a list says of each resource; `None` where it says nothing.
pub(in crate::collectors::kubernetes) fn amounts(listed: &Listed) -> [Option<f64>; 4] {
    API_NAMES.map(|name| listed.get(name).and_then(|quantity| quantity.0))
}

/// Whether a resource of the API is a GPU or a part of one: whole ones, those that several pods share
/// in turns, and those that hardware divides.
/// Sources: the device plugins of NVIDIA (`nvidia.com/gpu`, `nvidia.com/mig-1g.5gb`, both with `.shared`),
/// AMD (`amd.com/gpu`, `amd.com/cpx_nps4`) and Intel (`gpu.intel.com/i915`, `gpu.intel.com/xe`).
pub(in crate::collectors::kubernetes) fn is_gpu(name: &str) -> bool {
    let Some((vendor, device)) = name.split_once('/') else { return false };
    match vendor {
        "nvidia.com" => device == "gpu" || device == "gpu.shared" || device.starts_with("mig-"),
        "amd.com" => device == "gpu" || device.contains("_nps"),
        // Beside these stand monitoring and amounts of memory, which are no devices.
        "gpu.intel.com" => matches!(device, "i915" | "xe"),
        _ => false,
    }
}

/// What there is beside these resources, by name and in thousandths: devices of plugins, and huge pages.
pub(in crate::collectors::kubernetes) type Devices = BTreeMap<String, u64>;

/// Whether a resource is one of these.
/// Source: <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#extended-resources>
pub(in crate::collectors::kubernetes) fn is_device(name: &str) -> bool {
    name.contains('/') || name.starts_with("hugepages-")
}

/// An amount in thousandths, of which a part is a whole.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "amounts are not negative, and what is more than there can be stays the most")]
pub(in crate::collectors::kubernetes) fn thousandths(amount: f64) -> u64 {
    in_thousandths(amount) as u64
}

/// The devices that a node offers, and none of a kind of which it offers more than it has, which cannot be.
pub(in crate::collectors::kubernetes) fn offered_devices(allocatable: &Listed, capacity: &Listed) -> Devices {
    let whole = |name: &str| capacity.get(name).and_then(|whole| whole.0);
    let possible = |name: &str, own: &f64| *own > 0.0 && whole(name).is_none_or(|whole| *own <= whole);
    let devices = allocatable.iter().filter(|(name, _)| is_device(name));
    devices.filter_map(|(name, own)| Some((name.clone(), thousandths(own.0.filter(|own| possible(name, own))?)))).collect()
}

/// What a node offers of each resource; `None` as well for more than it has, which cannot be.
pub(in crate::collectors::kubernetes) fn offered(allocatable: &Listed, capacity: &Listed) -> [Option<f64>; 4] {
    let whole = amounts(capacity);
    let mut offered = amounts(allocatable);
    for (own, whole) in offered.iter_mut().zip(whole) {
        *own = own.filter(|own| whole.is_none_or(|whole| *own <= whole));
    }
    offered
}

/// GPUs that a node offers; `None` when it names none, and when one kind of them is more than it has or
/// is not told of on one side.
pub(in crate::collectors::kubernetes) fn offered_gpus(allocatable: &Listed, capacity: &Listed) -> Option<f64> {
    let names = allocatable.keys().chain(capacity.keys()).filter(|name| is_gpu(name));
    let amount = |listed: &Listed, name: &String| listed.get(name).and_then(|quantity| quantity.0);
    let possible = names.into_iter().all(|name| amount(allocatable, name).zip(amount(capacity, name)).is_some_and(|(own, whole)| own <= whole));
    gpus(allocatable).filter(|_| possible)
}

/// How many GPUs a list has; `None` when it names none, or when an amount of one is not known.
pub(in crate::collectors::kubernetes) fn gpus(listed: &Listed) -> Option<f64> {
    let mut found = listed.iter().filter(|(name, _)| is_gpu(name)).map(|(_, quantity)| quantity.0).peekable();
    found.peek()?;
    found.sum()
}

impl Amounts {
    /// What a list says, 0 where it says nothing: for requests, where nothing means none.
    pub(in crate::collectors::kubernetes) fn requested(listed: &Listed) -> Self {
        Self(amounts(listed).map(Option::unwrap_or_default))
    }

    /// Of sums in thousandths of cores, the same in cores.
    pub(in crate::collectors::kubernetes) fn in_cores(self) -> Self {
        let [cpu, memory, storage, pods] = self.0;
        Self([cpu / 1000.0, memory, storage, pods])
    }

    pub(in crate::collectors::kubernetes) fn add(&mut self, other: Self) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own += other;
        }
    }
}

/// The larger of each; what one does not know the other may.
pub(in crate::collectors::kubernetes) fn largest<const N: usize>(one: [Option<f64>; N], other: [Option<f64>; N]) -> [Option<f64>; N] {
    let mut both = one;
    for (own, other) in both.iter_mut().zip(other) {
        *own = [*own, other].into_iter().flatten().max_by(f64::total_cmp);
    }
    both
}
