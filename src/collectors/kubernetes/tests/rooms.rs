//! What there is room for: quotas, limits, and nodes that do not stay.

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::tests::of_kinds::filled;
use crate::collectors::kubernetes::tests::shapes::{kept, node};
use crate::collectors::kubernetes::tests::{ago, demands, headroom_of, read, says, told, words};

/// What is told of the room for ten workspaces of 2 cores and 4 GiB on a node of 8 cores, of which one runs with these
/// requests, in a namespace with these quotas.
pub(in crate::collectors::kubernetes) fn with_quotas(requests: &Value, quotas: &[Value]) -> Vec<String> {
    with_rules(&pod(&json!({ "containers": [{ "name": "a", "resources": { "requests": requests } }] })), quotas, &[])
}

/// The same in a namespace of which containers may have so much.
pub(in crate::collectors::kubernetes) fn with_range(requests: &Value, max: &Value) -> Vec<String> {
    let range = json!({ "metadata": { "name": "r", "namespace": "ws" }, "spec": { "limits": [{ "type": "Container", "max": max }] } });
    with_rules(&pod(&json!({ "containers": [{ "name": "a", "resources": { "requests": requests } }] })), &[], &[range])
}

fn pod(spec: &Value) -> Value {
    let mut pod = json!({ "metadata": { "name": "w", "namespace": "ws", "uid": "w" }, "spec": spec, "status": { "phase": "Running" } });
    pod["spec"]["nodeName"] = json!("n");
    pod
}

fn with_rules(pod: &Value, quotas: &[Value], ranges: &[Value]) -> Vec<String> {
    let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws], cpu: { min: '4', max: '8' } }]").unwrap();
    let mut pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
    Index::put(&mut pods, read(pod), true);
    let nodes = kept(&[node("n", &json!({}))], "[]");
    let (quotas, ranges) = (filled::<quotas::ResourceQuota>(quotas), filled::<quotas::LimitRange>(ranges));
    let rules = quotas::Rules { quotas: &quotas, ranges: &ranges };
    let samples =
        headroom_of("{ workspaces: ws, cpu: '2', memory: 4Gi }", &capacity::Scene { rules: Some(rules), ..capacity::Scene::of(&nodes, &pods, &demands([10])) });
    samples.iter().map(|sample| format!("{} {}", words(sample), sample.detail.as_ref().map_or("", |detail| detail.as_str()))).collect()
}

#[test]
fn quotas_of_their_namespaces_leave_room_for_no_more_workspaces_than_they_say() {
    let quota = |namespace: &str, spec: Value, hard: Value, used: Value| json!({ "metadata": { "name": "q", "namespace": namespace }, "spec": spec, "status": { "hard": hard, "used": used } });
    let asked = json!({ "cpu": "2", "memory": "4Gi" });
    let fits =
        |quotas: &[Value]| with_quotas(&asked, quotas).iter().find_map(|line| Some(line.strip_prefix("capacity_workspaces eu = ")?.trim().to_owned())).unwrap();
    assert_eq!(fits(&[]), "4");
    assert_eq!(fits(&[quota("ws", json!({}), json!({ "pods": "2" }), json!({ "pods": "1" }))]), "2");
    assert_eq!(fits(&[quota("ws", json!({}), json!({ "requests.cpu": "7" }), json!({ "requests.cpu": "2" }))]), "3");
    assert_eq!(fits(&[quota("ws", json!({}), json!({ "memory": "5Gi" }), json!({ "memory": "4Gi" }))]), "1");
    assert_eq!(fits(&[quota("ws", json!({}), json!({ "pods": "9" }), json!({}))]), "1", "what is used was not reported");
    // Of another namespace, about some pods only, or about what no workspace needs.
    assert_eq!(fits(&[quota("other", json!({}), json!({ "pods": "1" }), json!({ "pods": "1" }))]), "4");
    assert_eq!(fits(&[quota("ws", json!({ "scopes": ["BestEffort"] }), json!({ "pods": "1" }), json!({ "pods": "1" }))]), "4");
    assert_eq!(fits(&[quota("ws", json!({}), json!({ "services": "1" }), json!({ "services": "1" }))]), "4");
    let said = with_quotas(&asked, &[quota("ws", json!({}), json!({ "pods": "2" }), json!({ "pods": "1" }))]);
    assert!(said.iter().any(|line| line.ends_with("10 expected, limited by quota, which leaves room for 1 more")), "{said:?}");
}

