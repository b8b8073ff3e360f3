//! One cluster: all that is watched in it. The facts that follow from several scopes at once are in `facts`.
//!
//! Facts are made in parts, one for each scope, and only a scope that changed makes its part anew:
//! in a large cluster pods change all the time and nodes hardly ever.

mod claims;
mod facts;
mod metrics;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::collectors::kubernetes::capacity;
use crate::collectors::kubernetes::config::{ClusterConfig, Config, NodeClasses, Selector, ServiceRef, WorkloadKind};
use crate::collectors::kubernetes::kinds::certmanager;
use crate::collectors::kubernetes::kinds::classes;
use crate::collectors::kubernetes::kinds::cronjobs::CronJob;
use crate::collectors::kubernetes::kinds::events::{Counted, Pulls, Warnings};
use crate::collectors::kubernetes::kinds::gpu;
use crate::collectors::kubernetes::kinds::karpenter;
use crate::collectors::kubernetes::kinds::lifetimes;
use crate::collectors::kubernetes::kinds::locations;
use crate::collectors::kubernetes::kinds::monitoring;
use crate::collectors::kubernetes::kinds::mounts::Mounts;
use crate::collectors::kubernetes::kinds::namespaces::Namespace;
use crate::collectors::kubernetes::kinds::node::NodeRow;
use crate::collectors::kubernetes::kinds::nodeclasses::{Classes, EC2NodeClass, NodeClass};
use crate::collectors::kubernetes::kinds::nodes;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::quotas;
use crate::collectors::kubernetes::kinds::services;
use crate::collectors::kubernetes::kinds::services::{EndpointSlice, Service};
use crate::collectors::kubernetes::kinds::workloads;
use crate::collectors::kubernetes::kinds::workloads::revisions::ReplicaSet;
use crate::collectors::kubernetes::kinds::workloads::{DaemonSet, Deployment, StatefulSet};
use crate::collectors::kubernetes::kinds::workspaces;
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::kinds::{backups, volumes};
use crate::collectors::kubernetes::reading::clock;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::reading::objects::{Index, Key, Kind, Place, Rows};
use crate::collectors::kubernetes::reading::permission::Permission;
use crate::collectors::kubernetes::watching::visibility;
use crate::collectors::kubernetes::watching::watched::{Query, Scope, Watched};
use crate::event::Schedule;
use crate::metric::Family;
use crate::say;
use crate::say::Message;

use self::claims::Claims;
pub(super) use self::metrics::{CLIENT_FAMILIES, CLOCK, EVICTION_FAMILIES, FAMILIES, VERSION};
use self::metrics::{CLIENT_SKEW, EVICTIONS, KUBELET_SKEW, VERSION_STATE};

/// Changes within this time are published together; more when publishing itself takes long.
pub(super) const SETTLE: Duration = Duration::from_millis(200);

/// A workload selector with what was found.
enum Workloads {
    Deployments(Arc<Watched<Rows<Deployment>>>),
    StatefulSets(Arc<Watched<Rows<StatefulSet>>>),
    DaemonSets(Arc<Watched<Rows<DaemonSet>>>),
    CronJobs,
}

/// Classes of the nodes of Karpenter.
enum WatchedClasses {
    Ec2(Arc<Watched<Rows<EC2NodeClass>>>),
    Eks(Arc<Watched<Rows<NodeClass>>>),
}

impl WatchedClasses {
    fn seen(&self) -> Option<Classes> {
        match self {
            Self::Ec2(classes) => classes.seen(Classes::of),
            Self::Eks(classes) => classes.seen(Classes::of),
        }
    }
}

/// How old and how large a node is.
pub(super) struct Size {
    /// When it was made, on the exporter's clock.
    pub(super) created: i64,
    /// Whether it has not been ready since.
    pub(super) never_ready: bool,
    /// Whether it is being taken away, and may be silent.
    pub(super) leaving: bool,
    /// What it offers.
    pub(super) offered: [Option<f64>; 4],
}

/// Which pods belong to a workload.
pub(super) struct PodQuery {
    /// `cluster`, `selector`, `kind`, `namespace` and `name` of the workload.
    pub(super) labels: [Arc<str>; 5],
    /// Labels of its pods, as `kubectl -l` takes them.
    pods: String,
}

