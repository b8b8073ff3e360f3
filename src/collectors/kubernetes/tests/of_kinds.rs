//! Cases in which an estate of a common kind was read wrongly.

use serde_json::{Value, json};

use crate::collectors::kubernetes::capacity;
use crate::collectors::kubernetes::config::{Config, WorkspaceSelector};
use crate::collectors::kubernetes::kinds::certmanager;
use crate::collectors::kubernetes::kinds::karpenter;
use crate::collectors::kubernetes::kinds::monitoring;
use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::kinds::pod::Pod;
use crate::collectors::kubernetes::kinds::pods::Pods;
use crate::collectors::kubernetes::kinds::quotas;
use crate::collectors::kubernetes::kinds::services;
use crate::collectors::kubernetes::kinds::workloads;
use crate::collectors::kubernetes::kinds::workspaces::Workspaces;
use crate::collectors::kubernetes::kinds::{backups, volumes};
use crate::collectors::kubernetes::reading::clock::{self, Clock};
use crate::collectors::kubernetes::reading::objects::{Index, Kind, Rows};
use crate::collectors::kubernetes::tests::{ago, demands, headroom_of, place, pods, read, replicas, rows, says, told, words};

pub(in crate::collectors::kubernetes) fn filled<K: Kind>(objects: &[Value]) -> Rows<K> {
    let mut rows = Rows::only(&[]);
    rows.begin();
    for object in objects {
        rows.put(read(object), true);
    }
    rows.complete();
    rows
}

