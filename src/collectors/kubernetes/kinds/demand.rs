//! What a pod needs of its node and what it may use, by the arithmetic of Kubernetes: containers, init
//! containers, native sidecars, resources of the whole pod, and a resize that is not done yet.
//!
//! Source: `staging/src/k8s.io/component-helpers/resource/helpers.go` of Kubernetes (`PodRequests`,
//! `PodLimits`), KEP-2837 (resources of pods) and KEP-1287 (resize in place).

use crate::collectors::kubernetes::kinds::pod::{Container, Pod, Resources};
use crate::collectors::kubernetes::reading::resources::{Amounts, Devices, Listed, amounts, gpus, is_device, largest, thousandths};

/// Amounts of which each may be unknown or not set.
type Known = [Option<f64>; 4];

fn sum(one: Known, other: Known) -> Known {
    let mut both = one;
    for (own, other) in both.iter_mut().zip(other) {
        *own = own.map_or(other, |own| Some(own + other.unwrap_or_default()));
    }
    both
}

/// Which half of the resources is meant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Half {
    Requests,
    Limits,
}

impl Half {
    fn of(self, resources: &Resources) -> &Listed {
        match self {
            Self::Requests => &resources.requests,
            Self::Limits => &resources.limits,
        }
    }

    /// What is held of it now: what runs with it, and what the node has set aside for it.
    fn held(self, resources: Option<&Resources>, allocated: &Listed, read: fn(&Listed) -> Known) -> Known {
        let held = resources.map_or([None; 4], |resources| read(self.of(resources)));
        if self == Self::Requests { largest(held, read(allocated)) } else { held }
    }
}

/// Everything in a list that is a GPU.
fn all_gpus(listed: &Listed) -> Known {
    [gpus(listed), None, None, None]
}

impl Pod {
    /// What it needs of a node: the sum of its containers, or its largest initialisation step.
    /// Source: <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>
    pub(in crate::collectors::kubernetes) fn requests(&self) -> Amounts {
        let all = self.total(|container| self.of(container, Half::Requests, amounts));
        self.with_overhead(self.as_a_whole(all, Half::Requests))
    }

    /// What it may use; a container without a limit counts with its request.
    pub(in crate::collectors::kubernetes) fn limits(&self) -> Amounts {
        let all = self.total(|container| {
            let (limits, requests) = (self.container_limits(container), self.of(container, Half::Requests, amounts));
            [0, 1, 2, 3].map(|at| limits[at].or(requests[at]))
        });
        let all = self.as_a_whole(self.as_a_whole(all, Half::Requests), Half::Limits);
        self.with_overhead(all)
    }

    /// Limits of one of its containers: those that are asked for or, during a resize, those that
    /// still hold where they are higher.
    pub(in crate::collectors::kubernetes) fn container_limits(&self, container: &Container) -> Known {
        self.of(container, Half::Limits, amounts)
    }

    /// Limits that bound all its containers together.
    pub(in crate::collectors::kubernetes) fn whole_limits(&self) -> Known {
        self.as_a_whole([None; 4], Half::Limits)
    }

    /// GPUs that it holds, of every vendor and kind.
    pub(in crate::collectors::kubernetes) fn gpus(&self) -> f64 {
        self.total(|container| self.of(container, Half::Limits, all_gpus))[0].unwrap_or_default()
    }

    /// Devices and huge pages that it holds of its node. Of these a limit is a request as well.
    pub(in crate::collectors::kubernetes) fn devices(&self) -> Devices {
        let containers = || self.spec.containers.iter().chain(&self.spec.init_containers).map(|container| &container.resources);
        let listed = containers().chain(&self.spec.resources).flat_map(|own| [&own.requests, &own.limits]);
        let names = listed.flat_map(|listed| listed.keys()).filter(|name| is_device(name));
        let asked = |own: &Resources, name: &String| own.requests.get(name).or_else(|| own.limits.get(name)).and_then(|amount| amount.0);
        let held = |name: &String| {
            let each = self.total(|container| [asked(&container.resources, name), None, None, None])[0];
            let whole = self.spec.resources.as_ref().and_then(|own| asked(own, name));
            whole.into_iter().chain(each).reduce(f64::max).filter(|amount| *amount > 0.0)
        };
        names.filter_map(|name| Some((name.clone(), thousandths(held(name)?)))).collect()
    }

