use super::*;

/// Asks about the state of one node group, and of workloads whose name is litellm.
const OWN: &str = "checklist: own
title: Own
sections:
- title: S
  checks:
  - { name: Group, item: '1', title: t, metric: readiness_node_group_ready_nodes, where: { group: cpu }, fails: { below: 1 }, evidence: e, remedy: r }
  - { name: Workload, item: '2', title: t, metric: readiness_workload_ready_replicas, where: { selector: litellm }, fails: { below: 1 }, evidence: e, remedy: r }
";

/// Two contexts for one server, and one for a cluster that it tells apart by another name.
const KUBECONFIG: &str = "apiVersion: v1
kind: Config
clusters: [{ name: a, cluster: { server: 'https://shared.example' } }, { name: b, cluster: { server: 'https://shared.example/' } }, { name: c, cluster: { server: 'https://shared.example', tls-server-name: c.example } }]
contexts: [{ name: a, context: { cluster: a } }, { name: b, context: { cluster: b } }, { name: c, context: { cluster: c } }]
";

fn told(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("said.yaml"), "- { attest: OnCalConfirmed, who: Ada, at: 2026-11-20T00:00:00Z }\n").unwrap();
    std::fs::write(folder.path().join("own.yaml"), OWN).unwrap();
    std::fs::write(folder.path().join("kubeconfig"), KUBECONFIG).unwrap();
    let loaded = config::load_str(text, "readiness.yaml", folder.path(), Some(std::collections::BTreeMap::new())).unwrap();
    let tasks = loaded.tasks(&std::sync::Arc::new(crate::state::State::open(None))).unwrap();
    let now = "2026-11-21T00:00:00Z".parse().unwrap();
    let told = warnings(&loaded, tasks.iter().map(|task| &task.source), now);
    told.iter().map(|warning| warning.to_string().replace(&*folder.path().to_string_lossy(), "FOLDER")).collect()
}

const COMING: &str = "events: [{ name: demo, time_zone: UTC, start: '2026-11-25T09:00', duration: 2h }]\n";

const TARGET: &str = "collectors: { http: { targets: [{ name: app, url: 'https://app.example/' }] } }\n";

#[test]
fn what_is_right_is_not_warned_of() {
    for events in [COMING, ""] {
        assert_eq!(told(&format!("{events}{TARGET}")), [""; 0], "who prepares for nothing needs no event");
    }
}

#[test]
fn an_event_that_is_over_is_told() {
    let told = told(&format!("events: [{{ name: demo, time_zone: UTC, start: '2026-01-01T09:00', duration: 2h }}]\n{TARGET}"));
    assert_eq!(
        told,
        ["events[0]: demo is over, so nothing is prepared for it", "events: no event of checklist workshop is coming, so it is judged as if one were now"]
    );
}

#[test]
fn an_event_that_happens_all_the_time_is_told() {
    let often = |cron: &str| told(&format!("events: [{{ name: demo, time_zone: UTC, cron: '{cron}', duration: 30m }}]\n{TARGET}"));
    assert_eq!(
        often("0 * * * *"),
        ["events[0]: demo happens more than 8 times within its first lead time, and only the next 8 are judged; shorten lead_times"]
    );
    assert_eq!(often("0 9 * * *"), [""; 0]);
}

#[test]
fn a_cluster_that_no_collector_asks_is_told() {
    let clusters = "clusters: [{ name: eu, in_cluster: true }]\n";
    let told = told(&format!("{COMING}{clusters}{TARGET}"));
    let unused = "clusters[0]: no collector uses cluster eu; collectors.kubernetes looks at all clusters once it is set";
    assert_eq!(told, [unused]);
    // Whose mirror it is tells nothing of what it runs.
    let mirror = "{ name: own, image: 'a.example/app:1', clusters: [eu] }";
    let group = format!("{{ name: app, upstream: 'b.example/app:1', mirrors: [{mirror}] }}");
    let of_mirror = self::told(&format!("{COMING}{clusters}collectors: {{ registry: {{ groups: [{group}] }} }}\n"));
    assert!(of_mirror.iter().any(|line| line == unused), "{of_mirror:#?}");
}

