//! A bound on what an API server says: of an answer as a whole, of a watch by each of its lines, since
//! a watch as a whole is as long as much happens. A long list is read by its elements, which are
//! bounded where that happens. Before any of them, interim answers are counted.

use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::{Body, Bytes};
use hyper::{Request, Response};
use tower::{BoxError, Service};

use crate::interim::Interim;
use crate::room;

/// The largest object, in 1.5 MiB of etcd, is smaller.
const LARGEST: usize = 2 << 20;

/// Marks a request whose answer is bounded by whoever reads it.
#[derive(Debug, Clone, Copy)]
pub(in crate::collectors::kubernetes) struct Streamed;

/// Bounds the answers of a service.
#[derive(Clone)]
pub(in crate::collectors::kubernetes) struct Bounded<S>(pub(in crate::collectors::kubernetes) S);

impl<S, B, R> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = BoxError>,
    S::Future: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let streamed = request.extensions().get::<Streamed>().is_some();
        let lines = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true" || part == "watch=1"));
        let interim = Interim::of(&mut request);
        let answer = self.0.call(request);
        async move {
            let answer = tokio::select! {
                answer = answer => answer?,
                endless = interim.endless() => return Err(endless.into()),
            };
            Ok(answer.map(
                |body| {
                    if streamed { body.map_err(Into::into).boxed_unsync() } else { room::bounded(body, lines, LARGEST, &room::ANSWERS).boxed_unsync() }
                },
            ))
        }
        .boxed()
    }
}
