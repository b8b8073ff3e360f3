//! Keys of Google service accounts: whether the private part is the one that Google knows by its id,
//! whether Google takes it, and when it expires.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::StatusCode;
use rustls::SignatureScheme;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use serde::Deserialize;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::certificates::certificates;
use super::config::GoogleIssuer;
use super::dates::{self, Ends};
use super::expiry::Told;
use super::prove::{Answer, Issuer, Proof, access_token, malformed, not_allowed};
use crate::net;
use crate::net::Trust;
use crate::say;
use crate::snapshot::{CollectError, ErrorClass};

/// The first second of the year 9999: Google writes its last one for keys without an end.
const NEVER: i64 = 253_370_764_800;
/// Whom an assertion is for, wherever it is sent.
/// Source: <https://developers.google.com/identity/protocols/oauth2/service-account#httprest>
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// What IAM asks of a token, which is dropped after one question.
/// Source: <https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys/get>
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long an assertion holds, in seconds; Google refuses more than an hour.
const ASSERTED: i64 = 300;

/// What is in the file of a key.
struct ServiceAccountKey {
    account: String,
    id: String,
    key: Arc<dyn SigningKey>,
}

impl ServiceAccountKey {
    /// Source: <https://cloud.google.com/iam/docs/keys-create-delete#creating>
    fn read(text: &str) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct File {
            client_email: String,
            private_key_id: String,
            private_key: String,
        }
        let file: File = serde_json::from_str(text).map_err(|_| "it is no key of a service account")?;
        let pem = Zeroizing::new(file.private_key);
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "its private key cannot be read")?;
        let key = net::crypto().key_provider.load_private_key(key).map_err(|_| "its private key cannot be read")?;
        Ok(Self { account: file.client_email, id: file.private_key_id, key })
    }

    /// Whether a certificate is the one of this key.
    fn is_of(&self, certificate: &[u8]) -> bool {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
        self.key.public_key().is_some_and(|own| own.as_ref() == certificate.public_key().raw)
    }

    /// What is exchanged for a token: a JSON Web Token that the key has signed.
    fn assertion(&self, now: Timestamp) -> Result<Zeroizing<String>, CollectError> {
        let failed = || CollectError::new(ErrorClass::Local, "sign an assertion for Google: the key cannot sign");
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (issued, account) = (now.as_second(), &self.account);
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.id });
        let claims = json!({ "iss": account, "scope": SCOPE, "aud": AUDIENCE, "iat": issued, "exp": issued + ASSERTED });
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or_else(failed)?;
        let signature = signer.sign(signed.as_bytes()).map_err(|_| failed())?;
        Ok(Zeroizing::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

fn refused(why: &'static str) -> Proof {
    Proof::Refused(why.into())
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Issuer<'_> {
    /// Proves a key and finds out when it expires. With `google`, Google is asked for a token and IAM about
    /// the key; without, or where IAM does not let it, the public certificate tells, which Google's
    /// servers may show for an hour after the key is gone.
    pub(super) async fn google(&self, google: Option<&GoogleIssuer>, text: &str) -> Result<Proof, CollectError> {
        let own = match ServiceAccountKey::read(text) {
            Ok(own) => own,
            Err(why) => return Ok(refused(why)),
        };
        if let Some(google) = google {
            let token = match self.google_token(google, &own).await? {
                Ok(token) => token,
                Err(why) => return Ok(refused(why)),
            };
            if let Some(proof) = self.google_key(google, &own, &token).await? {
                return Ok(proof);
            }
        }
        self.google_certificate(&own).await
    }

    /// A token, or why the key is not taken.
    /// Source: <https://developers.google.com/identity/protocols/oauth2/service-account#error-codes>
    async fn google_token(&self, google: &GoogleIssuer, own: &ServiceAccountKey) -> Result<Result<Zeroizing<String>, &'static str>, CollectError> {
        let what = &say!("ask Google for a token");
        let assertion = own.assertion(Timestamp::now())?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &assertion)
            .finish();
        let (status, said) = self.exchange(what, format!("{}/token", google.oauth.base()), form).await?;
        if status == StatusCode::OK {
            return access_token(what, &said).map(Ok);
        }
        match (said["error"].as_str(), said["error_description"].as_str()) {
            // The same error stands for a key that is gone and for a clock that is wrong.
            (Some("invalid_grant"), Some(text)) if text.contains(" iat ") => {
                Err(CollectError::new(ErrorClass::Local, say!("{}: it finds that the clock here is wrong", what)))
            }
            (Some("invalid_grant"), _) => Ok(Err("Google does not take the key")),
            (Some("disabled_client" | "deleted_client"), _) => Ok(Err("Google says that the key or its account is disabled or deleted")),
            _ => Err(CollectError::new(ErrorClass::of_status(status.as_u16()), say!("{}: status {}", what, status.as_u16()))),
        }
    }

    /// What IAM says about a key; `None` when the account may not ask.
    /// Source: <https://cloud.google.com/iam/docs/reference/rest/v1/projects.serviceAccounts.keys>
    async fn google_key(&self, google: &GoogleIssuer, own: &ServiceAccountKey, token: &str) -> Result<Option<Proof>, CollectError> {
        let what = &say!("ask Google's IAM about the key");
        let url = format!("{}/v1/projects/-/serviceAccounts/{}/keys/{}", google.iam.base(), encoded(&own.account), encoded(&own.id));
        let said = match self.json(what, self.client.get(url).bearer_auth(token)).await {
            Ok(Answer::Said(said, _)) => said,
            Ok(Answer::NotAllowed(_)) => return Ok(None),
            Ok(Answer::Refused(_) | Answer::Odd(_)) => return Err(malformed(what)),
            Err(error) if error.class == ErrorClass::NotFound => return Ok(Some(refused("Google's IAM does not know the key any more"))),
            Err(error) => return Err(error),
        };
        if said["name"].as_str().and_then(|name| name.rsplit('/').next()) != Some(own.id.as_str()) {
            return Err(malformed(what));
        }
        // Left out where it is false, as every field of Google's that has its default.
        match &said["disabled"] {
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => return Ok(Some(refused("Google's IAM says that the key is disabled"))),
            _ => return Err(malformed(what)),
        }
        let moment = |field: &str| said.get(field).and_then(dates::of_json);
        let begins = moment("validAfterTime").and_then(Ends::at);
        let told = moment("validBeforeTime").map_or_else(|| Told::silent("Google's IAM does not say when the key expires"), |ends| endless(Told::of(ends)));
        Ok(Some(Proof::Taken(Told { begins, created: begins, ..told })))
    }

    /// The certificates of all keys of an account are public; a key that is not among them is gone.
    /// Source: <https://cloud.google.com/iam/docs/keys-list-get>
    async fn google_certificate(&self, own: &ServiceAccountKey) -> Result<Proof, CollectError> {
        let path = format!("/service_accounts/v1/metadata/x509/{}", encoded(&own.account));
        let what = &say!("ask Google for the certificates of the account");
        let keys = match self.json(what, self.get(&path)).await {
            Ok(Answer::Said(keys, _)) => keys,
            // What is public is refused to nobody, so this is the word of something in between.
            Ok(Answer::NotAllowed(_)) => return Err(not_allowed(what)),
            Ok(Answer::Refused(_) | Answer::Odd(_)) => return Err(malformed(what)),
            Err(error) if error.class == ErrorClass::NotFound => return Ok(refused("Google does not know the account")),
            Err(error) => return Err(error),
        };
        // Every account has certificates of Google's own making beside those of its keys.
        let is_own = |keys: &serde_json::Map<String, Value>| {
            !keys.is_empty() && keys.values().all(|pem| pem.as_str().is_some_and(|pem| pem.contains("BEGIN CERTIFICATE")))
        };
        if !keys.as_object().is_some_and(is_own) && keys.get(&own.id).is_none() {
            return Err(malformed(what));
        }
        let Some(pem) = keys.get(&own.id).and_then(Value::as_str) else {
            return Ok(refused("the key is no longer among those of the account"));
        };
        let malformed = |why: &'static str| CollectError::new(ErrorClass::Malformed, say!("ask Google for the certificate of the key: {}", why));
        let told = certificates(pem.as_bytes(), &Trust::nothing(), 0).map_err(malformed)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| malformed("its PEM is broken"))?;
        if !own.is_of(&certificate) {
            return Ok(refused("its private key is not the one that Google knows by its id"));
        }
        Ok(Proof::Taken(endless(told)))
    }
}

