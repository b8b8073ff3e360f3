//! Configuration of registries, image groups and pull secrets, and its rules.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::reference::Reference;
use crate::value::rules::{References, hosts, name, once, pace, quoted, secret, unique};
use crate::value::{Problem, SecretRef, Span};

/// Images: what registries hold, what clusters run, and whether they agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "RegistryCollector")]
pub struct Config {
    /// Time between looks.
    pub interval: Span,
    /// Deadline of one request.
    pub timeout: Span,
    /// Requests to one registry at once.
    pub concurrency: usize,
    /// Platforms that nodes have; other parts of an index are left out.
    pub platforms: Vec<String>,
    /// Registries that need more than a host: credentials, a certificate authority, a path. Others
    /// are asked as nobody.
    pub registries: Vec<RegistryConfig>,
    /// Images that must exist, as references: `docker.io/codercom/example-universal:ubuntu`.
    pub images: Vec<String>,
    /// Images whose pods are bound to a part of the nodes, by nodeSelector or affinity. All others must be there for every
    /// platform that nodes have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bound: Vec<Bound>,
    /// Whether every image that workspaces ask for must exist; needs `kubernetes.workspaces`, and
    /// credentials for their registries.
    pub workspace_images: bool,
    /// Images that clusters run, with where they come from.
    pub groups: Vec<Group>,
    /// Pull secrets of clusters, and what each must be able to pull.
    pub pull_secrets: Vec<PullSecret>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: Span::mins(5),
            timeout: Span::secs(10),
            concurrency: 8,
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
            registries: Vec::new(),
            images: Vec::new(),
            bound: Vec::new(),
            workspace_images: false,
            groups: Vec::new(),
            pull_secrets: Vec::new(),
        }
    }
}

/// How a registry is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// Its host as references name it, with a port if they do; the `registry` label.
    pub host: String,
    /// A user; comes with `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user's password or token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretRef>,
    /// A bearer token that is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretRef>,
    /// A `config.json` of Docker; credential helpers are not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docker_config: Option<PathBuf>,
    /// A pull secret of a cluster, read by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<SecretName>,
    /// Ask ECR by its own API, with the AWS credentials of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecr: Option<EcrConfig>,
    /// Other hosts that may be given the password for a token. Those of Docker Hub and GitLab are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_hosts: Vec<String>,
    /// PEM certificates that are trusted beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// What stands before `/v2/`: `artifactory/api/docker/KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Plain HTTP, for a registry on this host; credentials then travel in the clear.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
}

/// Images that run on nodes of some platforms alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BoundImages")]
pub struct Bound {
    /// The platforms to which their pods are bound, of those in `platforms`.
    pub platforms: Vec<String>,
    /// Images of `images`, of `mirrors` or of `pull_secrets`, as they are written there.
    pub images: Vec<String>,
}

/// A Secret by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretName {
    /// Its cluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A registry of ECR.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EcrConfig {
    /// Its region.
    pub region: String,
    /// A role to assume first, for registries of other accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
}

/// An image that clusters run, with where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ImageGroup")]
pub struct Group {
    /// Unique name, the `group` label.
    pub name: String,
    /// Where it is made: `ghcr.io/coder/coder-preview:latest`.
    pub upstream: String,
    /// Copies that clusters pull from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,
    /// Selectors of `kubernetes.workloads` that run it, in every cluster that has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// Containers that run it; when left out, those whose image has the upstream's last name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// The digest that was chosen for the event. Mirrors are then compared with it, so that an
    /// upstream tag that moves changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// Prefixes that an admission policy rewrites, so that the image still counts as expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<Prefix>,
}

/// A copy of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// Unique name within the group, the `subject` label.
    pub name: String,
    /// The copy: `123456789012.dkr.ecr.us-east-2.amazonaws.com/ghcr/coder/coder-preview:latest`.
    pub image: String,
    /// The clusters that pull from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<String>,
}

/// What an admission policy writes instead of the beginning of an image's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MirrorPrefix")]
pub struct Prefix {
    /// As templates say: `ghcr.io`.
    pub from: String,
    /// As nodes pull: `123456789012.dkr.ecr.us-east-2.amazonaws.com/ghcr`.
    pub to: String,
}

/// A Secret of type `kubernetes.io/dockerconfigjson` or `kubernetes.io/dockercfg`. It is read by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PullSecret {
    /// Its cluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Images that it must be able to pull: manifest and every layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

impl RegistryConfig {
    /// A registry that is asked as nobody.
    pub(super) fn at(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            username: None,
            password: None,
            token: None,
            docker_config: None,
            pull_secret: None,
            ecr: None,
            token_hosts: Vec::new(),
            ca_file: None,
            path_prefix: None,
            plain_http: false,
        }
    }

    fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        name(&format!("{path}.host"), &self.host, problems);
        let port = self.host.rsplit_once(':').filter(|_| !self.host.ends_with(']')).map_or("", |(_, port)| port);
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if !self.host.chars().all(is_host) || !port.chars().all(|c| c.is_ascii_digit()) {
            // Not quoted: it may hold a password.
            problems.push(Problem::bare(format!("{path}.host"), "must be a host, with a port if it needs one, and without scheme, user and path"));
        }
        hosts(&format!("{path}.token_hosts"), &self.token_hosts, problems);
        if self.username.as_ref().is_some_and(|user| user.contains(':')) {
            problems.push(Problem::bare(format!("{path}.username"), "must be a user without a colon; the password is kept elsewhere"));
        }
        if self.path_prefix.as_ref().is_some_and(|prefix| prefix.contains(['?', '#', '@', ':'])) {
            problems.push(Problem::bare(format!("{path}.path_prefix"), "must be a path alone"));
        }
        if self.username.is_some() != self.password.is_some() {
            problems.push(Problem::bare(path, "must have username and password, or neither"));
        }
        let ways = [self.username.is_some(), self.token.is_some(), self.docker_config.is_some(), self.pull_secret.is_some(), self.ecr.is_some()];
        if ways.iter().filter(|way| **way).count() > 1 {
            problems.push(Problem::bare(path, "must have at most one of username, token, docker_config, pull_secret and ecr"));
        }
        for (field, reference) in [("password", &self.password), ("token", &self.token)] {
            if let Some(reference) = reference {
                secret(&format!("{path}.{field}"), reference, problems);
            }
        }
        if let Some(secret) = &self.pull_secret {
            references.cluster(&format!("{path}.pull_secret.cluster"), &secret.cluster, problems);
            name(&format!("{path}.pull_secret.namespace"), &secret.namespace, problems);
            name(&format!("{path}.pull_secret.name"), &secret.name, problems);
        }
        if let Some(ecr) = &self.ecr {
            name(&format!("{path}.ecr.region"), &ecr.region, problems);
        }
    }
}

