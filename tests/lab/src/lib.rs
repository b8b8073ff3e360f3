//! A simulated estate over real protocols on loopback, for tests, benches and the demo.
//!
//! Three Kubernetes clusters, three regions' endpoints behind wildcard names, and two name servers.
//! Every fault can be switched on and off while it runs. The lab must not be kinder than reality:
//! it pages lists, drops watches, checks tokens and serves certificates in every state.

mod aws;
mod bomb;
mod certificates;
mod control;
mod dns;
pub mod echo;
mod elsewhere;
mod estate;
mod faults;
mod google;
pub mod images;
pub mod issuers;
mod kept;
mod kubernetes;
mod process;
mod registry;
pub mod rough;
mod scripted;
mod serve;
pub mod storm;
pub mod troubles;
mod web;
pub mod wire;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

pub use certificates::{Authority, CrossSigned, Leaf, Pair};
pub use elsewhere::{Arrived, Elsewhere};
pub use estate::Estate;
pub use faults::{FAULTS, Fault, table};
pub use google::GoogleKey;
pub use kubernetes::{Behaviour, SERVED};
pub use process::Process;
pub use scripted::{NameServer, Question, Reply};
pub use serve::{ok_server, plain_server};

/// The three regions, in the order of their addresses and ports.
pub const REGIONS: [&str; 3] = ["us-east-2", "us-west-2", "eu-west-2"];

/// Port of every region's endpoint.
const ENDPOINTS: u16 = 17_080;
/// Nodes of a cluster that have a kubelet of their own.
const NODES: u32 = 3;
/// Port of every kubelet.
const KUBELET: u16 = 17_250;
/// Port of the control interface.
const CONTROL: u16 = 17_000;
/// Ports of the API servers, by region.
const API: [u16; 3] = [17_441, 17_442, 17_443];
/// Port of the AWS endpoint.
const AWS: u16 = 17_100;
/// Ports of the registries: upstream, mirrors.
const REGISTRIES: [u16; 2] = [17_061, 17_062];
/// Port of the issuers of credentials.
const ISSUERS: u16 = 17_063;
/// Ports of the name servers: public, office.
const DNS: [u16; 2] = [17_053, 17_054];

/// A docker config for the mirrors, as a pull secret holds it.
pub(crate) fn docker_config(host: &str, user: &str, password: &str) -> String {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    serde_json::json!({ "auths": { format!("{host}:{}", REGISTRIES[1]): { "auth": auth } } }).to_string()
}

