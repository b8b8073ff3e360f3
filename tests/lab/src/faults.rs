//! Everything that can be broken, and which checks must notice.

use crate::wire::{COLLECTORS, TROUBLES};

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

/// Checks that every cluster answers, which nobody can answer when one is silent. Names lead to
/// load balancers, so their targets cannot be judged either.
const CLUSTER: &[&str] = &[
    "NodeNotReady",
    "NodeDiskPressure",
    "NodeMemoryPressure",
    "NodePidPressure",
    "NodeCordoned",
    "NodeUnfit",
    "NodeBeingDisrupted",
    "NodeStorageSmall",
    "GpuUnhealthy",
    "KubeletTooOld",
    "ImageNotCached",
    "ImagePullFailing",
    "ContainerCrashLooping",
    "ContainerConfigBroken",
    "ContainerStuckCreating",
    "PodsUnschedulable",
    "PodsEvicted",
    "ContainersOomKilled",
    "ContainerRestartsHigh",
    "WarningEventsBurst",
    "ImagePullSlow",
    "NodePoolNotReady",
    "NodePoolRegistrationFailing",
    "NodePoolNearLimit",
    "NodeClaimStuck",
    "NodeClaimExpiresDuringEvent",
    "NodeClaimDrifted",
    "NodeLaunchSlow",
    "NodeClassNotReady",
    "ResourceQuotaNearlyUsed",
    "StorageClassDefaultNotOne",
    "ServiceWithoutEndpoints",
    "LoadBalancerMissing",
    "KarpenterNotReady",
    "ProxiesNotReady",
    "ClientVersionSkew",
    "ClusterClockOff",
    "DnsTargetMismatch",
    "NodeStorageHigh",
    "NodeInodesHigh",
    "PodStorageNearLimit",
    "VolumeNearlyFull",
    "NodeCpuHigh",
    "NodeMemoryHigh",
    "WorkloadNearItsLimit",
    "WorkloadScaledToZero",
    "WorkloadRestarted",
    "RolloutSlow",
    "ClusterVersionUnexpected",
    "NodeCapacityInsufficient",
    "ImageMismatchAcrossClusters",
    "ClusterImageStale",
    "ImageTagMutable",
    "ImageRepositoryUnexpected",
];
/// Checks that kubelets answer.
const SUMMARY: &[&str] = &["NodeStorageHigh", "NodeInodesHigh", "PodStorageNearLimit", "VolumeNearlyFull"];
/// Checks that the pods of every cluster answer.
const PODS: &[&str] = &[
    "ImagePullFailing",
    "ContainerCrashLooping",
    "ContainerConfigBroken",
    "ContainerStuckCreating",
    "PodsUnschedulable",
    "PodsEvicted",
    "ContainersOomKilled",
    "ContainerRestartsHigh",
    "PodStorageNearLimit",
    "WorkloadNearItsLimit",
    "WorkloadRestarted",
    "ImageMismatchAcrossClusters",
    "ClusterImageStale",
    "ImageTagMutable",
    "ImageRepositoryUnexpected",
];
/// The same without what events tell as well, and with what asks for pods by itself.
const LISTS: &[&str] = &[
    "ImagePullFailing",
    "ContainerCrashLooping",
    "ContainerConfigBroken",
    "ContainerStuckCreating",
    "PodsUnschedulable",
    "PodsEvicted",
    "ContainersOomKilled",
    "ContainerRestartsHigh",
    "WorkloadNearItsLimit",
    "PodStorageNearLimit",
    "WorkloadRestarted",
    "ImageMismatchAcrossClusters",
    "ClusterImageStale",
    "ImageTagMutable",
    "ImageRepositoryUnexpected",
];
/// Checks that the metrics API answers.
const USE: &[&str] = &["NodeCpuHigh", "NodeMemoryHigh", "WorkloadNearItsLimit"];
/// Checks that Karpenter's pools and claims answer.
const KARPENTER: &[&str] = &[
    "NodePoolNotReady",
    "NodePoolRegistrationFailing",
    "NodePoolNearLimit",
    "NodeClaimStuck",
    "NodeClaimExpiresDuringEvent",
    "NodeClaimDrifted",
    "NodeLaunchSlow",
];
/// Checks that the upstream registry answers.
const UPSTREAM: &[&str] = &["ImageMissing", "MirrorOutOfSync"];
/// The same when it does not answer at all.
const SILENT: &[&str] = &["ImageMissing", "MirrorOutOfSync", "RegistryRateLimitLow"];
/// Checks that need a Secret of us-east-2 to be read.
const SECRETS: &[&str] = &[
    "CredentialMissing",
    "CredentialInvalid",
    ENDS[0],
    ENDS[1],
    "CredentialTooOld",
    "CredentialCopiesDiffer",
    "WorkloadOlderThanCredential",
    "PullSecretMissing",
    "ImageNotPullable",
    "PullSecretExpiring",
];
/// Checks of when credentials end.
const ENDS: &[&str] = &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"];
/// The same, and of their age.
const LOST: &[&str] = &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd", "CredentialTooOld"];
/// Checks that the presented certificate answers.
const CERTIFICATE: &[&str] = &["CertificateNotTrusted", "CertificateExpiresSoon", "CertificateExpiresBeforeEventEnd"];
/// Every check over HTTPS, which verifies certificates.
const HTTPS: &[&str] = &["EndpointUnhealthy", "WildcardRouteBroken", "EndpointIdentityMismatch", "SubdomainRoutingDegraded"];

