//! Rules that a schema cannot say: uniqueness, references, times and expressions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{EventConfig, Problem, SecretRef, Settings, Span};
use crate::checklist::{self, Checklist};
use crate::event;
use crate::say;
use crate::say::{Message, named};

type Problems = Vec<Problem>;

/// Checks every rule and loads the checklists. With `complete` false, something was cut out before
/// and a missing reference may be a consequence of that, so references are not judged.
pub(super) fn validate(settings: &Settings, complete: bool, problems: &mut Problems) -> Vec<Checklist> {
    let clusters: BTreeSet<&str> = settings.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    let references = References {
        clusters,
        services: services(settings),
        workloads: workloads(settings),
        credentials: credentials(settings),
        managed_secrets: managed_secrets(settings),
        complete,
    };
    let checklists = load_checklists(settings, problems);
    events(settings, &checklists, &references, problems);
    for (index, cluster) in settings.clusters.iter().enumerate() {
        cluster.validate(&format!("clusters[{index}]"), problems);
    }
    unique("clusters", settings.clusters.iter().map(|cluster| cluster.name.as_str()), problems);
    if let Some(http) = &settings.collectors.http {
        http.validate("collectors.http", problems);
    }
    if let Some(tls) = &settings.collectors.tls {
        tls.validate("collectors.tls", problems);
    }
    if let Some(dns) = &settings.collectors.dns {
        dns.validate("collectors.dns", &references, problems);
    }
    if let Some(kubernetes) = &settings.collectors.kubernetes {
        kubernetes.validate("collectors.kubernetes", &references, problems);
        if complete && settings.clusters.is_empty() {
            problems.push(Problem::bare("clusters", "must name at least one cluster while collectors.kubernetes is on"));
        }
    }
    if let Some(registry) = &settings.collectors.registry {
        registry.validate("collectors.registry", &references, problems);
    }
    if let Some(credentials) = &settings.collectors.credentials {
        credentials.validate("collectors.credentials", &references, problems);
    }
    if let Some(secrets_manager) = &settings.collectors.secrets_manager {
        secrets_manager.validate("collectors.secrets_manager", problems);
    }
    if let Some(rotations) = &settings.collectors.rotations {
        rotations.validate("collectors.rotations", &references, problems);
    }
    if let Some(attestations) = &settings.attestations {
        interval("attestations.interval", attestations.interval, problems);
    }
    waivers(settings, &checklists, &references, problems);
    checklists
}

/// What other sections may refer to.
pub(crate) struct References<'a> {
    clusters: BTreeSet<&'a str>,
    services: BTreeSet<(&'a str, &'a str)>,
    workloads: BTreeSet<&'a str>,
    credentials: BTreeSet<&'a str>,
    managed_secrets: BTreeSet<&'a str>,
    complete: bool,
}

impl References<'_> {
    /// The name must be a configured cluster.
    pub(crate) fn cluster(&self, path: &str, name: &str, problems: &mut Problems) {
        if self.complete && !self.clusters.contains(name) {
            let known = self.clusters.iter().copied();
            problems.push(Problem::new(path, format!("must name a configured cluster{}", did_you_mean(name, known)), quoted(name)));
        }
    }

    /// Whether nothing was cut out, so that a missing name is really missing.
    pub(crate) fn complete(&self) -> bool {
        self.complete
    }

    /// The workload selector must be configured.
    pub(crate) fn workload(&self, path: &str, name: &str, problems: &mut Problems) {
        if self.complete && !self.workloads.contains(name) {
            let hint = did_you_mean(name, self.workloads.iter().copied());
            problems.push(Problem::new(path, format!("must name a selector of collectors.kubernetes.workloads{hint}"), quoted(name)));
        }
    }

    /// The credential must be configured.
    pub(crate) fn credential(&self, path: &str, name: &str, problems: &mut Problems) {
        if self.complete && !self.credentials.contains(name) {
            let hint = did_you_mean(name, self.credentials.iter().copied());
            problems.push(Problem::new(path, format!("must name one of collectors.credentials.credentials{hint}"), quoted(name)));
        }
    }

    /// The secret of AWS must be looked at.
    pub(crate) fn managed_secret(&self, path: &str, name: &str, problems: &mut Problems) {
        if self.complete && !self.managed_secrets.contains(name) {
            let hint = did_you_mean(name, self.managed_secrets.iter().copied());
            problems.push(Problem::new(path, format!("must name one of collectors.secrets_manager.secrets{hint}"), quoted(name)));
        }
    }

    /// The Service must be watched.
    pub(crate) fn service(&self, path: &str, namespace: &str, name: &str, problems: &mut Problems) {
        if self.complete && !self.services.contains(&(namespace, name)) {
            let rule = "must be listed in collectors.kubernetes.services, which reads its load balancer";
            problems.push(Problem::new(path, rule, quoted(&format!("{namespace}/{name}"))));
        }
    }
}

