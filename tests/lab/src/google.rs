//! Google, as far as a service account meets it: tokens for signed assertions, IAM, and the public
//! certificates. Knows one account with one key.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Response;
use jiff::Timestamp;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::certificates::Leaf;
use crate::estate::Estate;
use crate::serve::{Body, answer, field};

/// The account and the identifier of its key.
const ACCOUNT: [&str; 2] = ["llm@lab-project.iam.gserviceaccount.com", "0123456789abcdef0123456789abcdef01234567"];
/// What an assertion is exchanged for.
const TOKEN: &str = "lab-canary-google";

/// A key of a service account, as Google makes them: RSA of 2048 bits, with a certificate that it
/// signed itself.
pub struct GoogleKey {
    pair: KeyPair,
    certificate: String,
}

impl GoogleKey {
    /// A new one.
    pub fn new() -> anyhow::Result<Self> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?;
        let certificate = Leaf::good(&["google.lab.test"]).params()?.self_signed(&pair)?.pem();
        Ok(Self { pair, certificate })
    }

    /// What Google shows to everybody.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The file that is handed out once, when a key is made.
    pub fn file(&self) -> String {
        let [account, id] = ACCOUNT;
        json!({
            "type": "service_account", "project_id": "lab-project", "client_email": account, "private_key_id": id,
            "private_key": self.pair.serialize_pem(), "client_id": crate::issuers::CANARY,
            "token_uri": "https://oauth2.googleapis.com/token",
        })
        .to_string()
    }

    /// A line out of the middle of the private key, by which it is recognised wherever it must not be.
    pub fn secret(&self) -> String {
        self.pair.serialize_pem().lines().nth(10).unwrap_or_default().to_owned()
    }

    /// What an assertion claims, if this key signed it.
    fn claims(&self, assertion: &str) -> Option<Value> {
        let (signed, signature) = assertion.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, self.pair.public_key_raw());
        key.verify(signed.as_bytes(), &signature).ok()?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let header = decode(header)?;
        (header["alg"] == "RS256" && header["typ"] == "JWT" && header["kid"] == ACCOUNT[1]).then(|| decode(claims))?
    }
}

/// The key of the lab, which takes a while to make.
pub(crate) static KEY: LazyLock<Option<GoogleKey>> = LazyLock::new(|| GoogleKey::new().ok());

fn ok(value: &Value) -> Response<Body> {
    answer(200, "application/json", value.to_string())
}

/// Source: <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>
pub(crate) fn token(form: &[u8], estate: &Estate) -> Response<Body> {
    let value = |name: &str| field(form, name);
    let refused = |error: &str, text: &str| answer(400, "application/json", json!({ "error": error, "error_description": text }).to_string());
    if value("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
        return refused("unsupported_grant_type", "Invalid grant_type");
    }
    let claims = KEY.as_ref().filter(|_| !estate.has("credential-google-key-deleted")).and_then(|key| key.claims(&value("assertion")));
    let Some(claims) = claims else { return refused("invalid_grant", "Invalid JWT Signature.") };
    let (now, from, until) = (Timestamp::now().as_second(), claims["iat"].as_i64().unwrap_or_default(), claims["exp"].as_i64().unwrap_or_default());
    if estate.has("credential-google-clock") || from > now + 60 || until < now || until - from > 3600 {
        let text = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.";
        return refused("invalid_grant", text);
    }
    if claims["iss"] != ACCOUNT[0] || claims["aud"] != "https://oauth2.googleapis.com/token" {
        return refused("invalid_grant", "Invalid JWT: Failed audience check.");
    }
    if claims["scope"] != "https://www.googleapis.com/auth/cloud-platform" {
        return refused("invalid_scope", "Empty or missing scope not allowed.");
    }
    ok(&json!({ "access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer" }))
}

/// IAM and the public certificates; `None` for any other path. `ends` is when the key does.
pub(crate) fn get(path: &str, authorization: &str, ends: Timestamp, estate: &Estate) -> Option<Response<Body>> {
    let [account, id] = ACCOUNT;
    let encoded: String = url::form_urlencoded::byte_serialize(account.as_bytes()).collect();
    if path == format!("/service_accounts/v1/metadata/x509/{encoded}") {
        let id = if estate.has("credential-google-key-deleted") { "another" } else { id };
        return Some(ok(&json!({ id: KEY.as_ref()?.certificate() })));
    }
    if path == format!("/v1/projects/-/serviceAccounts/{encoded}/keys/{id}") && authorization == format!("Bearer {TOKEN}") {
        return Some(ok(&json!({
            "name": format!("projects/lab-project/serviceAccounts/{account}/keys/{id}"), "keyAlgorithm": "KEY_ALG_RSA_2048",
            "keyOrigin": "GOOGLE_PROVIDED", "keyType": "USER_MANAGED", "validAfterTime": estate.rolled_out().to_string(), "validBeforeTime": ends.to_string(),
        })));
    }
    None
}
