//! The one call of EKS that tells where a cluster is, and the tokens that its API server takes.
//!
//! Signatures are not recomputed; their parts are checked, so that a request for another service or
//! a token for another cluster is refused.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::serve::{answer, serve};

/// Starts the endpoint. Clusters are named like their regions.
pub(crate) async fn start(address: SocketAddr, authority: &str, servers: Vec<(String, String)>) -> anyhow::Result<JoinHandle<()>> {
    let (authority, servers) = (STANDARD.encode(authority), Arc::new(servers));
    serve(address, None, move |request| {
        let (authority, servers) = (authority.clone(), Arc::clone(&servers));
        async move {
            let signature = request.headers().get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let name = request.uri().path().strip_prefix("/clusters/").unwrap_or_default();
            if !(signature.starts_with("AWS4-HMAC-SHA256 Credential=") && signature.contains("/eks/aws4_request")) {
                return Some(answer(403, "application/json", json!({ "message": "Missing Authentication Token" }).to_string()));
            }
            let Some((_, server)) = servers.iter().find(|(region, _)| region == name) else {
                return Some(answer(404, "application/json", json!({ "message": "No cluster found" }).to_string()));
            };
            let cluster = json!({ "cluster": { "name": name, "endpoint": server, "certificateAuthority": { "data": authority }, "status": "ACTIVE" } });
            Some(answer(200, "application/json", cluster.to_string()))
        }
    })
    .await
}

/// Whether a bearer token is a presigned request that names this cluster.
pub(crate) fn is_token_for(bearer: &str, cluster: &str) -> bool {
    let url = bearer.strip_prefix("Bearer k8s-aws-v1.").and_then(|token| URL_SAFE_NO_PAD.decode(token).ok());
    let Some(url) = url.and_then(|url| String::from_utf8(url).ok()).and_then(|url| url::Url::parse(&url).ok()) else { return false };
    let has = |name: &str, value: &str| url.query_pairs().any(|(own, found)| own == name && found.contains(value));
    let place = url.host_str().is_some_and(|host| host == format!("sts.{cluster}.amazonaws.com"));
    place && has("Action", "GetCallerIdentity") && has("X-Amz-SignedHeaders", "x-k8s-aws-id") && has("X-Amz-Signature", "") && has("X-Amz-Expires", "60")
}
