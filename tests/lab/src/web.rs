//! The endpoint of a region: a router behind a wildcard certificate that behaves like the real
//! one, down to refusing HEAD and answering 400 to an address that it cannot parse.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Method;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinHandle;

use crate::REGIONS;
use crate::certificates::{Authority, Leaf};
use crate::estate::Estate;
use crate::serve::{answer, serve};
use crate::storm::Mangled;

const NAMES: [&str; 3] = ["ai.lab.test", "oregon-proxy.ai.lab.test", "emea-proxy.ai.lab.test"];

/// Certificates in every state.
#[derive(Debug)]
pub(crate) struct Certificates {
    good: Vec<Arc<CertifiedKey>>,
    faulty: Vec<(&'static str, Arc<CertifiedKey>)>,
}

impl Certificates {
    pub(crate) fn new(authority: &Authority) -> anyhow::Result<Arc<Self>> {
        let names = |index: usize| [NAMES[index].to_owned(), format!("*.{}", NAMES[index])];
        let leaf = |index: usize| Leaf::good(&names(index).iter().map(String::as_str).collect::<Vec<_>>());
        let stranger = Authority::new("Another Root")?;
        Ok(Arc::new(Self {
            good: (0..3).map(|index| authority.issue(&leaf(index))).collect::<Result<_, _>>()?,
            faulty: vec![
                ("certificate-expired", authority.issue(&leaf(2).ends_in(-3600))?),
                ("certificate-cross-sign-ended", authority.issue_crossed(&leaf(2), &stranger)?),
                ("certificate-near-expiry", authority.issue(&leaf(2).ends_in(3 * 86_400))?),
                ("certificate-self-signed", leaf(2).self_signed()?),
                ("certificate-wrong-name", authority.issue(&Leaf::good(&["other.lab.test"]))?),
                ("certificate-untrusted", stranger.issue(&leaf(2))?),
            ],
        }))
    }
}

#[derive(Debug)]
struct ForRegion {
    certificates: Arc<Certificates>,
    region: usize,
    estate: Watching,
}

struct Watching(Arc<Estate>);

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watching")
    }
}

impl ResolvesServerCert for ForRegion {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let broken = self.certificates.faulty.iter().find(|(fault, _)| self.region == 2 && self.estate.0.has(fault));
        Some(Arc::clone(broken.map_or(&self.certificates.good[self.region], |(_, key)| key)))
    }
}

/// Starts the endpoint of a region. London's can fall silent, which happens before TLS.
pub(crate) async fn start(address: SocketAddr, certificates: &Arc<Certificates>, region: &'static str, estate: &Arc<Estate>) -> anyhow::Result<JoinHandle<()>> {
    let index = REGIONS.iter().position(|name| *name == region).unwrap_or(0);
    let resolver = ForRegion { certificates: Arc::clone(certificates), region: index, estate: Watching(Arc::clone(estate)) };
    // The real server sits behind a gate, because it must be able to say nothing at all.
    let inner = free_port(address).await?;
    let serving = {
        let estate = Arc::clone(estate);
        serve(inner, Some(Arc::new(resolver)), move |request| {
            let estate = Arc::clone(&estate);
            let host = request.headers().get(hyper::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
            let (path, head) = (request.uri().path().to_owned(), *request.method() == Method::HEAD);
            async move { Some(route(&estate, index, &host, &path, head)) }
        })
        .await?
    };
    let gate = tokio::net::TcpListener::bind(address).await?;
    let estate = Arc::clone(estate);
    Ok(tokio::spawn(async move {
        let _serving = AbortOnDrop(serving);
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut outside, _)) = gate.accept().await {
            let silent = index == 2 && estate.has("london-hang");
            connections.spawn(async move {
                if silent {
                    let mut ignored = [0; 1024];
                    while matches!(outside.read(&mut ignored).await, Ok(1..)) {}
                } else if let Ok(mut inside) = tokio::net::TcpStream::connect(inner).await {
                    let _ = tokio::io::copy_bidirectional(&mut Mangled::new(outside, address), &mut inside).await;
                }
            });
        }
    }))
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn free_port(near: SocketAddr) -> std::io::Result<SocketAddr> {
    tokio::net::TcpListener::bind(SocketAddr::new(near.ip(), 0)).await?.local_addr()
}

fn route(estate: &Estate, region: usize, host: &str, path: &str, head: bool) -> hyper::Response<crate::serve::Body> {
    let host = host.split(':').next().unwrap_or_default();
    if head {
        // chi routes GET only.
        return answer(405, "text/plain", "");
    }
    if host != NAMES[region] {
        if region == 1 && estate.has("oregon-wildcard-404") {
            return answer(404, "text/html", "<title>404 - Route Not Found</title>");
        }
        return answer(400, "text/html", "<title>400 - Invalid Application URL</title>");
    }
    match path {
        "/healthz" if region == 2 && estate.has("london-503") => answer(503, "text/plain", "no healthy upstream"),
        "/healthz" => {
            let mut response = answer(200, "text/plain", "OK");
            if region == 2 && estate.has("london-cached") {
                response.headers_mut().insert("age", hyper::header::HeaderValue::from_static("3600"));
            }
            response
        }
        "/buildinfo" => {
            let body = json!({ "version": "v2.35.1", "workspace_proxy": region != 0, "region": REGIONS[region], "dashboard_url": "https://ai.lab.test" });
            let mut response = answer(200, "application/json", body.to_string());
            if region == 2 && estate.has("london-identity-cached") {
                response.headers_mut().insert("age", hyper::header::HeaderValue::from_static("3600"));
            }
            response
        }
        "/docs/onboarding" if estate.has("guide-gone") => answer(404, "text/html", "<title>Not found</title>"),
        "/docs/onboarding" => answer(200, "text/html", "<title>Welcome</title>"),
        _ => answer(404, "text/plain", "not found"),
    }
}
