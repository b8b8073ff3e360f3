//! The flags and commands, as clap reads them. What they do is elsewhere.

use std::ffi::OsString;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::say::Message;
use crate::value::{Place, Span};

#[derive(Parser)]
#[command(name = "readiness-exporter", version, about, args_override_self = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) serve: Serve,
}

#[derive(Args, Clone)]
pub(super) struct Serve {
    /// Configuration file.
    #[arg(long = "config.file", value_name = "FILE", default_value = "readiness.yaml", global = true)]
    pub(super) config_file: PathBuf,
    #[command(flatten)]
    pub(super) web: Web,
    /// URL under which others reach this exporter, behind a proxy for instance. Links in reports, rules and messages begin
    /// with it, and its path stands before all paths of the server.
    #[arg(long = "web.external-url", value_name = "URL", global = true)]
    pub(super) external_url: Option<String>,
    /// Least severe level that is logged.
    #[arg(long = "log.level", value_enum, default_value_t = Level::Info, global = true)]
    pub(super) log_level: Level,
    /// Format of log lines.
    #[arg(long = "log.format", value_enum, default_value_t = Format::Text, global = true)]
    pub(super) log_format: Format,
}

impl Serve {
    /// Where it is reached.
    pub(super) fn place(&self) -> Result<Place, Message> {
        Place::read(self.external_url.as_deref(), self.web.route_prefix.as_deref())
    }
}

/// Where it is served, before `serve` or after it.
#[derive(Args, Clone)]
pub(super) struct Web {
    /// Address to listen on, which may be said several times; :9840 when left out.
    #[arg(long = "web.listen-address", value_name = "ADDRESS", value_parser = listen_address, action = ArgAction::Append)]
    listen_address: Vec<String>,
    /// File with TLS, passwords and headers of the server, in the format of Prometheus' exporters.
    #[arg(long = "web.config.file", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Address of a second server without TLS and passwords that only knows /-/healthy and /-/ready.
    #[arg(long = "web.probe-address", value_name = "ADDRESS", value_parser = listen_address)]
    pub(super) probe_address: Option<String>,
    /// Path before all paths of the server; that of --web.external-url when left out. / if a proxy takes that away.
    #[arg(long = "web.route-prefix", value_name = "PATH")]
    route_prefix: Option<String>,
    /// Serve at the sockets that systemd has opened, instead of addresses.
    #[arg(long = "web.systemd-socket", conflicts_with = "listen_address")]
    pub(super) systemd_socket: bool,
}

impl Web {
    pub(super) fn listen_addresses(&self) -> Vec<&str> {
        if self.listen_address.is_empty() { vec![":9840"] } else { self.listen_address.iter().map(String::as_str).collect() }
    }

    /// What is set here, and else what is set there.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            listen_address: if self.listen_address.is_empty() { other.listen_address } else { self.listen_address },
            config: self.config.or(other.config),
            probe_address: self.probe_address.or(other.probe_address),
            route_prefix: self.route_prefix.or(other.route_prefix),
            systemd_socket: self.systemd_socket || other.systemd_socket,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Logfmt,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Look all the time and serve metrics and the status page (the default).
    Serve(Web),
    /// Look once, print the checklist, and exit: 0 go, 1 no-go, 2 wrong usage or configuration, 3 undecided.
    Check(Check),
    /// Print how verdicts changed, from the state file of a running exporter.
    Report(Report),
    /// Write alert rules, their tests, dashboards and documentation from the checklists.
    Generate(Generate),
    /// Work with the configuration file.
    #[command(subcommand)]
    Config(Configuration),
    /// Print the manual page: `readiness-exporter manual > readiness-exporter.1`.
    Manual,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
pub(super) struct Check {
    /// How to print the checklist.
    #[arg(long, visible_alias = "format", value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
    /// Print every line of the checklist as text, not only what is not good.
    #[arg(long)]
    pub(super) all: bool,
    /// Longest time to wait for all sources. A source that fails with an error that may pass is tried once more.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(super) timeout: Span,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Output {
    Text,
    Markdown,
    Json,
    Junit,
}

#[derive(Args)]
pub(super) struct Report {
    /// How far to look back.
    #[arg(long, value_name = "DURATION", default_value = "1d")]
    pub(super) since: Span,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Listing::Text)]
    pub(super) output: Listing,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Listing {
    Text,
    Json,
}

#[derive(Args)]
pub(super) struct Generate {
    /// Change nothing; exit 1 if a file is not what would be written.
    #[arg(long)]
    pub(super) check: bool,
    /// Folder to write to; files of the same names there are replaced.
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: PathBuf,
    /// Where the runbooks are published; the alert's name is appended. When left out, the exporter at --web.external-url
    /// if that is set, and else the repository of this program.
    #[arg(long, value_name = "URL")]
    pub(super) runbook_url: Option<String>,
    /// Use the checklists of the configuration file, overrides included, instead of the shipped ones.
    #[arg(long)]
    pub(super) from_config: bool,
}

#[derive(Args)]
pub(super) struct Init {
    /// The kubeconfig; ~/.kube/config when left out.
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    pub(super) kubeconfig: Option<OsString>,
    /// A context of the kubeconfig; may be given several times. All when left out.
    #[arg(long = "context", value_name = "NAME")]
    pub(super) contexts: Vec<String>,
    /// An endpoint, of which the name and the certificate are watched as well; may be given several times.
    #[arg(long = "url", value_name = "URL")]
    pub(super) urls: Vec<String>,
}

#[derive(Subcommand)]
pub(super) enum Configuration {
    /// Report every problem of the file; exit 2 if there is one.
    Check,
    /// Print the settings in force, defaults and environment included.
    Print,
    /// Print the JSON Schema of the file, for editors.
    Schema,
    /// Print a configuration to start from, with a cluster for each API server of a kubeconfig and an endpoint for each URL.
    Init(Init),
    /// Print the roles that the exporter's identity needs in a cluster, as manifests.
    Rbac {
        /// The cluster's name in the configuration.
        #[arg(long, value_name = "NAME")]
        cluster: String,
        /// The namespace of the service account that is bound to them.
        #[arg(long, value_name = "NAMESPACE", default_value = "readiness")]
        namespace: String,
    },
}

/// An address that can be listened on, by its form: a host is looked up only where it is needed.
fn listen_address(text: &str) -> Result<String, &'static str> {
    const RULE: &str = "must be ADDRESS:PORT, such as 127.0.0.1:9840";
    if text.starts_with(['/', '.', '@']) || text.starts_with("unix:") {
        return Err("must be ADDRESS:PORT; a socket with a path is opened by systemd, and --web.systemd-socket serves at it");
    }
    let (host, port) = text.rsplit_once(':').ok_or(RULE)?;
    // Without brackets nobody knows where an IPv6 address ends.
    let inside = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if inside.is_none() && host.contains([':', '[', ']']) {
        return Err("must have an IPv6 address in brackets, such as [::1]:9840");
    }
    // With or without the zone of a link.
    let is_host = inside.is_none_or(|inside| inside.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()));
    if is_host && port.parse::<u16>().is_ok() { Ok(text.to_owned()) } else { Err(RULE) }
}
