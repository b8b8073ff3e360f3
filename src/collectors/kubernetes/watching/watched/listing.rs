//! Lists of a scope: in pages, or at once where there is much and the server answers from its cache. A list that is
//! not whole is an error.

use std::time::Duration;

use kube::api::{ListMeta, ListParams};
use kube::{Api, Client, Resource as _};
use serde::de::IgnoredAny;

use super::{Query, Watched};
use crate::collectors::kubernetes::client::api::{Around, Bounds, Form, api_error, elements, server_version};
use crate::collectors::kubernetes::client::stream::LONGEST;
use crate::collectors::kubernetes::reading::clock::Clock;
use crate::collectors::kubernetes::reading::objects::Index;
use crate::collectors::kubernetes::reading::version;
use crate::say;
use crate::snapshot::{CollectError, ErrorClass};

/// Objects per page of a list.
const PAGE: u32 = 500;

impl<T: Index> Watched<T> {
    /// The newest version, as etcd has it: a list of one object, whichever it is.
    pub(super) async fn newest(&self, client: &Client, api: &Api<T::Object>) -> Result<String, CollectError> {
        let one = kube::core::Request::new(api.resource_url()).list(&ListParams::default().limit(1));
        let one = one.map_err(|error| api_error(&self.act("list"), &kube::Error::BuildRequest(error)))?;
        self.inner().api_calls += 1;
        let list: Around<ListMeta> = elements(client, one, Form::json("items"), &self.act("list"), Bounds::page(self.page_limit), |_: IgnoredAny| {}).await?;
        Ok(list.metadata.resource_version.unwrap_or_default())
    }

    fn list_limit(&self) -> Duration {
        self.keep.max(self.page_limit)
    }

    /// What all pages may have together.
    fn whole(&self) -> Bounds {
        Bounds { time: self.list_limit(), longest: LONGEST.saturating_mul(T::MOST / PAGE as usize + 1) }
    }

    /// A list of which each page comes in time may still go on for ever, and while it does the old rows
    /// count as seen. So it has as long as those would have after a failure.
    pub(super) async fn whole_list(&self, client: &Client, api: &Api<T::Object>) -> Result<String, CollectError> {
        let most = self.list_limit();
        let late = |_| CollectError::new(ErrorClass::Timeout, say!("{}: not complete within {}", self.act("list"), crate::value::Span(most)));
        tokio::time::timeout(most, self.list(client, api)).await.unwrap_or_else(|error| Err(late(error)))
    }

    /// Whether the server answers a whole list from its cache, object by object, since Kubernetes 1.33: it then costs
    /// about half of what pages cost, which may come from etcd one by one, and no more memory. Whoever does not tell gets pages.
    /// Source: <https://kubernetes.io/blog/2025/05/09/kubernetes-v1-33-streaming-list-responses/>
    async fn answers_whole(&self, client: &Client) -> bool {
        self.inner().api_calls += 1;
        let told = server_version(client, self.page_limit, &Clock::default()).await;
        told.is_ok_and(|told| version::minor(&told).is_some_and(|own| own >= (1, 33)))
    }

    /// All objects, in pages or, where there are many and the server can, at once; the version to watch from.
    async fn list(&self, client: &Client, api: &Api<T::Object>) -> Result<String, CollectError> {
        let Query { labels, fields, .. } = &self.query;
        let mut page = ListParams { label_selector: labels.clone(), field_selector: fields.clone(), limit: Some(PAGE), ..ListParams::default() };
        let form = Form::objects(&T::Object::group(&()), &T::Object::plural(&()));
        self.begin();
        let broken = |why: &'static str| CollectError::new(ErrorClass::Malformed, say!("{}: {}", self.act("list"), why));
        // A list shows each object once. One that comes twice stands where another should.
        let (mut count, mut nameless, mut twice) = (0_usize, false, false);
        loop {
            // A list that hangs must become a failure: until then the old rows count as seen. A whole one has what
            // all of its pages would have.
            let bounds = if page.limit.is_some() { Bounds::page(self.page_limit) } else { self.whole() };
            let request = kube::core::Request::new(api.resource_url()).list(&page);
            let request = request.map_err(|error| api_error(&self.act("list"), &kube::Error::BuildRequest(error)))?;
            let list: Around<ListMeta> = elements(client, request, form, &self.act("list"), bounds, |object: T::Object| {
                nameless |= object.meta().name.as_ref().is_none_or(String::is_empty);
                twice |= self.inner().kept.has_named(&object);
                count += 1;
                if count <= T::MOST {
                    self.put(object, true);
                }
            })
            .await?;
            if count > T::MOST {
                return Err(self.too_many("list"));
            }
            if !list.is_of(&T::Object::kind(&())) {
                return Err(broken("the answer is a list of another kind"));
            }
            if nameless {
                return Err(broken("an object has no name"));
            }
            let is_first = page.continue_token.is_none() && page.limit.is_some();
            if is_first && list.metadata.continue_.as_ref().is_some_and(|token| !token.is_empty()) && self.answers_whole(client).await {
                page.limit = None;
                (count, twice) = (0, false);
                self.begin();
                continue;
            }
            let before = page.continue_token.take();
            page.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
            if twice || before.is_some() && before == page.continue_token {
                return Err(broken("the same page or object came twice"));
            }
            if page.continue_token.is_some() {
                continue;
            }
            if list.metadata.remaining_item_count.is_some_and(|left| left != 0) {
                return Err(broken("it ends before its last object"));
            }
            let version = list.metadata.resource_version.filter(|version| !version.is_empty());
            let version = version.ok_or_else(|| broken("an answer without resourceVersion"))?;
            self.complete();
            return Ok(version);
        }
    }
}
