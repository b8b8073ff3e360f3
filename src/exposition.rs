//! What Prometheus scrapes, made piece by piece while it is sent.
//!
//! As one text it would be the largest thing in the process: five thousand credentials are fifteen
//! megabytes of it. Nothing here looks at anything; a scrape shows what was known when it began.

use std::collections::{BTreeMap, btree_map};
use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;

use crate::gzip::Gzip;
use crate::metric::{Family, Format, Sample, of_counters, write_header, write_samples};
use crate::snapshot::{self, Facts, Snapshot, View};

/// About as much is made at a time: what one client does not read takes no memory from others.
const PIECE: usize = 64 * 1024;

/// So many samples are written at a time.
const WRITTEN: usize = 100;

/// Where a scrape is written to.
#[derive(Debug)]
pub enum Out {
    /// As it is.
    Plain(Vec<u8>),
    /// Compressed, with what the facts keep as it is.
    Gzip(Box<Gzip>),
}

impl Out {
    /// Nothing yet.
    pub fn new(gzip: bool) -> Self {
        if gzip { Self::Gzip(Box::default()) } else { Self::Plain(Vec::new()) }
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(text.as_bytes()),
            Self::Gzip(out) => out.write_all(text.as_bytes()),
        }
    }

    /// What can be sent by now.
    pub fn take(&mut self) -> Vec<Bytes> {
        match self {
            Self::Plain(out) if out.is_empty() => Vec::new(),
            Self::Plain(out) => vec![std::mem::take(out).into()],
            Self::Gzip(out) => out.take().collect(),
        }
    }
}

