//! Documents that are a long list and little else, read element by element as they arrive: a page of
//! five hundred pods or the summary of a kubelet is megabytes, of which one element at a time is
//! held, and what does not begin as such a document ends with its first byte.

use serde::de::DeserializeOwned;

use crate::room::{self, NoRoom, Share};
use crate::say::Say;

/// The largest element, and the most that may stand around the list. An object has 1.5 MiB in etcd.
pub(super) const LARGEST: usize = 2 << 20;
/// The longest of usual answers: several times a page of five hundred large objects. It is never held, but takes time
/// to read.
pub(in crate::collectors::kubernetes) const LONGEST: usize = 64 << 20;

/// Why a document could not be read. Holds no word of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::collectors::kubernetes) enum Unread {
    /// It is not what was expected.
    #[error("the answer is not what it should be")]
    Malformed,
    /// A part of it is larger than it may be.
    #[error("a part of the answer is larger than {} MiB", LARGEST >> 20)]
    TooLarge,
    /// It goes on and on.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLong(usize),
    /// Too many are read at once.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

impl Say for Unread {}

/// Takes a JSON object apart: the elements of one of its arrays, and the rest, in which that array is
/// empty. It knows just enough of JSON for that; the parts are then parsed, and what is no JSON fails.
pub(in crate::collectors::kubernetes) struct Elements {
    array: &'static str,
    rest: Vec<u8>,
    element: Vec<u8>,
    share: Share,
    longest: usize,
    read: usize,
    depth: usize,
    /// In a string, and whether the next byte is escaped.
    string: Option<bool>,
    /// Where the last string of the outermost object begins and ends in the rest, without its quotes.
    last: (usize, usize),
    /// Whether that string is the name of the array, and its value comes next.
    named: bool,
    inside: bool,
    /// Whether an element stood before.
    any: bool,
}

impl Elements {
    /// Reads the elements of the array with this name.
    pub(in crate::collectors::kubernetes) fn of(array: &'static str) -> Self {
        let share = room::ANSWERS.share();
        Self {
            array,
            rest: Vec::new(),
            element: Vec::new(),
            share,
            longest: LONGEST,
            read: 0,
            depth: 0,
            string: None,
            last: (0, 0),
            named: false,
            inside: false,
            any: false,
        }
    }

    /// The same, of an answer that may have so many bytes.
    pub(in crate::collectors::kubernetes) fn up_to(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// Takes in what has arrived, and hands over each element that is complete.
    pub(in crate::collectors::kubernetes) fn feed<T: DeserializeOwned>(&mut self, bytes: &[u8], each: &mut impl FnMut(T)) -> Result<(), Unread> {
        self.read = self.read.saturating_add(bytes.len());
        if self.read > self.longest {
            return Err(Unread::TooLong(self.longest));
        }
        let mut left = bytes;
        while let Some(first) = left.first() {
            let skimmed = self.skim(left);
            let (taken, next) = left.split_at(skimmed.max(1));
            if skimmed > 0 {
                self.part().extend_from_slice(taken);
            } else {
                self.take(*first, each)?;
            }
            left = next;
        }
        if self.rest.len().max(self.element.len()) > LARGEST {
            return Err(Unread::TooLarge);
        }
        Ok(self.share.hold(self.rest.len() + self.element.len())?)
    }

    /// What stood around the elements, once all has arrived.
    pub(in crate::collectors::kubernetes) fn rest<R: DeserializeOwned>(&self) -> Result<R, Unread> {
        serde_json::from_slice(&self.rest).map_err(|_| Unread::Malformed)
    }

    /// Passes over the next bytes as far as no element and no value of the outermost object ends with them, and says
    /// how many they are: nearly all.
    fn skim(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match (self.string, byte) {
                (None, _) if self.depth < 2 => return at,
                (Some(true), _) | (None, b'"') => self.string = Some(false),
                (Some(_), _) => {
                    let Some(plain) = memchr::memchr2(b'"', b'\\', &bytes[at..]) else { return bytes.len() };
                    at += plain;
                    match (bytes[at], self.depth) {
                        (b'\\', _) => self.string = Some(true),
                        (_, 1) => return at,
                        _ => self.string = None,
                    }
                }
                (None, b'{' | b'[') => self.depth += 1,
                (None, b'}' | b']') if self.depth > 2 => self.depth -= 1,
                (None, b'}' | b']') => return at,
                (None, b',') if self.depth == 2 && self.inside => return at,
                (None, _) => {}
            }
            at += 1;
        }
        at
    }

