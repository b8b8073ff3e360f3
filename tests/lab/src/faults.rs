//! Everything that can be broken, and which checks must notice.

/// A fault that can be switched on and off.
#[derive(Debug)]
pub struct Fault {
    /// Name on the control interface.
    pub name: &'static str,
    /// What breaks.
    pub what: &'static str,
    /// Checks of the workshop checklist that must turn red (fail, or warn where they do not block).
    pub red: &'static [&'static str],
    /// Checks that can no longer be seen.
    pub unknown: &'static [&'static str],
}

const fn red(name: &'static str, what: &'static str, red: &'static [&'static str]) -> Fault {
    Fault { name, what, red, unknown: &[] }
}

/// Checks that a cluster answers, which nobody can answer when it is silent. Names lead to load
/// balancers, so their targets cannot be judged either.
const CLUSTER: &[&str] = &[
    "DnsTargetMismatch",
    "NodeNotReady",
    "NodeDiskPressure",
    "NodeMemoryPressure",
    "NodeCordoned",
    "KarpenterNotReady",
    "LoadBalancerMissing",
    "ProxiesNotReady",
];
/// Checks that the presented certificate answers.
const CERTIFICATE: &[&str] = &["CertificateNotTrusted", "CertificateExpiresSoon", "CertificateExpiresBeforeEventEnd"];
/// Every check over HTTPS, which verifies certificates.
const HTTPS: &[&str] = &["EndpointUnhealthy", "WildcardRouteBroken", "EndpointIdentityMismatch", "SubdomainRoutingDegraded"];