    /// The limit of ephemeral storage above which its kubelet evicts it: the sum of the limits that
    /// there are, sidecars included. `None` when no container has one.
    /// Source: `podEphemeralStorageLimitEviction` in `pkg/kubelet/eviction/eviction_manager.go` of Kubernetes.
    pub(in crate::collectors::kubernetes) fn storage_limit(&self) -> Option<f64> {
        self.total(|container| self.container_limits(container))[2]
    }

    /// All its containers that run side by side, or its largest initialisation step.
    fn total(&self, of: impl Fn(&Container) -> Known) -> Known {
        let mut running = self.spec.containers.iter().map(&of).fold([None; 4], sum);
        let (mut sidecars, mut peak) = ([None; 4], [None; 4]);
        for container in &self.spec.init_containers {
            if container.is_sidecar() {
                sidecars = sum(sidecars, of(container));
                peak = largest(peak, sidecars);
            } else {
                peak = largest(peak, sum(of(container), sidecars));
            }
        }
        running = sum(running, sidecars);
        largest(running, peak)
    }

    /// What is asked for one container, or what it has where that is more, since a resize to less
    /// frees nothing before it is done. One that its node cannot do changes nothing.
    fn of(&self, container: &Container, half: Half, read: fn(&Listed) -> Known) -> Known {
        let asked = read(half.of(&container.resources));
        let Some(status) = self.statuses().find(|status| status.name == container.name) else { return asked };
        let held = half.held(status.resources.as_ref(), &status.allocated_resources, read);
        if self.resize_is_infeasible() && held.iter().any(Option::is_some) { held } else { largest(asked, held) }
    }

    /// The resources of the pod as a whole stand in the place of the sum of its containers. Only CPU
    /// and memory can be given that way.
    fn as_a_whole(&self, containers: Known, half: Half) -> Known {
        let mut whole = containers;
        let asked = self.spec.resources.as_ref().map_or([None; 4], |resources| amounts(half.of(resources)));
        let held = half.held(self.status.resources.as_ref(), &self.status.allocated_resources, amounts);
        for at in [0, 1] {
            whole[at] = asked[at].map(|asked| held[at].map_or(asked, |held| held.max(asked))).or(whole[at]);
        }
        whole
    }

    fn with_overhead(&self, known: Known) -> Amounts {
        let mut all = Amounts(known.map(Option::unwrap_or_default));
        all.add(Amounts::requested(&self.spec.overhead));
        all.0[3] = 1.0;
        all
    }

