//! Credentials: three facts about each and never one. Is it there, does it still work, when does it
//! end? "It never ends" and "nobody can tell" are different answers.
//!
//! Nothing but these answers leaves this module; content is overwritten as soon as it was read.

mod aws;
mod bedrock;
mod certificates;
mod changed;
pub(super) mod config;
mod dates;
mod expiry;
mod facts;
mod fixes;
mod google;
mod keystore;
mod kubeconfig;
mod metrics;
mod pair;
mod prove;
mod read;
mod said;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Semaphore;

#[cfg(test)]
pub(in crate::collectors) use changed::{changed_at, changed_by_hand};
pub(in crate::collectors) use changed::{changed_not_before, is_changed_by_hand, last_changed};
use config::Api;
pub use config::{AwsIssuer, Config, Credential, EntraApplication, Kind, ManagedValue, Place, ProvisionerKey, SecretKey};

use super::kubernetes::{ClusterConfig, Link, Permission};
use super::section::{CollectorsConfig, Estate, Part, Section, left_out};
use crate::aws::{Caller, Callers};
use crate::cause::Cause as _;
use crate::driver::{Form, Poll, Task};
use crate::made::Made;
use crate::metric::{Family, Sample, States as _};
use crate::net::{self, Trust};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot, Source};
use crate::value::Problem;
use crate::value::Secret;
use crate::value::names::{self, Visit};
use crate::value::rules::References;
use changed::Witness;
use expiry::Told;
use metrics::{
    Agreement, BY_HAND, CHANGED, CHANGED_EARLIEST, DECLARED, END, EXPIRY, Ends, FILE, FINGERPRINT, LAST_USED, MADE, Openness, PROOF, Presence, Proven, STATE,
    VALID, Validity,
};
pub(in crate::collectors) use metrics::{FAMILIES, KINDS};
use prove::{Issuer, Proof};
use read::{Content, Through, Unread};

/// The `collector` label.
pub const NAME: &str = "credentials";

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, references, problems);
    }

    fn odd(&self, _: &str, _: &[ClusterConfig], _: &mut Vec<Problem>) {}

    fn offers<'a>(&'a self, references: &mut References<'a>) {
        references.credentials.extend(self.credentials.iter().map(|credential| credential.name.as_str()));
    }

    fn names(&mut self, path: &str, visit: &mut Visit<'_>) {
        names::file(&format!("{path}.ca_file"), &mut self.ca_file, visit);
        for (index, credential) in self.credentials.iter_mut().enumerate() {
            let path = format!("{path}.credentials[{index}]");
            names::place(&format!("{path}.from"), &mut credential.from.file, &mut credential.from.env, visit);
            names::secret(&format!("{path}.password"), &mut credential.password, visit);
        }
    }

    fn permissions(&self, cluster: &ClusterConfig) -> Vec<Permission> {
        permissions(self, &cluster.name)
    }

    fn tasks(&self, estate: &Estate<'_>) -> Result<Vec<Task>, Message> {
        let CollectorsConfig { http, tls, rotations, .. } = estate.collectors;
        let compared = rotations.iter().flat_map(|rotations| rotations.compared()).collect();
        // The chain that a server shows is the one that lies in a Secret.
        let trusted = [http.as_ref().and_then(|http| http.ca_file.as_deref()), tls.as_ref().and_then(|tls| tls.ca_file.as_deref())];
        let trusted: Vec<_> = trusted.into_iter().flatten().collect();
        tasks(self, estate.clusters, &compared, &trusted)
    }
}

/// One task for each credential; `compared` names those whose content is compared with others'.
/// Fails when a file that the configuration names cannot be used.
/// Chains of certificates lead to the roots of the system, of `ca_file` and of the files `trusted`.
fn tasks(config: &Config, clusters: &[ClusterConfig], compared: &BTreeSet<&str>, trusted: &[&Path]) -> Result<Vec<Task>, Message> {
    let trust = Trust::of_files(trusted.iter().copied().chain(config.ca_file.as_deref()))?;
    let client = Made::try_of(Trust::of_files(config.ca_file.as_deref())?, client)?;
    let slots = Made::of(CONCURRENCY, |places| Arc::new(Semaphore::new(*places)));
    // One connection for all Secrets of a cluster.
    let link = |cluster: &ClusterConfig| Made::of((cluster.clone(), config.timeout.0), |(cluster, timeout)| Link::new(cluster.clone(), *timeout));
    let links: BTreeMap<&str, Made<Link>> = clusters.iter().map(|cluster| (cluster.name.as_str(), link(cluster))).collect();
    let off: Arc<[_]> = off(config).into();
    let mut callers = Callers::default();
    let task = |credential: &Credential| {
        let Place { secret, secrets_manager, .. } = &credential.from;
        let looker = Looker {
            credential: credential.clone(),
            compared: compared.contains(credential.name.as_str()),
            cluster: secret.as_ref().and_then(|secret| links.get(secret.cluster.as_str()).cloned()),
            keeper: secrets_manager.as_ref().map(|managed| callers.of(&managed.region, managed.role_arn.as_deref())),
            caller: credential.aws.as_ref().map(|place| callers.of(&place.region, place.role_arn.as_deref())),
            client: client.clone(),
            slots: slots.clone(),
            timeout: config.timeout.0,
            trust: trust.clone(),
        };
        task(config, Arc::clone(&off), Arc::new(looker))
    };
    Ok(config.credentials.iter().map(task).collect())
}

