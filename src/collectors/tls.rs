//! Certificates as servers present them: a handshake of its own, which goes on whatever the
//! certificate says, so that an expired one still shows when it expired.
//!
//! Nothing is sent after the handshake, and nothing that this connection says is trusted.

pub(super) mod config;
mod handshake;
mod renewed;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ProtocolVersion};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

pub use config::{Config, Target};

use super::kubernetes::{self, ClusterConfig, Permission};
use super::section::{Estate, Section};
use crate::cause::Cause as _;
use crate::driver::{Form, Poll, Task};
use crate::made::{Made, Shared};
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set, states};
use crate::net::{self, Answer, Lookup, Stapled, Told, Trust};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, Observation, Snapshot, Source};
use crate::state::State;
use crate::value::names::{self, Visit};
use crate::value::rules::{References, repeated, split, twin};
use crate::value::{Problem, Span};
use crate::word::Word;
use handshake::present;
use renewed::Life;

/// The `collector` label.
pub const NAME: &str = "tls";

const LABELS: [&str; 2] = ["target", "address"];

/// What an address has to say is known once it completed a handshake.
const COMPLETED: Coverage = Coverage::of(HANDSHAKE_STATE.0.name, &[Handshake::Completed.as_str()]);
/// An address that was asked either completes one or does not.
const ASKED: Coverage = Coverage { seen: &[Handshake::Completed.as_str(), Handshake::Failed.as_str()], ..COMPLETED };

states! {
    /// How a handshake ended.
    enum Handshake {
        Completed => "completed",
        Failed => "failed",
        Unknown => "unknown",
    }
}

/// Of a chain that can be read it is known whether its leaf is due.
const RENEWALS: Coverage = Coverage::of(RENEWAL.0.name, &[Renewal::Due.as_str(), Renewal::Young.as_str(), Renewal::Renewed.as_str()]);

states! {
    /// Whether a leaf must be renewed by somebody.
    enum Renewal {
        Due => "due",
        Young => "young",
        Renewed => "renewed",
        Unknown => "unknown",
    }
}

states! {
    /// What verifying a chain found.
    enum Verification {
        Valid => "valid",
        Expired => "expired",
        NotYetValid => "not_yet_valid",
        SelfSigned => "self_signed",
        Untrusted => "untrusted",
        WrongName => "wrong_name",
        Invalid => "invalid",
        Revoked => "revoked",
        Unstapled => "unstapled",
    }
}

