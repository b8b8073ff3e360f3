//! One call of an API over HTTP: within a deadline, its errors by class, and no word of whoever answers.
//!
//! What an answer means is not known here: each API says that in its own words.

use std::time::Duration;

use reqwest::Response;

use super::{BodyError, bounded, send};
use crate::cause::Cause as _;
use crate::say;
use crate::say::Message;
use crate::snapshot::{CollectError, ErrorClass};
use crate::value::Span;

/// Work that is given up at its deadline.
pub async fn within<T>(what: &Message, limit: Duration, work: impl Future<Output = T>) -> Result<T, CollectError> {
    let late = |_| CollectError::new(ErrorClass::Timeout, say!("{}: no answer within {}", what, Span(limit)));
    tokio::time::timeout(limit, work).await.map_err(late)
}

/// What a call does, in words, and how long its head and its body may take.
pub struct Call<'a> {
    /// The act, `ask GitLab about the token`.
    pub what: &'a Message,
    /// The deadline of each of the two.
    pub limit: Duration,
}

impl Call<'_> {
    /// Sends a request; an answer with any status is one.
    pub async fn send(&self, request: impl Future<Output = reqwest::Result<Response>> + Send + 'static) -> Result<Response, CollectError> {
        within(self.what, self.limit, send(request)).await?.map_err(|error| {
            let class = if error.is_redirect() { ErrorClass::Malformed } else { ErrorClass::Unreachable };
            CollectError::new(class, say!("{}: {}", self.what, error.without_url().words()))
        })
    }

    /// The body of an answer, of bounded size.
    pub async fn body(&self, answer: Response, most: usize) -> Result<Vec<u8>, CollectError> {
        within(self.what, self.limit, bounded(answer, most)).await?.map_err(|error| match error {
            BodyError::Cut(why) => CollectError::new(ErrorClass::Unreachable, say!("{}: {}", self.what, why)),
            BodyError::TooLarge(_) => CollectError::new(ErrorClass::Malformed, say!("{}: {}", self.what, error)),
            BodyError::NoRoom(_) => CollectError::new(ErrorClass::Local, say!("{}: {}", self.what, error)),
        })
    }
}