#[test]
fn backups_by_hand_and_of_deleted_schedules_are_no_schedule() {
    let schedule = |name: &str| json!({ "metadata": { "name": name }, "status": { "phase": "Enabled" } });
    let backup = |name: &str, schedule: Option<&str>, day: u32| {
        let labels = schedule.map_or_else(|| json!({}), |schedule| json!({ "velero.io/schedule-name": schedule }));
        let at = format!("2026-11-{day:02}T00:00:00Z");
        json!({ "metadata": { "name": name, "labels": labels }, "status": { "phase": "Completed", "startTimestamp": at, "completionTimestamp": at } })
    };
    let backups = [backup("before-upgrade", None, 1), backup("of-old", Some("old"), 2), backup("d1", Some("daily"), 19), backup("d2", Some("daily"), 20)];
    let said = |schedules: &[Value], backups: &[Value]| {
        let mut samples = Vec::new();
        backups::last_made(&filled(backups), &filled(schedules), &backups::Need::default(), &place("Schedule"), &mut samples);
        samples.iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(
        said(&[schedule("daily"), schedule("weekly")], &backups),
        [
            "velero_backup_last_completed_timestamp_seconds eu/daily = 1795132800",
            "velero_backup_last_success eu/daily = 1",
            "velero_backup_last_completed_timestamp_seconds eu/weekly = 0"
        ]
    );
    // What was never made has no age.
    let mut samples = Vec::new();
    backups::last_made(&filled(&backups), &filled(&[schedule("daily"), schedule("weekly")]), &backups::Need::default(), &place("Schedule"), &mut samples);
    let times = samples.iter().filter(|sample| sample.family.name.ends_with("last_completed_timestamp_seconds"));
    let said_of_times: Vec<_> = times.map(|sample| sample.detail.as_ref().map_or("", crate::say::Message::as_str)).collect();
    assert!(said_of_times[0].starts_with("the last one is ") && said_of_times[0].ends_with(" old"), "{said_of_times:?}");
    assert_eq!(said_of_times[1], "none is complete yet");
    // Without a schedule backups by hand are all that there is.
    assert_eq!(said(&[], &backups[..1]), ["velero_backup_last_completed_timestamp_seconds eu/ = 1793491200", "velero_backup_last_success eu/ = 1"]);
    assert_eq!(said(&[], &[]), Vec::<String>::new());
}

#[test]
fn a_schedule_that_runs_once_a_week_or_is_new_lacks_no_backup_beside_a_daily_one() {
    let now = clock::now();
    let at = |hours: i64| jiff::Timestamp::from_second(now - hours * 3600).unwrap();
    let schedule = |name: &str, times: &str, age: i64| json!({ "metadata": { "name": name, "creationTimestamp": at(age).to_string() }, "spec": { "schedule": times }, "status": { "phase": "Enabled" } });
    let backup = |schedule: &str, hours: i64| {
        json!({ "metadata": { "name": format!("{schedule}-{hours}"), "labels": { "velero.io/schedule-name": schedule } },
        "status": { "phase": "Completed", "startTimestamp": at(hours).to_string(), "completionTimestamp": at(hours).to_string() } })
    };
    let told = |schedules: &[Value], backups: &[Value]| {
        let mut samples = Vec::new();
        backups::last_made(&filled(backups), &filled(schedules), &backups::Need::default(), &place("Schedule"), &mut samples);
        let own = samples.iter().map(words).filter_map(|line| line.strip_prefix("velero_backup_last_completed_timestamp_seconds eu/").map(str::to_owned));
        own.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    // At the hour of a moment so many hours ago: once a week on its day, or every day.
    let weekly = |hours: i64| {
        let day = at(hours).to_zoned(jiff::tz::TimeZone::UTC);
        format!("0 {} * * {}", day.hour(), day.weekday().to_sunday_zero_offset())
    };
    let daily = |hours: i64| format!("0 {} * * *", at(hours).to_zoned(jiff::tz::TimeZone::UTC).hour());
    let base = schedule("daily", &daily(3), 9000);
    assert_eq!(told(&[base.clone(), schedule("full", &weekly(73), 9000)], &[backup("daily", 3), backup("full", 72)]), "daily");
    // Its run of three days ago left nothing.
    assert_eq!(told(&[base.clone(), schedule("full", &weekly(73), 9000)], &[backup("daily", 3), backup("full", 240)]), "daily full");
    assert_eq!(told(&[base.clone(), schedule("odd", "@reboot", 9000)], &[backup("daily", 3), backup("odd", 72)]), "daily odd", "cannot be read");
    assert_eq!(told(&[base.clone(), schedule("new", &daily(22), 1)], &[backup("daily", 3)]), "daily");
    assert_eq!(told(&[base.clone(), schedule("new", &daily(22), 100)], &[backup("daily", 3)]), "daily new");
    // Nothing of the last day makes up for it.
    assert_eq!(told(&[base.clone(), schedule("full", &weekly(73), 9000)], &[backup("daily", 30), backup("full", 72)]), "daily full");
    assert_eq!(told(&[schedule("new", &daily(22), 1)], &[]), "new");
}

#[test]
fn while_the_next_backup_runs_nobody_knows_whether_there_is_one_of_today() {
    let now = clock::now();
    let at = |seconds: i64| jiff::Timestamp::from_second(now - seconds).unwrap().to_string();
    let schedule = json!({ "metadata": { "name": "daily", "creationTimestamp": at(900_000) }, "spec": { "schedule": "CRON_TZ=Asia/Tokyo 0 2 * * *" }, "status": { "phase": "Enabled" } });
    let backup = |name: &str, phase: &str, begun: i64, done: Option<i64>| json!({ "metadata": { "name": name, "labels": { "velero.io/schedule-name": "daily" } }, "status": { "phase": phase, "startTimestamp": at(begun), "completionTimestamp": done.map(at) } });
    let told = |done: i64, begun: i64| {
        let mut samples = Vec::new();
        let backups = [backup("d1", "Completed", done + 60, Some(done)), backup("d2", "InProgress", begun, None)];
        backups::last_made(&filled(&backups), &filled(std::slice::from_ref(&schedule)), &backups::Need::default(), &place("Schedule"), &mut samples);
        samples.iter().map(words).find_map(|line| line.strip_prefix("velero_backup_last_completed_timestamp_seconds eu/daily = ").map(str::to_owned)).unwrap()
    };
    assert_eq!(told(86_700, 300), "NaN");
    assert_eq!(told(80_000, 300), (now - 80_000).to_string(), "that of yesterday is not a day old");
    assert_eq!(told(86_400 + 5 * 3600, 300), (now - 86_400 - 5 * 3600).to_string(), "nor does the one that runs make up for one that was missed");
    assert_eq!(told(86_400 + 3 * 3600, 5 * 3600), (now - 86_400 - 3 * 3600).to_string(), "it does not come to an end");
}

#[test]
fn a_volume_that_is_not_a_day_old_owes_no_snapshot() {
    let made = |seconds: i64| jiff::Timestamp::from_second(clock::now() - seconds).unwrap().to_string();
    let claim = |name: &str, age: i64| json!({ "metadata": { "name": name, "creationTimestamp": made(age) }, "spec": { "volumeName": "pv" }, "status": { "phase": "Bound" } });
    let told = |claims: &[Value]| {
        let mut samples = Vec::new();
        volumes::snapshots(&filled(claims), &filled(&[]), "coder", &place("PersistentVolumeClaim"), &mut samples);
        samples.iter().map(words).collect::<Vec<_>>()
    };
    assert_eq!(told(&[claim("old", 90_000), claim("new", 300)]), ["volume_usable_snapshots eu/coder/old = 0"]);
    assert_eq!(told(&[claim("new", 300)]), ["volume_usable_snapshots eu/coder/ = NaN"], "nobody has seen a snapshot yet");
}

#[test]
fn a_condition_about_an_older_version_of_an_object_says_nothing() {
    let certificate = |observed: i64| json!({ "metadata": { "name": "w", "namespace": "n", "generation": 3 }, "status": { "conditions": [{ "type": "Ready", "status": "True", "observedGeneration": observed }] } });
    says(&rows::<certmanager::Certificate>(&[certificate(3)]), "certmanager_certificate_ready eu/n/w = 1");
    says(&rows::<certmanager::Certificate>(&[certificate(1)]), "certmanager_certificate_ready eu/n/w = NaN");
    let pool = |observed: i64| json!({ "metadata": { "name": "p", "generation": 3 }, "status": { "conditions": [{ "type": "Ready", "status": "True", "observedGeneration": observed }] } });
    says(&rows::<karpenter::NodePool>(&[pool(3)]), "nodepool_condition_state eu/p/Ready = true");
    says(&rows::<karpenter::NodePool>(&[pool(2)]), "nodepool_condition_state eu/p/Ready = unknown");
}

#[test]
fn endpoints_without_a_port_or_that_end_serve_nobody() {
    let ready = |ports: Value, conditions: Value| {
        let slice = json!({ "metadata": { "name": "s", "namespace": "n" }, "addressType": "IPv4", "ports": ports, "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": conditions }] });
        let mut samples = Vec::new();
        services::endpoints(&filled(&[slice]), &services::Sides::default(), &|_| true, ["n", "s"], &place("EndpointSlice"), &mut samples);
        samples[0].value.to_string()
    };
    let port = || json!([{ "name": "https", "port": 8443 }]);
    for (ports, conditions, count) in [
        (port(), json!({}), "1"),
        (port(), json!({ "ready": true, "serving": true, "terminating": false }), "1"),
        (port(), json!({ "ready": false }), "0"),
        (port(), json!({ "ready": true, "serving": false, "terminating": true }), "0"),
        (json!(null), json!({ "ready": true }), "0"),
    ] {
        assert_eq!(ready(ports.clone(), conditions.clone()), count, "{ports} {conditions}");
    }
}

