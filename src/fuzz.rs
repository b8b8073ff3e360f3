//! Fuzzing of what reads foreign bytes: seeds are broken in random ways, and whatever reads them
//! must answer without a panic and in bounded time. Tests only.
//!
//! Each target runs `PROPTEST_CASES` times, 256 unless told otherwise; `make fuzz` runs them longer.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// One way to break a text.
#[derive(Debug, Clone)]
enum Edit {
    Flip(usize, u8),
    Cut(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = || any::<usize>();
    // What parsers stumble over: ends of numbers, signs, brackets, separators.
    let words = prop::sample::select(vec![
        "",
        "0",
        "-1",
        "9223372036854775808",
        "1e999",
        "NaN",
        "null",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\\",
        "\n",
        "\0",
        "=",
        ":",
        "/",
        "@",
        ".",
        "..",
        "%",
        "é",
        "\u{feff}",
    ]);
    let edit = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Flip(at, byte)),
        (at(), 0..64_usize).prop_map(|(at, length)| Edit::Cut(at, length)),
        (at(), words).prop_map(|(at, word)| Edit::Insert(at, word.as_bytes().to_vec())),
        (at(), vec(any::<u8>(), 0..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at(), 0..64_usize).prop_map(|(at, length)| Edit::Repeat(at, length)),
    ];
    vec(edit, 0..6)
}

fn broken(seed: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for edit in edits {
        let place = |at: usize| if bytes.is_empty() { 0 } else { at % bytes.len() };
        match edit {
            Edit::Flip(at, byte) => {
                let at = place(*at);
                bytes.get_mut(at).into_iter().for_each(|own| *own ^= byte);
            }
            Edit::Cut(at, length) => {
                let at = place(*at);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Edit::Insert(at, more) => {
                let at = place(*at);
                bytes.splice(at..at, more.iter().copied());
            }
            Edit::Repeat(at, length) => {
                let at = place(*at);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// Feeds broken seeds to a reader.
pub(crate) fn survive<T>(seeds: &[&[u8]], read: impl Fn(&[u8]) -> T) {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).chain([Vec::new()]).collect();
    // Without a file of past failures: a failure prints its bytes, which then become a seed.
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(prop::sample::select(seeds), edits()), |(seed, edits)| {
        std::hint::black_box(read(&broken(&seed, &edits)));
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}

/// The same for a reader of text.
pub(crate) fn survive_text<T>(seeds: &[&str], read: impl Fn(&str) -> T) {
    let seeds: Vec<&[u8]> = seeds.iter().map(|seed| seed.as_bytes()).collect();
    survive(&seeds, |bytes| read(&String::from_utf8_lossy(bytes)));
}

/// Whether twenty times as much takes far less than the four hundred times that a look at everything
/// for each would.
pub(crate) fn grows_evenly(work: impl Fn(usize)) {
    let quickest = |count: usize, rounds: usize| {
        let time = || {
            let started = worked();
            work(count);
            worked().saturating_sub(started)
        };
        (0..rounds).map(|_| time()).min().unwrap_or_default()
    };
    let (few, many) = (quickest(1_000, 9), quickest(20_000, 3));
    assert!(many < few * 100, "{few:?} and {many:?}");
}

/// How long this thread has worked: on a busy machine most of a long time is spent waiting.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[test]
fn a_reader_that_panics_is_caught() {
    let caught = std::panic::catch_unwind(|| survive_text(&["abc"], |text| assert!(text.len() < 4)));
    assert!(caught.is_err());
}