/// Asks issuers, over TLS alone.
fn client(trust: &Trust) -> Result<reqwest::Client, Message> {
    net::client(trust)?.https_only(true).build().map_err(|error| say!("make a client for issuers: {}", error.words()))
}

fn task(config: &Config, off: Arc<[(&'static str, &'static str)]>, looker: Arc<Looker>) -> Task {
    let credential = &looker.credential;
    let absent = [
        (!is_dated(credential), CHANGED.0.name),
        (!has_age(credential), MADE.0.name),
        // Nothing tells before the first change that is seen.
        (true, CHANGED_EARLIEST.0.name),
        // Somebody may have taken the record of its writers away.
        (true, BY_HAND.0.name),
        (!tells_use(credential), LAST_USED.0.name),
        (!is_declared(credential), DECLARED.0.name),
        (credential.from.file.is_none(), FILE.0.name),
        (!looker.compared, FINGERPRINT.0.name),
    ];
    let mut emits: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    emits.retain(|name| !absent.contains(&(true, name)));
    Task {
        source: Source {
            identity: [("credential", credential.name.as_str()), ("kind", credential.kind.as_str())].into(),
            emits,
            off,
            ..Source::new(NAME, &credential.name, config.interval.0)
        },
        timeout: config.timeout.0 * 4,
        form: Made::of(looker, |looker| Form::poll(Watch { looker: Arc::clone(looker), witness: Witness::default() })),
    }
}

/// Whether something tells when it was last changed.
fn is_dated(credential: &Credential) -> bool {
    credential.from.env.is_none() || !credential.age_is_of_its_place()
}

/// Whether something tells how old it is.
fn has_age(credential: &Credential) -> bool {
    is_dated(credential) || matches!(credential.kind, Kind::Certificate | Kind::Jwt)
}

/// Whether somebody wrote down when it expires.
fn is_declared(credential: &Credential) -> bool {
    credential.expires.is_some() || credential.from.secret.as_ref().is_some_and(|secret| secret.annotation.is_some())
}

/// Whether its issuer tells when it was last used.
fn tells_use(credential: &Credential) -> bool {
    credential.kind == Kind::AwsAccessKey
}

/// What no configured credential fills, by the key that would.
fn off(config: &Config) -> Vec<(&'static str, &'static str)> {
    let any = |has: fn(&Credential) -> bool| config.credentials.iter().any(has);
    left_out(&[
        Part { key: "credentials[].expires", on: any(is_declared), families: &[&[&DECLARED.0]] },
        Part { key: "credentials[].from.secret", on: any(is_dated), families: &[&[&CHANGED.0, &CHANGED_EARLIEST.0]] },
        Part { key: "credentials[].from.secret", on: any(|credential| credential.from.secret.is_some()), families: &[&[&BY_HAND.0]] },
        Part { key: "credentials[].from.secret", on: any(has_age), families: &[&[&MADE.0]] },
        Part { key: "credentials[].aws", on: any(tells_use), families: &[&[&LAST_USED.0]] },
        Part { key: "credentials[].from.file", on: any(|credential| credential.from.file.is_some()), families: &[&[&FILE.0]] },
    ])
}

/// A fact of a credential: its own source has them.
fn fact<'a>(seen: &'a Snapshot, credential: &'a str, family: &'a str) -> Option<&'a Sample> {
    seen.source(NAME, credential)?.of(family).next()
}