impl PodQuery {
    /// The namespace and the query of the path of a list of its pods.
    pub(super) fn path(&self) -> String {
        let selector: String = url::form_urlencoded::byte_serialize(self.pods.as_bytes()).collect();
        format!("namespaces/{}/pods?labelSelector={selector}", self.labels[3])
    }
}

/// A workload whose pods cannot be asked for.
pub(super) struct Unasked {
    /// Those of the workload, as far as they are known.
    pub(super) labels: [Arc<str>; 5],
    pub(super) why: Message,
}

/// All that is watched in one cluster.
pub(super) struct Cluster {
    /// The `cluster` label.
    pub(super) name: Arc<str>,
    expected_version: Option<String>,
    pub(super) config: Config,
    schedules: Vec<Schedule>,
    pub(super) clock: Clock,
    pub(super) changed: Arc<Notify>,
    pub(super) scopes: Vec<Arc<dyn Scope>>,
    nodes: Option<Arc<Watched<Nodes>>>,
    pods: Option<Arc<Watched<Pods>>>,
    warnings: Option<Arc<Watched<Counted<Warnings>>>>,
    karpenter: Option<Karpenter>,
    velero: Option<Velero>,
    /// By namespace.
    volumes: Vec<(String, Volumes)>,
    quotas: Option<Arc<Watched<Rows<quotas::ResourceQuota>>>>,
    limit_ranges: Option<Arc<Watched<Rows<quotas::LimitRange>>>>,
    namespaces: Option<Arc<Watched<Rows<Namespace>>>>,
    workloads: Vec<(Selector, Workloads)>,
    replica_sets: BTreeMap<String, Arc<Watched<Rows<ReplicaSet>>>>,
    services: Vec<Entry>,
    claims: Claims,
}

type Karpenter = (Arc<Watched<Rows<karpenter::NodePool>>>, Arc<Watched<Rows<karpenter::NodeClaim>>>, WatchedClasses);
type Velero = (Arc<Watched<Rows<backups::Backup>>>, Arc<Watched<Rows<backups::Schedule>>>, Arc<Watched<Rows<locations::BackupStorageLocation>>>);
type Volumes = (Arc<Watched<Rows<volumes::PersistentVolumeClaim>>>, Arc<Watched<Rows<volumes::VolumeSnapshot>>>);
/// A Service with what stands behind it.
type Entry = (ServiceRef, Arc<Watched<Rows<Service>>>, Arc<Watched<Rows<EndpointSlice>>>);

impl Cluster {
    pub(super) fn new(settings: &ClusterConfig, config: &Config, schedules: &[Schedule]) -> Self {
        let changed = Arc::new(Notify::new());
        let mut cluster = Self {
            name: settings.name.as_str().into(),
            expected_version: settings.version.clone(),
            config: config.clone(),
            schedules: schedules.to_vec(),
            clock: Clock::default(),
            changed,
            scopes: Vec::new(),
            nodes: None,
            pods: None,
            warnings: None,
            karpenter: None,
            velero: None,
            volumes: Vec::new(),
            quotas: None,
            limit_ranges: None,
            namespaces: None,
            workloads: Vec::new(),
            replica_sets: BTreeMap::new(),
            services: Vec::new(),
            claims: Claims::default(),
        };
        cluster.watch_all();
        cluster
    }

    fn watch<T: Index>(&mut self, selector: &str, query: Query, kept: T) -> Arc<Watched<T>> {
        let watched = Arc::new(Watched::new(selector, query, kept, self.config.interval.0, self.config.timeout.0, &self.changed));
        self.scopes.push(Arc::clone(&watched) as Arc<dyn Scope>);
        watched
    }

    fn watch_rows<K: Kind>(&mut self, selector: &str, query: Query) -> Arc<Watched<Rows<K>>> {
        self.watch(selector, query, Rows::only(&[]))
    }

    /// How far back evictions, restarts and the like count, in seconds.
    fn window(&self) -> i64 {
        i64::try_from(self.config.window.0.as_secs()).unwrap_or(i64::MAX)
    }

