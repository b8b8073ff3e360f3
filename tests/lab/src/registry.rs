//! Registries of the OCI distribution API: one upstream that hands out anonymous tokens, and one
//! with mirrors that wants a password; and the ways in which real ones fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response};
use serde_json::json;

use crate::estate::Estate;
use crate::faults::{Fault, Group, red, unseen};
use crate::images::{Blob, Blobs, Version, versions};
use crate::part::{Ground, Part, Suffers, Tasks};
use crate::serve::{Body, One, answer, serve};

pub(crate) static PART: Part = Part {
    name: "registry",
    servers: |estate| ROLES.map(|(_, port)| estate.at(1, port)).to_vec(),
    suffers: Suffers::Troubles,
    files: || vec![("registry.password", format!("{}\n", USER[1]))],
    groups: &[&REGISTRIES],
    start: |ground, tasks| start(ground, tasks).boxed(),
};

/// Checks that the upstream registry answers.
const UPSTREAM: &[&str] = &["ImageMissing", "MirrorOutOfSync", "ImagePlatformMissing"];
/// The same when it does not answer at all.
const SILENT: &[&str] = &["ImageMissing", "MirrorOutOfSync", "ImagePlatformMissing", "RegistryRateLimitLow"];

/// Faults of the registry that mirrors copy from, and of the mirrors.
static REGISTRIES: Group = Group {
    name: "registries",
    faults: &[
        Fault {
            name: "mirror-tag-gone",
            what: "the mirror of us-west-2 has lost the tag",
            red: &["ImageMissing"],
            unknown: &["MirrorOutOfSync", "ClusterImageStale", "ImagePlatformMissing"],
        },
        red("registry-tag-moved-back", "the upstream tag was moved back to the older image", &["MirrorOutOfSync"]),
        Fault { name: "registry-unreachable", what: "the upstream registry cuts every connection", red: &["RegistryUnavailable"], unknown: SILENT },
        Fault { name: "registry-hangs", what: "the upstream registry says nothing", red: &["RegistryUnavailable"], unknown: SILENT },
        red("registry-rate-limit-low", "few pulls are left at the upstream registry", &["RegistryRateLimitLow"]),
        Fault {
            name: "registry-throttles",
            what: "the upstream registry answers 429 and asks for a wait of a year",
            red: &["RegistryUnavailable"],
            unknown: SILENT,
        },
        Fault { name: "registry-html", what: "the upstream registry answers with a page for people", red: &["RegistryUnavailable"], unknown: SILENT },
        unseen("registry-redirects-for-ever", "the upstream registry redirects to itself", UPSTREAM),
        unseen("registry-token-endpoint-down", "the upstream registry hands out no tokens", UPSTREAM),
        unseen("registry-token-too-weak", "tokens of the upstream registry reach another repository", UPSTREAM),
        Fault {
            name: "registry-denies",
            what: "the mirrors refuse the credentials",
            red: &["ImageNotPullable"],
            unknown: &["ImageMissing", "WorkspaceImageMissing", "MirrorOutOfSync", "ImagePlatformMissing", "ClusterImageStale"],
        },
        unseen(
            "registry-wrong-digest",
            "the mirrors tell digests that are not those of what they send",
            &["ImageMissing", "WorkspaceImageMissing", "MirrorOutOfSync", "ImagePlatformMissing", "ClusterImageStale", "ImageNotPullable"],
        ),
        red("registry-workspace-image-gone", "the image of the workspaces was deleted", &["WorkspaceImageMissing"]),
        Fault {
            name: "pull-secret-image-without-layer",
            what: "the mirrors lack the layers of their images",
            red: &["ImageNotPullable", "ImageMissing", "WorkspaceImageMissing"],
            unknown: &["MirrorOutOfSync", "ClusterImageStale"],
        },
    ],
};

/// Port of the mirrors.
pub(crate) const MIRRORS: u16 = 17_062;
/// The registries with their ports.
const ROLES: [(Role, u16); 2] = [(Role::Upstream, 17_061), (Role::Mirror, MIRRORS)];
/// The user and password of the mirrors.
pub(crate) const USER: [&str; 2] = ["puller", "lab-canary-pull"];