metrics! {
    /// Families of this collector.
    pub FAMILIES;

    static HANDSHAKE: Gauge<2> = gauge(
        "readiness_tls_handshake_success",
        Unit::Flag,
        &LABELS,
        "Whether an address completed a TLS handshake at the last look, whatever its certificate says.",
    )
    .covered_by(ASKED.each());
    static HANDSHAKE_STATE: StateSet<Handshake, 2> = state_set(
        "readiness_tls_handshake_state",
        &LABELS,
        "How the last TLS handshake with an address ended; unknown for addresses that were not asked.",
    );
    static LEAF_NOT_AFTER: Gauge<2> = gauge(
        "readiness_tls_leaf_not_after_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When the presented leaf certificate expires, from its X.509 notAfter.",
    )
    .covered_by(COMPLETED.each());
    static CHAIN_NOT_AFTER: Gauge<2> = gauge(
        "readiness_tls_chain_not_after_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When the presented chain expires, from X.509 notAfter: the first certificate of the path that verifies and lasts longest, its root included, or of all while no path verifies.",
    )
    .covered_by(COMPLETED.each());
    static RENEWAL: StateSet<Renewal, 2> = state_set(
        "readiness_tls_renewal_state",
        &LABELS,
        "Whether the presented leaf is due: young while it lives for less than two weeks and less than two thirds of that and another tenth are over, renewed where it is also seen to be renewed in time, by cert-manager in the cert-manager.io/v1 API or since the leaf before it was seen.",
    );
    static DUE: Gauge<2> = gauge(
        "readiness_tls_chain_due_not_after_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When the presented chain expires, as readiness_tls_chain_not_after_timestamp_seconds; nothing while its leaf is young or seen to be renewed, by readiness_tls_renewal_state.",
    )
    .covered_by(RENEWALS.each_in(&[Renewal::Due.as_str()]).quiet());
    static UNRENEWED: Gauge<2> = gauge(
        "readiness_tls_chain_unrenewed_not_after_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When the presented chain expires, as readiness_tls_chain_not_after_timestamp_seconds; nothing while its leaf is seen to be renewed, by readiness_tls_renewal_state.",
    )
    .covered_by(RENEWALS.each_in(&[Renewal::Due.as_str(), Renewal::Young.as_str()]).quiet());
    static VERIFICATION: StateSet<Verification, 2> = state_set(
        "readiness_tls_verification_state",
        &LABELS,
        "What verifying the presented chain for the asked name found; revoked by the OCSP answer that the server presents, unstapled where that is out of date, is about another certificate, says that its authority does not know the certificate, or is missing although the certificate demands it.",
    )
    .covered_by(COMPLETED.each());
    static PROTOCOL: Gauge<3> = gauge("readiness_tls_protocol_info", Unit::Mark, &["target", "address", "version"], "The TLS version that was agreed on.")
        .with_values("version", &["TLS 1.2", "TLS 1.3", "other"])
        .covered_by(COMPLETED.each());
}

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn rules(&self, path: &str, _: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, problems);
    }

    fn odd(&self, path: &str, _: &[ClusterConfig], found: &mut Vec<Problem>) {
        let asked = |target: &Target| {
            let (host, port) = split(&target.address)?;
            let name = target.server_name.as_deref().unwrap_or(host);
            Some((host.to_ascii_lowercase(), port, name.trim_end_matches('.').to_ascii_lowercase()))
        };
        let twins = repeated(&self.targets, |one, other| asked(one) == asked(other)).into_iter();
        found.extend(twins.map(|(index, target, first)| Problem::bare(format!("{path}.targets[{index}]"), twin(&target.name, &first.name))));
    }

    fn offers<'a>(&'a self, _: &mut References<'a>) {}

    fn names(&mut self, path: &str, visit: &mut Visit<'_>) {
        names::file(&format!("{path}.ca_file"), &mut self.ca_file, visit);
    }

    fn permissions(&self, _: &ClusterConfig) -> Vec<Permission> {
        Vec::new()
    }

    fn tasks(&self, estate: &Estate<'_>) -> Result<Vec<Task>, Message> {
        tasks(self, estate)
    }
}

/// One task per target.
fn tasks(config: &Config, estate: &Estate<'_>) -> Result<Vec<Task>, Message> {
    // Who asks cert-manager waits for the clusters, and nobody else should.
    let reads: &[&str] = if estate.collectors.kubernetes.as_ref().is_some_and(|own| own.cert_manager.is_some()) { &[kubernetes::NAME] } else { &[] };
    let state = estate.state;
    let trust = Trust::of_files(config.ca_file.as_deref())?;
    let lookup = Lookup::made(config.resolver.as_deref(), config.timeout.0)?;
    let task = |target: &Target| {
        Ok(Task {
            source: Source {
                identity: [("target", target.name.as_str())].into(),
                emits: FAMILIES.iter().map(|family| family.name).collect(),
                reads,
                ..Source::new(NAME, &target.name, config.interval.0)
            },
            timeout: config.timeout.0 + Duration::from_secs(1),
            form: Made::try_of(
                (target.clone(), trust.clone(), lookup.clone(), config.timeout.0, Shared(Arc::clone(state))),
                |(target, trust, lookup, timeout, Shared(state))| TlsCollector::new(target, trust, lookup, *timeout, Arc::clone(state)).map(Form::poll),
            )?,
        })
    };
    config.targets.iter().map(task).collect()
}

impl TlsCollector {
    fn new(target: &Target, trust: &Trust, lookup: &Lookup, timeout: Duration, state: Arc<State>) -> Result<Self, Message> {
        let (host, port) = split(&target.address).ok_or_else(|| say!("tls target {}: address must be host:port", named(&target.name)))?;
        let asked = target.server_name.as_deref().unwrap_or(host).to_owned();
        let server_name =
            ServerName::try_from(asked).map_err(|_| say!("tls target {}: server_name: must be a host name or an IP address", named(&target.name)))?;
        Ok(Self { target: target.name.clone(), host: host.to_owned(), port, server_name, trust: trust.clone(), lookup: lookup.clone(), timeout, state })
    }
}

