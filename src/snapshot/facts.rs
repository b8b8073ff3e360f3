//! What one look brings home.

use std::io::{self, Write as _};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::gzip::{Chunk, Deflate};
use crate::metric::{Family, Sample, write_samples};

/// From so many samples on, facts keep what they are scraped as. With thousands of sources of a dozen facts each that would
/// be much memory, and gain milliseconds.
const KEPT: usize = 100;

/// So many samples are written before they are compressed: never is all of the text there at once.
const WRITTEN: usize = 500;

/// What is scraped of each family, compressed.
type Chunks = Box<[(&'static str, Chunk)]>;

/// Facts that were made together, grouped by family. What did not change is shared by one
/// observation after the other.
#[derive(Debug, Default)]
pub struct Facts {
    /// In order of their families' names.
    samples: Box<[Sample]>,
    /// The bits of all families that there are.
    bits: u64,
    /// As they are scraped; made by the first scrape if they are many. In a large cluster most facts are the same for hours,
    /// and writing and compressing them is nearly all of what a scrape costs. The text itself would be ten times as large.
    chunks: OnceLock<Option<Chunks>>,
}

impl From<Vec<Sample>> for Facts {
    fn from(mut samples: Vec<Sample>) -> Self {
        // Of a target one number after the other is told.
        for at in 1..samples.len() {
            let (told, rest) = samples.split_at_mut(at);
            if told[at - 1].labels == rest[0].labels {
                rest[0].labels = Arc::clone(&told[at - 1].labels);
            }
        }
        samples.sort_by_key(|sample| sample.family.name);
        let bits = samples.iter().fold(0, |bits, sample| bits | bit(sample.family.name));
        Self { samples: samples.into(), bits, chunks: OnceLock::new() }
    }
}

/// A bit for the name of a family, so that facts without it are told from most others without a look at their samples: a
/// judgement of thousands of small sources does that more often than anything else. Names begin alike and end differently.
fn bit(family: &str) -> u64 {
    let hash = family.bytes().rev().take(12).fold(family.len(), |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
    1 << (hash % 64)
}

impl Facts {
    /// The samples of one family.
    pub fn of(&self, family: &str) -> &[Sample] {
        if self.bits & bit(family) == 0 {
            return &[];
        }
        let start = self.samples.partition_point(|sample| sample.family.name < family);
        let from = &self.samples[start..];
        &from[..from.partition_point(|sample| sample.family.name == family)]
    }

    /// The samples of one family as they are scraped, compressed, where that is kept.
    pub fn chunk_of(&self, family: &str) -> Option<&Chunk> {
        if self.samples.len() < KEPT {
            return None;
        }
        // What cannot be compressed now is written as text by each scrape.
        let chunks = self.chunks.get_or_init(|| self.compressed().ok()).as_deref()?;
        chunks.binary_search_by_key(&family, |(name, _)| name).ok().map(|at| &chunks[at].1)
    }

    fn compressed(&self) -> io::Result<Chunks> {
        let (mut deflate, mut text) = (Deflate::default(), String::new());
        let families = self.families().map(|(family, samples)| {
            for samples in samples.chunks(WRITTEN) {
                text.clear();
                write_samples(&mut text, samples);
                deflate.write_all(text.as_bytes())?;
            }
            Ok((family.name, deflate.chunk()?))
        });
        families.collect()
    }

    /// Everything, in order of the families' names.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Families with their samples.
    pub fn families(&self) -> impl Iterator<Item = (&'static Family, &[Sample])> {
        self.samples.chunk_by(|a, b| a.family.name == b.family.name).map(|run| (run[0].family, run))
    }
}

/// What one look brought home.
#[derive(Debug)]
pub struct Observation {
    /// The moment that its facts are about: those about events name them as they are called then.
    pub at: Timestamp,
    /// The facts.
    pub facts: Vec<Arc<Facts>>,
    /// How many things were looked at; 0 means that a selector matched nothing.
    pub objects: usize,
    /// Requests made for this look.
    pub api_calls: u64,
    /// Whether a part is missing that another look a moment later may find.
    pub incomplete: bool,
}

impl Observation {
    /// The samples of one family.
    pub fn of<'a>(&'a self, family: &'a str) -> impl Iterator<Item = &'a Sample> + 'a {
        self.facts.iter().flat_map(move |facts| facts.of(family))
    }

    /// What is scraped of it, family by family.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.facts.iter().for_each(|facts| write_samples(&mut text, facts.samples()));
        text
    }

    /// An observation of this moment whose facts were all made anew.
    pub fn new(samples: Vec<Sample>, objects: usize, api_calls: u64) -> Self {
        Self { at: Timestamp::now(), facts: vec![Arc::new(samples.into())], objects, api_calls, incomplete: false }
    }
}
