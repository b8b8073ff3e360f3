//! Rules that a schema cannot say about single values and names, and the words for what breaks them.

use std::collections::{BTreeMap, BTreeSet};

use rustls::pki_types::ServerName;

use super::{Problem, SecretRef, Span};
use crate::word::{Word, did_you_mean};

type Problems = Vec<Problem>;

/// What other sections may refer to.
#[derive(Default)]
pub(crate) struct References<'a> {
    pub(crate) clusters: BTreeSet<&'a str>,
    pub(crate) services: BTreeSet<(&'a str, &'a str)>,
    pub(crate) workloads: BTreeSet<&'a str>,
    pub(crate) credentials: BTreeSet<&'a str>,
    pub(crate) managed_secrets: BTreeSet<&'a str>,
    pub(crate) complete: bool,
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

/// Reports each name that occurs twice.
pub(crate) fn unique<'a>(path: &str, names: impl Iterator<Item = &'a str>, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for (index, name) in names.enumerate() {
        if let Some(first) = seen.insert(name, index) {
            problems.push(Problem::new(format!("{path}[{index}]"), format!("must have a name that {path}[{first}] does not have"), quoted(name)));
        }
    }
}

/// Reports each entry that stands in a list twice.
pub(crate) fn once<S: AsRef<str> + Ord>(path: &str, entries: impl Iterator<Item = S>, problems: &mut Problems) {
    let mut seen = BTreeMap::new();
    for (index, entry) in entries.enumerate() {
        let shown = quoted(entry.as_ref());
        if let Some(first) = seen.insert(entry, index) {
            problems.push(Problem::new(format!("{path}[{index}]"), format!("must not be the same as {path}[{first}]"), shown));
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
        problems.push(Problem::new(format!("{path}.timeout"), format!("must be greater than 0 and at most the interval, {every}"), timeout));
    }
}

/// A text value as it stands in a message. What looks like a URL or an address with a user may hold a
/// password, and is not shown.
pub(crate) fn quoted(text: &str) -> String {
    // `user:password` and a whole header; `localhost:5000/a` and 09:00 are none.
    let is_pair = text.split_once(':').is_some_and(|(before, after)| !before.contains(['/', '.']) && !after.starts_with(|c: char| c.is_ascii_digit()));
    // Tokens and hashes: longer than words, of letters and digits.
    let is_token = |word: &str| word.len() >= 20 && word.contains(|c: char| c.is_ascii_digit()) && word.contains(|c: char| c.is_ascii_alphabetic());
    let is_odd = !is_no_secret(text) && (text.contains("://") || text.contains('@') || is_pair);
    let is_hidden = is_odd || text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(is_token);
    if is_hidden { "***".to_owned() } else { format!("{text:?}") }
}

/// What is written with the marks of a password and cannot hold one: a word of cron, a host with the name of its port,
/// and a URL that has nothing but a host.
fn is_no_secret(text: &str) -> bool {
    let is_word_of_cron = text.strip_prefix('@').is_some_and(|word| {
        let interval = word.strip_prefix("every ").is_some_and(|span| span.len() <= 12 && span.starts_with(|c: char| c.is_ascii_digit()));
        interval || ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"].contains(&word)
    });
    let is_named_port =
        text.split_once(':').is_some_and(|(host, port)| ["http", "https", "ldap", "ldaps", "ssh"].contains(&port) && Word::host(host).is_some());
    let is_bare = text.split_once("://").is_some_and(|(scheme, rest)| {
        let rest = rest.trim_end_matches('/');
        let (host, port) = rest.split_once(':').unwrap_or((rest, ""));
        ["http", "https"].contains(&scheme) && Word::host(host).is_some() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    is_word_of_cron || is_named_port || is_bare
}

/// A socket address with a port.
pub(crate) fn socket_address(path: &str, text: &str, problems: &mut Problems) {
    if text.parse::<std::net::SocketAddr>().is_err() {
        problems.push(Problem::bare(path, "must be an IP address with a port, such as 1.1.1.1:53"));
    }
}

/// Host and port of an address, which is that of a server: a name or an IP address, and no URL.
pub(crate) fn host_port<'a>(path: &str, address: &'a str, problems: &mut Problems) -> Option<(&'a str, u16)> {
    let found = split(address);
    let is_server = found.is_some_and(|(host, _)| ServerName::try_from(host).is_ok());
    if !is_server {
        let rule = if found.is_some() { "must be host:port, without scheme and path" } else { "must be host:port" };
        problems.push(Problem::new(path, format!("{rule}{}", bare(address)), quoted(address)));
    }
    found.filter(|_| is_server)
}

/// Host and port of an address that was found to have both.
pub(crate) fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some(())?;
    Some((host, port.parse().ok().filter(|port| *port > 0)?))
}

/// A name of a host as people write them, which may be told: a token is none, though it has dots.
pub(crate) fn plain_host(text: &str) -> Option<&str> {
    let is_plain = text.contains('.') && !text.bytes().any(|byte| byte.is_ascii_uppercase()) && quoted(text) != "***";
    Word::host(text).filter(|_| is_plain).map(Word::as_str)
}

/// How an address is written that was given as a URL or as a host alone. A URL may hold a password, so of others nothing is shown.
fn bare(address: &str) -> String {
    let alone = || plain_host(address).map_or_else(String::new, |host| format!("; write {host}:443"));
    let Some((scheme, rest)) = address.split_once("://").filter(|(_, rest)| !rest.contains('@')) else { return alone() };
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = if scheme == "https" { ":443" } else { ":PORT" };
    let (host, own) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, port.parse::<u16>().ok()));
    let port = own.map_or_else(|| port.to_owned(), |own| format!(":{own}"));
    Word::host(host).map_or_else(String::new, |host| format!("; write {}{port}", host.as_str()))
}

/// A reference to a secret that names exactly one place.
pub(crate) fn secret(path: &str, reference: &SecretRef, problems: &mut Problems) {
    if reference.file.is_some() == reference.env.is_some() {
        problems.push(Problem::bare(path, "must have exactly one of file and env"));
    }
}

/// Whether a word is another with a slip or two; of a short one two slips would leave nothing.
pub(crate) fn nearly(word: &str, known: &str) -> bool {
    strsim::osa_distance(word, known) <= if known.len() > 4 { 2 } else { 1 } && misspelt(word) == word
}

/// A key or a word that is not known, unless it is written like none of this program's.
pub(crate) fn misspelt(word: &str) -> &str {
    let is_word = word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'));
    if is_word { word } else { "***" }
}
/// Entries that are the same as one before them, with their places and with that one.
pub(crate) fn repeated<T>(entries: &[T], is_same: impl Fn(&T, &T) -> bool) -> Vec<(usize, &T, &T)> {
    let found = entries.iter().enumerate().filter_map(|(index, entry)| Some((index, entry, entries[..index].iter().find(|other| is_same(entry, other))?)));
    found.collect()
}

/// That a target asks the very same as another one.
pub(crate) fn twin(name: &str, first: &str) -> String {
    format!("{name} asks the very same as {first}, so it proves nothing more; one of them may be a copy that was not finished")
}
