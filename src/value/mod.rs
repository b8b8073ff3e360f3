//! The values that a configuration is made of: spans of time, secrets, URLs, the rules that they keep, and
//! what is said of one that breaks a rule. Knows nothing of what is configured with them.

pub(crate) mod names;
mod place;
pub(crate) mod problem;
pub(crate) mod rules;
mod types;
mod url;

pub use place::{ExternalUrl, Place, RoutePrefix};
pub use problem::Problem;
pub(crate) use types::DURATION;
pub use types::{Secret, SecretRef, Span};
pub(crate) use url::names_a_secret;
pub use url::{Url, UrlRule};

/// What is wrong with a value that `config print` wrote in place of a secret.
pub(crate) const MASKED: &str = "holds ***, which config print writes in place of a secret";