#[test]
fn a_pool_that_has_nodes_and_does_not_say_what_they_use_is_not_unused() {
    let used = |status: Value| {
        let pool = json!({ "metadata": { "name": "p" }, "spec": { "limits": { "cpu": "100", "nvidia.com/gpu": "4" } }, "status": status });
        let told = rows::<karpenter::NodePool>(&[pool]);
        ["cpu", "nvidia.com/gpu"]
            .map(|own| told.iter().find_map(|line| Some(line.strip_prefix(&format!("nodepool_used_ratio eu/p/{own} = "))?.to_owned())).unwrap())
    };
    let told = |cpu: &str, gpu: &str| [cpu.to_owned(), gpu.to_owned()];
    assert_eq!(used(json!({ "resources": {}, "nodes": 0 })), told("0", "0"));
    assert_eq!(used(json!({})), told("0", "0"), "it has made none");
    assert_eq!(used(json!({ "resources": {}, "nodes": 2 })), told("NaN", "NaN"));
    assert_eq!(used(json!({ "resources": { "cpu": "50" }, "nodes": 2 })), told("0.5", "0"), "none of them has GPUs");
    assert_eq!(used(json!({ "resources": { "memory": "1Gi" }, "nodes": 2 })), told("NaN", "0"));
}

#[test]
fn a_pool_of_a_fixed_size_may_have_all_of_its_nodes() {
    let pool = |replicas: Value| json!({ "metadata": { "name": "p" }, "spec": { "replicas": replicas, "limits": { "nodes": "3" } }, "status": { "resources": { "nodes": "3" } } });
    says(&rows::<karpenter::NodePool>(&[pool(json!(null))]), "nodepool_used_ratio eu/p/nodes = 1");
    assert!(!rows::<karpenter::NodePool>(&[pool(json!(3))]).iter().any(|line| line.contains("nodepool_used_ratio")));
}