/// How many workspaces fit, and which share of them is left for others, with quotas and this specification of the one that runs.
fn fits_in(spec: &Value, quotas: &[Value]) -> [String; 2] {
    let said = with_rules(&pod(spec), quotas, &[]);
    let of = |what: &str| said.iter().find_map(|line| line.strip_prefix(what)?.split(' ').next().map(str::to_owned)).unwrap();
    [of("capacity_workspaces eu = "), of("capacity_headroom_ratio eu/w = ")]
}

fn quota(spec: &Value, resource: &str, hard: &str, used: &str) -> Value {
    json!({ "metadata": { "name": "q", "namespace": "ws" }, "spec": spec, "status": { "hard": { resource: hard }, "used": { resource: used } } })
}

#[test]
fn quotas_of_limits_leave_room_for_no_more_workspaces_than_they_say() {
    let limited =
        json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2", "memory": "4Gi" }, "limits": { "cpu": "4", "memory": "16Gi" } } }] });
    let fits = |resource: &str, hard: &str, used: &str| fits_in(&limited, &[quota(&json!({}), resource, hard, used)])[0].clone();
    assert_eq!(fits("limits.cpu", "12", "4"), "3");
    assert_eq!(fits("limits.memory", "32Gi", "16Gi"), "2");
    assert_eq!(fits("limits.cpu", "400", "4"), "4");
    assert_eq!(fits("limits.ephemeral-storage", "1Gi", "1Gi"), "4", "they have none of it");
    // Whoever says nothing of limits has at least what is requested, and what its range asks for.
    let open = json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2", "memory": "4Gi" } } }] });
    assert_eq!(fits_in(&open, &[quota(&json!({}), "limits.cpu", "12", "4")])[0], "3");
    assert_eq!(fits_in(&open, &[quota(&json!({}), "limits.memory", "8Gi", "4Gi")])[0], "2");
}

