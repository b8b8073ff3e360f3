//! What every caller of AWS shares: where credentials come from, how a request is signed for a
//! service without a client of its own, and the words of an error.

mod bounded;
mod errors;
mod identity;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(crate) use identity::{Caller, Callers};

use crate::net::{self, Call};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};

/// The domain of a region's partition.
pub(crate) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// A request to sign.
pub(crate) struct Request<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

/// What a signature adds to a request.
pub(crate) struct Signed {
    /// With the signature, where that goes into the query.
    pub(crate) url: String,
    /// Where it goes into headers.
    pub(crate) headers: Vec<(String, String)>,
}

/// Signs a request with version 4 of the signature.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>
pub(crate) fn sign(identity: Credentials, request: &Request<'_>, settings: SigningSettings) -> Result<Signed, Message> {
    let Request { service, region, method, url, headers, body } = request;
    let failed = || say!("sign a request to {}: it cannot be signed", named(service));
    let identity = identity.into();
    let params = v4::SigningParams::builder().identity(&identity).region(region).name(service).time(SystemTime::now()).settings(settings).build();
    let params = params.map_err(|_| failed())?.into();
    let signable = SignableRequest::new(method, *url, headers.iter().copied(), SignableBody::Bytes(body)).map_err(|_| failed())?;
    let (instructions, _) = aws_sigv4::http_request::sign(signable, &params).map_err(|_| failed())?.into_parts();
    let mut signed = url::Url::parse(url).map_err(|_| failed())?;
    for (name, value) in instructions.params() {
        signed.query_pairs_mut().append_pair(name, value);
    }
    let headers = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Signed { url: signed.into(), headers })
}

/// A call of an SDK within a deadline, with its errors classified.
pub(crate) async fn within<T, E>(what: &Message, timeout: Duration, call: impl Future<Output = Result<T, SdkError<E>>>) -> Result<T, CollectError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    // Boxed: calls of the SDKs are large, and every look would carry room for them.
    let answer = net::within(what, timeout, Box::pin(call)).await?;
    answer.map_err(|error| {
        let (class, why) = errors::of_sdk(&error);
        CollectError::new(class, say!("{}: {}", what, why).fixed_as(&why))
    })
}

/// IAM, which is asked in its Query protocol: its SDK is larger than all of this program's others.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/programming.html>
pub(crate) struct Iam<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) timeout: Duration,
}

/// Answers of IAM that are read are small.
const LARGEST: usize = 1 << 20;

impl Iam<'_> {
    /// One action with its parameters; the result is what stands in the answer's only child.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, action: &str, parameters: &[(&str, &str)]) -> Result<T, CollectError> {
        let what = say!("ask IAM for {}", named(action));
        let local = |why: Message| CollectError::new(ErrorClass::Local, say!("{}: {}", what, why));
        let (host, region) = self.place();
        let url = self.caller.settings().await.map_err(local)?.endpoint_url().map_or(host, |url| format!("{}/", url.trim_end_matches('/')));
        let always = [("Action", action), ("Version", "2010-05-08")];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(always.iter().chain(parameters)).finish();
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let request = Request { service: "iam", region, method: "POST", url: &url, headers: &[kind], body: body.as_bytes() };
        let signed = sign(self.caller.identity().await.map_err(local)?, &request, SigningSettings::default()).map_err(local)?;
        let client = self.caller.http().await.map_err(local)?;
        let request = signed.headers.iter().fold(client.post(&url).header(kind.0, kind.1), |request, (name, value)| request.header(name, value));
        let call = Call { what: &what, limit: self.timeout };
        let answer = call.send(request.body(body).send()).await?;
        let status = answer.status();
        let body = call.body(answer, LARGEST).await?;
        let text = String::from_utf8_lossy(&body);
        let malformed = || CollectError::new(ErrorClass::Malformed, say!("{}: status {} and no answer of IAM", what, status.as_u16()));
        if !status.is_success() {
            let refusal: Refusal = quick_xml::de::from_str(&text).map_err(|_| malformed())?;
            let (class, why) = errors::refused(status.as_u16(), Some(&refusal.error.code));
            return Err(CollectError::new(class, say!("{}: {}", what, why).fixed_as(&why)));
        }
        quick_xml::de::from_str(&text).map_err(|_| malformed())
    }

    /// IAM has one place in each partition.
    /// Source: <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>
    fn place(&self) -> (String, &'static str) {
        let region = self.caller.region();
        let (host, region) = if region.starts_with("cn-") {
            ("iam.cn-north-1.amazonaws.com.cn", "cn-north-1")
        } else if region.starts_with("us-gov-") {
            ("iam.us-gov.amazonaws.com", "us-gov-west-1")
        } else {
            ("iam.amazonaws.com", "us-east-1")
        };
        (format!("https://{host}/"), region)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    error: RefusalError,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RefusalError {
    code: String,
}
