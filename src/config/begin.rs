//! A configuration to begin with: clusters of kubeconfigs, endpoints by their URLs, and the checklist that asks of what is
//! configured. What else there is to look at stands in it as comments.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::collectors::kubernetes::{ClusterConfig, init::Found};
use crate::collectors::{dns, http};
use crate::say::{Message, counted, named};
use crate::value::rules::quoted;
use crate::value::{Problem, Url};

/// Endpoints by their URLs, and what follows from these: whose certificate is watched, and which names must resolve.
#[derive(Debug, Default)]
pub struct Endpoints {
    targets: Vec<Target>,
    /// Name and address of each TLS server.
    servers: Vec<(String, String)>,
    names: Vec<String>,
}

/// One URL.
#[derive(Debug)]
struct Target {
    name: String,
    url: Url,
    is_wildcard: bool,
}

impl Endpoints {
    /// What to look at behind URLs; or every one of them that is none.
    pub fn of(urls: &[String]) -> Result<Self, Vec<Problem>> {
        let (mut found, mut problems, mut known) = (Self::default(), Vec::new(), BTreeSet::new());
        for text in urls.iter().map(|text| text.trim()).filter(|text| known.insert(*text)) {
            let (url, before) = (Url::new(text), problems.len());
            url.validate("--url", http::WEB, &mut problems);
            match (url.parse(), problems.get_mut(before)) {
                (Ok(parsed), None) => found.add(url, &parsed),
                (_, wrong) => wrong.into_iter().for_each(|problem| problem.got = Some(quoted(text))),
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(problems) }
    }

    fn add(&mut self, url: Url, parsed: &url::Url) {
        let is_wildcard = url.expose().contains("://*.");
        let host = parsed.host_str().unwrap_or_default();
        let host = host.strip_prefix("r-0.").filter(|_| is_wildcard).map_or_else(|| host.to_owned(), |rest| format!("*.{rest}"));
        let place = parsed.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let whole = format!("{place}{}", parsed.path().trim_end_matches('/'));
        let name = self.free_name(&place, &whole);
        self.targets.push(Target { name, url, is_wildcard });
        let address = format!("{host}:{}", parsed.port_or_known_default().unwrap_or(443));
        if parsed.scheme() == "https" && !is_wildcard && self.servers.iter().all(|(_, other)| *other != address) {
            self.servers.push((place, address));
        }
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if !is_address && dns::is_asked_of_name_servers(&host) && !self.names.contains(&host) {
            self.names.push(host);
        }
    }

    /// The host where nothing else is called so, else with its path, and with a number if there is no other way.
    fn free_name(&self, place: &str, whole: &str) -> String {
        let is_free = |name: &String| self.targets.iter().all(|other| other.name != *name);
        let numbered = (2..).map(|number| format!("{whole} {number}"));
        [place.to_owned(), whole.to_owned()].into_iter().chain(numbered).find(is_free).unwrap_or_default()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    fn sections(&self) -> String {
        // A JSON string is one of YAML.
        let text = |text: &str| serde_json::json!(text).to_string();
        let mut out =
            "  # A good answer has status 200, unless you say `expect: { status: [204], body_contains: OK }` behind a url.\n  http:\n    targets:\n".to_owned();
        for Target { name, url, is_wildcard } in &self.targets {
            let kind = if *is_wildcard { "kind: wildcard, " } else { "" };
            let _ = writeln!(out, "      - {{ name: {}, {kind}url: {} }}", text(name), text(url.expose()));
        }
        if !self.servers.is_empty() {
            out.push_str("  tls:\n    targets:\n");
        }
        for (name, address) in &self.servers {
            let _ = writeln!(out, "      - {{ name: {}, address: {} }}", text(name), text(address));
        }
        if !self.names.is_empty() {
            out.push_str("  dns:\n    names:\n");
        }
        for name in &self.names {
            let _ = writeln!(out, "      - {{ name: {} }}", text(name));
        }
        out
    }
}

/// How much there is to look at, in words.
pub fn counts(found: &Found, endpoints: &Endpoints) -> Message {
    let all = [
        counted(found.clusters.len(), "cluster", "clusters"),
        counted(endpoints.targets.len(), "endpoint", "endpoints"),
        counted(endpoints.servers.len(), "TLS server", "TLS servers"),
        counted(endpoints.names.len(), "name", "names"),
    ];
    Message::joined(all, ", ")
}

/// A whole file.
pub fn configuration(found: &Found, endpoints: &Endpoints) -> String {
    let mut text = HEAD.to_owned();
    text.push_str(&clusters(found));
    let is_empty = found.clusters.is_empty() && endpoints.is_empty();
    // A section with nothing but comments would be none.
    text.push_str(if is_empty { "# collectors:\n" } else { "\ncollectors:\n" });
    if !found.clusters.is_empty() {
        text.push_str(OF_CLUSTERS);
    }
    let others = if endpoints.is_empty() { format!("{OF_ENDPOINTS}{OTHERS}") } else { format!("{}{OTHERS}", endpoints.sections()) };
    text.push_str(&if is_empty { others.replace("\n  # ", "\n#   ").replacen("  # ", "#   ", 1) } else { others });
    text.push_str(EVENTS);
    text
}

/// The clusters, and why a context is none of them.
fn clusters(found: &Found) -> String {
    #[derive(serde::Serialize)]
    struct Section<'a> {
        clusters: &'a [ClusterConfig],
    }
    let mut text = String::new();
    if !found.clusters.is_empty() {
        // Plain strings and maps always serialise.
        text.push_str(&serde_saphyr::to_string(&Section { clusters: &found.clusters }).unwrap_or_default());
    }
    for context in &found.left_out {
        let _ = writeln!(text, "# The context {} leads to the API server of one above.", named(context));
    }
    for (context, why) in &found.unusable {
        let _ = writeln!(text, "# The context {} is left out: read the kubeconfig: {}.", named(context), why);
    }
    if found.files > 1 && !found.unusable.is_empty() {
        text.push_str("# kubectl takes several kubeconfigs as one; here each stands for itself. `kubectl config view --flatten` makes one of them.\n");
    }
    text
}

/// What the file is, and what is judged.
const HEAD: &str = "# Made by `readiness-exporter config init`. Next: `readiness-exporter check` looks once and says go, no-go or undecided.
# Whenever you change something, `readiness-exporter config check` says what is wrong.

# Each line of this checklist is asked of what stands below, and of nothing else.
checklists:
- name: estate

";

/// What of clusters is looked at.
const OF_CLUSTERS: &str = r#"  # Nodes, pods, events, storage of nodes, quotas and classes are looked at without further words.
  kubernetes:
    interval: 30s
    # workloads:
    #   - { name: shop, kind: Deployment, namespace: shop, labels: "app.kubernetes.io/name=shop" }
    # services:
    #   - { namespace: shop, name: shop }
    # karpenter: { node_classes: ec2 }
"#;

/// What else there is to look at. Whoever takes the marks of comments away from a block has a section that is right in its form.
const OF_ENDPOINTS: &str = r#"  # http:
  #   targets:
  #     - { name: app, url: "https://app.example.com/healthz" }
  # tls:
  #   targets:
  #     - { name: app, address: "app.example.com:443" }
  # dns:
  #   names:
  #     - { name: app.example.com }
"#;

const OTHERS: &str = r#"  # credentials:
  #   credentials:
  #     - { name: gitlab, kind: gitlab, api: "https://gitlab.example.com", from: { env: GITLAB_TOKEN } }
"#;

const EVENTS: &str = r#"
# Where all of it must be ready for something, certificates and credentials have to outlive that.
# events:
#   - { name: go-live, time_zone: Europe/London, start: "2027-01-15T09:00", duration: 3h }
"#;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Loaded, load_str};
    use crate::state::State;
    use crate::warnings::warnings;

