//! Questions to an API server beside lists and watches, and what its refusals mean.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::bounded::TooLarge;
use super::clock::Clock;
use super::connect::Link;
use crate::cause::Cause as _;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};

/// Asks `/version`, which any identity may, and learns the server's time from the answer.
/// Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#discovery-roles>
pub(super) async fn server_version(client: &Client, timeout: Duration, clock: &Clock) -> Result<String, CollectError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        git_version: String,
    }
    let what = &say!("ask for /version");
    let ask = async {
        let request = hyper::Request::get("/version").body(kube::client::Body::empty()).map_err(kube::Error::HttpError)?;
        let answer = client.send(request).await?;
        if answer.status().is_success()
            && let Some(date) = answer.headers().get(hyper::header::DATE).and_then(|date| date.to_str().ok())
            && let Ok(date) = jiff::fmt::rfc2822::parse(date)
        {
            clock.learn(date.timestamp());
        }
        body(answer).await
    };
    match tokio::time::timeout(timeout, ask).await {
        Err(_) => Err(late(what, timeout)),
        Ok(answer) => answer.map(|version: Version| version.git_version).map_err(|error| api_error(what, &error)),
    }
}

async fn body<T: DeserializeOwned>(answer: hyper::Response<kube::client::Body>) -> kube::Result<T> {
    use http_body_util::BodyExt as _;
    let status = answer.status();
    let bytes = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        let said = serde_json::from_slice::<kube::core::Status>(&bytes).unwrap_or_default();
        return Err(kube::Error::Api(Box::new(kube::core::Status { code: status.as_u16(), ..said })));
    }
    serde_json::from_slice(&bytes).map_err(kube::Error::SerdeError)
}

/// A GET of a path that no typed API covers, within a deadline.
pub(super) async fn get<T: DeserializeOwned>(client: &Client, path: &str, what: &Message, timeout: Duration) -> Result<T, CollectError> {
    get_as(client, path, "application/json", what, timeout).await
}

/// A GET of another representation.
pub(super) async fn get_as<T: DeserializeOwned>(client: &Client, path: &str, accept: &str, what: &Message, timeout: Duration) -> Result<T, CollectError> {
    let request = hyper::Request::get(path).header(hyper::header::ACCEPT, accept).body(Vec::new());
    let request = request.map_err(|_| CollectError::new(ErrorClass::Local, say!("{}: the path cannot be asked for", what)))?;
    within(timeout, what, client.request(request)).await
}

/// A call within a deadline, with its errors classified.
pub(super) async fn within<T>(timeout: Duration, what: &Message, call: impl Future<Output = kube::Result<T>>) -> Result<T, CollectError> {
    match tokio::time::timeout(timeout, call).await {
        Err(_) => Err(late(what, timeout)),
        Ok(answer) => answer.map_err(|error| api_error(what, &error)),
    }
}

fn late(what: &Message, timeout: Duration) -> CollectError {
    CollectError::new(ErrorClass::Timeout, say!("{}: no answer within {}", what, crate::config::Span(timeout)))
}

/// A list of which only the items matter.
#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
}

/// A Secret by its name; `None` when there is none.
pub(in crate::collectors) async fn secret(link: &Link, namespace: &str, name: &str, what: &Message, timeout: Duration) -> Result<Option<Secret>, CollectError> {
    let secrets: Api<Secret> = Api::namespaced(link.client().await?, namespace);
    match tokio::time::timeout(timeout, secrets.get_opt(name)).await {
        Err(_) => Err(late(what, timeout)),
        Ok(Ok(found)) => Ok(found),
        Ok(Err(kube::Error::Api(status))) => Err(status_error(what, &status)),
        // Not the client's words, which may quote what it could not read.
        Ok(Err(_)) => Err(CollectError::new(ErrorClass::Unreachable, say!("{}: the API server does not answer as it should", what))),
    }
}

/// The class and the words of an error of the client.
pub(super) fn api_error(what: &Message, error: &kube::Error) -> CollectError {
    let class = match error {
        kube::Error::Api(status) => return status_error(what, status),
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) | kube::Error::LinesCodecMaxLineLengthExceeded => ErrorClass::Malformed,
        kube::Error::Auth(_) => ErrorClass::Denied,
        _ if is_too_large(error) => ErrorClass::Malformed,
        _ => ErrorClass::Unreachable,
    };
    CollectError::new(class, say!("{}: {}", what, error.words()))
}

fn is_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(<dyn std::error::Error>::is::<TooLarge>)
}

/// The class and the words of a refusal.
pub(super) fn status_error(what: &Message, status: &kube::core::Status) -> CollectError {
    // `Display` of the status prints everything twice, and an HTML body in full.
    let reason = if status.reason.is_empty() || status.reason.len() > 80 { "no reason given" } else { &status.reason };
    let asked = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    let retry_after = asked.map(|seconds| Duration::from_secs(u64::from(seconds)));
    CollectError { class: ErrorClass::of_status(status.code), message: say!("{}: status {} ({})", what, status.code, named(reason)), retry_after }
}