#[test]
fn what_is_looked_at_twice_under_two_names_is_told() {
    let text = format!(
        "{COMING}clusters: [{{ name: eu, server: 'https://API.example', token: {{ file: a }} }}, {{ name: us, server: 'https://api.example/', token: {{ file: b }} }}, {{ name: asia, server: 'https://api.example/asia', token: {{ file: b }} }}, {{ name: a, kubeconfig: kubeconfig, context: a }}, {{ name: b, kubeconfig: kubeconfig, context: b }}, {{ name: c, kubeconfig: kubeconfig, context: c }}]\ncollectors: {{ kubernetes: {{}}, http: {{ targets: [{{ name: app, url: 'https://app.example/' }}, {{ name: guide, kind: document, url: 'https://app.example/' }}, {{ name: copy, url: 'https://app.example/' }}] }} }}\n"
    );
    let told: Vec<_> = told(&text).into_iter().filter(|line| line.contains("same")).collect();
    assert_eq!(
        told,
        [
            "clusters[1]: us has the same server as eu; if they are two clusters behind it, say which by the uid of the namespace kube-system of each, in collectors.kubernetes.objects",
            "clusters[4]: b has the same server as a; if they are two clusters behind it, say which by the uid of the namespace kube-system of each, in collectors.kubernetes.objects",
            "collectors.http.targets[2]: copy asks the very same as app, so it proves nothing more; one of them may be a copy that was not finished",
        ]
    );
}

#[test]
fn the_case_of_letters_makes_no_other_target() {
    let twins = |collectors: &str| {
        let told = told(&format!("{COMING}collectors: {{ {collectors} }}\n"));
        told.into_iter().filter(|line| line.contains("the very same") || line.contains("the same name")).collect::<Vec<_>>()
    };
    let http = |url: &str| twins(&format!("http: {{ targets: [{{ name: a, url: 'https://a.example/' }}, {{ name: b, url: '{url}' }}] }}"));
    let twin = "collectors.http.targets[1]: b asks the very same as a, so it proves nothing more; one of them may be a copy that was not finished";
    for same in ["https://A.example/", "https://a.example", "https://a.example:443/"] {
        assert_eq!(http(same), [twin], "{same}");
    }
    assert_eq!([http("https://a.example/A"), http("http://a.example/"), http("https://*.a.example/")].concat(), [""; 0]);
    let tls = |target: &str| twins(&format!("tls: {{ targets: [{{ name: a, address: 'a.example:443' }}, {{ name: b, {target} }}] }}"));
    assert_eq!(tls("address: 'A.example:443'").len() + tls("address: 'a.example:443', server_name: A.example").len(), 2);
    assert_eq!(tls("address: 'a.example:8443'").len() + tls("address: 'a.example:443', server_name: b.example").len(), 0);
    let dns = |name: &str| twins(&format!("dns: {{ names: [{{ name: good.example }}, {{ name: {name} }}] }}"));
    let twin = "collectors.dns.names[1]: GOOD.example. is the same name as good.example for every resolver, so it is asked and counted twice";
    assert_eq!((dns("GOOD.example."), dns("better.example")), (vec![twin.to_owned()], Vec::new()));
}

#[test]
fn a_waiver_of_what_prometheus_judges_is_told() {
    let told = told(&format!("{COMING}{TARGET}waivers: [{{ check: NodeStorageFillsUp, who: Ada, why: w, until: 2026-11-30T00:00:00Z }}]\n"));
    assert_eq!(told, ["waivers[0].check: NodeStorageFillsUp is judged by Prometheus alone, which no waiver reaches; silence its alert instead"]);
}

#[test]
fn files_and_variables_that_are_not_there_are_told() {
    let text = format!(
        "{COMING}state_file: no-folder/state.json\nattestations: {{ file: absent.yaml }}\ncollectors: {{ http: {{ targets: [{{ name: app, url: 'https://app.example/', headers: [{{ name: Authorization, value_from: {{ env: NO_SUCH_TOKEN }} }}, {{ name: X-Key, value_from: {{ file: key }} }}] }}] }} }}\n"
    );
    let told = told(&text);
    for (path, rule) in [
        ("state_file", "its folder is not there"),
        ("attestations.file", "there is no such file"),
        ("collectors.http.targets[0].headers[0].value_from.env", "environment variable NO_SUCH_TOKEN is not set"),
        ("collectors.http.targets[0].headers[1].value_from.file", "there is no such file"),
    ] {
        assert!(told.iter().any(|line| line.starts_with(&format!("{path}: {rule}"))), "{path}: {rule} is not in {told:#?}");
    }
    assert_eq!(told.len(), 4, "{told:#?}");
}

