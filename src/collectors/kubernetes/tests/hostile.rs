//! What hostile or broken servers and objects make of the collector: storms, numbers at the ends of
//! their types, and words that belong nowhere.

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::config::WorkspaceSelector;
use crate::collectors::kubernetes::kinds::cronjobs::CronJob;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::volumes;
use crate::collectors::kubernetes::kinds::workloads::{DaemonSet, Deployment, StatefulSet};
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::reading::objects::{Index, Kind, Place, Rows};
use crate::collectors::kubernetes::tests::{ago, facts, place, pods, read, rows, says, told, words};
use crate::metric::Sample;
use crate::say;
use crate::say::Message;

#[test]
fn revisions_of_many_deployments_take_time_that_grows_with_them() {
    let read_of = |kind: &str, number: usize| {
        json!({ "metadata": { "name": format!("{kind}-{number}"), "uid": format!("{kind}-{number}"), "annotations": { "deployment.kubernetes.io/revision": "1" },
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": format!("d-{number}"), "controller": true }] } })
    };
    let kept = |count: usize| {
        let (mut deployments, mut sets) = (Rows::<Deployment>::only(&[]), Rows::<workloads::revisions::ReplicaSet>::only(&[]));
        for number in 0..count {
            deployments.put(read(&read_of("d", number)), true);
            sets.put(read(&read_of("s", number)), true);
        }
        (deployments, sets)
    };
    let all = [100, 2_000].map(|count| (count, kept(count)));
    // A tenth of the usual numbers: reading them from text is what takes long here.
    crate::fuzz::grows_evenly(|count| {
        let (_, (deployments, sets)) = all.iter().find(|(own, _)| *own == count / 10).unwrap();
        let mut samples = Vec::new();
        workloads::revisions::facts(deployments, sets, &place("Deployment"), &mut samples);
        assert_eq!(samples.len(), count / 10 * 2);
    });
}

/// What is beyond the number of series is summed up, whatever its name.
#[test]
fn no_namespace_goes_unseen_because_of_its_name() {
    let restarted: Vec<Value> = (0..600_u32)
        .map(|number| {
            json!({ "metadata": { "name": "p", "namespace": format!("ws-{number:03}"), "uid": format!("u{number}") }, "spec": { "containers": [{ "name": "c" }] },
                "status": { "phase": "Running", "containerStatuses": [{ "name": "c", "restartCount": number + 1, "state": { "running": {} },
                    "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled", "finishedAt": ago(10) } } }] } })
        })
        .collect();
    let told = pods(&restarted);
    says(&told, "container_restarts_total eu/ws-599 = 600");
    says(&told, "container_restarts_total eu/(others) = 5050");
    for family in ["pods_without_storage_limit eu/(others)/limit", "containers_oom_killed eu/(others)", "container_restarts_recent eu/(others)"] {
        says(&told, &format!("{family} = 100"));
    }
    assert!(told.len() < 3_000, "{}", told.len());
}

/// Free text of objects becomes no label and no word on the page.
fn of<K: Kind>(object: &Value) -> Vec<Sample> {
    let mut rows = Rows::<K>::only(&[]);
    rows.put(read(object), true);
    facts(&rows)
}

#[test]
fn what_others_write_into_objects_stays_there() {
    let secret = "hunter2 <script>";
    let event = |reason: &str, message: &str| {
        json!({ "metadata": { "name": "e", "namespace": "ws", "uid": format!("{reason}{message}"), "creationTimestamp": ago(5) }, "type": "Warning",
            "involvedObject": { "namespace": "ws" }, "reason": reason, "message": message, "lastTimestamp": ago(5) })
    };
    let said = |samples: Vec<Sample>| {
        let all: Vec<String> = samples.iter().map(|sample| format!("{} {}", words(sample), sample.detail.as_ref().map_or("", Message::as_str))).collect();
        assert!(!all.iter().any(|line| line.contains("hunter2")), "{all:?}");
        all
    };
    let mut warnings = events::Counted::new(events::Warnings::new(3600), Clock::default());
    let mut pulls = events::Counted::new(events::Pulls::new(3600), Clock::default());
    for (reason, message) in [
        (secret, ""),
        ("BackOff", secret),
        ("Pulled", "Successfully pulled image \"hunter2 secret\" in 1s"),
        ("Pulled", "Successfully pulled image \"r/a:1\" in 1s"),
    ] {
        warnings.put(read(&event(reason, message)), false);
        pulls.put(read(&event(reason, message)), false);
    }
    let told = said(facts(&warnings));
    assert!(told.iter().any(|line| line.starts_with("warning_events eu/ws/Other = 1")), "{told:?}");
    let told = said(facts(&pulls));
    assert!(told.iter().any(|line| line.starts_with("image_pulls eu/r/a:1 = 1")), "{told:?}");
    let conditions =
        json!({ "conditions": [{ "type": "Ready", "status": "False", "reason": secret, "message": secret }, { "type": secret, "status": "True" }] });
    let object = |status: &Value| json!({ "metadata": { "name": "a", "namespace": "n" }, "spec": {}, "status": status });
    said(of::<certmanager::Certificate>(&object(&conditions)));
    said(of::<karpenter::NodePool>(&object(&conditions)));
    said(of::<nodeclasses::EC2NodeClass>(&object(&conditions)));
    for phase in [json!({ "phase": secret }), json!({ "phase": "Available" })] {
        said(of::<locations::BackupStorageLocation>(&object(&phase)));
        said(of::<backups::Schedule>(&object(&phase)));
        said(of::<backups::Backup>(&object(&phase)));
    }
    said(of::<services::Service>(&object(&json!({ "loadBalancer": { "ingress": [{ "hostname": secret }] } }))));
    let mut annotated = object(&conditions);
    annotated["metadata"]["annotations"] =
        json!({ "kubernetes.io/change-cause": "kubectl create secret generic db hunter2", "deployment.kubernetes.io/revision": "1" });
    let mut deployments = Rows::<Deployment>::only(&[]);
    deployments.put(read(&annotated), true);
    let mut samples = Vec::new();
    workloads::revisions::facts(&deployments, &Rows::only(&[]), &place("Deployment"), &mut samples);
    said(samples);
    let mut nodes = Nodes::new(Interests::default());
    let mut node = object(&conditions);
    node["status"]["nodeInfo"] = json!({ "kubeletVersion": secret });
    nodes.put(read(&node), true);
    said(facts(&nodes));
}

#[test]
fn a_refusal_is_told_by_the_reasons_of_an_api_server_and_no_other() {
    let told = |reason: &str| {
        let status = kube::core::Status { code: 403, reason: reason.to_owned(), ..kube::core::Status::default() };
        api::status_error(&say!("list pods"), &status).message.to_string()
    };
    assert_eq!(told("Forbidden"), "list pods: status 403 (Forbidden)");
    for reason in ["", "hunter2", "Forbidden: hunter2"] {
        assert_eq!(told(reason), "list pods: status 403 (no reason given)");
    }
}

/// Numbers at the ends of their types.
#[test]
fn numbers_of_others_break_no_arithmetic() {
    let containers: Vec<Value> = (0..70_000).map(|_| json!({})).collect();
    let pod = json!({ "metadata": { "name": "p", "namespace": "ws", "uid": "u", "labels": {} }, "spec": { "containers": containers }, "status": { "phase": "Running" } });
    let spaces: Vec<WorkspaceSelector> = serde_saphyr::from_str("[{ name: w, namespaces: [ws] }]").unwrap();
    let told = told(Pods::new(3600, Workspaces::new(spaces, 3600), Clock::default()), &[pod]);
    says(&told, "workspace_containers_without_limit eu/w/cpu = 65535");
    let claim = |after: &str| json!({ "metadata": { "name": "a", "creationTimestamp": ago(0), "labels": { "karpenter.sh/nodepool": "p" } }, "spec": { "expireAfter": after } });
    let expires = |after: &str| rows::<karpenter::NodeClaim>(&[claim(after)]).iter().any(|line| line.contains("nodeclaim_expiry_timestamp_seconds eu/p/a = "));
    // Go's durations end after 292 years, so what is longer was written by nobody's Karpenter.
    assert!(expires("2562047h") && !expires("2562047788015215h"));
}

#[test]
fn pods_with_problems_in_many_namespaces_take_time_that_grows_with_them() {
    let waiting = |number: usize| {
        json!({ "metadata": { "name": "p", "namespace": format!("ws-{number}"), "uid": format!("u{number}") }, "spec": { "containers": [] },
            "status": { "phase": "Pending", "containerStatuses": [{ "name": "c", "state": { "waiting": { "reason": "ErrImagePull" } } }] } })
    };
    let pods: Vec<pod::Pod> = (0..5_000).map(|number| read(&waiting(number))).collect();
    crate::fuzz::grows_evenly(|count| {
        let mut kept = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
        pods[..count / 4].iter().for_each(|pod| assert!(kept.put(pod.clone(), false)));
    });
    let pulled = |number: usize| {
        let message = format!("Successfully pulled image \"r/a:{number}\" in 1s");
        json!({ "metadata": { "name": "e", "uid": format!("u{number}") }, "reason": "Pulled", "message": message, "lastTimestamp": ago(5) })
    };
    let events: Vec<events::Event> = (0..5_000).map(|number| read(&pulled(number))).collect();
    crate::fuzz::grows_evenly(|count| {
        let mut kept = events::Counted::new(events::Pulls::new(3600), Clock::default());
        events[..count / 4].iter().for_each(|event| assert!(kept.put(event.clone(), false)));
    });
}

/// Objects with whatever a broken server or webhook makes of them.
#[test]
fn fuzz_objects() {
    let pod = json!({ "metadata": { "name": "a", "namespace": "b", "uid": "c", "labels": { "app": "x" }, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "nodeName": "n", "containers": [{ "name": "m", "image": "i", "resources": { "limits": { "cpu": "1", "ephemeral-storage": "2Gi" } } }] },
        "status": { "phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{ "name": "m", "restartCount": 1, "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } }, "lastState": { "terminated": { "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:00Z" } } }] } })
    .to_string();
    let node = json!({ "metadata": { "name": "n", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z" }, "spec": { "taints": [{ "key": "k", "effect": "NoSchedule" }] },
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi" }, "conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z" }], "addresses": [{ "type": "InternalIP", "address": "10.0.0.1" }] } })
    .to_string();
    let job = json!({ "metadata": { "name": "j", "namespace": "b" }, "spec": { "schedule": "0 4 * * *", "timeZone": "UTC", "suspend": false }, "status": { "lastScheduleTime": "2026-01-01T04:00:00Z", "active": [{}] } }).to_string();
    crate::fuzz::survive_text(&[&pod], |text| {
        if let Ok(pod) = serde_json::from_str(text) {
            let mut pods = Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default());
            pods.begin();
            pods.put(pod, true);
            pods.complete();
            facts(&pods);
        }
    });
    crate::fuzz::survive_text(&[&node], |text| {
        if let Ok(node) = serde_json::from_str(text) {
            let mut nodes = Nodes::new(Interests::default());
            nodes.begin();
            nodes.put(node, true);
            nodes.complete();
            facts(&nodes);
        }
    });
    fuzz_kinds();
    crate::fuzz::survive_text(&[&job], |text| {
        if let Ok(job) = serde_json::from_str::<CronJob>(text) {
            let mut jobs = Rows::<CronJob>::only(&[]);
            jobs.begin();
            jobs.put(job, true);
            jobs.complete();
            facts(&jobs);
        }
    });
}

/// Every other kind: its object, its row and its facts, on a clock that is far off.
fn fuzz_kinds() {
    fn kept(mut kept: impl Index, text: &str) {
        let Ok(object) = serde_json::from_str(text) else { return };
        let clock = Clock::default();
        clock.learn(jiff::Timestamp::MIN);
        kept.begin();
        kept.put(object, true);
        kept.complete();
        kept.facts(&Place { clock, ..place("K") }, &mut Vec::new());
    }
    fn kind<K: Kind>(text: &str) {
        kept(Rows::<K>::only(&[]), text);
    }
    let (early, late) = ("-009998-01-02T00:00:00Z", "9999-12-30T00:00:00Z");
    let metadata = json!({ "name": "a", "namespace": "b", "uid": "c", "generation": 1, "creationTimestamp": early, "annotations": { "deployment.kubernetes.io/revision": "18446744073709551615" },
        "labels": { "karpenter.sh/nodepool": "p", "velero.io/schedule-name": "s" } });
    let conditions = json!([{ "type": "Ready", "status": "True", "reason": "Issued", "lastTransitionTime": late, "lastUpdateTime": late }, { "type": "Initialized", "status": "True", "lastTransitionTime": late }]);
    let object = |spec: Value, status: Value| json!({ "metadata": metadata, "spec": spec, "status": status }).to_string();
    let certificate = object(json!({ "renewBefore": "360h" }), json!({ "conditions": conditions, "notAfter": late, "renewalTime": early }));
    crate::fuzz::survive_text(&[&certificate], kind::<certmanager::Certificate>);
    let claim = object(json!({ "expireAfter": "720h0m0s" }), json!({ "conditions": conditions, "allocatable": { "cpu": "4" } }));
    crate::fuzz::survive_text(&[&claim], kind::<karpenter::NodeClaim>);
    let pool = object(
        json!({ "limits": { "cpu": "1e3" }, "replicas": 4_294_967_295_u32 }),
        json!({ "conditions": conditions, "resources": { "cpu": "1" }, "nodes": 1 }),
    );
    crate::fuzz::survive_text(&[&pool], kind::<karpenter::NodePool>);
    let backup =
        object(json!({}), json!({ "phase": "Completed", "startTimestamp": early, "completionTimestamp": late, "readyToUse": true, "creationTime": early }));
    crate::fuzz::survive_text(&[&backup], kind::<backups::Backup>);
    crate::fuzz::survive_text(&[&backup], kind::<volumes::VolumeSnapshot>);
    let replicas = object(
        json!({ "replicas": 4_294_967_295_u32, "selector": { "matchLabels": { "a": "b" } } }),
        json!({ "readyReplicas": 1, "observedGeneration": 1, "conditions": conditions }),
    );
    crate::fuzz::survive_text(&[&replicas], kind::<Deployment>);
    crate::fuzz::survive_text(&[&replicas], kind::<StatefulSet>);
    crate::fuzz::survive_text(&[&object(json!({}), json!({ "desiredNumberScheduled": 1, "numberReady": 1 }))], kind::<DaemonSet>);
    let service = object(json!({}), json!({ "loadBalancer": { "ingress": [{ "hostname": "a.example", "ip": "10.0.0.1" }] } }));
    crate::fuzz::survive_text(&[&service], kind::<services::Service>);
    let event = json!({ "metadata": metadata, "involvedObject": { "namespace": "n", "uid": "u" }, "reason": "Evicted", "message": "Successfully pulled image \"r/a:1\" in 1m21.5s (2s including waiting). Image size: 1 bytes.",
        "lastTimestamp": ago(5), "count": 4_294_967_295_u32, "series": { "count": 1, "lastObservedTime": "2026-01-01T00:00:00.000000Z" } })
    .to_string();
    crate::fuzz::survive_text(&[&event], |text| kept(events::Counted::new(events::Warnings::new(3600), Clock::default()), text));
    crate::fuzz::survive_text(&[&event], |text| kept(events::Counted::new(events::Pulls::new(i64::MAX), Clock::default()), text));
}

/// Whoever may create an event chooses its times and its count, and hides none of the others with them.
#[test]
fn an_odd_event_hides_no_other() {
    let event = |uid: &str, odd: Value| {
        let mut event = json!({ "metadata": { "name": "e", "namespace": "ws", "uid": uid, "creationTimestamp": ago(5) }, "type": "Warning",
            "involvedObject": { "namespace": "ws" }, "reason": "BackOff", "message": "", "lastTimestamp": ago(5), "count": 1 });
        event.as_object_mut().unwrap().extend(odd.as_object().unwrap().clone());
        event
    };
    let odd = [
        json!({ "lastTimestamp": "9999-12-31T23:59:59Z" }),
        json!({ "lastTimestamp": null, "firstTimestamp": "0000-01-01T00:00:00Z" }),
        json!({ "eventTime": "9999-12-31T23:59:59.999999Z" }),
        json!({ "series": { "count": -7, "lastObservedTime": "never" } }),
        json!({ "count": -1 }),
        json!({ "count": 1_u64 << 40 }),
        json!({}),
    ];
    let all: Vec<Value> = odd.into_iter().enumerate().map(|(number, odd)| event(&number.to_string(), odd)).collect();
    // One says that it is two thousand years old, and one that it happened more often than is counted.
    let said = told(events::Counted::new(events::Warnings::new(3600), Clock::default()), &all);
    says(&said, &format!("warning_events eu/ws/BackOff = {}", 5 + u64::from(u32::MAX)));
}

/// An API server whose list has another page for ever, and one whose watch adds nodes for ever.
#[tokio::test]
async fn a_cluster_without_an_end_is_not_kept() {
    let node = |number: usize| format!("{{\"metadata\":{{\"name\":\"n{number}\",\"uid\":\"u{number}\",\"resourceVersion\":\"1\"}}}}");
    for (port, verb) in [(20_180, "list"), (20_181, "watch")] {
        let address = std::net::SocketAddr::from(([127, 0, 7, 65], port));
        let answer = move |_: &str, target: &str, _: &hyper::HeaderMap| {
            if target.contains("watch=true") {
                let added = |number| format!("{{\"type\":\"ADDED\",\"object\":{}}}\n", node(number));
                return (200, vec![("content-type", "application/json".to_owned())], (0..Nodes::MOST + 9).map(added).collect::<String>().into_bytes());
            }
            let page: usize = target.split_once("continue=p").and_then(|(_, rest)| rest.split('&').next()?.parse().ok()).unwrap_or_default();
            let (nodes, next) = if verb == "list" { (500, format!("p{}", page + 1)) } else { (0, String::new()) };
            let items: Vec<String> = (0..nodes).map(|number| node(page * nodes + number)).collect();
            let list = format!("{{\"kind\":\"NodeList\",\"metadata\":{{\"resourceVersion\":\"1\",\"continue\":\"{next}\"}},\"items\":[{}]}}", items.join(","));
            (200, vec![("content-type", "application/json".to_owned())], list.into_bytes())
        };
        let server = readiness_lab::plain_server(address, Duration::ZERO, answer).await.unwrap();
        let client = kube::Client::try_from(kube::Config::new(format!("http://{address}").parse().unwrap())).unwrap();
        let changed = Arc::new(Notify::new());
        let second = Duration::from_secs(1);
        let watched = Arc::new(Watched::new("nodes", Query::default(), Nodes::new(Interests::default()), second * 10, second * 60, &changed));
        let following = tokio::spawn(Scope::follow(Arc::clone(&watched), client));
        let told = async {
            loop {
                changed.notified().await;
                let visibility = Scope::visibility(&*watched);
                if visibility.words.as_str().contains("there are more than") {
                    return (visibility.state, visibility.words);
                }
            }
        };
        let (state, words) = tokio::time::timeout(second * 120, told).await.unwrap();
        assert_eq!((state.as_str(), words.as_str()), ("unseen", &*format!("{verb} nodes: there are more than 10000, which no cluster has")));
        following.abort();
        server.abort();
    }
}