/// One scrape.
pub struct Exposition {
    views: Vec<View>,
    /// Families that are still to come, in order of their names.
    families: btree_map::IntoIter<&'static str, (&'static Family, Vec<Arc<Facts>>)>,
    family: &'static str,
    /// What is still to come of the family.
    rest: std::vec::IntoIter<Arc<Facts>>,
    /// How many samples of the next facts were written.
    written: usize,
    counters: String,
    format: Format,
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
        Self {
            views: snapshot.views,
            families: families.into_iter(),
            family: "",
            rest: Vec::new().into_iter(),
            written: 0,
            counters,
            format: Format::default(),
        }
    }

    /// The same in another format.
    #[must_use]
    pub fn written_as(mut self, format: Format) -> Self {
        self.counters = of_counters(self.counters, format);
        self.format = format;
        self
    }

    /// Writes the next piece; `false` says that it was the last.
    ///
    /// # Errors
    /// Where compressing fails, which text in memory cannot cause.
    pub fn write_next(&mut self, out: &mut Out) -> io::Result<bool> {
        let mut piece = String::with_capacity(PIECE + PIECE / 8);
        while piece.len() < PIECE {
            if let Some(facts) = self.rest.as_slice().first() {
                if let (Out::Gzip(gzip), Some(chunk)) = (&mut *out, facts.chunk_of(self.family)) {
                    gzip.write_all(piece.as_bytes())?;
                    gzip.add(chunk)?;
                    self.rest.next();
                    return Ok(true);
                }
                let left = facts.of(self.family).get(self.written..).unwrap_or_default();
                write_samples(&mut piece, &left[..left.len().min(WRITTEN)]);
                self.written += WRITTEN;
                if left.len() <= WRITTEN {
                    self.written = 0;
                    self.rest.next();
                }
                continue;
            }
            let Some((name, (family, facts))) = self.families.next() else {
                piece.push_str(&self.counters);
                piece.push_str(self.format.end());
                out.text(&piece)?;
                if let Out::Gzip(gzip) = out {
                    gzip.finish()?;
                }
                return Ok(false);
            };
            write_header(&mut piece, family, self.format);
            if facts.is_empty() {
                self.views.iter().for_each(|view| write_samples(&mut piece, &view.looking(family)));
            }
            (self.family, self.rest) = (name, facts.into_iter());
        }
        out.text(&piece)?;
        Ok(true)
    }

    /// All of it.
    pub fn text(mut self) -> String {
        let mut out = Out::new(false);
        // Writing to a Vec cannot fail.
        while self.write_next(&mut out).unwrap_or(false) {}
        String::from_utf8_lossy(&out.take().concat()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::time::Duration;

    use super::*;
    use crate::metric::{Gauge, Unit, gauge};
    use crate::snapshot::tests::source;
    use crate::snapshot::{CollectError, ErrorClass, Observation, Store};

    static FEW: Gauge<1> = gauge("t_few", Unit::Number, &["target"], "Few.");
    static MANY: Gauge<1> = gauge("t_many", Unit::Number, &["target"], "Many.");

    /// Three sources: one with little to tell, one with more than a piece, and one that fails.
    fn store() -> Store {
        let store = Store::default();
        for name in ["fails", "small", "large"] {
            store.add(source("http", name));
        }
        let many = (0..5_000).map(|index| MANY.sample([format!("large-{index}")], 1.0));
        let large = many.chain([FEW.sample(["large"], 2.0)]).collect();
        store.report("http", "large", Duration::ZERO, Ok(Observation::new(large, 1, 1)));
        store.report("http", "small", Duration::ZERO, Ok(Observation::new(vec![FEW.sample(["small"], 1.0), MANY.sample(["small"], 1.0)], 1, 1)));
        store.report("http", "fails", Duration::ZERO, Err(CollectError::new(ErrorClass::Timeout, "no answer")));
        store
    }

    #[test]
    fn a_family_stands_in_one_place_with_the_samples_of_all_sources() {
        let text = Exposition::new(store().snapshot(), Vec::new(), "counters 1\n".to_owned()).text();
        let mut begun = Vec::new();
        for line in text.lines().filter(|line| *line != "counters 1") {
            match line.strip_prefix("# TYPE ") {
                Some(header) => begun.extend(header.split(' ').next()),
                None => assert!(line.starts_with("# HELP ") || line.split('{').next() == begun.last().copied(), "{line}"),
            }
        }
        assert!(begun.is_sorted_by(|a, b| a < b), "{begun:?}");
        assert!(text.contains("t_few{target=\"large\"} 2\nt_few{target=\"small\"} 1\n"), "{}", &text[..2_000]);
        assert_eq!(text.matches("\nt_many{").count(), 5_001);
        assert!(text.contains("readiness_collector_errors_total{collector=\"http\",source=\"fails\",class=\"timeout\"} 1\n"));
        assert!(
            text.contains("readiness_collector_up{collector=\"http\",source=\"fails\"} 0\nreadiness_collector_up{collector=\"http\",source=\"large\"} 1\n")
        );
        assert!(text.ends_with("counters 1\n"));
    }

    #[test]
    fn what_nothing_knows_has_no_family() {
        let store = Store::default();
        store.add(source("http", "new"));
        let text = Exposition::new(store.snapshot(), Vec::new(), String::new()).text();
        assert!(text.contains("readiness_collector_up{") && !text.contains("last_success") && !text.contains("errors_total"), "{text}");
    }

    #[test]
    fn it_comes_in_pieces() {
        let pieces: Vec<usize> = pieces(&store().snapshot(), false).iter().map(Bytes::len).collect();
        assert!(pieces.len() >= 3 && pieces.iter().all(|piece| *piece < 3 * PIECE), "{pieces:?}");
    }

    #[test]
    fn compressed_it_says_the_same_and_what_did_not_change_is_compressed_once() {
        let store = store();
        let read = |pieces: &[Bytes]| {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*pieces.concat()).read_to_string(&mut text).unwrap();
            text
        };
        let first = pieces(&store.snapshot(), true);
        assert_eq!(read(&first), Exposition::new(store.snapshot(), Vec::new(), "counters 1\n".to_owned()).text());
        store.report("http", "small", Duration::ZERO, Ok(Observation::new(vec![FEW.sample(["small"], 7.0)], 1, 1)));
        let second = pieces(&store.snapshot(), true);
        assert!(read(&second).contains("t_few{target=\"large\"} 2\nt_few{target=\"small\"} 7\n"));
        let shared = |piece: &&Bytes| piece.len() > 1_000 && second.iter().any(|other| other.as_ptr() == piece.as_ptr());
        assert_eq!(first.iter().filter(shared).count(), 1, "the many samples of a source that did not change were compressed again");
    }

    fn pieces(snapshot: &Snapshot, gzip: bool) -> Vec<Bytes> {
        let mut exposition = Exposition::new(snapshot.clone(), Vec::new(), "counters 1\n".to_owned());
        let (mut out, mut pieces) = (Out::new(gzip), Vec::new());
        while exposition.write_next(&mut out).unwrap() {
            pieces.extend(out.take());
        }
        pieces.extend(out.take());
        pieces
    }
}
