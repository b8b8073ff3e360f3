//! Configuration of secrets of AWS Secrets Manager, and its rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::rules::{name, pace, unique};
use crate::value::{Problem, Span};

/// Secrets of AWS Secrets Manager: whether they are there, and how their rotation goes. Their values
/// are not read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "SecretsManagerCollector")]
pub struct Config {
    /// Time between looks.
    pub interval: Span,
    /// Deadline of one request.
    pub timeout: Span,
    /// How long one rotation may take. Its function is called four times, each of which AWS ends after 15 minutes, and
    /// takes some seconds as a rule.
    pub slow_after: Span,
    /// The secrets.
    pub secrets: Vec<ManagedSecret>,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Span::mins(5), timeout: Span::secs(10), slow_after: Span::mins(15), secrets: Vec::new() }
    }
}

/// One secret. Needs `secretsmanager:DescribeSecret`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagedSecret {
    /// Unique name, the `secret` label.
    pub name: String,
    /// The region.
    pub region: String,
    /// Name or ARN.
    pub id: String,
    /// A role to assume first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, problems: &mut Vec<Problem>) {
        pace(path, self.interval, self.timeout, problems);
        unique(&format!("{path}.secrets"), self.secrets.iter().map(|secret| secret.name.as_str()), problems);
        for (index, secret) in self.secrets.iter().enumerate() {
            for (field, value) in [("name", &secret.name), ("region", &secret.region), ("id", &secret.id)] {
                name(&format!("{path}.secrets[{index}].{field}"), value, problems);
            }
        }
    }
}