    /// Takes in a byte over which is not passed.
    fn take<T: DeserializeOwned>(&mut self, byte: u8, each: &mut impl FnMut(T)) -> Result<(), Unread> {
        if self.string.take().is_some() {
            self.last.1 = self.rest.len();
            self.rest.push(byte);
            return Ok(());
        }
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match (byte, self.depth) {
            (_, 0) if blank => return Ok(()),
            (b'{', 0) if self.rest.is_empty() => self.depth = 1,
            (_, 0) => return Err(Unread::Malformed),
            (b'"', _) => (self.string, self.last.0) = (Some(false), self.rest.len() + 1),
            (b'[', 1) if self.named => {
                self.rest.push(byte);
                (self.depth, self.inside, self.named) = (2, true, false);
                return Ok(());
            }
            (b',' | b']', 2) if self.inside => {
                let ends = byte == b']';
                // Of an empty list nothing but blanks stands before its end.
                if !ends || self.any || !self.element.iter().all(u8::is_ascii_whitespace) {
                    each(serde_json::from_slice(&self.element).map_err(|_| Unread::Malformed)?);
                }
                self.element.clear();
                self.any = !ends;
                if !ends {
                    return Ok(());
                }
                (self.depth, self.inside) = (1, false);
            }
            (b'}', 2) if self.inside => return Err(Unread::Malformed),
            (b'{' | b'[', _) => self.depth += 1,
            (b'}' | b']', _) => self.depth -= 1,
            (b':', 1) => self.named = self.rest.get(self.last.0..self.last.1) == Some(self.array.as_bytes()),
            (_, 1) if !blank => self.named = false,
            _ => {}
        }
        self.part().push(byte);
        Ok(())
    }

    fn part(&mut self) -> &mut Vec<u8> {
        if self.inside { &mut self.element } else { &mut self.rest }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The elements and the rest, fed in pieces of a size.
    fn apart(text: &str, size: usize) -> Result<(Vec<Value>, Value), Unread> {
        let (mut elements, mut found) = (Elements::of("items"), Vec::new());
        for piece in text.as_bytes().chunks(size.max(1)) {
            elements.feed(piece, &mut |value| found.push(value))?;
        }
        Ok((found, elements.rest()?))
    }

    #[test]
    fn a_document_is_its_elements_and_the_rest_however_it_arrives() {
        for (text, elements, rest) in [
            (r#"{"items":[]}"#, json!([]), json!({ "items": [] })),
            (
                "{ \"kind\" : \"L\\\"]\" , \"items\" : [ 1 , \"a,]\\\\\" , null ] , \"z\" : [ 1 ] } \n",
                json!([1, "a,]\\", null]),
                json!({ "kind": "L\"]", "items": [], "z": [1] }),
            ),
            (
                r#"{"metadata":{"items":[7],"resourceVersion":"5"},"items":[{"a":[1,{"items":[2]}]},{"b":"}]"}],"more":{"x":"items"}}"#,
                json!([{ "a": [1, { "items": [2] }] }, { "b": "}]" }]),
                json!({ "metadata": { "items": [7], "resourceVersion": "5" }, "items": [], "more": { "x": "items" } }),
            ),
            (r#"{"items":null}"#, json!([]), json!({ "items": null })),
            (r#"{"a":"items","b":[3]}"#, json!([]), json!({ "a": "items", "b": [3] })),
            (r#"{"items":"x","b":[3]}"#, json!([]), json!({ "items": "x", "b": [3] })),
        ] {
            for size in [1, 2, 3, 7, text.len()] {
                assert_eq!(apart(text, size), Ok((elements.as_array().unwrap().clone(), rest.clone())), "{text} by {size}");
            }
        }
        for text in [
            "",
            "0",
            "\0\0",
            "[1]",
            "x{}",
            "{",
            "}",
            "]",
            r#"{"items":[1"#,
            r#"{"items":[1,]}"#,
            r#"{"items":[,1]}"#,
            r#"{"items":[{]}"#,
            r#"{"items":[1]}}"#,
            "{} x",
        ] {
            assert_eq!(apart(text, 1), Err(Unread::Malformed), "{text}");
        }
    }

    #[test]
    fn no_part_is_larger_than_it_may_be_and_the_whole_may_be() {
        let text = "x".repeat(1 << 20);
        let many = format!("{{\"items\":[{}]}}", vec![format!("\"{text}\""); 9].join(","));
        assert_eq!(apart(&many, 8192).unwrap().0.len(), 9);
        let large = format!("\"{}", text.repeat(3));
        for text in [format!("{{\"items\":[{large}"), format!("{{\"a\":{large}")] {
            assert_eq!(apart(&text, 8192), Err(Unread::TooLarge));
        }
    }

    /// Whatever arrives: what is read is what a parser of the whole reads.
    #[test]
    fn fuzz_elements() {
        let seeds: [&[u8]; 2] = [br#"{"kind":"L","items":[{"a":[1,"x\"]"]},2],"metadata":{"items":[3]}}"#, br#"{"items":[],"items":[1]}"#];
        crate::fuzz::survive(&seeds, |bytes| {
            let (mut elements, mut found) = (Elements::of("items"), Vec::new());
            let fed = elements.feed(bytes, &mut |value: Value| found.push(value));
            let whole: Result<Value, _> = serde_json::from_slice(bytes);
            let named = bytes.windows(7).filter(|part| part == b"\"items\"").count();
            match (fed.and_then(|()| elements.rest::<Value>()), whole) {
                (Ok(mut rest), Ok(whole)) if named < 2 => {
                    if rest["items"] == json!([]) {
                        rest["items"] = found.into();
                    }
                    assert_eq!(rest, whole);
                }
                (Err(_), Ok(whole)) => assert!(!whole.is_object(), "{whole}"),
                (Ok(_), Err(error)) => panic!("{error}"),
                _ => {}
            }
        });
    }
}