#[test]
fn a_quota_of_some_pods_counts_where_workspaces_are_among_them() {
    let spec = |more: Value| {
        let mut spec = json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2", "memory": "4Gi" } } }] });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let fits = |more: Value, scope: Value| fits_in(&spec(more), &[quota(&scope, "pods", "2", "1")])[0].clone();
    let of_class = |operator: &str, values: &[&str]| json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": "PriorityClass", "operator": operator, "values": values }] } });
    for (more, scope, count) in [
        (json!({}), json!({ "scopes": ["NotTerminating"] }), "2"),
        (json!({}), json!({ "scopes": ["NotBestEffort"] }), "2"),
        (json!({}), json!({ "scopes": ["NotBestEffort", "NotTerminating"] }), "2"),
        (json!({}), json!({ "scopes": ["Terminating"] }), "4"),
        (json!({}), json!({ "scopes": ["BestEffort"] }), "4"),
        (json!({}), json!({ "scopes": ["NotBestEffort", "Terminating"] }), "4"),
        (json!({}), json!({ "scopeSelector": { "matchExpressions": [{ "scopeName": "NotTerminating", "operator": "Exists" }] } }), "2"),
        (json!({ "activeDeadlineSeconds": 900 }), json!({ "scopes": ["Terminating"] }), "2"),
        (json!({ "activeDeadlineSeconds": 900 }), json!({ "scopes": ["NotTerminating"] }), "4"),
        (json!({ "priorityClassName": "people" }), of_class("In", &["people"]), "2"),
        (json!({ "priorityClassName": "people" }), of_class("In", &["jobs"]), "4"),
        (json!({ "priorityClassName": "people" }), of_class("NotIn", &["jobs"]), "2"),
        (json!({ "priorityClassName": "people" }), of_class("Exists", &[]), "2"),
        (json!({}), of_class("Exists", &[]), "4"),
        (json!({}), of_class("DoesNotExist", &[]), "2"),
    ] {
        assert_eq!(fits(more.clone(), scope.clone()), count, "{more} {scope}");
    }
    // A scope of a later version of Kubernetes may be about workspaces.
    let later = |hard: &str| fits_in(&spec(json!({})), &[quota(&json!({ "scopes": ["Weekend"] }), "pods", hard, "1")])[1].clone();
    assert_eq!(later("2"), "NaN");
    assert_ne!(later("200"), "NaN", "it leaves more than nodes do");
}

#[test]
fn a_quota_of_claims_counts_where_each_workspace_has_its_own() {
    let mounts = |volume: Value| json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2", "memory": "4Gi" } } }], "volumes": [volume] });
    let own = mounts(json!({ "name": "h", "ephemeral": { "volumeClaimTemplate": {} } }));
    let fits = |spec: &Value, hard: &str, used: &str| fits_in(spec, &[quota(&json!({}), "persistentvolumeclaims", hard, used)]);
    assert_eq!(fits(&own, "2", "1")[0], "2");
    assert_eq!(fits(&own, "50", "1")[0], "4");
    // Of one that runs alone nobody knows whether others will mount the same claim.
    let named = mounts(json!({ "name": "h", "persistentVolumeClaim": { "claimName": "home-1" } }));
    assert_eq!(fits(&named, "2", "1")[1], "NaN");
    assert_ne!(fits(&named, "50", "1")[1], "NaN");
    assert_eq!(fits(&mounts(json!({ "name": "h", "emptyDir": {} })), "1", "1")[0], "4");
}

#[test]
fn a_quota_of_storage_counts_where_each_workspace_has_volumes() {
    let mounts = |volume: Value| json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2", "memory": "4Gi" } } }], "volumes": [volume] });
    let of_class = |class: Value| {
        let spec = json!({ "storageClassName": class, "resources": { "requests": { "storage": "10Gi" } } });
        mounts(json!({ "name": "h", "ephemeral": { "volumeClaimTemplate": { "spec": spec } } }))
    };
    let of = |resource: &str, hard: &str, used: &str| quota(&json!({}), resource, hard, used);
    let own = of_class(json!("gold"));
    let [bytes, claims] = ["requests.storage", "persistentvolumeclaims"].map(|what| format!("gold.storageclass.storage.k8s.io/{what}"));
    assert_eq!(fits_in(&own, &[of("requests.storage", "30Gi", "10Gi")])[0], "3");
    assert_eq!(fits_in(&own, &[of("requests.storage", "300Gi", "10Gi")])[0], "4");
    assert_eq!(fits_in(&own, &[of(&bytes, "20Gi", "10Gi")])[0], "2");
    assert_eq!(fits_in(&own, &[of(&claims, "2", "1")])[0], "2");
    // What is said of another class, or forbidden to everybody, is no matter here.
    for other in ["silver.storageclass.storage.k8s.io/requests.storage", "silver.storageclass.storage.k8s.io/persistentvolumeclaims"] {
        assert_eq!(fits_in(&own, &[of(other, "0", "0")])[0], "4", "{other}");
    }
    assert_eq!(fits_in(&of_class(json!(null)), &[of(&bytes, "20Gi", "10Gi")])[1], "NaN", "the default class may be this one");
    // Of claims by name the quota itself tells how large they are, if it counts them, and which class has none of them.
    let named = |name: &str| mounts(json!({ "name": "h", "persistentVolumeClaim": { "claimName": name } }));
    assert_eq!(fits_in(&named("home"), &[of("requests.storage", "20Gi", "10Gi")])[1], "NaN");
    let both = |hard: &str| {
        let (hard, used) =
            (json!({ "requests.storage": hard, "persistentvolumeclaims": "900" }), json!({ "requests.storage": "10Gi", "persistentvolumeclaims": "1" }));
        json!({ "metadata": { "name": "q", "namespace": "ws" }, "spec": {}, "status": { "hard": hard, "used": used } })
    };
    assert_eq!(fits_in(&named("home"), &[both("20Gi")])[1], "NaN", "one alone does not tell whether others have their own");
    assert_ne!(fits_in(&named("home"), &[both("900Gi")])[1], "NaN");
    assert_ne!(fits_in(&named("home"), &[of(&bytes, "0", "0")])[1], "NaN");
    assert_eq!(fits_in(&mounts(json!({ "name": "h", "emptyDir": {} })), &[of("requests.storage", "1", "1")])[0], "4");
}

#[test]
fn a_limit_range_that_lets_no_workspace_start_leaves_no_room() {
    let limit = |of: &str, bound: &str, resource: &str, amount: &str| json!({ "metadata": { "name": "r", "namespace": "ws" }, "spec": { "limits": [{ "type": of, bound: { resource: amount } }] } });
    let container = json!({ "name": "a", "resources": { "requests": { "cpu": "2", "memory": "4Gi" } } });
    let single = pod(&json!({ "containers": [container] }));
    let several = pod(&json!({ "containers": [{ "name": "a" }, { "name": "b" }] }));
    let mut none = single.clone();
    none["metadata"]["namespace"] = json!("other");
    let said = |pod: &Value, range: Value| {
        let said = with_rules(pod, &[], &[range]);
        let of = |what: &str| said.iter().find_map(|line| line.strip_prefix(what)).unwrap_or_default().trim().to_owned();
        [of("capacity_workspaces eu = "), of("capacity_limit_state eu = "), of("capacity_headroom_ratio eu/w = ").split(' ').next().unwrap().to_owned()]
    };
    for (bound, resource, amount) in [("max", "memory", "2Gi"), ("max", "cpu", "3"), ("min", "cpu", "2500m"), ("maxLimitRequestRatio", "cpu", "1")] {
        assert_eq!(said(&single, limit("Container", bound, resource, amount)), ["1", "limit_range", "-1"], "{bound} {resource}");
        assert_eq!(said(&several, limit("Pod", bound, resource, amount))[1..], ["limit_range", "-1"], "{bound} {resource}");
        // Whether those to come have one container is told by none that is there.
        assert_eq!(said(&none, limit("Container", bound, resource, amount))[2], "NaN", "{bound} {resource}");
        assert_eq!(said(&several, limit("Container", bound, resource, amount))[1], "cpu", "what one container may have is another question");
    }
    for (bound, resource, amount) in
        [("max", "memory", "4Gi"), ("max", "cpu", "4"), ("min", "cpu", "100m"), ("maxLimitRequestRatio", "cpu", "2"), ("default", "cpu", "1")]
    {
        assert_eq!(said(&single, limit("Container", bound, resource, amount))[..2], ["4", "cpu"], "{bound} {resource}");
    }
    let why = with_rules(&single, &[], &[limit("Container", "max", "memory", "2Gi")]);
    let why = why.iter().find(|line| line.starts_with("capacity_headroom_ratio")).unwrap();
    assert!(why.ends_with("limited by limit_range: a LimitRange of ws lets no container start that wants so much, or so little, memory"), "{why}");
}

#[test]
fn a_workspace_keeps_no_place_on_a_node_that_is_taken_away() {
    let fits = |more: &Value, leaving: bool| {
        let mut own = pod(&json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2" } } }] }));
        if leaving {
            own["metadata"]["deletionTimestamp"] = json!(ago(20));
        }
        let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws] }]").unwrap();
        let mut pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
        Index::put(&mut pods, read(&own), true);
        let nodes = kept(&[node("n", more)], "[]");
        let samples = headroom_of("{ workspaces: ws, cpu: '2', memory: 4Gi }", &capacity::Scene::of(&nodes, &pods, &demands([1])));
        samples.iter().map(words).find_map(|line| line.strip_prefix("capacity_workspaces eu = ").map(str::to_owned)).unwrap()
    };
    let tainted = |key: &str| json!({ "/spec/taints": [{ "key": key, "effect": "NoSchedule" }] });
    for leaves in [tainted("karpenter.sh/disrupted"), tainted("ToBeDeletedByClusterAutoscaler")] {
        assert_eq!((fits(&leaves, false), fits(&leaves, true)), ("0".to_owned(), "0".to_owned()));
    }
    let deleted = json!({ "/metadata": { "name": "n", "uid": "n", "deletionTimestamp": ago(20) } });
    assert_eq!(fits(&deleted, false), "0");
    // What runs on a cordoned node stays, and what is deleted there does not come back.
    let cordoned = json!({ "/spec": { "unschedulable": true } });
    assert_eq!((fits(&cordoned, false), fits(&cordoned, true)), ("1".to_owned(), "0".to_owned()));
    assert_eq!((fits(&json!({}), false), fits(&json!({}), true)), ("4".to_owned(), "4".to_owned()), "its place is free as soon as it is gone");
}