#[test]
fn a_claim_whose_volume_is_gone_has_nothing_to_restore_from_that_counts() {
    let claim = |name: &str, volume: &str, phase: &str| json!({ "metadata": { "name": name, "creationTimestamp": "2026-11-01T00:00:00Z" }, "spec": { "volumeName": volume }, "status": { "phase": phase } });
    let copy = json!({ "metadata": { "name": "s" }, "spec": { "source": { "persistentVolumeClaimName": "gone" } }, "status": { "readyToUse": true, "creationTime": "2026-11-02T00:00:00Z" } });
    let mut samples = Vec::new();
    let claims = [claim("gone", "pv", "Lost"), claim("new", "", "Pending"), claim("good", "pv2", "Bound")];
    volumes::snapshots(&filled(&claims), &filled(&[copy]), "coder", &place("PersistentVolumeClaim"), &mut samples);
    assert_eq!(samples.iter().map(words).collect::<Vec<_>>(), ["volume_usable_snapshots eu/coder/gone = NaN", "volume_usable_snapshots eu/coder/good = 0"]);
}

#[test]
fn a_quota_of_ways_into_the_cluster_may_be_used_as_planned() {
    let quota = |hard: u32, used: u32| {
        let amounts = |count: u32| json!({ "services.loadbalancers": count.to_string(), "services.nodeports": count.to_string(), "persistentvolumeclaims": count.to_string() });
        rows::<quotas::ResourceQuota>(&[
            json!({ "metadata": { "name": "q", "namespace": "coder" }, "status": { "hard": amounts(hard), "used": amounts(used) } }),
        ])
    };
    let used = |said: Vec<String>| said.into_iter().filter(|line| line.starts_with("resourcequota_used_ratio")).collect::<Vec<_>>();
    assert_eq!(used(quota(1, 1)), ["resourcequota_used_ratio eu/coder/q/persistentvolumeclaims = 1"]);
    assert_eq!(used(quota(1, 2)).len(), 3);
    // Nobody may run pods without requests there, which is no lack of room for others.
    let scoped = json!({ "metadata": { "name": "q", "namespace": "n" }, "spec": { "scopes": ["BestEffort"] }, "status": { "hard": { "pods": "0" }, "used": { "pods": "0" } } });
    assert_eq!(used(rows::<quotas::ResourceQuota>(&[scoped])), ["resourcequota_used_ratio eu/n/q/pods = 0"]);
}

#[test]
fn a_prometheus_that_selects_by_expressions_does_not_select_everything() {
    let prometheus = |selector: Value| json!({ "metadata": { "name": "k8s", "namespace": "m" }, "spec": { "serviceMonitorSelector": selector } });
    let said = rows::<monitoring::Prometheus>(&[prometheus(json!({ "matchExpressions": [{ "key": "team", "operator": "In", "values": ["a", "b"] }] }))]);
    says(&said, "prometheus_servicemonitor_selector_info eu/m/k8s/team in (a,b) = 1");
    says(&rows::<monitoring::Prometheus>(&[prometheus(json!({}))]), "prometheus_servicemonitor_selector_info eu/m/k8s/ = 1");
    assert_eq!(rows::<monitoring::Prometheus>(&[prometheus(json!(null))]), ["prometheus_selects_servicemonitors eu/m/k8s = 0"]);
    // An operator of another version: neither yes nor no.
    let strange = rows::<monitoring::Prometheus>(&[prometheus(json!({ "matchExpressions": [{ "key": "a", "operator": "Near" }] }))]);
    assert_eq!(strange, ["prometheus_selects_servicemonitors eu/m/k8s = NaN"]);
}

