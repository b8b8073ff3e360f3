//! Kubelets: `/stats/summary`, asked directly or through the API server's node proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Response;
use jiff::{Timestamp, ToSpan as _};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::status;
use crate::estate::Estate;
use crate::serve::{Body, One, answer, serve};

const GIB: u64 = 1 << 30;

/// Starts the kubelet of a node.
pub(super) async fn start(address: SocketAddr, key: &Arc<CertifiedKey>, region: &str, node: &str, estate: &Arc<Estate>) -> anyhow::Result<JoinHandle<()>> {
    let (region, node, estate) = (region.to_owned(), node.to_owned(), Arc::clone(estate));
    serve(address, Some(Arc::new(One(Arc::clone(key)))), move |request| {
        let (region, node, estate) = (region.clone(), node.clone(), Arc::clone(&estate));
        async move {
            let bearer = request.headers().get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            // Like a real one it takes whatever token the API server takes.
            let expected = format!("Bearer {}", estate.token(&region));
            if !bearer.is_some_and(|bearer| bearer == expected || crate::aws::is_token_for(bearer, &region)) {
                return Some(answer(401, "text/plain", "Unauthorized"));
            }
            if request.uri().path() != "/stats/summary" {
                return Some(answer(404, "text/plain", "404 page not found"));
            }
            summary_of(&estate, &region, &node).await
        }
    })
    .await
}

/// The node proxy of the API server.
pub(super) async fn proxied(estate: &Arc<Estate>, region: &str, node: &str) -> Option<Response<Body>> {
    let on = |fault: &str| region == "us-west-2" && node == "node-1" && estate.has(fault);
    if region == "us-west-2" && estate.has("forbidden-summary") {
        return Some(status(403));
    }
    if on("summary-html") {
        return Some(answer(200, "text/html", "<html><body>Bad gateway, but politely</body></html>"));
    }
    summary_of(estate, region, node).await
}

async fn summary_of(estate: &Arc<Estate>, region: &str, node: &str) -> Option<Response<Body>> {
    let on = |own: &str, fault: &str| region == own && node == "node-1" && estate.has(fault);
    if on("us-west-2", "summary-hang") {
        let mut changes = estate.changes();
        while estate.has("summary-hang") && changes.changed().await.is_ok() {}
        return None;
    }
    // A kubelet that has not started listens to nobody.
    if node == "node-1" && super::objects::starting(estate, region).is_some() {
        return None;
    }
    if on("us-west-2", "summary-empty") {
        return Some(answer(200, "application/json", json!({ "node": { "nodeName": node, "fs": { "usedBytes": 5 } }, "pods": null }).to_string()));
    }
    let used = if on("us-east-2", "storage-critical") {
        0.9
    } else if on("us-east-2", "storage-high") || on("eu-west-2", "storage-high-in-london") {
        0.71
    } else {
        0.4
    };
    let inodes_free = if on("us-east-2", "inodes-high") { 1_000_000 } else { 25_000_000 };
    let full = on("us-east-2", "pod-storage-full");
    let room = if on("us-east-2", "storage-volume-full") { 20 } else { 333 };
    let taken = if on("us-west-2", "summary-old") { estate.since("summary-old").checked_sub(60_i64.minutes()).unwrap_or_default() } else { Timestamp::now() };
    let mut all = summary(node, used, inodes_free, full, room);
    for path in ["/node/fs", "/node/runtime/imageFs", "/node/runtime/containerFs"] {
        if let Some(disk) = all.pointer_mut(path) {
            disk["time"] = json!(taken.to_string());
        }
    }
    Some(answer(200, "application/json", all.to_string()))
}

/// A summary with thirty pods, of which most use little.
fn summary(node: &str, used: f64, inodes_free: u64, full: bool, room: u64) -> Value {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "bytes of a simulated disk")]
    let available = (200.0 * GIB as f64 * (1.0 - used)) as u64;
    let disk = |own: u64| json!({ "availableBytes": available, "capacityBytes": 200 * GIB, "usedBytes": own, "inodesFree": inodes_free, "inodes": 26_214_400, "inodesUsed": 26_214_400 - inodes_free });
    let pod = |name: &str, uid: &str, namespace: &str, used: u64| {
        json!({ "podRef": { "name": name, "namespace": namespace, "uid": uid }, "ephemeral-storage": { "availableBytes": available, "capacityBytes": 200 * GIB, "usedBytes": used, "inodesUsed": 1200 },
            "containers": [{ "name": "dev", "rootfs": { "usedBytes": used / 2 }, "logs": { "usedBytes": 4096 } }], "volume": [{ "name": "home", "usedBytes": 123, "availableBytes": room, "capacityBytes": 456, "pvcRef": { "name": "home", "namespace": namespace } }] })
    };
    let mut pods: Vec<Value> = (0..29).map(|index| pod(&format!("{node}-{index}"), &format!("{node}-{index}"), "kube-system", 30_000_000 + index)).collect();
    if node == "node-1" {
        pods.push(pod("workspace-1", "workspace-1", "coder-ws", if full { 19 * GIB } else { 5 * GIB }));
    }
    json!({ "node": { "nodeName": node, "startTime": "2026-01-01T00:00:00Z", "cpu": { "usageNanoCores": 812_345_678 }, "memory": { "workingSetBytes": 2 },
            "fs": disk(32 * GIB), "runtime": { "imageFs": disk(18 * GIB), "containerFs": disk(5 * GIB) } }, "pods": pods })
}