struct TlsCollector {
    target: String,
    host: String,
    port: u16,
    server_name: ServerName<'static>,
    trust: Trust,
    lookup: Lookup,
    timeout: Duration,
    /// Remembers when the leaf of each address began.
    state: Arc<State>,
}

impl Poll for TlsCollector {
    fn look<'a>(&'a mut self, seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async {
            let (told, _) = self.lookup.each(&self.host, self.timeout, |address, took| self.at(address, self.timeout.saturating_sub(took), seen)).await;
            let samples: Vec<Sample> = told.into_iter().flat_map(|told| self.samples(told)).collect();
            let objects = samples.iter().filter(|sample| sample.family.name == HANDSHAKE.0.name).count();
            Ok(Observation::new(samples, objects, objects as u64))
        }
        .boxed()
    }
}

impl TlsCollector {
    fn samples(&self, told: Told<Vec<Sample>>) -> Vec<Sample> {
        let labels = [self.target.as_str(), told.place.as_str()];
        match told.answer {
            Answer::Asked(samples) => samples,
            Answer::Unresolved(why) | Answer::Late(why) => failed(labels, &why),
            Answer::Unseen(why) => unseen(labels, &why).into(),
        }
    }

    async fn at(&self, address: IpAddr, left: Duration, seen: &Snapshot) -> Vec<Sample> {
        let text = address.to_string();
        let labels = [self.target.as_str(), text.as_str()];
        let place = SocketAddr::new(address, self.port);
        let presented = tokio::time::timeout(left, present(place, self.server_name.clone(), &self.trust)).await;
        match presented {
            Err(_) => failed(labels, &say!("no handshake within {}", Span(self.timeout))),
            Ok(Err(why)) => net::unroutable(place).map_or_else(|| failed(labels, &why), |why| unseen(labels, &why).into()),
            Ok(Ok(presented)) => {
                let now = Timestamp::now();
                let mut samples = presented.samples(labels, &self.trust, now.as_second());
                samples.extend(self.lapses(labels, &presented, &samples, seen, now));
                samples
            }
        }
    }

    /// When the leaf before this one began, which is remembered of those alone that live for days.
    fn begun_before(&self, labels: [&str; 2], life: Life, now: Timestamp) -> Option<i64> {
        let subject = labels.join(" ");
        let is_newest = self.state.last_rotation(NAME, &subject, Some(life.begins), now) == Some(life.begins);
        self.state.rotation_before(NAME, &subject).filter(|_| is_newest)
    }

    /// The end of a chain where it is due, and where nobody was seen to renew it.
    fn lapses(&self, labels: [&str; 2], presented: &Presented, samples: &[Sample], seen: &Snapshot, now: Timestamp) -> Vec<Sample> {
        let (Some(end), Some(life)) = (samples.iter().find(|sample| sample.family.name == CHAIN_NOT_AFTER.0.name), presented.life()) else {
            return vec![RENEWAL.sample(labels, Renewal::Unknown).with_detail(say!("a certificate of the chain cannot be read"))];
        };
        let before = if life.is_short() { self.begun_before(labels, life, now) } else { None };
        let unrenewed = |family: &'static Gauge<2>| Sample { detail: end.detail.clone(), ..family.sample(labels, end.value) };
        // What ends before the leaf does is not renewed with it.
        let is_young = end.second() >= life.ends && life.is_young(now.as_second());
        match life.renewed(before, seen, now.as_second()).filter(|_| is_young) {
            Some(how) => vec![RENEWAL.sample(labels, Renewal::Renewed).with_detail(say!("{}; {}", how, life.why_not_due()))],
            None if is_young => vec![RENEWAL.sample(labels, Renewal::Young).with_detail(life.why_not_due()), unrenewed(&UNRENEWED)],
            None => vec![RENEWAL.sample(labels, Renewal::Due), unrenewed(&UNRENEWED), unrenewed(&DUE)],
        }
    }
}

/// What nobody asked.
fn unseen(labels: [&str; 2], why: &Message) -> [Sample; 2] {
    [HANDSHAKE_STATE.sample(labels, Handshake::Unknown), RENEWAL.sample(labels, Renewal::Unknown)].map(|sample| sample.with_detail(why))
}

