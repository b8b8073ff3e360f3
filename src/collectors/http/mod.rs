//! HTTP endpoints: does each address behind a URL answer as it should, and how fast.
//!
//! Every resolved address is asked on a fresh connection, so that one bad load balancer node is
//! not hidden by its neighbours. Sends only the configured request, GET by default: a router may
//! answer HEAD with 405 while the service is healthy. Response bodies are judged and dropped; no
//! part of one leaves this module.

pub(super) mod config;
mod decode;
mod expectation;
mod follow;
mod judge;
mod probe;
mod window;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use config::WEB;
pub use config::{Config, Expect, Header, JsonRule, Target};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::kubernetes::{ClusterConfig, Permission};
use super::section::{Estate, Section};
use crate::driver::{Form, Poll, Task};
use crate::made::Made;
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, States as _, Unit, gauge, metrics, state_set, states};
use crate::net::{Lookup, Trust};
use crate::say::Message;
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot, Source};
use crate::value::Problem;
use crate::value::names::{self, Visit};
use crate::value::rules::{References, quoted, repeated, twin};
use probe::{Place, Probe, Prober};
use window::Window;

/// The `collector` label.
pub const NAME: &str = "http";

const LABELS: [&str; 4] = ["target", "kind", "family", "address"];

/// An address that did not answer for the target has no status, and was not fast because it refused.
const ANSWERED: Coverage = Coverage::of(
    OUTCOME.0.name,
    &[Outcome::Ok.as_str(), Outcome::Status.as_str(), Outcome::Body.as_str(), Outcome::Identity.as_str(), Outcome::TooLarge.as_str()],
);
/// Whoever answered in full has said who it is, or is not known.
const TOLD: Coverage = Coverage { seen: &[Outcome::Ok.as_str(), Outcome::Status.as_str(), Outcome::Body.as_str(), Outcome::Identity.as_str()], ..ANSWERED };
/// How a look ends without an answer of the target.
const UNANSWERED: &[&str] = &[
    Outcome::Dns.as_str(),
    Outcome::Refused.as_str(),
    Outcome::Timeout.as_str(),
    Outcome::Reset.as_str(),
    Outcome::Tls.as_str(),
    Outcome::Protocol.as_str(),
    Outcome::Redirect.as_str(),
];
/// All but the last.
const ALL_BUT_UNKNOWN: &[&str] = Outcome::WORDS.split_at(Outcome::Unknown as usize).0;
/// An address that was asked is good or not.
const ASKED: Coverage = Coverage { seen: ALL_BUT_UNKNOWN, ..ANSWERED };

/// Methods that servers know.
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "OPTIONS"];

states! {
    /// How a look at one address ended.
    enum Outcome {
        Ok => "ok",
        Dns => "dns",
        Refused => "refused",
        Timeout => "timeout",
        Reset => "reset",
        Tls => "tls",
        Protocol => "protocol",
        Status => "status",
        Body => "body",
        Identity => "identity",
        Redirect => "redirect",
        TooLarge => "too_large",
        Unknown => "unknown",
    }
}

metrics! {
    /// Families of this collector.
    pub FAMILIES;

    static SUCCESS: Gauge<4> =
        gauge("readiness_http_success", Unit::Flag, &LABELS, "Whether an address behind the target's URL answered as expected at the last look.")
            .covered_by(ASKED.each());
    static OUTCOME: StateSet<Outcome, 4> = state_set(
        "readiness_http_outcome_state",
        &LABELS,
        "How the last look at an address behind the target's URL ended; unknown for addresses that were not asked, and for answers that cannot be judged.",
    )
    .unseen_in(UNANSWERED);
    static STATUS: Gauge<4> =
        gauge("readiness_http_status_code", Unit::Number, &LABELS, "Status code of the last HTTP response of an address, after redirects.")
            .covered_by(ANSWERED.each());
    static PHASE: Gauge<5> = gauge(
        "readiness_http_phase_duration_seconds",
        Unit::Seconds,
        &["target", "kind", "family", "address", "phase"],
        "Time that each phase of the last look took: dns, connect, tls, first_byte, total.",
    )
    .covered_by(ANSWERED.each());
    static BODY: Gauge<4> =
        gauge("readiness_http_body_bytes", Unit::Bytes, &LABELS, "Size of the body of the last HTTP response of an address, as far as it was read.")
            .covered_by(ANSWERED.each());
    static AGE: Gauge<4> = gauge(
        "readiness_http_answer_age_seconds",
        Unit::Seconds,
        &LABELS,
        "How long a cache has kept the answer of an address, from its Age header; 0 without one. An old answer says nothing about the server behind the cache.",
    )
    .covered_by(ANSWERED.each());
    static IDENTITY: Gauge<4> = gauge(
        "readiness_http_identity_match",
        Unit::Flag,
        &LABELS,
        "Whether the JSON fields that identify the service have the expected values, so that an answer from another service behind the same wildcard is not taken for this one.",
    )
    .covered_by(TOLD.each())
    .made_by("`expect.identity` to a target in collectors.http.targets");
    static RATIO: Gauge<2> = gauge(
        "readiness_http_success_ratio",
        Unit::Share,
        &["target", "kind"],
        "Share of looks at a target in the sliding window in which every address answered as expected.",
    )
    .covered_by(ASKED.each());
}

impl Section for Config {
    const NAME: &'static str = NAME;
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn rules(&self, path: &str, _: &References<'_>, problems: &mut Vec<Problem>) {
        self.validate(path, problems);
    }

