//! Whether resolvers answer alike. A record that was just changed is served in its old form for as long
//! as its time to live, so a difference is no fault until then, and no agreement either.
//!
//! A CDN answers each resolver with addresses near to it, by design. Seen from here that is the same as one
//! resolver with an old zone, so that nothing is provable of an alias that all of them follow to addresses
//! which never meet: it is unknown until the configuration says what the name must lead to.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::view::{View, meet};
use crate::metric::states;
use crate::say;
use crate::say::{Message, named};

/// What is remembered of each resolver; pools that rotate are smaller.
const MOST_ADDRESSES: usize = 1_000;

states! {
    /// Whether resolvers answer alike.
    pub(super) enum Alike {
        Agree => "agree",
        Disagree => "disagree",
        Unknown => "unknown",
    }
}

/// A difference that was seen.
#[derive(Debug)]
struct Dispute {
    since: Instant,
    /// What each resolver has answered since.
    answered: Vec<BTreeSet<IpAddr>>,
}

/// Remembers since when the resolvers of a name differ.
#[derive(Debug, Default)]
pub(super) struct Agreement(Option<Dispute>);

impl Agreement {
    /// Whether they do, with what each resolver answers; `None` for a single one. `expected`:
    /// the answer of each is one that the configuration expects.
    pub(super) fn judge(&mut self, views: &[(&str, &View)], expected: bool) -> Option<(Alike, Message)> {
        if views.len() < 2 {
            return None;
        }
        let words = Message::joined(views.iter().map(|(label, view)| say!("{}: {}", named(label), view.words())), "; ");
        let whole: Vec<&View> = views.iter().map(|(_, view)| *view).filter(|view| view.is_complete()).collect();
        let some_silent = whole.len() < views.len();
        let alike = expected || whole.iter().all(|view| view.agrees(whole[0]));
        if !alike && !self.is_rotation(views) {
            let since = self.0.get_or_insert_with(|| Dispute { since: Instant::now(), answered: vec![BTreeSet::new(); views.len()] }).since;
            self.remember(views);
            let longest = whole.iter().flat_map(|view| &view.typed).filter_map(|(_, answer)| answer.ttl).max().unwrap_or(0);
            if since.elapsed() > Duration::from_secs(u64::from(longest)) {
                return Some(match alias_of_all(&whole) {
                    None => (Alike::Disagree, words),
                    Some(alias) => {
                        let by_design = say!("all follow the alias to {}, which may answer each of them differently by design", named(alias));
                        (Alike::Unknown, say!("{}; {}; expect.canonical_name in the configuration says that it does", words, by_design))
                    }
                });
            }
            return Some((Alike::Unknown, say!("{}; they differ, as they may for the time to live of {} s after a change", words, longest)));
        }
        if some_silent {
            // Whoever is silent may be the one that differs, so that the time runs on.
            return Some((Alike::Unknown, say!("{}; not every resolver has answered in full", words)));
        }
        match &mut self.0 {
            // What they have said so far makes the next difference a rotation as well.
            Some(dispute) if !alike => dispute.since = Instant::now(),
            own => *own = None,
        }
        Some((Alike::Agree, words))
    }

    fn remember(&mut self, views: &[(&str, &View)]) {
        for (seen, (_, view)) in self.0.iter_mut().flat_map(|dispute| &mut dispute.answered).zip(views) {
            if seen.len() < MOST_ADDRESSES {
                seen.extend(view.places());
            }
        }
    }

    /// Whether the difference is that of answers which rotate: each resolver now says what each other one
    /// has said since. One that serves an old zone never says what is new.
    fn is_rotation(&mut self, views: &[(&str, &View)]) -> bool {
        self.remember(views);
        let Some(dispute) = &self.0 else { return false };
        let now: Vec<_> = views.iter().map(|(_, view)| view.places()).collect();
        views.iter().all(|(_, view)| view.is_complete())
            && now.iter().all(|addresses| !addresses.is_empty() && dispute.answered.iter().all(|seen| meet(seen, addresses)))
    }
}

/// The alias that all of them end at.
fn alias_of_all<'a>(views: &[&'a View]) -> Option<&'a str> {
    let (first, others) = views.split_first()?;
    let alias = first.alias()?;
    others.iter().all(|view| view.alias() == Some(alias)).then_some(alias)
}
