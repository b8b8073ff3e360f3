//! File systems of nodes and the storage of pods, from each kubelet's `/stats/summary`.
//!
//! A round over all nodes on a clock of its own, with a bounded number of open questions, so that
//! it never delays the watches. metrics.k8s.io knows nothing of disks.
//! Source: staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go of Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use hyper::header::AUTHORIZATION;
use serde::Deserialize;
use tokio::time::Instant;

use super::api;
use super::cluster::Cluster;
use super::config::{Reach, Storage};
use super::connect::{Link, certificates};
use super::pods::uid;
use super::sight::MISSING;
use crate::cause::Cause as _;
use crate::driver::Poll;
use crate::metric::{Coverage, Family, Gauge, Sample, StateSet, Unit, gauge, state_set};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass, Observation, Snapshot};

const STATES: &str = "readiness_node_kubelet_state";
const SEEN: Coverage = Coverage { states: STATES, seen: &["seen"], kinds: &[], quiet: false };
const POD_STATES: &str = "readiness_pod_storage_state";
const FILE_SYSTEM: [&str; 3] = ["cluster", "node", "filesystem"];
const POD: [&str; 4] = ["cluster", "node", "namespace", "pod"];

static SUMMARY: StateSet<2> = state_set(
    STATES,
    &["seen", "unseen"],
    &["cluster", "node"],
    "Whether a node's kubelet answered /stats/summary in the last round; the status page says why not.",
);
static USED: Gauge<3> = gauge(
    "readiness_node_filesystem_used_ratio",
    Unit::Ratio,
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
    Unit::Ratio,
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
static POD_LIMITS: StateSet<1> = state_set(
    POD_STATES,
    &["seen", "unseen"],
    &["cluster"],
    "Whether the use and the limits of all pods' ephemeral storage were seen: every kubelet answered, and the pods of the Kubernetes API may be read.",
);
static POD_RATIO: Gauge<4> = gauge(
    "readiness_pod_ephemeral_storage_used_ratio",
    Unit::Ratio,
    &POD,
    "Share of their limit that the fullest pods with a limit use, cached from their kubelets' /stats/summary and the Kubernetes API.",
)
.covered_by(Coverage { states: POD_STATES, ..SEEN.quiet() });
static VOLUME: Gauge<3> = gauge(
    "readiness_volume_used_ratio",
    Unit::Ratio,
    &["cluster", "namespace", "claim"],
    "Share of a claimed volume that is not available, for the fullest ones, cached from the /stats/summary of the kubelet that mounts it.",
)
.covered_by(SEEN.quiet());

/// Families about file systems.
pub(super) static FAMILIES: &[&Family] = &[&SUMMARY.0, &USED.0, &AVAILABLE.0, &CAPACITY.0, &INODES.0, &POD_USED.0, &POD_LIMITS.0, &POD_RATIO.0, &VOLUME.0];

/// Every field is optional on purpose: absent is not zero.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    node: NodeStats,
    #[serde(default)]
    pods: Option<Vec<PodStats>>,
}