fn credentials(settings: &Settings) -> BTreeSet<&str> {
    settings.collectors.credentials.iter().flat_map(|config| &config.credentials).map(|credential| credential.name.as_str()).collect()
}

fn managed_secrets(settings: &Settings) -> BTreeSet<&str> {
    settings.collectors.secrets_manager.iter().flat_map(|config| &config.secrets).map(|secret| secret.name.as_str()).collect()
}

fn workloads(settings: &Settings) -> BTreeSet<&str> {
    settings.collectors.kubernetes.iter().flat_map(|config| &config.workloads).map(|selector| selector.name.as_str()).collect()
}

fn services(settings: &Settings) -> BTreeSet<(&str, &str)> {
    let kubernetes = settings.collectors.kubernetes.iter();
    kubernetes.flat_map(|config| &config.services).map(|s| (s.namespace.as_str(), s.name.as_str())).collect()
}

fn load_checklists(settings: &Settings, problems: &mut Problems) -> Vec<Checklist> {
    let mut loaded = Vec::new();
    let configured = settings.checklists_or_default();
    unique("checklists", configured.iter().map(|checklist| checklist.name.as_str()), problems);
    for (index, wanted) in configured.iter().enumerate() {
        let path = format!("checklists[{index}]");
        match checklist::load(&wanted.name, wanted.file.as_deref()) {
            Err(found) => problems.extend(found.into_iter().map(|problem| problem.within(&path, wanted.file.as_deref()))),
            Ok(mut checklist) => {
                problems.extend(checklist.apply(&wanted.overrides, &format!("{path}.overrides")));
                loaded.push(checklist);
            }
        }
    }
    loaded
}

fn events(settings: &Settings, checklists: &[Checklist], references: &References<'_>, problems: &mut Problems) {
    unique("events", settings.events.iter().map(|event| event.name.as_str()), problems);
    let names: Vec<_> = settings.checklists_or_default().iter().map(|checklist| checklist.name.clone()).collect();
    for (index, event) in settings.events.iter().enumerate() {
        let path = format!("events[{index}]");
        event_times(&path, event, problems);
        if references.complete && !names.contains(&event.checklist) {
            let hint = did_you_mean(&event.checklist, names.iter().map(String::as_str));
            problems.push(Problem::new(format!("{path}.checklist"), format!("must name a configured checklist{hint}"), quoted(&event.checklist)));
        }
        for (position, lead) in event.lead_times.iter().enumerate() {
            if lead.0.is_zero() {
                problems.push(Problem::new(format!("{path}.lead_times[{position}]"), "must be longer than nothing", lead));
            }
        }
    }
    for checklist in checklists {
        for check in checklist.checks() {
            if let Some(cluster) = check.filter.get("cluster") {
                let path = format!("checklists.{}.{}.where.cluster", checklist.name, check.name);
                references.cluster(&path, cluster, problems);
            }
        }
    }
}

fn event_times(path: &str, event: &EventConfig, problems: &mut Problems) {
    name(&format!("{path}.name"), &event.name, problems);
    match (&event.start, &event.cron) {
        (Some(_), Some(_)) => problems.push(Problem::bare(path, "must have one of start and cron, not both")),
        (None, None) => problems.push(Problem::bare(path, "must have start (one-off) or cron (recurring)")),
        (Some(_), None) if event.end.is_some() == event.duration.is_some() => {
            problems.push(Problem::bare(path, "must have exactly one of end and duration"));
        }
        (None, Some(_)) if event.duration.is_none() => {
            problems.push(Problem::bare(path, "must have a duration, because it recurs"));
        }
        (None, Some(_)) if event.end.is_some() => {
            problems.push(Problem::bare(format!("{path}.end"), "must not be set on a recurring event; use duration"));
        }
        _ => {
            if let Err((field, rule, got)) = event::Schedule::parse(event) {
                problems.push(Problem::new(format!("{path}.{field}"), rule, quoted(&got)));
            }
        }
    }
}

/// How far ahead a waiver may end.
const LONGEST_WAIVER: SignedDuration = SignedDuration::from_hours(90 * 24);