/// When a credential expires, in Unix seconds; `None` when it never does.
pub(in crate::collectors) fn end_of(seen: &Snapshot, credential: &str) -> Result<Option<i64>, Message> {
    let own = |family: &'static str| fact(seen, credential, family);
    let end = own(END.0.name).ok_or_else(|| say!("credential {} could not be seen", named(credential)))?;
    match Ends::of(end) {
        Some(Ends::At) => {
            own(EXPIRY.0.name).map(|sample| Some(sample.second())).ok_or_else(|| say!("when credential {} expires is not known", named(credential)))
        }
        Some(Ends::Never) => Ok(None),
        _ => Err(end.detail.clone().unwrap_or_else(|| say!("when credential {} expires is not known", named(credential)))),
    }
}

/// When a part of a credential ends, in Unix seconds, whether or not that of every part is known.
pub(in crate::collectors) fn first_end_of(seen: &Snapshot, credential: &str) -> Option<i64> {
    fact(seen, credential, EXPIRY.0.name).map(Sample::second)
}

/// What is to be said of the end of a credential beside the moment.
pub(in crate::collectors) fn words_of_end(seen: &Snapshot, credential: &str) -> Option<Message> {
    fact(seen, credential, EXPIRY.0.name)?.detail.clone()
}

/// Hashes of credentials that are compared, by credential; those that are not known are missing.
pub(in crate::collectors) fn fingerprints(seen: &Snapshot) -> BTreeMap<&str, &str> {
    let samples = seen.views.iter().flat_map(|view| view.of(FINGERPRINT.0.name));
    samples.filter_map(|sample| Some((sample.label("credential")?, sample.label("fingerprint")?))).collect()
}

/// What credentials make this program ask of a cluster: each Secret by its name.
fn permissions(config: &Config, cluster: &str) -> Vec<Permission> {
    let own = config.credentials.iter().filter_map(|credential| credential.from.secret.as_ref()).filter(|secret| secret.cluster == cluster);
    let named: BTreeSet<_> = own.map(|secret| (&secret.namespace, &secret.name)).collect();
    named.into_iter().map(|(namespace, name)| Permission::to_get_secret(namespace, name)).collect()
}

/// Looks at one credential.
#[derive(PartialEq)]
struct Looker {
    credential: Credential,
    /// Whether its content is compared with that of others.
    compared: bool,
    /// The cluster whose Secret it is in.
    cluster: Option<Made<Link>>,
    /// Who asks Secrets Manager for it.
    keeper: Option<Made<Arc<Caller>>>,
    /// Who asks AWS about it.
    caller: Option<Made<Arc<Caller>>>,
    client: Made<reqwest::Client>,
    slots: Made<Arc<Semaphore>>,
    timeout: Duration,
    /// What chains of certificates must lead to.
    trust: Trust,
}

/// Credentials that are looked at at once.
const CONCURRENCY: usize = 32;

/// Whether it works now. Of one that does not, or that nobody could ask about, nothing else is known.
enum Works {
    Proved,
    /// Why nobody has proved it.
    Unproven(Message),
    No(Message),
    Unknown(CollectError),
}

impl Works {
    /// Why nothing else is known.
    fn why_not(&self) -> Option<&Message> {
        match self {
            Self::Proved | Self::Unproven(_) => None,
            Self::No(why) => Some(why),
            Self::Unknown(error) => Some(&error.message),
        }
    }
}

