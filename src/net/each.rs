//! Asking every address of a host: the one routine of all who look at what answers at a name.
//!
//! It knows nothing of what is asked. What was not asked is told beside what was, so that nobody forgets it.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::names::{Lookup, NOWHERE, Unresolved, family_of};
use crate::cause::Unasked;
use crate::say;
use crate::say::{Message, named};

/// What became of one address of a host, or of the host where it has none.
#[derive(Debug)]
pub struct Told<T> {
    /// `ipv4`, `ipv6`, or `none` of a name without an address.
    pub family: &'static str,
    /// The address, or what stands where an address would stand.
    pub place: String,
    /// What came of it.
    pub answer: Answer<T>,
}

/// What came of asking.
#[derive(Debug)]
pub enum Answer<T> {
    /// It was asked, and this is what came of that.
    Asked(T),
    /// The name leads to no address.
    Unresolved(Message),
    /// Nobody said in time where the name leads.
    Late(Message),
    /// Nobody asked there, so nothing is known of it.
    Unseen(Message),
}

impl<T> Told<T> {
    fn nowhere(answer: Answer<T>) -> Vec<Self> {
        vec![Self { family: "none", place: NOWHERE.to_owned(), answer }]
    }
}

impl Lookup {
    /// Asks every address of a host at once, and says how long its name took. `ask` is told the same, since what a name
    /// took is no longer left of `within`; a deadline of its own is its affair.
    pub async fn each<T, F: Future<Output = T>>(&self, host: &str, within: Duration, ask: impl Fn(IpAddr, Duration) -> F) -> (Vec<Told<T>>, Duration) {
        let started = Instant::now();
        let found = tokio::time::timeout(within, self.find(host)).await;
        let took = started.elapsed();
        let told = match found {
            Err(_) => Told::nowhere(Answer::Late(say!("resolve {}: no answer in time", named(host)))),
            Ok(Err(Unresolved::Failed(why))) => Told::nowhere(Answer::Unresolved(why)),
            Ok(Err(Unresolved::Unasked(Unasked(why)))) => Told::nowhere(Answer::Unseen(why)),
            Ok(Ok(found)) => {
                let asked = found.addresses.into_iter().map(|address| {
                    let answer = ask(address, took);
                    async move { Told { family: family_of(address), place: address.to_string(), answer: Answer::Asked(answer.await) } }
                });
                let mut told = join_all(asked).await;
                told.extend(found.unseen.into_iter().map(|part| Told { family: part.family, place: part.place.to_owned(), answer: Answer::Unseen(part.why) }));
                told
            }
        };
        (told, took)
    }
}