#[test]
fn waivers_and_confirmations_that_match_nothing_are_told() {
    let text = format!(
        "{COMING}attestations: {{ file: said.yaml }}\nwaivers:\n- {{ check: NodeNotReady, labels: {{ cluster: eu, nod: a }}, who: Ada, why: w, until: 2026-11-20T00:00:00Z }}\nclusters: [{{ name: eu, in_cluster: true }}]\ncollectors: {{ kubernetes: {{}} }}\n"
    );
    let told = told(&text);
    for line in [
        "waivers[0].until: is over, so NodeNotReady is waived no longer",
        "waivers[0].labels: no line of NodeNotReady has the label nod, so nothing is waived",
        "attestations.file: entry 1 (OnCalConfirmed): no checklist has a line of this name that a person confirms; did you mean OnCallConfirmed?",
    ] {
        assert!(told.iter().any(|own| own == line), "{line} is not in {told:#?}");
    }
}

#[test]
fn a_waiver_of_what_is_not_asked_is_told() {
    let waiver = "waivers: [{ check: EndpointUnhealthy, who: Ada, why: w, until: 2026-11-30T00:00:00Z }, { check: NodeNotReady, who: Ada, why: w, until: 2026-11-30T00:00:00Z }]\n";
    let off = "checklists: [{ name: workshop, overrides: { EndpointUnhealthy: { enabled: false } } }]\n";
    let told: Vec<_> = told(&format!("{COMING}{TARGET}{waiver}{off}")).into_iter().filter(|line| line.starts_with("waivers")).collect();
    assert_eq!(
        told,
        [
            "waivers[0].check: EndpointUnhealthy is disabled in the overrides, so nothing is waived",
            "waivers[1].check: NodeNotReady judges what the kubernetes collector sees, which is not configured, so nothing is waived",
        ]
    );
}

#[test]
fn a_configuration_that_looks_at_nothing_is_told() {
    let none = "collectors: none is configured, so only what people confirm is judged; `readiness-exporter config init` prints a file with your clusters and endpoints";
    assert_eq!(told(COMING), [none]);
    // A name with nothing behind it, most often as all that was there is a comment.
    let off = "collectors.http: nothing stands below it, so it is off; `http: {}` takes all defaults";
    assert_eq!(told(&format!("{COMING}collectors:\n  http:\n    # targets: []\n")), [none, off]);
    assert_eq!(
        told(&format!("{COMING}collectors: {{ http: {{ targets: [] }} }}\n")),
        ["collectors: nothing is named in them that could be looked at, such as a target"]
    );
}

#[test]
fn a_method_in_small_letters_is_told() {
    let method = |method: &str| told(&format!("{COMING}{}", TARGET.replace("name: app", &format!("name: app, method: {method}"))));
    assert_eq!(method("get"), ["collectors.http.targets[0].method: is another method than GET to most servers, who refuse it (got \"get\")"]);
    assert_eq!((method("GET"), method("purge")), (vec![], vec![]));
}

#[test]
fn shares_that_leave_people_without_room_are_told() {
    let share = |share: &str, clusters: &str| {
        let text = format!(
            "clusters: [{clusters}]\ncollectors: {{ kubernetes: {{ workspaces: [{{ name: people, namespaces: [coder] }}], capacity: {{ workspaces: people, cpu: '1', memory: 1Gi, share: {share} }} }} }}\n"
        );
        told(&format!("{COMING}{text}")).into_iter().filter(|line| line.contains("share")).collect::<Vec<_>>()
    };
    let (one, two) = ("{ name: eu, in_cluster: true }", "{ name: eu, in_cluster: true }, { name: us, kubeconfig: kubeconfig }");
    assert_eq!(share("0.1", one), ["collectors.kubernetes.capacity.share: is 0.1 in 1 of the clusters, so room is asked for 10 % of the participants in all"]);
    assert_eq!([share("0.5", two), share("1", one), share("0.7", two)].concat(), [""; 0]);
}

#[test]
fn a_waiver_of_an_event_that_is_judged_elsewhere_is_told() {
    let own = "checklists: [{ name: workshop }, { name: own, file: own.yaml }]\n";
    let waiver = |more: &str| {
        let text = format!("{COMING}{TARGET}{own}waivers: [{{ check: EndpointUnhealthy, who: Ada, why: w, until: 2026-11-30T00:00:00Z{more} }}]\n");
        told(&text).into_iter().filter(|line| line.starts_with("waivers")).collect::<Vec<_>>()
    };
    assert_eq!(waiver(", event: demo"), [""; 0]);
    let label = "waivers[0].labels: no line of EndpointUnhealthy has the label event, so nothing is waived; write event beside labels";
    assert_eq!(waiver(", labels: { event: demo }"), [label]);
}