impl Looker {
    /// Through what its place is reached.
    fn through(&self) -> Through<'_> {
        match (&self.cluster, &self.keeper) {
            (Some(link), _) => Through::Cluster(link),
            (None, Some(caller)) => Through::Aws(caller),
            (None, None) => Through::Here,
        }
    }

    async fn ask(&self, witness: &mut Witness) -> Result<Observation, CollectError> {
        let through = self.through();
        let found = read::read(&self.credential.from, &through, self.timeout).await;
        let read = u64::from(!matches!(through, Through::Here));
        let mut content = match found {
            Ok(content) => content,
            Err(Unread::Failed(error)) if error.class != ErrorClass::Denied => return Err(error),
            Err(Unread::Failed(error)) => return Ok(Observation::new(self.without(Presence::Unknown, &error.message), 1, read)),
            Err(Unread::Absent(why)) => return Ok(Observation::new(self.without(Presence::Absent, &why), 1, read)),
            Err(Unread::Incomplete(why)) => return Ok(Observation::new(self.without(Presence::Incomplete, &why), 1, read)),
        };
        content.changed = content.changed.map(|said| witness.narrow(facts::hash(&content), said, Timestamp::now().as_second()));
        // Without it nothing is known of the keystore, which may be good.
        let password = match &self.credential.password {
            Some(password) => Some(password.read().await.map_err(|why| CollectError::new(ErrorClass::Local, why))?),
            None => None,
        };
        let calls = AtomicU64::new(read);
        let (works, told) = self.examine(&content, password.as_ref(), &calls).await;
        let incomplete = matches!(&works, Works::Unknown(error) if error.may_pass());
        Ok(Observation { incomplete, ..Observation::new(self.facts(&content, works, told), 1, calls.into_inner()) })
    }

    fn labels(&self) -> [&str; 2] {
        [&self.credential.name, self.credential.kind.as_str()]
    }

    /// Facts about a credential that could not be read: where it is missing, that is all that is known of it.
    fn without(&self, state: Presence, why: &Message) -> Vec<Sample> {
        let labels = self.labels();
        let told =
            [STATE.sample(labels, state), VALID.sample(labels, Validity::Unknown), PROOF.sample(labels, Proven::Unknown), END.sample(labels, Ends::Unknown)];
        told.map(|sample| sample.with_detail(why)).into()
    }

    /// Whether it works, and what it or its issuer tells; `calls` counts requests.
    async fn examine(&self, content: &Content, password: Option<&Secret>, calls: &AtomicU64) -> (Works, Told) {
        let api = match (&self.credential.api, self.credential.kind.api()) {
            (Some(api), _) => Some(api.base()),
            (None, Api::At(api)) => Some(api),
            (None, Api::None | Api::Configured | Api::OfRegion) => None,
        };
        let unreadable = |why: Message| (Works::No(why.or_fixed_by(fixes::BROKEN)), Told::default());
        if api.is_none() && self.credential.aws.is_none() {
            return self
                .parse(content, password)
                .map_or_else(unreadable, |told| (Works::Unproven(say!("nobody was asked whether it works").fixed_by(fixes::UNASKED)), told));
        }
        let Ok(text) = std::str::from_utf8(&content.bytes) else { return unreadable(say!("it is no text")) };
        let Ok(half) = content.half.as_ref().map(|half| std::str::from_utf8(half)).transpose() else { return unreadable(say!("its secret half is no text")) };
        let issuer = |client, api| Issuer { client, api, timeout: self.timeout, calls };
        // Boxed, so that a look at a certificate has no room for the calls of every SDK.
        let asked = match (self.credential.kind, self.credential.aws.as_ref().zip(self.caller.as_deref())) {
            (Kind::BedrockApiKey, _) => self.bedrock(text.trim(), api, calls).boxed().await,
            (_, Some((place, caller))) => aws::Issuer { place, caller, timeout: self.timeout, calls }.access_key(text, half).boxed().await,
            (_, None) => issuer(&self.client, api.unwrap_or_default()).ask(&self.credential, text).boxed().await,
        };
        match asked {
            Ok(Proof::Taken(told)) => (Works::Proved, told),
            Ok(Proof::Unproven(told, why)) => (Works::Unproven(why), told),
            Ok(Proof::Refused(why)) => (Works::No(why.or_fixed_by(fixes::REFUSED)), Told::default()),
            Err(error) => {
                let fix = fixes::of_issuer(error.class);
                (Works::Unknown(error.fixed_by(fix)), Told::default())
            }
        }
    }

    fn parse(&self, content: &Content, password: Option<&Secret>) -> Result<Told, Message> {
        let bytes = content.bytes.as_slice();
        let text = || std::str::from_utf8(bytes).map_err(|_| "it is no text");
        let now = Timestamp::now().as_second();
        let told = match self.credential.kind {
            Kind::Certificate => certificates::certificates_and_keys(bytes, &content.keys, &self.trust, now),
            Kind::Pkcs12 => keystore::pkcs12(bytes, password.map_or("", Secret::expose), &self.trust, now),
            Kind::Jks => keystore::java(bytes, &self.trust, now),
            Kind::Jwt => expiry::jwt(text()?),
            Kind::DockerConfig => expiry::docker_config(text()?),
            Kind::Kubeconfig => kubeconfig::kubeconfig(text()?, &self.trust, now),
            Kind::Artifactory => expiry::artifactory(text()?),
            Kind::Date => expiry::date(text()?, self.credential.pointer.as_deref()),
            _ => Ok(Told::silent("nothing tells when it expires; declare it with expires")),
        };
        told.map_err(Message::from)
    }
}

/// Looks again and again, and knows what it saw before.
struct Watch {
    looker: Arc<Looker>,
    witness: Witness,
}

impl Poll for Watch {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async {
            let Self { looker, witness } = self;
            // Thousands at once would take sockets for thousands, and memory: what waits here is small.
            let _slot = looker.slots.acquire().await;
            looker.ask(witness).boxed().await
        }
        .boxed()
    }
}
