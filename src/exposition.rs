//! What Prometheus scrapes, made piece by piece while it is sent.
//!
//! As one text it would be the largest thing in the process: five thousand credentials are fifteen
//! megabytes of it. Nothing here looks at anything; a scrape shows what was known when it began.

use std::collections::{BTreeMap, btree_map};
use std::io::{self, Write};
use std::sync::Arc;

use crate::metric::{Family, Sample, write_header, write_samples};
use crate::snapshot::{self, Facts, Snapshot, View};

/// About as much is made at a time. A part of the facts whose text is kept is written as a whole.
const PIECE: usize = 64 * 1024;

/// One scrape.
pub struct Exposition {
    views: Vec<View>,
    /// Families that are still to come, in order of their names.
    families: btree_map::IntoIter<&'static str, (&'static Family, Vec<Arc<Facts>>)>,
    family: &'static str,
    /// What is still to come of the family.
    rest: std::vec::IntoIter<Arc<Facts>>,
    counters: String,
}

impl Exposition {
    /// A snapshot with further samples of the exporter's own and, at the end, counters that are
    /// text already.
    pub fn new(snapshot: Snapshot, own: Vec<Sample>, counters: String) -> Self {
        let own: [Arc<Facts>; 1] = [Arc::new(own.into())];
        let mut families: BTreeMap<&'static str, (&'static Family, Vec<Arc<Facts>>)> = BTreeMap::new();
        for facts in snapshot.views.iter().flat_map(|view| view.facts.iter()).chain(&own) {
            for (family, _) in facts.families() {
                families.entry(family.name).or_insert_with(|| (family, Vec::new())).1.push(Arc::clone(facts));
            }
        }
        // What is known of looking is made from the views when its turn comes: no facts hold it.
        let known = |family: &&&'static Family| snapshot.views.iter().any(|view| !view.looking(family).is_empty());
        families.extend(snapshot::FAMILIES.iter().filter(known).map(|family| (family.name, (*family, Vec::new()))));
        Self { views: snapshot.views, families: families.into_iter(), family: "", rest: Vec::new().into_iter(), counters }
    }

    /// Writes the next piece; `false` says that it was the last.
    pub fn write_next(&mut self, out: &mut impl Write) -> io::Result<bool> {
        let mut piece = String::with_capacity(PIECE + PIECE / 8);
        while piece.len() < PIECE {
            if let Some(facts) = self.rest.next() {
                let Some(text) = facts.text_of(self.family) else {
                    write_samples(&mut piece, facts.of(self.family));
                    continue;
                };
                out.write_all(piece.as_bytes())?;
                out.write_all(text.as_bytes())?;
                return Ok(true);
            }
            let Some((name, (family, facts))) = self.families.next() else {
                piece.push_str(&self.counters);
                out.write_all(piece.as_bytes())?;
                return Ok(false);
            };
            write_header(&mut piece, family);
            if facts.is_empty() {
                self.views.iter().for_each(|view| write_samples(&mut piece, &view.looking(family)));
            }
            (self.family, self.rest) = (name, facts.into_iter());
        }
        out.write_all(piece.as_bytes())?;
        Ok(true)
    }

    /// All of it.
    pub fn text(mut self) -> String {
        let mut text = Vec::new();
        // Writing to a Vec cannot fail.
        while self.write_next(&mut text).unwrap_or(false) {}
        String::from_utf8_lossy(&text).into_owned()
    }
}