    fn resize_is_infeasible(&self) -> bool {
        let pending = self.condition("PodResizePending").is_some_and(|condition| condition.reason.as_deref() == Some("Infeasible"));
        pending || self.status.resize.as_deref() == Some("Infeasible")
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small sums of halves are exact")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "so that cases read as what the API sends")]
    fn pod(spec: Value, status: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec, "status": status })).unwrap()
    }

    fn cpu(pod: &Pod) -> (f64, f64) {
        (pod.requests().0[0], pod.limits().0[0])
    }

    #[test]
    fn resources_of_the_whole_pod_stand_in_the_place_of_the_sum() {
        let containers = json!([{ "name": "a", "resources": { "requests": { "cpu": "1" } } }, { "name": "b" }]);
        let whole = json!({ "requests": { "cpu": "7" }, "limits": { "cpu": "8", "memory": "1Gi" } });
        let found = pod(json!({ "containers": containers, "resources": whole, "overhead": { "cpu": "500m" } }), json!({}));
        assert_eq!(cpu(&found), (7.5, 8.5));
        assert_eq!(found.whole_limits(), [Some(8.0), Some(1_073_741_824.0), None, None]);
        assert_eq!(cpu(&pod(json!({ "containers": containers }), json!({}))), (1.0, 1.0));
        // A pod cannot be given storage as a whole, so what stands there counts for nothing.
        let storage = pod(json!({ "containers": containers, "resources": { "limits": { "ephemeral-storage": "1Gi" } } }), json!({}));
        assert_eq!(storage.whole_limits(), [None; 4]);
    }

    #[test]
    fn a_resize_frees_nothing_before_it_is_done() {
        let spec = json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "1" }, "limits": { "cpu": "2" } } }] });
        let status = |held: &str, more: Value| {
            let mut status = json!({ "containerStatuses": [{ "name": "a", "resources": { "requests": { "cpu": held }, "limits": { "cpu": held } } }] });
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            status
        };
        assert_eq!(cpu(&pod(spec.clone(), status("6", json!({})))), (6.0, 6.0));
        assert_eq!(cpu(&pod(spec.clone(), status("500m", json!({})))), (1.0, 2.0), "one to more is asked for already");
        let allocated = json!({ "containerStatuses": [{ "name": "a", "allocatedResources": { "cpu": "3" } }] });
        assert_eq!(cpu(&pod(spec.clone(), allocated)), (3.0, 2.0));
        // What its node cannot do changes nothing.
        let infeasible = json!({ "conditions": [{ "type": "PodResizePending", "status": "True", "reason": "Infeasible" }] });
        assert_eq!(cpu(&pod(spec.clone(), status("500m", infeasible))).0, 0.5);
        assert_eq!(cpu(&pod(spec.clone(), status("500m", json!({ "resize": "Infeasible" })))).0, 0.5);
        let whole = json!({ "containers": [{ "name": "a" }], "resources": { "requests": { "cpu": "1" } } });
        assert_eq!(cpu(&pod(whole, json!({ "resources": { "requests": { "cpu": "5" } } }))).0, 5.0);
    }

    #[test]
    fn storage_is_bounded_by_the_sum_of_the_limits_that_there_are() {
        let limited = |name: &str, limit: &str| json!({ "name": name, "resources": { "limits": { "ephemeral-storage": limit } } });
        let limit = |spec: Value| pod(spec, json!({})).storage_limit();
        assert_eq!(limit(json!({ "containers": [limited("a", "10"), { "name": "istio-proxy" }] })), Some(10.0));
        let mut sidecar = limited("s", "10");
        sidecar["restartPolicy"] = "Always".into();
        assert_eq!(limit(json!({ "containers": [limited("a", "10")], "initContainers": [sidecar] })), Some(20.0));
        assert_eq!(limit(json!({ "containers": [limited("a", "10")], "initContainers": [limited("i", "50")] })), Some(50.0));
        assert_eq!(limit(json!({ "containers": [{ "name": "a" }] })), None);
    }

    #[test]
    fn gpus_of_every_vendor_are_counted_wherever_they_are_asked_for() {
        let with = |resource: &str, count: u32| json!({ "name": "a", "resources": { "limits": { resource: count.to_string() } } });
        let gpus = |containers: Value, init: Value| pod(json!({ "containers": containers, "initContainers": init }), json!({})).gpus();
        for resource in [
            "nvidia.com/gpu",
            "nvidia.com/gpu.shared",
            "nvidia.com/mig-1g.5gb",
            "nvidia.com/mig-3g.20gb.shared",
            "amd.com/gpu",
            "gpu.intel.com/i915",
            "gpu.intel.com/xe",
        ] {
            assert_eq!(gpus(json!([with(resource, 2)]), json!([])), 2.0, "{resource}");
        }
        for resource in ["cpu", "gpu.intel.com/i915_monitoring", "gpu.intel.com/memory.max", "nvidia.com/gpumem", "example.com/gpu"] {
            assert_eq!(gpus(json!([with(resource, 2)]), json!([])), 0.0, "{resource}");
        }
        let mut sidecar = with("nvidia.com/gpu", 1);
        sidecar["restartPolicy"] = "Always".into();
        assert_eq!(gpus(json!([with("nvidia.com/gpu", 1)]), json!([sidecar])), 2.0);
        assert_eq!(gpus(json!([{ "name": "a" }]), json!([with("nvidia.com/gpu", 4)])), 4.0);
    }
}
