//! Objects as an API server writes them in protobuf, read into the same slim types as their JSON.
//!
//! A server spends less than half as much on a list in protobuf as on the same in JSON, and a list of pods is the
//! largest answer that it is asked for. The messages are tables ([`messages`]) and not types of their own, so that
//! what is read of an object stands once: in its slim type.
//! Source: <https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding>

pub(in crate::collectors::kubernetes) mod messages;
mod values;
mod wire;

use serde::de::DeserializeOwned;

pub(in crate::collectors::kubernetes) use wire::{Raw, Wire};

/// Bytes that are no such message. Holds no word of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not the message that they should be")]
pub(in crate::collectors::kubernetes) struct Odd;

impl serde::de::Error for Odd {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A message: those of its fields that are read. All others are passed over.
#[derive(Debug)]
pub(in crate::collectors::kubernetes) struct Message(&'static [Field]);

/// A field of a message.
#[derive(Debug)]
struct Field {
    number: u64,
    /// What it is called in JSON.
    name: &'static str,
    shape: Shape,
    many: bool,
    /// Whether JSON has it although it is empty. Protobuf has every field that is no pointer, and JSON leaves most of
    /// those out while they are empty.
    stays: bool,
}

/// What a field holds.
#[derive(Debug)]
enum Shape {
    Text,
    Whole,
    Flag,
    Message(&'static Message),
    /// A message whose fields JSON has beside those of the message around it.
    Inline(&'static Message),
    /// Names, each with a value of this shape.
    Map(&'static Self),
    /// A message with the text of a quantity.
    Quantity,
    /// A message with the seconds and nanoseconds of a moment, which JSON writes as a text.
    Time,
}

/// Reads a message.
pub(in crate::collectors::kubernetes) fn read<T: DeserializeOwned>(message: &'static Message, bytes: &[u8]) -> Result<T, Odd> {
    T::deserialize(values::Whole { message, bytes })
}

#[cfg(test)]
impl Message {
    /// A message in which every field stands once.
    pub(in crate::collectors::kubernetes) fn sample(&self) -> Vec<u8> {
        self.0.iter().flat_map(|field| written(field.number, &field.shape)).collect()
    }
}

#[cfg(test)]
fn written(number: u64, shape: &Shape) -> Vec<u8> {
    let bytes = |inner: Vec<u8>| [varint(number << 3 | 2), varint(inner.len() as u64), inner].concat();
    match shape {
        Shape::Text => bytes(b"1".to_vec()),
        Shape::Whole | Shape::Flag => [varint(number << 3), vec![1]].concat(),
        Shape::Message(own) | Shape::Inline(own) => bytes(own.sample()),
        Shape::Map(own) => bytes([written(1, &Shape::Text), written(2, own)].concat()),
        Shape::Quantity => bytes(written(1, &Shape::Text)),
        Shape::Time => bytes([written(1, &Shape::Whole), written(2, &Shape::Whole)].concat()),
    }
}

#[cfg(test)]
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(u8::try_from(number & 0x7f | 0x80).unwrap());
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}
