//! Where redirects lead: another origin, over TLS and in the clear, that answers every question as
//! well as it can and remembers what it was sent.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use http_body_util::{BodyExt as _, Collected};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;

use crate::part::{Ground, Part, Suffers, Tasks};
use crate::serve::{Body, One, answer, serve};

pub(crate) static PART: Part = Part {
    name: "elsewhere",
    servers: |estate| [true, false].map(|secure| of(estate.at(1, 0), secure)).to_vec(),
    suffers: Suffers::Nothing,
    files: Vec::new,
    groups: &[],
    start: |ground, tasks| start(ground, tasks).boxed(),
};

/// Ports: over TLS, in the clear.
const PORTS: [u16; 2] = [17_099, 17_098];
/// Headers that carry what must not come here.
const CREDENTIALS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "private-token",
    "coder-session-token",
    "x-lab-key",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
];

/// The other origin of a server's net.
pub(crate) fn of(server: SocketAddr, secure: bool) -> SocketAddr {
    let ip = match server.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Ipv4Addr::new(a, b, c, 99)
        }
        IpAddr::V6(_) => Ipv4Addr::LOCALHOST,
    };
    (ip, PORTS[usize::from(!secure)]).into()
}

/// What came to the other origin.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere(Arc<Mutex<Vec<Arrived>>>);

/// One request.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Method, target, headers and body.
    pub text: String,
    /// Names of headers that carry credentials.
    pub credentials: Vec<&'static str>,
}

async fn start(ground: &Ground, tasks: &mut Tasks) -> anyhow::Result<()> {
    let [secure, plain] = [true, false].map(|secure| of(ground.estate.at(1, 0), secure));
    let handler = || {
        let seen = ground.elsewhere.clone();
        move |request| seen.clone().handle(request)
    };
    tasks.push(serve(secure, Some(Arc::new(One(ground.key_of(secure.ip())?))), handler()).await?);
    tasks.push(serve(plain, None, handler()).await?);
    Ok(())
}

impl Elsewhere {
    /// Everything that came since the last time.
    pub fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn handle(self, request: Request<Incoming>) -> Option<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let headers: String = head.headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))).collect();
        let text = format!("{} {}\n{headers}\n{}", head.method, head.uri, String::from_utf8_lossy(&body));
        let credentials = CREDENTIALS.into_iter().filter(|name| head.headers.contains_key(*name)).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arrived { text, credentials });
        Some(plausible(head.uri.path()))
    }
}

/// What whoever asked would like to hear.
fn plausible(path: &str) -> Response<Body> {
    let ok = |body: &serde_json::Value| answer(200, "application/json", body.to_string());
    let ends = "2099-01-01T00:00:00Z";
    if path.ends_with("/stats/summary") {
        let disk = json!({ "availableBytes": 1_u64 << 40, "capacityBytes": 1_u64 << 41, "inodes": 1000, "inodesFree": 900 });
        return ok(&json!({ "node": { "nodeName": "node-1", "fs": disk, "runtime": { "imageFs": disk } }, "pods": [] }));
    }
    if path.starts_with("/v2/") {
        let mut named = answer(200, "application/vnd.oci.image.manifest.v1+json", "{}");
        if let Ok(digest) = format!("sha256:{}", "a".repeat(64)).parse() {
            named.headers_mut().insert("docker-content-digest", digest);
        }
        return named;
    }
    if path.starts_with("/api/v1") || path.starts_with("/apis/") {
        return ok(&json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [] }));
    }
    match path {
        "/" => answer(200, "text/plain", "OK"),
        "/version" => ok(&json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.4" })),
        // Each issuer finds its own words among them.
        _ => ok(&json!({ "id": "labkey0001", "active": true, "revoked": false, "expires_at": ends, "rate": { "limit": 5000 }, "resources": {},
            "key": "x", "info": { "blocked": false, "expires": ends }, "token": "elsewhere", "access_token": "elsewhere", "expires_in": 3600 })),
    }
}
