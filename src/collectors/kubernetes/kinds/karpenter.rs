//! Karpenter v1 and EKS Auto Mode: pools and claims of nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::collectors::kubernetes::kinds::events::statistics;
use crate::collectors::kubernetes::kinds::lifetimes::Lifetime;
use crate::collectors::kubernetes::kinds::nodeclasses::{ClassRef, Conditions, conditions};
use crate::collectors::kubernetes::reading::labels::{Promised, Requirement};
use crate::collectors::kubernetes::reading::objects;
use crate::collectors::kubernetes::reading::objects::{Condition, ConditionStatus, Kind, Place, Rows, kind, or_default};
use crate::collectors::kubernetes::reading::resources::{Devices, Listed, NAMES, amounts, is_gpu, offered_devices};
use crate::collectors::kubernetes::reading::taints::{self, Taint};
use crate::collectors::kubernetes::watching::visibility::{looked_at, seen};
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set};

const POOLS: Coverage = seen(&["NodePool"]);
const CLAIMS: Coverage = looked_at(&["NodeClaim"]);

metrics! {
    /// Families about Karpenter.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about pools.
    POOL_FAMILIES {
        pub(in crate::collectors::kubernetes) static POOL_CONDITION: StateSet<ConditionStatus, 3> = state_set(
            "readiness_nodepool_condition_state",
            &["cluster", "nodepool", "condition"],
            "Status of each condition of a NodePool, from the karpenter.sh/v1 API.",
        )
        .covered_by(POOLS);
        static POOL_FAILING: Gauge<2> = gauge(
            "readiness_nodepool_registration_failing",
            Unit::Flag,
            &["cluster", "nodepool"],
            "Whether nodes of a NodePool launch but do not register: NodeRegistrationHealthy is False in the karpenter.sh/v1 API; it is not part of Ready.",
        )
        .covered_by(POOLS);
        static POOL_USED: Gauge<3> = gauge(
            "readiness_nodepool_used_ratio",
            Unit::Ratio,
            &["cluster", "nodepool", "resource"],
            "Share of a NodePool's limit that its nodes use; NaN where it has nodes and does not say what they use, from spec.limits and status.resources in the karpenter.sh/v1 API.",
        )
        .covered_by(POOLS.quiet());
        static POOL_LIMIT: Gauge<3> = gauge(
            "readiness_nodepool_limit",
            Unit::Number,
            &["cluster", "nodepool", "resource"],
            "Limit of a NodePool in the resource's own unit (cores, bytes, nodes), from spec.limits in the karpenter.sh/v1 API.",
        )
        .covered_by(POOLS.quiet());
        static POOL_NODES: Gauge<2> =
            gauge("readiness_nodepool_nodes", Unit::Number, &["cluster", "nodepool"], "Nodes of a NodePool, from status.nodes in the karpenter.sh/v1 API.")
                .covered_by(POOLS.quiet());
        static POOL_REPLICAS: Gauge<2> = gauge(
            "readiness_nodepool_static_replicas",
            Unit::Number,
            &["cluster", "nodepool"],
            "Nodes that a static NodePool should have, from spec.replicas in the karpenter.sh/v1 API.",
        )
        .covered_by(POOLS.quiet());
    }

    /// Families about claims.
    CLAIM_FAMILIES {
        static CLAIMS_BY_PHASE: Gauge<3> = gauge(
            "readiness_nodeclaims",
            Unit::Number,
            &["cluster", "nodepool", "phase"],
            "NodeClaims by how far they are: pending, launched, registered, ready, deleting; and drifted besides, from the karpenter.sh/v1 API.",
        )
        .covered_by(CLAIMS);
        static CLAIM_OLDEST: Gauge<2> = gauge(
            "readiness_nodeclaim_oldest_pending_timestamp_seconds",
            Unit::Timestamp,
            &["cluster", "nodepool"],
            "Since when a NodeClaim of a pool has had no node that is ready: its creation or, where it was ready before, the change of its condition, from the karpenter.sh/v1 API.",
        )
        .covered_by(CLAIMS);
        pub(in crate::collectors::kubernetes) static CLAIM_EXPIRY: Gauge<3> = gauge(
            "readiness_nodeclaim_expiry_timestamp_seconds",
            Unit::Timestamp,
            &["cluster", "nodepool", "nodeclaim"],
            "When a NodeClaim expires and its node is drained by force: its creation plus spec.expireAfter in the karpenter.sh/v1 API.",
        )
        .covered_by(CLAIMS);
    }

    /// Families about how long claims take.
    LAUNCH_FAMILIES {
        static LAUNCH: Gauge<3> = gauge(
            "readiness_nodeclaim_launch_duration_seconds",
            Unit::Seconds,
            &["cluster", "nodepool", "statistic"],
            "From the creation of a NodeClaim to its Initialized condition, over the claims that exist, from the karpenter.sh/v1 API.",
        )
        .covered_by(CLAIMS);
    }
}