#[test]
fn gpus_that_hardware_divides_are_gpus_and_a_node_with_broken_ones_is_none_without() {
    let groups = serde_saphyr::from_str("[{ name: gpus, at_least: 1, gpus: true }, { name: plain, at_least: 1, gpus: false }]").unwrap();
    let mut nodes = Nodes::new(Interests { groups, ..Interests::default() });
    let node = |name: &str, resource: &str, capacity: &str, allocatable: &str| {
        json!({ "metadata": { "name": name, "uid": name }, "status": { "conditions": [{ "type": "Ready", "status": "True" }],
            "capacity": { resource: capacity }, "allocatable": { resource: allocatable } } })
    };
    let mig = "nvidia.com/mig-1g.5gb";
    let all = [node("a", mig, "7", "7"), node("b", mig, "7", "0"), node("c", "amd.com/gpu", "1", "1"), node("d", "cpu", "8", "8")];
    nodes.begin();
    for node in &all {
        nodes.put(read(node), true);
    }
    nodes.complete();
    let mut samples = Vec::new();
    nodes.groups("eu", &mut samples);
    let groups: Vec<String> = samples.iter().map(words).collect();
    says(&groups, "node_group_ready_nodes eu/gpus = 2");
    says(&groups, "node_group_ready_nodes eu/plain = 1");
    let said = told(Nodes::new(Interests::default()), &all);
    says(&said, "node_gpu_capacity eu/b/ = 7");
    says(&said, "node_gpu_allocatable eu/b/ = 0");
}

#[test]
fn a_workspace_is_bounded_by_its_own_limits_or_those_of_its_pod_and_sidecars_count() {
    let selectors: Vec<WorkspaceSelector> = serde_saphyr::from_str("[{ name: ws, namespaces: [ws], cpu: { min: '2', max: '4' } }]").unwrap();
    let pod = |name: &str, spec: Value| json!({ "metadata": { "name": name, "namespace": "ws", "uid": name }, "spec": spec, "status": { "phase": "Running" } });
    let limits = |cpu: &str| json!({ "limits": { "cpu": cpu, "memory": "4Gi", "ephemeral-storage": "1Gi" } });
    let count = |spec: Value| {
        let said = told(Pods::new(3600, Workspaces::new(selectors.clone(), 3600), Clock::default()), &[pod("a", spec)]);
        let number = |what: &str| said.iter().find_map(|line| line.strip_prefix(what)?.parse::<u32>().ok()).unwrap();
        [
            number("workspace_containers_without_limit eu/ws/cpu = "),
            number("workspace_containers_without_limit eu/ws/memory = "),
            number("workspace_containers_outside_range eu/ws/cpu = "),
        ]
    };
    assert_eq!(count(json!({ "containers": [{ "name": "a", "resources": limits("2") }] })), [0, 0, 0]);
    assert_eq!(count(json!({ "containers": [{ "name": "a", "resources": { "limits": { "ephemeral-storage": "1Gi" } } }] })), [1, 1, 0]);
    assert_eq!(count(json!({ "containers": [{ "name": "a" }], "resources": limits("2") })), [0, 0, 0], "its pod has one");
    assert_eq!(count(json!({ "containers": [{ "name": "a" }], "resources": limits("16") })), [0, 0, 1]);
    let sidecar = json!([{ "name": "s", "restartPolicy": "Always" }, { "name": "i" }]);
    assert_eq!(count(json!({ "containers": [{ "name": "a", "resources": limits("2") }], "initContainers": sidecar })), [1, 1, 0]);
}

#[test]
fn where_no_workspace_is_there_nothing_is_said_of_limits() {
    let selectors: Vec<_> = serde_saphyr::from_str("[{ name: ws, namespaces: [ws], labels: { app: ws }, cpu: { min: '1', max: '4' } }]").unwrap();
    let pod = |app: &str, phase: &str| json!({ "metadata": { "name": "w", "namespace": "ws", "uid": "w", "labels": { "app": app } }, "spec": { "containers": [{ "name": "a" }] }, "status": { "phase": phase } });
    let limits = |pods: &[Value]| {
        let said = told(Pods::new(3600, Workspaces::new(selectors.clone(), 3600), Clock::default()), pods);
        said.iter().filter(|line| line.contains("_without_limit ") || line.contains("_outside_range ")).count()
    };
    assert_eq!([limits(&[]), limits(&[pod("other", "Running")]), limits(&[pod("ws", "Failed")])], [0; 3]);
    assert_eq!([limits(&[pod("ws", "Running")]), limits(&[pod("ws", "Pending")])], [4; 2]);
}

#[test]
fn what_a_sidecar_read_is_as_old_as_its_start() {
    let status = |name: &str, age: i64| json!({ "name": name, "state": { "running": { "startedAt": ago(age) } } });
    let oldest = |policy: Value| {
        let own = json!({ "metadata": { "name": "p" },
            "spec": { "containers": [{ "name": "main" }], "initContainers": [{ "name": "first", "restartPolicy": policy }] },
            "status": { "phase": "Running", "containerStatuses": [status("main", 60)], "initContainerStatuses": [status("first", 86400)] } });
        clock::now() - read::<Pod>(&own).oldest_start().unwrap()
    };
    assert!(oldest(json!("Always")) >= 86400, "it runs beside the others");
    assert!(oldest(json!(null)) < 3600, "it will be over before the others start anew");
}