#[derive(Debug, Default, Deserialize)]
struct NodeStats {
    fs: Option<FsStats>,
    runtime: Option<RuntimeStats>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeStats {
    image_fs: Option<FsStats>,
    container_fs: Option<FsStats>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FsStats {
    available_bytes: Option<f64>,
    capacity_bytes: Option<f64>,
    used_bytes: Option<f64>,
    inodes_free: Option<f64>,
    inodes: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStats {
    pod_ref: PodRef,
    #[serde(rename = "ephemeral-storage")]
    ephemeral_storage: Option<FsStats>,
    #[serde(default)]
    volume: Option<Vec<VolumeStats>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeStats {
    pvc_ref: Option<ClaimRef>,
    available_bytes: Option<f64>,
    capacity_bytes: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct ClaimRef {
    name: String,
    namespace: String,
}

#[derive(Debug, Deserialize)]
struct PodRef {
    name: String,
    namespace: String,
    uid: Option<String>,
}

/// What one kubelet said, reduced.
#[derive(Debug, PartialEq)]
pub(super) struct Disk {
    file_systems: Vec<(&'static str, FileSystem)>,
    /// The pods that use most.
    pods: Vec<PodUse>,
    /// The fullest volumes, by namespace and claim.
    volumes: Vec<((String, String), f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct FileSystem {
    available: f64,
    capacity: f64,
    inodes_used: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
struct PodUse {
    node: Arc<str>,
    namespace: String,
    pod: String,
    uid: u128,
    used: f64,
    limit: Option<f64>,
}

impl FsStats {
    /// `usedBytes` is no use: of an image file system it is the size of the images alone.
    fn reduce(self) -> Option<FileSystem> {
        let capacity = self.capacity_bytes.filter(|capacity| *capacity > 0.0)?;
        let available = self.available_bytes?.clamp(0.0, capacity);
        let inodes_used = self.inodes.filter(|inodes| *inodes > 0.0).zip(self.inodes_free).map(|(all, free)| (1.0 - free / all).clamp(0.0, 1.0));
        Some(FileSystem { available, capacity, inodes_used })
    }
}

impl Summary {
    fn reduce(self, node: &Arc<str>, limit: impl Fn(u128) -> Option<f64>, top: usize) -> Disk {
        let runtime = self.node.runtime.unwrap_or_default();
        let named = [("nodefs", self.node.fs), ("imagefs", runtime.image_fs), ("containerfs", runtime.container_fs)];
        let mut volumes: Vec<((String, String), f64)> = Vec::new();
        let pods = self.pods.into_iter().flatten().filter_map(|pod| {
            volumes.extend(pod.volume.into_iter().flatten().filter_map(|volume| {
                let (claim, capacity) = (volume.pvc_ref?, volume.capacity_bytes.filter(|capacity| *capacity > 0.0)?);
                Some(((claim.namespace, claim.name), (1.0 - volume.available_bytes? / capacity).clamp(0.0, 1.0)))
            }));
            let uid = uid(pod.pod_ref.uid.as_deref());
            let used = pod.ephemeral_storage?.used_bytes?;
            Some(PodUse { node: Arc::clone(node), namespace: pod.pod_ref.namespace, pod: pod.pod_ref.name, uid, used, limit: limit(uid) })
        });
        let pods = most(pods.collect(), top);
        volumes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        volumes.truncate(top);
        Disk { file_systems: named.into_iter().filter_map(|(name, stats)| Some((name, stats?.reduce()?))).collect(), pods, volumes }
    }
}

/// The pods that use most, in bytes or of their limit.
fn most(mut pods: Vec<PodUse>, top: usize) -> Vec<PodUse> {
    let ratio = |pod: &PodUse| pod.limit.filter(|limit| *limit > 0.0).map_or(0.0, |limit| pod.used / limit);
    pods.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
    let fullest: Vec<u128> = pods.iter().take(top).filter(|pod| ratio(pod) > 0.0).map(|pod| pod.uid).collect();
    pods.sort_by(|a, b| b.used.total_cmp(&a.used));
    let mut kept = pods.iter().take(top).cloned().collect::<Vec<_>>();
    kept.extend(pods.into_iter().skip(top).filter(|pod| fullest.contains(&pod.uid)));
    kept
}

/// One round over all kubelets of a cluster.
pub(super) struct Kubelets {
    cluster: Arc<Cluster>,
    link: Link,
    config: Storage,
    reach: Reach,
    client: Option<reqwest::Client>,
}

impl Kubelets {
    pub(super) fn new(cluster: Arc<Cluster>, link: Link, config: Storage, reach: Reach) -> Self {
        Self { cluster, link, config, reach, client: None }
    }

    async fn round(&mut self) -> Result<Observation, CollectError> {
        self.cluster.nodes_listed(self.config.interval.0).await;
        let addresses =
            self.cluster.kubelets().ok_or_else(|| CollectError::new(ErrorClass::NotFound, "ask kubelets: the nodes of the cluster are not known"))?;
        if addresses.is_empty() {
            return Err(CollectError::new(ErrorClass::NotFound, "ask kubelets: the cluster has no nodes"));
        }
        let way = self.way().await?;
        let count = addresses.len();
        let mut silent: BTreeSet<Arc<str>> = addresses.iter().map(|(node, _)| Arc::clone(node)).collect();
        let asked = addresses.into_iter().map(|(node, address)| {
            let (way, cluster, config) = (way.clone(), Arc::clone(&self.cluster), &self.config);
            async move {
                let answer = way.ask(&node, address, config.timeout.0).await;
                let disk = answer.map(|summary| summary.reduce(&node, |uid| cluster.storage_limit(uid), config.top_pods));
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
        let client = match &self.client {
            Some(client) => client.clone(),
            None => self.client.insert(self.kubelet_client().await?).clone(),
        };
        Ok(Way::Direct(client, self.link.bearer().await?))
    }

    async fn kubelet_client(&self) -> Result<reqwest::Client, CollectError> {
        let failed = |why: Message| CollectError::new(ErrorClass::Local, say!("ask kubelets: {}", why));
        let authority = match &self.config.ca_file {
            Some(file) => {
                let pem = std::fs::read(file).map_err(|error| failed(say!("read {}: {}", file.display(), error.words())))?;
                certificates(&pem).map_err(|why| failed(say!("read {}: {}", file.display(), why)))?
            }
            None => self.link.authority().await?,
        };
        let mut roots = Vec::new();
        for der in authority {
            roots.push(reqwest::Certificate::from_der(&der).map_err(|error| failed(error.words()))?);
        }
        let builder = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(self.config.insecure_skip_verify).tls_certs_only(roots);
        // A kubelet is asked once a minute; connections to thousands of them are not worth keeping.
        builder.pool_max_idle_per_host(0).build().map_err(|error| failed(error.words()))
    }

    fn samples(&self, answers: Vec<(Arc<str>, Result<Disk, CollectError>)>) -> Vec<Sample> {
        let cluster = &self.cluster.name;
        let (mut samples, mut pods) = (Vec::new(), Vec::new());
        let mut unseen = (!self.cluster.sees_pods()).then(|| say!("the limits of pods cannot be read"));
        let mut volumes: BTreeMap<(String, String), f64> = BTreeMap::new();
        if answers.iter().any(|(_, disk)| disk.as_ref().is_err_and(|error| error.class == ErrorClass::Denied)) {
            let resource = if self.reach == Reach::NodeProxy { "nodes/proxy" } else { "nodes/stats" };
            samples.push(MISSING.sample([&**cluster, "get", resource], 1.0));
        }
        for (node, disk) in answers {
            let labels = || [Arc::clone(cluster), Arc::clone(&node)];
            // Every kubelet has a nodefs; a summary without its size does not tell whether it is full.
            let seen = disk.map_err(|error| error.message).and_then(|disk| {
                let nodefs = disk.file_systems.iter().find(|(name, _)| *name == "nodefs").map(|(_, fs)| *fs);
                let nodefs = nodefs.ok_or_else(|| say!("ask the kubelet of {}: its summary does not tell the size of nodefs", named(&node)))?;
                Ok((disk, nodefs))
            });
            let (disk, nodefs) = match seen {
                Ok(seen) => seen,
                Err(why) => {
                    samples.push(SUMMARY.sample(labels(), "unseen").with_detail(&why));
                    unseen.get_or_insert(why);
                    continue;
                }
            };
            samples.push(SUMMARY.sample(labels(), "seen"));
            for (name, fs) in disk.file_systems {
                let labels = || [Arc::clone(cluster), Arc::clone(&node), name.into()];
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
            // A volume that several nodes mount is one volume.
            for (claim, ratio) in disk.volumes {
                let fullest = volumes.entry(claim).or_default();
                *fullest = fullest.max(ratio);
            }
        }
        let limits = POD_LIMITS.sample([Arc::clone(cluster)], if unseen.is_none() { "seen" } else { "unseen" });
        samples.push(match &unseen {
            Some(why) => limits.with_detail(why),
            None => limits,
        });
        let mut volumes: Vec<_> = volumes.into_iter().collect();
        volumes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let fullest = volumes.into_iter().take(self.config.top_pods);
        samples.extend(fullest.map(|((namespace, claim), ratio)| VOLUME.sample([&**cluster, &namespace, &claim], ratio)));
        for pod in most(pods, self.config.top_pods) {
            let labels = || [&**cluster, &*pod.node, &pod.namespace, &pod.pod];
            samples.push(POD_USED.sample(labels(), pod.used));
            samples.extend(pod.limit.filter(|limit| *limit > 0.0).map(|limit| POD_RATIO.sample(labels(), pod.used / limit)));
        }
        samples
    }
}

impl Poll for Kubelets {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        self.round().boxed()
    }
}

/// How a kubelet is asked.
#[derive(Clone)]
enum Way {
    Proxy(kube::Client),
    Direct(reqwest::Client, hyper::header::HeaderValue),
}

impl Way {
    async fn ask(&self, node: &str, address: Option<std::net::SocketAddr>, timeout: Duration) -> Result<Summary, CollectError> {
        let what = say!("ask the kubelet of {}", named(&node));
        match self {
            Self::Proxy(client) => api::get(client, &format!("/api/v1/nodes/{node}/proxy/stats/summary"), &what, timeout).await,
            Self::Direct(client, token) => {
                let address = address.ok_or_else(|| CollectError::new(ErrorClass::NotFound, say!("{}: the node has no InternalIP", what)))?;
                let ask = async {
                    let answer = client.get(format!("https://{address}/stats/summary")).header(AUTHORIZATION, token.clone()).send().await;
                    let cause = |error: reqwest::Error| error.words();
                    let answer = answer.map_err(|error| (ErrorClass::Unreachable, cause(error)))?;
                    match answer.status().as_u16() {
                        200 => answer.json::<Summary>().await.map_err(|error| (ErrorClass::Malformed, cause(error))),
                        status => Err((ErrorClass::of_status(status), say!("status {}", status))),
                    }
                };
                match tokio::time::timeout(timeout, ask).await {
                    Err(_) => Err(CollectError::new(ErrorClass::Timeout, say!("{}: no answer within {}", what, crate::config::Span(timeout)))),
                    Ok(answer) => answer.map_err(|(class, why)| CollectError::new(class, say!("{}: {}", what, why))),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(json: &str) -> Disk {
        serde_json::from_str::<Summary>(json).unwrap().reduce(&"n".into(), |_| None, 5)
    }

    #[test]
    fn the_ratio_is_what_is_not_available_and_not_what_is_said_to_be_used() {
        let summary = r#"{"node":{"fs":{"availableBytes":40,"capacityBytes":100,"usedBytes":10,"inodes":1000,"inodesFree":750},
            "runtime":{"imageFs":{"availableBytes":5,"capacityBytes":100,"usedBytes":1}}},"pods":[]}"#;
        let fs = |available, inodes_used| FileSystem { available, capacity: 100.0, inodes_used };
        assert_eq!(disk(summary).file_systems, [("nodefs", fs(40.0, Some(0.25))), ("imagefs", fs(5.0, None))]);
    }

    #[test]
    fn absent_is_not_zero() {
        for node in
            ["{}", r#"{"fs":null}"#, r#"{"fs":{"capacityBytes":100}}"#, r#"{"fs":{"availableBytes":5}}"#, r#"{"fs":{"availableBytes":0,"capacityBytes":0}}"#]
        {
            let read = disk(&format!(r#"{{"node":{node}}}"#));
            assert!(read.file_systems.is_empty() && read.pods.is_empty(), "{node}");
        }
    }

    #[test]
    fn the_largest_and_the_fullest_pods_are_kept() {
        let use_of = |uid: u128, used: f64, limit: Option<f64>| PodUse { node: "n".into(), namespace: "ws".into(), pod: format!("p{uid}"), uid, used, limit };
        let pods = vec![use_of(1, 100.0, None), use_of(2, 90.0, Some(1000.0)), use_of(3, 9.0, Some(10.0)), use_of(4, 1.0, None)];
        let kept: Vec<u128> = most(pods, 2).iter().map(|pod| pod.uid).collect();
        assert_eq!(kept, [1, 2, 3]);
    }
}
