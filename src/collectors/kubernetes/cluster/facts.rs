//! Facts about a cluster that follow from several scopes at once, or from its API server.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::claims;
use super::metrics::{CLIENT_SKEW, EVICTIONS, Expectation, KUBELET_SKEW, VERSION_STATE};
use super::{Cluster, Workloads};
use crate::collectors::kubernetes::capacity;
use crate::collectors::kubernetes::config::Selector;
use crate::collectors::kubernetes::kinds::nodes::Nodes;
use crate::collectors::kubernetes::kinds::podrow::short;
use crate::collectors::kubernetes::kinds::pods::{Eviction, Pods};
use crate::collectors::kubernetes::kinds::services::Service;
use crate::collectors::kubernetes::kinds::workloads::{Beside, Deployment, Replicas, asked, revisions};
use crate::collectors::kubernetes::kinds::{backups, karpenter, lifetimes, quotas, services, volumes, workloads};
use crate::collectors::kubernetes::reading::objects::{Key, Kind, Place, Rows};
use crate::collectors::kubernetes::reading::version;
use crate::collectors::kubernetes::watching::recent::{Count, Recent};
use crate::event;
use crate::metric::Sample;
use crate::say;
use crate::say::named;

impl Cluster {
    /// Facts that follow from several scopes.
    pub(in crate::collectors::kubernetes) fn derived(&self, server: &str, now: Timestamp) -> Vec<Sample> {
        let mut samples = Vec::new();
        let demands = event::demands(&self.schedules, now);
        if let Some(nodes) = &self.nodes {
            nodes.seen(|nodes| nodes.groups(&self.name, &mut samples));
        }
        self.loads(&demands, &mut samples);
        self.skew(server, &mut samples);
        self.evictions(&mut samples);
        self.rollouts(&demands, &mut samples);
        if let Some((pools, claims, _)) = &self.karpenter {
            let (place, coming) = (self.place("nodeclaims", karpenter::NodeClaim::KIND), event::foreseen(&self.schedules, now));
            pools.seen(|pools| claims.seen(|claims| lifetimes::distances(pools, claims, &coming, now.as_second(), &place, &mut samples)));
        }
        if let Some((backups, schedules, locations)) = &self.velero {
            let place = self.place("velero-schedules", backups::Schedule::KIND);
            let prepared = event::coming(&self.schedules, now).into_iter().filter(|event| event.prepared_for(now));
            let until = prepared.map(|event| event.end.as_second().saturating_add(place.clock.ahead())).max();
            let need = backups::Need { locations: locations.seen(|rows| rows.iter().map(|(key, _)| key.name.to_string()).collect()), until };
            backups.seen(|backups| schedules.seen(|schedules| backups::last_made(backups, schedules, &need, &place, &mut samples)));
        }
        for (namespace, (claims, snapshots)) in &self.volumes {
            let place = self.place(&format!("volume-claims/{namespace}"), volumes::PersistentVolumeClaim::KIND);
            claims.seen(|claims| snapshots.seen(|snapshots| volumes::snapshots(claims, snapshots, namespace, &place, &mut samples)));
        }
        for (service, found, slices) in &self.services {
            let place = self.place(&service.name, Service::KIND);
            let sides = found.seen(services::sides).unwrap_or_default();
            let nodes = self.nodes.as_ref().and_then(|nodes| nodes.seen(Nodes::names));
            let is_there = |node: &str| nodes.as_ref().is_none_or(|all| all.contains(node));
            slices.seen(|slices| services::endpoints(slices, &sides, &is_there, [&service.namespace, &service.name], &place, &mut samples));
            if let Some(address) = &service.address {
                found.seen(|found| services::address_match(found, address, &place, &mut samples));
            }
        }
        if let Some(ranges) = self.limit_ranges.as_ref().filter(|_| !self.config.workspaces.is_empty()) {
            let place = self.place("limit-ranges", quotas::LimitRange::KIND);
            let namespaces: std::collections::BTreeSet<&str> = self.config.workspaces.iter().flat_map(|space| &space.namespaces).map(String::as_str).collect();
            ranges.seen(|ranges| quotas::present(ranges, namespaces.into_iter(), &place, &mut samples));
        }
        samples
    }