#[test]
fn limits_of_a_pool_are_no_quota_of_the_account() {
    let pool = json!({ "metadata": { "name": "ws" }, "spec": { "limits": { "cpu": "1000" } }, "status": { "resources": { "cpu": "0" }, "conditions": [{ "type": "Ready", "status": "True" }] } });
    let (pools, claims) = (filled::<karpenter::NodePool>(&[pool]), filled::<karpenter::NodeClaim>(&[]));
    let (nodes, pods) = (Nodes::new(Interests::default()), Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default()));
    let headroom = |template: &str| {
        let config = format!("{{ workspaces: ws, cpu: '2', memory: 4Gi, nodepools: [{{ name: ws, cpu: '8', memory: 32Gi{template} }}] }}");
        let samples = headroom_of(&config, &capacity::Scene { karpenter: Some((&pools, &claims)), ..capacity::Scene::of(&nodes, &pods, &demands([10])) });
        samples.iter().map(words).filter(|line| line.contains("headroom_ratio")).collect::<Vec<_>>()
    };
    assert_eq!(headroom(""), ["capacity_headroom_ratio eu/w = NaN"]);
    assert_eq!(headroom(", max_nodes: 5"), ["capacity_headroom_ratio eu/w = 0.5"]);
    assert_eq!(headroom(", max_nodes: 0"), ["capacity_headroom_ratio eu/w = -1"]);
}

#[test]
fn self_managed_karpenter_and_auto_mode_stand_side_by_side() {
    let config: Config = serde_saphyr::from_str("{ karpenter: { node_classes: ec2, auto_mode: [auto] } }").unwrap();
    let watched = |name: &str| {
        let settings = serde_saphyr::from_str(&format!("{{ name: {name}, in_cluster: true }}")).unwrap();
        let cluster = crate::collectors::kubernetes::cluster::Cluster::new(&settings, &config.of(name), &[]);
        cluster.permissions().into_iter().find(|permission| permission.resource.ends_with("nodeclasses")).map(|permission| permission.group)
    };
    assert_eq!((watched("own").as_deref(), watched("auto").as_deref()), (Some("karpenter.k8s.aws"), Some("eks.amazonaws.com")));
    for (karpenter, wrong) in [
        ("{ node_classes: ec2, auto_mode: [ea] }", "karpenter.auto_mode[0]: must name a configured cluster"),
        ("{ node_classes: ec2, clusters: [us], auto_mode: [eu] }", "karpenter.auto_mode[0]: must be one of karpenter.clusters"),
    ] {
        let text =
            format!("clusters: [{{ name: eu, in_cluster: true }}, {{ name: us, kubeconfig: k }}]\ncollectors: {{ kubernetes: {{ karpenter: {karpenter} }} }}");
        let error = crate::config::load_str(&text, "wrong", std::path::Path::new("."), None).err().unwrap().to_string();
        assert!(error.contains(wrong), "{error}");
    }
}

#[test]
fn a_volume_without_any_snapshot_is_seen_and_snapshots_of_a_volume_that_is_gone_are_not() {
    let claim = |name: &str, volume: Value| json!({ "metadata": { "name": name, "namespace": "coder" }, "spec": { "volumeName": volume } });
    let snapshot = |name: &str, claim: &str, ready: bool, day: u32| {
        json!({ "metadata": { "name": name, "namespace": "coder" }, "spec": { "source": { "persistentVolumeClaimName": claim } },
            "status": { "readyToUse": ready, "creationTime": format!("2026-11-{day:02}T00:00:00Z") } })
    };
    let said = |claims: &[Value], snapshots: &[Value]| {
        let mut samples = Vec::new();
        volumes::snapshots(&filled(claims), &filled(snapshots), "coder", &place("PersistentVolumeClaim"), &mut samples);
        samples.iter().map(words).collect::<Vec<_>>()
    };
    let claims = [claim("db", json!("pvc-1")), claim("failed", json!("pvc-2")), claim("new", json!("pvc-3")), claim("pending", Value::Null)];
    let snapshots = [snapshot("a", "db", true, 1), snapshot("b", "db", true, 2), snapshot("c", "failed", false, 2), snapshot("d", "gone", true, 1)];
    assert_eq!(
        said(&claims, &snapshots),
        [
            "volume_usable_snapshots eu/coder/db = 2",
            "volume_snapshot_last_ready_timestamp_seconds eu/coder/db = 1793577600",
            "volume_usable_snapshots eu/coder/failed = 0",
            "volume_usable_snapshots eu/coder/new = 0",
        ]
    );
    // One that was taken before the claim was made is of its namesake.
    let mut young = claim("db", json!("pvc-9"));
    young["metadata"]["creationTimestamp"] = json!("2026-11-03T00:00:00Z");
    assert_eq!(said(&[young], &snapshots), ["volume_usable_snapshots eu/coder/db = 0"]);
    // A namespace whose name is misspelled has no volume at all, and that is not good news.
    assert_eq!(said(&[], &snapshots), ["volume_usable_snapshots eu/coder/ = NaN"]);
}

