//! The HTTP of the SDKs with a bound on every answer, of which they know only deadlines, and with our
//! rule of which addresses a name may have.

use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::dns::{DnsFuture, ResolveDns, ResolveDnsError};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::HttpError;
use aws_smithy_types::body::SdkBody;

use crate::interim::Interim;
use crate::net::Lookup;
use crate::room;

/// What all clients of SDKs send their requests with.
pub(super) fn client() -> impl HttpClient + 'static {
    Bounded(aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_with_resolver(Names))
}

/// The system's way to resolve names, less addresses that only this machine can mean.
#[derive(Debug, Clone)]
struct Names;

impl ResolveDns for Names {
    fn resolve_dns<'a>(&'a self, name: &'a str) -> DnsFuture<'a> {
        DnsFuture::new(async move { Lookup::System.addresses(name).await.map_err(ResolveDnsError::new) })
    }
}

/// The largest answer of a service: the manifest of an image within a document.
const LARGEST_ANSWER: usize = 6 << 20;

/// An HTTP client or a connector of it.
#[derive(Debug)]
struct Bounded<T>(T);

impl HttpClient for Bounded<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Bounded(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Bounded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (request, interim) = match counted(request) {
            Ok(counted) => counted,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let answer = tokio::select! {
                answer = answer => answer?,
                endless = interim.endless() => return Err(ConnectorError::other(endless.into(), None)),
            };
            Ok(answer.map(|body| SdkBody::from_body_1_x(room::bounded(body, false, LARGEST_ANSWER, &room::ANSWERS))))
        })
    }
}

/// The same request, with its interim answers counted.
fn counted(request: HttpRequest) -> Result<(HttpRequest, Interim), HttpError> {
    let mut request = request.try_into_http1x()?;
    let interim = Interim::of(&mut request);
    Ok((request.try_into()?, interim))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecr::error::BoxError;
    use bytes::Bytes;
    use futures::StreamExt as _;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    #[derive(Debug)]
    struct Answers(usize);

    impl HttpConnector for Answers {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            let frames = futures::stream::repeat(Bytes::from_static(&[0; 16_384])).take(self.0).map(|bytes| Ok::<_, BoxError>(Frame::data(bytes)));
            let status = aws_smithy_runtime_api::http::StatusCode::try_from(200).unwrap();
            let answer = aws_sdk_ecr::config::http::HttpResponse::new(status, SdkBody::from_body_1_x(StreamBody::new(frames)));
            HttpConnectorFuture::ready(Ok(answer))
        }
    }

    #[tokio::test]
    async fn an_answer_of_an_sdk_is_bounded() {
        let read = async |blocks: usize| {
            let connector = Bounded(SharedHttpConnector::new(Answers(blocks)));
            let body = connector.call(HttpRequest::empty()).await.unwrap().take_body();
            let read = http_body_util::BodyExt::collect(body).await;
            read.map(|body| body.to_bytes().len()).map_err(|error| error.to_string())
        };
        assert_eq!(read(64).await, Ok(1 << 20));
        assert_eq!(read(196_608).await, Err("the answer is larger than 6 MiB".to_owned()), "three gibibytes");
    }
}
