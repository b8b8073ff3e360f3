//! Redirects: which of them are followed, what is sent on the way, and whose answer counts.

use std::net::IpAddr;

use hyper::header;
use url::Url;

use super::Outcome;
use super::probe::{Failure, Prepared, Probe, Prober, unresolved};
use crate::net;
use crate::say;
use crate::say::{Message, named};

/// The statuses that lead elsewhere.
/// Source: RFC 9110, section 15.4
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

impl Prober {
    pub(super) async fn exchange(&self, request: &Prepared, address: IpAddr, probe: &mut Probe) -> Result<Message, Failure> {
        let mut url = request.url.clone();
        let (probed, mut address) = (address, address);
        let mut hops = 0;
        let mut passed_over = None;
        loop {
            // A header may be a secret, and a redirect may lead to anybody.
            let headers = if url.origin() == request.url.origin() { request.headers.as_slice() } else { &[] };
            let response = self.ask(&url, address, headers, probe).await.map_err(|failure| failure.at(&request.url, &url))?;
            // What another host says is no fact about the target.
            probe.status = self.answers_for(&request.url, &url).then(|| response.status().as_u16());
            let location = response.headers().get(header::LOCATION).filter(|_| REDIRECTS.contains(&response.status().as_u16()));
            let Some(location) = location.filter(|_| self.redirects > 0) else {
                let judged = self.judge(response, &request.url, &url, probe).await;
                return match passed_over {
                    Some(note) => judged.map(|detail| say!("{}{}", detail, note)),
                    None => judged,
                };
            };
            if hops == self.redirects {
                return Err(Failure(Outcome::Redirect, say!("more than {} redirects", hops)));
            }
            hops += 1;
            let next = location.to_str().ok().and_then(|text| url.join(text).ok()).filter(|next| ["http", "https"].contains(&next.scheme()));
            let next = next.ok_or_else(|| Failure(Outcome::Redirect, say!("redirected to something that is no URL")))?;
            self.may_follow(&request.url, &url, &next)?;
            if !request.headers.is_empty() && !self.answers_for(&request.url, &next) {
                // A server can lead to a host that is called like the secret it was sent: asking for it would
                // tell name servers, and naming it everybody else.
                let rule =
                    "redirected to another host, which a request with headers does not follow; name the host in redirect_hosts if it answers for the target";
                return Err(Failure(Outcome::Redirect, rule.into()));
            }
            if next.host() == request.url.host() {
                // Back at the target, it is this address that is looked at, and no other of its host.
                address = probed;
            } else if next.host_str() != url.host_str() && self.proxy.is_none() {
                let host = next.host_str().unwrap_or_default();
                let found = self.lookup.find(host).await.map_err(unresolved)?;
                // `find` fails rather than find nothing.
                address = found.addresses.first().copied().unwrap_or(address);
                // Who wants to know each of them makes the host a target of its own.
                if found.addresses.len() > 1 || !found.unseen.is_empty() {
                    passed_over = Some(say!("; of {}, to which it redirects, only {} was asked", named(host), address));
                }
            }
            url = next;
        }
    }

    /// Whether a redirect may be followed at all, be it without any header.
    pub(super) fn may_follow(&self, configured: &Url, from: &Url, to: &Url) -> Result<(), Failure> {
        if from.scheme() == "https" && to.scheme() == "http" {
            return Err(Failure(Outcome::Redirect, say!("redirected from https to http, which is not followed")));
        }
        if net::has_local_address(to) && to.host() != configured.host() && !self.counts(to) {
            return Err(Failure(Outcome::Redirect, say!("redirected to a link-local or metadata address, which is not followed")));
        }
        Ok(())
    }

    /// Whether an answer from one URL is the target's, which is configured as the other.
    pub(super) fn answers_for(&self, configured: &Url, asked: &Url) -> bool {
        asked.host() == configured.host() || self.counts(asked)
    }

    /// Whether the configuration names the host of a URL as one that answers for the target.
    fn counts(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        self.redirect_hosts.iter().any(|own| own.trim_matches(['[', ']']).eq_ignore_ascii_case(host.trim_matches(['[', ']'])))
    }
}
