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
mod part;
mod process;
mod registry;
pub mod rough;
mod scripted;
mod serve;
pub mod storm;
pub mod troubles;
mod web;
pub mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

pub use certificates::{Authority, CrossSigned, Leaf, Pair};
pub use elsewhere::{Arrived, Elsewhere};
pub use estate::Estate;
pub use faults::{Fault, Group, faults, groups, table};
pub use google::GoogleKey;
pub use kubernetes::{Behaviour, SERVED};
pub use process::Process;
pub use scripted::{NameServer, Question, Reply};
pub use serve::{ok_server, plain_server, reading_server};

use part::{Ground, PARTS, Suffers, Tasks};

/// The three regions, in the order of their addresses and ports.
pub const REGIONS: [&str; 3] = ["us-east-2", "us-west-2", "eu-west-2"];

/// A running estate. It ends when this is dropped.
pub struct Lab {
    ground: Ground,
    clusters: Vec<Arc<kubernetes::Server>>,
    tasks: Tasks,
}

impl Lab {
    /// Starts an estate on 127.`net`.*, with its certificates and tokens below `dir`. Two labs on
    /// different nets do not meet.
    pub async fn start(net: [u8; 2], dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let mut lab = Self { ground: Ground::new(net, dir.to_owned())?, clusters: Vec::new(), tasks: Tasks::new() };
        lab.clusters = kubernetes::start(&lab.ground, &mut lab.tasks).await?;
        for part in PARTS {
            (part.start)(&lab.ground, &mut lab.tasks).await.with_context(|| format!("start {}", part.name))?;
        }
        // Only now: where another lab runs, its files stay as they are.
        lab.write_files()?;
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
        &self.ground.estate
    }

    /// Where faults are switched over HTTP.
    pub fn control(&self) -> String {
        format!("http://{}:{}", self.host(), control::PORT)
    }

    /// The AWS endpoint, for `AWS_ENDPOINT_URL`.
    pub fn aws(&self) -> String {
        format!("http://{}:{}", self.host(), aws::PORT)
    }

    /// The address of API servers, name servers and the control interface.
    pub fn host(&self) -> String {
        self.estate().host()
    }

    /// The API server of a region, by its place in [`REGIONS`].
    pub fn api(&self, region: usize) -> SocketAddr {
        kubernetes::api(self.estate(), region)
    }

    /// The kubelets of a region.
    pub fn kubelets(&self, region: &str) -> Vec<SocketAddr> {
        kubernetes::kubelets(self.estate(), region)
    }

    /// The servers of a part by its name; none if there is no such part.
    pub fn servers_of(&self, part: &str) -> Vec<SocketAddr> {
        PARTS.iter().filter(|own| own.name == part).flat_map(|part| (part.servers)(self.estate())).collect()
    }

    /// Every server that speaks HTTP: APIs, kubelets, and what else has every trouble of it.
    pub fn servers(&self) -> Vec<SocketAddr> {
        let apis = (0..REGIONS.len()).map(|region| self.api(region));
        apis.chain(REGIONS.iter().flat_map(|region| self.kubelets(region))).chain(self.suffering(Suffers::Troubles)).collect()
    }

    /// Every server that only a storm reaches.
    pub fn servers_in_storms(&self) -> Vec<SocketAddr> {
        self.suffering(Suffers::Storms).collect()
    }

    fn suffering(&self, what: Suffers) -> impl Iterator<Item = SocketAddr> {
        PARTS.iter().filter(move |part| part.suffers == what).flat_map(|part| (part.servers)(self.estate()))
    }

    /// Where redirects of broken servers lead.
    pub fn elsewhere(&self) -> &Elsewhere {
        &self.ground.elsewhere
    }

    /// An address of this lab's net on which nothing of it listens.
    pub fn free_host(&self) -> String {
        self.estate().at(250, 0).ip().to_string()
    }

    /// The folder with certificates and tokens.
    pub fn dir(&self) -> &Path {
        &self.ground.folder
    }

    /// A configuration that was written for the demo's addresses, for this lab's.
    pub fn localise(&self, configuration: &str) -> String {
        configuration.replace("127.0.0.1:", &format!("{}:", self.host())).replace("lab/", &format!("{}/", self.dir().display()))
    }

    /// What the first cluster holds now, by resource (`apps/v1/deployments`), for tests that show the
    /// same objects through another API server.
    pub fn objects(&self) -> std::collections::BTreeMap<String, Vec<serde_json::Value>> {
        self.clusters[0].objects()
    }

    /// Adds a crowd of nodes and pods to the first cluster, for benches.
    pub fn crowd(&self, nodes: u32, pods: u32) {
        self.clusters[0].crowd(nodes, pods);
    }

    /// Lets containers of these pods of the crowd restart.
    pub fn churn(&self, pods: impl Iterator<Item = u32>, nodes: u32, restarts: u32) {
        self.clusters[0].churn(pods, nodes, restarts);
    }

    /// Replaces the token of the London cluster: the old one is refused from now on, and the file
    /// holds the new one.
    pub fn rotate_token(&self) -> anyhow::Result<()> {
        self.estate().rotate();
        self.write_token("eu-west-2")
    }

    fn write_token(&self, region: &str) -> anyhow::Result<()> {
        std::fs::write(self.dir().join(format!("{region}.token")), format!("{}\n", self.estate().token(region))).context("write a token")
    }

    /// Confirms what only people can confirm, as of now.
    pub fn attest(&self, items: &[&str]) -> anyhow::Result<()> {
        let now = jiff::Timestamp::now();
        let entries: String = items.iter().map(|item| format!("- {{ attest: {item}, who: the demo, at: {now} }}\n")).collect();
        std::fs::write(self.dir().join("attestations.yaml"), entries).context("write attestations")
    }

    fn write_files(&self) -> anyhow::Result<()> {
        std::fs::write(self.dir().join("ca.pem"), self.ground.authority.pem())?;
        std::fs::write(self.dir().join("kubeconfig"), kubernetes::kubeconfig(self.estate()))?;
        for region in REGIONS {
            self.write_token(region)?;
        }
        for (name, content) in PARTS.iter().flat_map(|part| (part.files)()) {
            kept::write(self.dir(), name, &content)?;
        }
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
