//! Pull secrets: whether a cluster's own credential is there, when it expires, and whether it can
//! still pull.
//!
//! The Secret is read by its name, never listed; of its content only hosts and an expiry are told.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;

use super::auth::{Ending, Identity, LIFE_OF_ECR};
use super::client::Client;
use super::config::PullSecret;
use super::keyring::{Entry, Keyring, field};
use super::manifest::{Blob, Manifest, taken};
use super::reference::Reference;
use super::registries::Registries;
use super::renewed::Token;
use crate::collectors::kubernetes::{self, Link};
use crate::driver::Poll;
use crate::encoded;
use crate::event::{self, Occurrence, Schedule};
use crate::metric::{Coverage, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::say;
use crate::say::{Message, counted, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot};
use crate::state::State;

pub(super) const STATES: &str = "readiness_pull_secret_state";

/// By which name the state remembers when a token was made.
const RENEWAL: &str = "pull secret";

states! {
    /// Whether a pull secret is there and can be read.
    enum Presence {
        Present => "present",
        Absent => "absent",
        Malformed => "malformed",
        Unknown => "unknown",
    }
}

states! {
    /// What came of a pull.
    enum Pull {
        Pullable => "pullable",
        Absent => "absent",
        Denied => "denied",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families of this module.
    pub(super) FAMILIES;

    /// Families about pull secrets themselves.
    pub(super) SECRET_FAMILIES {
        static STATE: StateSet<Presence, 3> = state_set(
            STATES,
            &["cluster", "namespace", "name"],
            "Whether a pull secret exists and can be read as a docker config, cached from the Kubernetes API.",
        );
        static EXPIRY: Gauge<4> = gauge(
            "readiness_pull_secret_expiry_timestamp_seconds",
            Unit::Timestamp,
            &["cluster", "namespace", "name", "registry"],
            "When the password of a pull secret expires, for those that say so, such as the tokens of ECR, which live for twelve hours; NaN for one that lives for hours and does not say until when. Cached from the Kubernetes API.",
        )
        .covered_by(Coverage::of(STATES, &[Presence::Present.as_str()]).quiet());
    }

    /// Those about what they can pull.
    pub(super) IMAGE_FAMILIES {
        static PULLABLE: StateSet<Pull, 4> = state_set(
            "readiness_image_pullable_state",
            &["cluster", "namespace", "name", "image"],
            "Whether a pull secret can fetch the manifest of an image and reach every layer, cached from the OCI distribution API.",
        );
    }
}

/// What to do about a pull secret that kubelets cannot use.
const WITHOUT_LOGIN: &str =
    "Make the Secret anew with a user and a password for the host alone: `kubectl create secret docker-registry` writes what kubelets read.";

/// Tries one pull secret.
pub(super) struct Puller {
    secret: PullSecret,
    link: Link,
    registries: Arc<Registries>,
    platforms: Vec<String>,
    timeout: Duration,
    needs: Needs,
}

/// When tokens are needed, and what is remembered of those before them.
#[derive(Clone)]
pub(super) struct Needs {
    pub(super) schedules: Vec<Schedule>,
    pub(super) state: Arc<State>,
}

impl Puller {
    pub(super) fn new(secret: PullSecret, link: Link, registries: Arc<Registries>, platforms: Vec<String>, timeout: Duration, needs: Needs) -> Self {
        Self { secret, link, registries, platforms, timeout, needs }
    }

    async fn ask(&self) -> Result<Observation, CollectError> {
        let PullSecret { cluster, namespace, name, images } = &self.secret;
        let labels = || [cluster.as_str(), namespace, name];
        let found = read(&self.link, cluster, namespace, name, self.timeout).await;
        let unknown_images = |state: Pull, why: &Message| {
            images.iter().map(|image| PULLABLE.sample([cluster.as_str(), namespace, name, image], state).with_detail(why)).collect::<Vec<_>>()
        };
        let not_present = |state: Presence, pullable: Pull, why: Message| {
            let mut samples = unknown_images(pullable, &why);
            samples.push(STATE.sample(labels(), state).with_detail(why));
            Ok(Observation::new(samples, 1, 1))
        };
        let keyring = match found.and_then(|config| Keyring::read(&config).map_err(Unread::Malformed)) {
            Ok(keyring) => keyring,
            Err(Unread::Absent) => return not_present(Presence::Absent, Pull::Unknown, say!("the pull secret does not exist")),
            Err(Unread::Malformed(why)) => return not_present(Presence::Malformed, Pull::Denied, why.into()),
            Err(Unread::Failed(error)) if error.class == ErrorClass::Denied => return not_present(Presence::Unknown, Pull::Unknown, error.message),
            Err(Unread::Failed(error)) => return Err(error),
        };
        let mut samples = vec![STATE.sample(labels(), Presence::Present)];
        let mut calls = 1;
        for image in images {
            let labels = [cluster.as_str(), namespace, name, image];
            samples.push(match self.pull(image, &keyring, &mut calls).await {
                Ok(layers) => PULLABLE.sample(labels, Pull::Pullable).with_detail(say!("manifest and {}", counted(layers, "layer", "layers"))),
                Err(error) => PULLABLE.sample(labels, outcome(&error)).with_detail(error.message),
            });
        }
        // Last: to pull takes minutes, an event may end in between, and then the next one has its name.
        let at = Timestamp::now();
        samples.extend(self.ends(&keyring, at));
        Ok(Observation { at, ..Observation::new(samples, 1, calls) })
    }

    /// When its tokens end, and whether that is soon enough for an event to see it.
    fn ends(&self, keyring: &Keyring, now: Timestamp) -> Vec<Sample> {
        let events = event::foreseen(&self.needs.schedules, now);
        let images = &self.secret.images;
        let end = |entry: &Entry| self.end(entry, images.is_empty() || keyring.is_for_any(entry, images), &events, now);
        keyring.entries().iter().flat_map(end).collect()
    }

    /// The same of one entry.
    fn end(&self, entry: &Entry, is_needed: bool, events: &[Occurrence], now: Timestamp) -> Vec<Sample> {
        let PullSecret { cluster, namespace, name, .. } = &self.secret;
        let (entry, life) = (entry.key.as_str(), entry.identity.as_ref().map_or_else(|| Ending::Untold.into(), Identity::life));
        let expiry = |value: f64| EXPIRY.sample([cluster.as_str(), namespace, name, entry], value);
        let labels = |event: &'_ Occurrence| [cluster.as_str(), namespace, name, entry, &event.name].map(str::to_owned);
        match life.ends {
            Ending::Untold | Ending::Never => Vec::new(),
            // What no image needs may have been left behind, and nobody could tell.
            Ending::Short(_) if !is_needed => Vec::new(),
            Ending::Short(why) => {
                let unseen = events.iter().map(|event| Token::untold(labels(event), why));
                [expiry(f64::NAN).with_detail(why)].into_iter().chain(unseen).collect()
            }
            // What nobody renewed for so long, and no image needs, was left behind.
            Ending::At(ends) if !is_needed && ends.saturating_add(LIFE_OF_ECR) < now.as_second() => Vec::new(),
            Ending::At(ends) => {
                let made = life.made;
                let subject = format!("{cluster}/{namespace}/{name} {entry}");
                let state = &self.needs.state;
                let is_newest = made.is_some() && state.last_rotation(RENEWAL, &subject, made, now) == made;
                let token = Token { ends, made, before: state.rotation_before(RENEWAL, &subject).filter(|_| is_newest) };
                let outlooks = events.iter().map(|event| token.sample(labels(event), event.end.as_second(), now.as_second()));
                [expiry(ends as f64)].into_iter().chain(outlooks).collect()
            }
        }
    }

    /// What a kubelet would do, up to the point where it costs: every manifest that a node may
    /// want, and a HEAD of each layer.
    pub(super) async fn pull(&self, image: &str, keyring: &Keyring, calls: &mut u64) -> Result<usize, CollectError> {
        let local = |why: Message| CollectError::new(ErrorClass::Malformed, say!("pull {}: {}", named(image), why));
        let reference = Reference::parse(image).map_err(local)?;
        let mut identities: Vec<_> = keyring.lookup(&reference.host, &reference.repository).iter().map(|entry| entry.identity.as_ref()).collect();
        if identities.is_empty() {
            identities.push(Some(&Identity::Anonymous));
        }
        let is_nobody = identities.iter().all(|own| matches!(own, None | Some(Identity::Anonymous)));
        let mut refused: Option<CollectError> = None;
        for identity in identities.into_iter().flatten() {
            let client = self.registries.stranger(&reference.host).map_err(local)?;
            let pulled = self.pull_as(identity, &client, image, &reference).await;
            *calls += client.take_calls();
            match pulled {
                // Registries hide what somebody may not see. What is absent for one who may see it says more.
                Err(error) if matches!(error.class, ErrorClass::Denied | ErrorClass::NotFound) => {
                    let says_more = refused.as_ref().is_none_or(|before| before.class == ErrorClass::Denied);
                    refused = if says_more { Some(error) } else { refused };
                }
                // Of one that did not get an answer nobody knows whether it could pull.
                other => return other,
            }
        }
        // Kubelets try what they cannot hand on as well, and get nowhere.
        let refused = refused.unwrap_or_else(|| CollectError::new(ErrorClass::Denied, say!("pull {}: no kubelet can ask for it", named(image))));
        let Some(why) = useless(keyring, &reference).filter(|_| is_nobody) else { return Err(refused) };
        let told = say!("{}; {}", refused.message, why).fixed_as(&refused.message);
        // What is absent may be hidden from whoever has no login, or not be there at all.
        let message = if refused.class == ErrorClass::Denied { told.fixed_by(WITHOUT_LOGIN) } else { told };
        Err(CollectError { message, ..refused })
    }

    async fn pull_as(&self, identity: &Identity, client: &Client, image: &str, reference: &Reference) -> Result<usize, CollectError> {
        let repository = &reference.repository;
        let top = match &reference.digest {
            Some(digest) => digest.clone(),
            None => client.head(identity, repository, reference.tag.as_deref().unwrap_or("latest")).await?.digest,
        };
        let mut layers = std::collections::BTreeSet::new();
        let mut open = vec![top];
        let mut manifests = 0;
        while let Some(digest) = open.pop() {
            manifests += 1;
            if manifests > 32 {
                return Err(CollectError::new(ErrorClass::Malformed, say!("pull {}: more than 32 manifests", named(image))));
            }
            match client.manifest(identity, repository, &digest).await? {
                Manifest::Index(children) => {
                    open.extend(taken(children, &self.platforms).map(|child| child.digest));
                }
                Manifest::Image { config, layers: own, size, .. } => {
                    layers.insert(Blob { digest: config, size });
                    layers.extend(own);
                }
            }
        }
        if layers.is_empty() {
            return Err(CollectError::new(ErrorClass::NotFound, say!("pull {}: it has no image for {}", named(image), named(&self.platforms.join(" or ")))));
        }
        for layer in &layers {
            client.has_blob(identity, repository, layer).await?;
        }
        Ok(layers.len() - 1)
    }
}

/// Why a pull secret lets kubelets ask as nobody, although it has something for an image.
fn useless(keyring: &Keyring, reference: &Reference) -> Option<Message> {
    if keyring.has_helpers {
        return Some(say!("the credentials of the pull secret are kept by a helper program, which no kubelet runs"));
    }
    let (entry, why) = keyring.passed_over(&reference.host, &reference.repository)?;
    Some(say!("the pull secret has an entry for {} that kubelets pass over: {}", named(&entry.key), why))
}

/// What comes of a pull that failed. A kubelet that is refused cannot pull, whether or not the image is
/// there.
fn outcome(error: &CollectError) -> Pull {
    match error.class {
        ErrorClass::NotFound => Pull::Absent,
        ErrorClass::Denied => Pull::Denied,
        _ => Pull::Unknown,
    }
}

/// Why the docker config of a pull secret was not read.
pub(super) enum Unread {
    Absent,
    /// What is wrong with it, without a word of it.
    Malformed(&'static str),
    Failed(CollectError),
}

/// Reads the docker config of a pull secret.
pub(super) async fn read(link: &Link, cluster: &str, namespace: &str, name: &str, timeout: Duration) -> Result<String, Unread> {
    let what = say!("get secret {}/{} of {}", named(namespace), named(name), named(cluster));
    match kubernetes::secret(link, namespace, name, &what, timeout).await.map_err(Unread::Failed)? {
        Some(secret) => docker_config(&secret).map_err(Unread::Malformed),
        None => Err(Unread::Absent),
    }
}

/// The docker config in a Secret. The reasons quote nothing of it.
fn docker_config(secret: &KubernetesSecret) -> Result<String, &'static str> {
    // Source: `MakeDockerKeyring` in pkg/credentialprovider/secrets/secrets.go of Kubernetes.
    let key = match secret.type_.as_deref() {
        Some("kubernetes.io/dockerconfigjson") => ".dockerconfigjson",
        Some("kubernetes.io/dockercfg") => ".dockercfg",
        _ => return Err("it is neither of the type kubernetes.io/dockerconfigjson nor kubernetes.io/dockercfg, so kubelets do not read it"),
    };
    let data = secret.data.as_ref().ok_or("it has no data")?;
    let text = data.get(key).ok_or("it has no key .dockerconfigjson, or .dockercfg where its type says so")?;
    // Go puts a mark in place of each byte that is no text, and so only what holds it suffers.
    let text = String::from_utf8_lossy(&text.0).into_owned();
    let is_map = |value: Option<&serde_json::Value>| value.is_some_and(serde_json::Value::is_object);
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text) {
        // The older form has the entries alone.
        Ok(_) if key == ".dockercfg" => Ok(format!(r#"{{"auths":{text}}}"#)),
        Ok(map) if is_map(field(&map, "auths")) || is_map(map.get("credHelpers")) => Ok(text),
        _ if encoded::padded(text.trim()).is_some() => Err("its docker config is encoded twice"),
        _ => Err("what it holds is no docker config"),
    }
}

impl Poll for Puller {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn read(kind: &str, key: &str, content: impl AsRef<[u8]>) -> Result<String, &'static str> {
        let data = [(key.to_owned(), ByteString(content.as_ref().to_vec()))].into();
        docker_config(&KubernetesSecret { type_: Some(format!("kubernetes.io/{kind}")), data: Some(data), ..KubernetesSecret::default() })
    }

    #[test]
    fn a_pull_secret_has_one_of_two_forms() {
        let (new, old) = (r#"{"auths":{"r.io":{"auth":"dTpw"}}}"#, r#"{"r.io":{"auth":"dTpw"}}"#);
        for (kind, key, content) in [("dockerconfigjson", ".dockerconfigjson", new), ("dockercfg", ".dockercfg", old)] {
            let keyring = Keyring::read(&read(kind, key, content).unwrap()).unwrap();
            assert_eq!(keyring.lookup("r.io", "a/b").len(), 1, "{kind}");
        }
        for (kind, key, content) in [
            ("dockerconfigjson", ".dockerconfigjson", old),
            ("dockerconfigjson", ".dockercfg", old),
            ("dockercfg", ".dockerconfigjson", new),
            ("dockercfg", ".dockercfg", "[]"),
            ("tls", ".dockerconfigjson", new),
        ] {
            assert!(read(kind, key, content).is_err(), "{kind} {key} {content}");
        }
        let odd = read("dockerconfigjson", ".dockerconfigjson", b"{\"auths\":{\"r.io\":{\"auth\":\"dTpw\",\"email\":\"\xff\"}}}").unwrap();
        assert_eq!(Keyring::read(&odd).unwrap().lookup("r.io", "a/b").len(), 1, "a byte that is no text spoils only what holds it");
        assert_eq!(read("dockerconfigjson", ".dockerconfigjson", "eyJhdXRocyI6e319"), Err("its docker config is encoded twice"));
    }
}