/// Every fault.
pub static FAULTS: &[Fault] = &[
    red("node-not-ready", "a node in us-west-2 reports Ready=False", &["NodeNotReady"]),
    Fault {
        name: "node-silent",
        what: "the kubelet of a node in us-west-2 stops reporting",
        red: &["NodeNotReady"],
        unknown: &["NodeDiskPressure", "NodeMemoryPressure", "NodePidPressure"],
    },
    red("node-gone", "a node of us-east-2 is gone", &["NodesMissing"]),
    Fault {
        name: "node-without-conditions",
        what: "the kubelet of a node in us-west-2 does not say what it is short of",
        red: &[],
        unknown: &["NodeDiskPressure", "NodeMemoryPressure", "NodePidPressure"],
    },
    red("node-gpu-operator-not-ready", "the GPU operator of us-east-2 is not ready", &["GpuOperatorNotReady"]),
    red("node-disk-pressure", "a node in us-east-2 runs out of disk", &["NodeDiskPressure"]),
    red("node-memory-pressure", "a node in us-east-2 runs out of memory", &["NodeMemoryPressure"]),
    red("node-cordoned", "a node in eu-west-2 is cordoned", &["NodeCordoned"]),
    red("karpenter-down", "one Karpenter replica in eu-west-2 is not ready", &["KarpenterNotReady"]),
    red("rollout-stuck", "the rollout of the control plane does not finish", &["ControlPlaneNotReady"]),
    red("proxy-rollout-stuck", "the rollout of the Oregon proxy does not finish", &["ProxiesNotReady"]),
    red("provisioners-scaled-down", "provisioners are scaled to two", &["ProvisionersBelowBaseline"]),
    red("litellm-crash", "one LiteLLM pod crashes", &["LiteLlmNotReady"]),
    red("litellm-restarted", "a LiteLLM container has restarted since its rollout", &["WorkloadRestarted"]),
    red("litellm-scaled-down", "LiteLLM is scaled to nothing", &["WorkloadScaledToZero"]),
    red("rollout-slow", "the last rollout of the control plane took over six minutes", &["RolloutSlow"]),
    red("provisioners-without-role", "a provisioner is older than the role of its service account", &["WorkloadWithoutAwsRole"]),
    Fault {
        name: "load-balancer-gone",
        what: "the London Service loses its load balancer",
        red: &["LoadBalancerMissing", "LoadBalancerAddressMismatch"],
        // Its names have nothing left to be compared with.
        unknown: &["DnsTargetMismatch"],
    },
    Fault {
        name: "selector-empty",
        what: "the LiteLLM deployment is deleted",
        red: &[],
        unknown: &["LiteLlmNotReady", "RolloutSlow", "WorkloadNearItsLimit", "WorkloadRestarted", "WorkloadScaledToZero"],
    },
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
    Fault {
        name: "forbidden-deployments",
        what: "deployments in us-west-2 may not be read",
        red: &[],
        unknown: &[
            "KarpenterNotReady",
            "ProxiesNotReady",
            "WorkloadNearItsLimit",
            "WorkloadScaledToZero",
            "WorkloadRestarted",
            "RolloutSlow",
            "ImageMismatchAcrossClusters",
            "ClusterImageStale",
            "ImageTagMutable",
            "ImageRepositoryUnexpected",
        ],
    },
    red("watch-gone", "watches in us-west-2 end with 410 Gone", &[]),
    red("watch-compacted", "etcd of us-west-2 is compacted again and again, so that watches must list anew", &[]),
    red("watch-close", "watches in us-west-2 close at once", &[]),
    red("node-pid-pressure", "a node in us-east-2 runs out of process numbers", &["NodePidPressure"]),
    red("node-unfit", "a node in eu-west-2 is tainted for lack of a network", &["NodeUnfit"]),
    red("node-disrupted", "Karpenter takes a node in eu-west-2 away", &["NodeBeingDisrupted"]),
    red("node-gpu-broken", "a GPU of a node in us-east-2 is not healthy", &["GpuUnhealthy"]),
    red("kubelet-old", "a kubelet in us-west-2 is five versions behind", &["KubeletTooOld"]),
    red("storage-high", "a disk in us-east-2 is at 71 %", &["NodeStorageHigh"]),
    red("storage-critical", "a disk in us-east-2 is at 90 %", &["NodeStorageHigh"]),
    red("storage-high-in-london", "a disk in eu-west-2, whose kubelets are asked directly, is at 71 %", &["NodeStorageHigh"]),
    red("storage-volume-full", "a claimed volume in us-east-2 is at 96 %", &["VolumeNearlyFull"]),
    red("inodes-high", "a disk in us-east-2 has few inodes left", &["NodeInodesHigh"]),
    red("pod-storage-full", "a workspace in us-east-2 uses nearly all of its storage limit", &["PodStorageNearLimit"]),
    red("data-disk-small", "the data disk of a node in us-east-2 has only 50 GiB", &["NodeStorageSmall"]),
    Fault { name: "summary-hang", what: "a kubelet in us-west-2 does not answer", red: &[], unknown: SUMMARY },
    Fault { name: "summary-html", what: "the node proxy of us-west-2 answers with HTML", red: &[], unknown: SUMMARY },
    Fault { name: "summary-empty", what: "a kubelet in us-west-2 answers without what was asked for", red: &[], unknown: SUMMARY },
    Fault { name: "forbidden-summary", what: "the node proxy of us-west-2 may not be used", red: &[], unknown: SUMMARY },
    Fault { name: "api-lists-hang", what: "lists of pods in us-west-2 hang, while the API server answers otherwise", red: &[], unknown: LISTS },
    Fault { name: "forbidden-pods", what: "pods in us-west-2 may not be read", red: &[], unknown: PODS },
    Fault { name: "forbidden-quotas", what: "quotas in us-west-2 may not be read", red: &[], unknown: &["ResourceQuotaNearlyUsed"] },
    red("image-pull-fails", "a pod in us-east-2 cannot pull its image", &["ImagePullFailing"]),
    red("image-pull-slow", "a pull in us-east-2 took a minute and a half", &["ImagePullSlow"]),
    red("image-not-cached", "a node in us-east-2 lacks the image of the workspaces", &["ImageNotCached"]),
    red("pod-crash-loops", "a container in us-east-2 crashes again and again", &["ContainerCrashLooping"]),
    red("pod-config-broken", "a container in us-east-2 lacks a key of its Secret", &["ContainerConfigBroken"]),
    red("pod-stuck-creating", "a container in us-east-2 has been created for ten minutes", &["ContainerStuckCreating"]),
    red("pod-unschedulable", "a pod in us-east-2 has found no node for ten minutes", &["PodsUnschedulable"]),
    red("pod-evicted", "a pod in us-east-2 was evicted for lack of storage", &["PodsEvicted"]),
    red("eviction-seen-only-as-event", "a pod in us-east-2 was evicted for lack of memory and is gone", &["PodsEvicted"]),
    red("pod-oom-killed", "a container in us-east-2 was killed for lack of memory", &["ContainersOomKilled"]),
    red("pod-restarts-often", "a container in us-east-2 restarted thirty times", &["ContainerRestartsHigh"]),
    red("warning-events-burst", "us-east-2 reports one warning 250 times", &["WarningEventsBurst"]),
    red("workspace-flaps", "a workspace in us-east-2 is replaced again and again", &["WorkspaceFlapping"]),
    red("workspace-without-limit", "a workspace in us-east-2 has no limit of storage", &["WorkspaceWithoutStorageLimit"]),
    red("workspace-too-large", "a workspace in us-east-2 may use 16 cores", &["WorkspaceLimitOutOfRange"]),
    red("no-headroom", "the nodes of us-east-2 are full and Karpenter may make no more", &["CapacityHeadroomLow", "NodePoolNearLimit"]),
    red("use-of-cpu-high", "a node in us-east-2 is busy", &["NodeCpuHigh"]),
    red("use-of-memory-high", "a node in us-east-2 has little memory left", &["NodeMemoryHigh"]),
    red("use-of-limit-high", "LiteLLM is close to its memory limit", &["WorkloadNearItsLimit"]),
    Fault { name: "metrics-api-gone", what: "the metrics API of us-west-2 is not available", red: &[], unknown: USE },
    Fault { name: "metrics-of-a-node-missing", what: "the metrics API leaves a node of us-east-2 out", red: &[], unknown: &["NodeCpuHigh", "NodeMemoryHigh"] },
    Fault { name: "metrics-of-a-pod-missing", what: "the metrics API leaves a LiteLLM pod out", red: &[], unknown: &["WorkloadNearItsLimit"] },
    red("nodepool-not-ready", "a NodePool in eu-west-2 is not ready", &["NodePoolNotReady"]),
    red("nodepool-registration-fails", "nodes of a NodePool in eu-west-2 do not register", &["NodePoolRegistrationFailing"]),
    red("nodepool-exhausted", "a NodePool in us-east-2 has reached its limit", &["NodePoolNearLimit"]),
    red("nodeclass-not-ready", "a node class in eu-west-2 finds no image", &["NodeClassNotReady"]),
    red("nodeclaim-stuck", "a NodeClaim in eu-west-2 has waited for its node for twenty minutes", &["NodeClaimStuck"]),
    red("nodeclaim-expires-in-event", "a node in eu-west-2 expires while the event runs", &["NodeClaimExpiresDuringEvent"]),
    red("nodeclaim-drifted", "a node in eu-west-2 has drifted", &["NodeClaimDrifted"]),
    red("nodeclaim-launched-slowly", "a node in eu-west-2 took twenty minutes to launch", &["NodeLaunchSlow"]),
    red("nodeclaim-no-capacity", "the cloud has no machine of the size that Karpenter asks for", &["NodeCapacityInsufficient"]),
    Fault { name: "crd-of-another-version", what: "us-west-2 serves an older version of Karpenter's resources", red: &[], unknown: KARPENTER },
    red("quota-nearly-used", "a quota in us-east-2 is at 95 %", &["ResourceQuotaNearlyUsed"]),
    red("limit-range-gone", "the namespace of the workspaces has no LimitRange", &["WorkspaceNamespaceUnbounded"]),
    red("two-default-classes", "us-west-2 has two default StorageClasses", &["StorageClassDefaultNotOne"]),
    red("endpoints-not-ready", "nothing stands behind the London Service", &["ServiceWithoutEndpoints"]),
    Fault {
        name: "load-balancer-replaced",
        what: "the London Service has another load balancer than expected",
        red: &["LoadBalancerAddressMismatch"],
        // The new one has no name yet, so there is nothing to compare with.
        unknown: &["DnsTargetMismatch"],
    },
    red("access-denied", "the deployer may no longer patch deployments", &["AccessMissing"]),
    red("namespace-gone", "a namespace is deleted", &["ObjectMissing"]),
    red("namespace-of-another-cluster", "the credentials for us-east-2 lead to another cluster", &["ObjectIdentityMismatch"]),
    red("role-annotation-gone", "the service account of the provisioners has no role", &["ObjectAnnotationMissing"]),
    red("prometheus-selects-nothing", "Prometheus selects no ServiceMonitor", &["PrometheusSelectsNothing"]),
    red("api-upgraded", "the us-west-2 API server is three versions ahead of kubectl", &["ClientVersionSkew", "ClusterVersionUnexpected"]),
    red("clock-ahead", "the clock of us-west-2 is five minutes ahead", &["ClusterClockOff"]),
    red("rollback-gone", "the control plane has no earlier revision", &["RollbackTargetMissing"]),
    red("rotation-run-failed", "the last run of the key rotation failed", &["RotationNotDone"]),
    red("rotation-slow", "a run of the key rotation does not end", &["RotationNotDone"]),
    red("rotation-missed", "the key rotation did not run yesterday", &["RotationNotDone"]),
    red("rotation-renewal-hits-event", "cert-manager renews a certificate during the event", &["RotationHitsEvent"]),
    red("backup-too-old", "the last backup is two and a half days old", &["BackupTooOld"]),
    Fault { name: "backup-never-made", what: "a schedule has made no backup yet", red: &["BackupTooOld"], unknown: &["BackupFailed"] },
    red("backup-failed", "the last backup failed in part", &["BackupFailed"]),
    red("backup-schedule-paused", "the schedule of the backups is paused", &["BackupScheduleOff"]),
    red("backup-location-gone", "the storage of the backups is not available", &["BackupLocationUnavailable"]),
    red("backup-snapshot-old", "the last snapshot of the database is two and a half days old", &["VolumeSnapshotTooOld"]),
    Fault {
        name: "mirror-stale",
        what: "the mirror of us-east-2 was not refreshed, and its cluster pulled from it",
        red: &["MirrorOutOfSync", "ImageMismatchAcrossClusters"],
        unknown: &[],
    },
    Fault {
        name: "mirror-tag-gone",
        what: "the mirror of us-west-2 has lost the tag",
        red: &["ImageMissing"],
        unknown: &["MirrorOutOfSync", "ClusterImageStale"],
    },
    red("running-older-digest", "us-west-2 still runs the older image behind the same tag", &["ClusterImageStale", "ImageMismatchAcrossClusters"]),
    Fault {
        name: "running-rollout",
        what: "us-east-2 is being rolled out, so that two images run there",
        red: &["ControlPlaneNotReady"],
        unknown: &["ClusterImageStale", "ImageMismatchAcrossClusters"],
    },
    Fault {
        name: "running-not-started",
        what: "a proxy in eu-west-2 has not started, so nobody knows what it will run",
        red: &[],
        unknown: &["ClusterImageStale", "ImageMismatchAcrossClusters"],
    },
    red("running-mutable-tag", "us-east-2 asks for a tag that can move", &["ImageTagMutable"]),
    red("running-from-elsewhere", "us-east-2 takes the image from somebody else", &["ImageRepositoryUnexpected"]),
    red("registry-tag-moved-back", "the upstream tag was moved back to the older image", &["MirrorOutOfSync"]),
    Fault { name: "registry-unreachable", what: "the upstream registry cuts every connection", red: &["RegistryUnavailable"], unknown: SILENT },
    Fault { name: "registry-hangs", what: "the upstream registry says nothing", red: &["RegistryUnavailable"], unknown: SILENT },
    red("registry-rate-limit-low", "few pulls are left at the upstream registry", &["RegistryRateLimitLow"]),
    Fault {
        name: "registry-throttles",
        what: "the upstream registry answers 429 and asks for a wait of a year",
        red: &["RegistryUnavailable"],
        unknown: SILENT,
    },
    Fault { name: "registry-html", what: "the upstream registry answers with a page for people", red: &["RegistryUnavailable"], unknown: SILENT },
    Fault { name: "registry-redirects-for-ever", what: "the upstream registry redirects to itself", red: &[], unknown: UPSTREAM },
    Fault { name: "registry-token-endpoint-down", what: "the upstream registry hands out no tokens", red: &[], unknown: UPSTREAM },
    Fault {
        name: "registry-token-too-weak",
        what: "tokens of the upstream registry reach another repository",
        red: &["ImageMissing"],
        unknown: &["MirrorOutOfSync"],
    },
    Fault {
        name: "registry-denies",
        what: "the mirrors refuse the credentials",
        red: &["ImageMissing", "ImageNotPullable", "WorkspaceImageMissing"],
        unknown: &["MirrorOutOfSync", "ClusterImageStale"],
    },
    Fault {
        name: "registry-wrong-digest",
        what: "the mirrors tell digests that are not those of what they send",
        red: &[],
        unknown: &["MirrorOutOfSync", "ClusterImageStale", "ImageNotPullable"],
    },
    red("registry-workspace-image-gone", "the image of the workspaces was deleted", &["WorkspaceImageMissing"]),
    Fault { name: "pull-secret-gone", what: "the pull secret was deleted", red: &["PullSecretMissing"], unknown: &["ImageNotPullable", "PullSecretExpiring"] },
    Fault { name: "pull-secret-forbidden", what: "the pull secret may not be read", red: &["CredentialExpiryUnknown"], unknown: SECRETS },
    Fault {
        name: "pull-secret-encoded-twice",
        what: "the pull secret is encoded twice",
        red: &["PullSecretMissing", "ImageNotPullable"],
        unknown: &["PullSecretExpiring"],
    },
    red("pull-secret-wrong-password", "the password of the pull secret is wrong", &["ImageNotPullable"]),
    red("pull-secret-expires-soon", "the token of the pull secret expires within the hour", &["PullSecretExpiring"]),
    red("pull-secret-image-without-layer", "the mirror lacks a layer of the image", &["ImageNotPullable"]),
    // ECR is asked by a configuration of its own, so the example's checks do not notice these.
    red("ecr-stale", "the tag in ECR names the older image", &[]),
    red("ecr-tag-gone", "the tag in ECR is gone", &[]),
    red("ecr-scan-critical", "a scan in ECR found something critical", &[]),
    red("ecr-denies", "ECR refuses", &[]),
    red("ecr-throttles", "ECR throttles", &[]),
    red("ecr-credentials-expired", "the AWS credentials have expired", &[]),
    red(
        "credential-certificate-ends-soon",
        "the certificate in the wildcard Secret ends in half an hour",
        &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
    ),
    red(
        "credential-certificate-ended",
        "the certificate in the wildcard Secret has ended",
        &["CredentialInvalid", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
    ),
    red("credential-certificate-not-yet-valid", "the certificate in the wildcard Secret is valid from tomorrow on", &["CredentialInvalid"]),
    Fault {
        name: "credential-certificate-broken",
        what: "the wildcard Secret holds no certificate",
        red: &["CredentialInvalid", "CredentialExpiryUnknown"],
        unknown: ENDS,
    },
    Fault {
        name: "credential-secret-gone",
        what: "the wildcard Secret was deleted",
        red: &["CredentialMissing", "CredentialInvalid", "CredentialExpiryUnknown"],
        unknown: LOST,
    },
    Fault {
        name: "credential-key-missing",
        what: "the Secret of the LLM key lacks its key",
        red: &["CredentialMissing", "CredentialInvalid", "CredentialExpiryUnknown"],
        unknown: &[LOST[0], LOST[1], LOST[2], "CredentialCopiesDiffer"],
    },
    Fault { name: "credential-secrets-forbidden", what: "Secrets in us-east-2 may not be read", red: &["CredentialExpiryUnknown"], unknown: SECRETS },
    Fault { name: "credential-github-refused", what: "GitHub refuses its token", red: &["CredentialInvalid", "CredentialExpiryUnknown"], unknown: ENDS },
    red("credential-google-ends-soon", "the key of the Google account ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
    red("credential-github-ends-soon", "the token of GitHub ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
    Fault { name: "credential-gitlab-revoked", what: "the token of GitLab was revoked", red: &["CredentialInvalid", "CredentialExpiryUnknown"], unknown: ENDS },
    red("credential-gitlab-ends-soon", "the token of GitLab ends tomorrow", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
    red("credential-coder-ends-soon", "the token of Coder ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
    red("credential-llm-key-ends-soon", "the LLM key ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
    Fault { name: "credential-llm-key-end-untold", what: "LiteLLM does not say when the key ends", red: &["CredentialExpiryUnknown"], unknown: ENDS },
    Fault {
        name: "credential-copy-stale",
        what: "the copy of the LLM key is yesterday's",
        red: &["CredentialCopiesDiffer", "CredentialInvalid", "CredentialExpiryUnknown"],
        unknown: ENDS,
    },
    red("credential-changed-under-provisioners", "the copy of the LLM key was changed after its provisioners had started", &["WorkloadOlderThanCredential"]),
    red("credential-renewal-fails", "cert-manager cannot renew a certificate", &["CertManagerCertificateNotReady"]),
    red("credential-licence-ends-soon", "the licence of Coder ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
    Fault { name: "credential-licence-gone", what: "Coder has no licence", red: &["CredentialInvalid", "CredentialExpiryUnknown"], unknown: ENDS },
    Fault {
        name: "credential-provisioner-key-old",
        what: "the provisioner key of Coder is a hundred days old",
        red: &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd", "CredentialTooOld"],
        unknown: &[],
    },
    Fault {
        name: "credential-provisioner-key-gone",
        what: "the provisioner key of Coder was deleted",
        red: &["CredentialInvalid", "CredentialExpiryUnknown"],
        unknown: LOST,
    },
    red(
        "credential-entra-ends-soon",
        "the secret of the Entra application ends in half an hour",
        &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
    ),
    Fault {
        name: "credential-entra-ended",
        what: "the secret of the Entra application has ended",
        red: &["CredentialInvalid", "CredentialExpiryUnknown"],
        unknown: LOST,
    },
    Fault {
        name: "credential-entra-refused",
        what: "Entra knows another secret of the application",
        red: &["CredentialInvalid", "CredentialExpiryUnknown"],
        unknown: LOST,
    },
    Fault {
        name: "credential-entra-end-hidden",
        what: "Graph does not let the application read about itself",
        red: &["CredentialExpiryUnknown"],
        unknown: LOST,
    },
    Fault {
        name: "credential-google-key-deleted",
        what: "the key of the Google account was deleted",
        red: &["CredentialInvalid", "CredentialExpiryUnknown"],
        unknown: ENDS,
    },
    Fault {
        name: "credential-google-clock",
        what: "Google finds that the exporter's clock is wrong",
        red: &["CredentialExpiryUnknown"],
        unknown: &["CredentialInvalid", ENDS[0], ENDS[1]],
    },
    Fault {
        name: "credential-issuers-down",
        what: "the issuers answer 503",
        red: &["CredentialExpiryUnknown"],
        unknown: &["CredentialInvalid", LOST[0], LOST[1], LOST[2]],
    },
    red("rotation-not-suspended", "the key rotation runs every minute, and nobody has suspended it", &["RotationHitsEvent"]),
    red("rotation-forgotten", "the key rotation is still suspended, with no event at hand", &["RotationForgotten"]),
    red(
        "rotation-suspended-key-lapses",
        "the key rotation is suspended, and the LLM key that it made last ends in half an hour",
        &["RotationForgotten", "RotationSuspendedKeyLapses", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
    ),
    Fault {
        name: "rotation-deleted",
        what: "the CronJob of the key rotation is deleted",
        red: &[],
        unknown: &["RotationHitsEvent", "RotationForgotten", "RotationNotDone", "RotationSuspendedKeyLapses"],
    },
];

/// All faults with what they turn red and unknown, as Markdown. The tests flip each of them and wait
/// for exactly this.
pub fn table() -> String {
    let mut out = String::from(
        "<!-- Generated by `make generate` from the faults of tests/lab. Do not edit. -->\n# Reliability\n\nEvery fault of the simulated estate, flipped by `cargo test --test it faults` on the real exporter: exactly\nthese checks turn red or unknown, nothing else does, and all of them are good again once it is mended.\n\n| Fault | What breaks | Red | Unknown |\n|---|---|---|---|\n",
    );
    let cell = |names: &[&str]| if names.len() > 12 { format!("{} checks about it", names.len()) } else { names.join(", ") };
    for fault in FAULTS {
        out.push_str(&format!("| `{}` | {} | {} | {} |\n", fault.name, fault.what, cell(fault.red), cell(fault.unknown)));
    }
    out.push_str(&troubles());
    out.push_str("\nFaults of ECR (`ecr-`) and of watches (`watch-`) leave every check of the example as it is: they have tests of\ntheir own (`tests/it/real_ecr.rs`, `watches_that_end`).\n");
    out
}

/// What each collector says when its server goes wrong, as Markdown. A test breaks each server in each
/// way and waits for exactly this.
fn troubles() -> String {
    let mut out = String::from(
        "\n## Every collector, every way to go wrong\n\nThe server of each collector is broken in each of these ways by `cargo test --test it matrix`: the exporter says\nwhat stands here within its deadline, is not go, sees everything else as before, and is go again once it is mended.\n\n| |",
    );
    out.extend(COLLECTORS.iter().map(|(collector, what)| format!(" {collector}<br>{what} |")));
    out.push_str(&format!("\n|---|{}\n", "---|".repeat(COLLECTORS.len())));
    for trouble in TROUBLES {
        out.push_str(&format!("| {} | {} |\n", trouble.name, trouble.said.map(|said| format!("`{}`", said.replace(" or ", "` or `"))).join(" | ")));
    }
    out.push_str("\nHandshakes and name servers have other ways: `cargo test --test it bad_input faults::domain_names`.\n");
    out
}
