//! Issuers of credentials: GitLab, GitHub, Coder, LiteLLM and Google, as their documents say that
//! they answer. Each knows one credential.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use jiff::{Timestamp, ToSpan as _};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::certificates::{Authority, Leaf};
use crate::estate::Estate;
use crate::serve::{Body, One, answer, serve};

/// What the credentials are. Everything secret in the lab holds this word, so that a test can look
/// for it wherever it must not be.
pub const CANARY: &str = "lab-canary";
pub(crate) const GITLAB: &str = "glpat-lab-canary-1";
pub(crate) const GITHUB: &str = "ghp_lab-canary-2";
pub(crate) const CODER: &str = "labkey0001-lab-canary-3";
pub(crate) const LITELLM: &str = "sk-lab-canary-4";
/// The account of Google and its key.
pub(crate) const GOOGLE: [&str; 2] = ["llm@lab-project.iam.gserviceaccount.com", "0123456789abcdef0123456789abcdef01234567"];

struct Issuers {
    estate: Arc<Estate>,
    google: String,
}

/// Starts all issuers behind one address.
pub(crate) async fn start(address: SocketAddr, key: &Arc<CertifiedKey>, authority: &Authority, estate: &Arc<Estate>) -> anyhow::Result<JoinHandle<()>> {
    let (google, _) = authority.issue_pem(&Leaf::good(&["google.lab.test"]))?;
    let issuers = Arc::new(Issuers { estate: Arc::clone(estate), google });
    serve(address, Some(Arc::new(One(Arc::clone(key)))), move |request| {
        let issuers = Arc::clone(&issuers);
        async move { Some(issuers.handle(&request)) }
    })
    .await
}

impl Issuers {
    fn handle(&self, request: &Request<Incoming>) -> Response<Body> {
        let shown = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let bearer = |token: &str| shown("authorization") == format!("Bearer {token}");
        let ok = |value: &Value| answer(200, "application/json", value.to_string());
        // Issuers echo what they were sent, and nobody may repeat it.
        let refused = || {
            answer(
                401,
                "application/json",
                json!({ "message": format!("unknown credential {}{}", shown("authorization"), shown("private-token")) }).to_string(),
            )
        };
        if self.estate.has("credential-issuers-down") {
            return answer(503, "text/html", "<html>maintenance</html>");
        }
        let path = request.uri().path();
        match path {
            "/api/v4/personal_access_tokens/self" if shown("private-token") == GITLAB => ok(
                &json!({ "id": 1, "active": !self.estate.has("credential-gitlab-revoked"), "revoked": self.estate.has("credential-gitlab-revoked"), "expires_at": self.day(200) }),
            ),
            "/rate_limit" if bearer(GITHUB) && !self.estate.has("credential-github-refused") => {
                let mut response = ok(&json!({ "rate": { "limit": 5000 } }));
                let ends = self.ends("credential-github-ends-soon").strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
                if let Ok(ends) = HeaderValue::from_str(&ends) {
                    response.headers_mut().insert("github-authentication-token-expiration", ends);
                }
                response
            }
            "/api/v2/users/me/keys/labkey0001" if shown("coder-session-token") == CODER => {
                ok(&json!({ "id": "labkey0001", "expires_at": self.ends("credential-coder-ends-soon").to_string(), "lifetime_seconds": 2_592_000 }))
            }
            "/key/info" if bearer(LITELLM) => {
                let mut said = json!({ "key": LITELLM, "info": { "key_alias": "workshop", "blocked": false, "expires": self.ends("credential-llm-key-ends-soon").to_string() } });
                if self.estate.has("credential-llm-key-end-untold") {
                    said["info"].as_object_mut().map(|info| info.remove("expires"));
                }
                ok(&said)
            }
            _ if path.starts_with("/service_accounts/v1/metadata/x509/") => {
                let id = if self.estate.has("credential-google-key-deleted") { "another" } else { GOOGLE[1] };
                ok(&json!({ id: self.google }))
            }
            _ => refused(),
        }
    }

    /// Half an hour from when a fault was switched on, or far away.
    fn ends(&self, fault: &str) -> Timestamp {
        let ends =
            if self.estate.has(fault) { self.estate.since(fault).checked_add(30.minutes()) } else { self.estate.started().checked_add((24 * 200).hours()) };
        ends.unwrap_or_default()
    }

    fn day(&self, days: i64) -> String {
        self.estate.started().checked_add((24 * days).hours()).unwrap_or_default().strftime("%Y-%m-%d").to_string()
    }
}
