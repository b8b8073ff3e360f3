//! Signatures, version 4, of requests that no SDK makes.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings};
use aws_sigv4::sign::v4;

use crate::say;
use crate::say::{Message, named};

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
