//! Where credentials are kept: files, the environment, Secrets and secrets of AWS by their names.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Secret as KubernetesSecret;
use zeroize::Zeroizing;

use super::changed::{self, Changed};
use super::config::{ManagedValue, Place, SecretKey};
use super::fixes;
use super::pair;
use crate::aws::{self, Caller};
use crate::collectors::kubernetes::{self, Link};
use crate::collectors::secrets_manager;
use crate::document;
use crate::files::{self, ReadError};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};
use crate::value::SecretRef;

/// What is kept at a place.
pub(super) struct Content {
    /// Overwritten when it is dropped.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// The other half of a pair that is kept in two keys of one Secret.
    pub(super) half: Option<Zeroizing<Vec<u8>>>,
    /// Private keys that are kept in other keys of the same Secret.
    pub(super) keys: Vec<Zeroizing<Vec<u8>>>,
    /// When it was last changed, where the place knows.
    pub(super) changed: Option<Changed>,
    /// Whether it was last written with a tool that people use by hand, where the place knows.
    pub(super) by_hand: Option<bool>,
    /// What the configured annotation says about its end.
    pub(super) annotated: Annotation,
    /// Who may do what with the file.
    pub(super) mode: Option<u32>,
}

/// An annotation in which somebody wrote when a credential ends.
pub(super) enum Annotation {
    /// None is configured.
    Unasked,
    /// The Secret does not have it.
    Missing,
    Says(String),
}

impl Content {
    fn new(bytes: Zeroizing<Vec<u8>>, changed: Option<Changed>) -> Self {
        Self { bytes, half: None, keys: Vec::new(), changed, by_hand: None, annotated: Annotation::Unasked, mode: None }
    }
}

/// Why there is none.
pub(super) enum Unread {
    /// There is no such thing.
    Absent(Message),
    /// Something of it is missing or empty.
    Incomplete(Message),
    /// Nobody knows.
    Failed(CollectError),
}

/// Through what a place is reached.
pub(super) enum Through<'a> {
    /// This machine.
    Here,
    Cluster(&'a Link),
    Aws(&'a Caller),
}

/// Reads what is kept.
pub(super) async fn read(place: &Place, through: &Through<'_>, timeout: Duration) -> Result<Content, Unread> {
    let content = match (&place.file, &place.env, &place.secret, &place.secrets_manager, through) {
        (Some(file), ..) => self::file(file).await,
        (None, Some(name), ..) => {
            let read = SecretRef { file: None, env: Some(name.clone()) }.read().await.map_err(|why| Unread::Absent(why.fixed_by(fixes::NO_VARIABLE)))?;
            Ok(Content::new(Zeroizing::new(read.expose().as_bytes().to_vec()), None))
        }
        (None, None, Some(key), _, Through::Cluster(link)) => secret(key, link, timeout).await,
        (None, None, None, Some(managed), Through::Aws(caller)) => self::managed(managed, caller, timeout).boxed().await,
        _ => Err(Unread::Failed(CollectError::new(ErrorClass::Local, "read the credential: it has no place"))),
    }?;
    if content.bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Unread::Incomplete(say!("it is empty").fixed_by(fixes::EMPTY)));
    }
    Ok(content)
}

async fn file(path: &std::path::Path) -> Result<Content, Unread> {
    let what = |error: ReadError| say!("read {}: {}", path.display(), error);
    let read = files::read(path, files::LARGEST).await.map_err(|error| match error {
        ReadError::Absent => Unread::Absent(what(error).fixed_by(fixes::NO_FILE)),
        ReadError::Unusable(_) | ReadError::Failed(_) => Unread::Failed(CollectError::new(ErrorClass::Local, what(error).fixed_by(fixes::UNREADABLE_FILE))),
    })?;
    let changed = read.about.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).and_then(|at| i64::try_from(at.as_secs()).ok());
    let changed = changed.map(Changed::exactly);
    Ok(Content { mode: Some(read.about.permissions().mode()), ..Content::new(read.bytes, changed) })
}

