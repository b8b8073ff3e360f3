//! Credentials: three facts about each and never one. Is it there, does it still work, when does it
//! end? "It never ends" and "nobody can tell" are different answers.
//!
//! Nothing but these answers leaves this module; content is overwritten as soon as it was read.

mod config;
mod dates;
mod expiry;
mod prove;
mod read;

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;

use config::Api;
pub use config::{Config, Credential, Kind, Place, SecretKey};

use super::kubernetes::{ClusterConfig, Link, Permission};
use crate::driver::{Form, Poll, Task};
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, Unit, gauge, state_set};
use crate::net;
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot, Source};
use dates::Ends;
use expiry::Told;
use prove::{Issuer, Proof};
use read::{Content, Unread};

/// The `collector` label.
pub const NAME: &str = "credentials";

const LABELS: [&str; 2] = ["credential", "kind"];
const END_STATES: &str = "readiness_credential_end_state";

static STATE: StateSet<2> = state_set(
    "readiness_credential_state",
    &["present", "absent", "incomplete", "unknown"],
    &LABELS,
    "Whether a credential is where it should be, with every key, cached from its file, its environment variable or the Kubernetes API.",
);
static VALID: StateSet<2> = state_set(
    "readiness_credential_valid_state",
    &["valid", "unproven", "invalid", "unknown"],
    &LABELS,
    "Whether a credential works now: by its issuer's answer where a free call exists, else unproven unless its own dates or its form refute it.",
);
static END: StateSet<2> = state_set(
    END_STATES,
    &["at", "never", "unknown"],
    &LABELS,
    "Whether a credential ends, by what it or its issuer says; unknown when neither tells, which is not never.",
);
static EXPIRY: Gauge<2> = gauge(
    "readiness_credential_expiry_timestamp_seconds",
    Unit::Timestamp,
    &LABELS,
    "When a credential ends, by what it or its issuer says or the configuration declares; the earliest where they differ.",
)
.covered_by(Coverage { states: END_STATES, seen: &["at", "never"], kinds: KINDS, quiet: true });
static CHANGED: Gauge<2> = gauge(
    "readiness_credential_changed_timestamp_seconds",
    Unit::Timestamp,
    &LABELS,
    "When the content of a credential was last changed, cached from its file's time or from managedFields of its Secret in the Kubernetes API.",
);
static DECLARED: StateSet<2> = state_set(
    "readiness_credential_declared_state",
    &["match", "differs"],
    &LABELS,
    "Whether the end that the configuration declares is what the credential or its issuer says, to the day.",
);

/// Families of this collector.
pub static FAMILIES: &[&Family] = &[&STATE.0, &VALID.0, &END.0, &EXPIRY.0, &CHANGED.0, &DECLARED.0];

/// Every kind, since the state set of ends speaks for all of them.
const KINDS: &[&str] =
    &["certificate", "jwt", "docker_config", "kubeconfig", "artifactory", "gcp_service_account", "gitlab", "github", "coder", "litellm", "date", "opaque"];

/// One task for each credential. Fails when a file that the configuration names cannot be used.
pub fn tasks(config: &Config, clusters: &[ClusterConfig]) -> Result<Vec<Task>, String> {
    let roots = config.ca_file.as_deref().map(net::certificates_of).transpose()?.unwrap_or_default();
    let roots: Vec<_> = roots.iter().map(|der| reqwest::Certificate::from_der(der)).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    // A credential must not follow a redirect to somebody else.
    let client = reqwest::Client::builder().tls_certs_merge(roots).https_only(true).redirect(reqwest::redirect::Policy::none());
    let client = client.build().map_err(|error| format!("make a client for issuers: {error}"))?;
    Ok(config.credentials.iter().map(|credential| task(config, credential, clusters, &client)).collect())
}