    fn watch_all(&mut self) {
        let config = self.config.clone();
        let window = self.window();
        let clock = self.clock.clone();
        if config.nodes {
            let capacity_labels = config.capacity.as_ref().map(|capacity| capacity.node_labels.clone());
            let interests = Interests { images: config.images.clone(), capacity_labels, groups: config.node_groups.clone() };
            self.nodes = Some(self.watch("nodes", Query::default(), Nodes::new(interests)));
        }
        if config.pods {
            let namespaces = config.workloads.iter().map(|selector| selector.namespace.clone()).collect();
            let pods = Pods::new(window, Workspaces::new(config.workspaces.clone(), window), clock.clone()).of_workloads(namespaces);
            self.pods = Some(self.watch("pods", Query::default(), pods));
        }
        if config.events {
            let fields = |fields: &str| Query { fields: Some(fields.to_owned()), ..Query::default() };
            self.warnings = Some(self.watch("warnings", fields("type=Warning"), Counted::new(Warnings::new(window), clock.clone())));
            self.watch("image-pulls", fields("reason=Pulled"), Counted::new(Pulls::new(window), clock));
        }
        if config.quotas {
            self.quotas = Some(self.watch_rows("resource-quotas", Query::default()));
            self.limit_ranges = Some(self.watch_rows("limit-ranges", Query::default()));
        }
        if config.capacity.is_some() {
            self.namespaces = Some(self.watch_rows("namespaces", Query::default()));
        }
        if config.storage_classes {
            self.watch_rows::<classes::StorageClass>("storage-classes", Query::default());
        }
        if config.ingress_classes {
            self.watch_rows::<classes::IngressClass>("ingress-classes", Query::default());
        }
        if let Some(part) = &config.karpenter {
            let (pools, claims) = (self.watch_rows("nodepools", Query::default()), self.watch_rows("nodeclaims", Query::default()));
            let classes = match part.node_classes {
                NodeClasses::Ec2 => WatchedClasses::Ec2(self.watch_rows("node-classes", Query::default())),
                NodeClasses::Eks => WatchedClasses::Eks(self.watch_rows("node-classes", Query::default())),
            };
            self.karpenter = Some((pools, claims, classes));
        }
        if config.gpu_operator.is_some() {
            self.watch_rows::<gpu::ClusterPolicy>("gpu-operator", Query::default());
        }
        if config.prometheus.is_some() {
            self.watch_rows::<monitoring::Prometheus>("prometheuses", Query::default());
        }
        if config.cert_manager.is_some() {
            self.watch_rows::<certmanager::Certificate>("certificates", Query::default());
        }
        if let Some(part) = &config.backups {
            let within = |namespace: &str| Query { namespace: Some(namespace.to_owned()), ..Query::default() };
            if let Some(velero) = &part.velero {
                let (backups, schedules) = (self.watch_rows("velero-backups", within(velero)), self.watch_rows("velero-schedules", within(velero)));
                self.velero = Some((backups, schedules, self.watch_rows("velero-locations", within(velero))));
            }
            for namespace in &part.volume_snapshots {
                let claims = self.watch_rows(&format!("volume-claims/{namespace}"), within(namespace));
                let snapshots = self.watch_rows(&format!("volume-snapshots/{namespace}"), within(namespace));
                self.volumes.push((namespace.clone(), (claims, snapshots)));
            }
        }
        for selector in &config.workloads {
            self.watch_workload(selector);
        }
        for service in &config.services {
            self.watch_service(service);
        }
    }

    fn watch_workload(&mut self, selector: &Selector) {
        let query = Query { namespace: Some(selector.namespace.clone()), labels: selector.labels.clone(), fields: None };
        let (name, names) = (&selector.name, &selector.names);
        let workloads = match selector.kind {
            WorkloadKind::Deployment => {
                let found = self.watch(name, query, Rows::only(names));
                if !self.replica_sets.contains_key(&selector.namespace) {
                    let within = Query { namespace: Some(selector.namespace.clone()), ..Query::default() };
                    let sets = self.watch_rows(&format!("replica-sets/{}", selector.namespace), within);
                    self.replica_sets.insert(selector.namespace.clone(), sets);
                }
                Workloads::Deployments(found)
            }
            WorkloadKind::StatefulSet => Workloads::StatefulSets(self.watch(name, query, Rows::only(names))),
            WorkloadKind::DaemonSet => Workloads::DaemonSets(self.watch(name, query, Rows::only(names))),
            WorkloadKind::CronJob => {
                self.watch::<Rows<CronJob>>(name, query, Rows::only(names));
                Workloads::CronJobs
            }
        };
        self.workloads.push((selector.clone(), workloads));
    }