/// Every fault.
pub static FAULTS: &[Fault] = &[
    red("node-not-ready", "a node in us-west-2 reports Ready=False", &["NodeNotReady"]),
    red("node-silent", "the kubelet of a node in us-west-2 stops reporting", &["NodeNotReady"]),
    red("node-disk-pressure", "a node in us-east-2 runs out of disk", &["NodeDiskPressure"]),
    red("node-memory-pressure", "a node in us-east-2 runs out of memory", &["NodeMemoryPressure"]),
    red("node-cordoned", "a node in eu-west-2 is cordoned", &["NodeCordoned"]),
    red("karpenter-down", "one Karpenter replica in eu-west-2 is not ready", &["KarpenterNotReady"]),
    red("rollout-stuck", "the rollout of the control plane does not finish", &["ControlPlaneNotReady"]),
    red("proxy-rollout-stuck", "the rollout of the Oregon proxy does not finish", &["ProxiesNotReady"]),
    red("provisioners-scaled-down", "provisioners are scaled to two", &["ProvisionersBelowBaseline"]),
    red("litellm-crash", "one LiteLLM pod crashes", &["LiteLlmNotReady"]),
    Fault {
        name: "load-balancer-gone",
        what: "the London Service loses its load balancer",
        red: &["LoadBalancerMissing"],
        // Its names have nothing left to be compared with.
        unknown: &["DnsTargetMismatch"],
    },
    Fault { name: "selector-empty", what: "the LiteLLM deployment is deleted", red: &[], unknown: &["LiteLlmNotReady"] },
    red("london-503", "the London health endpoint answers 503", &["EndpointUnhealthy"]),
    Fault {
        name: "london-hang",
        what: "the London endpoint accepts connections and says nothing",
        red: &["EndpointUnhealthy", "WildcardRouteBroken", "EndpointIdentityMismatch", "SubdomainRoutingDegraded", "TlsHandshakeFailed"],
        unknown: CERTIFICATE,
    },
    red("oregon-wildcard-404", "the Oregon router does not know its wildcard", &["WildcardRouteBroken", "SubdomainRoutingDegraded"]),
    red(
        "oregon-record-deleted",
        "the Oregon records are deleted, so its names fall to the control plane's wildcard",
        &["DnsTargetMismatch", "DnsNameFallsToWildcard", "EndpointIdentityMismatch", "WildcardRouteBroken", "SubdomainRoutingDegraded", "EndpointUnhealthy"],
    ),
    red(
        "dns-wrong-target",
        "London's names point at Ohio",
        &[
            "DnsTargetMismatch",
            "DnsNameFallsToWildcard",
            "EndpointIdentityMismatch",
            "EndpointUnhealthy",
            "WildcardRouteBroken",
            "SubdomainRoutingDegraded",
            "CertificateNotTrusted",
        ],
    ),
    red("dns-nxdomain", "the office name server does not know the Oregon wildcard", &["DnsNameUnresolved", "DnsTargetMismatch"]),
    Fault {
        name: "dns-servfail",
        what: "the office name server answers SERVFAIL",
        red: &["DnsNameUnresolved"],
        unknown: &["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
    },
    Fault {
        name: "dns-refused",
        what: "the office name server refuses",
        red: &["DnsNameUnresolved"],
        unknown: &["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
    },
    Fault {
        name: "dns-timeout",
        what: "the office name server does not answer",
        red: &["DnsNameUnresolved"],
        unknown: &["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
    },
    red(
        "dns-stale",
        "the office name server serves an old zone in which everything points at an unknown place",
        &["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree"],
    ),
    red("dns-truncated", "the name servers truncate every answer over UDP", &[]),
    Fault {
        name: "certificate-expired",
        what: "London presents an expired certificate",
        red: &["CertificateNotTrusted", "CertificateExpiresSoon", "CertificateExpiresBeforeEventEnd", HTTPS[0], HTTPS[1], HTTPS[2], HTTPS[3]],
        unknown: &[],
    },
    red("certificate-near-expiry", "London's certificate expires in three days", &["CertificateExpiresSoon", "CertificateExpiresBeforeEventEnd"]),
    Fault {
        name: "certificate-self-signed",
        what: "London presents a self-signed certificate",
        red: &["CertificateNotTrusted", HTTPS[0], HTTPS[1], HTTPS[2], HTTPS[3]],
        unknown: &[],
    },
    Fault {
        name: "certificate-wrong-name",
        what: "London presents a certificate for another name",
        red: &["CertificateNotTrusted", HTTPS[0], HTTPS[1], HTTPS[2], HTTPS[3]],
        unknown: &[],
    },
    Fault {
        name: "certificate-untrusted",
        what: "London's certificate is from an unknown authority",
        red: &["CertificateNotTrusted", HTTPS[0], HTTPS[1], HTTPS[2], HTTPS[3]],
        unknown: &[],
    },
    red("guide-gone", "the onboarding guide answers 404", &["DocumentUnreachable"]),
    Fault { name: "api-hang", what: "the us-west-2 API server accepts requests and says nothing", red: &[], unknown: CLUSTER },
    Fault { name: "api-reset", what: "the us-west-2 API server cuts every connection", red: &[], unknown: CLUSTER },
    Fault { name: "api-unauthorized", what: "the us-west-2 API server answers 401", red: &[], unknown: CLUSTER },
    Fault { name: "api-error", what: "the us-west-2 API server answers 500", red: &[], unknown: CLUSTER },
    Fault { name: "api-not-found", what: "the us-west-2 API server answers 404 to everything", red: &[], unknown: CLUSTER },
    Fault { name: "api-throttled", what: "the us-west-2 API server answers 429 and asks for a wait of a year", red: &[], unknown: CLUSTER },
    Fault { name: "api-html", what: "the us-west-2 API server answers with HTML", red: &[], unknown: CLUSTER },
    Fault { name: "api-half", what: "the us-west-2 API server sends half an answer", red: &[], unknown: CLUSTER },
    Fault { name: "forbidden-deployments", what: "deployments in us-west-2 may not be read", red: &[], unknown: &["KarpenterNotReady", "ProxiesNotReady"] },
    red("watch-gone", "watches in us-west-2 end with 410 Gone", &[]),
    red("watch-close", "watches in us-west-2 close at once", &[]),
];