kind!(NodePool, "karpenter.sh", "v1", "nodepools", "crate::collectors::kubernetes::reading::objects::slim", spec: PoolSpec, status: PoolStatus);
kind!(NodeClaim, "karpenter.sh", "v1", "nodeclaims", "crate::collectors::kubernetes::reading::objects::labelled", spec: ClaimSpec, status: ClaimStatus);

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct PoolSpec {
    #[serde(default, deserialize_with = "or_default")]
    limits: Listed,
    replicas: Option<u32>,
    #[serde(default, deserialize_with = "or_default")]
    template: Template,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Template {
    #[serde(default, deserialize_with = "or_default")]
    metadata: TemplateMeta,
    #[serde(default, deserialize_with = "or_default")]
    spec: TemplateSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateSpec {
    #[serde(default, deserialize_with = "or_default")]
    taints: Vec<Taint>,
    #[serde(default, deserialize_with = "or_default")]
    node_class_ref: ClassRef,
    #[serde(default, deserialize_with = "or_default")]
    requirements: Vec<Requirement>,
    expire_after: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct TemplateMeta {
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

/// Whether a requirement leaves nodes with GPUs alone.
/// Source: <https://karpenter.sh/docs/concepts/scheduling/#well-known-labels>
fn asks_for_gpus(own: &Requirement) -> bool {
    own.key.contains("/instance-gpu-") && matches!(own.operator.as_str(), "In" | "Exists" | "Gt" | "Gte")
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct PoolStatus {
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(default, deserialize_with = "or_default")]
    resources: Listed,
    nodes: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ClaimSpec {
    expire_after: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ClaimStatus {
    node_name: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
    #[serde(default, deserialize_with = "or_default")]
    allocatable: Listed,
    #[serde(default, deserialize_with = "or_default")]
    capacity: Listed,
}

/// What is kept of a pool.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Pool {
    conditions: Conditions,
    /// Each with what is used of it: nothing while it has no nodes, and not a number where it does not say.
    limits: BTreeMap<String, (f64, f64)>,
    nodes: Option<u32>,
    replicas: Option<u32>,
    /// Taints that its nodes will have for good: workspaces have to tolerate each, whatever it is called.
    /// Source: `NewNodeClaimTemplate` and `Taints.ToleratesPod` in `pkg/controllers/provisioning/scheduling` of Karpenter.
    pub(in crate::collectors::kubernetes) taints: Box<[Taint]>,
    pub(in crate::collectors::kubernetes) lifetime: Lifetime,
    /// Whether a limit of 0 keeps it from having any node.
    is_off: bool,
    pub(in crate::collectors::kubernetes) nodes_to_come: Promised,
    /// What its nodes are made by.
    pub(in crate::collectors::kubernetes) class: ClassRef,
}

/// What every node has, so that a pool that may have none of it has no nodes.
const EVERYWHERE: [&str; 5] = ["cpu", "memory", "ephemeral_storage", "pods", "nodes"];

impl Pool {
    /// Whether it can make nodes.
    pub(in crate::collectors::kubernetes) fn ready(&self) -> bool {
        self.conditions.iter().any(|(name, state)| name == "Ready" && *state == ConditionStatus::True)
    }

    /// What its limits leave of a resource, or of nodes, which is nothing where nobody knows; `None` without such a limit.
    pub(in crate::collectors::kubernetes) fn left(&self, resource: &str) -> Option<f64> {
        let (limit, used) = self.limits.get(resource)?;
        Some((limit - used).max(0.0))
    }

    /// Whether a limit of 0 keeps it from having any node: one of what every node has, or of GPUs where its nodes have
    /// some. Of other devices a limit of 0 keeps away only nodes that have them.
    pub(in crate::collectors::kubernetes) fn is_off(&self) -> bool {
        self.is_off
    }

    /// Whether it has a fixed number of nodes.
    pub(in crate::collectors::kubernetes) fn is_static(&self) -> bool {
        self.replicas.is_some()
    }
}

impl Kind for NodePool {
    type Row = Pool;
    const KIND: &'static str = "NodePool";
    const FAMILIES: &'static [&'static [&'static Family]] = &[POOL_FAMILIES];

    fn row(self) -> Pool {
        let used = self.status.resources;
        let Template { metadata, spec: template } = self.spec.template;
        let limits = self.spec.limits.into_iter();
        // Of what none of its nodes has it says nothing, and of what each has only while it has none.
        let says_nothing = |resource: &str| used.is_empty() || EVERYWHERE.contains(&resource);
        let has_nodes = self.status.nodes.is_some_and(|nodes| nodes > 0);
        let limits = limits.filter_map(|(resource, limit)| {
            let (limit, own) = (limit.0?, used.get(&resource).and_then(|used| used.0));
            let resource = resource.replace('-', "_");
            let unsaid = if has_nodes && says_nothing(&resource) { f64::NAN } else { 0.0 };
            Some((resource, (limit, own.unwrap_or(unsaid))))
        });
        let limits: BTreeMap<_, _> = limits.collect();
        let has_gpus = template.requirements.iter().any(asks_for_gpus) || template.taints.iter().any(Taint::is_of_gpus);
        let is_needed = |resource: &str| EVERYWHERE.contains(&resource) || (has_gpus && is_gpu(resource));
        Pool {
            is_off: limits.iter().any(|(resource, (limit, _))| *limit <= 0.0 && is_needed(resource)),
            limits,
            conditions: conditions(self.status.conditions, self.metadata.generation),
            nodes: self.status.nodes,
            replicas: self.spec.replicas,
            taints: taints::keeping_away(&template.taints),
            lifetime: Lifetime::of(template.expire_after.as_deref()),
            class: template.node_class_ref,
            nodes_to_come: Promised::of(self.metadata.name.as_deref().unwrap_or_default(), metadata.labels, template.requirements),
        }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, pool) in rows.iter() {
            let labels = |last: &str| [Arc::clone(&place.cluster), Arc::clone(&key.name), last.into()];
            samples.extend(pool.conditions.iter().map(|(condition, state)| POOL_CONDITION.sample(labels(condition), *state)));
            // Unknown means that too few nodes were launched to tell, which is no failure.
            let failing = pool.conditions.iter().any(|(name, state)| name == "NodeRegistrationHealthy" && *state == ConditionStatus::False);
            samples.push(POOL_FAILING.sample([Arc::clone(&place.cluster), Arc::clone(&key.name)], objects::flag(failing)));
            for (resource, (limit, used)) in &pool.limits {
                samples.push(POOL_LIMIT.sample(labels(resource), *limit));
                // A pool of a fixed size is meant to have all of its nodes.
                if pool.is_static() && *used <= *limit {
                    continue;
                }
                // A limit of 0 switches the pool off.
                let ratio = if *limit > 0.0 || used.is_nan() { used / limit } else { objects::flag(*used > 0.0) };
                let ratio = POOL_USED.sample(labels(resource), ratio);
                samples.push(if used.is_nan() { ratio.with_detail("it has nodes, and does not say what they use") } else { ratio });
            }
            let counts = [(&POOL_NODES, pool.nodes), (&POOL_REPLICAS, pool.replicas)];
            let own = || [Arc::clone(&place.cluster), Arc::clone(&key.name)];
            samples.extend(counts.iter().filter_map(|(family, count)| Some(family.sample(own(), f64::from((*count)?)))));
        }
    }
}

/// What is kept of a claim.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Claim {
    pool: String,
    pub(in crate::collectors::kubernetes) phase: &'static str,
    /// Since when it has had no node that is ready, on the cluster's clock.
    waiting: Option<i64>,
    drifted: bool,
    pub(in crate::collectors::kubernetes) created: Option<i64>,
    pub(in crate::collectors::kubernetes) lifetime: Lifetime,
    launch: Option<i64>,
    pub(in crate::collectors::kubernetes) allocatable: [Option<f64>; 4],
    /// What its machine has, which is what limits of a pool count.
    pub(in crate::collectors::kubernetes) capacity: [Option<f64>; 4],
    pub(in crate::collectors::kubernetes) devices: Devices,
}

impl Claim {
    /// The pool that it belongs to.
    pub(in crate::collectors::kubernetes) fn pool(&self) -> &str {
        &self.pool
    }

    /// Whether the cloud gave it a machine.
    pub(in crate::collectors::kubernetes) fn has_machine(&self) -> bool {
        matches!(self.phase, "launched" | "registered" | "ready")
    }

    /// When it expires, on the cluster's clock.
    pub(in crate::collectors::kubernetes) fn expiry(&self) -> Option<i64> {
        match self.lifetime {
            Lifetime::Seconds(after) => Some(self.created?.saturating_add(after)),
            Lifetime::Endless | Lifetime::Unreadable => None,
        }
    }
}

impl Kind for NodeClaim {
    type Row = Claim;
    const KIND: &'static str = "NodeClaim";
    const FAMILIES: &'static [&'static [&'static Family]] = &[CLAIM_FAMILIES, LAUNCH_FAMILIES];
    const LASTING: bool = false;
    // Its node drains meanwhile, and that is worth a number.
    const COUNTS_WHILE_DELETED: bool = true;

    fn row(self) -> Claim {
        let holds = |name: &str| self.status.conditions.iter().find(|condition| condition.r#type == name && condition.state() == ConditionStatus::True);
        let second = |time: &Option<Time>| time.as_ref().map(|time| time.0.as_second());
        let created = second(&self.metadata.creation_timestamp);
        let initialized = holds("Initialized").and_then(|condition| second(&condition.last_transition_time));
        let refused = self.status.conditions.iter().find(|condition| condition.r#type == "Ready" && condition.state() == ConditionStatus::False);
        // A machine has joined, and says which node it is.
        let has_node = holds("Registered").is_none() || self.status.node_name.as_deref().is_some_and(|name| !name.is_empty());
        // One that had started once has waited since it stopped.
        let stopped = refused.filter(|_| initialized.is_some()).and_then(|condition| second(&condition.last_transition_time));
        let phase = if self.metadata.deletion_timestamp.is_some() {
            "deleting"
        } else if refused.is_none() && has_node && (holds("Ready").is_some() || holds("Initialized").is_some()) {
            "ready"
        } else if holds("Registered").is_some() {
            "registered"
        } else if holds("Launched").is_some() {
            "launched"
        } else {
            "pending"
        };
        Claim {
            pool: self.metadata.labels.as_ref().and_then(|labels| labels.get("karpenter.sh/nodepool").cloned()).unwrap_or_default(),
            phase,
            waiting: stopped.or(created).filter(|_| !matches!(phase, "ready" | "deleting")),
            drifted: holds("Drifted").is_some(),
            created,
            lifetime: Lifetime::of(self.spec.expire_after.as_deref()),
            launch: created.zip(initialized).map(|(created, initialized)| initialized.saturating_sub(created)),
            allocatable: amounts(&self.status.allocatable),
            capacity: amounts(&self.status.capacity),
            devices: offered_devices(&self.status.allocatable, &Listed::new()),
        }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        let mut pools: BTreeMap<&str, Vec<(&Arc<str>, &Claim)>> = BTreeMap::new();
        for (key, claim) in rows.iter() {
            pools.entry(&claim.pool).or_default().push((&key.name, claim));
        }
        for (pool, claims) in pools {
            let labels = |last: &str| [Arc::clone(&place.cluster), pool.into(), last.into()];
            let mut count = |phase: &str, count: usize| samples.push(CLAIMS_BY_PHASE.sample(labels(phase), count as f64));
            for phase in ["pending", "launched", "registered", "ready", "deleting"] {
                count(phase, claims.iter().filter(|(_, claim)| claim.phase == phase).count());
            }
            count("drifted", claims.iter().filter(|(_, claim)| claim.drifted).count());
            let ours = |at: i64| at.saturating_sub(place.clock.ahead()) as f64;
            let oldest = claims.iter().filter_map(|(_, claim)| claim.waiting).min();
            samples.extend(oldest.map(|at| CLAIM_OLDEST.sample([&*place.cluster, pool], ours(at))));
            let expiring = claims.iter().filter(|(_, claim)| claim.phase != "deleting");
            samples.extend(expiring.filter_map(|(name, claim)| Some(CLAIM_EXPIRY.sample(labels(name), ours(claim.expiry()?)))));
            let mut launches: Vec<_> = claims.iter().filter_map(|(_, claim)| Some((claim.created?, claim.launch? as f64))).collect();
            launches.sort_by_key(|(created, _)| *created);
            let launches: Vec<f64> = launches.into_iter().map(|(_, seconds)| seconds).collect();
            samples.extend(statistics(&launches).into_iter().map(|(statistic, value)| LAUNCH.sample(labels(statistic), value)));
        }
    }
}

/// Names of resources that a pool may limit, nodes included.
pub(in crate::collectors::kubernetes) const LIMITED: [&str; 4] = [NAMES[0], NAMES[1], NAMES[2], "nodes"];