/// A running estate. It ends when this is dropped.
pub struct Lab {
    estate: Arc<Estate>,
    net: [u8; 2],
    dir: PathBuf,
    servers: Vec<Arc<kubernetes::Server>>,
    elsewhere: Elsewhere,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Lab {
    /// Starts an estate on 127.`net`.*, with its certificates and tokens below `dir`. Two labs on
    /// different nets do not meet.
    pub async fn start(net: [u8; 2], dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let authority = Authority::new("Lab Root")?;
        let at = |last: u8| IpAddr::V4(Ipv4Addr::new(127, net[0], net[1], last));
        let estate = Arc::new(Estate::new(net));
        let mut lab = Self { estate: Arc::clone(&estate), net, dir: dir.to_owned(), servers: Vec::new(), elsewhere: Elsewhere::default(), tasks: Vec::new() };
        let api = authority.issue(&Leaf::good(&[&at(1).to_string()]))?;
        for (index, region) in REGIONS.iter().enumerate() {
            let (server, task) = kubernetes::start(SocketAddr::new(at(1), API[index]), &api, region, &estate).await?;
            lab.servers.push(server);
            lab.tasks.push(task);
            for node in 1..=NODES {
                let (address, port) = estate.kubelet(region, node);
                let certificate = authority.issue(&Leaf::good(&[&address.to_string()]))?;
                let kubelet = kubernetes::start_kubelet(SocketAddr::new(address, port), &certificate, region, &format!("node-{node}"), &estate).await?;
                lab.tasks.push(kubelet);
            }
        }
        let servers = REGIONS.iter().zip(API).map(|(region, port)| ((*region).to_owned(), format!("https://{}:{port}", at(1)))).collect();
        lab.tasks.push(aws::start(SocketAddr::new(at(1), AWS), &authority.pem(), servers, &estate).await?);
        let served = web::Certificates::new(&authority)?;
        for (index, region) in REGIONS.iter().enumerate() {
            let last = 11 + u8::try_from(index)?;
            lab.tasks.push(web::start(SocketAddr::new(at(last), ENDPOINTS), &served, region, &estate).await?);
        }
        for (resolver, port) in ["public", "office"].into_iter().zip(DNS) {
            lab.tasks.extend(dns::start(SocketAddr::new(at(1), port), resolver, &estate).await?);
        }
        for (role, port) in [registry::Role::Upstream, registry::Role::Mirror].into_iter().zip(REGISTRIES) {
            lab.tasks.push(registry::start(SocketAddr::new(at(1), port), &api, role, &estate).await?);
        }
        lab.tasks.push(issuers::start(SocketAddr::new(at(1), ISSUERS), &api, &estate).await?);
        let other = authority.issue(&Leaf::good(&[&at(99).to_string()]))?;
        lab.tasks.extend(lab.elsewhere.start(SocketAddr::new(at(1), 0), &other).await?);
        lab.tasks.push(control::start(SocketAddr::new(at(1), CONTROL), &estate).await?);
        lab.write_files(&authority)?;
        lab.tasks.push(kept::start(dir.to_owned(), &estate));
        Ok(lab)
    }

    /// Starts an estate on a net that no other process is likely to use.
    pub async fn anywhere(dir: &Path) -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..20 {
            let net = [fastrand::u8(2..250), fastrand::u8(1..250)];
            match Self::start(net, dir).await {
                Ok(lab) => return Ok(lab),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no free net")))
    }

    /// What is simulated, with its faults.
    pub fn estate(&self) -> &Arc<Estate> {
        &self.estate
    }

    /// Where faults are switched over HTTP.
    pub fn control(&self) -> String {
        format!("http://{}:{CONTROL}", self.host())
    }

    /// The AWS endpoint, for `AWS_ENDPOINT_URL`.
    pub fn aws(&self) -> String {
        format!("http://{}:{AWS}", self.host())
    }

    /// The address of API servers, name servers and the control interface.
    pub fn host(&self) -> String {
        format!("127.{}.{}.1", self.net[0], self.net[1])
    }

    /// The API server of a region, by its place in [`REGIONS`].
    pub fn api(&self, region: usize) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, self.net[0], self.net[1], 1)), API[region])
    }

    /// The kubelets of a region.
    pub fn kubelets(&self, region: &str) -> Vec<SocketAddr> {
        (1..=NODES).map(|node| SocketAddr::from(self.estate.kubelet(region, node))).collect()
    }

    /// The registry that mirrors copy from, and the issuers of credentials.
    pub fn upstream_and_issuers(&self) -> [SocketAddr; 2] {
        [REGISTRIES[0], ISSUERS].map(|port| SocketAddr::new(self.api(0).ip(), port))
    }

    /// Every server that speaks HTTP: APIs, kubelets, registries, issuers.
    pub fn servers(&self) -> Vec<SocketAddr> {
        let host = self.api(0).ip();
        let ports = API.into_iter().chain(REGISTRIES).chain([ISSUERS, AWS]);
        ports.map(|port| SocketAddr::new(host, port)).chain(REGIONS.iter().flat_map(|region| self.kubelets(region))).collect()
    }

    /// Name servers, and the endpoints of regions with their TLS, which only a storm reaches.
    pub fn names_and_endpoints(&self) -> Vec<SocketAddr> {
        let names = DNS.map(|port| SocketAddr::new(self.api(0).ip(), port));
        let endpoints = (0..REGIONS.len()).map(|region| SocketAddr::new(self.estate.endpoint(region).into(), ENDPOINTS));
        names.into_iter().chain(endpoints).collect()
    }

    /// Where redirects of broken servers lead.
    pub fn elsewhere(&self) -> &Elsewhere {
        &self.elsewhere
    }

    /// An address of this lab's net on which nothing of it listens.
    pub fn free_host(&self) -> String {
        format!("127.{}.{}.250", self.net[0], self.net[1])
    }

    /// The folder with certificates and tokens.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A configuration that was written for the demo's addresses, for this lab's.
    pub fn localise(&self, configuration: &str) -> String {
        configuration.replace("127.0.0.1:", &format!("{}:", self.host())).replace("lab/", &format!("{}/", self.dir.display()))
    }

    /// What the first cluster holds now, by resource (`apps/v1/deployments`), for tests that show the
    /// same objects through another API server.
    pub fn objects(&self) -> std::collections::BTreeMap<String, Vec<serde_json::Value>> {
        self.servers[0].objects()
    }

    /// Adds a crowd of nodes and pods to the first cluster, for benches.
    pub fn crowd(&self, nodes: u32, pods: u32) {
        self.servers[0].crowd(nodes, pods);
    }

    /// Lets containers of these pods of the crowd restart.
    pub fn churn(&self, pods: impl Iterator<Item = u32>, nodes: u32, restarts: u32) {
        self.servers[0].churn(pods, nodes, restarts);
    }

    /// Replaces the token of the London cluster: the old one is refused from now on, and the file
    /// holds the new one.
    pub fn rotate_token(&self) -> anyhow::Result<()> {
        self.estate.rotate();
        self.write_token("eu-west-2")
    }

    fn write_token(&self, region: &str) -> anyhow::Result<()> {
        std::fs::write(self.dir.join(format!("{region}.token")), format!("{}\n", self.estate.token(region))).context("write a token")
    }

    /// Confirms what only people can confirm, as of now.
    pub fn attest(&self, items: &[&str]) -> anyhow::Result<()> {
        let now = jiff::Timestamp::now();
        let entries: String = items.iter().map(|item| format!("- {{ attest: {item}, who: the demo, at: {now} }}\n")).collect();
        std::fs::write(self.dir.join("attestations.yaml"), entries).context("write attestations")
    }

    fn write_files(&self, authority: &Authority) -> anyhow::Result<()> {
        std::fs::write(self.dir.join("ca.pem"), authority.pem())?;
        for region in REGIONS {
            self.write_token(region)?;
        }
        let files = [
            (kept::GITLAB, format!("{}\n", issuers::GITLAB)),
            ("github.token", format!("{}\n", issuers::GITHUB)),
            ("coder.token", format!("{}\n", issuers::CODER)),
            ("entra.secret", format!("{}\n", issuers::ENTRA)),
            ("litellm.key", format!("{}\n", issuers::LITELLM_FOR_LONG)),
            ("google.json", google::KEY.as_ref().map(GoogleKey::file).unwrap_or_default()),
            ("bedrock.key", format!("{}\n", issuers::bedrock())),
            (kept::LICENCE.0, kept::LICENCE.1.to_owned()),
        ];
        for (name, content) in files {
            kept::write(&self.dir, name, &content)?;
        }
        std::fs::write(self.dir.join("registry.password"), format!("{}\n", registry::USER[1]))?;
        let mut kubeconfig = String::from("apiVersion: v1\nkind: Config\ncurrent-context: us-east-2\n");
        let list = |name: &str, entry: &dyn Fn(usize, &str) -> String| {
            REGIONS.iter().enumerate().fold(format!("{name}:\n"), |text, (index, region)| text + &entry(index, region))
        };
        kubeconfig += &list("clusters", &|index, region| {
            format!("- name: {region}\n  cluster: {{ server: \"https://{}:{}\", certificate-authority: ca.pem }}\n", self.host(), API[index])
        });
        kubeconfig += &list("users", &|_, region| format!("- name: {region}\n  user: {{ token: {} }}\n", self.estate.token(region)));
        kubeconfig += &list("contexts", &|_, region| format!("- name: {region}\n  context: {{ cluster: {region}, user: {region} }}\n"));
        std::fs::write(self.dir.join("kubeconfig"), kubeconfig)?;
        self.attest(&["InternalLoginTested", "ExternalLoginTested", "OnCallConfirmed", "TestAlertSeen", "AgendaShared"])
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
