//! ResourceQuotas and LimitRanges: what namespaces may use, and what containers get by default.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::collectors::kubernetes::kinds::claims::{Bound as OfClaims, Claims};
use crate::collectors::kubernetes::kinds::shape;
use crate::collectors::kubernetes::kinds::shape::{Scope, ScopeTerm, Shape};
use crate::collectors::kubernetes::reading::clock::now;
use crate::collectors::kubernetes::reading::objects;
use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, kind, or_default};
use crate::collectors::kubernetes::reading::quantity::Quantity;
use crate::collectors::kubernetes::reading::resources::{Lack, Listed, times};
use crate::collectors::kubernetes::watching::visibility::looked_at;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::{Message, named};

const QUOTAS: Coverage = looked_at(&["ResourceQuota"]);
const RANGES: Coverage = looked_at(&["LimitRange"]);
const QUOTA: [&str; 4] = ["cluster", "namespace", "quota", "resource"];

metrics! {
    /// Families about quotas.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about quotas.
    QUOTA_FAMILIES {
        static USED: Gauge<4> = gauge(
            "readiness_resourcequota_used_ratio",
            Unit::Ratio,
            &QUOTA,
            "Share of a namespace's quota that is used, from status.used and status.hard of a ResourceQuota in the Kubernetes API, NaN where they do not speak of spec.hard as it is; of load balancers and node ports only when more are used than allowed.",
        )
        .covered_by(QUOTAS);
        static HARD: Gauge<4> = gauge(
            "readiness_resourcequota_hard",
            Unit::Number,
            &QUOTA,
            "Limit of a namespace's quota in the resource's own unit (cores, bytes, objects), from spec.hard in the Kubernetes API.",
        )
        .covered_by(QUOTAS);
    }

    /// Families about limit ranges.
    RANGE_FAMILIES {
        static CONTAINER: Gauge<5> = gauge(
            "readiness_limitrange_container",
            Unit::Number,
            &["cluster", "namespace", "limitrange", "resource", "bound"],
            "What a LimitRange sets for containers: max, min, default limit or default request, in the resource's own unit, or how often a limit may be its request (max_limit_request_ratio), from the Kubernetes API.",
        )
        .covered_by(RANGES);
    }

    /// Families that follow from the configuration, too.
    pub(in crate::collectors::kubernetes) PRESENT_FAMILIES {
        static PRESENT: Gauge<2> = gauge(
            "readiness_namespace_has_limitrange",
            Unit::Flag,
            &["cluster", "namespace"],
            "Whether a namespace of workspaces has a LimitRange for containers, from the Kubernetes API.",
        )
        .covered_by(RANGES);
    }
}

/// Ways into a cluster, of which a quota allows as many as somebody has planned.
const EXPOSED: [&str; 2] = ["services.loadbalancers", "services.nodeports"];

/// Objects that quotas count without `count/` before their names.
/// Source: <https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-on-object-count>
const OBJECTS: [&str; 4] = ["configmaps", "secrets", "services", "replicationcontrollers"];

/// Objects that are counted otherwise, or that are of a namespace and of no workspace.
const NOT_OF_WORKSPACES: [&str; 4] = ["pods", "persistentvolumeclaims", "resourcequotas", "limitranges"];