#[test]
fn what_is_being_deleted_is_as_good_as_gone() {
    let at = json!("2026-11-20T00:00:00Z");
    let deployment = |deleted: bool| {
        let mut object =
            json!({ "metadata": { "name": "litellm", "namespace": "litellm", "uid": "1" }, "spec": { "replicas": 2 }, "status": { "readyReplicas": 2 } });
        if deleted {
            object["metadata"]["deletionTimestamp"] = at.clone();
        }
        object
    };
    let mut rows = Rows::<workloads::Deployment>::only(&["litellm".to_owned()]);
    rows.begin();
    rows.put(read(&deployment(false)), true);
    rows.complete();
    assert_eq!((rows.len(), rows.missing().len()), (1, 0));
    assert!(rows.put(read(&deployment(true)), false), "a change");
    assert_eq!((rows.len(), rows.missing()), (0, vec!["litellm"]));
    // A claim that is being deleted is a node that is going away.
    let claim = json!({ "metadata": { "name": "ws-1", "deletionTimestamp": at }, "status": {} });
    assert_eq!(filled::<karpenter::NodeClaim>(&[claim]).len(), 1);
}

#[test]
fn a_rollout_is_complete_as_kubectl_says_it() {
    let complete = |kind: &str, spec: Value, status: Value| {
        let object = json!({ "metadata": { "name": "app", "namespace": "n", "generation": 1 }, "spec": spec, "status": status });
        let said = if kind == "Deployment" { replicas::<workloads::Deployment>(&[object]) } else { replicas::<workloads::StatefulSet>(&[object]) };
        said.iter().any(|line| line.starts_with("workload_rollout_complete") && line.ends_with("= 1"))
    };
    let status = |replicas: u32, updated: u32| json!({ "observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas.min(3), "updatedReplicas": updated, "availableReplicas": 3 });
    assert!(complete("Deployment", json!({ "replicas": 3 }), status(3, 3)));
    // The new pod never gets ready, and the old ones serve.
    assert!(!complete("Deployment", json!({ "replicas": 3 }), status(4, 3)));
    assert!(!complete("StatefulSet", json!({ "replicas": 3 }), status(3, 1)));
    let partitioned = json!({ "replicas": 3, "updateStrategy": { "rollingUpdate": { "partition": 2 } } });
    assert!(complete("StatefulSet", partitioned.clone(), status(3, 1)), "two are kept back on purpose");
    assert!(!complete("StatefulSet", partitioned, status(3, 0)));
}

#[test]
fn a_pod_of_which_its_kubelet_says_nothing_waits_and_one_that_is_deleted_does_not() {
    let pod = |more: Value| {
        let mut pod = json!({ "metadata": { "name": "a", "namespace": "n", "uid": "a", "creationTimestamp": "2026-11-20T00:00:00Z" },
            "spec": { "nodeName": "n1", "containers": [{ "name": "main" }] }, "status": { "phase": "Pending" } });
        for (key, value) in more.as_object().unwrap() {
            pod["metadata"][key] = value.clone();
        }
        told(Pods::new(3600, Workspaces::new(Vec::new(), 3600), Clock::default()), &[pod])
    };
    says(&pod(json!({})), "containers_waiting eu/n/creating/ContainerCreating = 1");
    assert!(!pod(json!({ "deletionTimestamp": "2026-11-20T01:00:00Z" })).iter().any(|line| line.starts_with("containers_waiting")));
}

#[test]
fn what_is_forbidden_is_not_used_up() {
    let quota = |resource: &str, hard: &str, used: &str| {
        let said = rows::<quotas::ResourceQuota>(&[
            json!({ "metadata": { "name": "q", "namespace": "n" }, "status": { "hard": { resource: hard }, "used": { resource: used } } }),
        ]);
        said.iter().find_map(|line| line.strip_prefix(&format!("resourcequota_used_ratio eu/n/q/{resource} = "))?.parse::<f64>().ok()).unwrap()
    };
    assert_eq!(format!("{:?}", [quota("services.loadbalancers", "0", "0"), quota("requests.nvidia.com/gpu", "0", "0")]), "[0.0, 0.0]");
    assert_eq!(format!("{:?}", [quota("services.nodeports", "0", "1"), quota("pods", "0", "0"), quota("pods", "10", "5")]), "[1.0, 1.0, 0.5]");
}

#[test]
fn a_pull_and_an_init_container_that_runs_have_times_of_their_own() {
    let pod = |conditions: Value, reason: &str, init: Value| {
        let mut all = json!([{ "type": "ContainersReady", "status": "False", "lastTransitionTime": ago(720) }]);
        all.as_array_mut().unwrap().extend(conditions.as_array().unwrap().clone());
        let main = json!([{ "name": "c", "state": { "waiting": { "reason": reason } } }]);
        let status = json!({ "phase": "Pending", "startTime": ago(720), "conditions": all, "containerStatuses": main, "initContainerStatuses": init });
        let spec = json!({ "nodeName": "n", "initContainers": [{ "name": "side", "restartPolicy": "Always" }, { "name": "restore" }] });
        let told = pods(&[json!({ "metadata": { "name": "p", "namespace": "ws", "uid": "p" }, "spec": spec, "status": status })]);
        let oldest = told.iter().find_map(|line| line.strip_prefix("containers_waiting_oldest_timestamp_seconds eu/ws/")).unwrap();
        let (class, since) = oldest.split_once(" = ").unwrap();
        (class.to_owned(), clock::now() - since.parse::<i64>().unwrap())
    };
    let sandbox = |status: &str| json!([{ "type": "PodReadyToStartContainers", "status": status, "lastTransitionTime": ago(240) }]);
    let is = |class: &str, age: i64| (class.to_owned(), age);
    assert_eq!(pod(json!([]), "ContainerCreating", json!([])), is("creating/ContainerCreating", 720));
    assert_eq!(pod(sandbox("False"), "ContainerCreating", json!([])), is("creating/ContainerCreating", 720));
    assert_eq!(pod(sandbox("True"), "ContainerCreating", json!([])), is("initializing/ContainerCreating", 240));
    let runs = |name: &str| json!([{ "name": name, "state": { "running": { "startedAt": ago(700) } } }]);
    assert_eq!(pod(sandbox("True"), "PodInitializing", runs("restore")), is("init_running/PodInitializing", 700));
    let again = json!([{ "name": "restore", "restartCount": 3, "state": { "running": { "startedAt": ago(60) } } }]);
    assert_eq!(pod(sandbox("True"), "PodInitializing", again), is("init_running/PodInitializing", 720), "it fails and is started again");
    assert_eq!(pod(sandbox("True"), "PodInitializing", runs("side")), is("initializing/PodInitializing", 720), "a sidecar that runs is not ready");
    assert_eq!(pod(json!([]), "PodInitializing", json!([])), is("initializing/PodInitializing", 720));
}

/// Who lost a load balancer has another trouble than who got a new one.
#[test]
fn a_service_without_an_address_has_none_that_could_be_another_one() {
    let service = |addresses: Value| json!({ "metadata": { "name": "coder", "namespace": "coder" }, "spec": { "type": "LoadBalancer" }, "status": { "loadBalancer": { "ingress": addresses } } });
    let told = |addresses: Value| {
        let mut samples = Vec::new();
        services::address_match(&filled(&[service(addresses)]), "10.0.0.1", &place("Service"), &mut samples);
        (samples[0].value.to_string(), samples[0].detail.as_ref().unwrap().to_string())
    };
    let said = |value: &str, has: &str| (value.to_owned(), format!("its load balancer has {has}, expected 10.0.0.1"));
    assert_eq!(told(json!([])), said("NaN", "no address yet"));
    assert_eq!(told(json!([{ "ip": "10.0.0.2" }])), said("0", "10.0.0.2"));
    assert_eq!(told(json!([{ "ip": "10.0.0.1" }])), said("1", "10.0.0.1"));
}