fn waivers(settings: &Settings, checklists: &[Checklist], references: &References<'_>, problems: &mut Problems) {
    let own = checklists.iter().flat_map(Checklist::checks).map(|check| check.name.as_str());
    let checks: Vec<&str> = own.chain([checklist::NOT_JUDGED]).collect();
    for (index, waiver) in settings.waivers.iter().enumerate() {
        let path = format!("waivers[{index}]");
        if !checklists.is_empty() && !checks.contains(&waiver.check.as_str()) {
            let hint = did_you_mean(&waiver.check, checks.iter().copied());
            problems.push(Problem::new(format!("{path}.check"), format!("must name a check{hint}"), quoted(&waiver.check)));
        }
        match waiver.until.parse::<Timestamp>() {
            Err(_) => {
                problems.push(Problem::new(format!("{path}.until"), "must be a moment with an offset such as 2026-12-02T00:00:00Z", quoted(&waiver.until)));
            }
            Ok(until) if until.duration_since(Timestamp::now()) > LONGEST_WAIVER => {
                problems.push(Problem::new(format!("{path}.until"), "must be within 90 days, so that somebody looks at it again", quoted(&waiver.until)));
            }
            Ok(_) => {}
        }
        for (field, text) in [("who", &waiver.who), ("why", &waiver.why)] {
            if text.trim().is_empty() {
                problems.push(Problem::bare(format!("{path}.{field}"), "must not be empty"));
            }
        }
        if let Some(cluster) = waiver.labels.get("cluster") {
            references.cluster(&format!("{path}.labels.cluster"), cluster, problems);
        }
    }
}

/// Reports each name that occurs twice.
pub(crate) fn unique<'a>(path: &str, names: impl Iterator<Item = &'a str>, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for (index, name) in names.enumerate() {
        if let Some(first) = seen.insert(name, index) {
            problems.push(Problem::new(format!("{path}[{index}]"), format!("must have a name that {path}[{first}] does not have"), quoted(name)));
        }
    }
}

/// A name that becomes a label value.
pub(crate) fn name(path: &str, name: &str, problems: &mut Problems) {
    if name.trim().is_empty() {
        problems.push(Problem::bare(path, "must not be empty"));
    } else if name.len() > 253 {
        problems.push(Problem::new(path, "must have at most 253 characters", name.len()));
    }
}

/// Names of hosts, as a URL holds them.
pub(crate) fn hosts(path: &str, hosts: &[String], problems: &mut Problems) {
    for (index, host) in hosts.iter().enumerate() {
        // An address of IPv6 has colons, and brackets if somebody copied it from a URL.
        let is_address = host.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_ok();
        let is_name = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if !is_address && !is_name {
            problems.push(Problem::bare(format!("{path}[{index}]"), "must be a host alone, without scheme, port, path and wildcard"));
        }
    }
}

/// Time between looks.
pub(crate) fn interval(path: &str, interval: Span, problems: &mut Problems) {
    if interval < Span::secs(1) || interval > Span::days(1) {
        problems.push(Problem::new(path, "must be between 1s and 1d", interval));
    }
}

/// Interval and deadline belong together: a look that may outlast its interval would pile up.
pub(crate) fn pace(path: &str, every: Span, timeout: Span, problems: &mut Problems) {
    interval(&format!("{path}.interval"), every, problems);
    if timeout.0.is_zero() || timeout > every {
        problems.push(Problem::new(format!("{path}.timeout"), format!("must be longer than nothing and at most the interval, {every}"), timeout));
    }
}

/// A suggestion for a name that is not known, or nothing.
pub(crate) fn did_you_mean<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Message {
    let close = known.map(|name| (strsim::jaro_winkler(wrong, name), name)).filter(|(score, _)| *score > 0.8);
    close.max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(|| "".into(), |(_, name)| say!("; did you mean {}?", named(name)))
}

/// A text value as it stands in a message. What looks like a URL or an address with a user may hold a
/// password, and is not shown.
pub(crate) fn quoted(text: &str) -> String {
    // `user:password` and a whole header; `localhost:5000/a` and 09:00 are none.
    let is_pair = text.split_once(':').is_some_and(|(before, after)| !before.contains(['/', '.']) && !after.starts_with(|c: char| c.is_ascii_digit()));
    // Tokens and hashes: longer than words, of letters and digits.
    let is_token = |word: &str| word.len() >= 20 && word.contains(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_ascii_alphabetic());
    let is_hidden = text.contains("://") || text.contains('@') || is_pair || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_token);
    if is_hidden { "***".to_owned() } else { format!("{text:?}") }
}

/// A socket address with a port.
pub(crate) fn socket_address(path: &str, text: &str, problems: &mut Problems) {
    if text.parse::<std::net::SocketAddr>().is_err() {
        problems.push(Problem::bare(path, "must be an IP address with a port, such as 1.1.1.1:53"));
    }
}

/// A reference to a secret that names exactly one place.
pub(crate) fn secret(path: &str, reference: &SecretRef, problems: &mut Problems) {
    if reference.file.is_some() == reference.env.is_some() {
        problems.push(Problem::bare(path, "must have exactly one of file and env"));
    }
}
