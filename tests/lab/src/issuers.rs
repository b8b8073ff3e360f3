//! Issuers of credentials: GitLab, GitHub, Coder, LiteLLM, Google and Entra, as their documents say that
//! they answer. Each knows one credential.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use futures::FutureExt as _;
use http_body_util::{BodyExt as _, Collected};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use crate::estate::Estate;
use crate::faults::{Fault, Group, REFUSED, red, unnoticed, unseen};
use crate::google::{self, GoogleKey};
use crate::kept;
use crate::part::{Ground, Part, Suffers, Tasks};
use crate::serve::{Body, One, answer, field, serve};

pub(crate) static PART: Part = Part {
    name: "issuers",
    servers: |estate| vec![estate.at(1, PORT)],
    suffers: Suffers::Troubles,
    files,
    groups: &[&CREDENTIALS],
    start: |ground, tasks| start(ground, tasks).boxed(),
};

/// Checks of when credentials end.
const ENDS: &[&str] = &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"];
/// The same, and of their age.
const LOST: &[&str] = &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd", "CredentialTooOld"];
/// What nobody can tell of a credential that does not work, and whose issuer alone knows its age.
const REFUSED_AND_AGELESS: &[&str] =
    &["CredentialUnproven", "CredentialExpiryUnknown", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd", "CredentialTooOld"];
/// What nobody can tell of one whose issuer could not be asked, but whose age is known.
const UNASKED: &[&str] = &["CredentialInvalid", "CredentialUnproven", "CredentialExpiryUnknown", "CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"];

/// Faults of what issuers say of credentials, and of the files with them.
static CREDENTIALS: Group = Group {
    name: "credentials",
    faults: &[
        red("credential-file-exposed", "everybody on the machine may read the file with the token of GitLab", &["CredentialFileExposed"]),
        red("credential-licence-renewed", "the licence was renewed, and nobody wrote that down", &["CredentialEndDiffers"]),
        Fault { name: "credential-github-refused", what: "GitHub refuses its token", red: &["CredentialInvalid"], unknown: REFUSED },
        red("credential-google-ends-soon", "the key of the Google account ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        red("credential-github-ends-soon", "the token of GitHub ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        Fault { name: "credential-gitlab-revoked", what: "the token of GitLab was revoked", red: &["CredentialInvalid"], unknown: REFUSED },
        red("credential-gitlab-ends-soon", "the token of GitLab ends tomorrow", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        red("credential-coder-ends-soon", "the token of Coder ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        unnoticed("credential-llm-key-lasts", "the LLM key is one that lasts for months, whatever its rotation does"),
        red("credential-llm-key-ends-soon", "the LLM key ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        Fault { name: "credential-llm-key-end-untold", what: "LiteLLM does not say when the key expires", red: &["CredentialExpiryUnknown"], unknown: ENDS },
        red("credential-licence-ends-soon", "the licence of Coder ends in half an hour", &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"]),
        Fault { name: "credential-licence-gone", what: "Coder has no licence", red: &["CredentialInvalid"], unknown: REFUSED },
        red(
            "credential-provisioner-key-old",
            "the provisioner key of Coder is a hundred days old",
            &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd", "CredentialTooOld"],
        ),
        Fault {
            name: "credential-provisioner-key-gone",
            what: "the provisioner key of Coder was deleted",
            red: &["CredentialInvalid"],
            unknown: REFUSED_AND_AGELESS,
        },
        red(
            "credential-entra-ends-soon",
            "the secret of the Entra application ends in half an hour",
            &["CredentialExpiresSoon", "CredentialExpiresBeforeEventEnd"],
        ),
        Fault {
            name: "credential-entra-ended",
            what: "the secret of the Entra application has ended",
            red: &["CredentialInvalid"],
            unknown: REFUSED_AND_AGELESS,
        },
        Fault {
            name: "credential-entra-refused",
            what: "Entra knows another secret of the application",
            red: &["CredentialInvalid"],
            unknown: REFUSED_AND_AGELESS,
        },
        Fault {
            name: "credential-entra-end-hidden",
            what: "Graph does not let the application read about itself",
            red: &["CredentialExpiryUnknown"],
            unknown: LOST,
        },
        Fault { name: "credential-google-key-deleted", what: "the key of the Google account was deleted", red: &["CredentialInvalid"], unknown: REFUSED },
        unseen("credential-google-clock", "Google finds that the exporter's clock is wrong", UNASKED),
        Fault {
            name: "credential-bedrock-refused",
            what: "Bedrock refuses its key",
            red: &["CredentialInvalid"],
            unknown: &["CredentialUnproven", "CredentialEndDiffers"],
        },
        red("credential-bedrock-may-not-list", "the key of Bedrock may not list models, so that nobody knows whether it works", &["CredentialUnproven"]),
        unseen(
            "credential-issuers-down",
            "the issuers answer 503",
            &[
                "CredentialInvalid",
                "CredentialUnproven",
                "CredentialExpiryUnknown",
                "CredentialExpiresSoon",
                "CredentialExpiresBeforeEventEnd",
                "CredentialTooOld",
                "CredentialEndDiffers",
            ],
        ),
    ],
};

/// Port of all issuers.
const PORT: u16 = 17_063;
/// What the credentials are. Everything secret in the lab holds this word, so that a test can look
/// for it wherever it must not be.
pub const CANARY: &str = "lab-canary";
/// What nothing may repeat: the canary, as it is and inside of Base64, the private key of Google's
/// account, and what it signs.
pub fn secrets() -> Vec<String> {
    let key = google::KEY.as_ref().map(GoogleKey::secret);
    // What stays the same of it, by how many bytes stand before it.
    let encoded = (0..3).map(|before| {
        let text = STANDARD_NO_PAD.encode(format!("{}{CANARY}", &"..."[..before]));
        text[(before * 8).div_ceil(6)..(before + CANARY.len()) * 8 / 6].to_owned()
    });
    [Some(CANARY.to_owned()), key, Some("eyJhbGciOiJSUzI1Ni".to_owned())].into_iter().flatten().chain(encoded).collect()
}

const GITLAB: &str = "glpat-lab-canary-1";
const GITHUB: &str = "ghp_lab-canary-2";
const CODER: &str = "labkey0001-lab-canary-3";
pub(crate) const LITELLM: &str = "sk-lab-canary-4";
/// A key that lives long; the other one is renewed every night.
const LITELLM_FOR_LONG: &str = "sk-lab-canary-7";
const ENTRA: &str = "abc~lab-canary-5";
/// A long key of Bedrock, which is Base64 of a name and a secret.
pub(crate) fn bedrock() -> String {
    format!("ABSK{}", STANDARD.encode(format!("BedrockAPIKey-ab12-at-123456789012:{CANARY}-6")))
}
/// The tenant and the application of Entra.
const APPLICATION: [&str; 2] = ["lab-tenant", "11111111-2222-3333-4444-555555555555"];

struct Issuers {
    estate: Arc<Estate>,
}

/// The credentials, each in a file.
fn files() -> Vec<(&'static str, String)> {
    vec![
        (kept::GITLAB, format!("{GITLAB}\n")),
        ("github.token", format!("{GITHUB}\n")),
        ("coder.token", format!("{CODER}\n")),
        ("entra.secret", format!("{ENTRA}\n")),
        ("litellm.key", format!("{LITELLM_FOR_LONG}\n")),
        ("google.json", google::KEY.as_ref().map(GoogleKey::file).unwrap_or_default()),
        ("bedrock.key", format!("{}\n", bedrock())),
        (kept::LICENCE.0, kept::LICENCE.1.to_owned()),
    ]
}

/// Starts all issuers behind one address.
async fn start(ground: &Ground, tasks: &mut Tasks) -> anyhow::Result<()> {
    let issuers = Arc::new(Issuers { estate: Arc::clone(&ground.estate) });
    let key = Arc::new(One(Arc::clone(&ground.key)));
    let serving = serve(ground.estate.at(1, PORT), Some(key), move |request| {
        let issuers = Arc::clone(&issuers);
        async move { Some(issuers.handle(request).await) }
    });
    tasks.push(serving.await?);
    tasks.push(kept::start(ground.folder.clone(), &ground.estate));
    Ok(())
}

impl Issuers {
    async fn handle(&self, request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() == format!("/{}/oauth2/v2.0/token", APPLICATION[0]) {
            let form = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
            return self.entra_token(&form);
        }
        if request.uri().path() == "/token" && !self.estate.has("credential-issuers-down") {
            let form = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
            return google::token(&form, &self.estate);
        }
        self.answer(&request)
    }

    /// Source: <https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
    fn entra_token(&self, form: &[u8]) -> Response<Body> {
        let value = |name: &str| field(form, name);
        let refused = |code: u32, text: &str| {
            let body =
                json!({ "error": "invalid_client", "error_codes": [code], "error_description": format!("AADSTS{code}: {text}: {}", value("client_secret")) });
            answer(401, "application/json", body.to_string())
        };
        if value("client_id") != APPLICATION[1] || value("grant_type") != "client_credentials" || !value("scope").ends_with("/.default") {
            return refused(700_016, "no such application");
        }
        if self.estate.has("credential-entra-ended") {
            return refused(7_000_222, "the secret keys are expired");
        }
        if value("client_secret") != ENTRA || self.estate.has("credential-entra-refused") {
            return refused(7_000_215, "invalid client secret");
        }
        answer(200, "application/json", json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": "lab-canary-graph" }).to_string())
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Body> {
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
                &json!({ "id": 1, "active": !self.estate.has("credential-gitlab-revoked"), "revoked": self.estate.has("credential-gitlab-revoked"), "expires_at": self.day(if self.estate.has("credential-gitlab-ends-soon") { 1 } else { 200 }) }),
            ),
            "/rate_limit" if bearer(GITHUB) && !self.estate.has("credential-github-refused") => {
                let reset = self.estate.started().as_second() + 3600;
                let mut response = ok(&json!({ "resources": { "core": { "limit": 5000, "used": 1, "remaining": 4999, "reset": reset } } }));
                response.headers_mut().insert("x-github-request-id", HeaderValue::from_static("1A2B:3C4D:5E6F:7A8B:9C0D"));
                let ends = self.ends("credential-github-ends-soon").strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
                if let Ok(ends) = HeaderValue::from_str(&ends) {
                    response.headers_mut().insert("github-authentication-token-expiration", ends);
                }
                response
            }
            "/api/v2/users/me/keys/labkey0001" if shown("coder-session-token") == CODER => ok(
                &json!({ "id": "labkey0001", "user_id": "7a1e9a3c-0000-4000-8000-000000000001", "expires_at": self.ends("credential-coder-ends-soon").to_string(), "lifetime_seconds": 2_592_000 }),
            ),
            "/api/v2/licenses" if shown("coder-session-token") == CODER => {
                let ends = self.ends("credential-licence-ends-soon").as_second();
                let old = json!({ "id": 1, "claims": { "license_expires": 1_700_000_000 } });
                let licences = if self.estate.has("credential-licence-gone") {
                    json!([])
                } else {
                    json!([old, { "id": 2, "claims": { "license_expires": ends, "exp": ends + 86_400 } }])
                };
                ok(&licences)
            }
            "/api/v2/organizations/default/provisionerkeys" if shown("coder-session-token") == CODER => {
                let age = if self.estate.has("credential-provisioner-key-old") { 100 } else { 30 };
                let name = if self.estate.has("credential-provisioner-key-gone") { "another" } else { "workshop" };
                ok(&json!([{ "id": "1", "name": name, "created_at": self.estate.started().checked_sub((24 * age).hours()).unwrap_or_default().to_string() }]))
            }
            _ if path == format!("/v1.0/applications(appId='{}')", APPLICATION[1]) && bearer("lab-canary-graph") => {
                if self.estate.has("credential-entra-end-hidden") {
                    return answer(403, "application/json", json!({ "error": { "code": "Authorization_RequestDenied" } }).to_string());
                }
                let other = json!({ "hint": "xyz", "startDateTime": "2025-01-01T00:00:00Z", "endDateTime": "2025-06-01T00:00:00Z" });
                let own = json!({ "hint": &ENTRA[..3], "startDateTime": self.estate.rolled_out().to_string(), "endDateTime": self.ends("credential-entra-ends-soon").to_string() });
                ok(&json!({ "passwordCredentials": [other, own] }))
            }
            "/foundation-models" => {
                // Bedrock refuses all with one status, and says why in a text.
                let no = |text: &str| answer(403, "application/json", json!({ "Message": text }).to_string());
                if !bearer(&bedrock()) || self.estate.has("credential-bedrock-refused") {
                    return no(&format!("Authentication failed: Please make sure your API Key is valid: {}", shown("authorization")));
                }
                if self.estate.has("credential-bedrock-may-not-list") {
                    return no("User: arn:aws:iam::123456789012:user/llm is not authorized to perform: bedrock:ListFoundationModels");
                }
                ok(&json!({ "modelSummaries": [{ "modelArn": "arn:aws:bedrock:us-east-2::foundation-model/lab.model-v1", "modelId": "lab.model-v1" }] }))
            }
            "/key/info" if bearer(LITELLM) || bearer(LITELLM_FOR_LONG) => {
                let faults = ["credential-llm-key-ends-soon", "rotation-suspended-key-lapses"];
                let ending = faults.into_iter().find(|fault| self.estate.has(fault));
                let key = if bearer(LITELLM) { LITELLM } else { LITELLM_FOR_LONG };
                // It outlives the next rotation, and no event.
                let renewed = self.estate.last_rotation().1.checked_add(32.hours()).unwrap_or_default();
                let lasts = ["credential-llm-key-lasts", "rotation-not-suspended"].iter().any(|fault| self.estate.has(fault));
                let is_short = key == LITELLM && ending.is_none() && !lasts;
                let ends = if is_short { renewed } else { self.ends(ending.unwrap_or(faults[0])) };
                let mut said =
                    json!({ "key": key, "info": { "key_alias": "workshop", "blocked": false, "spend": 1.5, "max_budget": 100, "expires": ends.to_string() } });
                if self.estate.has("credential-llm-key-end-untold") {
                    said["info"].as_object_mut().map(|info| info.remove("expires"));
                }
                ok(&said)
            }
            _ => google::get(path, shown("authorization"), self.ends("credential-google-ends-soon"), &self.estate).unwrap_or_else(refused),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_is_found_inside_of_base64() {
        for before in 0..7 {
            let text = STANDARD_NO_PAD.encode(format!("{}{CANARY}-1", &"user:pa"[..before]));
            assert!(secrets().iter().any(|secret| text.contains(secret.as_str())), "{text}");
        }
    }
}