    fn odd(&self, path: &str, _: &[ClusterConfig], found: &mut Vec<Problem>) {
        let is_twin =
            |one: &Target, other: &Target| one.url.is_same(&other.url) && Target { name: one.name.clone(), url: one.url.clone(), ..other.clone() } == *one;
        let twins = repeated(&self.targets, is_twin).into_iter();
        found.extend(twins.map(|(index, target, first)| Problem::bare(format!("{path}.targets[{index}]"), twin(&target.name, &first.name))));
        for (index, target) in self.targets.iter().enumerate() {
            let meant = target.method.to_ascii_uppercase();
            // Methods are told apart by the case of their letters (RFC 9110, section 9.1).
            if meant != target.method && METHODS.contains(&meant.as_str()) {
                let rule = format!("is another method than {meant} to most servers, who refuse it");
                found.push(Problem::new(format!("{path}.targets[{index}].method"), rule, quoted(&target.method)));
            }
        }
    }

    fn offers<'a>(&'a self, _: &mut References<'a>) {}

    fn names(&mut self, path: &str, visit: &mut Visit<'_>) {
        names::file(&format!("{path}.ca_file"), &mut self.ca_file, visit);
        for (index, target) in self.targets.iter_mut().enumerate() {
            for (position, header) in target.headers.iter_mut().enumerate() {
                names::secret(&format!("{path}.targets[{index}].headers[{position}].value_from"), &mut header.value_from, visit);
            }
        }
    }

    fn permissions(&self, _: &ClusterConfig) -> Vec<Permission> {
        Vec::new()
    }

    fn tasks(&self, _: &Estate<'_>) -> Result<Vec<Task>, Message> {
        tasks(self)
    }
}

/// One task per target.
fn tasks(config: &Config) -> Result<Vec<Task>, Message> {
    let tls = Made::try_of(Trust::of_files(config.ca_file.as_deref())?, probe::client_config)?;
    let lookup = Lookup::made(config.resolver.as_deref(), config.timeout.0)?;
    config.targets.iter().map(|target| task(config, target, &tls, &lookup)).collect()
}

fn task(config: &Config, target: &Target, tls: &Made<Arc<rustls::ClientConfig>>, lookup: &Made<Lookup>) -> Result<Task, Message> {
    let interval = target.interval.unwrap_or(config.interval).0;
    let timeout = target.timeout.unwrap_or(config.timeout).0;
    let mut emits: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    if target.expect.identity.is_empty() {
        emits.retain(|name| *name != IDENTITY.0.name);
    }
    Ok(Task {
        source: Source { identity: [("target", target.name.as_str()), ("kind", &target.kind)].into(), emits, ..Source::new(NAME, &target.name, interval) },
        // The probe keeps its own deadline, so that a slow target is a fact and not a failed look.
        timeout: timeout + Duration::from_secs(1),
        form: Made::try_of((target.clone(), timeout, config.window.0, tls.clone(), lookup.clone()), |(target, timeout, window, tls, lookup)| {
            let prober = Prober::new(target, Arc::clone(tls), Lookup::clone(lookup), *timeout);
            prober.map(|prober| Form::poll(HttpCollector { target: target.name.clone(), kind: target.kind.clone(), prober, window: Window::new(*window) }))
        })?,
    })
}

struct HttpCollector {
    target: String,
    kind: String,
    prober: Prober,
    window: Window,
}

impl Poll for HttpCollector {
    fn look<'a>(&'a mut self, _seen: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        async {
            let request = self.prober.prepare().await.map_err(|why| CollectError::new(ErrorClass::Local, why))?;
            let looked = self.prober.look(&request).await;
            let with = |outcome: &[Outcome]| looked.iter().filter(|(_, probe)| outcome.contains(&probe.outcome)).count();
            let failed: Vec<_> =
                looked.iter().filter(|(_, probe)| !matches!(probe.outcome, Outcome::Ok | Outcome::Unknown)).map(|(place, _)| place.address.clone()).collect();
            // What was not seen makes a look neither good nor bad.
            if !failed.is_empty() || with(&[Outcome::Ok]) == looked.len() {
                self.window.add(failed);
            }
            self.window.forget();
            let api_calls = (looked.len() - with(&[Outcome::Unknown])) as u64;
            Ok(Observation::new(self.samples(&looked), looked.len(), api_calls))
        }
        .boxed()
    }
}

impl HttpCollector {
    fn samples(&self, looked: &[(Place, Probe)]) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(looked.len() * 24);
        for (place, probe) in looked {
            probe_samples([&self.target, &self.kind, place.family, &place.address], probe, &mut samples);
        }
        if let Some((ratio, words)) = self.window.ratio() {
            samples.push(RATIO.sample([self.target.as_str(), &self.kind], ratio).with_detail(words));
        }
        samples
    }
}

fn probe_samples(labels: [&str; 4], probe: &Probe, samples: &mut Vec<Sample>) {
    let flag = |good: bool| f64::from(u8::from(good));
    if probe.outcome != Outcome::Unknown {
        samples.push(SUCCESS.sample(labels, flag(probe.outcome == Outcome::Ok)).with_detail(&probe.detail));
    }
    samples.push(OUTCOME.sample(labels, probe.outcome).with_detail(&probe.detail));
    if let Some(age) = probe.age {
        samples.push(AGE.sample(labels, age as f64));
    }
    if let Some(status) = probe.status {
        samples.push(STATUS.sample(labels, f64::from(status)));
    }
    if let Some(size) = probe.body_bytes {
        samples.push(BODY.sample(labels, size as f64));
    }
    // Whoever did not answer is no other service.
    if let Some(told) = probe.identity {
        samples.push(IDENTITY.sample(labels, flag(told)).with_detail(&probe.detail));
    }
    for (phase, took) in &probe.phases {
        samples.push(PHASE.sample([labels[0], labels[1], labels[2], labels[3], phase], took.as_secs_f64()));
    }
}

#[cfg(test)]
mod odd;
#[cfg(test)]
mod tests;