#[test]
fn a_pod_is_a_workspace_of_each_selector_that_takes_it() {
    let selectors =
        serde_saphyr::from_str("[{ name: all, namespaces: [ws] }, { name: large, namespaces: [ws], labels: { size: l }, cpu: { min: '1', max: '8' } }]")
            .unwrap();
    let mut own = pod(&json!({ "containers": [{ "name": "a", "resources": { "limits": { "cpu": "64" } } }] }));
    own["metadata"]["labels"] = json!({ "size": "l" });
    let said = told(Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default()), &[own]);
    for selector in ["all", "large"] {
        says(&said, &format!("workspaces eu/{selector}/running = 1"));
        says(&said, &format!("workspace_containers_without_limit eu/{selector}/memory = 1"));
    }
    says(&said, "workspace_containers_outside_range eu/large/cpu = 1");
}

#[test]
fn there_is_no_room_in_a_namespace_that_is_gone_or_being_deleted() {
    let said = |namespaces: &[Value]| {
        let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws] }]").unwrap();
        let pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
        let (nodes, namespaces) = (kept(&[node("n", &json!({}))], "[]"), filled::<namespaces::Namespace>(namespaces));
        let samples = headroom_of(
            "{ workspaces: ws, cpu: '2', memory: 4Gi }",
            &capacity::Scene { namespaces: Some(&namespaces), ..capacity::Scene::of(&nodes, &pods, &demands([1])) },
        );
        let of = |what: &str| samples.iter().map(words).find_map(|line| line.strip_prefix(what).map(str::to_owned)).unwrap();
        [of("capacity_workspaces eu = "), of("capacity_limit_state eu = ")]
    };
    let namespace = |more: Value| {
        let mut meta = json!({ "name": "ws", "uid": "ws" });
        meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "metadata": meta })
    };
    assert_eq!(said(&[namespace(json!({}))]), ["4", "cpu"]);
    let other = json!({ "metadata": { "name": "kube-system", "uid": "k" } });
    assert_eq!(said(&[other.clone(), namespace(json!({ "deletionTimestamp": ago(60) }))]), ["0", "namespace"]);
    assert_eq!(said(&[other]), ["0", "namespace"]);
    assert_eq!(said(&[]), ["4", "cpu"], "no cluster is without namespaces, so that says nothing");
}