kind!(ResourceQuota, "", "v1", "resourcequotas", "crate::collectors::kubernetes::reading::objects::slim", spec: QuotaSpec, status: QuotaStatus);
kind!(LimitRange, "", "v1", "limitranges", "crate::collectors::kubernetes::reading::objects::slim", spec: LimitSpec);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct QuotaSpec {
    #[serde(default, deserialize_with = "or_default")]
    hard: Listed,
    #[serde(default, deserialize_with = "or_default")]
    scopes: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    scope_selector: ScopeSelector,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeSelector {
    #[serde(default, deserialize_with = "or_default")]
    match_expressions: Vec<ScopeTerm>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct QuotaStatus {
    #[serde(default, deserialize_with = "or_default")]
    hard: Listed,
    #[serde(default, deserialize_with = "or_default")]
    used: Listed,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct LimitSpec {
    #[serde(default, deserialize_with = "or_default")]
    limits: Vec<Limit>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limit {
    #[serde(default, deserialize_with = "or_default")]
    r#type: String,
    #[serde(default, deserialize_with = "or_default")]
    max: Listed,
    #[serde(default, deserialize_with = "or_default")]
    min: Listed,
    #[serde(default, deserialize_with = "or_default")]
    default: Listed,
    #[serde(default, deserialize_with = "or_default")]
    default_request: Listed,
    #[serde(default, deserialize_with = "or_default")]
    max_limit_request_ratio: Listed,
}

/// A resource of a quota.
#[derive(Debug, Clone, PartialEq)]
struct Limited {
    hard: f64,
    used: Option<f64>,
    /// Whether what is used was counted for the limit that there is now.
    is_current: bool,
}

/// What stands between a StorageClass and what a quota says of it.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// What is kept of a quota.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Quota {
    resources: BTreeMap<String, Limited>,
    /// What the pods are that it is about; all of them without any.
    scopes: Box<[Scope]>,
    /// On the cluster's clock.
    created: Option<i64>,
}

/// Seconds in which the controller of quotas may have come to a new one.
const FIRST_COUNT: i64 = 60;

impl Quota {
    /// How many more pods it allows, at least and at most.
    fn allows(&self, want: Want<'_>) -> [f64; 2] {
        let amounts = self.allows_of_amounts(want);
        let claims = self.allows_of_claims(want.claims);
        let [least, most] = [0, 1].map(|at| f64::min(amounts[at], claims[at]));
        match shape::taken(&self.scopes, want.shapes) {
            Some(true) => [least, most],
            Some(false) => [f64::INFINITY; 2],
            None => [least, f64::INFINITY],
        }
    }

    /// The same by what pods request, by their limits and by their number.
    fn allows_of_amounts(&self, want: Want<'_>) -> [f64; 2] {
        const NAMES: [[&str; 2]; 4] =
            [["requests.cpu", "cpu"], ["requests.memory", "memory"], ["requests.ephemeral-storage", "ephemeral-storage"], ["pods", "count/pods"]];
        const LIMITS: [&str; 3] = ["limits.cpu", "limits.memory", "limits.ephemeral-storage"];
        let requests = NAMES.iter().zip(want.need).flat_map(|(names, need)| names.iter().map(move |name| (*name, need)));
        let requests = requests.filter(|(_, need)| *need > 0.0);
        let of_devices = want.devices.iter().flat_map(|(name, need)| [format!("requests.{name}"), name.clone()].map(|name| (name, *need)));
        let all = requests.map(|(name, need)| (name.to_owned(), need)).chain(of_devices);
        let by_requests = all.filter_map(|(name, need)| Some(times(self.resources.get(&name)?.left(), need))).fold(f64::INFINITY, f64::min);
        let by_limits = |uses: [f64; 3]| {
            let limited = LIMITS.iter().zip(uses).filter(|(_, each)| *each > 0.0);
            limited.filter_map(|(name, each)| Some(times(self.resources.get(*name)?.left(), each))).fold(f64::INFINITY, f64::min)
        };
        let [least, most] = want.uses;
        [by_limits(most), by_limits(least)].map(|limits| limits.min(by_requests))
    }

    /// The same by the claims of their volumes and by the storage of these, of all together and of each class.
    /// Source: <https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-for-storage>
    fn allows_of_claims(&self, claims: &Claims) -> [f64; 2] {
        let bounds = self.resources.iter().filter_map(|(name, limited)| {
            let (class, what) = name.split_once(OF_CLASS).map_or((None, name.as_str()), |(class, what)| (Some(class), what));
            let of_bytes = match what {
                "requests.storage" => true,
                "persistentvolumeclaims" => false,
                "count/persistentvolumeclaims" if class.is_none() => false,
                _ => return None,
            };
            let each = if of_bytes { self.mean_size(class, limited) } else { Some(1.0) };
            Some(OfClaims { class, hard: limited.hard, used: limited.used, each, of_bytes })
        });
        bounds.map(|bound| claims.allowed_by(bound)).fold([f64::INFINITY; 2], |one, other| [0, 1].map(|at| f64::min(one[at], other[at])))
    }

    /// How many more workspaces it allows by the objects that each of them may make, one of a kind at most, and of which kind:
    /// those that are there have no more than are counted.
    fn allows_of_objects(&self, running: u64) -> Option<(f64, &str)> {
        let bounds = self.resources.iter().filter_map(|(name, limited)| {
            let object = name.strip_prefix("count/").or_else(|| OBJECTS.contains(&name.as_str()).then_some(name))?;
            let each = limited.used.filter(|_| running > 0).map_or(1.0, |used| (used / running as f64).min(1.0));
            (each > 0.0 && !NOT_OF_WORKSPACES.contains(&object)).then(|| (times(limited.left(), each), object))
        });
        bounds.min_by(|(one, _), (other, _)| one.total_cmp(other))
    }

    /// The bytes of a claim, on average of those that are there, where the quota counts these as well.
    fn mean_size(&self, class: Option<&str>, bytes: &Limited) -> Option<f64> {
        let prefix = class.map_or_else(String::new, |class| format!("{class}{OF_CLASS}"));
        let mut counts =
            ["persistentvolumeclaims", "count/persistentvolumeclaims"].into_iter().filter_map(|name| self.resources.get(&format!("{prefix}{name}")));
        counts.find_map(|count| Some(bytes.used? / count.used.filter(|count| *count > 0.0)?))
    }
}

impl Limited {
    /// What is left; what nobody reported as used may be all of it.
    fn left(&self) -> f64 {
        self.hard - self.used.unwrap_or(self.hard)
    }
}

/// What pods of one kind want of the rules of their namespaces.
#[derive(Debug, Clone, Copy)]
pub(in crate::collectors::kubernetes) struct Want<'a> {
    /// CPU, memory, ephemeral storage and pods.
    pub(in crate::collectors::kubernetes) need: [f64; 4],
    /// The least limits of CPU and memory that they have.
    pub(in crate::collectors::kubernetes) limits: [Option<f64>; 2],
    /// Their limits of CPU, memory and ephemeral storage, at least and at most.
    pub(in crate::collectors::kubernetes) uses: [[f64; 3]; 2],
    /// Their devices, on average.
    pub(in crate::collectors::kubernetes) devices: &'a BTreeMap<String, f64>,
    pub(in crate::collectors::kubernetes) shapes: &'a BTreeMap<Arc<Shape>, u64>,
    pub(in crate::collectors::kubernetes) claims: &'a Claims,
    /// Whether they have one container each, where that is known.
    pub(in crate::collectors::kubernetes) is_single: Option<bool>,
}

/// Rules of namespaces.
#[derive(Clone, Copy)]
pub(in crate::collectors::kubernetes) struct Rules<'a> {
    pub(in crate::collectors::kubernetes) quotas: &'a Rows<ResourceQuota>,
    pub(in crate::collectors::kubernetes) ranges: &'a Rows<LimitRange>,
}

/// How many more pods the rules of their namespaces allow.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) enum Allowed {
    /// At least and at most; without a bound where one of the namespaces has none.
    Most([f64; 2]),
    /// None starts, for lack of this.
    Refused(Lack, Message),
    /// Nobody knows whether any starts, as where a LimitRange lets none start that has a single container.
    Unclear(Message),
}

