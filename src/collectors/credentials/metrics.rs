//! The facts about credentials.

use crate::metric::{Coverage, Gauge, StateSet, Unit, gauge, metrics, state_set, states};

const LABELS: [&str; 2] = ["credential", "kind"];
const END_STATES: &str = "readiness_credential_end_state";
/// What is there has been seen; of what is missing nothing else is known.
const OF_WHAT_IS_THERE: Coverage = Coverage { kinds: KINDS, ..Coverage::of("readiness_credential_state", &[Presence::Present.as_str()]) };

states! {
    /// Whether a credential is where it should be.
    pub(super) enum Presence {
        Present => "present": "it is there, with all of its keys",
        Absent => "absent",
        Incomplete => "incomplete",
        Unknown => "unknown",
    }
}

states! {
    /// Whether a credential works.
    pub(super) enum Validity {
        Valid => "valid": "its issuer takes it",
        Consistent => "consistent": "its form and its dates are right, and it opens nothing",
        Unproven => "unproven": "its form is right, and no issuer has proved that it works",
        Invalid => "invalid",
        Unknown => "unknown",
    }
}

states! {
    /// Whether its issuer has proved that a credential works.
    pub(super) enum Proven {
        Proved => "proved": "its issuer takes it",
        Needless => "needless": "it opens nothing, so that no issuer is asked",
        Unproven => "unproven",
        Unknown => "unknown",
    }
}

states! {
    /// Whether a credential expires.
    pub(super) enum Ends {
        At => "at": "it is known when it expires",
        Never => "never": "it never expires",
        Untold => "untold",
        Unknown => "unknown",
    }
}

states! {
    /// Whether the end that somebody wrote down is that of the credential.
    pub(super) enum Agreement {
        Match => "match": "both are the same day",
        Differs => "differs",
        Unknown => "unknown",
    }
}

states! {
    /// Who may read or write the file of a credential.
    pub(super) enum Openness {
        Private => "private": "not everybody on the machine may read or write its file",
        Public => "public": "everybody may read its file, which holds no secret",
        Exposed => "exposed",
    }
}

metrics! {
    /// Families of this collector.
    pub(in crate::collectors) FAMILIES;

    pub(super) static STATE: StateSet<Presence, 2> = state_set(
        "readiness_credential_state",
        &LABELS,
        "Whether a credential is where it should be, with every key, cached from its file, its environment variable or the Kubernetes API.",
    );
    pub(super) static VALID: StateSet<Validity, 2> = state_set(
        "readiness_credential_valid_state",
        &LABELS,
        "Whether a credential works now, by its issuer's answer; unproven where nobody was asked or the answer proves nothing, consistent for certificates, key stores and dates, which open nothing, where each private key that is kept beside a certificate belongs to it; unknown where nothing is there.",
    );
    pub(super) static PROOF: StateSet<Proven, 2> = state_set(
        "readiness_credential_proof_state",
        &LABELS,
        "Whether its issuer has proved that a credential works; needless for certificates, key stores and dates, which open nothing, and unknown for whatever is missing, broken, ended or refused, or whose issuer could not be asked.",
    );
    pub(super) static END: StateSet<Ends, 2> = state_set(
        END_STATES,
        &LABELS,
        "Whether a credential expires, by what it or its issuer says; untold when neither tells, which is not never, and unknown when it is missing or broken or its issuer could not be asked.",
    );
    pub(super) static EXPIRY: Gauge<2> = gauge(
        "readiness_credential_expiry_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When a credential expires, by what it or its issuer says or the configuration declares; the earliest where they differ.",
    )
    .covered_by(Coverage { kinds: KINDS, ..Coverage::of(END_STATES, &[Ends::At.as_str(), Ends::Never.as_str()]).quiet() });
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
    pub(super) static BY_HAND: Gauge<2> = gauge(
        "readiness_credential_changed_by_hand",
        Unit::Flag,
        &LABELS,
        "Whether a credential was last written with a tool that people use by hand, such as kubectl or a browser, by the manager that managedFields of its Secret names in the Kubernetes API.",
    );
    pub(super) static LAST_USED: Gauge<2> = gauge(
        "readiness_credential_last_used_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When an access key was last used, from GetAccessKeyLastUsed of AWS IAM; nothing for a key that never was.",
    );
    pub(super) static DECLARED: StateSet<Agreement, 2> = state_set(
        "readiness_credential_declared_state",
        &LABELS,
        "Whether the end that the configuration or an annotation declares is what the credential or its issuer says, to the day; nothing where neither of them tells.",
    )
    .covered_by(OF_WHAT_IS_THERE.sparse());
    pub(super) static FILE: StateSet<Openness, 2> = state_set(
        "readiness_credential_file_state",
        &LABELS,
        "Whether everybody on this machine may read the secret in the file of a credential, or write the file, from its mode; public where everybody may read it and no secret is in it.",
    )
    .covered_by(OF_WHAT_IS_THERE);
    pub(super) static FINGERPRINT: Gauge<3> = gauge(
        "readiness_credential_fingerprint_info",
        Unit::Mark,
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