fn task(config: &Config, credential: &Credential, clusters: &[ClusterConfig], client: &reqwest::Client) -> Task {
    let cluster = credential.from.secret.as_ref().and_then(|secret| clusters.iter().find(|cluster| cluster.name == secret.cluster));
    let mut emits: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    if credential.from.env.is_some() {
        emits.retain(|name| *name != CHANGED.0.name);
    }
    if credential.expires.is_none() {
        emits.retain(|name| *name != DECLARED.0.name);
    }
    let interval = config.interval.0;
    Task {
        source: Source {
            collector: NAME,
            name: credential.name.clone(),
            identity: vec![("credential", credential.name.clone()), ("kind", credential.kind.as_str().to_owned())],
            covers: Vec::new(),
            emits,
            off: off(config),
            interval,
            keep: interval * 3,
        },
        fingerprint: format!("{credential:?} {interval:?} {:?} {:?} {cluster:?}", config.timeout, config.ca_file),
        timeout: config.timeout.0 * 4,
        after: &[],
        form: Form::Poll(Box::new(Looker {
            credential: credential.clone(),
            link: cluster.map(|cluster| Link::new(cluster.clone(), config.timeout.0)),
            client: client.clone(),
            timeout: config.timeout.0,
        })),
    }
}

/// What no configured credential fills, by the key that would.
fn off(config: &Config) -> Vec<(&'static str, &'static str)> {
    let declared = config.credentials.iter().any(|credential| credential.expires.is_some());
    let dated = config.credentials.iter().any(|credential| credential.from.env.is_none());
    let parts = [(declared, DECLARED.0.name, "credentials[].expires"), (dated, CHANGED.0.name, "credentials[].from.secret")];
    parts.into_iter().filter(|(on, ..)| !on).map(|(_, family, key)| (family, key)).collect()
}

/// When a credential was last changed, as far as that was seen.
pub(in crate::collectors) fn last_changed(seen: &Snapshot, credential: &str) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the value was made from whole seconds")]
    seen.samples_of(CHANGED.0.name).find(|sample| sample.label("credential") == Some(credential)).map(|sample| sample.value as i64)
}

/// What credentials make this program ask of a cluster: each Secret by its name.
pub fn permissions(config: &Config, cluster: &str) -> Vec<Permission> {
    let own = config.credentials.iter().filter_map(|credential| credential.from.secret.as_ref()).filter(|secret| secret.cluster == cluster);
    let named: std::collections::BTreeSet<_> = own.map(|secret| (&secret.namespace, &secret.name)).collect();
    named.into_iter().map(|(namespace, name)| Permission::to_get_secret(namespace, name)).collect()
}

/// Looks at one credential.
struct Looker {
    credential: Credential,
    link: Option<Link>,
    client: reqwest::Client,
    timeout: Duration,
}

/// Whether it works now.
enum Works {
    Proved,
    Unproven,
    No(String),
    Unknown(CollectError),
}

impl Looker {
    async fn ask(&self) -> Result<Observation, CollectError> {
        let found = read::read(&self.credential.from, self.link.as_ref(), self.timeout).await;
        let content = match found {
            Ok(content) => content,
            Err(Unread::Failed(error)) if error.class != ErrorClass::Denied => return Err(error),
            Err(Unread::Failed(error)) => return Ok(Observation::new(self.without("unknown", "unknown", &error.message), 1, 1)),
            Err(Unread::Absent(why)) => return Ok(Observation::new(self.without("absent", "invalid", &why), 1, 1)),
            Err(Unread::Incomplete(why)) => return Ok(Observation::new(self.without("incomplete", "invalid", &why), 1, 1)),
        };
        let (works, told) = self.examine(&content).await;
        let calls = 1 + u64::from(self.credential.kind.api() != Api::None);
        Ok(Observation::new(self.facts(&content, works, told), 1, calls))
    }

    fn labels(&self) -> [&str; 2] {
        [&self.credential.name, self.credential.kind.as_str()]
    }

    /// Facts about a credential that could not be read.
    fn without(&self, state: &str, valid: &str, why: &str) -> Vec<Sample> {
        vec![
            STATE.sample(self.labels(), state).with_detail(why),
            VALID.sample(self.labels(), valid).with_detail(why),
            END.sample(self.labels(), "unknown").with_detail(why),
        ]
    }