/// Which registry this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Upstream,
    Mirror,
}

struct Server {
    role: Role,
    address: SocketAddr,
    estate: Arc<Estate>,
    blobs: Blobs,
    versions: [Version; 2],
    tokens: AtomicU64,
}

/// A docker config for the mirrors, as a pull secret holds it.
pub(crate) fn docker_config(host: &str, user: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    json!({ "auths": { format!("{host}:{MIRRORS}"): { "auth": auth } } }).to_string()
}

async fn start(ground: &Ground, tasks: &mut Tasks) -> anyhow::Result<()> {
    for (role, port) in ROLES {
        let (address, (blobs, versions)) = (ground.estate.at(1, port), versions());
        let server = Arc::new(Server { role, address, estate: Arc::clone(&ground.estate), blobs, versions, tokens: AtomicU64::new(0) });
        let key = Arc::new(One(Arc::clone(&ground.key)));
        tasks.push(serve(address, Some(key), move |request| Arc::clone(&server).handle(request)).await?);
    }
    Ok(())
}

/// A path of the API: `/v2/NAME/manifests/REFERENCE` or `/v2/NAME/blobs/DIGEST`.
struct Target<'a> {
    repository: &'a str,
    kind: &'a str,
    reference: &'a str,
}

impl<'a> Target<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v2/")?;
        let (rest, reference) = rest.rsplit_once('/')?;
        let (repository, kind) = rest.rsplit_once('/')?;
        matches!(kind, "manifests" | "blobs").then_some(Self { repository, kind, reference })
    }
}

impl Server {
    fn on(&self, role: Role, fault: &str) -> bool {
        self.role == role && self.estate.has(fault)
    }

    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Option<Response<Body>> {
        let path = request.uri().path().to_owned();
        if self.on(Role::Upstream, "registry-hangs") {
            let mut changes = self.estate.changes();
            while self.estate.has("registry-hangs") && changes.changed().await.is_ok() {}
            return None;
        }
        if self.on(Role::Upstream, "registry-unreachable") {
            return None;
        }
        if self.on(Role::Upstream, "registry-throttles") {
            let mut limited = error(429, "TOOMANYREQUESTS");
            limited.headers_mut().insert("retry-after", HeaderValue::from_static("31536000"));
            return Some(limited);
        }
        if self.on(Role::Upstream, "registry-html") {
            return Some(answer(200, "text/html", "<html><body>Sign in to the captive portal</body></html>"));
        }
        if path == "/token" {
            return Some(self.token(&request));
        }
        let Some(target) = Target::parse(&path) else {
            return Some(if path == "/v2/" && self.may(&request, "") { answer(200, "application/json", "{}") } else { self.challenge("") });
        };
        if !self.may(&request, target.repository) {
            return Some(self.challenge(target.repository));
        }
        if self.on(Role::Mirror, "registry-denies") {
            return Some(error(403, "DENIED"));
        }
        if self.on(Role::Upstream, "registry-redirects-for-ever") {
            let mut again = answer(307, "text/plain", "");
            again.headers_mut().insert("location", HeaderValue::from_str(&path).ok()?);
            return Some(again);
        }
        Some(self.content(&target, request.method()))
    }

    /// Whether a request shows what it must.
    fn may(&self, request: &Request<Incoming>, repository: &str) -> bool {
        let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match self.role {
            // Tokens reach one repository, like those of the real ones.
            Role::Upstream => {
                shown.strip_prefix("Bearer lab-").is_some_and(|token| token.split_once('-').is_some_and(|(_, scope)| scope == scope_of(repository)))
            }
            Role::Mirror => shown == format!("Basic {}", STANDARD.encode(USER.join(":"))) || is_ecr_token(shown),
        }
    }

