//! Every issuer against every answer that a credential could get from it, or from whoever stands in its
//! place.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use readiness_lab::plain_server;
use reqwest::Client;
use serde_json::{Value, json};

use super::Credential;
use super::config::Kind;
use super::prove::{Issuer, Proof};

/// What the credential of each kind is; Coder's names the identity that its issuer repeats.
const SECRET: &str = "labkey0001-secret";

const CREDENTIALS: &str = "
- { name: gitlab, kind: gitlab, from: { env: A } }
- { name: github, kind: github, from: { env: A } }
- { name: coder, kind: coder, from: { env: A } }
- { name: licence, kind: coder_license, from: { env: A } }
- { name: provisioner, kind: coder_provisioner_key, from: { env: A }, provisioner: { organization: default, name: workshop } }
- { name: litellm, kind: litellm, from: { env: A } }
- { name: entra, kind: entra_app_secret, from: { env: A }, entra: { tenant: t, client_id: c } }
- { name: bedrock, kind: bedrock_api_key, from: { env: A } }
";

/// Status, headers and body of one answer.
#[derive(Clone)]
struct Answer(u16, Vec<(&'static str, String)>, String);

fn of_json(body: &Value) -> Answer {
    Answer(200, Vec::new(), body.to_string())
}

fn with_headers(headers: &[(&'static str, &str)], body: &Value) -> Answer {
    Answer(200, headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), body.to_string())
}

/// One server for all issuers, that says the same to everybody.
struct Everybody {
    base: String,
    client: Client,
    says: Arc<Mutex<Answer>>,
    server: tokio::task::JoinHandle<()>,
}

impl Everybody {
    async fn start(port: u16) -> Self {
        let says = Arc::new(Mutex::new(of_json(&Value::Null)));
        let said = Arc::clone(&says);
        let address = SocketAddr::from(([127, 0, 7, 64], port));
        let server = plain_server(address, Duration::ZERO, move |_, path, _| {
            let Answer(status, headers, body) = said.lock().unwrap().clone();
            // Entra is two, and what is tried is Graph's answer.
            if path.ends_with("/oauth2/v2.0/token") && headers.iter().any(|(name, _)| *name == "x-graph") {
                return (200, Vec::new(), json!({ "token_type": "Bearer", "access_token": "t" }).to_string().into_bytes());
            }
            (status, headers, body.into_bytes())
        });
        let client = Client::builder().no_proxy().build().unwrap();
        Self { base: format!("http://{address}"), client, says, server: server.await.unwrap() }
    }

    /// What comes of a credential: `taken until SECOND`, `taken for ever`, `taken: WHY ITS END IS UNKNOWN`,
    /// `refused: WHY` or `unknown`.
    async fn ask(&self, credential: &Credential, answer: &Answer) -> String {
        *self.says.lock().unwrap() = answer.clone();
        let mut credential = credential.clone();
        if let Some(entra) = &mut credential.entra {
            entra.login = crate::value::Url::new(&self.base);
        }
        let calls = AtomicU64::default();
        let issuer = Issuer { client: &self.client, api: &self.base, timeout: Duration::from_secs(20), calls: &calls };
        let proof = if credential.kind == Kind::BedrockApiKey {
            issuer.bedrock(SECRET).await.map(|taken| taken.map_or_else(Proof::Refused, |()| Proof::Taken(super::Told::default())))
        } else {
            issuer.ask(&credential, SECRET).await
        };
        match proof {
            Ok(Proof::Taken(told)) => match (told.silent, told.ends) {
                (Some(why), _) => format!("taken: {why}"),
                (None, Some(ends)) => format!("taken until {ends}"),
                (None, None) => "taken for ever".to_owned(),
            },
            Ok(Proof::Unproven(..)) => "unproven".to_owned(),
            Ok(Proof::Refused(why)) => format!("refused: {why}"),
            Err(_) => "unknown".to_owned(),
        }
    }
}

fn credentials() -> Vec<Credential> {
    serde_saphyr::from_str(CREDENTIALS).unwrap()
}

fn named(name: &str) -> Credential {
    credentials().into_iter().find(|credential| credential.name == name).unwrap()
}

const ENDS: i64 = 1_893_456_000;
const ENDS_TEXT: &str = "2030-01-01T00:00:00Z";

fn github(limit: i64) -> Value {
    json!({ "resources": { "core": { "limit": limit, "used": 1, "remaining": limit - 1, "reset": 1_764_000_000 } }, "rate": { "limit": limit } })
}

const OF_GITHUB: (&str, &str) = ("x-github-request-id", "1A2B:3C4D");

/// What the issuer itself says of a credential that works, and what comes of it.
fn right() -> Vec<(&'static str, Answer, String)> {
    let until = format!("taken until {ENDS}");
    let model = json!({ "modelSummaries": [{ "modelArn": "arn:aws:bedrock:us-east-2::foundation-model/a.b", "modelId": "a.b" }] });
    vec![
        ("gitlab", of_json(&json!({ "id": 4, "active": true, "revoked": false, "expires_at": "2030-01-01" })), until.clone()),
        ("github", with_headers(&[OF_GITHUB, ("github-authentication-token-expiration", "2030-01-01 00:00:00 UTC")], &github(5000)), until.clone()),
        ("coder", of_json(&json!({ "id": "labkey0001", "user_id": "u", "expires_at": ENDS_TEXT })), until.clone()),
        ("licence", of_json(&json!([{ "id": 1, "claims": { "license_expires": ENDS, "nbf": 1_700_000_000, "exp": ENDS + 1 } }])), until.clone()),
        ("provisioner", of_json(&json!([{ "id": "1", "name": "workshop", "created_at": ENDS_TEXT }])), "taken for ever".to_owned()),
        ("litellm", of_json(&json!({ "key": SECRET, "info": { "blocked": null, "expires": ENDS_TEXT, "spend": 1.5, "max_budget": 2 } })), until.clone()),
        ("entra", with_headers(&[("x-graph", "1")], &json!({ "passwordCredentials": [{ "hint": "lab", "endDateTime": ENDS_TEXT }] })), until),
        ("bedrock", of_json(&model), "taken for ever".to_owned()),
    ]
}

/// A proxy that signs people in, a maintenance page or somebody else's API answers 200 to everything.
#[tokio::test]
async fn what_anybody_can_answer_proves_nothing() {
    let everybody = Everybody::start(20_100).await;
    let mut answers: Vec<(String, Answer)> = ["{}", "[]", "null", "7", "\"x\"", "", "<html>sign in</html>", "[{}]", "{\"id\":1}"]
        .into_iter()
        .flat_map(|body| {
            let graph = Answer(200, vec![("x-graph", "1".to_owned())], body.to_owned());
            [(body.to_owned(), Answer(200, Vec::new(), body.to_owned())), (format!("{body} from Graph"), graph)]
        })
        .collect();
    answers.extend(right().into_iter().map(|(name, answer, _)| (format!("the answer of {name}"), answer)));
    for credential in credentials() {
        for (what, answer) in answers.iter().filter(|(what, _)| *what != format!("the answer of {}", credential.name)) {
            let said = everybody.ask(&credential, answer).await;
            // In a list that holds nothing, or others, what is looked for is missing.
            let is_list = what.starts_with("[]") || *what == "the answer of provisioner";
            let may_refuse = is_list && matches!(credential.kind, Kind::CoderLicense | Kind::CoderProvisionerKey);
            assert!(said == "unknown" || may_refuse && said.starts_with("refused"), "{} by {what}: {said}", credential.name);
        }
    }
    everybody.server.abort();
}

/// Whoever revoked a credential an hour ago is not believed by what was said the day before.
#[tokio::test]
async fn what_a_cache_kept_proves_nothing() {
    let everybody = Everybody::start(20_106).await;
    for (name, answer, expected) in right() {
        let Answer(status, headers, body) = answer;
        for (age, expected) in [("60", expected.as_str()), ("61", "unknown"), ("86400", "unknown")] {
            let headers = headers.iter().cloned().chain([("age", age.to_owned())]).collect();
            assert_eq!(everybody.ask(&named(name), &Answer(status, headers, body.clone())).await, expected, "{name}, {age} s old");
        }
    }
    everybody.server.abort();
}

#[tokio::test]
async fn what_only_the_issuer_says_proves_a_credential() {
    let everybody = Everybody::start(20_101).await;
    for (name, answer, expected) in right() {
        assert_eq!(everybody.ask(&named(name), &answer).await, expected, "{name}");
        // The same text with one name twice.
        let Answer(status, headers, body) = answer;
        let twice = body.replacen("\"id\":", "\"id\":0,\"id\":", 1).replacen("\"info\":", "\"info\":{},\"info\":", 1);
        let twice = twice.replacen("\"limit\":", "\"limit\":1,\"limit\":", 1).replacen("\"endDateTime\":", "\"endDateTime\":null,\"endDateTime\":", 1);
        let twice = twice.replacen("\"modelId\":", "\"modelId\":\"x\",\"modelId\":", 1);
        assert_eq!(everybody.ask(&named(name), &Answer(status, headers, twice)).await, "unknown", "{name}");
    }
    everybody.server.abort();
}

#[tokio::test]
async fn whoever_refuses_must_be_the_issuer() {
    let everybody = Everybody::start(20_102).await;
    let page = |status: u16| Answer(status, Vec::new(), "<html>sign in</html>".to_owned());
    let own = |status: u16| Answer(status, Vec::new(), json!({ "message": "no" }).to_string());
    for credential in credentials().into_iter().filter(|credential| !matches!(credential.name.as_str(), "entra" | "bedrock")) {
        assert!(everybody.ask(&credential, &own(401)).await.starts_with("refused"), "{}", credential.name);
        // Whoever may not ask about itself may work all the same.
        for answer in [own(403), page(401), page(403), page(407), own(404), own(429), page(503), Answer(204, Vec::new(), String::new())] {
            assert_eq!(everybody.ask(&credential, &answer).await, "unknown", "{} by {}", credential.name, answer.0);
        }
    }
    everybody.server.abort();
}

#[tokio::test]
async fn each_issuer_says_in_its_own_way_that_it_is_over() {
    let everybody = Everybody::start(20_103).await;
    let gitlab = |changed: Value| {
        let mut said = json!({ "id": 4, "active": true, "revoked": false, "expires_at": null });
        said.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        of_json(&said)
    };
    let litellm = |info: Value| of_json(&json!({ "key": SECRET, "info": info }));
    let coder = |ends: Value| of_json(&json!({ "id": "labkey0001", "user_id": "u", "expires_at": ends }));
    let licences =
        |all: &[[i64; 2]]| of_json(&all.iter().map(|[begins, ends]| json!({ "id": 1, "claims": { "nbf": begins, "license_expires": ends } })).collect());
    let graph = |said: Value| with_headers(&[("x-graph", "1")], &said);
    let odd = |status: u16, said: Value| Answer(status, Vec::new(), said.to_string());
    let unsaid = "taken: GitLab does not say when it expires";
    let now = jiff::Timestamp::now().as_second();
    let expiration = "github-authentication-token-expiration";
    let cases: Vec<(&str, Answer, String)> = vec![
        ("gitlab", gitlab(json!({})), "taken for ever".to_owned()),
        ("gitlab", gitlab(json!({ "revoked": true })), "refused: GitLab says that the token is not active".to_owned()),
        ("gitlab", gitlab(json!({ "active": false })), "refused: GitLab says that the token is not active".to_owned()),
        ("gitlab", gitlab(json!({ "revoked": "true" })), "unknown".to_owned()),
        ("gitlab", gitlab(json!({ "revoked": null })), "unknown".to_owned()),
        ("gitlab", gitlab(json!({ "active": "true" })), "unknown".to_owned()),
        ("gitlab", gitlab(json!({ "id": "4" })), "unknown".to_owned()),
        ("gitlab", gitlab(json!({ "expires_at": "soon" })), unsaid.to_owned()),
        ("gitlab", of_json(&json!({ "id": 4, "active": true, "revoked": false })), unsaid.to_owned()),
        ("github", with_headers(&[OF_GITHUB], &github(5000)), "taken for ever".to_owned()),
        ("github", of_json(&github(5000)), "unknown".to_owned()),
        ("github", with_headers(&[OF_GITHUB], &github(60)), "unknown".to_owned()),
        ("github", with_headers(&[OF_GITHUB], &json!({ "rate": { "limit": 5000 } })), "unknown".to_owned()),
        (
            "github",
            with_headers(&[OF_GITHUB, (expiration, "2030-01-01 00:00:00 UTC"), (expiration, "2031-01-01 00:00:00 UTC")], &github(5000)),
            "taken: GitHub tells two ends of it".to_owned(),
        ),
        ("github", with_headers(&[OF_GITHUB, (expiration, "later")], &github(5000)), "taken: GitHub tells its end in a form that is not known".to_owned()),
        ("coder", coder(Value::Null), "taken: Coder does not say when it expires".to_owned()),
        ("coder", of_json(&json!({ "id": "labkey0002", "user_id": "u", "expires_at": ENDS_TEXT })), "unknown".to_owned()),
        ("licence", licences(&[[now + 3600, ENDS]]), "refused: no licence of Coder has begun yet".to_owned()),
        (
            "licence",
            of_json(&json!([{ "id": 1, "claims": { "license_expires": ENDS, "nbf": 1_700_000_000, "exp": now - 5 } }])),
            format!("taken until {}", now - 5),
        ),
        ("licence", licences(&[[0, now - 5]]), "taken: Coder does not say from when until when a licence holds".to_owned()),
        ("licence", licences(&[[1_700_000_000, now - 5], [now + 3600, ENDS]]), format!("taken until {}", now - 5)),
        ("licence", licences(&[[1_700_000_000, now + 3600], [now + 1800, ENDS]]), format!("taken until {ENDS}")),
        ("licence", licences(&[[1_700_000_000, now + 3600], [now + 7200, ENDS]]), format!("taken until {}", now + 3600)),
        (
            "licence",
            of_json(&json!([{ "id": 1, "claims": { "license_expires": null } }])),
            "taken: Coder does not say from when until when a licence holds".to_owned(),
        ),
        ("provisioner", of_json(&json!([{ "id": "1", "name": "workshop", "created_at": null }])), "taken: Coder does not say how old it is".to_owned()),
        ("provisioner", of_json(&json!([{ "id": "1", "name": "workshop" }, { "id": "2", "name": "workshop" }])), "unknown".to_owned()),
        ("litellm", litellm(json!({ "expires": null })), "taken for ever".to_owned()),
        ("litellm", litellm(json!({})), "taken: LiteLLM does not say when it expires".to_owned()),
        ("litellm", litellm(json!({ "rpm_limit": 0, "expires": null })), "refused: LiteLLM says that a limit of the key is 0".to_owned()),
        ("litellm", litellm(json!({ "rpm_limit": 5, "max_parallel_requests": null, "expires": null })), "taken for ever".to_owned()),
        ("litellm", litellm(json!({ "blocked": true })), "refused: LiteLLM says that the key is blocked".to_owned()),
        ("litellm", litellm(json!({ "blocked": "true", "expires": null })), "unknown".to_owned()),
        (
            "litellm",
            litellm(json!({ "spend": 2.0, "max_budget": 2, "expires": null })),
            "refused: LiteLLM says that the budget of the key is used up".to_owned(),
        ),
        ("litellm", litellm(json!({ "max_budget": 2, "expires": null })), "unknown".to_owned()),
        ("litellm", litellm(json!({ "spend": "9", "max_budget": "2", "expires": null })), "unknown".to_owned()),
        ("litellm", odd(400, json!({ "error": { "type": "expired_key" } })), "refused: LiteLLM says that the key has expired".to_owned()),
        ("litellm", odd(400, json!({ "error": { "type": "budget_exceeded" } })), "refused: LiteLLM says that the budget of the key is used up".to_owned()),
        ("litellm", odd(400, json!({ "error": { "type": "bad_request_error" } })), "unknown".to_owned()),
        (
            "entra",
            graph(json!({ "passwordCredentials": [{ "hint": "lab", "endDateTime": null }] })),
            "taken: Graph does not say when the secret expires".to_owned(),
        ),
        (
            "entra",
            Answer(403, vec![("x-graph", "1".to_owned())], json!({ "error": { "code": "Authorization_RequestDenied" } }).to_string()),
            "taken: Graph does not let the application read about itself".to_owned(),
        ),
        ("entra", Answer(403, vec![("x-graph", "1".to_owned())], "{}".to_owned()), "unknown".to_owned()),
        ("entra", odd(401, json!({ "error_codes": [7_000_222] })), "refused: Entra says that the secret has expired".to_owned()),
        ("bedrock", odd(403, json!({ "Message": "Bearer Token has expired" })), "refused: Bedrock says that the key has expired".to_owned()),
        (
            "bedrock",
            odd(403, json!({ "message": "Authentication failed: Please make sure your API Key is valid." })),
            "refused: Bedrock refuses the key".to_owned(),
        ),
        (
            "bedrock",
            odd(403, json!({ "Message": "User: arn:aws:iam::1:user/a is not authorized to perform: bedrock:ListFoundationModels" })),
            "unknown".to_owned(),
        ),
        ("bedrock", odd(403, json!({})), "unknown".to_owned()),
        ("bedrock", of_json(&json!({ "modelSummaries": [] })), "unknown".to_owned()),
    ];
    for (name, answer, expected) in cases {
        assert_eq!(everybody.ask(&named(name), &answer).await, expected, "{name} by {}", answer.2);
    }
    everybody.server.abort();
}

/// Who knows nothing of an end may write 0, and clocks differ by minutes.
#[tokio::test]
async fn neither_a_zero_nor_a_clock_decides() {
    let everybody = Everybody::start(20_107).await;
    let soon = jiff::Timestamp::now().as_second() + 200;
    for (name, said, expected) in [
        ("gitlab", json!({ "id": 4, "active": true, "revoked": false, "expires_at": 0 }), "taken: GitLab does not say when it expires".to_owned()),
        ("litellm", json!({ "key": SECRET, "info": { "expires": "0" } }), "taken: LiteLLM does not say when it expires".to_owned()),
        ("licence", json!([{ "id": 1, "claims": { "nbf": soon, "license_expires": ENDS } }]), format!("taken until {ENDS}")),
    ] {
        assert_eq!(everybody.ask(&named(name), &of_json(&said)).await, expected, "{name}");
    }
    everybody.server.abort();
}

/// GitHub Enterprise Server limits nobody unless it is told to, and answers 404 to whoever asks for limits.
#[tokio::test]
async fn a_server_of_github_without_limits_is_asked_who_shows_the_token() {
    let address = SocketAddr::from(([127, 0, 7, 64], 21_064));
    let user = Arc::new(Mutex::new(of_json(&Value::Null)));
    let told = Arc::clone(&user);
    let server = plain_server(address, Duration::ZERO, move |_, path, _| {
        if path.ends_with("/rate_limit") {
            return (404, vec![("x-github-request-id", "1A".to_owned())], json!({ "message": "Rate limiting is not enabled." }).to_string().into_bytes());
        }
        let Answer(status, headers, body) = told.lock().unwrap().clone();
        (status, headers, body.into_bytes())
    })
    .await
    .unwrap();
    let everybody = Everybody { base: format!("http://{address}"), client: Client::builder().no_proxy().build().unwrap(), says: Arc::clone(&user), server };
    let somebody = json!({ "login": "puller", "id": 7, "type": "User" });
    let ending = ("github-authentication-token-expiration", "2030-01-01 00:00:00 UTC");
    for (answer, expected) in [
        (with_headers(&[OF_GITHUB], &somebody), "taken for ever".to_owned()),
        (with_headers(&[OF_GITHUB, ending], &somebody), format!("taken until {ENDS}")),
        (of_json(&somebody), "unknown".to_owned()),
        (with_headers(&[OF_GITHUB], &json!({ "login": "puller" })), "unknown".to_owned()),
        (Answer(401, vec![], json!({ "message": "Bad credentials" }).to_string()), "refused: GitHub refuses the token".to_owned()),
        (Answer(403, vec![], json!({ "message": "Resource not accessible by integration" }).to_string()), "unknown".to_owned()),
        (Answer(404, vec![], "{}".to_owned()), "unknown".to_owned()),
    ] {
        assert_eq!(everybody.ask(&named("github"), &answer).await, expected, "{}", answer.2);
    }
    everybody.server.abort();
}

#[test]
fn a_deploy_token_of_gitlab_is_not_asked_about() {
    use super::said::is_for_no_api_of_gitlab;
    assert!(is_for_no_api_of_gitlab("gldt-abc") && is_for_no_api_of_gitlab("glrt-abc"));
    assert!(!is_for_no_api_of_gitlab("glpat-abc") && !is_for_no_api_of_gitlab("abc"), "of people, and of old");
}
