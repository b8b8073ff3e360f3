//! All registries by their hosts, and what is remembered of them: what a tag named a moment ago,
//! and what a digest names for ever.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroizing;

use super::answers::{Answers, Lasts};
use super::auth::{self, Identity};
use super::client::{Allowance, Client, Pace, Trust};
use super::config::{Config, RegistryConfig, SecretName};
use super::content::Content;
use super::digest::Digest;
use super::docker_config;
use super::ecr::{Ecr, account_and_region};
use super::manifest::Manifest;
use super::presence::Presence;
use super::pull_secrets::{self, Unread};
use super::reference::Reference;
use crate::aws::Caller;
use crate::collectors::kubernetes::{ClusterConfig, Link};
use crate::net::Trust as Roots;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};

/// What a tag names, with what only some registries know.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tag {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    /// Unix seconds. Tagging an old image again does not change it.
    pub(super) pushed: Option<i64>,
    /// Findings of the last scan by severity; `None` when there was none.
    pub(super) findings: Option<BTreeMap<String, i32>>,
}

impl Tag {
    /// A digest that was asked for by itself.
    pub(super) fn of(digest: &Digest) -> Self {
        Self { digest: digest.clone(), media_type: String::new(), pushed: None, findings: None }
    }
}

pub(super) enum Backend {
    Oci(Client),
    Ecr(Ecr),
}

/// One registry.
pub(super) struct Registry {
    pub(super) host: Arc<str>,
    pub(super) backend: Backend,
    settings: RegistryConfig,
    /// To the cluster that keeps the credentials.
    link: Option<Link>,
    keys: tokio::sync::Mutex<Option<(Instant, Keys)>>,
    timeout: Duration,
    pub(super) platforms: Vec<String>,
    /// How long the answer about a tag serves all who ask in the same round.
    pub(super) fresh: Duration,
    /// By repository and tag.
    tags: Answers<(String, String), Result<Tag, CollectError>>,
    /// By repository and digest.
    contents: Answers<(String, Digest), Read>,
    pub(super) presence: Presence,
}

/// Who asks: the same for every repository, or as a docker config says.
enum Keys {
    One(Identity),
    Config(Zeroizing<String>),
}

impl Keys {
    /// Whether they are the very same.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(own), Self::One(other)) => own.is(other),
            (Self::Config(own), Self::Config(other)) => own == other,
            _ => false,
        }
    }
}

/// What a digest names, and whether another look could tell no more about it.
type Read = Result<(Arc<Content>, bool), CollectError>;

/// All registries.
pub(super) struct Registries {
    config: Config,
    clusters: Vec<ClusterConfig>,
    /// In the order of the configured registries.
    roots: Vec<Roots>,
    known: Mutex<BTreeMap<String, Arc<Registry>>>,
}

impl Registries {
    /// `roots` are what each of the configured registries is known by, in their order.
    pub(super) fn new(config: &Config, clusters: &[ClusterConfig], roots: &[Roots]) -> Result<Self, Message> {
        let registries = Self { config: config.clone(), clusters: clusters.to_vec(), roots: roots.to_vec(), known: Mutex::default() };
        for settings in &config.registries {
            registries.at(&settings.host)?;
        }
        Ok(registries)
    }

    /// The registry at a host; one that is not configured is asked as nobody.
    pub(super) fn at(&self, host: &str) -> Result<Arc<Registry>, Message> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(registry) = known.get(host) {
            return Ok(Arc::clone(registry));
        }
        let configured = self.config.registries.iter().zip(&self.roots).find(|(settings, _)| settings.host == host);
        let (settings, roots) = configured.map_or_else(|| (RegistryConfig::at(host), Roots::system()), |(settings, roots)| (settings.clone(), roots.clone()));
        let registry = Arc::new(Registry::new(settings, &self.config, &self.clusters, &roots)?);
        known.insert(host.to_owned(), Arc::clone(&registry));
        Ok(registry)
    }

    /// A client of its own for whoever shows other credentials than the configured ones. Reads no file:
    /// what the configuration names was read when the registry was set up.
    pub(super) fn stranger(&self, host: &str) -> Result<Client, Message> {
        match &self.at(host)?.backend {
            Backend::Oci(client) => Ok(client.sibling()),
            Backend::Ecr(_) => oci(&RegistryConfig::at(host), &self.config, &Roots::system()),
        }
    }
}

