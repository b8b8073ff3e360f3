//! Faults of Secrets, and of what makes them anew.

use super::{Fault, Group, REFUSED, red, unseen};

/// Checks that need a Secret of us-east-2 to be read.
const SECRETS: &[&str] = &[
    "CredentialMissing",
    "CredentialInvalid",
    "CredentialUnproven",
    "CredentialExpiryUnknown",
    "CredentialExpiresSoon",
    "CredentialExpiresBeforeEventEnd",
    "CredentialTooOld",
    "CredentialCopiesDiffer",
    "WorkloadOlderThanCredential",
    "PullSecretMissing",
    "ImageNotPullable",
    "PullSecretExpiring",
    "PullSecretNotRenewed",
];
/// What nobody can tell of a credential that is missing.
const MISSING: &[&str] =
    &["CredentialInvalid", "CredentialUnproven", "CredentialExpiryUnknown", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd", "CredentialTooOld"];
/// What nobody can tell of a certificate that does not work but tells its dates.
const UNPROVED: &[&str] = &["CredentialUnproven"];

pub(super) static GROUP: Group = Group {
    name: "secrets",
    faults: &[
        Fault {
            name: "pull-secret-gone",
            what: "the pull secret was deleted",
            red: &["PullSecretMissing"],
            unknown: &["ImageNotPullable", "PullSecretExpiring", "PullSecretNotRenewed"],
        },
        unseen("pull-secret-forbidden", "the pull secret may not be read", SECRETS),
        Fault {
            name: "pull-secret-encoded-twice",
            what: "the pull secret is encoded twice",
            red: &["PullSecretMissing", "ImageNotPullable"],
            unknown: &["PullSecretExpiring", "PullSecretNotRenewed"],
        },
        red("pull-secret-wrong-password", "the password of the pull secret is wrong", &["ImageNotPullable"]),
        Fault {
            name: "pull-secret-expires-soon",
            what: "the token of the pull secret expires within the hour",
            red: &["PullSecretExpiring"],
            unknown: &["PullSecretNotRenewed"],
        },
        red(
            "credential-certificate-ends-soon",
            "the certificate in the wildcard Secret ends in half an hour",
            &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
        ),
        Fault {
            name: "credential-certificate-ended",
            what: "the certificate in the wildcard Secret has ended",
            red: &["CredentialInvalid", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
            unknown: UNPROVED,
        },
        Fault {
            name: "credential-certificate-not-yet-valid",
            what: "the certificate in the wildcard Secret is valid from tomorrow on",
            red: &["CredentialInvalid"],
            unknown: UNPROVED,
        },
        Fault {
            name: "credential-key-of-another-certificate",
            what: "the wildcard Secret holds the private key of another certificate",
            red: &["CredentialInvalid"],
            unknown: UNPROVED,
        },
        Fault { name: "credential-key-cut-off", what: "the private key in the wildcard Secret is cut off", red: &["CredentialInvalid"], unknown: UNPROVED },
        unseen(
            "credential-key-encrypted",
            "the private key in the wildcard Secret is encrypted, so that nobody sees whether it belongs to its certificate",
            &["CredentialInvalid", "CredentialUnproven"],
        ),
        Fault { name: "credential-certificate-broken", what: "the wildcard Secret holds no certificate", red: &["CredentialInvalid"], unknown: REFUSED },
        Fault { name: "credential-secret-gone", what: "the wildcard Secret was deleted", red: &["CredentialMissing"], unknown: MISSING },
        Fault {
            name: "credential-key-missing",
            what: "the Secret of the LLM key lacks its key",
            red: &["CredentialMissing"],
            unknown: &[
                "CredentialInvalid",
                "CredentialUnproven",
                "CredentialExpiryUnknown",
                "CredentialExpiresSoon",
                "CredentialExpiresBeforeEventEnd",
                "CredentialTooOld",
                "CredentialCopiesDiffer",
            ],
        },
        unseen("credential-secrets-forbidden", "Secrets in us-east-2 may not be read", SECRETS),
        Fault {
            name: "credential-copy-stale",
            what: "the copy of the LLM key is yesterday's",
            red: &["CredentialCopiesDiffer", "CredentialInvalid", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
            unknown: &["CredentialUnproven", "CredentialExpiryUnknown"],
        },
        red(
            "credential-changed-under-provisioners",
            "the copy of the LLM key was changed after its provisioners had started",
            &["WorkloadOlderThanCredential"],
        ),
        red("credential-renewal-forgotten", "cert-manager was to renew a certificate three days ago", &["CertManagerRenewalOverdue"]),
        red("credential-renewal-fails", "cert-manager cannot renew a certificate", &["CertManagerCertificateNotReady"]),
    ],
};
