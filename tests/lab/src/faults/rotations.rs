//! Faults of the jobs that rotate keys.

use super::{Group, red, unseen};

pub(super) static GROUP: Group = Group {
    name: "rotations",
    faults: &[
        red("rotation-run-failed", "the last run of the key rotation failed", &["RotationNotDone", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        red("rotation-slow", "a run of the key rotation does not end", &["RotationNotDone", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        red(
            "rotation-changes-another-key",
            "the key rotation ran, and changed another key of the Secret",
            &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
        ),
        red("rotation-missed", "the key rotation did not run yesterday", &["RotationNotDone", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        red("rotation-renewal-hits-event", "cert-manager renews a certificate during the event", &["RotationHitsEvent"]),
        red("rotation-not-suspended", "the key rotation runs every minute, and nobody has suspended it", &["RotationHitsEvent"]),
        red(
            "rotation-forgotten",
            "the key rotation is still suspended, with no event at hand, and the key does not wait",
            &["RotationForgotten", "RotationSuspendedKeyLapses", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
        ),
        red(
            "rotation-suspended-key-lapses",
            "the key rotation is suspended, and the LLM key that it made last ends in half an hour",
            &["RotationForgotten", "RotationSuspendedKeyLapses", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
        ),
        unseen(
            "rotation-deleted",
            "the CronJob of the key rotation is deleted",
            &[
                "RotationHitsEvent",
                "RotationForgotten",
                "RotationNotDone",
                "RotationSuspendedKeyLapses",
                "CredentialExpiresSoon",
                "CredentialExpiresBeforeEventEnd",
            ],
        ),
    ],
};