/// What is told of two events, with four workspaces' room on a node.
#[test]
fn each_event_is_held_against_its_own_participants() {
    let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws] }]").unwrap();
    let pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
    let (nodes, demands) = (kept(&[node("n", &json!({}))], "[]"), demands([1, 8]));
    let samples = headroom_of("{ workspaces: ws, cpu: '2', memory: 4Gi }", &capacity::Scene::of(&nodes, &pods, &demands));
    let told: Vec<_> = samples.iter().map(words).collect();
    for line in ["expected_workspaces eu/w = 1", "headroom_ratio eu/w = 0.75", "expected_workspaces eu/later = 8", "headroom_ratio eu/later = -1"] {
        says(&told, &format!("capacity_{line}"));
    }
}

#[test]
fn the_line_says_how_many_that_run_are_taken_for_the_participants_own() {
    let selector = |namespace: &str| serde_saphyr::from_str(&format!("[{{ name: ws, namespaces: [{namespace}] }}]")).unwrap();
    let asked = json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2", "memory": "4Gi" } } }] });
    let said = |namespace: &str, participants: u32| {
        let mut pods = Pods::new(3600, Workspaces::new(selector(namespace), 3600), Clock::default());
        for name in ["a", "b", "c"] {
            let mut pod = pod(&asked);
            pod["metadata"]["uid"] = json!(name);
            Index::put(&mut pods, read(&pod), true);
        }
        let nodes = kept(&[node("n", &json!({})), node("m", &json!({}))], "[]");
        let samples = headroom_of("{ workspaces: ws, cpu: '2', memory: 4Gi }", &capacity::Scene::of(&nodes, &pods, &demands([participants])));
        let left = samples.into_iter().find(|sample| sample.family.name == "readiness_capacity_headroom_ratio").unwrap();
        (left.value, left.detail.unwrap().as_str().split(')').next().unwrap().to_owned())
    };
    let own = "8 fit (3 have a node, 2 of them taken for the participants' own, 5 more on existing nodes, 0 on new ones";
    assert_eq!(said("ws", 2), (5.0 / 8.0, own.to_owned()));
    // With a selector of the event's own those of others are pods like any other.
    assert_eq!(said("event", 2), (3.0 / 5.0, "5 fit (0 have a node, 5 more on existing nodes, 0 on new ones".to_owned()));
}

