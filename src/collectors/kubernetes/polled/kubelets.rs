//! File systems of nodes and the storage of pods, from each kubelet's `/stats/summary`.
//!
//! A round over all nodes on a clock of its own, with a bounded number of open questions, so that
//! it never delays the watches. metrics.k8s.io knows nothing of disks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use hyper::header::AUTHORIZATION;
use tokio::time::Instant;

use super::NODES_FIRST;
use crate::cause::Cause as _;
use crate::collectors::kubernetes::client::api;
use crate::collectors::kubernetes::client::connect::{Link, certificates};
use crate::collectors::kubernetes::client::stream::Elements;
use crate::collectors::kubernetes::cluster::Cluster;
use crate::collectors::kubernetes::config::{Reach, Storage};
use crate::collectors::kubernetes::polled::summary::{Disk, PODS, Reading, fullest, most};
use crate::collectors::kubernetes::watching::visibility::{Look, MISSING};
use crate::driver::Poll;
use crate::files;
use crate::metric::{Coverage, Gauge, Sample, StateSet, Unit, gauge, metrics, state_set};
use crate::net;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot};

/// Why the use of a volume is not a number.
const UNTOLD: &str = "what the kubelet says of it is more than ten minutes old, or cannot be";
/// Why that of a claim is not.
const UNMEASURED: &str = "a pod has it mounted, and its kubelet tells nothing of how full it is; where the driver of the volume cannot tell, name it in collectors.kubernetes.storage.without_statistics";
/// Why that of a file system is not.
const IMPOSSIBLE: &str = "the kubelet says that more is free than there is, or less than nothing";
const STATES: &str = "readiness_node_kubelet_state";
const SEEN: Coverage = Coverage::of(STATES, &[Look::Seen.as_str()]);
const POD_STATES: &str = "readiness_pod_storage_state";
const FILE_SYSTEM: [&str; 3] = ["cluster", "node", "filesystem"];
const POD: [&str; 4] = ["cluster", "node", "namespace", "pod"];

metrics! {
    /// Families about file systems.
    pub(in crate::collectors::kubernetes) FAMILIES;

    static SUMMARY: StateSet<Look, 2> = state_set(
        STATES,
        &["cluster", "node"],
        "Whether a node's kubelet answered /stats/summary in the last round; the status page says why not.",
    );
    static USED: Gauge<3> = gauge(
        "readiness_node_filesystem_used_ratio",
        Unit::Share,
        &FILE_SYSTEM,
        "Share of a node's file system that is not available, cached from its kubelet's /stats/summary; given once where several are one disk.",
    )
    .covered_by(SEEN);
    static AVAILABLE: Gauge<3> = gauge(
        "readiness_node_filesystem_available_bytes",
        Unit::Bytes,
        &FILE_SYSTEM,
        "What is available of a node's file system, cached from its kubelet's /stats/summary; given once where several are one disk.",
    )
    .covered_by(SEEN);
    static CAPACITY: Gauge<3> = gauge(
        "readiness_node_filesystem_capacity_bytes",
        Unit::Bytes,
        &FILE_SYSTEM,
        "Size of a node's file system, cached from its kubelet's /stats/summary; given once where several are one disk.",
    )
    .covered_by(SEEN);
    static INODES: Gauge<3> = gauge(
        "readiness_node_filesystem_inodes_used_ratio",
        Unit::Share,
        &FILE_SYSTEM,
        "Share of a node's inodes that are not free, cached from its kubelet's /stats/summary; given once where several are one disk.",
    )
    .covered_by(SEEN.quiet());
    static POD_USED: Gauge<4> = gauge(
        "readiness_pod_ephemeral_storage_used_bytes",
        Unit::Bytes,
        &POD,
        "Ephemeral storage of the pods that use most of it, cached from their kubelets' /stats/summary.",
    )
    .covered_by(SEEN.quiet());
    static POD_LIMITS: StateSet<Look, 1> = state_set(
        POD_STATES,
        &["cluster"],
        "Whether the use and the limits of all pods' ephemeral storage were seen: every kubelet answered, and the pods of the Kubernetes API may be read.",
    );
    static POD_RATIO: Gauge<4> = gauge(
        "readiness_pod_ephemeral_storage_used_ratio",
        Unit::Ratio,
        &POD,
        "Share of a limit that the fullest pods with one use, of their ephemeral storage or of the size of an emptyDir, whatever is more, cached from their kubelets' /stats/summary and the Kubernetes API.",
    )
    .covered_by(Coverage { states: POD_STATES, ..SEEN.quiet() });
    static VOLUME: Gauge<3> = gauge(
        "readiness_volume_used_ratio",
        Unit::Share,
        &["cluster", "namespace", "claim"],
        "Share of a claimed volume that is not available, of its bytes or of its inodes, whatever is more, for the fullest ones, cached from the /stats/summary of the kubelet that mounts it; not known of a claim that a pod has mounted for ten minutes and of which its kubelet tells nothing.",
    )
    .covered_by(SEEN.quiet());
}

