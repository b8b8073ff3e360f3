//! Servers that repeat whatever they were sent, in every place where an answer has room for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Collected};
use hyper::body::Incoming;
use hyper::{Request, Response};
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::serve::{Body, One, answer, serve};

/// How a server repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// Status 401, in every field that an error has, and in the challenge.
    Refusal,
    /// Status 500, the same.
    Failure,
    /// Status 200, in a document with every field in a wrong type.
    WrongTypes,
    /// Status 200, in a document that is cut off.
    Cut,
    /// Status 200, in a page.
    Page,
    /// Status 302, in the address.
    Redirect,
    /// One way after the other.
    Each,
}

/// Every way.
pub const WAYS: [Echo; 6] = [Echo::Refusal, Echo::Failure, Echo::WrongTypes, Echo::Cut, Echo::Page, Echo::Redirect];

/// Starts a server, over TLS if it has a certificate.
pub async fn start(address: SocketAddr, key: Option<Arc<CertifiedKey>>, echo: Echo) -> anyhow::Result<JoinHandle<()>> {
    let count = Arc::new(AtomicUsize::new(0));
    let certificates = key.map(|key| Arc::new(One(key)) as Arc<dyn ResolvesServerCert>);
    serve(address, certificates, move |request| {
        let way = if echo == Echo::Each { WAYS[count.fetch_add(1, Ordering::Relaxed) % WAYS.len()] } else { echo };
        async move { Some(repeat(request, way).await) }
    })
    .await
}

async fn repeat(request: Request<Incoming>, way: Echo) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    let headers: Vec<String> = head.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    let said = format!("{} {} {}", head.uri, headers.join(" "), String::from_utf8_lossy(&body));
    // What a header or an address can hold.
    let short: String = said.chars().filter(|c| c.is_ascii_graphic() && !"\"\\{}<>".contains(*c)).take(4_000).collect();
    let error = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": said, "message": said, "code": said, "details": { "name": said },
        "error": said, "error_description": said, "error_codes": [said], "errors": [{ "code": said, "message": said }], "__type": said, "Message": said, "token": said });
    let json = |status: u16, body: String| answer(status, "application/json", body);
    let mut response = match way {
        Echo::Refusal => json(401, error.to_string()),
        Echo::Failure => json(500, error.to_string()),
        Echo::WrongTypes | Echo::Each => {
            let wrong = json!({ "kind": [said], "apiVersion": { "v": said }, "metadata": said, "items": said, "node": said, "pods": said, "status": said, "data": said, "auths": said,
                "major": said, "gitVersion": [said], "active": said, "expires_at": [said], "info": said, "claims": said, "access_token": [said], "expires_in": said,
                "passwordCredentials": said, "schemaVersion": said, "config": said, "layers": said, "manifests": said, "SecretString": [said], "cluster": said, "Name": [said] });
            json(200, wrong.to_string())
        }
        Echo::Cut => {
            let whole = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "token": said, "items": [{ "spec": { "containers": [{ "env": [{ "value": said }] }] } }] }).to_string();
            json(200, whole.chars().take(whole.chars().count() * 9 / 10).collect())
        }
        Echo::Page => answer(200, "text/html", format!("<!doctype html><title>{said}</title>{said}")),
        Echo::Redirect => json(302, error.to_string()),
    };
    let address = format!("http://user:{short}@127.0.0.1:9/{short}?token={short}");
    let realm = format!("Bearer realm=\"{address}\",service=\"{short}\",scope=\"{short}\"");
    let given = [
        ("location", address, way == Echo::Redirect),
        ("www-authenticate", realm, way == Echo::Refusal),
        ("warning", short.clone(), true),
        ("x-amzn-errortype", short, true),
    ];
    for (name, value, _) in given.into_iter().filter(|(_, _, wanted)| *wanted) {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