    fn loaded(text: &str) -> Loaded {
        load_str(text, "init", Path::new("/nowhere"), None).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn of(urls: &[&str]) -> Result<Endpoints, Vec<String>> {
        let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
        Endpoints::of(&urls).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn without_anything_there_is_something_to_begin_with() {
        let text = configuration(&Found::default(), &Endpoints::default());
        let settings = loaded(&text).settings;
        assert!(settings.clusters.is_empty() && settings.collectors.kubernetes.is_none(), "{text}");
        assert!(text.contains("# collectors:\n#   http:\n#     targets:\n"), "{text}");
    }

    /// A URL becomes an endpoint, a server whose certificate is watched and a name that must resolve, each of them once; and
    /// nothing in the file is odd.
    #[test]
    fn a_url_is_all_that_is_needed() {
        let urls = [
            "https://app.example.com/healthz",
            "https://app.example.com/ready",
            "https://app.example.com/healthz",
            "https://app.example.com:8443/healthz",
            "http://127.0.0.1:8080/",
            "https://[2001:db8::1]/",
            "https://*.ws.example.com/?full=1",
            "http://prometheus:9090/-/healthy",
            "http://localhost:3000/",
        ];
        let text = configuration(&Found::default(), &of(&urls).unwrap());
        let loaded = loaded(&text);
        let collectors = &loaded.settings.collectors;
        let http: Vec<String> =
            collectors.http.as_ref().unwrap().targets.iter().map(|target| format!("{} {} {}", target.name, target.kind, target.url.expose())).collect();
        assert_eq!(
            http,
            [
                "app.example.com healthz https://app.example.com/healthz",
                "app.example.com/ready healthz https://app.example.com/ready",
                "app.example.com:8443 healthz https://app.example.com:8443/healthz",
                "127.0.0.1:8080 healthz http://127.0.0.1:8080/",
                "[2001:db8::1] healthz https://[2001:db8::1]/",
                "*.ws.example.com wildcard https://*.ws.example.com/?full=1",
                "prometheus:9090 healthz http://prometheus:9090/-/healthy",
                "localhost:3000 healthz http://localhost:3000/",
            ]
        );
        let tls: Vec<&str> = collectors.tls.as_ref().unwrap().targets.iter().map(|target| target.address.as_str()).collect();
        assert_eq!(tls, ["app.example.com:443", "app.example.com:8443", "[2001:db8::1]:443"]);
        let dns: Vec<&str> = collectors.dns.as_ref().unwrap().names.iter().map(|name| name.name.as_str()).collect();
        assert_eq!(dns, ["app.example.com", "*.ws.example.com"]);
        let tasks = loaded.tasks(&std::sync::Arc::new(State::open(None))).unwrap();
        let odd = warnings(&loaded, tasks.iter().map(|task| &task.source), jiff::Timestamp::now());
        assert_eq!(odd.iter().map(ToString::to_string).collect::<Vec<_>>(), [""; 0], "{text}");
        assert_eq!(loaded.checklists[0].name, "estate");
    }

    #[test]
    fn each_url_that_is_none_is_told_with_what_was_meant() {
        let told = of(&[
            "app.example.com/healthz",
            "ftp://app.example.com/",
            "https://user:hunter2@app.example.com/",
            "https://app.example.com/?token=hunter2",
            "healthz",
        ]);
        assert_eq!(
            told.unwrap_err(),
            [
                "--url: must be a URL that begins with a scheme, such as https://; did you mean https://app.example.com/...? (got \"app.example.com/healthz\")",
                "--url: must begin with http:// or https:// (got ***)",
                "--url: must not hold credentials; keep them in a file or the environment (got ***)",
                "--url: must not hold credentials, and the parameter token is called like one; keep it in a file or the environment (got ***)",
                "--url: must be a URL that begins with a scheme, such as https:// (got \"healthz\")",
            ]
        );
    }

    /// Each block is right as soon as it is no comment any more.
    #[test]
    fn what_stands_there_in_comments_is_right_in_its_form() {
        let is_prose = |line: &str| line.contains('`') || line.trim_end().ends_with('.');
        let uncommented: String = format!("{OF_CLUSTERS}{OF_ENDPOINTS}{OTHERS}{EVENTS}")
            .lines()
            .map(|line| if is_prose(line) { line.to_owned() } else { line.replacen("# ", "", 1) })
            .map(|line| line + "\n")
            .collect();
        let settings = loaded(&format!("{HEAD}clusters: [{{ name: eu, in_cluster: true }}]\ncollectors:\n{uncommented}")).settings;
        let collectors = &settings.collectors;
        assert!(collectors.http.is_some() && collectors.tls.is_some() && collectors.dns.is_some() && collectors.credentials.is_some(), "{uncommented}");
        assert_eq!((collectors.kubernetes.as_ref().unwrap().workloads.len(), settings.events.len()), (1, 1), "{uncommented}");
    }
}
