//! A bound on what an API server says: of an answer as a whole, of a watch by each of its lines, since
//! a watch as a whole is as long as much happens. A long list is read by its elements, which are
//! bounded where that happens.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryFutureExt as _};
use http_body_util::{BodyExt as _, BodyStream, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::{Request, Response};
use tower::{BoxError, Service};

use crate::room;
use crate::say::Say;

/// The largest object, in 1.5 MiB of etcd, is smaller.
const LARGEST: usize = 2 << 20;

/// Marks a request whose answer is not held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streamed;

/// More was said than an API server has to say.
#[derive(Debug, thiserror::Error)]
#[error("the answer is larger than {} MiB", .0 >> 20)]
pub(super) struct TooLarge(pub(super) usize);

impl Say for TooLarge {}

/// Bounds the answers of a service.
#[derive(Clone)]
pub(super) struct Bounded<S>(pub(super) S);

impl<S, B, R> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<Bytes, BoxError>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if request.extensions().get::<Streamed>().is_some() {
            return self.0.call(request).map_ok(|answer| answer.map(|body| body.map_err(Into::into).boxed_unsync())).boxed();
        }
        let lines = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true" || part == "watch=1"));
        self.0.call(request).map_ok(move |answer| answer.map(|body| bounded(body, lines, LARGEST).boxed_unsync())).boxed()
    }
}

/// The same body, which ends with an error when it is too large, or a line of it where lines count.
fn bounded<R>(body: R, lines: bool, most: usize) -> impl Body<Data = Bytes, Error = BoxError>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let (mut held, mut share) = (0, room::ANSWERS.share());
    StreamBody::new(BodyStream::new(body).map(move |frame| {
        let frame: Frame<Bytes> = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            held = match data.iter().rposition(|byte| *byte == b'\n').filter(|_| lines) {
                Some(end) => data.len() - end - 1,
                None => held + data.len(),
            };
        }
        if held > most {
            return Err(TooLarge(most).into());
        }
        share.hold(held)?;
        Ok(frame)
    }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn body(parts: &[&'static [u8]]) -> impl Body<Data = Bytes, Error = Infallible> + use<> {
        StreamBody::new(futures::stream::iter(parts.iter().map(|part| Ok(Frame::data(Bytes::from_static(part)))).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn a_list_is_bounded_as_a_whole_and_a_watch_by_its_lines() {
        let read = async |parts: &[&'static [u8]], lines: bool| {
            let whole = Box::pin(bounded(body(parts), lines, 8)).collect().await;
            whole.map(|whole| whole.to_bytes().len()).map_err(|error| error.to_string())
        };
        let large = || Err("the answer is larger than 0 MiB".to_owned());
        assert_eq!(read(&[b"12345", b"678"], false).await, Ok(8));
        assert_eq!(read(&[b"12345", b"6789"], false).await, large());
        assert_eq!(read(&[b"1\n2\n3\n4\n", b"5"], false).await, large(), "lines do not help a list");
        assert_eq!(read(&[b"12345\n", b"12345678", b"\n1234567\n", b"12"], true).await, Ok(25));
        assert_eq!(read(&[b"1\n23456", b"789"], true).await, Ok(10));
        assert_eq!(read(&[b"1\n23456", b"7890"], true).await, large());
    }
}