#[test]
fn a_waiver_that_ends_before_its_event_is_told() {
    let waiver =
        |until: &str, more: &str| told(&format!("{COMING}{TARGET}waivers: [{{ check: EndpointUnhealthy, who: Ada, why: w, until: {until}{more} }}]\n"));
    assert_eq!(waiver("2026-11-25T11:00:00Z", ""), [""; 0]);
    assert_eq!(waiver("2026-11-25T10:59:00Z", ""), ["waivers[0].until: is before demo is over, at 2026-11-25T11:00:00Z"]);
}

#[test]
fn a_waiver_of_a_target_that_there_is_not_is_told() {
    let waiver = |target: &str| {
        let waiver = format!("waivers: [{{ check: EndpointUnhealthy, labels: {{ target: {target} }}, who: Ada, why: w, until: 2026-11-30T00:00:00Z }}]\n");
        told(&format!("{COMING}{TARGET}{waiver}"))
    };
    assert_eq!(waiver("app"), [""; 0]);
    assert_eq!(
        waiver("apq"),
        ["waivers[0].labels.target: no target that EndpointUnhealthy asks about is called so, and nothing is waived; did you mean app? (got \"apq\")"]
    );
}

#[test]
fn a_waiver_that_names_what_there_is_not_is_told_and_refused_nowhere() {
    let waiver = |check: &str, labels: &str| {
        let waiver = format!("waivers: [{{ check: {check}, labels: {{ {labels} }}, who: Ada, why: w, until: 2026-11-30T00:00:00Z }}]\n");
        let told = told(&format!("{COMING}{NAMED}{waiver}"));
        told.into_iter().filter(|line| line.starts_with("waivers[0].labels")).collect::<Vec<_>>()
    };
    for (check, labels, wrong) in [
        ("NodeNotReady", "cluster: eu", ""),
        ("NodeNotReady", "cluster: ue", "cluster"),
        ("NodeNotReady", "cluster: eu, node: n1", ""),
        ("CredentialMissing", "credential: key", ""),
        ("CredentialMissing", "credential: kez", "credential"),
        ("RotationHitsEvent", "event: demo", ""),
        ("RotationHitsEvent", "event: demo +1", ""),
        ("RotationHitsEvent", "event: dmo", "event"),
        ("RotationHitsEvent", "rotation: weakly", "rotation"),
        ("RegistryUnavailable", "registry: ghcr.example", "registry"),
    ] {
        let told = waiver(check, labels);
        match wrong {
            "" => assert_eq!(told, [""; 0], "{check} {labels}"),
            label => {
                let start = format!("waivers[0].labels.{label}: no {label} that {check} asks about is called so, and nothing is waived");
                assert!(told.len() == 1 && told[0].starts_with(&start), "{check} {labels}: {told:?}");
            }
        }
    }
}

/// An estate that names one thing of every sort that can be named.
const NAMED: &str = "
clusters: [{ name: eu, in_cluster: true }]
collectors:
  kubernetes:
    workloads:
    - { name: litellm, kind: Deployment, namespace: llm, names: [litellm] }
    - { name: cleanup, kind: CronJob, namespace: llm, names: [cleanup] }
    services: [{ namespace: llm, name: litellm }]
    workspaces: [{ name: people, namespaces: [coder] }]
    node_groups: [{ name: gpu, at_least: 2 }]
    images: [ghcr.io/a/b:v1]
    access: [{ verb: get, resource: pods }]
    objects: [{ resource: secrets, namespace: llm, name: keys }]
    clients: [{ name: kubectl, version: v1.33.1 }]
    karpenter: { node_classes: ec2 }
    gpu_operator: {}
    capacity: { workspaces: people, cpu: '1', memory: 1Gi }
    prometheus: {}
    cert_manager: {}
    backups: { velero: velero, volume_snapshots: [coder] }
  registry: { images: [ghcr.io/a/b:v1] }
  credentials: { credentials: [{ name: key, kind: date, from: { file: key }, expires: 2027-01-01 }, { name: copy, kind: date, from: { file: key }, expires: 2027-01-01 }] }
  rotations:
    rotations: [{ name: weekly, schedule: '0 4 * * 1' }]
    copies: [{ name: both, credentials: [key, copy] }]
    consumers: [{ credential: key, workloads: litellm }]
