//! What a kubelet says at `/stats/summary`, and what is kept of it while it is read.
//!
//! Source: staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1/types.go of Kubernetes.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use crate::collectors::kubernetes::cluster::Cluster;
use crate::collectors::kubernetes::kinds::mounts::Mounts;
use crate::collectors::kubernetes::kinds::podrow::uid;
use crate::collectors::kubernetes::reading::clock::now;

/// What stands around the pods of a summary. Every field is optional on purpose: absent is not zero.
#[derive(Debug, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct Summary {
    node: NodeStats,
}

/// Where the pods stand in it.
pub(in crate::collectors::kubernetes) const PODS: &str = "pods";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeStats {
    node_name: Option<String>,
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
    /// When its numbers were taken.
    time: Option<Timestamp>,
    available_bytes: Option<f64>,
    capacity_bytes: Option<f64>,
    used_bytes: Option<f64>,
    inodes_free: Option<f64>,
    inodes_used: Option<f64>,
    inodes: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct PodStats {
    pod_ref: PodRef,
    #[serde(rename = "ephemeral-storage")]
    ephemeral_storage: Option<FsStats>,
    #[serde(default)]
    volume: Option<Vec<VolumeStats>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeStats {
    #[serde(default)]
    name: String,
    time: Option<Timestamp>,
    pvc_ref: Option<ClaimRef>,
    available_bytes: Option<f64>,
    capacity_bytes: Option<f64>,
    used_bytes: Option<f64>,
    inodes_free: Option<f64>,
    inodes_used: Option<f64>,
    inodes: Option<f64>,
}

impl VolumeStats {
    /// The share that is not available: of its bytes or of its inodes, without which nothing new can be written
    /// either, whatever is the larger. `None` where it does not tell its size; not a number where that cannot be.
    /// A device without a file system tells its size alone, and that nothing is used or left.
    /// Source: `NodeGetVolumeStats` in <https://github.com/container-storage-interface/spec/blob/master/spec.md>
    fn used(&self) -> Option<f64> {
        if self.available_bytes == Some(0.0) && self.used_bytes == Some(0.0) {
            return None;
        }
        let (available, capacity) = sizes(self.available_bytes, self.capacity_bytes)?;
        let inodes = inodes_used(self.inodes, self.inodes_free, self.inodes_used).unwrap_or_default();
        Some(available.map_or(f64::NAN, |available| (1.0 - available / capacity).max(inodes)))
    }
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
pub(in crate::collectors::kubernetes) struct Disk {
    /// Whether they are those of another node than the one that was asked.
    pub(in crate::collectors::kubernetes) is_of_another: bool,
    /// When the oldest of its numbers were taken, on the node's clock.
    pub(in crate::collectors::kubernetes) taken: Option<Timestamp>,
    /// Those whose numbers can be; without any where they cannot.
    pub(in crate::collectors::kubernetes) file_systems: Vec<(&'static str, Option<FileSystem>)>,
    /// The pods that use most.
    pub(in crate::collectors::kubernetes) pods: Vec<PodUse>,
    /// The fullest volumes, by namespace and claim. Not a number where the kubelet's numbers cannot be.
    pub(in crate::collectors::kubernetes) volumes: Vec<((String, String), f64)>,
    /// Claims that pods have mounted for long, and of which it tells nothing.
    pub(in crate::collectors::kubernetes) untold: Vec<(String, String)>,
}

/// Seconds within which a kubelet has looked at the volumes of a pod that it took on, which it does once a minute.
const MOUNTED_LONG: i64 = 10 * 60;

/// More is free than there is, or less than nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Impossible;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::collectors::kubernetes) struct FileSystem {
    pub(in crate::collectors::kubernetes) available: f64,
    pub(in crate::collectors::kubernetes) capacity: f64,
    pub(in crate::collectors::kubernetes) inodes_used: Option<f64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct PodUse {
    pub(in crate::collectors::kubernetes) node: Arc<str>,
    pub(in crate::collectors::kubernetes) namespace: String,
    pub(in crate::collectors::kubernetes) pod: String,
    uid: u128,
    pub(in crate::collectors::kubernetes) used: f64,
    /// The share of a limit that it uses: of its ephemeral storage or of the fullest of its emptyDirs, which is named.
    pub(in crate::collectors::kubernetes) of_limit: Option<(f64, Option<Box<str>>)>,
}

impl FsStats {
    /// `usedBytes` is no use: of an image file system it is the size of the images alone.
    /// `None` where it does not tell its size.
    fn reduce(self) -> Option<Result<FileSystem, Impossible>> {
        let (available, capacity) = sizes(self.available_bytes, self.capacity_bytes)?;
        let Ok(available) = available else { return Some(Err(Impossible)) };
        let inodes_used = inodes_used(self.inodes, self.inodes_free, self.inodes_used);
        Some(Ok(FileSystem { available, capacity, inodes_used }))
    }
}

/// The share of the inodes that is not free, where that is told.
fn inodes_used(all: Option<f64>, free: Option<f64>, used: Option<f64>) -> Option<f64> {
    let all = all.filter(|inodes| *inodes > 0.0)?;
    // Some file systems write 2^64 - 1 where they do not know; what they use they may know still.
    let free = free.filter(|free| (0.0..=all).contains(free));
    let used = free.map(|free| all - free).or_else(|| used.filter(|used| (0.0..=all).contains(used)))?;
    Some(used / all)
}

/// What is available, and of how much; `None` where that is not told.
fn sizes(available: Option<f64>, capacity: Option<f64>) -> Option<(Result<f64, Impossible>, f64)> {
    let (available, capacity) = (available?, capacity.filter(|capacity| *capacity > 0.0)?);
    Some((if (0.0..=capacity).contains(&available) { Ok(available) } else { Err(Impossible) }, capacity))
}

/// A summary that is being read: of its pods, of which a node may have hundreds, only those that may
/// be among the first are kept.
pub(in crate::collectors::kubernetes) struct Reading<'a> {
    pub(in crate::collectors::kubernetes) node: &'a Arc<str>,
    cluster: Option<&'a Cluster>,
    top: usize,
    pods: Vec<PodUse>,
    volumes: Vec<((String, String), f64)>,
    /// What pods mount that it has not told of.
    mounts: BTreeMap<u128, Mounts>,
    untold: Vec<(String, String)>,
}

impl<'a> Reading<'a> {
    pub(in crate::collectors::kubernetes) fn new(node: &'a Arc<str>, cluster: Option<&'a Cluster>, top: usize) -> Self {
        let mounts = cluster.map(|cluster| cluster.mounts(node)).unwrap_or_default();
        Self { node, cluster, top, pods: Vec::new(), volumes: Vec::new(), mounts, untold: Vec::new() }
    }

    pub(in crate::collectors::kubernetes) fn add(&mut self, pod: PodStats) {
        let uid = uid(pod.pod_ref.uid.as_deref());
        let mounts = self.mounts.remove(&uid);
        let volumes = pod.volume.as_deref().unwrap_or_default();
        let dirs = mounts.iter().flat_map(|mounts| dirs(mounts, volumes));
        let fullest_dir = dirs.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(share, name)| (share, Some(name)));
        self.untold.extend(mounts.iter().flat_map(|mounts| untold(mounts, volumes)));
        self.volumes.extend(pod.volume.into_iter().flatten().filter_map(|volume| {
            let used = volume.used()?;
            let claim = volume.pvc_ref?;
            // Of a volume that hangs a kubelet goes on telling what it last knew.
            let is_old = volume.time.is_some_and(|taken| self.cluster.is_some_and(|cluster| cluster.clock.stale(taken).is_some()));
            Some(((claim.namespace, claim.name), if is_old { f64::NAN } else { used }))
        }));
        if let Some(used) = pod.ephemeral_storage.and_then(|stats| stats.used_bytes) {
            let limit = self.cluster.and_then(|cluster| cluster.storage_limit(uid)).filter(|limit| *limit > 0.0);
            let of_limit = limit.map(|limit| (used / limit, None)).into_iter().chain(fullest_dir).max_by(|(a, _), (b, _)| a.total_cmp(b));
            self.pods.push(PodUse { node: Arc::clone(self.node), namespace: pod.pod_ref.namespace, pod: pod.pod_ref.name, uid, used, of_limit });
        }
        if self.pods.len().max(self.volumes.len()) > self.top * 8 {
            self.prune();
        }
    }

    fn prune(&mut self) {
        self.pods = most(std::mem::take(&mut self.pods), self.top);
        self.volumes = fullest(std::mem::take(&mut self.volumes), self.top);
    }

    pub(in crate::collectors::kubernetes) fn disk(mut self, summary: Summary) -> Disk {
        self.prune();
        let runtime = summary.node.runtime.unwrap_or_default();
        let named = [("nodefs", summary.node.fs), ("imagefs", runtime.image_fs), ("containerfs", runtime.container_fs)];
        let taken = named.iter().filter_map(|(_, stats)| stats.as_ref()?.time).min();
        let file_systems = named.into_iter().filter_map(|(name, stats)| Some((name, stats?.reduce()?.ok()))).collect();
        // Of pods that have gone meanwhile it need not tell.
        let unheard = std::mem::take(&mut self.mounts);
        let there = self.cluster.filter(|_| !unheard.is_empty()).map(|cluster| cluster.mounts(self.node));
        let unheard = unheard.iter().filter(|(uid, _)| there.as_ref().is_none_or(|there| there.contains_key(uid)));
        self.untold.extend(unheard.flat_map(|(_, mounts)| untold(mounts, &[])));
        let is_of_another = summary.node.node_name.is_some_and(|name| name != **self.node);
        Disk { is_of_another, taken, file_systems, pods: self.pods, volumes: self.volumes, untold: self.untold }
    }
}

/// The share of its size limit that each emptyDir uses.
fn dirs(mounts: &Mounts, volumes: &[VolumeStats]) -> impl Iterator<Item = (f64, Box<str>)> {
    volumes.iter().filter_map(|volume| {
        let (name, limit) = mounts.dir(&volume.name)?;
        Some((volume.used_bytes? / limit, name.into()))
    })
}

/// Claims that a pod has mounted for long enough, and of which these say nothing.
fn untold(mounts: &Mounts, volumes: &[VolumeStats]) -> impl Iterator<Item = (String, String)> {
    let is_told = |claim: &str| volumes.iter().any(|volume| volume.pvc_ref.as_ref().is_some_and(|own| own.name == claim) && volume.used().is_some());
    let is_due = now().saturating_sub(mounts.since) > MOUNTED_LONG;
    let claims = mounts.claims().filter(move |claim| is_due && !is_told(claim));
    claims.map(|claim| (mounts.namespace.to_string(), claim.to_string()))
}

/// The fullest volumes, and as many of those that cannot be told.
pub(in crate::collectors::kubernetes) fn fullest(mut volumes: Vec<((String, String), f64)>, top: usize) -> Vec<((String, String), f64)> {
    volumes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let (odd, told): (Vec<_>, Vec<_>) = volumes.into_iter().partition(|(_, ratio)| ratio.is_nan());
    told.into_iter().take(top).chain(odd.into_iter().take(top)).collect()
}

/// The pods that use most, in bytes or of their limit.
pub(in crate::collectors::kubernetes) fn most(mut pods: Vec<PodUse>, top: usize) -> Vec<PodUse> {
    let ratio = |pod: &PodUse| pod.of_limit.as_ref().map_or(0.0, |(share, _)| *share);
    pods.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
    let fullest: Vec<u128> = pods.iter().take(top).filter(|pod| ratio(pod) > 0.0).map(|pod| pod.uid).collect();
    pods.sort_by(|a, b| b.used.total_cmp(&a.used));
    let mut kept = pods.iter().take(top).cloned().collect::<Vec<_>>();
    kept.extend(pods.into_iter().skip(top).filter(|pod| fullest.contains(&pod.uid)));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::kubernetes::client::stream::Elements;
    use crate::collectors::kubernetes::reading::clock;

    fn disk(json: &str) -> Disk {
        let node = "n".into();
        let (mut elements, mut reading) = (Elements::of(PODS), Reading::new(&node, None, 5));
        elements.feed(json.as_bytes(), &mut |pod| reading.add(pod)).unwrap();
        reading.disk(elements.rest().unwrap())
    }

    /// What is said of a pod that has been running for so many seconds, with volumes of these kinds, all of them mounted.
    fn of_mounted(seconds: i64, volumes: &serde_json::Value, told: &str) -> Disk {
        let mounts: Vec<_> = volumes.as_array().unwrap().iter().map(|volume| serde_json::json!({ "name": volume["name"] })).collect();
        let started = Timestamp::from_second(now() - seconds).unwrap().to_string();
        let pod = serde_json::json!({ "metadata": { "name": "p", "namespace": "n", "uid": "1" }, "status": { "phase": "Running", "startTime": started },
            "spec": { "nodeName": "n", "volumes": volumes, "containers": [{ "name": "c", "volumeMounts": mounts }] } });
        let node = "n".into();
        let (mut elements, mut reading) = (Elements::of(PODS), Reading::new(&node, None, 5));
        let mounts = Mounts::of(&serde_json::from_value(pod).unwrap(), &"n".into(), &clock::Clock::default());
        reading.mounts.extend(mounts.map(|mounts| (uid(Some("1")), mounts)));
        let pods = if told == "no pod" {
            String::new()
        } else {
            format!(r#"{{"podRef":{{"name":"p","namespace":"n","uid":"1"}},"ephemeral-storage":{{"usedBytes":5}},"volume":[{told}]}}"#)
        };
        elements.feed(format!(r#"{{"node":{{}},"pods":[{pods}]}}"#).as_bytes(), &mut |pod| reading.add(pod)).unwrap();
        reading.disk(elements.rest().unwrap())
    }

    #[test]
    fn a_claim_that_is_mounted_and_of_which_nothing_is_told_is_named() {
        let volumes = serde_json::json!([{ "name": "home", "persistentVolumeClaim": { "claimName": "home" } }, { "name": "scratch", "ephemeral": {} }]);
        let untold = |seconds, told: &str| of_mounted(seconds, &volumes, told).untold.into_iter().map(|(_, claim)| claim).collect::<Vec<_>>();
        let of = |claim: &str, free: u32, used: u32| {
            format!(r#"{{"name":"v","pvcRef":{{"name":"{claim}","namespace":"n"}},"availableBytes":{free},"capacityBytes":100,"usedBytes":{used}}}"#)
        };
        assert_eq!(untold(3600, ""), ["home", "p-scratch"]);
        assert_eq!(untold(3600, &of("home", 60, 40)), ["p-scratch"]);
        assert!(untold(3600, &format!("{},{}", of("home", 60, 40), of("p-scratch", 0, 100))).is_empty());
        // Its kubelet tells nothing of the pod.
        assert_eq!(untold(3600, "no pod"), ["home", "p-scratch"]);
        // It has only been taken on.
        assert!(untold(300, "").is_empty());
        // A device has a size, and no file system that could be full.
        assert!(of_mounted(3600, &serde_json::json!([]), &of("home", 0, 0)).volumes.is_empty());
    }

    #[test]
    fn an_empty_dir_counts_by_its_size_limit() {
        let volumes = |limit: Option<&str>| serde_json::json!([{ "name": "cache", "emptyDir": { "sizeLimit": limit } }, { "name": "other", "emptyDir": {} }]);
        let told = r#"{"name":"cache","usedBytes":1063004405,"availableBytes":1,"capacityBytes":2},{"name":"other","usedBytes":5000000000}"#;
        let most = |limit| of_mounted(3600, &volumes(limit), told).pods[0].of_limit.clone();
        assert!(most(Some("1Gi")).is_some_and(|(share, dir)| (share - 0.99).abs() < 0.001 && dir.as_deref() == Some("cache")));
        assert_eq!([most(None), most(Some("0"))], [None, None]);
    }

    #[test]
    fn the_ratio_is_what_is_not_available_and_not_what_is_said_to_be_used() {
        let summary = r#"{"node":{"fs":{"availableBytes":40,"capacityBytes":100,"usedBytes":10,"inodes":1000,"inodesFree":750},
            "runtime":{"imageFs":{"availableBytes":5,"capacityBytes":100,"usedBytes":1}}},"pods":[]}"#;
        let fs = |available, inodes_used| Some(FileSystem { available, capacity: 100.0, inodes_used });
        assert_eq!(disk(summary).file_systems, [("nodefs", fs(40.0, Some(0.25))), ("imagefs", fs(5.0, None))]);
    }

    #[test]
    fn free_inodes_beyond_all_of_them_are_no_fact_and_used_ones_are() {
        let inodes = |more: &str| {
            let read = disk(&format!(r#"{{"node":{{"fs":{{"availableBytes":40,"capacityBytes":100,"inodes":1000{more}}}}}}}"#));
            read.file_systems[0].1.unwrap().inodes_used
        };
        assert_eq!(inodes(r#","inodesFree":18446744073709551615"#), None);
        assert_eq!(inodes(r#","inodesFree":18446744073709551615,"inodesUsed":999"#), Some(0.999));
        assert_eq!(inodes(r#","inodesFree":250,"inodesUsed":999"#), Some(0.75));
        assert_eq!(inodes(r#","inodesUsed":18446744073709551615"#), None);
        let volume = r#"{"pods":[{"podRef":{"name":"p","namespace":"n","uid":"1"},"volume":[{"pvcRef":{"name":"c","namespace":"n"},"availableBytes":18446744073709551615,"capacityBytes":1000}]}],"node":{}}"#;
        assert!(matches!(&disk(volume).volumes[..], [(_, ratio)] if ratio.is_nan()));
        // Without a free inode nothing new can be written, whatever is left of the bytes.
        let full = volume.replace(r#""availableBytes":18446744073709551615,"#, r#""availableBytes":600,"inodes":100,"inodesFree":1,"inodesUsed":99,"#);
        assert!(matches!(&disk(&full).volumes[..], [(_, ratio)] if (ratio - 0.99).abs() < 1e-9));
    }

    #[test]
    fn numbers_say_when_they_were_taken() {
        let taken = |time: &str| disk(&format!(r#"{{"node":{{"fs":{{{time}"availableBytes":40,"capacityBytes":100}}}}}}"#)).taken;
        assert_eq!(taken(r#""time":"2026-11-01T00:00:00Z","#).map(Timestamp::as_second), Some(1_793_491_200));
        assert_eq!(taken(r#""time":null,"#), None);
        let clock = clock::Clock::default();
        let ago = |seconds: i64| clock.stale(Timestamp::from_second(now() - seconds).unwrap()).map(|age| age.to_string());
        assert_eq!([ago(-300), ago(0), ago(590), ago(3600)], [None, None, None, Some("1h".to_owned())]);
    }

    #[test]
    fn a_summary_says_of_which_node_it_is() {
        let is_of_another = |name: &str| disk(&format!(r#"{{"node":{{{name}"fs":{{"availableBytes":40,"capacityBytes":100}}}}}}"#)).is_of_another;
        assert_eq!([is_of_another(r#""nodeName":"n","#), is_of_another(""), is_of_another(r#""nodeName":"other","#)], [false, false, true]);
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
    fn sizes_that_cannot_be_are_told_apart_from_none() {
        for available in ["1e308", "-1"] {
            let read = disk(&format!(r#"{{"node":{{"fs":{{"availableBytes":{available},"capacityBytes":100}}}}}}"#));
            assert_eq!(read.file_systems, [("nodefs", None)]);
        }
    }

    #[test]
    fn volumes_that_cannot_be_told_hide_no_full_one() {
        let volume = |name: &str, ratio: f64| (("n".to_owned(), name.to_owned()), ratio);
        let kept = fullest(vec![volume("odd", f64::NAN), volume("a", 0.5), volume("odder", f64::NAN), volume("b", 0.9)], 1);
        assert_eq!(kept.iter().map(|((_, claim), _)| claim.as_str()).collect::<Vec<_>>(), ["b", "odd"]);
    }

    #[test]
    fn the_largest_and_the_fullest_pods_are_kept() {
        let use_of = |uid: u128, used: f64, limit: Option<f64>| PodUse {
            node: "n".into(),
            namespace: "ws".into(),
            pod: format!("p{uid}"),
            uid,
            used,
            of_limit: limit.map(|limit| (used / limit, None)),
        };
        let pods = vec![use_of(1, 100.0, None), use_of(2, 90.0, Some(1000.0)), use_of(3, 9.0, Some(10.0)), use_of(4, 1.0, None)];
        let kept: Vec<u128> = most(pods, 2).iter().map(|pod| pod.uid).collect();
        assert_eq!(kept, [1, 2, 3]);
    }

    #[test]
    fn of_a_thousand_pods_only_the_first_are_held() {
        let node: Arc<str> = "n".into();
        let mut reading = Reading::new(&node, None, 5);
        for number in 0..1_000_u32 {
            let text = format!(
                r#"{{"podRef":{{"name":"p{number}","namespace":"n","uid":"{number}"}},"ephemeral-storage":{{"usedBytes":{}}},
                "volume":[{{"pvcRef":{{"name":"c{number}","namespace":"n"}},"availableBytes":{number},"capacityBytes":1000}}]}}"#,
                number * 7 % 1_000
            );
            reading.add(serde_json::from_str(&text).unwrap());
            assert!(reading.pods.len().max(reading.volumes.len()) <= 41);
        }
        let disk = reading.disk(Summary::default());
        assert_eq!(disk.pods.iter().map(|pod| format!("{:?}", pod.used)).collect::<Vec<_>>(), ["999.0", "998.0", "997.0", "996.0", "995.0"]);
        assert_eq!(disk.volumes.iter().map(|((_, claim), _)| claim.as_str()).collect::<Vec<_>>(), ["c0", "c1", "c2", "c3", "c4"]);
    }
}
