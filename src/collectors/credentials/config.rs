//! Configuration of credentials, and its rules.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dates;
use crate::config::validate::{References, name, pace, quoted, unique};
use crate::config::{Problem, Span};

/// Credentials: whether they are there, whether they still work, and when they end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Time between looks.
    pub interval: Span,
    /// Deadline of one request.
    pub timeout: Span,
    /// PEM certificates that the issuers' APIs are verified with, beside the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The credentials.
    pub credentials: Vec<Credential>,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Span::mins(5), timeout: Span::secs(10), ca_file: None, credentials: Vec::new() }
    }
}

/// One credential.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Unique name, the `credential` label.
    pub name: String,
    /// What it is, which says how its end is found out.
    pub kind: Kind,
    /// Where it is kept.
    pub from: Place,
    /// Where in a JSON document the date stands, for `kind: date`: `/license/expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// URL of the issuer's API, for kinds that are proved by a call: of GitLab, GitHub, Coder,
    /// LiteLLM, or of Google's certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// When it ends, where nothing tells: `2026-12-31`. Where something does, both are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// X.509 certificates in PEM or DER; the first of a chain that ends counts.
    Certificate,
    /// A JSON Web Token.
    Jwt,
    /// A docker config; tokens of ECR tell when they end.
    DockerConfig,
    /// A kubeconfig with its certificates and tokens.
    Kubeconfig,
    /// A token of Artifactory.
    Artifactory,
    /// The key of a Google service account; its certificate is public.
    GcpServiceAccount,
    /// A token of GitLab.
    Gitlab,
    /// A token of GitHub.
    Github,
    /// A token of Coder.
    Coder,
    /// A key of LiteLLM.
    Litellm,
    /// A date, or a JSON document with one, such as a licence.
    Date,
    /// Something that does not tell; its end must be declared, or its age is judged.
    Opaque,
}

impl Kind {
    /// The `kind` label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Jwt => "jwt",
            Self::DockerConfig => "docker_config",
            Self::Kubeconfig => "kubeconfig",
            Self::Artifactory => "artifactory",
            Self::GcpServiceAccount => "gcp_service_account",
            Self::Gitlab => "gitlab",
            Self::Github => "github",
            Self::Coder => "coder",
            Self::Litellm => "litellm",
            Self::Date => "date",
            Self::Opaque => "opaque",
        }
    }

    /// Whether and where its issuer proves it.
    pub(super) fn api(self) -> Api {
        match self {
            Self::Gitlab => Api::At("https://gitlab.com"),
            Self::Github => Api::At("https://api.github.com"),
            Self::GcpServiceAccount => Api::At("https://www.googleapis.com"),
            Self::Coder | Self::Litellm => Api::Configured,
            _ => Api::None,
        }
    }
}

/// Where the issuer of a kind answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// No call proves it.
    None,
    /// Here, unless configured otherwise.
    At(&'static str),
    /// Every installation has its own.
    Configured,
}

/// Where a credential is kept: exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// A file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// An environment variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// A Secret of a cluster, read by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretKey>,
}

/// One key of a Kubernetes Secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    /// Its cluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The key that holds the credential.
    pub key: String,
    /// Other keys that must be there as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        pace(path, self.interval, self.timeout, problems);
        unique(&format!("{path}.credentials"), self.credentials.iter().map(|credential| credential.name.as_str()), problems);
        for (index, credential) in self.credentials.iter().enumerate() {
            credential.validate(&format!("{path}.credentials[{index}]"), references, problems);
        }
    }
}

impl Credential {
    fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        let places = [self.from.file.is_some(), self.from.env.is_some(), self.from.secret.is_some()];
        if places.iter().filter(|place| **place).count() != 1 {
            problems.push(Problem::bare(format!("{path}.from"), "must have exactly one of file, env and secret"));
        }
        if let Some(secret) = &self.from.secret {
            references.cluster(&format!("{path}.from.secret.cluster"), &secret.cluster, problems);
            for (field, value) in [("namespace", &secret.namespace), ("name", &secret.name), ("key", &secret.key)] {
                name(&format!("{path}.from.secret.{field}"), value, problems);
            }
        }
        if self.pointer.is_some() && self.kind != Kind::Date {
            problems.push(Problem::bare(format!("{path}.pointer"), "must come with kind: date"));
        }
        match (self.kind.api(), &self.api) {
            (Api::None, Some(_)) => problems.push(Problem::bare(format!("{path}.api"), "must come with a kind that is proved by a call")),
            (Api::Configured, None) => problems.push(Problem::bare(format!("{path}.api"), "must be set for this kind")),
            (_, Some(api)) if !url::Url::parse(api).is_ok_and(|url| url.scheme() == "https") => {
                problems.push(Problem::new(format!("{path}.api"), "must be an https URL", quoted(api)));
            }
            _ => {}
        }
        if let Some(expires) = self.expires.as_ref().filter(|expires| !matches!(dates::read(expires), Some(dates::Ends::At(_)))) {
            problems.push(Problem::new(format!("{path}.expires"), "must be a date such as 2026-12-31", quoted(expires)));
        }
    }
}
