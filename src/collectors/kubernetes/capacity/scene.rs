//! What the room for workspaces rests on.

use crate::collectors::kubernetes::kinds::karpenter::{NodeClaim, NodePool};
use crate::collectors::kubernetes::kinds::namespaces::Namespace;
use crate::collectors::kubernetes::kinds::nodeclasses::Classes;
use crate::collectors::kubernetes::kinds::nodes::Nodes;
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::quotas::Rules;
use crate::collectors::kubernetes::kinds::shortages::Shortages;
use crate::collectors::kubernetes::reading::objects::Rows;
use crate::event::Demand;

/// What the headroom rests on.
pub(in crate::collectors::kubernetes) struct Scene<'a> {
    pub(in crate::collectors::kubernetes) nodes: &'a Nodes,
    pub(in crate::collectors::kubernetes) pods: &'a Pods,
    pub(in crate::collectors::kubernetes) karpenter: Option<(&'a Rows<NodePool>, &'a Rows<NodeClaim>)>,
    /// What nodes of pools are made by, where that is watched.
    pub(in crate::collectors::kubernetes) classes: Option<&'a Classes>,
    /// Machines that the cloud did not have lately, on the cluster's clock.
    pub(in crate::collectors::kubernetes) shortages: Option<&'a Shortages>,
    pub(in crate::collectors::kubernetes) rules: Option<Rules<'a>>,
    pub(in crate::collectors::kubernetes) namespaces: Option<&'a Rows<Namespace>>,
    /// The participants that there must be room for, by event.
    pub(in crate::collectors::kubernetes) demands: &'a [Demand],
}

impl<'a> Scene<'a> {
    /// Of what every cluster has.
    pub(in crate::collectors::kubernetes) fn of(nodes: &'a Nodes, pods: &'a Pods, demands: &'a [Demand]) -> Self {
        Self { nodes, pods, karpenter: None, classes: None, shortages: None, rules: None, namespaces: None, demands }
    }
}
