//! What is exported about a cluster as a whole.

use crate::collectors::kubernetes::watching::visibility::{looked_at, seen};
use crate::metric::{Gauge, StateSet, Unit, gauge, metrics, state_set, states};

states! {
    /// Whether something has the version that is expected.
    pub(super) enum Expectation {
        Expected => "expected",
        Other => "other",
    }
}

metrics! {
    /// Families about a cluster.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about the API server and the versions of a cluster.
    SERVER_FAMILIES {
        pub(in crate::collectors::kubernetes) static VERSION: Gauge<2> =
            gauge("readiness_kubernetes_version_info", Unit::Mark, &["cluster", "version"], "Version that the API server reports at /version.");
        pub(in crate::collectors::kubernetes) static VERSION_STATE: StateSet<Expectation, 2> = state_set(
            "readiness_kubernetes_version_state",
            &["cluster", "version"],
            "Whether the API server has the configured version, which the label names, from /version.",
        )
        .made_by("`version` to the cluster in clusters");
        pub(in crate::collectors::kubernetes) static CLOCK: Gauge<1> = gauge(
            "readiness_kubernetes_clock_offset_seconds",
            Unit::Seconds,
            &["cluster"],
            "Seconds between the clock of the API server, from the Date header of /version, and the exporter's, either way.",
        );
        pub(in crate::collectors::kubernetes) static KUBELET_SKEW: Gauge<1> = gauge(
            "readiness_kubelet_version_skew_max",
            Unit::Number,
            &["cluster"],
            "Minor versions that the oldest kubelet is behind the API server, from nodes and /version in the Kubernetes API.",
        )
        .covered_by(seen(&["Node"]));
    }

    /// Families about evicted pods.
    pub(in crate::collectors::kubernetes) EVICTION_FAMILIES {
        pub(in crate::collectors::kubernetes) static EVICTIONS: Gauge<3> = gauge(
            "readiness_evictions",
            Unit::Number,
            &["cluster", "namespace", "resource"],
            "Pods evicted within the window by what they or their node lacked, from pods and events in the Kubernetes API; counted after the pod is gone.",
        )
        .covered_by(looked_at(&["Pod", "Event"]));
    }

    /// Families about client programs.
    pub(in crate::collectors::kubernetes) CLIENT_FAMILIES {
        pub(in crate::collectors::kubernetes) static CLIENT_SKEW: Gauge<3> = gauge(
            "readiness_client_version_skew",
            Unit::Number,
            &["cluster", "client", "version"],
            "Minor versions between a configured client program and the API server, either way, from /version in the Kubernetes API.",
        );
    }
}