/// One round over all kubelets of a cluster.
pub(in crate::collectors::kubernetes) struct Kubelets {
    cluster: Arc<Cluster>,
    link: Link,
    config: Storage,
    reach: Reach,
    /// With the authority that it trusts.
    client: Option<(Vec<Vec<u8>>, reqwest::Client)>,
}

impl Kubelets {
    pub(in crate::collectors::kubernetes) fn new(cluster: Arc<Cluster>, link: Link, config: Storage, reach: Reach) -> Self {
        Self { cluster, link, config, reach, client: None }
    }

    async fn round(&mut self) -> Result<Observation, CollectError> {
        self.cluster.nodes_listed(self.config.interval.0).await;
        let addresses = self
            .cluster
            .kubelets()
            .ok_or_else(|| CollectError::new(ErrorClass::NotFound, "ask kubelets: the nodes of the cluster are not known").fixed_by(NODES_FIRST))?;
        if addresses.is_empty() {
            return Err(CollectError::new(ErrorClass::NotFound, "ask kubelets: the cluster has no nodes, or none that has started"));
        }
        let way = self.way().await?;
        let count = addresses.len();
        let mut silent: BTreeSet<Arc<str>> = addresses.iter().map(|(node, _)| Arc::clone(node)).collect();
        let asked = addresses.into_iter().map(|(node, address)| {
            let (way, cluster, config) = (way.clone(), Arc::clone(&self.cluster), &self.config);
            async move {
                let disk = way.ask(Reading::new(&node, Some(&cluster), config.top_pods), address, config.timeout.0).await;
                (node, disk)
            }
        });
        // What does not answer must not cost the facts of those who do: whoever is not heard within
        // the round counts as silent.
        let end = Instant::now() + self.config.interval.0.mul_f64(0.9);
        let mut answers = futures::stream::iter(asked).buffer_unordered(self.config.concurrency);
        let mut heard = Vec::with_capacity(count);
        while let Ok(Some(answer)) = tokio::time::timeout_at(end, answers.next()).await {
            silent.remove(&answer.0);
            heard.push(answer);
        }
        drop(answers);
        let late =
            |node: &Arc<str>| CollectError::new(ErrorClass::Timeout, say!("ask the kubelet of {}: the round was over before it was heard", named(&node)));
        heard.extend(silent.into_iter().map(|node| (Arc::clone(&node), Err(late(&node)))));
        let incomplete = heard.iter().any(|(_, disk)| disk.as_ref().is_err_and(CollectError::may_pass));
        Ok(Observation { incomplete, ..Observation::new(self.samples(heard), count, count as u64) })
    }

    async fn way(&mut self) -> Result<Way, CollectError> {
        if self.reach == Reach::NodeProxy {
            return Ok(Way::Proxy(self.link.client().await?));
        }
        // A file is read each time, as those of tokens are; what a cluster says of itself changes with its client.
        let client = match (&self.config.ca_file, self.client.take()) {
            (None, Some(made)) => made,
            (None, None) => self.kubelet_client(self.link.authority().await?)?,
            (Some(file), made) => {
                let authority = authorities_of(file).await?;
                match made.filter(|(known, _)| *known == authority) {
                    Some(made) => made,
                    None => self.kubelet_client(authority)?,
                }
            }
        };
        Ok(Way::Direct(self.client.insert(client).1.clone(), self.link.bearer().await?))
    }