fn oci(settings: &RegistryConfig, config: &Config, roots: &Roots) -> Result<Client, Message> {
    let http = Client::http(roots, settings.plain_http)?;
    let base = Client::base(&settings.host, settings.path_prefix.as_deref(), settings.plain_http);
    let pace = Pace { timeout: config.timeout.0, concurrency: config.concurrency, longest_wait: crate::driver::ceiling(config.interval.0) };
    Ok(Client::new(&settings.host, base, http, pace, Trust { plain_http: settings.plain_http, token_hosts: settings.token_hosts.clone() }))
}

impl Registry {
    fn new(settings: RegistryConfig, config: &Config, clusters: &[ClusterConfig], roots: &Roots) -> Result<Self, Message> {
        let host = settings.host.as_str();
        let named = account_and_region(host);
        let backend = match &settings.ecr {
            Some(ecr) => {
                let http = Client::http(&Roots::system(), true)?;
                let account = named.map(|(account, _)| account);
                let caller = Caller::new(&ecr.region, ecr.role_arn.as_deref());
                Backend::Ecr(Ecr::new(host, caller, account, http, config.timeout.0, config.concurrency))
            }
            None => Backend::Oci(oci(&settings, config, roots)?),
        };
        let cluster = settings.pull_secret.as_ref().and_then(|secret| clusters.iter().find(|cluster| cluster.name == secret.cluster));
        let link = cluster.map(|cluster| Link::new(cluster.clone(), config.timeout.0));
        Ok(Self {
            host: host.into(),
            backend,
            link,
            keys: tokio::sync::Mutex::default(),
            timeout: config.timeout.0,
            platforms: config.platforms.clone(),
            fresh: config.interval.0 / 2,
            tags: Answers::default(),
            contents: Answers::default(),
            presence: Presence::default(),
            settings,
        })
    }

    /// Requests since the last time this was asked.
    pub(super) fn take_calls(&self) -> u64 {
        match &self.backend {
            Backend::Oci(client) => client.take_calls(),
            Backend::Ecr(ecr) => ecr.take_calls(),
        }
    }

    pub(super) fn allowance(&self) -> Option<Allowance> {
        match &self.backend {
            Backend::Oci(client) => client.allowance(),
            Backend::Ecr(_) => None,
        }
    }

    pub(super) fn asked_to_wait(&self) -> Option<Duration> {
        match &self.backend {
            Backend::Oci(client) => client.asked_to_wait(),
            Backend::Ecr(_) => None,
        }
    }

    /// Whether it answers; `None` for ECR, which has no call that everybody may make.
    pub(super) async fn ping(&self) -> Option<Result<(), CollectError>> {
        match &self.backend {
            Backend::Oci(client) => Some(client.ping().await),
            Backend::Ecr(_) => None,
        }
    }

    /// Prefixes that it fills from another registry, which only ECR tells, and not everybody.
    pub(super) async fn pull_through_caches(&self) -> Result<Vec<(String, String)>, CollectError> {
        match &self.backend {
            Backend::Oci(_) => Ok(Vec::new()),
            Backend::Ecr(ecr) => ecr.pull_through_caches().await,
        }
    }

    /// Who asks for a repository. Read once a round, so that a rotated password is picked up.
    pub(super) async fn identity(&self, repository: &str) -> Result<Identity, CollectError> {
        let mut known = self.keys.lock().await;
        let is_fresh = known.as_ref().is_some_and(|(at, _)| at.elapsed() < self.fresh);
        if !is_fresh {
            let keys = self.read_keys().await?;
            // What was granted to another password proves nothing about this one.
            if let (Some((_, old)), Backend::Oci(client)) = (&*known, &self.backend)
                && !old.is(&keys)
            {
                client.forget_permits();
            }
            *known = Some((Instant::now(), keys));
        }
        match &*known {
            None | Some((_, Keys::One(Identity::Anonymous))) => Ok(Identity::Anonymous),
            Some((_, Keys::One(identity))) => Ok(identity.clone()),
            Some((_, Keys::Config(text))) => Identity::from_docker_config(text, &self.host, repository)
                .map_err(|why| CollectError::new(ErrorClass::Local, say!("ask {} for {}: {}", named(&self.host), named(repository), why))),
        }
    }

