//! Messages as serde reads values: as if they were the JSON of the same object.

use jiff::Timestamp;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Field, Message, Odd, Raw, Shape, Wire};

/// A whole message.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) message: &'static Message,
    pub(super) bytes: &'a [u8],
}

impl<'de> Deserializer<'de> for Whole<'de> {
    type Error = Odd;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        let mut found = Vec::new();
        self.message.find(self.bytes, &mut found)?;
        visitor.visit_map(Fields { found: &found })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, name: &'static str, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Odd> {
        // What a table lacks would be missing from every object without a word.
        debug_assert!(fields.iter().all(|field| self.message.has(field)), "a field of {name} is in no table: {fields:?}");
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier
    }
}

impl Message {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|field| match field.shape {
            Shape::Inline(own) => own.has(name),
            _ => field.name == name,
        })
    }

    /// The fields that JSON would have, in the order in which they were written.
    fn find<'a>(&self, bytes: &'a [u8], found: &mut Vec<(&'static Field, Raw<'a>)>) -> Result<(), Odd> {
        for field in Wire(bytes) {
            let (number, raw) = field?;
            match self.0.iter().find(|field| field.number == number) {
                Some(Field { shape: Shape::Inline(own), .. }) => own.find(raw.bytes()?, found)?,
                Some(field) if field.stays || field.many || !field.shape.is_empty(raw) => found.push((field, raw)),
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

impl Shape {
    /// Whether JSON leaves it out, unless it is behind a pointer.
    fn is_empty(&self, raw: Raw<'_>) -> bool {
        match (self, raw) {
            (Self::Text | Self::Time, Raw::Bytes(bytes)) => bytes.is_empty(),
            (Self::Whole | Self::Flag, Raw::Number(number)) => number == 0,
            _ => false,
        }
    }
}

/// The fields of a message that are left.
struct Fields<'f, 'de> {
    found: &'f [(&'static Field, Raw<'de>)],
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = Odd;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Odd> {
        let Some((field, _)) = self.found.first() else { return Ok(None) };
        seed.deserialize(name(field.name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Odd> {
        let (field, raw) = *self.found.first().ok_or(Odd)?;
        // Whoever writes a message writes all that a field holds at once. What comes later is found to be there twice.
        let run = self.found.iter().take_while(|(own, _)| std::ptr::eq(*own, field)).count();
        let (own, left) = self.found.split_at(run);
        self.found = left;
        match field.shape {
            Shape::Map(shape) => seed.deserialize(Many { own, of: Some(shape) }),
            _ if field.many => seed.deserialize(Many { own, of: None }),
            _ if run > 1 => Err(Odd),
            _ => seed.deserialize(One { shape: &field.shape, raw }),
        }
    }
}

fn name(name: &str) -> StrDeserializer<'_, Odd> {
    name.into_deserializer()
}

/// All that a field holds: a list, or a map with values of a shape.
struct Many<'f, 'de> {
    own: &'f [(&'static Field, Raw<'de>)],
    of: Option<&'static Shape>,
}

impl<'de> Deserializer<'de> for Many<'_, 'de> {
    type Error = Odd;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        match self.of {
            Some(shape) => visitor.visit_map(Entries { own: self.own, shape, value: None }),
            None => visitor.visit_seq(Items(self.own)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Items<'f, 'de>(&'f [(&'static Field, Raw<'de>)]);

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = Odd;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Odd> {
        let Some(((field, raw), left)) = self.0.split_first() else { return Ok(None) };
        self.0 = left;
        seed.deserialize(One { shape: &field.shape, raw: *raw }).map(Some)
    }
}

struct Entries<'f, 'de> {
    own: &'f [(&'static Field, Raw<'de>)],
    shape: &'static Shape,
    /// That of the last name.
    value: Option<Raw<'de>>,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = Odd;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Odd> {
        let Some(((_, raw), left)) = self.own.split_first() else { return Ok(None) };
        self.own = left;
        let mut key: &[u8] = &[];
        self.value = None;
        for part in Wire(raw.bytes()?) {
            match part? {
                (1, raw) => key = raw.bytes()?,
                (2, raw) => self.value = Some(raw),
                _ => {}
            }
        }
        seed.deserialize(name(&String::from_utf8_lossy(key))).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Odd> {
        seed.deserialize(One { shape: self.shape, raw: self.value.unwrap_or(Raw::Bytes(&[])) })
    }
}

/// What a field holds, where it holds one thing.
struct One<'de> {
    shape: &'static Shape,
    raw: Raw<'de>,
}

impl<'de> Deserializer<'de> for One<'de> {
    type Error = Odd;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        match self.shape {
            Shape::Text => text(self.raw.bytes()?, visitor),
            Shape::Quantity => text(inner(self.raw, 1)?.map_or(Ok(&[][..]), Raw::bytes)?, visitor),
            Shape::Whole => visitor.visit_i64(self.raw.number()?.cast_signed()),
            Shape::Flag => visitor.visit_bool(self.raw.number()? != 0),
            Shape::Time => visitor.visit_str(&moment(self.raw)?),
            Shape::Message(message) => Whole { message, bytes: self.raw.bytes()? }.deserialize_any(visitor),
            Shape::Inline(_) | Shape::Map(_) => Err(Odd),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, name: &'static str, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Odd> {
        match self.shape {
            Shape::Message(message) => Whole { message, bytes: self.raw.bytes()? }.deserialize_struct(name, fields, visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Odd> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier
    }
}

/// As a server writes JSON: what is no text is replaced.
fn text<'de, V: Visitor<'de>>(bytes: &'de [u8], visitor: V) -> Result<V::Value, Odd> {
    match std::str::from_utf8(bytes) {
        Ok(text) => visitor.visit_borrowed_str(text),
        Err(_) => visitor.visit_string(String::from_utf8_lossy(bytes).into_owned()),
    }
}

fn inner(raw: Raw<'_>, number: u64) -> Result<Option<Raw<'_>>, Odd> {
    let fields: Result<Vec<_>, Odd> = Wire(raw.bytes()?).collect();
    Ok(fields?.into_iter().rfind(|(own, _)| *own == number).map(|(_, raw)| raw))
}

/// As JSON has it; empty for a moment that JSON could not write either.
fn moment(raw: Raw<'_>) -> Result<String, Odd> {
    let part = |number| inner(raw, number)?.map_or(Ok(0), Raw::number).map(u64::cast_signed);
    let (seconds, nanoseconds) = (part(1)?, i32::try_from(part(2)?).map_err(|_| Odd)?);
    Ok(Timestamp::new(seconds, nanoseconds).map_or_else(|_| String::new(), |moment| moment.to_string()))
}