    /// Whether it works, and what it or its issuer tells.
    async fn examine(&self, content: &Content) -> (Works, Told) {
        let api = match (&self.credential.api, self.credential.kind.api()) {
            (Some(api), _) => api.as_str(),
            (None, Api::At(api)) => api,
            (None, Api::None | Api::Configured) => {
                return match self.parse(&content.bytes) {
                    Ok(told) => (Works::Unproven, told),
                    Err(why) => (Works::No(why.to_owned()), Told::silent("what is there cannot be read")),
                };
            }
        };
        let Ok(text) = std::str::from_utf8(&content.bytes) else {
            return (Works::No("it is no text".to_owned()), Told::silent("what is there cannot be read"));
        };
        match (Issuer { client: &self.client, api, timeout: self.timeout }).ask(self.credential.kind, text).await {
            Ok(Proof::Taken(told)) => (Works::Proved, told),
            Ok(Proof::Refused(why)) => (Works::No(why), Told::silent("its issuer does not know it any more")),
            Err(error) => (Works::Unknown(error), Told::silent("its issuer could not be asked")),
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Told, &'static str> {
        let text = || std::str::from_utf8(bytes).map_err(|_| "it is no text");
        match self.credential.kind {
            Kind::Certificate => expiry::certificates(bytes),
            Kind::Jwt => expiry::jwt(text()?),
            Kind::DockerConfig => expiry::docker_config(text()?),
            Kind::Kubeconfig => expiry::kubeconfig(text()?),
            Kind::Artifactory => expiry::artifactory(text()?),
            Kind::Date => expiry::date(text()?, self.credential.pointer.as_deref()),
            _ => Ok(Told::silent("nothing tells when it ends; declare it with expires")),
        }
    }

    fn facts(&self, content: &Content, works: Works, told: Told) -> Vec<Sample> {
        let (labels, now) = (self.labels(), Timestamp::now().as_second());
        let mut samples = vec![STATE.sample(labels, "present")];
        samples.push(match works {
            // Its own dates refute whatever an issuer's cache still says.
            _ if told.ends.is_some_and(|at| at <= now) => VALID.sample(labels, "invalid").with_detail("it has ended"),
            _ if told.begins.is_some_and(|at| at > now) => VALID.sample(labels, "invalid").with_detail("it is not valid yet"),
            Works::Proved => VALID.sample(labels, "valid"),
            Works::Unproven => VALID.sample(labels, "unproven"),
            Works::No(why) => VALID.sample(labels, "invalid").with_detail(&why),
            Works::Unknown(error) => VALID.sample(labels, "unknown").with_detail(&error.message),
        });
        let declared = self.credential.expires.as_deref().and_then(dates::read).and_then(|ends| if let Ends::At(at) = ends { Some(at) } else { None });
        let silent = told.silent.filter(|_| declared.is_none());
        samples.push(match (silent, told.ends.or(declared)) {
            (Some(why), _) => END.sample(labels, "unknown").with_detail(why),
            (None, Some(_)) => END.sample(labels, "at"),
            (None, None) => END.sample(labels, "never"),
        });
        let earliest = [told.ends, declared].into_iter().flatten().min();
        samples.extend(earliest.map(|at| EXPIRY.sample(labels, at as f64)));
        samples.extend(content.changed.map(|at| CHANGED.sample(labels, at as f64)));
        if let (Some(declared), None) = (declared, told.silent) {
            let same = told.ends.is_some_and(|at| (at - declared).abs() < 86_400);
            let said = told.ends.and_then(|at| Timestamp::from_second(at).ok()).map_or_else(|| "that it never ends".to_owned(), |at| at.to_string());
            let state = if same { "match" } else { "differs" };
            samples
                .push(DECLARED.sample(labels, state).with_detail(&format!("declared {}, told {said}", self.credential.expires.as_deref().unwrap_or_default())));
        } else if declared.is_some() {
            samples.push(DECLARED.sample(labels, "match").with_detail("nothing else tells"));
        }
        samples
    }
}

impl Poll for Looker {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.ask().boxed()
    }
}
