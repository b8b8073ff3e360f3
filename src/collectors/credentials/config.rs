//! Configuration of credentials, and its rules.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dates;
use crate::value::rules::{References, name, pace, quoted, unique};
use crate::value::{Problem, SecretRef, Span, Url, UrlRule};

/// Credentials: whether they are there, whether they still work, and when they end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "CredentialsCollector")]
pub struct Config {
    /// Time between looks.
    pub interval: Span,
    /// Deadline of one request.
    pub timeout: Span,
    /// PEM certificates that the issuers' APIs are verified with, beside the system's. Chains of certificates
    /// lead to these or to those of `http` and `tls`.
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
    /// LiteLLM, Bedrock, or of Google's certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Url>,
    /// When it ends, where nothing tells: `2026-12-31`. Where something does, both are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// How old it may become, where it never expires by itself; it is then due as if it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Span>,
    /// The password of a PKCS#12 file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// Whom to ask about credentials of AWS. A key of Bedrock needs it unless `api` is set; without it
    /// nobody tells when the key expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<AwsIssuer>,
    /// The application that a secret of Entra belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entra: Option<EntraApplication>,
    /// Proves the key of a Google service account by a token, and asks IAM when it expires; `{}` is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google: Option<GoogleIssuer>,
    /// The provisioner key of Coder that the token asks about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioner: Option<ProvisionerKey>,
}

/// Whom to ask about credentials of AWS. Needs `iam:GetAccessKeyLastUsed` and `iam:ListAccessKeys`,
/// or `iam:ListServiceSpecificCredentials` for keys of Bedrock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsIssuer {
    /// The region, which decides about the partition.
    pub region: String,
    /// A role to assume first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The IAM user of a key of Bedrock, where its name does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// An application that is registered with Entra.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntraApplication {
    /// The tenant: its identifier or a domain of it.
    pub tenant: String,
    /// The identifier of the application (client).
    pub client_id: String,
    /// Where tokens are issued, for national clouds.
    #[serde(default = "default_login")]
    pub login: Url,
}

fn default_login() -> Url {
    Url::new("https://login.microsoftonline.com")
}

/// Where Google answers. IAM tells about a key only if its account has `iam.serviceAccountKeys.get` on
/// itself; otherwise the public certificate of the key does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GoogleIssuer {
    /// Where tokens are issued.
    pub oauth: Url,
    /// Where IAM answers.
    pub iam: Url,
}

impl Default for GoogleIssuer {
    fn default() -> Self {
        Self { oauth: Url::new("https://oauth2.googleapis.com"), iam: Url::new("https://iam.googleapis.com") }
    }
}

/// A provisioner key of Coder, which is asked about with a token that may read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisionerKey {
    /// The organization.
    pub organization: String,
    /// The key's name.
    pub name: String,
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CredentialKind")]
pub enum Kind {
    /// X.509 certificates in PEM or DER; of a chain, the path to a trusted root counts, or while none verifies the first certificate that ends.
    Certificate,
    /// A JSON Web Token.
    Jwt,
    /// A docker config; tokens of ECR tell when they end.
    DockerConfig,
    /// A kubeconfig with its certificates and tokens, and the authorities that its servers are known by.
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
    /// The licence of a Coder deployment, asked for with a token of an owner.
    CoderLicense,
    /// A provisioner key of Coder, which never ends; the token asks how old it is.
    CoderProvisionerKey,
    /// A key of LiteLLM.
    Litellm,
    /// An access key of AWS, which never ends, or session credentials.
    AwsAccessKey,
    /// A key of Bedrock.
    BedrockApiKey,
    /// A secret of an application in Entra.
    EntraAppSecret,
    /// A PKCS#12 file; the chains of its keys count, and what it trusts where it holds no key.
    Pkcs12,
    /// A Java key store; the chains of its keys count, and what it trusts where it holds no key.
    Jks,
    /// A date, or a JSON document with one, such as a licence.
    Date,
    /// Something that does not tell; its end must be declared, or its age is judged.
    Opaque,
}

impl Kind {
    /// The `kind` label.
    pub(in crate::collectors) fn as_str(self) -> &'static str {
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
            Self::CoderLicense => "coder_license",
            Self::CoderProvisionerKey => "coder_provisioner_key",
            Self::AwsAccessKey => "aws_access_key",
            Self::BedrockApiKey => "bedrock_api_key",
            Self::EntraAppSecret => "entra_app_secret",
            Self::Pkcs12 => "pkcs12",
            Self::Jks => "jks",
            Self::Litellm => "litellm",
            Self::Date => "date",
            Self::Opaque => "opaque",
        }
    }

    /// Whether it opens no door by itself, so that its form and its dates are all that can be wrong.
    pub(super) fn opens_nothing(self) -> bool {
        matches!(self, Self::Certificate | Self::Pkcs12 | Self::Jks | Self::Date)
    }

    /// Whether and where its issuer proves it.
    pub(super) fn api(self) -> Api {
        match self {
            Self::Gitlab => Api::At("https://gitlab.com"),
            Self::Github => Api::At("https://api.github.com"),
            Self::GcpServiceAccount => Api::At("https://www.googleapis.com"),
            Self::EntraAppSecret => Api::At("https://graph.microsoft.com"),
            Self::BedrockApiKey => Api::OfRegion,
            Self::Coder | Self::CoderLicense | Self::CoderProvisionerKey | Self::Litellm => Api::Configured,
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
    /// Every region has its own, unless configured otherwise.
    OfRegion,
}

/// Where a credential is kept: exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "CredentialPlace")]
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
    /// A secret of AWS Secrets Manager, or a field of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_manager: Option<ManagedValue>,
}