    /// A client for kubelets of these authorities, with them.
    fn kubelet_client(&self, authority: Vec<Vec<u8>>) -> Result<(Vec<Vec<u8>>, reqwest::Client), CollectError> {
        let failed = |why: Message| CollectError::new(ErrorClass::Local, say!("ask kubelets: {}", why));
        let mut roots = Vec::new();
        for der in &authority {
            roots.push(reqwest::Certificate::from_der(der).map_err(|error| failed(error.words()))?);
        }
        let client = client(roots, self.config.insecure_skip_verify).map_err(|error| failed(error.words()))?;
        Ok((authority, client))
    }

    fn samples(&self, answers: Vec<(Arc<str>, Result<Disk, CollectError>)>) -> Vec<Sample> {
        let cluster = &self.cluster.name;
        let (mut samples, mut pods) = (Vec::new(), Vec::new());
        let mut unseen = (!self.cluster.sees_pods()).then(|| say!("the limits of pods cannot be read"));
        let (mut volumes, mut untold): (BTreeMap<(String, String), f64>, BTreeSet<_>) = Default::default();
        if answers.iter().any(|(_, disk)| disk.as_ref().is_err_and(|error| error.class == ErrorClass::Denied)) {
            let resource = if self.reach == Reach::NodeProxy { "nodes/proxy" } else { "nodes/stats" };
            samples.push(MISSING.sample([&**cluster, "get", resource], 1.0));
        }
        for (node, disk) in answers {
            let labels = || [Arc::clone(cluster), Arc::clone(&node)];
            // Every kubelet has a nodefs; a summary without its size does not tell whether it is full.
            let seen = disk.map_err(|error| error.message).and_then(|disk| {
                if disk.is_of_another {
                    return Err(say!("ask the kubelet of {}: the summary that came is of another node", named(&node)));
                }
                let age = disk.taken.and_then(|taken| self.cluster.clock.stale(taken));
                if let Some(age) = age {
                    return Err(say!("ask the kubelet of {}: the numbers of its summary are {} old", named(&node), age));
                }
                let nodefs = disk.file_systems.iter().find(|(name, _)| *name == "nodefs").and_then(|(_, fs)| *fs);
                let nodefs = nodefs.ok_or_else(|| say!("ask the kubelet of {}: its summary does not tell the size of nodefs", named(&node)))?;
                Ok((disk, nodefs))
            });
            let (disk, nodefs) = match seen {
                Ok(seen) => seen,
                Err(why) => {
                    samples.push(SUMMARY.sample(labels(), Look::Unseen).with_detail(&why));
                    unseen.get_or_insert(why);
                    continue;
                }
            };
            samples.push(SUMMARY.sample(labels(), Look::Seen));
            for (name, fs) in disk.file_systems {
                let labels = || [Arc::clone(cluster), Arc::clone(&node), name.into()];
                let Some(fs) = fs else {
                    samples.push(USED.sample(labels(), f64::NAN).with_detail(IMPOSSIBLE));
                    continue;
                };
                // Most nodes have one disk under three names, and one full disk is one red line.
                if name != "nodefs" && nodefs == fs {
                    continue;
                }
                samples.push(USED.sample(labels(), 1.0 - fs.available / fs.capacity));
                samples.push(AVAILABLE.sample(labels(), fs.available));
                samples.push(CAPACITY.sample(labels(), fs.capacity));
                samples.extend(fs.inodes_used.map(|ratio| INODES.sample(labels(), ratio)));
            }
            pods.extend(disk.pods);
            untold.extend(disk.untold);
            // A volume that several nodes mount is one volume.
            for (claim, ratio) in disk.volumes {
                let known = volumes.entry(claim).or_insert(f64::NAN);
                *known = known.max(ratio);
            }
        }
        let limits = POD_LIMITS.sample([Arc::clone(cluster)], if unseen.is_none() { Look::Seen } else { Look::Unseen });
        samples.push(match &unseen {
            Some(why) => limits.with_detail(why),
            None => limits,
        });
        let told: BTreeSet<_> = volumes.keys().cloned().collect();
        for ((namespace, claim), ratio) in fullest(volumes.into_iter().collect(), self.config.top_pods) {
            let volume = VOLUME.sample([&**cluster, &namespace, &claim], ratio);
            samples.push(if ratio.is_nan() { volume.with_detail(UNTOLD) } else { volume });
        }
        // What one node tells of a claim goes for all that mount it.
        let unmeasured = untold.into_iter().filter(|claim| !told.contains(claim) && !self.config.leaves_out(claim));
        let nothing = |(namespace, claim): (String, String)| VOLUME.sample([&**cluster, &namespace, &claim], f64::NAN).with_detail(UNMEASURED);
        samples.extend(unmeasured.take(self.config.top_pods).map(nothing));
        for pod in most(pods, self.config.top_pods) {
            let labels = || [&**cluster, &*pod.node, &pod.namespace, &pod.pod];
            samples.push(POD_USED.sample(labels(), pod.used));
            let of_limit = pod.of_limit.as_ref().map(|(share, dir)| (POD_RATIO.sample(labels(), *share), dir));
            samples.extend(of_limit.map(|(sample, dir)| match dir {
                Some(dir) => sample.with_detail(say!("its emptyDir {} is that full", named(dir))),
                None => sample,
            }));
        }
        samples
    }
}

