//! Faults of Karpenter's pools, claims and classes.

use super::{Fault, Group, red, unseen};

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

pub(super) static GROUP: Group = Group {
    name: "karpenter",
    faults: &[
        red("nodepool-not-ready", "a NodePool in eu-west-2 is not ready", &["NodePoolNotReady"]),
        red("nodepool-registration-fails", "nodes of a NodePool in eu-west-2 do not register", &["NodePoolRegistrationFailing"]),
        red("nodepool-exhausted", "a NodePool in us-east-2 has reached its limit", &["NodePoolNearLimit"]),
        red("nodepool-nodes-live-short", "nodes that a NodePool in eu-west-2 makes live for half an hour", &["NodeClaimExpiresDuringEvent"]),
        red("nodeclass-not-ready", "a node class in eu-west-2 finds no image", &["NodeClassNotReady"]),
        red("nodeclaim-stuck", "a NodeClaim in eu-west-2 has waited for its node for twenty minutes", &["NodeClaimStuck"]),
        red("nodeclaim-expires-in-event", "a node in eu-west-2 expires while the event runs", &["NodeClaimExpiresDuringEvent"]),
        red("nodeclaim-drifted", "a node in eu-west-2 has drifted", &["NodeClaimDrifted"]),
        red("nodeclaim-launched-slowly", "a node in eu-west-2 took twenty minutes to launch", &["NodeLaunchSlow"]),
        Fault {
            name: "nodeclaim-no-capacity",
            what: "the cloud has no machine of the size that Karpenter asks for",
            red: &["NodeCapacityInsufficient"],
            unknown: &["CapacityHeadroomLow"],
        },
        unseen("crd-of-another-version", "us-west-2 serves an older version of Karpenter's resources", KARPENTER),
    ],
};