impl Rules<'_> {
    /// How many more pods the namespaces allow together.
    pub(in crate::collectors::kubernetes) fn allowed(&self, namespaces: &[&str], want: Want<'_>) -> Allowed {
        let (mut most, mut refusal, mut unclear) = ([0.0; 2], None, None);
        for namespace in namespaces {
            match self.refusal(namespace, want) {
                Some((why, true)) => refusal = refusal.or(Some(why)),
                Some((why, false)) => unclear = unclear.or(Some(why)),
                None => {
                    let own = self.quotas.iter().filter(|(key, _)| &*key.namespace == *namespace).map(|(_, quota)| quota.allows(want));
                    let own = own.fold([f64::INFINITY; 2], |one, other| [0, 1].map(|at| f64::min(one[at], other[at])));
                    most = [0, 1].map(|at| most[at] + own[at]);
                }
            }
        }
        match (unclear, refusal) {
            (Some(why), _) => Allowed::Unclear(why),
            (None, Some(why)) if most[1] <= 0.0 => Allowed::Refused(Lack::LimitRange, why),
            (None, _) => Allowed::Most(most),
        }
    }

    /// How many more workspaces the namespaces allow together by the objects that each may make, and of which kind; `None`
    /// without a bound. `running` are those that are there.
    pub(in crate::collectors::kubernetes) fn allowed_by_objects(&self, namespaces: &[&str], running: u64) -> Option<(f64, &str)> {
        // In which of several namespaces they are is not told here.
        let running = if namespaces.len() == 1 { running } else { 0 };
        let of = |namespace: &&str| {
            let own = self.quotas.iter().filter(|(key, _)| *key.namespace == **namespace);
            own.filter_map(|(_, quota)| quota.allows_of_objects(running)).min_by(|(one, _), (other, _)| one.total_cmp(other))
        };
        let each: Option<Vec<(f64, &str)>> = namespaces.iter().map(of).collect();
        each?.into_iter().reduce(|(one, name), (other, _)| (one + other, name))
    }

    /// Why a namespace lets none of these pods start, and whether that is sure.
    fn refusal(&self, namespace: &str, want: Want<'_>) -> Option<(Message, bool)> {
        let own = self.ranges.iter().filter(|(key, _)| &*key.namespace == namespace).flat_map(|(_, bounds)| bounds);
        // What a container may have says nothing of pods that have several.
        let speaks = own.filter(|bound| bound.of_pods || want.is_single != Some(false));
        let broken = speaks.filter_map(|bound| Some((bound, bound.broken_by(want)?)));
        let (bound, resource) = broken.min_by_key(|(bound, _)| !bound.of_pods)?;
        let of = if bound.of_pods { "pod" } else { "container" };
        let why = say!("a LimitRange of {} lets no {} start that wants so much, or so little, {}", named(namespace), of, resource);
        Some((why, bound.of_pods || want.is_single == Some(true)))
    }
}