    async fn read_keys(&self) -> Result<Keys, CollectError> {
        let settings = &self.settings;
        if let (Some(SecretName { cluster, namespace, name }), Some(link)) = (&settings.pull_secret, &self.link) {
            let what = || say!("ask {} with secret {}/{} of {}", named(&self.host), named(namespace), named(name), named(cluster));
            let text = pull_secrets::read(link, cluster, namespace, name, self.timeout).await.map_err(|unread| match unread {
                Unread::Absent => CollectError::new(ErrorClass::Local, say!("{}: it does not exist", what())),
                Unread::Malformed(why) => CollectError::new(ErrorClass::Local, say!("{}: {}", what(), why)),
                Unread::Failed(error) => error,
            })?;
            return Ok(Keys::Config(Zeroizing::new(text)));
        }
        let read = match (&settings.username, &settings.password, &settings.token, &settings.docker_config) {
            (Some(name), Some(password), ..) => auth::user(name, password).await.map(Keys::One),
            (_, _, Some(token), _) => token.read().await.map(Identity::Token).map(Keys::One),
            (_, _, _, Some(file)) => docker_config::from_file(file).await.map(Keys::Config),
            _ => Ok(Keys::One(Identity::Anonymous)),
        };
        read.map_err(|why| CollectError::new(ErrorClass::Local, say!("ask {}: {}", named(&self.host), why)))
    }

    /// What a tag names now. All who ask within a round share one request.
    pub(super) async fn tag(&self, repository: &str, tag: &str) -> Result<Tag, CollectError> {
        self.tags.get((repository.to_owned(), tag.to_owned()), self.fresh, Lasts::of, || self.ask(repository, tag)).await
    }

    async fn ask(&self, repository: &str, tag: &str) -> Result<Tag, CollectError> {
        match &self.backend {
            Backend::Oci(client) => {
                let identity = self.identity(repository).await?;
                let named = client.head(&identity, repository, tag).await?;
                Ok(Tag { digest: named.digest, media_type: named.media_type, pushed: None, findings: None })
            }
            Backend::Ecr(ecr) => ecr.describe(repository, tag).await,
        }
    }

    /// The digest that a reference means here.
    pub(super) async fn digest(&self, reference: &Reference) -> Result<Digest, CollectError> {
        match (&reference.digest, &reference.tag) {
            (Some(digest), _) => Ok(digest.clone()),
            (None, tag) => Ok(self.tag(&reference.repository, tag.as_deref().unwrap_or("latest")).await?.digest),
        }
    }

    pub(super) async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Manifest, CollectError> {
        match &self.backend {
            Backend::Oci(client) => client.manifest(&self.identity(repository).await?, repository, digest).await,
            Backend::Ecr(ecr) => ecr.manifest(repository, digest).await,
        }
    }

    /// What a digest names, down to the configs of the platforms that matter. Fetched once, and remembered
    /// also when it is gone: [`Registry::whole`] says whether it is still there.
    pub(super) async fn content(&self, repository: &str, digest: &Digest) -> Result<Arc<Content>, CollectError> {
        let read = async || self.resolve(repository, digest).await.map(|(content, is_all)| (Arc::new(content), is_all));
        let lasts = |read: &Read| match read {
            Ok((_, true)) => Lasts::Ever,
            Ok((_, false)) => Lasts::Briefly,
            Err(_) => Lasts::of(read),
        };
        self.contents.get((repository.to_owned(), digest.clone()), self.fresh, lasts, read).await.map(|(content, _)| content)
    }

    /// Whether it was read before what a digest names.
    pub(super) fn remembers(&self, repository: &str, digest: &Digest) -> bool {
        self.contents.known(&(repository.to_owned(), digest.clone())).is_some_and(|read| read.is_ok())
    }
}