/// Reads a value of AWS Secrets Manager, and of a JSON document only the configured field.
/// Source: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
async fn managed(place: &ManagedValue, caller: &Caller, timeout: Duration) -> Result<Content, Unread> {
    let ManagedValue { region, id, field, .. } = place;
    let what = say!("get secret {} of Secrets Manager in {}", named(id), named(region));
    let client = secrets_manager::client(caller).await.map_err(|why| Unread::Failed(CollectError::new(ErrorClass::Local, why)))?;
    let answer = match aws::within(&what, timeout, client.get_secret_value().secret_id(id).send()).await {
        Err(error) if error.class == ErrorClass::NotFound => return Err(Unread::Absent(error.message.fixed_by(fixes::NO_MANAGED_SECRET))),
        other => other.map_err(Unread::Failed)?,
    };
    if !secrets_manager::is_about(id, answer.name(), answer.arn()) {
        return Err(Unread::Failed(CollectError::new(ErrorClass::Malformed, say!("{}: the answer is about no such secret", what))));
    }
    let changed = answer.created_date().map(aws_sdk_secretsmanager::primitives::DateTime::secs);
    let text = answer.secret_string.map(|text| Zeroizing::new(text.into_bytes()));
    let whole = text.or_else(|| answer.secret_binary.map(|bytes| Zeroizing::new(bytes.into_inner()))).unwrap_or_default();
    let Some(field) = field else { return Ok(Content::new(whole, changed.map(Changed::exactly))) };
    let Some(serde_json::Value::Object(document)) = document::read(&whole) else {
        return Err(Unread::Incomplete(say!("{}: it is no JSON object, or says something twice", what).fixed_by(fixes::NO_FIELD)));
    };
    // Who puts a new version may have changed another field of it.
    let changed = changed.map(if document.len() == 1 { Changed::exactly } else { Changed::by });
    let mut found = None;
    for (name, value) in document {
        if let serde_json::Value::String(value) = value {
            let value = Zeroizing::new(value.into_bytes());
            if name == *field {
                found = Some(value);
            }
        }
    }
    found
        .map(|value| Content::new(value, changed))
        .ok_or_else(|| Unread::Incomplete(say!("{}: it lacks the field {}", what, named(field)).fixed_by(fixes::NO_FIELD)))
}

async fn secret(place: &SecretKey, link: &Link, timeout: Duration) -> Result<Content, Unread> {
    let SecretKey { cluster, namespace, name, key, secret_key, keys, annotation } = place;
    let what = say!("get secret {}/{} of {}", named(namespace), named(name), named(cluster));
    let found = kubernetes::secret(link, namespace, name, &what, timeout).await;
    let found = found.map_err(|error| Unread::Failed(if error.class == ErrorClass::Denied { error.fixed_by(fixes::NO_ACCESS) } else { error }))?;
    let mut found = found.ok_or_else(|| Unread::Absent(say!("{}: it does not exist", what).fixed_by(fixes::NO_SECRET)))?;
    let of_tls = of_tls(&found, key);
    let own = [key.as_str()].into_iter().chain(secret_key.as_deref()).chain(keys.iter().map(String::as_str)).chain(of_tls).collect();
    let (changed, by_hand) = (changed::of_secret(&found, &own), changed::is_by_hand(&found, &own));
    let data = found.data.take().unwrap_or_default();
    let mut data: std::collections::BTreeMap<String, Zeroizing<Vec<u8>>> = data.into_iter().map(|(key, value)| (key, Zeroizing::new(value.0))).collect();
    let missing: Vec<&str> = [key]
        .into_iter()
        .chain(secret_key)
        .chain(keys)
        .map(String::as_str)
        .chain(of_tls.filter(|key| !keys.iter().any(|own| own == key)))
        .filter(|key| data.get(*key).is_none_or(|value| value.iter().all(u8::is_ascii_whitespace)))
        .collect();
    if !missing.is_empty() {
        return Err(Unread::Incomplete(say!("{}: it lacks {}", what, Message::of_names(missing)).fixed_by(fixes::NO_KEY)));
    }
    let annotated = annotation.as_ref().map_or(Annotation::Unasked, |name| {
        found.metadata.annotations.as_ref().and_then(|all| all.get(name).cloned()).map_or(Annotation::Missing, Annotation::Says)
    });
    let half = secret_key.as_ref().and_then(|key| data.remove(key));
    let bytes = data.remove(key).unwrap_or_default();
    data.retain(|name, value| (keys.contains(name) || of_tls == Some(name)) && pair::is_key(name, value));
    Ok(Content { half, keys: data.into_values().collect(), annotated, by_hand, ..Content::new(bytes, changed) })
}

/// The private key that belongs to the certificate of a TLS Secret, whether or not the configuration names it.
/// Source: <https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets>
fn of_tls(secret: &KubernetesSecret, key: &str) -> Option<&'static str> {
    (secret.type_.as_deref() == Some("kubernetes.io/tls") && key == "tls.crt").then_some("tls.key")
}