impl Poll for Kubelets {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.round().boxed()
    }
}

/// A client for kubelets, of which none sends anybody elsewhere or compresses unless asked to.
fn client(roots: Vec<reqwest::Certificate>, insecure: bool) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().no_gzip().https_only(true).redirect(reqwest::redirect::Policy::none());
    // A kubelet is asked once a minute; connections to thousands of them are not worth keeping.
    builder.tls_danger_accept_invalid_certs(insecure).tls_certs_only(roots).pool_max_idle_per_host(0).build()
}

/// How a kubelet is asked.
#[derive(Clone)]
enum Way {
    Proxy(kube::Client),
    Direct(reqwest::Client, hyper::header::HeaderValue),
}

impl Way {
    async fn ask(&self, mut reading: Reading<'_>, address: Option<std::net::SocketAddr>, timeout: Duration) -> Result<Disk, CollectError> {
        let node = Arc::clone(reading.node);
        let what = say!("ask the kubelet of {}", named(&node));
        let (client, token) = match self {
            Self::Proxy(client) => {
                let request = hyper::Request::get(format!("/api/v1/nodes/{node}/proxy/stats/summary")).body(Vec::new());
                let request = request.map_err(|_| CollectError::new(ErrorClass::Local, say!("{}: its name makes no path", what)))?;
                let summary = api::elements(client, request, api::Form::json(PODS), &what, api::Bounds::page(timeout), |pod| reading.add(pod)).await?;
                return Ok(reading.disk(summary));
            }
            Self::Direct(client, token) => (client, token),
        };
        let address = address.ok_or_else(|| CollectError::new(ErrorClass::NotFound, say!("{}: the node has no InternalIP", what)))?;
        // Whoever may write nodes may say any address, and a token goes there.
        if net::is_link_local(address.ip()) {
            return Err(CollectError::new(ErrorClass::Unreachable, say!("{}: the InternalIP of the node is a link-local or metadata address", what)));
        }
        let unreachable = |error: reqwest::Error| net::unanswered(&what, &error);
        let unread = |why| api::unread(&what, why);
        let ask = async {
            let request = client.get(format!("https://{address}/stats/summary")).header(AUTHORIZATION, token.clone());
            let answer = net::send(request.send()).await;
            let mut answer = answer.map_err(unreachable)?;
            let status = answer.status().as_u16();
            if status != 200 {
                return Err(CollectError::new(ErrorClass::of_status(status), say!("{}: status {}", what, status)));
            }
            let mut elements = Elements::of(PODS);
            while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
                elements.feed(&chunk, &mut |pod| reading.add(pod)).map_err(unread)?;
            }
            elements.rest().map_err(unread)
        };
        let summary = net::within(&what, timeout, ask).await??;
        Ok(reading.disk(summary))
    }
}

