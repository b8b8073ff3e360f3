//! The cluster collector against a real API server, which `make peers` builds. There is no kubelet and no controller: nodes and pods are objects
//! whose status is written by the test, which is all that the collector can see of them anyway.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use readiness_exporter::app::App;
use readiness_exporter::checklist::CheckState;
use readiness_exporter::config;
use readiness_lab::{Authority, Leaf};
use serde_json::{Value, json};

use crate::common::{PATIENCE, exporter, repository, run};

pub(crate) const ADMIN: &str = "admin-token";
const READER: &str = "reader-token";

/// A real API server on loopback. Ends with this.
pub(crate) struct ApiServer {
    processes: Vec<Child>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
    client: reqwest::Client,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The folder with `kube-apiserver` and `etcd`: the one that the Kubernetes world names in
/// `KUBEBUILDER_ASSETS`, or what `make peers` built.
#[expect(clippy::disallowed_methods, reason = "where the test's servers are is said in the environment")]
fn assets() -> PathBuf {
    let built = || repository("target/peers/kubernetes");
    let folder = std::env::var("KUBEBUILDER_ASSETS").map_or_else(|_| built(), PathBuf::from);
    assert!(folder.join("kube-apiserver").exists(), "there is no kube-apiserver in {}: run `make peers`", folder.display());
    folder
}

fn start(program: &Path, arguments: &[String], log: &Path) -> Child {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(log).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let assets = assets();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let host = format!("127.{}.{}.250", fastrand::u8(2..250), fastrand::u8(1..250));
        let authority = Authority::new("Real Root").unwrap();
        let (certificate, key) = authority.issue_pem(&Leaf::good(&[&host])).unwrap();
        let (user, user_key) = authority.issue_pem(&Leaf::good(&["cert-user"])).unwrap();
        for (name, text) in [("ca.pem", authority.pem()), ("tls.crt", certificate), ("tls.key", key), ("user.crt", user), ("user.key", user_key)] {
            std::fs::write(file(name), text).unwrap();
        }
        std::fs::write(file("tokens.csv"), format!("{ADMIN},admin,1,\"system:masters\"\n{READER},reader,2\n")).unwrap();
        std::fs::write(file("reader.token"), format!("{READER}\n")).unwrap();
        let etcd = [
            format!("--data-dir={}", file("etcd")),
            format!("--listen-client-urls=http://{host}:2379"),
            format!("--advertise-client-urls=http://{host}:2379"),
            format!("--listen-peer-urls=http://{host}:2380"),
        ];
        let api = [
            format!("--etcd-servers=http://{host}:2379"),
            format!("--bind-address={host}"),
            "--secure-port=6443".to_owned(),
            format!("--tls-cert-file={}", file("tls.crt")),
            format!("--tls-private-key-file={}", file("tls.key")),
            format!("--token-auth-file={}", file("tokens.csv")),
            format!("--service-account-key-file={}", file("tls.crt")),
            format!("--service-account-signing-key-file={}", file("tls.key")),
            format!("--service-account-issuer=https://{host}:6443"),
            format!("--client-ca-file={}", file("ca.pem")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--disable-admission-plugins=ServiceAccount,ResourceQuota,LimitRanger,TaintNodesByCondition".to_owned(),
        ];
        let processes = vec![
            start(&assets.join("etcd"), &etcd, &folder.path().join("etcd.log")),
            start(&assets.join("kube-apiserver"), &api, &folder.path().join("api.log")),
        ];
        let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
        let server = Self { processes, url: format!("https://{host}:6443"), folder, client };
        let limit = tokio::time::Instant::now() + PATIENCE;
        while !server.client.get(format!("{}/readyz", server.url)).bearer_auth(ADMIN).send().await.is_ok_and(|answer| answer.status() == 200) {
            let log = || std::fs::read_to_string(server.folder.path().join("api.log")).unwrap_or_default();
            assert!(tokio::time::Instant::now() < limit, "the API server is not ready:\n{}", log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        server
    }

    async fn send(&self, method: reqwest::Method, path: &str, kind: &str, body: String) -> reqwest::StatusCode {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN).header("content-type", kind).body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status} {}", answer.text().await.unwrap());
        status
    }

    /// Any request that may fail, with what came back.
    pub(crate) async fn ask(&self, method: reqwest::Method, path: &str, kind: &str, body: String) -> (u16, Value) {
        let request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(ADMIN).header("content-type", kind).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn create(&self, path: &str, object: &Value) {
        self.send(reqwest::Method::POST, path, "application/json", object.to_string()).await;
    }

    async fn patch(&self, path: &str, patch: &Value) {
        self.send(reqwest::Method::PATCH, path, "application/merge-patch+json", patch.to_string()).await;
    }

    /// A configuration of this cluster alone.
    fn configuration(&self, more: &str) -> PathBuf {
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let text = format!(
            "clusters: [{{ name: real, server: \"{}\", ca_file: {}, token: {{ file: {} }} }}]\n\
             collectors:\n  kubernetes:\n    interval: 1s\n    timeout: 1s\n    storage: {{ via: off }}\n    usage: {{ enabled: false }}\n{more}",
            self.url,
            file("ca.pem"),
            file("reader.token"),
        );
        let path = self.folder.path().join("readiness.yaml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Waits for a line of the exposition.
async fn until(app: &App, line: &str) {
    let limit = tokio::time::Instant::now() + PATIENCE;
    while !app.exposition().text().contains(line) {
        let own: Vec<String> = app.exposition().text().lines().filter(|own| own.contains(line.split('{').next().unwrap_or(line))).map(str::to_owned).collect();
        assert!(tokio::time::Instant::now() < limit, "never {line}; there is\n{}", own.join("\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn state(app: &App, check: &str) -> Option<CheckState> {
    app.judgements().first()?.checks().find(|own| own.name == check).map(|own| own.state)
}

async fn until_state(app: &App, check: &str, wanted: CheckState) {
    let limit = tokio::time::Instant::now() + PATIENCE;
    while state(app, check) != Some(wanted) {
        assert!(tokio::time::Instant::now() < limit, "{check} is {:?}, never {wanted:?}", state(app, check));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_api_server_is_seen_with_just_the_permissions_that_were_generated() {
    let server = ApiServer::start().await;
    let workloads = "    workloads: [{ name: control-plane, kind: Deployment, namespace: coder, labels: app=coder }]\n    objects: [{ resource: namespaces, name: coder }, { resource: namespaces, name: gone }]\n    access: [{ verb: list, resource: pods }, { verb: delete, resource: pods }]\n";
    let file = server.configuration(workloads);
    // Without any role everything is unknown, and the permissions are named.
    let app = App::start(config::load(&file).unwrap_or_else(|error| panic!("{error}")), Some(file.clone()), false).unwrap();
    tokio::spawn(std::sync::Arc::clone(&app).keep_judging());
    until(&app, "readiness_permission_missing{cluster=\"real\",verb=\"list and watch\",resource=\"nodes\"} 1\n").await;
    assert_eq!(state(&app, "NodeNotReady"), Some(CheckState::Unknown));
    // The generated roles, bound to the test's identity, are enough.
    server.create("/api/v1/namespaces", &json!({ "metadata": { "name": "coder" } })).await;
    server.create("/api/v1/namespaces", &json!({ "metadata": { "name": "readiness" } })).await;
    let (code, roles, error) = run(exporter().args(["config", "rbac", "--cluster", "real", "--config.file"]).arg(&file));
    assert_eq!(code, 0, "{error}");
    for document in roles.split("---\n").skip(1) {
        let mut object: Value = serde_saphyr::from_str(document).unwrap();
        let kind = object["kind"].as_str().unwrap().to_lowercase();
        if kind.ends_with("binding") {
            object["subjects"] = json!([{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "reader" }]);
        }
        let namespace = object["metadata"]["namespace"].as_str().map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
        let root = if kind == "serviceaccount" { "/api/v1/" } else { "/apis/rbac.authorization.k8s.io/v1/" };
        server.create(&format!("{root}{namespace}{kind}s"), &object).await;
    }
    server.create("/api/v1/nodes", &json!({ "metadata": { "name": "n1" } })).await;
    let ready = |status: &str| json!({ "status": { "conditions": [{ "type": "Ready", "status": status, "reason": "Test", "message": "by the test" }], "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" }, "nodeInfo": { "kubeletVersion": "v1.33.0" } } });
    server.patch("/api/v1/nodes/n1/status", &ready("True")).await;
    let template = json!({ "metadata": { "labels": { "app": "coder" } }, "spec": { "containers": [{ "name": "main", "image": "example" }] } });
    server.create("/apis/apps/v1/namespaces/coder/deployments", &json!({ "metadata": { "name": "coder", "labels": { "app": "coder" } }, "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "coder" } }, "template": template } })).await;
    server.create("/api/v1/namespaces/coder/pods", &json!({ "metadata": { "name": "p1", "labels": { "app": "coder" } }, "spec": { "nodeName": "n1", "containers": [{ "name": "main", "image": "example", "resources": { "requests": { "cpu": "1" } } }] } })).await;
    until_state(&app, "NodeNotReady", CheckState::Pass).await;
    for line in [
        "readiness_node_requested_ratio{cluster=\"real\",node=\"n1\",resource=\"cpu\"} 0.25\n",
        "readiness_workload_rollout_complete{cluster=\"real\",selector=\"control-plane\",kind=\"Deployment\",namespace=\"coder\",name=\"coder\"} 0\n",
        "readiness_object_state{cluster=\"real\",resource=\"namespaces\",namespace=\"\",name=\"coder\",state=\"present\"} 1\n",
        "readiness_object_state{cluster=\"real\",resource=\"namespaces\",namespace=\"\",name=\"gone\",state=\"absent\"} 1\n",
        "readiness_access_state{cluster=\"real\",subject=\"self\",verb=\"list\",group=\"\",resource=\"pods\",namespace=\"\",state=\"allowed\"} 1\n",
        "readiness_access_state{cluster=\"real\",subject=\"self\",verb=\"delete\",group=\"\",resource=\"pods\",namespace=\"\",state=\"denied\"} 1\n",
    ] {
        until(&app, line).await;
    }
    // Each flips both ways, by what the real watch brings.
    server.patch("/api/v1/nodes/n1/status", &ready("Unknown")).await;
    until_state(&app, "NodeNotReady", CheckState::Fail).await;
    server.patch("/api/v1/nodes/n1/status", &ready("True")).await;
    until_state(&app, "NodeNotReady", CheckState::Pass).await;
    let waiting = json!({ "status": { "phase": "Pending", "containerStatuses": [{ "name": "main", "image": "example", "imageID": "", "ready": false, "restartCount": 0, "state": { "waiting": { "reason": "ImagePullBackOff" } } }] } });
    server.patch("/api/v1/namespaces/coder/pods/p1/status", &waiting).await;
    until_state(&app, "ImagePullFailing", CheckState::Fail).await;
    let running = json!({ "status": { "phase": "Running", "containerStatuses": [{ "name": "main", "image": "example", "imageID": "example@sha256:1", "ready": true, "restartCount": 0, "state": { "running": {}, "waiting": null } }] } });
    server.patch("/api/v1/namespaces/coder/pods/p1/status", &running).await;
    until_state(&app, "ImagePullFailing", CheckState::Pass).await;
    app.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_is_an_identity_like_any_other() {
    let server = ApiServer::start().await;
    server.create("/api/v1/nodes", &json!({ "metadata": { "name": "n1" } })).await;
    let file = |name: &str| server.folder.path().join(name).display().to_string();
    let kubeconfig = json!({ "apiVersion": "v1", "kind": "Config", "current-context": "real",
        "clusters": [{ "name": "real", "cluster": { "server": server.url, "certificate-authority": file("ca.pem") } }],
        "users": [{ "name": "user", "user": { "client-certificate": file("user.crt"), "client-key": file("user.key") } }],
        "contexts": [{ "name": "real", "context": { "cluster": "real", "user": "user" } }] });
    std::fs::write(file("kubeconfig"), kubeconfig.to_string()).unwrap();
    let text = format!(
        "clusters: [{{ name: real, kubeconfig: {} }}]\ncollectors: {{ kubernetes: {{ interval: 1s, timeout: 1s, storage: {{ via: off }}, usage: {{ enabled: false }} }} }}\n",
        file("kubeconfig")
    );
    let path = server.folder.path().join("readiness.yaml");
    std::fs::write(&path, text).unwrap();
    let app = App::start(config::load(&path).unwrap_or_else(|error| panic!("{error}")), Some(path), false).unwrap();
    tokio::spawn(std::sync::Arc::clone(&app).keep_judging());
    // It is known, and may do nothing yet.
    until(&app, "readiness_permission_missing{cluster=\"real\",verb=\"list and watch\",resource=\"nodes\"} 1\n").await;
    let binding = json!({ "metadata": { "name": "cert-user" }, "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "cert-user" }] });
    server.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await;
    until(&app, "readiness_node_schedulable{cluster=\"real\",node=\"n1\"} 1\n").await;
    app.shutdown(Duration::from_secs(1)).await;
}