/// The value of a secret of AWS Secrets Manager. Needs `secretsmanager:GetSecretValue` for it alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedValue {
    /// The region.
    pub region: String,
    /// Name or ARN.
    pub id: String,
    /// The field of a JSON document that holds the credential; the whole value when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// A role to assume first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
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
    /// The key that holds the credential; of an access key of AWS, its identifier.
    pub key: String,
    /// The key that holds the secret half of an access key of AWS, where it is kept beside the identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
    /// Other keys that must be there as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// An annotation of the Secret in which somebody wrote when the credential ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
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
    /// Whether the time of the file or the Secret says how old the credential is. Where an issuer knows,
    /// a copy made yesterday says nothing.
    pub(super) fn age_is_of_its_place(&self) -> bool {
        match self.kind {
            Kind::AwsAccessKey | Kind::CoderProvisionerKey | Kind::EntraAppSecret => false,
            // Only IAM knows, if it is asked.
            Kind::BedrockApiKey => self.aws.is_none(),
            _ => true,
        }
    }

    fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        let places = [self.from.file.is_some(), self.from.env.is_some(), self.from.secret.is_some(), self.from.secrets_manager.is_some()];
        if places.iter().filter(|place| **place).count() != 1 {
            problems.push(Problem::bare(format!("{path}.from"), "must have exactly one of file, env, secret and secrets_manager"));
        }
        self.belongings(path, problems);
        if let Some(secret) = &self.from.secret {
            references.cluster(&format!("{path}.from.secret.cluster"), &secret.cluster, problems);
            let half = secret.secret_key.iter().map(|key| ("secret_key", key));
            for (field, value) in [("namespace", &secret.namespace), ("name", &secret.name), ("key", &secret.key)].into_iter().chain(half) {
                name(&format!("{path}.from.secret.{field}"), value, problems);
            }
        }
        if self.pointer.is_some() && self.kind != Kind::Date {
            problems.push(Problem::bare(format!("{path}.pointer"), "must come with kind: date"));
        }
        match (self.kind.api(), &self.api) {
            (Api::None, Some(_)) => problems.push(Problem::bare(format!("{path}.api"), "must come with a kind that is proved by a call")),
            (Api::Configured, None) => problems.push(Problem::bare(format!("{path}.api"), "must be set for this kind")),
            (_, Some(api)) => api.validate(&format!("{path}.api"), UrlRule::HTTPS, problems),
            _ => {}
        }
        if let Some(expires) = self.expires.as_ref().filter(|expires| !matches!(dates::read(expires), Some(dates::Ends::At(_)))) {
            problems.push(Problem::new(format!("{path}.expires"), "must be a date such as 2026-12-31", quoted(expires)));
        }
    }

    /// What goes with one kind and no other.
    fn belongings(&self, path: &str, problems: &mut Vec<Problem>) {
        // Bedrock itself can be asked without IAM, which alone tells when a key ends.
        let is_optional = self.kind == Kind::BedrockApiKey && self.api.is_some();
        let of_aws = matches!(self.kind, Kind::AwsAccessKey | Kind::BedrockApiKey) && !(is_optional && self.aws.is_none());
        if self.kind != Kind::AwsAccessKey && self.from.secret.as_ref().is_some_and(|secret| secret.secret_key.is_some()) {
            problems.push(Problem::bare(format!("{path}.from.secret.secret_key"), "must come with kind: aws_access_key"));
        }
        let parts = [
            ("aws", self.aws.is_some(), of_aws, "must be set for kinds of AWS, and for no other"),
            ("entra", self.entra.is_some(), self.kind == Kind::EntraAppSecret, "must be set for kind: entra_app_secret, and for no other"),
            (
                "provisioner",
                self.provisioner.is_some(),
                self.kind == Kind::CoderProvisionerKey,
                "must be set for kind: coder_provisioner_key, and for no other",
            ),
            ("password", self.password.is_some(), self.kind == Kind::Pkcs12, "must be set for kind: pkcs12, and for no other"),
        ];
        problems
            .extend(parts.into_iter().filter(|(_, set, needed, _)| set != needed).map(|(field, _, _, rule)| Problem::bare(format!("{path}.{field}"), rule)));
        if self.max_age.is_some_and(|age| age.0.is_zero()) {
            problems.push(Problem::bare(format!("{path}.max_age"), "must be greater than 0"));
        }
        if self.google.is_some() && self.kind != Kind::GcpServiceAccount {
            problems.push(Problem::bare(format!("{path}.google"), "must come with kind: gcp_service_account"));
        }
        let login = self.entra.iter().map(|entra| ("entra.login", &entra.login));
        let google = self.google.iter().flat_map(|google| [("google.oauth", &google.oauth), ("google.iam", &google.iam)]);
        for (field, url) in login.chain(google) {
            url.validate(&format!("{path}.{field}"), UrlRule::HTTPS, problems);
        }
    }
}