fn image(path: String, text: &str, problems: &mut Vec<Problem>) {
    if let Err(rule) = Reference::parse(text) {
        problems.push(Problem::new(path, rule, quoted(text)));
    }
}

impl Config {
    /// Reports every rule that this section breaks.
    pub(crate) fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        pace(path, self.interval, self.timeout, problems);
        if !(1..=64).contains(&self.concurrency) {
            problems.push(Problem::new(format!("{path}.concurrency"), "must be between 1 and 64", self.concurrency));
        }
        if self.platforms.is_empty() || self.platforms.iter().any(|platform| platform.split('/').count() != 2) {
            problems.push(Problem::bare(format!("{path}.platforms"), "must name platforms such as linux/amd64"));
        }
        unique(&format!("{path}.registries"), self.registries.iter().map(|registry| registry.host.as_str()), problems);
        for (index, registry) in self.registries.iter().enumerate() {
            registry.validate(&format!("{path}.registries[{index}]"), references, problems);
        }
        once(&format!("{path}.images"), self.images.iter(), problems);
        for (index, text) in self.images.iter().enumerate() {
            image(format!("{path}.images[{index}]"), text, problems);
        }
        self.bound(path, problems);
        unique(&format!("{path}.groups"), self.groups.iter().map(|group| group.name.as_str()), problems);
        for (index, group) in self.groups.iter().enumerate() {
            group.validate(&format!("{path}.groups[{index}]"), references, problems);
        }
        let secrets = self.pull_secrets.iter().map(|secret| format!("{} {}/{}", secret.cluster, secret.namespace, secret.name));
        once(&format!("{path}.pull_secrets"), secrets, problems);
        for (index, secret) in self.pull_secrets.iter().enumerate() {
            let path = format!("{path}.pull_secrets[{index}]");
            once(&format!("{path}.images"), secret.images.iter(), problems);
            references.cluster(&format!("{path}.cluster"), &secret.cluster, problems);
            name(&format!("{path}.namespace"), &secret.namespace, problems);
            name(&format!("{path}.name"), &secret.name, problems);
            for (position, text) in secret.images.iter().enumerate() {
                image(format!("{path}.images[{position}]"), text, problems);
            }
        }
    }
}

impl Config {
    /// Images that nodes must be able to run.
    fn wanted(&self) -> impl Iterator<Item = &String> {
        let mirrors = self.groups.iter().flat_map(|group| &group.mirrors).map(|mirror| &mirror.image);
        self.images.iter().chain(mirrors).chain(self.pull_secrets.iter().flat_map(|secret| &secret.images))
    }

    fn bound(&self, path: &str, problems: &mut Vec<Problem>) {
        once(&format!("{path}.bound"), self.bound.iter().flat_map(|bound| &bound.images), problems);
        for (index, Bound { platforms, images }) in self.bound.iter().enumerate() {
            let path = format!("{path}.bound[{index}]");
            if platforms.is_empty() || platforms.iter().any(|platform| !self.platforms.contains(platform)) {
                problems.push(Problem::bare(format!("{path}.platforms"), "must name platforms that registry.platforms names as well"));
            }
            for (position, image) in images.iter().enumerate() {
                if self.wanted().all(|own| own != image) {
                    let rule = "must be an image of images, of a mirror or of a pull secret, as it is written there";
                    problems.push(Problem::new(format!("{path}.images[{position}]"), rule, quoted(image)));
                }
            }
        }
    }
}

impl Group {
    fn validate(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        name(&format!("{path}.name"), &self.name, problems);
        image(format!("{path}.upstream"), &self.upstream, problems);
        unique(&format!("{path}.mirrors"), self.mirrors.iter().map(|mirror| mirror.name.as_str()), problems);
        for (index, mirror) in self.mirrors.iter().enumerate() {
            let path = format!("{path}.mirrors[{index}]");
            name(&format!("{path}.name"), &mirror.name, problems);
            image(format!("{path}.image"), &mirror.image, problems);
            for (position, cluster) in mirror.clusters.iter().enumerate() {
                references.cluster(&format!("{path}.clusters[{position}]"), cluster, problems);
            }
        }
        once(&format!("{path}.workloads"), self.workloads.iter(), problems);
        for (index, selector) in self.workloads.iter().enumerate() {
            references.workload(&format!("{path}.workloads[{index}]"), selector, problems);
        }
        if let Some(pin) = self.pin.as_ref().filter(|pin| Digest::parse(pin).is_none()) {
            problems.push(Problem::new(format!("{path}.pin"), "must be a digest, sha256: and 64 hexadecimal digits", quoted(pin)));
        }
    }
}