fn endless(told: Told) -> Told {
    Told { ends: told.ends.filter(|ends| *ends < NEVER), ..told }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use readiness_lab::{GoogleKey, plain_server};

    use super::*;

    /// What the three services answer: status and document, by the path that they are asked for.
    type Answers = [(&'static str, u16, Value); 3];

    /// What comes of a key, in words: `valid until`, `refused`, or the failure.
    async fn outcome(port: u16, file: &str, google: bool, answers: Answers) -> String {
        let server = plain_server(([127, 0, 7, 63], port).into(), Duration::ZERO, move |_, path, _| {
            let (_, status, body) = answers.iter().find(|(prefix, ..)| path.starts_with(prefix)).unwrap();
            (*status, Vec::new(), body.to_string().into_bytes())
        })
        .await
        .unwrap();
        let (base, calls) = (format!("http://127.0.7.63:{port}"), AtomicU64::default());
        let settings = GoogleIssuer { oauth: crate::value::Url::new(&base), iam: crate::value::Url::new(&base) };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let issuer = Issuer { client: &client, api: &base, timeout: Duration::from_secs(20), calls: &calls };
        let proof = issuer.google(google.then_some(&settings), file).await;
        server.abort();
        match proof {
            Ok(Proof::Taken(told)) => match (told.ends, told.silent) {
                (Some(ends), _) => format!("valid until {}", Timestamp::from_second(ends).unwrap().strftime("%F")),
                (None, Some(why)) => why.to_owned(),
                (None, None) => "valid for ever".to_owned(),
            },
            Ok(Proof::Unproven(..)) => "unproven".to_owned(),
            Ok(Proof::Refused(why)) => format!("refused: {why}"),
            Err(error) => format!("{}: {error}", error.class.as_str()),
        }
    }

    fn answers(token: (u16, Value), key: (u16, Value), certificates: (u16, Value)) -> Answers {
        [("/token", token.0, token.1), ("/v1/projects/-/", key.0, key.1), ("/service_accounts/", certificates.0, certificates.1)]
    }

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn named(mut key: Value) -> Value {
        key["name"] = format!("projects/p/serviceAccounts/a/keys/{ID}").into();
        key
    }

    #[tokio::test]
    async fn a_key_is_what_google_says_of_it() {
        let (own, other) = (GoogleKey::new().unwrap(), GoogleKey::new().unwrap());
        let token = || (200, json!({ "access_token": "lab-canary", "token_type": "Bearer" }));
        let refusal = |error: &str, text: &str| (400, json!({ "error": error, "error_description": text }));
        let key = |until: &str| (200, named(json!({ "validAfterTime": "2026-01-01T00:00:00Z", "validBeforeTime": until })));
        let shown = |certificate: &GoogleKey| (200, json!({ ID: certificate.certificate() }));
        let none = || (404, json!({}));
        let day = |text: &str| format!("valid until {text}");
        let public =
            Timestamp::from_second(certificates(own.certificate().as_bytes(), &Trust::nothing(), 0).unwrap().ends.unwrap()).unwrap().strftime("%F").to_string();
        let cases = [
            (answers(token(), key("2031-01-01T00:00:00Z"), none()), day("2031-01-01")),
            (answers(token(), key("9999-12-31T23:59:59Z"), none()), "valid for ever".to_owned()),
            (answers(token(), (200, json!({})), none()), "malformed: ask Google's IAM about the key: the answer is not what it should be".to_owned()),
            (answers(token(), (200, named(json!({}))), none()), "Google's IAM does not say when the key expires".to_owned()),
            (answers(token(), (200, named(json!({ "disabled": true }))), shown(&own)), "refused: Google's IAM says that the key is disabled".to_owned()),
            (answers(token(), none(), shown(&own)), "refused: Google's IAM does not know the key any more".to_owned()),
            (answers(token(), (403, json!({})), shown(&own)), day(&public)),
            (answers(token(), (503, json!({})), shown(&own)), "server: ask Google's IAM about the key: status 503".to_owned()),
            (answers(refusal("invalid_grant", "Invalid JWT Signature."), none(), shown(&own)), "refused: Google does not take the key".to_owned()),
            (
                answers(refusal("disabled_client", "no"), none(), shown(&own)),
                "refused: Google says that the key or its account is disabled or deleted".to_owned(),
            ),
            (
                answers(refusal("invalid_grant", "Check your iat and exp values"), none(), shown(&own)),
                "local: ask Google for a token: it finds that the clock here is wrong".to_owned(),
            ),
            (answers((200, json!({})), none(), shown(&own)), "malformed: ask Google for a token: the answer is not what it should be".to_owned()),
            (answers((429, json!({})), none(), shown(&own)), "throttled: ask Google for a token: status 429".to_owned()),
        ];
        for (port, (answers, expected)) in (17_000..).zip(cases) {
            assert_eq!(outcome(port, &own.file(), true, answers).await, expected);
        }
        let cases = [
            (shown(&own), day(&public)),
            (shown(&other), "refused: its private key is not the one that Google knows by its id".to_owned()),
            ((200, json!({ "another": own.certificate() })), "refused: the key is no longer among those of the account".to_owned()),
            (none(), "refused: Google does not know the account".to_owned()),
            ((200, json!({ ID: "no certificate" })), "malformed: ask Google for the certificate of the key: it holds no certificate".to_owned()),
        ];
        for (port, (shown, expected)) in (17_020..).zip(cases) {
            assert_eq!(outcome(port, &own.file(), false, answers(none(), none(), shown)).await, expected);
        }
    }

    #[test]
    fn fuzz_key_files() {
        let file = GoogleKey::new().unwrap().file();
        crate::fuzz::survive(&[file.as_bytes()], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            if let Ok(key) = ServiceAccountKey::read(&text) {
                let assertion = key.assertion(Timestamp::UNIX_EPOCH);
                assert!(assertion.is_err() || assertion.is_ok_and(|text| text.split('.').count() == 3));
            }
        });
    }
}