fn failed(labels: [&str; 2], why: &Message) -> Vec<Sample> {
    vec![
        HANDSHAKE.sample(labels, 0.0).with_detail(why),
        HANDSHAKE_STATE.sample(labels, Handshake::Failed).with_detail(why),
        RENEWAL.sample(labels, Renewal::Unknown).with_detail(why),
    ]
}

/// Two authorities may bear one name.
const NAMESAKE: &str = "the certificate is from an authority that is not trusted: one of the same name is, with another key";

/// What a server presented.
struct Presented {
    /// The name that it was asked for.
    asked: String,
    chain: Vec<CertificateDer<'static>>,
    verdict: Result<(), rustls::Error>,
    /// The OCSP answer that came with it, if one did.
    stapled: Vec<u8>,
    protocol: Option<ProtocolVersion>,
}

impl Presented {
    fn samples(&self, labels: [&str; 2], trust: &Trust, now: i64) -> Vec<Sample> {
        let certificates: Vec<X509Certificate<'_>> =
            self.chain.iter().filter_map(|der| X509Certificate::from_der(der).ok()).filter(|(rest, _)| rest.is_empty()).map(|(_, parsed)| parsed).collect();
        let mut samples = vec![HANDSHAKE.sample(labels, 1.0), HANDSHAKE_STATE.sample(labels, Handshake::Completed)];
        let (state, why) = self.verification(certificates.first(), trust, now);
        let why = match certificates.first() {
            Some(leaf) if state == Verification::WrongName => say!("{}: {} was asked for, and it is for {}", why, named(&self.asked), names_of(leaf)),
            _ => why,
        };
        samples.push(VERIFICATION.sample(labels, state).with_detail(why));
        // A chain with a certificate that cannot be read has no known end.
        let ends: Vec<i64> = certificates.iter().map(|certificate| certificate.validity().not_after.timestamp()).collect();
        if let (Some(first), Some(earliest), true) = (ends.first(), ends.iter().min(), ends.len() == self.chain.len()) {
            let subject = certificates.first().and_then(common_name).unwrap_or_else(|| say!("a certificate"));
            samples.push(LEAF_NOT_AFTER.sample(labels, *first as f64).with_detail(subject.clone()));
            let path = self.chain.split_first().and_then(|(leaf, others)| trust.end_of(leaf, others, now));
            let end = path.map_or(*earliest, |path| path.ends);
            let words = match path.map_or(0, |path| path.spare) {
                0 => subject,
                1 => say!("{}; a certificate that it does without has expired", subject),
                spare => say!("{}; {} certificates that it does without have expired", subject, spare),
            };
            let words = if path.is_some_and(|path| path.by_root) {
                say!("{}; the root that it leads to expires first", words).fixed_by(ROOT_ENDS)
            } else {
                match end_before_leaf(&certificates, end) {
                    Some(which) => say!("{}; {} expires first", words, which).fixed_by(INTERMEDIATE_ENDS),
                    None => words,
                }
            };
            samples.push(CHAIN_NOT_AFTER.sample(labels, end as f64).with_detail(words));
        }
        if let Some(version) = self.protocol {
            let version = match version {
                ProtocolVersion::TLSv1_3 => "TLS 1.3",
                ProtocolVersion::TLSv1_2 => "TLS 1.2",
                _ => "other",
            };
            samples.push(PROTOCOL.sample([labels[0], labels[1], version], 1.0));
        }
        samples
    }

    /// The life of its leaf.
    fn life(&self) -> Option<Life> {
        let (_, leaf) = X509Certificate::from_der(self.chain.first()?).ok()?;
        Some(Life::of(&leaf))
    }

    fn verification(&self, leaf: Option<&X509Certificate<'_>>, trust: &Trust, now: i64) -> (Verification, Message) {
        let Err(error) = &self.verdict else { return self.standing(leaf, trust, now) };
        let alone = self.chain.len() == 1 && leaf.is_some_and(|leaf| leaf.subject() == leaf.issuer());
        let state = match error {
            rustls::Error::InvalidCertificate(reason) => match reason {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Verification::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Verification::NotYetValid,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Verification::WrongName,
                _ if alone => Verification::SelfSigned,
                // Another root with the same name shows as a bad signature, or as one of another kind than its key.
                _ if self.is_of_a_namesake(reason, trust) => return (Verification::Untrusted, say!("{}", NAMESAKE)),
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Verification::Untrusted,
                _ => Verification::Invalid,
            },
            _ => Verification::Invalid,
        };
        (state, error.words())
    }

