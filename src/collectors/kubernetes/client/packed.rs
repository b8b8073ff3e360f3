//! A list in protobuf, read object by object as it arrives. The counterpart of [`super::stream`] for JSON.
//!
//! A mark of four bytes comes first, then a message that says of which kind the list is and holds it as bytes, and
//! in those the metadata of the list and its items.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding-idl>

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::collectors::kubernetes::client::stream::{LARGEST, Unread};
use crate::collectors::kubernetes::reading::protobuf::{self, Message, Odd, Raw, Wire};
use crate::room::{self, Share};

/// With what every answer in this encoding begins.
const MARK: &[u8] = b"k8s\0";
/// Beside items, nothing in a list is larger than a token to continue from.
const FIELD: u64 = 2;

/// Where in the answer the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    /// In the message around the list.
    Around,
    /// In the list, of which so many bytes are left.
    Within(usize),
}

/// Takes a list apart: its items, and what stands around them.
pub(in crate::collectors::kubernetes) struct Packed {
    message: &'static Message,
    /// What has arrived of a field that is not complete.
    begun: Vec<u8>,
    share: Share,
    longest: usize,
    read: usize,
    place: Place,
    /// Whether there was a list at all.
    any: bool,
    kind: String,
    version: Option<String>,
    token: Option<String>,
    remaining: Option<i64>,
}

impl Packed {
    /// Reads items of a message, from an answer that may have so many bytes.
    pub(in crate::collectors::kubernetes) fn of(message: &'static Message, longest: usize) -> Self {
        Self {
            message,
            begun: Vec::new(),
            share: room::ANSWERS.share(),
            longest,
            read: 0,
            place: Place::Start,
            any: false,
            kind: String::new(),
            version: None,
            token: None,
            remaining: None,
        }
    }

    /// Takes in what has arrived, and hands over each item that is complete.
    pub(in crate::collectors::kubernetes) fn feed<T: DeserializeOwned>(&mut self, bytes: &[u8], each: &mut impl FnMut(T)) -> Result<(), Unread> {
        self.read = self.read.saturating_add(bytes.len());
        if self.read > self.longest {
            return Err(Unread::TooLong(self.longest));
        }
        let mut begun = std::mem::take(&mut self.begun);
        begun.extend_from_slice(bytes);
        let mut left = begun.as_slice();
        while let Some(taken) = self.step(left, each)? {
            left = left.get(taken..).ok_or(Odd)?;
        }
        let done = begun.len() - left.len();
        begun.drain(..done);
        self.begun = begun;
        Ok(self.share.hold(self.begun.len())?)
    }

    /// Reads the next part, if it is complete; how many bytes it took.
    fn step<T: DeserializeOwned>(&mut self, bytes: &[u8], each: &mut impl FnMut(T)) -> Result<Option<usize>, Unread> {
        match self.place {
            Place::Start if bytes.len() < MARK.len() => Ok(if MARK.starts_with(bytes) { None } else { Err(Odd)? }),
            Place::Start => {
                self.place = if bytes.starts_with(MARK) { Place::Around } else { Err(Odd)? };
                Ok(Some(MARK.len()))
            }
            Place::Around => match Wire::begun(bytes)? {
                // Of the list, only how long it is must have arrived.
                Some((FIELD, head, length)) if !self.any => {
                    (self.place, self.any) = (Place::Within(length), true);
                    Ok(Some(head))
                }
                begun => self.whole(bytes, begun, Self::around),
            },
            Place::Within(0) => {
                self.place = Place::Around;
                Ok(Some(0))
            }
            Place::Within(left) => {
                let taken = self.whole(bytes, Wire::begun(bytes)?, |own, number, raw| own.within(number, raw, each))?;
                if let Some(taken) = taken {
                    self.place = Place::Within(left.checked_sub(taken).ok_or(Odd)?);
                }
                Ok(taken)
            }
        }
    }

    /// Reads a field that is complete.
    fn whole(
        &mut self,
        bytes: &[u8],
        begun: Option<(u64, usize, usize)>,
        read: impl FnOnce(&mut Self, u64, Raw<'_>) -> Result<(), Odd>,
    ) -> Result<Option<usize>, Unread> {
        let Some((_, head, length)) = begun else { return Ok(None) };
        if length > LARGEST {
            return Err(Unread::TooLarge);
        }
        let Some(own) = bytes.get(..head + length) else { return Ok(None) };
        let (number, raw) = Wire(own).next().ok_or(Odd)??;
        read(self, number, raw)?;
        Ok(Some(own.len()))
    }

    /// A field around the list. What is not written as it is, such as something compressed, has a field that says so.
    fn around(&mut self, number: u64, raw: Raw<'_>) -> Result<(), Odd> {
        match number {
            1 => {
                for field in Wire(raw.bytes()?) {
                    if let (2, kind) = field? {
                        self.kind = text(kind)?;
                    }
                }
                Ok(())
            }
            3 | 4 if raw == Raw::Bytes(&[]) => Ok(()),
            _ => Err(Odd),
        }
    }

    fn within<T: DeserializeOwned>(&mut self, number: u64, raw: Raw<'_>, each: &mut impl FnMut(T)) -> Result<(), Odd> {
        match number {
            1 => {
                for field in Wire(raw.bytes()?) {
                    match field? {
                        (2, version) => self.version = Some(text(version)?),
                        // JSON leaves it out while it is empty.
                        (3, token) => self.token = Some(text(token)?).filter(|token| !token.is_empty()),
                        (4, Raw::Number(left)) => self.remaining = Some(left.cast_signed()),
                        _ => {}
                    }
                }
            }
            2 => each(protobuf::read(self.message, raw.bytes()?)?),
            _ => {}
        }
        Ok(())
    }

    /// What stood around the items, as it would in JSON, once all has arrived.
    pub(in crate::collectors::kubernetes) fn rest<R: DeserializeOwned>(&self) -> Result<R, Unread> {
        if !self.any || !self.begun.is_empty() || !matches!(self.place, Place::Around | Place::Within(0)) {
            return Err(Unread::Malformed);
        }
        let metadata = json!({ "resourceVersion": self.version, "continue": self.token, "remainingItemCount": self.remaining });
        serde_json::from_value(json!({ "kind": self.kind, "metadata": metadata, "items": [] })).map_err(|_| Unread::Malformed)
    }
}

fn text(raw: Raw<'_>) -> Result<String, Odd> {
    raw.bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).map_err(|_| Odd))
}

impl From<Odd> for Unread {
    fn from(_: Odd) -> Self {
        Self::Malformed
    }
}
