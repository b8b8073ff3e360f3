//! The one call of EKS that tells where a cluster is, the tokens that its API server takes, and ECR.
//!
//! Signatures are not recomputed; their parts are checked, so that a request for another service or
//! a token for another cluster is refused.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::REGIONS;
use crate::estate::Estate;
use crate::faults::{Group, unnoticed};
use crate::images::{Blobs, Version, versions};
use crate::kubernetes::api;
use crate::part::{Ground, Part, Suffers, Tasks};
use crate::serve::{Body, answer, serve};

pub(crate) static PART: Part = Part {
    name: "aws",
    servers: |estate| vec![estate.at(1, PORT)],
    suffers: Suffers::Troubles,
    files: Vec::new,
    groups: &[&ECR],
    start: |ground, tasks| start(ground, tasks).boxed(),
};

/// Faults of ECR. It is asked by a configuration of its own, so that the example's checks do not notice them.
static ECR: Group = Group {
    name: "ecr",
    faults: &[
        unnoticed("ecr-stale", "the tag in ECR names the older image"),
        unnoticed("ecr-tag-gone", "the tag in ECR is gone"),
        unnoticed("ecr-scan-critical", "a scan in ECR found something critical"),
        unnoticed("ecr-denies", "ECR refuses"),
        unnoticed("ecr-throttles", "ECR throttles"),
        unnoticed("ecr-credentials-expired", "the AWS credentials have expired"),
    ],
};

/// Port of the endpoint, for all services.
pub(crate) const PORT: u16 = 17_100;