    fn watch_service(&mut self, service: &ServiceRef) {
        let ServiceRef { namespace, name, .. } = service;
        let key = format!("{namespace}/{name}");
        let within = || Query { namespace: Some(namespace.clone()), ..Query::default() };
        let found = self.watch_rows(&key, Query { fields: Some(format!("metadata.name={name}")), ..within() });
        let slices = self.watch_rows(&key, Query { labels: Some(format!("kubernetes.io/service-name={name}")), ..within() });
        self.services.push((service.clone(), found, slices));
    }

    /// Values of the `selector` label.
    pub(super) fn selectors(&self) -> Vec<String> {
        let spaces = self.config.workspaces.iter().map(|space| space.name.clone());
        self.scopes.iter().map(|scope| scope.selector().to_string()).chain(spaces).collect()
    }

    /// Families that the watches fill.
    pub(super) fn emitted(&self) -> Vec<&'static str> {
        let mut families: Vec<&'static Family> = visibility::FAMILIES.iter().chain(&[&VERSION.0, &CLOCK.0]).copied().collect();
        families.extend(self.scopes.iter().flat_map(|scope| scope.families().concat()));
        let config = &self.config;
        // Without an image that is asked for, the list of nodes shows none of them.
        families.retain(|family| !(config.images.is_empty() && nodes::IMAGE_FAMILIES.iter().any(|own| own.name == family.name)));
        let has_workspaces = !config.workspaces.is_empty();
        let parts: [(bool, &[&Family]); 13] = [
            (self.karpenter.is_some() && !self.schedules.is_empty(), lifetimes::FAMILIES),
            (config.nodes && config.pods, capacity::REQUEST_FAMILIES),
            (config.capacity.is_some(), capacity::ROOM_FAMILIES),
            (self.expected_version.is_some(), &[&VERSION_STATE.0]),
            (config.nodes && !config.node_groups.is_empty(), nodes::GROUP_FAMILIES),
            (config.nodes, &[&KUBELET_SKEW.0]),
            (!config.clients.is_empty(), &[&CLIENT_SKEW.0]),
            (config.pods, &[&EVICTIONS.0]),
            (config.pods && has_workspaces, workspaces::FAMILIES),
            (config.quotas && has_workspaces, quotas::PRESENT_FAMILIES),
            (!self.replica_sets.is_empty(), workloads::revisions::FAMILIES),
            (self.workloads.iter().any(|(selector, _)| !selector.replicas.is_empty()), workloads::asked::REQUIRED_FAMILIES),
            (!self.watches_no_workload(), workloads::asked::BASELINE_FAMILIES),
        ];
        families.extend(parts.into_iter().filter(|(on, _)| *on).flat_map(|(_, families)| families));
        if !self.services.is_empty() {
            families.extend(services::ENDPOINT_FAMILIES);
        }
        if self.services.iter().any(|(service, ..)| service.address.is_some()) {
            families.extend(services::MATCH_FAMILIES);
        }
        families.iter().map(|family| family.name).collect()
    }

    /// What the watches need to be allowed to do.
    pub(super) fn permissions(&self) -> Vec<Permission> {
        self.scopes.iter().map(|scope| scope.permission()).collect()
    }

    /// Whether no workload with pods is watched.
    pub(super) fn watches_no_workload(&self) -> bool {
        self.workloads.iter().all(|(_, found)| matches!(found, Workloads::CronJobs))
    }

    /// Waits for the first list of nodes, so that whoever needs it does not fail for being first.
    /// Gives up after `at_most`.
    pub(super) async fn nodes_listed(&self, at_most: Duration) {
        let listed = async {
            while self.nodes.as_ref().is_some_and(|nodes| !nodes.settled()) {
                tokio::time::sleep(SETTLE).await;
            }
        };
        let _ = tokio::time::timeout(at_most, listed).await;
    }

    /// Kubelets by node, with their addresses; `None` while the nodes cannot be seen. One that has not been ready
    /// yet may have neither a certificate nor anything to say, and one that is being taken away may be silent.
    pub(super) fn kubelets(&self) -> Option<Vec<(Arc<str>, Option<SocketAddr>)>> {
        let address = |(name, node): (&Arc<str>, &NodeRow)| (Arc::clone(name), node.address.map(SocketAddr::from));
        let now = self.clusters_now();
        self.nodes.as_ref()?.seen(|nodes| nodes.iter().filter(|(_, node)| !node.is_passing(now)).map(address).collect())
    }

    /// What the cluster's clock says.
    fn clusters_now(&self) -> i64 {
        clock::now().saturating_add(self.clock.ahead())
    }

    /// How old and how large nodes are; `None` while they cannot be seen.
    pub(super) fn sizes(&self) -> Option<BTreeMap<Arc<str>, Size>> {
        let (ahead, now) = (self.clock.ahead(), self.clusters_now());
        let size = |(name, node): (&Arc<str>, &NodeRow)| {
            let created = node.created.unwrap_or_default().saturating_sub(ahead);
            (Arc::clone(name), Size { created, never_ready: node.never_ready(), leaving: node.is_leaving(now), offered: node.allocatable })
        };
        self.nodes.as_ref()?.seen(|nodes| nodes.iter().map(size).collect())
    }

    /// Whether pods can be seen.
    pub(super) fn sees_pods(&self) -> bool {
        self.pods.as_ref().is_some_and(|pods| pods.len().is_some())
    }

    /// The limit of a pod's ephemeral storage, if there is one.
    pub(super) fn storage_limit(&self, pod: u128) -> Option<f64> {
        self.pods.as_ref()?.seen(|pods| pods.storage_limit(pod)).flatten()
    }

    /// What the pods on a node mount, as far as pods can be seen.
    pub(super) fn mounts(&self, node: &str) -> BTreeMap<u128, Mounts> {
        self.pods.as_ref().and_then(|pods| pods.seen(|pods| pods.mounts(node))).unwrap_or_default()
    }

    /// The pods of every configured workload, or why they cannot be asked for.
    pub(super) fn workload_pods(&self) -> Vec<Result<PodQuery, Unasked>> {
        let mut queries = Vec::new();
        for (selector, found) in &self.workloads {
            let rows =
                |rows: &mut dyn Iterator<Item = (&Key, &workloads::Replicas)>| rows.map(|(key, row)| (key.clone(), row.pods.clone())).collect::<Vec<_>>();
            let found = match found {
                Workloads::Deployments(found) => found.seen(|found| rows(&mut found.iter())),
                Workloads::StatefulSets(found) => found.seen(|found| rows(&mut found.iter())),
                Workloads::DaemonSets(found) => found.seen(|found| rows(&mut found.iter())),
                Workloads::CronJobs => continue,
            };
            let labels = |namespace: &str, name: &str| {
                let kind = selector.kind.to_string();
                [&*self.name, &selector.name, &kind, namespace, name].map(Arc::from)
            };
            let none = |why: &'static str| Err(Unasked { labels: labels(&selector.namespace, ""), why: why.into() });
            match found {
                None => queries.push(none("the workloads cannot be seen")),
                Some(found) if found.is_empty() => queries.push(none("there is no such workload")),
                Some(found) => queries.extend(found.into_iter().map(|(key, pods)| {
                    let labels = labels(&key.namespace, &key.name);
                    if pods.is_empty() {
                        return Err(Unasked { labels, why: say!("it selects its pods in a way that is not known here") });
                    }
                    Ok(PodQuery { labels, pods })
                })),
            }
        }
        queries
    }

    /// Waits for the first list of workloads, for at most this long.
    pub(super) async fn workloads_listed(&self, at_most: Duration) {
        let listed = async {
            while !self.scopes.iter().all(|scope| scope.settled()) {
                tokio::time::sleep(SETTLE).await;
            }
        };
        let _ = tokio::time::timeout(at_most, listed).await;
    }

    pub(super) fn place(&self, selector: &str, kind: &str) -> Place {
        Place { cluster: Arc::clone(&self.name), selector: selector.into(), kind: kind.into(), clock: self.clock.clone() }
    }
}