    fn challenge(&self, repository: &str) -> Response<Body> {
        let mut response = error(401, "UNAUTHORIZED");
        let words = match self.role {
            Role::Mirror => "Basic realm=\"mirrors\"".to_owned(),
            Role::Upstream => format!("Bearer realm=\"https://{}/token\",service=\"lab\",scope=\"repository:{repository}:pull\"", self.address),
        };
        if let Ok(words) = words.parse() {
            response.headers_mut().insert(WWW_AUTHENTICATE, words);
        }
        response
    }

    fn token(&self, request: &Request<Incoming>) -> Response<Body> {
        if self.estate.has("registry-token-endpoint-down") {
            return error(503, "UNAVAILABLE");
        }
        let query = request.uri().query().unwrap_or_default();
        let scope = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "scope").map(|(_, scope)| scope.into_owned()).unwrap_or_default();
        let repository = if self.estate.has("registry-token-too-weak") { "nothing" } else { scope.split(':').nth(1).unwrap_or_default() };
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        answer(200, "application/json", json!({ "token": format!("lab-{number}-{}", scope_of(repository)), "expires_in": 3 }).to_string())
    }

    /// What a tag names, by the faults.
    fn tag(&self, repository: &str, tag: &str) -> Option<&str> {
        let [old, new] = &self.versions;
        let known = ["v2.18.0", "latest"].contains(&tag);
        match (self.role, repository) {
            (Role::Upstream, "coder/coder-preview") if known => Some(if self.estate.has("registry-tag-moved-back") { &old.index } else { &new.index }),
            (Role::Mirror, "us-east-2/coder/coder-preview") if known => Some(if self.estate.has("mirror-stale") { &old.index } else { &new.index }),
            (Role::Mirror, "us-west-2/coder/coder-preview") if known && !self.estate.has("mirror-tag-gone") => Some(&new.copy),
            (Role::Mirror, "eu-west-2/coder/coder-preview") if known => Some(&new.index),
            (Role::Mirror, "claude-ws") if tag == "latest" && !self.estate.has("registry-workspace-image-gone") => Some(&new.index),
            _ => None,
        }
    }

    fn content(&self, target: &Target<'_>, method: &Method) -> Response<Body> {
        let digest = if target.reference.starts_with("sha256:") { Some(target.reference) } else { self.tag(target.repository, target.reference) };
        let Some((digest, blob)) = digest.and_then(|digest| Some((digest, self.blobs.get(digest)?))) else {
            return error(404, if target.kind == "manifests" { "MANIFEST_UNKNOWN" } else { "BLOB_UNKNOWN" });
        };
        if target.kind == "blobs" && self.on(Role::Mirror, "pull-secret-image-without-layer") && blob.media_type.contains("tar") {
            return error(404, "BLOB_UNKNOWN");
        }
        let Blob { media_type, bytes } = blob;
        let mut response = answer(200, media_type, if method == Method::HEAD { Vec::new() } else { bytes.clone() });
        response.headers_mut().insert(CONTENT_LENGTH, bytes.len().into());
        let told = if self.on(Role::Mirror, "registry-wrong-digest") { self.versions[0].config.as_str() } else { digest };
        if let Ok(told) = told.parse() {
            response.headers_mut().insert("docker-content-digest", told);
        }
        if self.role == Role::Upstream {
            let left = if self.estate.has("registry-rate-limit-low") { "3;w=21600" } else { "76;w=21600" };
            response.headers_mut().insert("ratelimit-limit", HeaderValue::from_static("100;w=21600"));
            response.headers_mut().insert("ratelimit-remaining", HeaderValue::from_static(left));
        }
        response
    }
}

/// Whether it is the user AWS with what looks like a token of ECR.
fn is_ecr_token(shown: &str) -> bool {
    let decoded = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = shown.strip_prefix("Basic ").and_then(decoded);
    let token = pair.as_deref().and_then(|pair| pair.strip_prefix("AWS:")).and_then(decoded);
    token.is_some_and(|token| token.contains("\"payload\":\"lab\""))
}

fn scope_of(repository: &str) -> String {
    repository.replace('/', "_")
}

fn error(status: u16, code: &str) -> Response<Body> {
    answer(status, "application/json", json!({ "errors": [{ "code": code, "message": "by the lab" }] }).to_string())
}