/// Four workspaces have room on a node; those that run already may be other people's.
#[test]
fn a_cluster_that_is_full_of_workspaces_has_no_room_left() {
    let asked = json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": "2", "memory": "4Gi" } } }] });
    let left = |run: usize| {
        let selectors = serde_saphyr::from_str("[{ name: ws, namespaces: [ws] }]").unwrap();
        let mut pods = Pods::new(3600, Workspaces::new(selectors, 3600), Clock::default());
        for at in 0..run {
            let mut own = pod(&asked);
            own["metadata"]["name"] = format!("w{at}").into();
            own["metadata"]["uid"] = format!("w{at}").into();
            pods.put(serde_json::from_value(own).unwrap(), false);
        }
        let (nodes, demands) = (kept(&[node("n", &json!({}))], "[]"), demands([1, 2]));
        let samples = headroom_of("{ workspaces: ws, cpu: '2', memory: 4Gi }", &capacity::Scene::of(&nodes, &pods, &demands));
        let ratios = samples.iter().filter(|sample| sample.family.name == "readiness_capacity_headroom_ratio").map(|sample| sample.value);
        ratios.collect::<Vec<_>>()
    };
    assert_eq!(left(0), [0.75, 0.5]);
    assert_eq!(left(1), [0.75, 0.5], "it may be the participant's own");
    assert_eq!(left(3), [0.25, 0.25]);
    assert_eq!(left(4), [0.0, 0.0]);
}

#[test]
fn a_workload_lacks_the_replicas_that_each_event_asks_for() {
    let own = |ready: u32, observed: u32| {
        json!({ "metadata": { "name": "app", "namespace": "a", "generation": 2 }, "spec": { "replicas": 4 },
            "status": { "observedGeneration": observed, "readyReplicas": ready } })
    };
    let lacks = |own: &Value, replicas: Option<u32>, changing: usize| {
        let (rows, mut samples) = (filled::<Deployment>(std::slice::from_ref(own)), Vec::new());
        workloads::asked::required(
            &rows.iter().collect::<Vec<_>>(),
            &Beside { changing, ..Beside::default() },
            "w",
            replicas.map(|replicas| [replicas; 2]),
            &place("Deployment"),
            &mut samples,
        );
        let missing = samples.iter().map(words).find_map(|line| Some(line.strip_prefix("workload_missing_replicas eu/s/Deployment/a/app/w = ")?.to_owned()));
        missing.unwrap()
    };
    assert_eq!([lacks(&own(4, 2), Some(4), 0), lacks(&own(4, 2), Some(0), 0), lacks(&own(4, 2), Some(6), 0)], ["0", "0", "2"]);
    assert_eq!([lacks(&own(4, 2), Some(6), 2), lacks(&own(4, 2), Some(6), 1)], ["NaN", "2"], "so many nodes are changing");
    assert_eq!([lacks(&own(4, 1), Some(4), 0), lacks(&own(4, 2), None, 0)], ["NaN", "NaN"]);
}

#[test]
fn a_band_that_is_advice_is_missed_and_not_owed() {
    let text = "{ name: llm, kind: Deployment, namespace: a, names: [app], replicas: [{ above: 0, replicas: 4 }, { above: 20, replicas: 6, advice: true }, { above: 30, replicas: 8 }] }";
    let selector: Selector = serde_saphyr::from_str(text).unwrap();
    assert_eq!([0, 20, 25, 31].map(|participants| selector.required(participants)), [[0, 0], [4, 4], [6, 4], [8, 8]]);
    let own = json!({ "metadata": { "name": "app", "namespace": "a", "generation": 2 }, "spec": { "replicas": 4 }, "status": { "observedGeneration": 2, "readyReplicas": 4 } });
    let (rows, mut samples) = (filled::<Deployment>(&[own]), Vec::new());
    workloads::asked::required(&rows.iter().collect::<Vec<_>>(), &Beside::default(), "w", Some(selector.required(25)), &place("Deployment"), &mut samples);
    let said: Vec<String> = samples.iter().map(words).collect();
    says(&said, "workload_required_replicas eu/s/Deployment/a/app/w = 6");
    says(&said, "workload_missing_replicas eu/s/Deployment/a/app/w = 2");
    says(&said, "workload_owed_replicas eu/s/Deployment/a/app/w = 0");
}
