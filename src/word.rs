//! What may be shown of words that somebody else chose.
//!
//! Reasons, phases and codes in answers of servers and in objects are names by their own
//! documentation and free text by their type: a controller, a webhook or whoever may write an object
//! can put a secret or a page of HTML there. What looks like a name is one; anything else reaches no
//! page, report, metric, log or label.

use std::fmt;

use crate::say::Say;

/// A name: letters and digits, 64 at most, as `CrashLoopBackOff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word<'a>(&'a str);

impl<'a> Word<'a> {
    /// The text, if it is a name.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let is_name = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_name.then_some(Self(text))
    }

    /// The text, if it is a name with what joins its parts: a version, the type of a condition or of
    /// a medium, the reference of an image, a host.
    pub(crate) fn joined(text: &'a str) -> Option<Self> {
        let joint = |byte: u8| matches!(byte, b'.' | b'-' | b'_' | b'/' | b'+' | b':' | b'@');
        let is_name = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || joint(byte));
        is_name.then_some(Self(text))
    }

    /// The name.
    pub(crate) fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Say for Word<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_and_a_sentence_is_not() {
        for name in ["Forbidden", "v1", &"a".repeat(64)] {
            assert_eq!(Word::of(name).map(Word::as_str), Some(name));
        }
        for name in ["v1.33.4+k3s1", "v1.31.2-eks-7f9249a", "node.example.com/Ready", "ghcr.io/a/b:1@sha256:00", "application/vnd.oci.image.index.v1+json"] {
            assert_eq!((Word::of(name), Word::joined(name).map(Word::as_str)), (None, Some(name)));
        }
        for text in ["", "no such thing", "<html>", "password=hunter2", "a\nb", "ü", &"a".repeat(257)] {
            assert_eq!((Word::of(text), Word::joined(text)), (None, None), "{text}");
        }
    }
}
