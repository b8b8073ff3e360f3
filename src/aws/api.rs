//! One signed request to a service of AWS, and the pages of an answer. It never retries: whoever looks has a clock of its
//! own.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sigv4::http_request::SigningSettings;
use aws_types::service_config::ServiceConfigKey;
use reqwest::{Client, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::identity::Caller;
use super::question::{Question, Written};
use super::services::Service;
use super::sign::{Request, sign};
use super::{answer, errors};
use crate::cause::Cause as _;
use crate::net::{self, Call};
use crate::say;
use crate::say::Message;
use crate::snapshot::{CollectError, ErrorClass};

/// Larger than any page that is asked for: a hundred databases are half a mebibyte.
const LARGEST: usize = 4 << 20;
/// More pages than any list has that is read as a whole.
const MOST_PAGES: usize = 100;

/// A service, as somebody asks it.
pub struct Api<'a> {
    /// Who asks, and in which region.
    pub caller: &'a Caller,
    /// Who is asked.
    pub service: &'a Service,
    /// How long it may take each time to find out who asks, and for the head and the body of the answer.
    pub limit: Duration,
}

/// A page of an answer.
pub trait Page: DeserializeOwned {
    /// The parameters by which the next page is asked for: a token or a marker in most services, names in Route 53. On the
    /// last page there is none, or it is empty.
    fn next(&self) -> Vec<(&'static str, String)>;
}

/// The parameters of a next page where a service has one token for it.
pub fn token(name: &'static str, value: Option<&str>) -> Vec<(&'static str, String)> {
    value.map(|value| (name, value.to_owned())).into_iter().collect()
}

impl Api<'_> {
    /// Asks. The answer is read into the fields that somebody needs; what must not be missed has no default, since a page
    /// of somebody else would read as an empty list.
    pub async fn ask<T: DeserializeOwned>(&self, question: &Question) -> Result<T, CollectError> {
        let Self { service, limit, .. } = *self;
        let what = &question.what;
        let local = |why: Message| CollectError::new(ErrorClass::Local, say!("{}: {}", what, why));
        let request = net::within(what, limit, self.signed(question)).await?.map_err(local)?;
        let call = Call { what, limit };
        let given = call.send(request.send()).await?;
        let (status, headers) = (given.status(), given.headers().clone());
        let body = call.body(given, LARGEST).await?;
        if !status.is_success() {
            let (class, why) = errors::refused(status.as_u16(), answer::code(&headers, &body).as_deref(), &String::from_utf8_lossy(&body));
            return Err(CollectError::new(class, say!("{}: {}", what, why).fixed_as(&why)));
        }
        let malformed = |why| say!("{}: status {} and no answer of {}: {}", what, status.as_u16(), service.id, why);
        answer::read(service.form, question.operation(), &body).map_err(|why| CollectError::new(ErrorClass::Malformed, malformed(why)))
    }

    /// Asks for one page after the other. All of them or none: half a list would pass for a short one.
    pub async fn pages<T: Page>(&self, question: &Question) -> Result<Vec<T>, CollectError> {
        let what = &question.what;
        let malformed = |why: Message| CollectError::new(ErrorClass::Malformed, say!("{}: {}", what, why));
        let (mut asked, mut pages, mut seen) = (question.clone(), Vec::new(), BTreeSet::new());
        while pages.len() < MOST_PAGES {
            let page: T = self.ask(&asked).await?;
            let next = page.next();
            pages.push(page);
            if next.iter().all(|(_, value)| value.is_empty()) {
                return Ok(pages);
            }
            // What led to this page leads nowhere else.
            asked = next.iter().fold(question.clone(), |question, (name, value)| question.with(name, value.as_str()));
            if !seen.insert(next) {
                return Err(malformed(say!("it says of a page that was read that it comes next")));
            }
        }
        Err(malformed(say!("it has more than {} pages", MOST_PAGES)))
    }

    /// A request with its signature.
    async fn signed(&self, question: &Question) -> Result<RequestBuilder, Message> {
        let Written { method, path, headers, body } = question.written(self.service.form)?;
        let url = self.caller.endpoint(self.service).await? + &path;
        let (_, region) = self.service.place(self.caller.region());
        let own: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let request = Request { service: self.service.name, region, method, url: &url, headers: &own, body: body.as_bytes() };
        let signed = sign(self.caller.identity().await?, &request, SigningSettings::default())?;
        let method = if method == "GET" { Method::GET } else { Method::POST };
        let added = signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = own.iter().copied().chain(added).fold(http().await?.request(method, url), |request, (name, value)| request.header(name, value));
        Ok(request.body(body))
    }
}

impl Caller {
    /// The URL of a service, without a slash at its end: what the environment or a profile says, or where it is.
    pub(crate) async fn endpoint(&self, service: &Service) -> Result<String, Message> {
        let settings = self.settings().await?;
        // As the SDKs do it: what is said of one service counts before what is said of all.
        let key = ServiceConfigKey::builder().service_id(service.id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
        let key = key.map_err(|_| say!("find the endpoint of {}: it has no name", service.id))?;
        let said = settings.service_config().and_then(|config| config.load_config(key)).or_else(|| settings.endpoint_url().map(str::to_owned));
        Ok(said.map_or_else(|| service.place(self.region()).0, |url| url.trim_end_matches('/').to_owned()))
    }
}

/// What sends all requests without a client of their own, whoever asks: it knows no identity.
pub(crate) async fn http() -> Result<&'static Client, Message> {
    static CLIENT: OnceCell<Client> = OnceCell::const_new();
    CLIENT.get_or_try_init(async || net::client(&net::Trust::system())?.no_gzip().build().map_err(|error| error.words())).await
}
