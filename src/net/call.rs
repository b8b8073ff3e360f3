//! One call of an API over HTTP: within a deadline, its errors by class, and no word of whoever answers.
//!
//! What an answer means is not known here: each API says that in its own words.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{AGE, HeaderMap};

use super::place::unroutable;
use super::{BodyError, bounded, send};
use crate::cause::{self, Cause as _, Unasked};
use crate::say;
use crate::say::Message;
use crate::snapshot::{CollectError, ErrorClass};
use crate::value::Span;

/// For so many seconds what a cache gives is as good as what its server says; an older answer proves nothing.
pub const FRESH: u64 = 60;

/// For how long a cache has kept an answer, by its `Age` in seconds: the first of several, 0 where it is no number, and
/// the most that is spoken of where the number is too large. Sources: RFC 9111, sections 5.1 and 1.2.2.
pub fn age_of(headers: &HeaderMap) -> u64 {
    const MOST: u64 = 1 << 31;
    let value = headers.get(AGE).and_then(|age| age.to_str().ok()).unwrap_or_default();
    let first = value.split(',').next().unwrap_or_default().trim();
    let is_number = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { first.parse().unwrap_or(MOST).min(MOST) } else { 0 }
}

/// Work that is given up at its deadline.
pub async fn within<T>(what: &Message, limit: Duration, work: impl Future<Output = T>) -> Result<T, CollectError> {
    let late = |_| CollectError::new(ErrorClass::Timeout, say!("{}: no answer within {}", what, Span(limit)));
    tokio::time::timeout(limit, work).await.map_err(late)
}

/// Why a request has no answer. Where this host has no way to whom it was to ask, that is a matter of this side.
pub fn unanswered(what: &Message, error: &reqwest::Error) -> CollectError {
    let (class, why) = match unasked(error) {
        Some(why) => (ErrorClass::Local, why),
        None if error.is_redirect() => (ErrorClass::Malformed, error.words()),
        None => (ErrorClass::Unreachable, error.words()),
    };
    CollectError::new(class, say!("{}: {}", what, why).fixed_as(&why))
}

/// Names that have no address with a route say so; of an address that stands in a URL nobody has looked yet.
fn unasked(error: &reqwest::Error) -> Option<Message> {
    if let Some(Unasked(why)) = cause::unasked(error) {
        return Some(why.clone());
    }
    let url = error.url().filter(|_| cause::may_lack_route(error))?;
    let address = match url.host()? {
        url::Host::Ipv4(address) => address.into(),
        url::Host::Ipv6(address) => address.into(),
        url::Host::Domain(_) => return None,
    };
    unroutable(SocketAddr::new(address, url.port_or_known_default()?))
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
        within(self.what, self.limit, send(request)).await?.map_err(|error| unanswered(self.what, &error))
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::sync::Arc;

    use super::*;

    /// Names that lead nowhere, for one reason or the other.
    struct Nowhere(bool);

    impl reqwest::dns::Resolve for Nowhere {
        fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
            let is_ours = self.0;
            Box::pin(async move { Err(if is_ours { Unasked("a.test: no route".into()).into() } else { std::io::Error::from(ErrorKind::TimedOut).into() }) })
        }
    }

    #[tokio::test]
    async fn what_nobody_was_asked_is_a_matter_of_this_side() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let told = async |url: String, is_ours: bool| {
            let client = reqwest::Client::builder().no_proxy().dns_resolver(Arc::new(Nowhere(is_ours))).build().unwrap();
            let error = client.get(url).send().await.unwrap_err();
            let error = unanswered(&"ask it".into(), &error);
            (error.class, error.message.to_string())
        };
        assert_eq!(told("http://a.test/".to_owned(), true).await, (ErrorClass::Local, "ask it: a.test: no route".to_owned()));
        assert_eq!(told("http://a.test/".to_owned(), false).await.0, ErrorClass::Unreachable);
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(told(format!("http://{closed}/"), true).await, (ErrorClass::Unreachable, "ask it: connection refused".to_owned()), "it was asked");
        let beyond = ["[2001:db8::1]:9", "198.51.100.1:9"].into_iter().find(|place| unroutable(place.parse().unwrap()).is_some());
        if let Some(beyond) = beyond {
            let (class, words) = told(format!("http://{beyond}/"), false).await;
            assert_eq!(class, ErrorClass::Local, "{words}");
            assert!(words.contains("has no route to this"), "{words}");
        }
    }
}
