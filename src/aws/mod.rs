//! What every caller of AWS shares: who asks and where credentials come from, one signed request to any service in the
//! form that it speaks, and what an error means, whether an SDK met it or not. It knows nothing of what is asked, and
//! passes on no word of whoever answers.
//!
//! SDKs are there for what is more than a question: images of ECR, secrets, and the credentials themselves. All else
//! is asked by [`Api`]: a [`Question`] to one of the [`services`], answered in a struct of the fields that somebody needs.

mod answer;
mod api;
mod bounded;
mod errors;
mod identity;
mod question;
pub mod services;
mod sign;
#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};

pub use answer::{Items, Members};
pub(crate) use api::http;
pub use api::{Api, Page, token};
pub use identity::Caller;
pub(crate) use identity::Callers;
pub use question::Question;
pub(crate) use services::domain;
pub(crate) use sign::{Request, sign};

use crate::net;
use crate::say;
use crate::say::Message;
use crate::snapshot::CollectError;

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