/// The certificates of a file.
async fn authorities_of(file: &Path) -> Result<Vec<Vec<u8>>, CollectError> {
    let failed = |why: Message| CollectError::new(ErrorClass::Local, say!("ask kubelets: read {}: {}", file.display(), why));
    let pem = files::read(file, files::LARGEST).await.map_err(|error| failed(say!("{}", error)))?;
    certificates(&pem.bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A TLS server that answers whatever it is asked with these bytes; the heads of the requests.
    async fn server(answer: &'static [u8]) -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
        server_of(&readiness_lab::Authority::new("Root").unwrap(), answer).await
    }

    /// The same with a certificate of this authority.
    async fn server_of(authority: &readiness_lab::Authority, answer: &'static [u8]) -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
        let (certificate, key) = authority.issue_pem(&readiness_lab::Leaf::good(&["127.0.0.1"])).unwrap();
        let chain = rustls::pki_types::CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(net::crypto()).with_safe_default_protocol_versions().unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (heads, seen)) = (listener.local_addr().unwrap(), tokio::sync::mpsc::unbounded_channel());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or_default();
                let _ = heads.send(String::from_utf8_lossy(&head[..length]).into_owned());
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        (address, seen)
    }

    async fn asked(answer: &'static [u8]) -> (Result<Disk, CollectError>, Vec<String>) {
        let (address, mut seen) = server(answer).await;
        let way = Way::Direct(client(Vec::new(), true).unwrap(), hyper::header::HeaderValue::from_static("Bearer t"));
        let node = "n".into();
        let disk = way.ask(Reading::new(&node, None, 5), Some(address), Duration::from_secs(20)).await;
        let mut heads = Vec::new();
        while let Ok(head) = seen.try_recv() {
            heads.push(head);
        }
        (disk, heads)
    }

    #[tokio::test]
    async fn a_kubelet_is_asked_over_https_once_and_for_plain_text() {
        let (disk, heads) =
            asked(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"node\":{\"fs\":{\"availableBytes\":40,\"capacityBytes\":100}},\"pods\":null}").await;
        assert!(disk.is_ok_and(|disk| disk.file_systems.len() == 1) && heads.len() == 1);
        assert!(!heads[0].to_lowercase().contains("accept-encoding"), "{heads:?}");
        let (disk, heads) = asked(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        assert_eq!((disk.unwrap_err().message.as_str(), heads.len()), ("ask the kubelet of n: status 302", 1));
        // Compressed although nobody asked for it.
        let (disk, _) = asked(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff").await;
        assert_eq!(disk.unwrap_err().message.as_str(), "ask the kubelet of n: the answer is not what it should be");
        assert!(client(Vec::new(), true).unwrap().get("http://127.0.0.1:1/").send().await.is_err_and(|error| error.is_builder()));
    }

    #[tokio::test]
    async fn kubelets_are_known_by_what_the_ca_file_says_now() {
        let [old, new] = ["Old", "New"].map(|name| readiness_lab::Authority::new(name).unwrap());
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
        let [at_old, at_new] = [server_of(&old, answer).await.0, server_of(&new, answer).await.0];
        let folder = tempfile::tempdir().unwrap();
        let [ca, token] = ["ca.pem", "token"].map(|name| folder.path().join(name));
        std::fs::write(&token, "t").unwrap();
        let cluster = format!("{{ name: eu, server: 'https://127.0.0.1:1', token: {{ file: {} }} }}", token.display());
        let settings: crate::collectors::kubernetes::ClusterConfig = serde_saphyr::from_str(&cluster).unwrap();
        let config: crate::collectors::kubernetes::Config = serde_saphyr::from_str(&format!("storage: {{ ca_file: {} }}", ca.display())).unwrap();
        let own = Arc::new(Cluster::new(&settings, &config.of("eu"), &[]));
        let mut kubelets = Kubelets::new(own, Link::new(settings, Duration::from_secs(5)), config.storage.clone(), Reach::Kubelet);
        for (authority, expected) in [(&old, [true, false]), (&new, [false, true])] {
            std::fs::write(&ca, authority.pem()).unwrap();
            let Ok(Way::Direct(client, _)) = kubelets.way().await else { panic!("there is a client") };
            let asked = async |at: std::net::SocketAddr| client.get(format!("https://{at}/")).send().await.is_ok();
            assert_eq!([asked(at_old).await, asked(at_new).await], expected);
        }
    }

    #[tokio::test]
    async fn a_ca_file_that_is_no_regular_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let why = authorities_of(&path).await.unwrap_err();
        assert_eq!(why.message.as_str(), format!("ask kubelets: read {}: it is no regular file", path.display()));
    }
}
