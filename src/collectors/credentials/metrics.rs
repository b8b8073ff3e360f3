//! The facts about credentials.

use crate::metric::{Coverage, Gauge, StateSet, Unit, gauge, metrics, state_set};

const LABELS: [&str; 2] = ["credential", "kind"];
const END_STATES: &str = "readiness_credential_end_state";
/// What is there has been seen; of what is missing nothing else is known.
const OF_WHAT_IS_THERE: Coverage = Coverage { kinds: KINDS, ..Coverage::of("readiness_credential_state", &["present"]) };

metrics! {
    /// Families of this collector.
    pub(in crate::collectors) FAMILIES;

    pub(super) static STATE: StateSet<2> = state_set(
        "readiness_credential_state",
        &["present", "absent", "incomplete", "unknown"],
        &LABELS,
        "Whether a credential is where it should be, with every key, cached from its file, its environment variable or the Kubernetes API.",
    )
    .saying(&[("present", "it is there, with all of its keys")]);
    pub(super) static VALID: StateSet<2> = state_set(
        "readiness_credential_valid_state",
        &["valid", "consistent", "unproven", "invalid", "unknown"],
        &LABELS,
        "Whether a credential works now, by its issuer's answer; unproven where nobody was asked, consistent for certificates, key stores and dates, which open nothing, where each private key that is kept beside a certificate belongs to it; unknown where nothing is there.",
    )
    .saying(&[
        ("valid", "its issuer takes it"),
        ("consistent", "its form and its dates are right, and it opens nothing"),
        ("unproven", "its form is right, and its issuer was not asked"),
    ]);
    pub(super) static PROOF: StateSet<2> = state_set(
        "readiness_credential_proof_state",
        &["proved", "needless", "unproven", "unknown"],
        &LABELS,
        "Whether its issuer has proved that a credential works; needless for certificates, key stores and dates, which open nothing, and unknown for whatever is missing, broken, ended or refused, or whose issuer could not be asked.",
    )
    .saying(&[("proved", "its issuer takes it"), ("needless", "it opens nothing, so that no issuer is asked")]);
    pub(super) static END: StateSet<2> = state_set(
        END_STATES,
        &["at", "never", "untold", "unknown"],
        &LABELS,
        "Whether a credential ends, by what it or its issuer says; untold when neither tells, which is not never, and unknown when it is missing or broken or its issuer could not be asked.",
    )
    .saying(&[("at", "it is known when it ends"), ("never", "it never ends")]);
    pub(super) static EXPIRY: Gauge<2> = gauge(
        "readiness_credential_expiry_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When a credential ends, by what it or its issuer says or the configuration declares; the earliest where they differ.",
    )
    .covered_by(Coverage { kinds: KINDS, ..Coverage::of(END_STATES, &["at", "never"]).quiet() });
    pub(super) static MADE: Gauge<2> = gauge(
        "readiness_credential_made_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When a credential was made, at the latest: from its issuer, from the notBefore of a certificate or the iat of a token, or else from when it was written to its place, which for a copy is later than it was made.",
    )
    .covered_by(OF_WHAT_IS_THERE);
    pub(super) static CHANGED: Gauge<2> = gauge(
        "readiness_credential_changed_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When the content of a credential was last changed, at the latest: from its file's time, from who wrote its key by managedFields of its Secret in the Kubernetes API, or from the look that saw it first, whichever is earlier.",
    )
    .covered_by(OF_WHAT_IS_THERE);
    pub(super) static CHANGED_EARLIEST: Gauge<2> = gauge(
        "readiness_credential_changed_earliest_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When the content of a credential was last changed, at the earliest, from managedFields of its Secret in the Kubernetes API, from looks that saw another content, or from when it began; nothing where whoever wrote it wrote other things as well and nobody saw it change.",
    );
    pub(super) static LAST_USED: Gauge<2> = gauge(
        "readiness_credential_last_used_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When an access key was last used, from GetAccessKeyLastUsed of AWS IAM; nothing for a key that never was.",
    );
    pub(super) static DECLARED: StateSet<2> = state_set(
        "readiness_credential_declared_state",
        &["match", "differs", "unknown"],
        &LABELS,
        "Whether the end that the configuration or an annotation declares is what the credential or its issuer says, to the day; nothing where neither of them tells.",
    )
    .covered_by(OF_WHAT_IS_THERE.sparse())
    .saying(&[("match", "both are the same day")]);
    pub(super) static FILE: StateSet<2> = state_set(
        "readiness_credential_file_state",
        &["private", "public", "exposed"],
        &LABELS,
        "Whether everybody on this machine may read the secret in the file of a credential, or write the file, from its mode; public where everybody may read it and no secret is in it.",
    )
    .covered_by(OF_WHAT_IS_THERE)
    .saying(&[("private", "not everybody on the machine may read or write its file"), ("public", "everybody may read its file, which holds no secret")]);
    pub(super) static FINGERPRINT: Gauge<3> = gauge(
        "readiness_credential_fingerprint_info",
        Unit::Number,
        &["credential", "kind", "fingerprint"],
        "Eight digits of a hash of a credential with salt that only this process knows, for those whose copies are compared; equal while their content is.",
    )
    .covered_by(OF_WHAT_IS_THERE.quiet());
}

/// Every kind, since the state set of ends speaks for all of them.
pub(in crate::collectors) const KINDS: &[&str] = &[
    "certificate",
    "pkcs12",
    "jks",
    "jwt",
    "docker_config",
    "kubeconfig",
    "artifactory",
    "gcp_service_account",
    "gitlab",
    "github",
    "coder",
    "coder_license",
    "coder_provisioner_key",
    "litellm",
    "aws_access_key",
    "bedrock_api_key",
    "entra_app_secret",
    "date",
    "opaque",
];