    fn loads(&self, demands: &[event::Demand], samples: &mut Vec<Sample>) {
        let (Some(nodes), Some(pods)) = (&self.nodes, &self.pods) else { return };
        nodes.seen(|nodes| {
            pods.seen(|pods| {
                capacity::requests(&self.name, nodes, pods, samples);
                let Some(config) = &self.config.capacity else { return };
                let shortages = self.warnings.as_ref().and_then(|warnings| warnings.seen(|warnings| warnings.digest.shortages(self.clock.ahead())));
                let alone = capacity::Scene { shortages: shortages.as_ref(), ..capacity::Scene::of(nodes, pods, demands) };
                let mut told = |scene: capacity::Scene<'_>| match &self.karpenter {
                    None => capacity::headroom(&self.name, config, &scene, samples),
                    // Without a view of the pools and their classes the headroom would be smaller than it is; it is then not known.
                    Some((pools, claims, classes)) => {
                        let Some(classes) = classes.seen() else { return };
                        pools.seen(|pools| {
                            claims.seen(|claims| {
                                let scene = capacity::Scene { karpenter: Some((pools, claims)), classes: Some(&classes), ..scene };
                                capacity::headroom(&self.name, config, &scene, samples);
                            })
                        });
                    }
                };
                // Nor is it known while nobody knows whether their namespaces are there, which is watched for this.
                let mut within = |scene: capacity::Scene<'_>| {
                    let Some(namespaces) = &self.namespaces else { return };
                    namespaces.seen(|namespaces| told(capacity::Scene { namespaces: Some(namespaces), ..scene }));
                };
                // Nor is it known while nobody knows what quotas leave.
                match self.quotas.as_ref().zip(self.limit_ranges.as_ref()) {
                    None => within(alone),
                    Some((quotas, ranges)) => {
                        quotas.seen(|quotas| ranges.seen(|ranges| within(capacity::Scene { rules: Some(quotas::Rules { quotas, ranges }), ..alone })));
                    }
                }
            })
        });
    }

    fn skew(&self, server: &str, samples: &mut Vec<Sample>) {
        if let Some(expected) = &self.expected_version {
            let state = if version::is(server, expected) { Expectation::Expected } else { Expectation::Other };
            samples.push(VERSION_STATE.sample([&*self.name, expected], state).with_detail(say!("{}", named(server))));
        }
        let oldest = self.nodes.as_ref().and_then(|nodes| {
            // A kubelet of which the version cannot be read may be the oldest of all.
            let skews = |nodes: &Nodes| nodes.iter().map(|(_, node)| version::behind(server, &node.kubelet)).collect::<Option<Vec<_>>>();
            nodes.seen(skews).flatten().and_then(|skews| skews.into_iter().max())
        });
        samples.extend(oldest.map(|behind| KUBELET_SKEW.sample([Arc::clone(&self.name)], behind as f64)));
        for client in &self.config.clients {
            let skew = version::behind(server, &client.version);
            samples.extend(skew.map(|skew| CLIENT_SKEW.sample([&*self.name, &client.name, &client.version], skew.unsigned_abs() as f64)));
        }
    }

    fn evictions(&self, samples: &mut Vec<Sample>) {
        // The same eviction is a failed pod and an event; the pod's identity makes them one.
        let mut all: BTreeMap<u128, (i64, Eviction)> = BTreeMap::new();
        let mut take = |evictions: &Recent<u128, Eviction>| {
            for (uid, at, eviction) in evictions.recent() {
                all.entry(*uid).or_insert_with(|| (at, eviction.clone()));
            }
        };
        let seen = self.pods.as_ref().and_then(|pods| pods.seen(|pods| take(&pods.evictions)));
        if let Some(warnings) = &self.warnings {
            warnings.seen(|warnings| take(&warnings.digest.evictions));
        }
        if seen.is_none() {
            return;
        }
        let mut counts: BTreeMap<Eviction, Count> = BTreeMap::new();
        for (at, eviction) in all.into_values() {
            counts.entry(eviction).or_default().add(1, at);
        }
        samples.extend(counts.into_iter().map(|((namespace, resource), count)| {
            EVICTIONS.sample([Arc::clone(&self.name), namespace, resource.into()], count.times as f64).with_detail(count.words(self.window()))
        }));
    }

    /// Nodes that are starting or being taken away; none while they cannot be seen.
    fn changing_nodes(&self) -> usize {
        let now = self.clusters_now();
        let changing = |nodes: &Nodes| nodes.iter().filter(|(_, node)| node.is_changing(now)).count();
        self.nodes.as_ref().and_then(|nodes| nodes.seen(changing)).unwrap_or_default()
    }

    fn rollouts(&self, demands: &[event::Demand], samples: &mut Vec<Sample>) {
        let itself = |row: &Replicas| Some(vec![short(&row.uid)]);
        for (selector, found) in &self.workloads {
            match found {
                Workloads::Deployments(rows) => {
                    let (sets, place) = (self.replica_sets.get(&selector.namespace), self.place(&selector.name, Deployment::KIND));
                    let owners = sets.and_then(|sets| sets.seen(revisions::owners));
                    let own = |row: &Replicas| owners.as_ref().map(|owners| owners.get(&row.uid).cloned().unwrap_or_default());
                    rows.seen(|rows| self.workload(selector, rows, 0, &own, demands, samples));
                    rows.seen(|rows| sets.map(|sets| sets.seen(|sets| revisions::facts(rows, sets, &place, samples))));
                }
                Workloads::StatefulSets(rows) => {
                    rows.seen(|rows| self.workload(selector, rows, 0, &itself, demands, samples));
                }
                Workloads::DaemonSets(rows) => {
                    let changing = self.changing_nodes();
                    rows.seen(|rows| self.workload(selector, rows, changing, &itself, demands, samples));
                }
                Workloads::CronJobs => {}
            }
        }
    }

    /// All that is told of the workloads of a selector; `owners` says whose pods are those of one, where that is known.
    fn workload<K: Kind<Row = Replicas>>(
        &self,
        selector: &Selector,
        rows: &Rows<K>,
        changing: usize,
        owners: &dyn Fn(&Replicas) -> Option<Vec<u64>>,
        demands: &[event::Demand],
        samples: &mut Vec<Sample>,
    ) {
        let place = self.place(&selector.name, K::KIND);
        let count = |pods: &Pods, key: &Key, row: &Replicas| Some(claims::Count { key: key.clone(), claimed: row.ready, ready: pods.ready_of(&owners(row)?) });
        let all = |pods: &Pods| rows.iter().map(|(key, row)| count(pods, key, row)).collect::<Option<Vec<_>>>();
        let counts = self.pods.as_ref().and_then(|pods| pods.seen(all)).flatten();
        // Where nobody is to look at pods, controllers are believed.
        let is_hidden = self.pods.is_some() && counts.is_none();
        let doubts = counts.map(|counts| self.claims.doubts(&selector.name, counts)).unwrap_or_default();
        let asked = demands.iter().filter_map(|(_, participants)| Some(selector.required((*participants)?)[1]));
        let beside = Beside { changing, needed: asked.fold(selector.baseline(), u32::max), is_hidden, doubts };
        workloads::facts(rows, &beside, &place, samples);
        Self::asked(selector, &rows.iter().collect::<Vec<_>>(), &beside, &place, demands, samples);
    }

    /// What the configuration asks of the workloads of a selector: always, and for each event.
    fn asked(selector: &Selector, rows: &[(&Key, &Replicas)], beside: &Beside, place: &Place, demands: &[event::Demand], samples: &mut Vec<Sample>) {
        asked::baseline(rows, selector.baseline(), place, samples);
        for (event, participants) in demands.iter().filter(|_| !selector.replicas.is_empty()) {
            let replicas = participants.map(|participants| selector.required(participants));
            asked::required(rows, beside, &event.name, replicas, place, samples);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::collectors::kubernetes::Config;
    use crate::collectors::kubernetes::reading::objects::Index;
    use crate::collectors::kubernetes::tests::{read, words};
    use crate::collectors::kubernetes::watching::watched::Watched;
    use crate::snapshot::{CollectError, ErrorClass};

    /// A cluster with a Deployment of which its controller says that both replicas are ready.
    fn claiming(pods: bool) -> Cluster {
        let text = format!("{{ nodes: false, pods: {pods}, workloads: [{{ name: w, kind: Deployment, namespace: n, names: [a] }}] }}");
        let config: Config = serde_saphyr::from_str(&text).unwrap();
        let cluster = Cluster::new(&serde_saphyr::from_str("{ name: eu, in_cluster: true }").unwrap(), &config.of("eu"), &[]);
        let status = json!({ "observedGeneration": 9, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2 });
        if let Workloads::Deployments(found) = &cluster.workloads[0].1 {
            listed(
                found,
                &[json!({ "metadata": { "name": "a", "namespace": "n", "generation": 9, "uid": "d" }, "spec": { "replicas": 2 }, "status": status })],
            );
        }
        cluster
    }

    fn listed<T: Index>(watched: &Watched<T>, objects: &[Value]) {
        watched.begin();
        for object in objects {
            watched.put(read(object), true);
        }
        watched.complete();
    }

    fn owned(name: &str, kind: &str, owner: &str, status: &Value) -> Value {
        let owners = json!([{ "apiVersion": "apps/v1", "kind": kind, "name": "a", "uid": owner, "controller": true }]);
        json!({ "metadata": { "name": name, "namespace": "n", "uid": name, "ownerReferences": owners }, "status": status })
    }

    fn list_sets(cluster: &Cluster) {
        listed(&cluster.replica_sets["n"], &[owned("s", "Deployment", "d", &json!({}))]);
    }

    fn list_pods(cluster: &Cluster, ready: [&str; 2]) {
        let pod =
            |name: &str, ready: &str| owned(name, "ReplicaSet", "s", &json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": ready }] }));
        listed(cluster.pods.as_ref().unwrap(), &[pod("p", ready[0]), pod("q", ready[1])]);
    }

    /// How many are told to be ready, and what is said of it.
    fn ready(cluster: &Cluster) -> (String, String) {
        let samples = cluster.derived("v1.34.0", Timestamp::now());
        let own = samples.iter().find(|sample| sample.family.name == "readiness_workload_ready_replicas").unwrap();
        (words(own).rsplit(' ').next().unwrap().to_owned(), own.detail.as_ref().unwrap().to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_controller_says_is_not_believed_while_its_pods_cannot_be_seen() {
        let refused = || CollectError::new(ErrorClass::Denied, "no");
        let hidden = ("NaN".to_owned(), "its controller says that 2 are ready, and whether its pods bear that out cannot be seen".to_owned());
        let believed = ("2".to_owned(), "2 of 2 ready, 2 up to date, 2 available".to_owned());
        assert_eq!(ready(&claiming(false)), believed, "nobody is to look");
        let (no_pods, no_sets) = (claiming(true), claiming(true));
        list_sets(&no_pods);
        no_pods.pods.as_ref().unwrap().fail(refused());
        assert_eq!(ready(&no_pods), hidden);
        list_pods(&no_sets, ["True"; 2]);
        no_sets.replica_sets["n"].fail(refused());
        assert_eq!(ready(&no_sets), hidden);
        list_sets(&no_sets);
        assert_eq!(ready(&no_sets), believed);
        no_sets.replica_sets["n"].fail(CollectError::new(ErrorClass::Server, "status 500"));
        assert_eq!(ready(&no_sets), believed, "a hiccup");
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(ready(&no_sets), hidden);
        // What was borne out before is not forgotten meanwhile: a pod may have gone just now.
        list_sets(&no_sets);
        list_pods(&no_sets, ["True", "False"]);
        assert_eq!(ready(&no_sets), believed);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(ready(&no_sets).1, "its controller says that 2 are ready, and 1 of its pods are");
    }
}
