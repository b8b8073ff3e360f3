//! The kinds of objects, one file each: what is kept of an object, and the facts that are made of all of them.

pub(super) mod backups;
pub(super) mod certmanager;
pub(super) mod claims;
pub(super) mod classes;
pub(super) mod conditions;
pub(super) mod demand;
pub(super) mod events;
pub(super) mod gpu;
pub(super) mod karpenter;
pub(super) mod lifetimes;
pub(super) mod locations;
pub(super) mod monitoring;
pub(super) mod namespaces;
pub(super) mod nodeclasses;
pub(super) mod nodes;
pub(super) mod placement;
pub(super) mod pod;
pub(super) mod pods;
pub(super) mod quotas;
pub(super) mod reasons;
pub(super) mod resumed;
pub(super) mod services;
pub(super) mod shape;
pub(super) mod workloads;
pub(super) mod workspaces;
