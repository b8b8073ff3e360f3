//! What one look brings home.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::metric::{Family, Sample, write_samples};

/// From so many samples on, facts keep the text that they are scraped as. With thousands of sources
/// of a dozen facts each the texts would be a third of all memory, and gain milliseconds.
const KEPT: usize = 100;

/// Where the text of each family ends.
type Ends = Box<[(&'static str, usize)]>;

/// Facts that were made together, grouped by family. What did not change is shared by one
/// observation after the other.
#[derive(Debug, Default)]
pub struct Facts {
    /// In order of their families' names.
    samples: Box<[Sample]>,
    /// The bits of all families that there are.
    bits: u64,
    /// As they are scraped, and where each family ends; made by the first scrape if they are many. In
    /// a large cluster most facts are the same for hours, and writing them is half of what a scrape costs.
    text: OnceLock<(String, Ends)>,
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
        Self { samples: samples.into(), bits, text: OnceLock::new() }
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

    /// The samples of one family as they are scraped, where that text is kept.
    pub fn text_of(&self, family: &str) -> Option<&str> {
        if self.samples.len() < KEPT {
            return None;
        }
        let (text, ends) = self.text.get_or_init(|| {
            let mut text = String::with_capacity(self.samples.len() * 128);
            let ends = self.families().map(|(family, samples)| {
                write_samples(&mut text, samples);
                (family.name, text.len())
            });
            let ends = ends.collect();
            text.shrink_to_fit();
            (text, ends)
        });
        let Ok(at) = ends.binary_search_by_key(&family, |(name, _)| name) else { return Some("") };
        let start = if at == 0 { 0 } else { ends[at - 1].1 };
        Some(&text[start..ends[at].1])
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