/// One bound of a LimitRange.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Bound {
    /// Whether it is about all containers of a pod together.
    of_pods: bool,
    what: &'static str,
    resource: String,
    amount: f64,
}

impl Bound {
    /// The resource of which these pods want what it does not let start.
    /// Source: <https://kubernetes.io/docs/concepts/policy/limit-range/>
    fn broken_by(&self, want: Want<'_>) -> Option<&'static str> {
        let at = ["cpu", "memory", "ephemeral-storage"].iter().position(|name| *name == self.resource)?;
        let (request, limit) = (want.need[at], want.limits.get(at).copied().flatten());
        let is_broken = match self.what {
            "max" => limit.map_or(request, |limit| limit.max(request)) > self.amount,
            "min" => request > 0.0 && request < self.amount,
            "max_limit_request_ratio" => limit.is_some_and(|limit| request > 0.0 && limit / request > self.amount * (1.0 + 1e-9)),
            _ => false,
        };
        is_broken.then_some(["CPU", "memory", "ephemeral storage"][at])
    }
}

impl Kind for ResourceQuota {
    type Row = Quota;
    const KIND: &'static str = "ResourceQuota";
    const WINDOWED: bool = true;
    const FAMILIES: &'static [&'static [&'static Family]] = &[QUOTA_FAMILIES];

    fn row(self) -> Self::Row {
        let (wanted, QuotaStatus { hard, used }) = (self.spec.hard, self.status);
        let terms = self.spec.scope_selector.match_expressions.into_iter().map(Scope::of);
        let scopes = self.spec.scopes.iter().map(|name| Scope::named(name)).chain(terms).collect();
        let amount = |listed: &Listed, resource: &String| listed.get(resource).and_then(|amount| amount.0);
        // What is allowed is what somebody asked for; what is known of it is told of what was allowed when it was counted.
        let names = if wanted.is_empty() { hard.keys() } else { wanted.keys() };
        let of = |resource: &String| {
            let counted = amount(&hard, resource);
            let allowed = amount(&wanted, resource).or(counted)?;
            // Objects of a kind that the cluster does not have are never counted, and no quota keeps anybody from them.
            if resource.starts_with("count/") && !used.is_empty() && !used.contains_key(resource) && counted == Some(allowed) {
                return None;
            }
            Some((resource.clone(), Limited { hard: allowed, used: amount(&used, resource), is_current: counted == Some(allowed) }))
        };
        Quota { resources: names.filter_map(of).collect(), scopes, created: self.metadata.creation_timestamp.map(|time| time.0.as_second()) }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, quota) in rows.iter() {
            for (resource, Limited { hard, used, is_current }) in &quota.resources {
                let labels = || [&*place.cluster, &*key.namespace, &*key.name, resource];
                samples.push(HARD.sample(labels(), *hard));
                // Who allows none of something forbids it, and it is full once there is one all the same. But
                // without CPU, memory and pods nothing starts. What nobody reported is not known.
                // A namespace may have all the load balancers and node ports that it is meant to have: workspaces need none.
                if *hard > 0.0 && used.is_some_and(|used| used <= *hard) && EXPOSED.contains(&resource.as_str()) {
                    continue;
                }
                let is_needed = quota.scopes.is_empty() && ["cpu", "memory", "pods"].iter().any(|needed| resource.ends_with(needed));
                let Some(used) = used.filter(|_| *is_current) else {
                    let is_new = quota.created.is_some_and(|at| now().saturating_add(place.clock.ahead()).saturating_sub(at) < FIRST_COUNT);
                    let uncounted = || USED.sample(labels(), f64::NAN).with_detail(say!("nobody has counted yet what is used of the quota as it is now"));
                    samples.extend((!is_new).then(uncounted));
                    continue;
                };
                samples.push(USED.sample(labels(), if *hard > 0.0 { used / hard } else { objects::flag(is_needed || used > 0.0) }));
            }
        }
    }
}

impl Kind for LimitRange {
    type Row = Vec<Bound>;
    const KIND: &'static str = "LimitRange";
    const FAMILIES: &'static [&'static [&'static Family]] = &[RANGE_FAMILIES];

    fn row(self) -> Self::Row {
        let bounds = self.spec.limits.into_iter().filter(|limit| matches!(limit.r#type.as_str(), "Container" | "Pod")).flat_map(|limit| {
            let of_pods = limit.r#type == "Pod";
            let all = [
                ("max", limit.max),
                ("min", limit.min),
                ("default", limit.default),
                ("default_request", limit.default_request),
                ("max_limit_request_ratio", limit.max_limit_request_ratio),
            ];
            all.map(|(what, listed)| (of_pods, what, listed))
        });
        let each = |(of_pods, what, listed): (bool, &'static str, Listed)| {
            listed.into_iter().filter_map(move |(resource, Quantity(amount))| Some(Bound { of_pods, what, resource, amount: amount? }))
        };
        bounds.flat_map(each).collect()
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, bounds) in rows.iter() {
            let labels =
                |resource: &str, bound: &str| [Arc::clone(&place.cluster), Arc::clone(&key.namespace), Arc::clone(&key.name), resource.into(), bound.into()];
            let of_containers = bounds.iter().filter(|bound| !bound.of_pods);
            samples.extend(of_containers.map(|bound| CONTAINER.sample(labels(&bound.resource, bound.what), bound.amount)));
        }
    }
}

/// Whether namespaces of workspaces bound their containers.
pub(in crate::collectors::kubernetes) fn present<'a>(
    ranges: &Rows<LimitRange>,
    namespaces: impl Iterator<Item = &'a str>,
    place: &Place,
    samples: &mut Vec<Sample>,
) {
    for namespace in namespaces {
        let found = ranges.iter().any(|(key, bounds)| &*key.namespace == namespace && bounds.iter().any(|bound| !bound.of_pods));
        samples.push(PRESENT.sample([&*place.cluster, namespace], objects::flag(found)));
    }
}
