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
        Self::made_of(text, 64, b"")
    }

    /// The text, if it is a name with what joins its parts: a version, the type of a condition or of
    /// a medium, the reference of an image, a host.
    pub(crate) fn joined(text: &'a str) -> Option<Self> {
        Self::made_of(text, 256, b".-_/+:@")
    }

    /// The text, if it is the name of a file.
    pub(crate) fn file(text: &'a str) -> Option<Self> {
        Self::made_of(text, 256, b".-_")
    }

    /// The text, if it is the name of a host as certificates have it.
    pub(crate) fn host(text: &'a str) -> Option<Self> {
        Self::made_of(text, 256, b".-_*")
    }

    /// The text, if it is what people call an item of a list.
    pub(crate) fn label(text: &'a str) -> Option<Self> {
        Self::made_of(text, 63, b".-_")
    }

    fn made_of(text: &'a str, most: usize, joints: &[u8]) -> Option<Self> {
        let is_name = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || joints.contains(&byte));
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
        assert!(Word::file("aws-iam-authenticator_0.7").is_some() && Word::host("*.lab-1.test").is_some());
        for text in ["plugin --password=x", "a/b", "a:b"] {
            assert_eq!((Word::file(text), Word::host(text)), (None, None), "{text}");
        }
        for text in ["", "no such thing", "<html>", "password=hunter2", "a\nb", "ü", &"a".repeat(257)] {
            assert_eq!((Word::of(text), Word::joined(text)), (None, None), "{text}");
        }
    }
}
