//! Faults of what a cluster has once: namespaces, access, its clock, what stands behind a Service.

use super::{Group, red};

pub(super) static GROUP: Group = Group {
    name: "clusters",
    faults: &[
        red("two-default-classes", "us-west-2 has two default StorageClasses", &["StorageClassDefaultNotOne"]),
        red("endpoints-not-ready", "nothing stands behind the London Service", &["ServiceWithoutEndpoints"]),
        red("access-denied", "the deployer may no longer patch deployments", &["AccessMissing"]),
        red("namespace-gone", "a namespace is deleted", &["ObjectMissing"]),
        red("namespace-terminating", "a namespace has been being deleted for an hour", &["ObjectMissing"]),
        red("namespace-of-another-cluster", "the credentials for us-east-2 lead to another cluster", &["ObjectIdentityMismatch"]),
        red("role-annotation-gone", "the service account of the provisioners has no role", &["ObjectAnnotationMissing"]),
        red("prometheus-selects-nothing", "Prometheus selects no ServiceMonitor", &["PrometheusSelectsNothing"]),
        red("clock-ahead", "the clock of us-west-2 is five minutes ahead", &["ClusterClockOff"]),
        red("rollback-gone", "the control plane has no earlier revision", &["RollbackTargetMissing"]),
    ],
};
