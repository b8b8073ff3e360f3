//! The endpoint of a region: a router behind a wildcard certificate that behaves like the real
//! one, down to refusing HEAD and answering 400 to an address that it cannot parse.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use hyper::Method;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinHandle;

use crate::REGIONS;
use crate::certificates::{Authority, Leaf};
use crate::estate::Estate;
use crate::faults::{Fault, Group, red, unnoticed, unseen};
use crate::part::{Ground, Part, Suffers, Tasks};
use crate::serve::{answer, serve};
use crate::storm::Mangled;

pub(crate) static PART: Part = Part {
    name: "web",
    servers: |estate| (0..REGIONS.len()).map(|region| SocketAddr::new(estate.endpoint(region).into(), PORT)).collect(),
    suffers: Suffers::Storms,
    files: Vec::new,
    groups: &[&ENDPOINTS, &CERTIFICATES],
    start: |ground, tasks| start(ground, tasks).boxed(),
};

/// Checks that the presented certificate answers.
const CERTIFICATE: &[&str] = &["CertificateNotTrusted", "CertificateExpiresSoon", "CertificateExpiresBeforeEventEnd"];

/// Faults of what endpoints answer.
static ENDPOINTS: Group = Group {
    name: "endpoints",
    faults: &[
        red("london-cached", "the London health endpoint is answered by a cache, an hour late", &["EndpointAnswerStale"]),
        unseen("london-identity-cached", "what identifies the London proxy is answered by a cache, an hour late", &["EndpointIdentityMismatch"]),
        red("london-503", "the London health endpoint answers 503", &["EndpointUnhealthy"]),
        Fault {
            name: "london-hang",
            what: "the London endpoint accepts connections and says nothing",
            red: &["EndpointUnhealthy", "WildcardRouteBroken", "SubdomainRoutingDegraded", "TlsHandshakeFailed"],
            unknown: &["EndpointIdentityMismatch", "EndpointAnswerStale", CERTIFICATE[0], CERTIFICATE[1], CERTIFICATE[2]],
        },
        red("oregon-wildcard-404", "the Oregon router does not know its wildcard", &["WildcardRouteBroken", "SubdomainRoutingDegraded"]),
        red("guide-gone", "the onboarding guide answers 404", &["DocumentUnreachable"]),
    ],
};

/// Every check over HTTPS, which verifies certificates.
const HTTPS: &[&str] = &["EndpointUnhealthy", "WildcardRouteBroken", "SubdomainRoutingDegraded"];

/// Faults of the certificate that London presents.
static CERTIFICATES: Group = Group {
    name: "certificates",
    faults: &[
        Fault {
            name: "certificate-expired",
            what: "London presents an expired certificate",
            red: &["CertificateNotTrusted", "CertificateExpiresSoon", "CertificateExpiresBeforeEventEnd", HTTPS[0], HTTPS[1], HTTPS[2]],
            unknown: &["EndpointIdentityMismatch", "EndpointAnswerStale"],
        },
        unnoticed("certificate-cross-sign-ended", "London presents a cross-signature of its root that has ended and that nobody needs"),
        red("certificate-near-expiry", "London's certificate expires in three days", &["CertificateExpiresSoon", "CertificateExpiresBeforeEventEnd"]),
        Fault {
            name: "certificate-self-signed",
            what: "London presents a self-signed certificate",
            red: &["CertificateNotTrusted", HTTPS[0], HTTPS[1], HTTPS[2]],
            unknown: &["EndpointIdentityMismatch", "EndpointAnswerStale"],
        },
        Fault {
            name: "certificate-wrong-name",
            what: "London presents a certificate for another name",
            red: &["CertificateNotTrusted", HTTPS[0], HTTPS[1], HTTPS[2], "EndpointIdentityMismatch"],
            unknown: &["EndpointAnswerStale"],
        },
        Fault {
            name: "certificate-untrusted",
            what: "London's certificate is from an unknown authority",
            red: &["CertificateNotTrusted", HTTPS[0], HTTPS[1], HTTPS[2]],
            unknown: &["EndpointIdentityMismatch", "EndpointAnswerStale"],
        },
    ],
};

/// Port of every region's endpoint.
const PORT: u16 = 17_080;
const NAMES: [&str; 3] = ["ai.lab.test", "oregon-proxy.ai.lab.test", "emea-proxy.ai.lab.test"];

/// Certificates in every state.
#[derive(Debug)]
struct Certificates {
    good: Vec<Arc<CertifiedKey>>,
    faulty: Vec<(&'static str, Arc<CertifiedKey>)>,
}

impl Certificates {
    fn new(authority: &Authority) -> anyhow::Result<Arc<Self>> {
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

async fn start(ground: &Ground, tasks: &mut Tasks) -> anyhow::Result<()> {
    let certificates = Certificates::new(&ground.authority)?;
    for (region, address) in (PART.servers)(&ground.estate).into_iter().enumerate() {
        tasks.push(start_one(address, &certificates, region, &ground.estate).await?);
    }
    Ok(())
}

/// Starts the endpoint of a region. London's can fall silent, which happens before TLS.
async fn start_one(address: SocketAddr, certificates: &Arc<Certificates>, region: usize, estate: &Arc<Estate>) -> anyhow::Result<JoinHandle<()>> {
    let resolver = ForRegion { certificates: Arc::clone(certificates), region, estate: Watching(Arc::clone(estate)) };
    // The real server sits behind a gate, because it must be able to say nothing at all.
    let inner = free_port(address).await?;
    let serving = {
        let estate = Arc::clone(estate);
        serve(inner, Some(Arc::new(resolver)), move |request| {
            let estate = Arc::clone(&estate);
            let host = request.headers().get(hyper::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
            let (path, head) = (request.uri().path().to_owned(), *request.method() == Method::HEAD);
            async move { Some(route(&estate, region, &host, &path, head)) }
        })
        .await?
    };
    let gate = tokio::net::TcpListener::bind(address).await?;
    let estate = Arc::clone(estate);
    Ok(tokio::spawn(async move {
        let _serving = AbortOnDrop(serving);
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut outside, _)) = gate.accept().await {
            let silent = region == 2 && estate.has("london-hang");
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