";

#[test]
fn everything_that_can_be_named_is_told_where_an_own_checklist_passes_over_it() {
    let told = |checklist: &str| {
        let told = told(&format!("{checklist}{NAMED}"));
        let line = |line: &String| {
            line.strip_prefix("checklists: ")?.strip_suffix(" is looked at, but no check of a configured checklist asks about it.").map(str::to_owned)
        };
        told.iter().filter_map(line).collect::<Vec<_>>()
    };
    assert_eq!(told(""), ["kubernetes workload cleanup of cluster eu"], "nobody asks what a CronJob does until a rotation names it");
    assert_eq!(told("checklists: [{ name: estate }]\n"), told(""), "whatever is configured is asked about by the estate's checklist");
    let named = NAMED.replace("[{ name: weekly,", "[{ name: cleanup, cron_jobs: cleanup }, { name: weekly,");
    assert!(!self::told(&named).iter().any(|line| line.ends_with("asks about it.")), "the shipped checklist asks about all the rest");
    assert_eq!(
        told("checklists: [{ name: own, file: own.yaml }]\n"),
        [
            "kubernetes workload cleanup of cluster eu",
            "kubernetes service llm/litellm of cluster eu",
            "kubernetes workspaces people of cluster eu",
            "kubernetes node group gpu of cluster eu",
            "kubernetes cached image ghcr.io/a/b:v1 of cluster eu",
            "kubernetes access of self to get pods of cluster eu",
            "kubernetes object secrets keys of cluster eu",
            "kubernetes client kubectl of cluster eu",
            "kubernetes karpenter of cluster eu",
            "kubernetes gpu_operator of cluster eu",
            "kubernetes capacity of cluster eu",
            "kubernetes prometheus of cluster eu",
            "kubernetes cert_manager of cluster eu",
            "kubernetes backups.velero of cluster eu",
            "kubernetes backups.volume_snapshots of cluster eu",
            "registry ghcr.io",
            "registry image ghcr.io/a/b, v1",
            "credentials key of kind date",
            "credentials copy of kind date",
            "rotations rotation weekly",
            "rotations copies both",
            "rotations consumer litellm of key",
        ]
    );
}

#[test]
fn a_target_that_no_check_asks_about_is_told() {
    let target = "collectors: { http: { targets: [{ name: app, kind: helthz, url: 'https://app.example/' }] } }\n";
    assert_eq!(
        told(&format!("{COMING}{target}")),
        [
            "checklists: http app of kind helthz is looked at, but no check of a configured checklist asks about it; checks ask about kind document, healthz, wildcard. \
                 EndpointIdentityMismatch asks about it once you add `expect.identity` to a target in collectors.http.targets."
        ]
    );
}

/// A line that says that something is missing must say what.
#[test]
fn every_metric_that_an_entry_may_lack_says_what_makes_it() {
    let text = "collectors:\n  http: { targets: [{ name: a, url: 'https://a.example/' }] }\n  tls: { targets: [{ name: a, address: 'a.example:443' }] }\n  dns: { system_resolver: false, resolvers: [{ name: r, address: '192.0.2.1:53' }], names: [{ name: '*.a.example' }] }\n";
    let loaded = config::load_str(text, "readiness.yaml", std::path::Path::new("/nowhere"), Some(std::collections::BTreeMap::new())).unwrap();
    let tasks = loaded.tasks(&std::sync::Arc::new(crate::state::State::open(None))).unwrap();
    let mut lacking = Vec::new();
    for check in loaded.checklists.iter().flat_map(Checklist::checks) {
        let Kind::Fact { family, .. } = &check.kind else { continue };
        let sources = || tasks.iter().map(|task| &task.source).filter(|source| source.collector == collectors::owner(family.name));
        let is_lacking = sources().next().is_some() && !sources().any(|source| source.emits.contains(&family.name));
        if is_lacking {
            assert!(family.made_by.is_some() || sources().any(|source| source.off.iter().any(|(off, _)| *off == family.name)), "{}", family.name);
            lacking.push(check.name.as_str());
        }
    }
    assert_eq!(lacking, ["DnsTargetMismatch", "DnsNameFallsToWildcard", "DnsResolversDisagree", "EndpointIdentityMismatch"]);
}
