//! What is kept of a pod, and what the pods of a node ask for together.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::collectors::kubernetes::kinds::pod::Pod;
use crate::collectors::kubernetes::kinds::reasons::{Reason, UNREADY};
use crate::collectors::kubernetes::kinds::workspaces::Workspace;
use crate::collectors::kubernetes::reading::resources::{Amounts, Asks, Devices};

/// What is kept of a pod.
#[derive(Debug, PartialEq)]
pub(in crate::collectors::kubernetes) struct Row {
    pub(in crate::collectors::kubernetes) round: u32,
    pub(in crate::collectors::kubernetes) restarts: u32,
    pub(in crate::collectors::kubernetes) node: Option<Arc<str>>,
    pub(in crate::collectors::kubernetes) common: Arc<Common>,
    pub(in crate::collectors::kubernetes) problem: Option<Box<Problem>>,
    pub(in crate::collectors::kubernetes) workspaces: Box<[Workspace]>,
}

/// What replicas of one pod have in common, which is kept once for all of them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::collectors::kubernetes) struct Common {
    pub(in crate::collectors::kubernetes) namespace: Arc<str>,
    pub(in crate::collectors::kubernetes) phase: &'static str,
    pub(in crate::collectors::kubernetes) asks: Asks,
    pub(in crate::collectors::kubernetes) gpus: u32,
    /// What few pods have.
    pub(in crate::collectors::kubernetes) devices: Devices,
    /// Whether each new node gets one like it.
    pub(in crate::collectors::kubernetes) comes_with_nodes: bool,
    /// Its priority where that is below 0, and 0 for all others.
    pub(in crate::collectors::kubernetes) below: i32,
    /// Whether it is being deleted.
    pub(in crate::collectors::kubernetes) leaving: bool,
    /// Whose replica it is that is ready; 0 for none that counts.
    pub(in crate::collectors::kubernetes) ready_of: u64,
    pub(in crate::collectors::kubernetes) storage: Storage,
}

/// Limits of ephemeral storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::collectors::kubernetes) struct Storage {
    /// In bytes.
    pub(in crate::collectors::kubernetes) limit: Option<u64>,
    pub(in crate::collectors::kubernetes) unlimited_empty_dir: bool,
}

impl Row {
    /// Since when it has been known to take no requests.
    pub(in crate::collectors::kubernetes) fn unready_since(&self) -> Option<i64> {
        self.problem.as_ref()?.waiting.get(&UNREADY).copied()
    }
}

/// What is kept only of a pod that is not well.
#[derive(Debug, PartialEq)]
pub(in crate::collectors::kubernetes) struct Problem {
    pub(in crate::collectors::kubernetes) name: Box<str>,
    pub(in crate::collectors::kubernetes) waiting: BTreeMap<Reason, i64>,
    pub(in crate::collectors::kubernetes) pending: Option<(&'static str, i64)>,
}

/// What the pods on one node ask for, summed up in thousandths of cores.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::collectors::kubernetes) struct Load {
    pub(in crate::collectors::kubernetes) requests: Amounts,
    pub(in crate::collectors::kubernetes) limits: Amounts,
    /// The part of the requests that each new node has as well.
    pub(in crate::collectors::kubernetes) with_node: Amounts,
    /// The parts of the requests that give way to others, by a priority below 0.
    giving_way: BTreeMap<i32, Amounts>,
}

impl Load {
    /// Adds what a pod asks for, or takes it away.
    pub(in crate::collectors::kubernetes) fn account(&mut self, pod: &Common, sign: f64) {
        let signed = |amounts: [f64; 3]| {
            let [cpu, memory, storage] = amounts.map(|amount| sign * amount);
            Amounts([cpu, memory, storage, sign])
        };
        let requests = signed(pod.asks.requests());
        self.requests.add(requests);
        self.limits.add(signed(pod.asks.limits()));
        if pod.below < 0 {
            let giving_way = self.giving_way.entry(pod.below).or_default();
            giving_way.add(requests);
            if giving_way.0[3] < 0.5 {
                self.giving_way.remove(&pod.below);
            }
        }
        if pod.comes_with_nodes {
            self.with_node.add(requests);
        }
    }

    /// The same in cores.
    pub(in crate::collectors::kubernetes) fn in_cores(self) -> Self {
        let Self { requests, limits, with_node, giving_way } = self;
        let giving_way = giving_way.into_iter().map(|(priority, amounts)| (priority, amounts.in_cores())).collect();
        Self { requests: requests.in_cores(), limits: limits.in_cores(), with_node: with_node.in_cores(), giving_way }
    }

    /// The requests without those of pods that give way below a priority.
    pub(in crate::collectors::kubernetes) fn without_giving_way(&self, below: i32) -> [f64; 4] {
        self.giving_way.range(..below).fold(self.requests.0, |taken, (_, own)| [0, 1, 2, 3].map(|at| taken[at] - own.0[at]))
    }
}

pub(in crate::collectors::kubernetes) fn phase(pod: &Pod) -> &'static str {
    match pod.status.phase.as_str() {
        "Pending" => "pending",
        "Running" => "running",
        "Succeeded" => "succeeded",
        "Failed" => "failed",
        _ => "unknown",
    }
}

/// Half of an identity, which tells the owners of pods apart in half of the memory.
pub(in crate::collectors::kubernetes) fn short(text: &str) -> u64 {
    u64::try_from(uid(Some(text)) >> 64).unwrap_or_default()
}

/// A pod's identity. Not its name: a replaced pod of a StatefulSet has the same one.
pub(in crate::collectors::kubernetes) fn uid(text: Option<&str>) -> u128 {
    let text = text.unwrap_or_default();
    let mut digits = text.bytes().filter(|byte| *byte != b'-');
    let parsed = digits.try_fold((0_u128, 0), |(uid, length), byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(((uid << 4) | u128::from(digit), length + 1))
    });
    if let Some((uid, 32)) = parsed {
        return uid;
    }
    // Static pods and simulations have other identities.
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (half(1) << 64) | half(2)
}