/// Starts the endpoint. Clusters are named like their regions.
async fn start(ground: &Ground, tasks: &mut Tasks) -> anyhow::Result<()> {
    let (address, estate) = (ground.estate.at(1, PORT), Arc::clone(&ground.estate));
    let authority = STANDARD.encode(ground.authority.pem());
    let ecr = Arc::new(Ecr { address, images: versions(), estate: Arc::clone(&estate) });
    let serving = serve(address, None, move |request| {
        let (authority, estate, ecr) = (authority.clone(), Arc::clone(&estate), Arc::clone(&ecr));
        async move {
            if request.headers().contains_key("x-amz-target") || request.uri().path().starts_with("/blob/") {
                return ecr.handle(request).await;
            }
            let signature = request.headers().get(hyper::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let name = request.uri().path().strip_prefix("/clusters/").unwrap_or_default();
            if !(signature.starts_with("AWS4-HMAC-SHA256 Credential=") && signature.contains("/eks/aws4_request")) {
                return Some(refusal(403, "MissingAuthenticationTokenException"));
            }
            let Some(region) = REGIONS.iter().position(|region| *region == name) else {
                return Some(refusal(404, "ResourceNotFoundException"));
            };
            let cluster = json!({ "cluster": { "name": name, "endpoint": format!("https://{}", api(&estate, region)), "certificateAuthority": { "data": authority }, "status": "ACTIVE" } });
            Some(answer(200, "application/json", cluster.to_string()))
        }
    })
    .await?;
    tasks.push(serving);
    Ok(())
}

/// The registry of the account, in every region.
struct Ecr {
    address: SocketAddr,
    images: (Blobs, [Version; 2]),
    estate: Arc<Estate>,
}

impl Ecr {
    async fn handle(&self, request: Request<Incoming>) -> Option<Response<Body>> {
        if let Some(digest) = request.uri().path().strip_prefix("/blob/") {
            return Some(match self.images.0.get(digest) {
                Some(blob) => answer(200, "application/octet-stream", blob.bytes.clone()),
                None => answer(404, "text/plain", "NoSuchKey"),
            });
        }
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (signature, target) = (header("authorization"), header("x-amz-target"));
        if !(signature.starts_with("AWS4-HMAC-SHA256 Credential=") && signature.contains("/ecr/aws4_request")) {
            return Some(fault(400, "MissingAuthenticationTokenException"));
        }
        for (name, status, code) in [
            ("ecr-throttles", 400, "ThrottlingException"),
            ("ecr-denies", 400, "AccessDeniedException"),
            ("ecr-credentials-expired", 400, "ExpiredTokenException"),
        ] {
            if self.estate.has(name) {
                return Some(fault(status, code));
            }
        }
        let body = request.into_body().collect().await.ok()?.to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let repository = word(&body["repositoryName"]);
        Some(match target.rsplit('.').next().unwrap_or_default() {
            "DescribePullThroughCacheRules" => {
                json_answer(&json!({ "pullThroughCacheRules": [{ "ecrRepositoryPrefix": "ghcr", "upstreamRegistryUrl": "ghcr.io" }] }))
            }
            _ if repository != "ghcr/coder/coder-preview" => fault(400, "RepositoryNotFoundException"),
            "DescribeImages" => match body["imageIds"][0]["imageDigest"].as_str() {
                Some(digest) if !self.images.0.contains_key(digest) => fault(400, "ImageNotFoundException"),
                Some(digest) => {
                    json_answer(&json!({ "imageDetails": [{ "registryId": "123456789012", "repositoryName": repository, "imageDigest": digest }] }))
                }
                None => self.describe(&word(&body["imageIds"][0]["imageTag"])),
            },
            "BatchGetImage" => self.get(&word(&body["imageIds"][0]["imageDigest"]), &body["acceptedMediaTypes"]),
            "GetDownloadUrlForLayer" => {
                let digest = word(&body["layerDigest"]);
                json_answer(&json!({ "downloadUrl": format!("http://{}/blob/{digest}", self.address), "layerDigest": digest }))
            }
            _ => fault(500, "InternalFailure"),
        })
    }

    fn describe(&self, tag: &str) -> Response<Body> {
        let [old, new] = &self.images.1;
        if tag != "v2.18.0" || self.estate.has("ecr-tag-gone") {
            return fault(400, "ImageNotFoundException");
        }
        let digest = if self.estate.has("ecr-stale") { &old.index } else { &new.index };
        let critical = if self.estate.has("ecr-scan-critical") { 2 } else { 0 };
        // Whoever asks for a tag gets that, however much was pushed after it.
        json_answer(
            &json!({ "imageDetails": [{ "registryId": "123456789012", "repositoryName": "ghcr/coder/coder-preview", "imageDigest": digest, "imageTags": [tag],
            "imagePushedAt": 1_768_700_000.5, "imageManifestMediaType": "application/vnd.oci.image.index.v1+json",
            "imageScanStatus": { "status": "COMPLETE" }, "imageScanFindingsSummary": { "findingSeverityCounts": { "CRITICAL": critical, "HIGH": 3 } } }] }),
        )
    }

    fn get(&self, digest: &str, accepted: &Value) -> Response<Body> {
        let Some(blob) = self.images.0.get(digest) else {
            return json_answer(
                &json!({ "images": [], "failures": [{ "imageId": { "imageDigest": digest }, "failureCode": "ImageNotFound", "failureReason": "Requested image not found" }] }),
            );
        };
        // Like the real one: what is not accepted is converted into something else.
        if !accepted.as_array().is_some_and(|accepted| accepted.iter().any(|kind| kind == blob.media_type)) {
            return json_answer(&json!({ "images": [{ "imageManifest": "{\"schemaVersion\":2}", "imageId": { "imageDigest": digest } }], "failures": [] }));
        }
        let text = String::from_utf8_lossy(&blob.bytes);
        json_answer(
            &json!({ "images": [{ "imageManifest": text, "imageManifestMediaType": blob.media_type, "imageId": { "imageDigest": digest } }], "failures": [] }),
        )
    }
}

fn json_answer(body: &Value) -> Response<Body> {
    answer(200, "application/x-amz-json-1.1", body.to_string())
}

fn fault(status: u16, code: &str) -> Response<Body> {
    answer(status, "application/x-amz-json-1.1", json!({ "__type": code, "message": "by the lab" }).to_string())
}

/// How EKS refuses: only a header has the code.
fn refusal(status: u16, code: &'static str) -> Response<Body> {
    let mut response = answer(status, "application/json", json!({ "message": "by the lab" }).to_string());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
    response
}

/// Whether a bearer token is a presigned request that names this cluster.
pub(crate) fn is_token_for(bearer: &str, cluster: &str) -> bool {
    let url = bearer.strip_prefix("Bearer k8s-aws-v1.").and_then(|token| URL_SAFE_NO_PAD.decode(token).ok());
    let Some(url) = url.and_then(|url| String::from_utf8(url).ok()).and_then(|url| url::Url::parse(&url).ok()) else { return false };
    let has = |name: &str, value: &str| url.query_pairs().any(|(own, found)| own == name && found.contains(value));
    let place = url.host_str().is_some_and(|host| host == format!("sts.{cluster}.amazonaws.com"));
    place && has("Action", "GetCallerIdentity") && has("X-Amz-SignedHeaders", "x-k8s-aws-id") && has("X-Amz-Signature", "") && has("X-Amz-Expires", "60")
}
