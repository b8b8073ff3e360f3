//! The Helm chart, checked by helm itself: every object of a matrix of values is read back into its
//! type, the roles are those of `config rbac`, and wrong values are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::common::{Running, exporter, repository, run};
use crate::slack::own_host;

fn helm(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(repository("target/peers/bin/helm"));
    // A helm that was built from source believes that it knows no newer Kubernetes.
    run(command.args(arguments).current_dir(repository("")))
}

/// What the chart renders with these values.
fn template(values: &str) -> Result<Vec<Value>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    let (code, out, errors) =
        helm(&["template", "r", "deploy/chart", "--namespace", "readiness", "--kube-version", "1.33.0", "--values", file.to_str().unwrap()]);
    if code != 0 {
        return Err(errors);
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&out).unwrap_or_else(|error| panic!("{error}\n{out}"));
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

fn rendered(values: &str) -> Vec<Value> {
    template(values).unwrap_or_else(|error| panic!("{values}\n{error}"))
}

/// Reads an object into its type and back: a field that the type does not know would be lost.
fn typed<T: DeserializeOwned + Serialize>(object: &Value) -> T {
    let read: T = serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    let again = serde_json::to_value(&read).unwrap();
    assert_eq!(&again, object, "a field is lost");
    read
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

fn check_types(objects: &[Value]) {
    for object in objects {
        match object["kind"].as_str().unwrap() {
            "Deployment" => drop(typed::<Deployment>(object)),
            "ConfigMap" => drop(typed::<ConfigMap>(object)),
            "Service" => drop(typed::<Service>(object)),
            "ServiceAccount" => drop(typed::<ServiceAccount>(object)),
            "PersistentVolumeClaim" => drop(typed::<PersistentVolumeClaim>(object)),
            "NetworkPolicy" => drop(typed::<NetworkPolicy>(object)),
            "Ingress" => drop(typed::<Ingress>(object)),
            "PodDisruptionBudget" => drop(typed::<PodDisruptionBudget>(object)),
            "Role" => drop(typed::<Role>(object)),
            "ClusterRole" => drop(typed::<ClusterRole>(object)),
            "RoleBinding" => drop(typed::<RoleBinding>(object)),
            "ClusterRoleBinding" => drop(typed::<ClusterRoleBinding>(object)),
            // Kinds of the Prometheus Operator, which no typed crate has.
            "ServiceMonitor" | "PrometheusRule" => assert!(object["apiVersion"] == "monitoring.coreos.com/v1" && object["spec"].is_object()),
            other => panic!("{other} is an object that nobody expects"),
        }
    }
}

const EVERYTHING: &str = "
image: { repository: r.example/readiness, digest: sha256:0123456789012345678901234567890123456789012345678901234567890123 }
imagePullSecrets: [{ name: pull }]
attestations: [{ attest: OnCallConfirmed, who: Ada, at: 2026-11-30T16:00:00Z }]
config: { attestations: { file: attestations.yaml } }
rbac: { extraRules: [{ apiGroups: [''], resources: [configmaps], verbs: [get] }] }
serviceAccount: { annotations: { eks.amazonaws.com/role-arn: arn:aws:iam::123456789012:role/readiness } }
web: { externalUrl: 'https://example.com/readiness/', routePrefix: / }
ingress: { enabled: true, className: nginx, annotations: { a: b }, tlsSecret: certificate }
webConfig: { existingSecret: web }
serviceMonitor: { enabled: true, labels: { release: prometheus }, scheme: https, tlsConfig: { insecureSkipVerify: true }, basicAuth: { username: { name: web, key: user } } }
prometheusRule: { enabled: true, labels: { release: prometheus }, alertLabels: { team: platform }, disabled: [NodeCordoned, ReadinessLabelsRenamed] }
dashboards: { annotations: { folder: Readiness } }
networkPolicy: { from: [{ namespaceSelector: { matchLabels: { name: monitoring } } }] }
persistence: { enabled: true, storageClassName: gp3 }
extraEnv: [{ name: A, value: b }]
extraEnvFrom: [{ secretRef: { name: s } }]
extraVolumes: [{ name: keys, secret: { secretName: keys } }]
extraVolumeMounts: [{ name: keys, mountPath: /keys }]
extraArgs: ['--log.level=debug']
podAnnotations: { a: b }
podLabels: { c: d }
nodeSelector: { kubernetes.io/arch: arm64 }
tolerations: [{ key: a, operator: Exists }]
priorityClassName: high
";

const NOTHING: &str = "
rbac: { create: false }
serviceAccount: { create: false, name: own }
dashboards: { enabled: false }
networkPolicy: { enabled: false }
podDisruptionBudget: { enabled: false }
config: { collectors: { tls: { targets: [{ name: a, address: 'a.example:443' }] } } }
";

#[test]
fn helm_finds_nothing_to_complain_about() {
    let (code, out, errors) = helm(&["lint", "--strict", "deploy/chart"]);
    assert_eq!(code, 0, "{out}{errors}");
}

#[test]
fn every_object_of_every_combination_is_what_kubernetes_knows() {
    let full = rendered(EVERYTHING);
    check_types(&full);
    for values in [
        "",
        NOTHING,
        "persistence: { enabled: true, existingClaim: mine }",
        "fullnameOverride: short",
        "service: { type: LoadBalancer, port: 80 }",
        "{ web: { externalUrl: 'http://example.com' }, ingress: { enabled: true } }",
    ] {
        check_types(&rendered(values));
    }
    let kinds = |objects: &[Value]| objects.iter().map(|object| object["kind"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(kinds(&rendered(NOTHING)), ["ConfigMap", "Deployment", "Service"].map(str::to_owned).into());
    assert!(kinds(&full).is_superset(
        &["PersistentVolumeClaim", "Ingress", "PrometheusRule", "ServiceMonitor", "NetworkPolicy", "PodDisruptionBudget"].map(str::to_owned).into()
    ));
    let monitor = of_kind(&full, "ServiceMonitor")[0];
    assert_eq!(monitor["spec"]["endpoints"][0]["honorLabels"], true);
    let claim = &of_kind(&rendered("persistence: { enabled: true, existingClaim: mine }"), "PersistentVolumeClaim").len();
    assert_eq!(*claim, 0, "a claim of somebody else is used and not made");
    // Every placeholder of an alert is still there: the rules were read and not templated.
    let rules: Vec<&Value> = of_kind(&full, "PrometheusRule")
        .into_iter()
        .flat_map(|rule| rule["spec"]["groups"].as_array().unwrap())
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    let names: Vec<&str> = rules.iter().filter_map(|rule| rule["alert"].as_str()).collect();
    let shipped: usize = ["workshop", "exporter"]
        .iter()
        .map(|name| std::fs::read_to_string(repository(&format!("deploy/chart/files/alerts/{name}.yaml"))).unwrap().matches("- alert: ").count())
        .sum();
    assert_eq!(names.len(), shipped - 2);
    assert!(!names.contains(&"NodeCordoned") && names.contains(&"NodeNotReady"));
    assert!(rules.iter().filter(|rule| rule["alert"].is_string()).all(|rule| rule["labels"]["team"] == "platform" && rule["labels"]["severity"].is_string()));
    assert!(rules.iter().any(|rule| rule["annotations"]["summary"].as_str().is_some_and(|text| text.contains("{{ $labels."))));
}

/// Rules and boards are those of the checklists that are judged: others would never have data, and what two of them ask in
/// the same way would page twice.
#[test]
fn what_is_installed_follows_from_the_checklists() {
    let installed = |config: &str| {
        let objects = rendered(&format!("prometheusRule: {{ enabled: true }}\nconfig: {config}"));
        let mut alerts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let rules = of_kind(&objects, "PrometheusRule").into_iter().flat_map(|rule| rule["spec"]["groups"].as_array().unwrap());
        for rule in rules.flat_map(|group| group["rules"].as_array().unwrap()) {
            let deed = [&rule["alert"], &rule["expr"], &rule["labels"]["severity"], &rule["labels"]["stage"]].map(ToString::to_string).concat();
            alerts.entry(deed).or_default().push(rule["labels"]["checklist"].as_str().unwrap_or_default().to_owned());
        }
        assert!(alerts.values().all(|checklists| checklists.len() == 1), "{config}: two alerts do the same");
        let labels: BTreeSet<String> = alerts.into_values().flatten().filter(|checklist| !checklist.is_empty()).collect();
        let maps = of_kind(&objects, "ConfigMap").into_iter().flat_map(|map| map["data"].as_object().unwrap().keys().cloned());
        let boards: BTreeSet<String> = maps.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
        (labels.into_iter().collect::<Vec<_>>().join(" "), boards)
    };
    let shared = ["clusters", "credentials", "exporter", "images", "live"];
    let boards = |own: &[&str]| own.iter().flat_map(|name| [(*name).to_owned(), format!("{name}-overview")]).chain(shared.map(str::to_owned)).collect();
    for (config, labels, own) in [
        // As for the program.
        ("{}", "estate", &["estate"][..]),
        ("{ collectors: { kubernetes: {} } }", "workshop", &["workshop"]),
        ("{ checklists: [{ name: estate }] }", "estate", &["estate"]),
        ("{ checklists: [{ name: own, file: own.yaml }] }", "workshop", &["workshop"]),
        ("{ checklists: [{ name: own, file: own.yaml }, { name: estate }] }", "estate", &["estate"]),
        ("{ checklists: [{ name: estate }, { name: workshop }] }", "estate workshop", &["estate", "workshop"]),
    ] {
        assert_eq!(installed(config), (labels.to_owned(), boards(own)), "{config}");
    }
    let helpers = std::fs::read_to_string(repository("deploy/chart/templates/_helpers.tpl")).unwrap();
    let shipped: Vec<String> = readiness_exporter::checklist::SHIPPED.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    assert!(helpers.contains(&format!("$shipped := list {} -", shipped.join(" "))), "name each shipped checklist in _helpers.tpl");
}

/// The restricted standard, field by field.
/// Source: <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
#[test]
fn the_pod_is_restricted_and_its_root_is_read_only() {
    let objects = rendered(EVERYTHING);
    let deployment: Deployment = typed(of_kind(&objects, "Deployment")[0]);
    let spec = deployment.spec.unwrap().template.spec.unwrap();
    let pod = spec.security_context.unwrap();
    assert_eq!((pod.run_as_non_root, pod.seccomp_profile.unwrap().type_.as_str()), (Some(true), "RuntimeDefault"));
    assert_eq!(spec.enable_service_links, Some(false));
    assert!(spec.host_network.is_none() && spec.host_pid.is_none());
    for container in &spec.containers {
        let own = container.security_context.as_ref().unwrap();
        assert_eq!((own.allow_privilege_escalation, own.read_only_root_filesystem), (Some(false), Some(true)));
        assert_eq!(own.capabilities.as_ref().unwrap().drop.as_deref(), Some(&["ALL".to_owned()][..]));
        let resources = container.resources.as_ref().unwrap();
        assert!(resources.requests.as_ref().unwrap().contains_key("memory") && resources.limits.as_ref().unwrap().contains_key("memory"));
        assert!(container.image.as_ref().unwrap().ends_with("@sha256:0123456789012345678901234567890123456789012345678901234567890123"));
        let probe = container.liveness_probe.as_ref().unwrap().http_get.as_ref().unwrap();
        assert_eq!(probe.path.as_deref(), Some("/-/healthy"), "without the password that the page needs");
    }
}

/// Each single thing that a role allows.
type Permit = (String, String, String, String, String);

fn permits(objects: &[Value]) -> BTreeSet<Permit> {
    let mut permits = BTreeSet::new();
    for object in objects.iter().filter(|object| ["Role", "ClusterRole"].contains(&object["kind"].as_str().unwrap())) {
        let scope = object["metadata"]["namespace"].as_str().unwrap_or_default();
        for rule in object["rules"].as_array().unwrap() {
            let rule: PolicyRule = serde_json::from_value(rule.clone()).unwrap();
            let names = rule.resource_names.filter(|names| !names.is_empty()).unwrap_or_else(|| vec![String::new()]);
            for (group, resource) in rule.api_groups.iter().flatten().flat_map(|group| rule.resources.iter().flatten().map(move |resource| (group, resource))) {
                for verb in &rule.verbs {
                    permits.extend(names.iter().map(|name| (scope.to_owned(), group.clone(), resource.clone(), verb.clone(), name.clone())));
                }
            }
        }
    }
    permits
}

/// The chart cannot ask the program, so it says the same in its own words; both must agree.
#[test]
fn the_roles_of_the_chart_are_those_of_the_program() {
    let example: Value = serde_saphyr::from_str(&std::fs::read_to_string(repository("examples/workshop.yaml")).unwrap()).unwrap();
    let collectors = example["collectors"].clone();
    let with = |changes: &[(&str, Value)]| {
        let mut kubernetes = collectors["kubernetes"].clone();
        for (key, value) in changes {
            if value.is_null() {
                kubernetes.as_object_mut().unwrap().remove(*key);
            } else {
                kubernetes[*key] = value.clone();
            }
        }
        serde_json::json!({ "kubernetes": kubernetes, "credentials": collectors["credentials"], "registry": collectors["registry"] })
    };
    let direct = with(&[("storage", serde_json::json!({}))]);
    let matrix: BTreeMap<&str, Value> = [
        ("the example", direct.clone()),
        ("nothing but the defaults", serde_json::json!({ "kubernetes": {} })),
        ("no Kubernetes at all", serde_json::json!({ "credentials": collectors["credentials"] })),
        ("through the API server", with(&[("storage", serde_json::json!({ "via": "node_proxy" }))])),
        ("EKS Auto Mode", with(&[("storage", serde_json::json!({ "via": "off" })), ("karpenter", serde_json::json!({ "node_classes": "eks" }))])),
        ("without use", with(&[("usage", serde_json::json!({ "enabled": false })), ("storage", Value::Null)])),
        (
            "without nodes and pods",
            serde_json::json!({ "kubernetes": { "nodes": false, "pods": false, "events": false, "quotas": false, "storage_classes": false, "ingress_classes": false,
                "workloads": [{ "name": "w", "kind": "StatefulSet", "namespace": "a", "names": ["b"] }, { "name": "d", "kind": "DaemonSet", "namespace": "a", "names": ["b"], "clusters": ["elsewhere"] }] } }),
        ),
    ]
    .into();
    for (what, collectors) in matrix {
        for cluster in ["us-east-2", "eu-west-2"] {
            let clusters: Vec<Value> = ["us-east-2", "us-west-2", "eu-west-2", "elsewhere"]
                .iter()
                .map(|name| {
                    if *name == cluster {
                        serde_json::json!({ "name": name, "in_cluster": true })
                    } else {
                        serde_json::json!({ "name": name, "kubeconfig": name })
                    }
                })
                .collect();
            let config = serde_json::json!({ "clusters": clusters, "collectors": collectors });
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("readiness.yaml");
            // What stays away from the roles: other collectors, whose files do not exist here.
            std::fs::write(&file, config.to_string()).unwrap();
            let (code, out, errors) = run(exporter().args(["config", "rbac", "--cluster", cluster, "--config.file"]).arg(&file));
            assert_eq!(code, 0, "{what}: {errors}");
            let own: Vec<Value> = serde_saphyr::from_multiple(&out).unwrap();
            let values = serde_json::json!({ "config": config });
            assert_eq!(permits(&rendered(&values.to_string())), permits(&own), "{what} in {cluster}");
        }
    }
}

#[test]
fn wrong_values_are_refused_by_name() {
    for (values, words) in [
        ("replicas: 2", "replicas"),
        ("image: { digest: latest }", "/image/digest"),
        ("service: { port: http }", "/service/port"),
        ("service: { type: ExternalName }", "/service/type"),
        ("serviceMonitor: { interval: soon }", "/serviceMonitor/interval"),
        ("prometheusRule: { disabled: [nodeCordoned] }", "/prometheusRule/disabled/0"),
        ("prometheusRule: { enabled: true, disabled: [NoSuchAlert] }", "no alert is called NoSuchAlert"),
        ("config: { collector: {} }", "collector"),
        ("config: { collectors: { htp: {} } }", "htp"),
        ("config: { collectors: { http: { targets: [{ name: a, url: 'https://a.test', bodyContains: b }] } } }", "bodyContains"),
        ("config: { collectors: { kubernetes: { interval: 15 } } }", "/config/collectors/kubernetes/interval"),
        ("config: { clusters: [{ name: eu, in_cluster: yes please }] }", "/config/clusters/0/in_cluster"),
        ("attestations: [{ attest: A }]", "/attestations/0"),
        ("persistence: { size: much }", "/persistence/size"),
        ("logLevel: verbose", "/logLevel"),
        ("web: { externalUrl: example.com }", "/web/externalUrl"),
        ("web: { externalUrl: 'https://u:p@example.com' }", "/web/externalUrl"),
        ("web: { externalUrl: 'https://example.com/?a' }", "/web/externalUrl"),
        ("web: { routePrefix: 'a b' }", "/web/routePrefix"),
        ("web: { externalURL: 'https://example.com' }", "externalURL"),
        ("ingress: { enabled: true }", "web.externalUrl must be set"),
        ("ingress: { tlsSecret: tls }", "without ingress.enabled nothing uses it"),
        ("{ web: { externalUrl: 'https://10.0.0.1/x' }, ingress: { enabled: true } }", "the address 10.0.0.1"),
        ("{ web: { externalUrl: 'https://example.com/x', routePrefix: / }, ingress: { enabled: true } }", "below /x/, and the exporter answers below /:"),
        ("{ config: {}, attestations: [{ attest: A, who: Ada, at: 2026-11-30T16:00:00Z }] }", "until config.attestations.file names it"),
    ] {
        let error = template(values).err().unwrap_or_else(|| panic!("{values} was taken"));
        assert!(error.contains(words), "{values}: {error}");
    }
}

/// Behind an address: the program takes what the chart gives it, kubelets and Prometheus ask where it answers, and what links to
/// it is what the program itself would have generated.
#[tokio::test(flavor = "multi_thread")]
async fn behind_an_address_everything_asks_where_the_program_answers() {
    let (folder, host) = (tempfile::tempdir().unwrap(), own_host());
    std::fs::write(folder.path().join("readiness.yaml"), "collectors: { http: { targets: [{ name: a, url: 'http://127.0.0.1:1/' }] } }\n").unwrap();
    for (port, web, inside, outside) in [
        (9840, "{ externalUrl: 'https://example.com/a/readiness/' }", "/a/readiness", "/a/readiness"),
        (9850, "{ externalUrl: 'https://example.com/a/readiness', routePrefix: / }", "", "/a/readiness"),
        (9860, "{ routePrefix: own }", "/own", ""),
        (9870, "{ externalUrl: 'https://example.com' }", "", "/"),
    ] {
        let objects = rendered(&format!(
            "{{ web: {web}, ingress: {{ enabled: {}, annotations: {{ a: rewrites }} }}, serviceMonitor: {{ enabled: true }} }}",
            !outside.is_empty()
        ));
        let deployment: Deployment = typed(of_kind(&objects, "Deployment")[0]);
        let container = deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
        let mut command = exporter();
        let own = ["--config.file", "--web.listen-address", "--web.probe-address"];
        command.args(container.args.unwrap().iter().filter(|argument| !own.iter().any(|own| argument.starts_with(own))));
        command.arg("--config.file").arg(folder.path().join("readiness.yaml")).args(["--web.probe-address", &format!("{host}:{}", port + 1)]);
        let running = Running::start(&command, &format!("{host}:{port}"), &folder.path().join("log"));
        let monitor = &of_kind(&objects, "ServiceMonitor")[0]["spec"]["endpoints"][0];
        let scraped = monitor["path"].as_str().unwrap_or("/metrics");
        assert_eq!(scraped, format!("{inside}/metrics"));
        running.until("scraped", scraped, |text| text.contains("readiness_build_info{")).await;
        for probe in [container.liveness_probe, container.readiness_probe, container.startup_probe] {
            let path = probe.unwrap().http_get.unwrap().path.unwrap();
            let answer = running.client.get(format!("http://{host}:{}{path}", port + 1)).send().await.unwrap();
            assert_ne!(answer.status(), 404, "{path}");
        }
        for ingress in of_kind(&objects, "Ingress") {
            let rule = &ingress["spec"]["rules"][0];
            assert_eq!((rule["host"].as_str(), rule["http"]["paths"][0]["path"].as_str()), (Some("example.com"), Some(outside)));
        }
        // An old path leads nowhere else.
        let status = running.client.get(format!("http://{host}:{port}/metrics")).send().await.unwrap().status();
        assert_eq!(status == 200, inside.is_empty());
    }
}

fn is_board(text: &Value) -> bool {
    text.as_str().is_some_and(|text| text.starts_with('{'))
}

/// The chart cannot ask the program, so it puts the address into rules and boards in its own words; both must agree.
#[test]
fn links_of_the_chart_are_those_that_the_program_generates() {
    const HOME: &str = "https://example.com/a/readiness";
    let folder = tempfile::tempdir().unwrap();
    let (code, _, errors) = run(exporter().args(["generate", "--web.external-url", HOME, "--out"]).arg(folder.path()));
    assert_eq!(code, 0, "{errors}");
    let made = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    for slash in ["", "/"] {
        let objects = rendered(&format!("{{ web: {{ externalUrl: '{HOME}{slash}' }}, prometheusRule: {{ enabled: true }} }}"));
        // What two checklists ask in the same way is generated once, and the chart takes it from the one that it installs.
        let links = |rules: &Value| -> BTreeSet<[String; 3]> {
            let rules = rules["spec"]["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
            let alerts = rules.filter(|rule| rule["alert"].is_string());
            alerts.map(|rule| [&rule["alert"], &rule["annotations"]["page_url"], &rule["annotations"]["runbook_url"]].map(ToString::to_string)).collect()
        };
        let own: BTreeSet<_> =
            ["workshop", "estate", "exporter"].iter().flat_map(|name| links(&serde_saphyr::from_str(&made(&format!("alerts/{name}.yaml"))).unwrap())).collect();
        let installed: BTreeSet<_> = of_kind(&objects, "PrometheusRule").into_iter().flat_map(links).collect();
        assert!(installed.len() > 50 && installed.is_subset(&own), "{:?}", installed.difference(&own).collect::<Vec<_>>());
        assert!(installed.iter().all(|[_, page, runbook]| page.contains(HOME) && (runbook == "null" || runbook.contains(HOME))), "{installed:?}");
        let boards: Vec<_> =
            of_kind(&objects, "ConfigMap").into_iter().flat_map(|map| map["data"].as_object().unwrap()).filter(|(_, text)| is_board(text)).collect();
        assert!(boards.len() > 5);
        for (name, board) in boards {
            // Helm writes numbers in its own way.
            let addresses = |text: &str| text.split('"').filter(|text| text.contains("://")).map(str::to_owned).collect::<BTreeSet<_>>();
            assert_eq!(addresses(board.as_str().unwrap()), addresses(&made(&format!("dashboards/{name}"))), "{name}");
            assert!(!board.to_string().contains("github.com"), "{name}");
        }
    }
}

/// Keys of the configuration that the chart knows are those of the program.
#[test]
fn the_chart_knows_the_configuration() {
    let read = |name: &str| serde_json::from_str::<Value>(&std::fs::read_to_string(repository(name)).unwrap()).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let chart = read("deploy/chart/values.schema.json");
    assert_eq!(keys(&chart["properties"]["config"]["properties"]), keys(&read("docs/config.schema.json")["properties"]));
    let folder = tempfile::tempdir().unwrap();
    for values in ["", "persistence: { enabled: true }\nconfig: { state_file: /var/lib/readiness/state.json, archive: /var/lib/readiness/archive }"] {
        let objects = rendered(values);
        let map: ConfigMap = typed(of_kind(&objects, "ConfigMap").into_iter().find(|map| map["data"]["readiness.yaml"].is_string()).unwrap());
        let file = folder.path().join("readiness.yaml");
        std::fs::write(&file, &map.data.unwrap()["readiness.yaml"]).unwrap();
        let (code, _, errors) = run(exporter().args(["config", "check", "--config.file"]).arg(&file));
        assert_eq!(code, 0, "{values}: {errors}");
    }
}

/// The plain manifests are the chart's.
#[test]
fn plain_manifests_are_what_the_chart_renders() {
    let (code, out, errors) = helm(&[
        "template",
        "readiness-exporter",
        "deploy/chart",
        "--namespace",
        "readiness",
        "--kube-version",
        "1.33.0",
        "--set",
        "prometheusRule.enabled=true,serviceMonitor.enabled=true",
        "--no-hooks",
    ]);
    assert_eq!(code, 0, "{errors}");
    let shipped = std::fs::read_to_string(repository("deploy/manifests/readiness-exporter.yaml")).unwrap();
    let (header, body) = shipped.split_once('\n').unwrap();
    assert!(header.starts_with("# Generated by `make manifests`"), "{header}");
    assert!(body == out, "deploy/manifests is not what the chart renders; run `make manifests`");
}

/// A real API server takes every object as it is, and refuses any field that it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_api_server_takes_every_object() {
    let server = crate::real_cluster::ApiServer::start().await;
    let example: Value = serde_saphyr::from_str(&std::fs::read_to_string(repository("examples/workshop.yaml")).unwrap()).unwrap();
    let config = serde_json::json!({ "clusters": [{ "name": "us-east-2", "in_cluster": true }], "collectors": example["collectors"] });
    let objects = [rendered(EVERYTHING), rendered(&serde_json::json!({ "config": config, "fullnameOverride": "example" }).to_string())].concat();
    let namespaces: BTreeSet<&str> = objects.iter().filter_map(|object| object["metadata"]["namespace"].as_str()).collect();
    for namespace in namespaces {
        let object = serde_json::json!({ "metadata": { "name": namespace } });
        server.ask(reqwest::Method::POST, "/api/v1/namespaces", "application/json", object.to_string()).await;
    }
    let mut taken = BTreeSet::new();
    for object in &objects {
        let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        // Kinds of the Prometheus Operator, which a bare API server does not have.
        if version.starts_with("monitoring.coreos.com") {
            continue;
        }
        let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
        let plural = match kind {
            "NetworkPolicy" => "networkpolicies".to_owned(),
            "Ingress" => "ingresses".to_owned(),
            kind => format!("{}s", kind.to_lowercase()),
        };
        let scope = object["metadata"]["namespace"].as_str().map_or_else(String::new, |namespace| format!("/namespaces/{namespace}"));
        let path = format!("{root}{scope}/{plural}?dryRun=All&fieldValidation=Strict");
        let (status, said) = server.ask(reqwest::Method::POST, &path, "application/json", object.to_string()).await;
        assert_eq!(status, 201, "{kind}: {said}");
        taken.insert(kind);
    }
    assert!(taken.len() >= 11, "{taken:?}");
}