    /// Whether it leads to a name that is trusted, and was signed with another key than the trusted one.
    fn is_of_a_namesake(&self, reason: &CertificateError, trust: &Trust) -> bool {
        let is_signature = matches!(reason, CertificateError::BadSignature | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. });
        is_signature && self.chain.iter().filter_map(|der| X509Certificate::from_der(der).ok()).any(|(_, own)| trust.knows(own.issuer().as_raw()))
    }

    /// What is said of a chain that verifies by the OCSP answer that comes with it.
    fn standing(&self, leaf: Option<&X509Certificate<'_>>, trust: &Trust, now: i64) -> (Verification, Message) {
        let good = say!("the chain is valid for this name");
        let is_demanded = leaf.is_some_and(net::must_staple);
        if self.stapled.is_empty() {
            let missing = || say!("the certificate demands an OCSP answer with it (must-staple), and the server presents none");
            return if is_demanded { (Verification::Unstapled, missing()) } else { (Verification::Valid, good) };
        }
        match net::read_staple(&self.stapled, &self.chain, trust, now) {
            Stapled::Good => (Verification::Valid, good),
            Stapled::Revoked(at) => (Verification::Revoked, net::revoked_words(at)),
            Stapled::Late(until) => {
                let until = Timestamp::from_second(until).unwrap_or(Timestamp::MIN);
                (Verification::Unstapled, say!("the OCSP answer that the server presents with it counted until {}", until))
            }
            Stapled::Against(why) => {
                (Verification::Unstapled, say!("the OCSP answer that the server presents with it {}, and browsers refuse the certificate then", why))
            }
            Stapled::Unproven(why) if is_demanded => {
                (Verification::Unstapled, say!("the certificate demands an OCSP answer with it (must-staple), and that of the server is no proof: {}", why))
            }
            Stapled::Unproven(why) => (Verification::Valid, say!("{}; the OCSP answer with it is no proof: {}", good, why)),
        }
    }
}

/// What to do where a new certificate would end with the same authority.
const INTERMEDIATE_ENDS: &str = "Serve the intermediate that the authority uses now, which its documentation or a new certificate of it comes with: while the one that is named stays in the chain, a renewed certificate expires with it.";

/// The same for one that servers do not present.
const ROOT_ENDS: &str = "Take the current root of the authority into ca_file, or renew the certificate under a root that lasts: under the same one, a renewed certificate expires with it.";

/// Which certificate of a chain ends at a second before its leaf does.
fn end_before_leaf(chain: &[X509Certificate<'_>], end: i64) -> Option<Message> {
    let ends = |certificate: &X509Certificate<'_>| certificate.validity().not_after.timestamp() == end;
    let (place, found) = chain.iter().enumerate().find(|(_, certificate)| ends(certificate)).filter(|(place, _)| *place > 0)?;
    let which = say!("certificate {} of the {} that the server presents", place + 1, chain.len());
    Some(common_name(found).map_or_else(|| say!("{}, an intermediate,", which), |name| say!("{}, the intermediate {},", which, name)))
}

/// For which names a certificate is, the first few of them.
fn names_of(certificate: &X509Certificate<'_>) -> Message {
    const SHOWN: usize = 3;
    let list = certificate.subject_alternative_name().ok().flatten().map(|list| list.value.general_names.as_slice()).unwrap_or_default();
    let name = |general: &GeneralName<'_>| match general {
        GeneralName::DNSName(name) => {
            Word::host(name.strip_prefix("*.").unwrap_or(name)).map(|host| if name.starts_with("*.") { say!("*.{}", host) } else { say!("{}", host) })
        }
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| say!("{}", address))
        }
        _ => None,
    };
    let names: Vec<Message> = list.iter().filter_map(name).collect();
    match names.len() {
        0 => say!("no name at all"),
        all if all > SHOWN => say!("{} and {} more", Message::joined(names.into_iter().take(SHOWN), ", "), all - SHOWN),
        _ => Message::joined(names, ", "),
    }
}

/// The name of a certificate, if it is one: whoever made it could write anything there.
fn common_name(certificate: &X509Certificate<'_>) -> Option<Message> {
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Word::host(name).map(|name| say!("{}", name))
}

#[cfg(test)]
mod tests;
