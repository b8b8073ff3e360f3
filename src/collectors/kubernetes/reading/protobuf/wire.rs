//! The wire format: numbered fields, of which each is a number or a run of bytes.
//! Source: <https://protobuf.dev/programming-guides/encoding/>

use super::Odd;

/// What stands in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::collectors::kubernetes) enum Raw<'a> {
    /// Of a field that holds a number or a flag.
    Number(u64),
    /// Of all others.
    Bytes(&'a [u8]),
}

impl<'a> Raw<'a> {
    pub(in crate::collectors::kubernetes) fn bytes(self) -> Result<&'a [u8], Odd> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(Odd),
        }
    }

    pub(super) fn number(self) -> Result<u64, Odd> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) => Err(Odd),
        }
    }
}

/// The fields of a message, in the order in which they were written.
#[derive(Debug, Clone)]
pub(in crate::collectors::kubernetes) struct Wire<'a>(pub(in crate::collectors::kubernetes) &'a [u8]);

impl<'a> Iterator for Wire<'a> {
    type Item = Result<(u64, Raw<'a>), Odd>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

impl<'a> Wire<'a> {
    /// The number of the field that bytes begin with, how many of them say so, and how many of its own follow;
    /// `None` while those that say so are not all there.
    pub(in crate::collectors::kubernetes) fn begun(bytes: &[u8]) -> Result<Option<(u64, usize, usize)>, Odd> {
        let Some((tag, head)) = varint(bytes)? else { return Ok(None) };
        let behind = bytes.get(head..).unwrap_or_default();
        let (head, length) = match tag & 7 {
            1 => (head, 8),
            5 => (head, 4),
            0 | 2 => {
                let Some((value, more)) = varint(behind)? else { return Ok(None) };
                let length = if tag & 7 == 2 { usize::try_from(value).map_err(|_| Odd)? } else { 0 };
                (head + more, length)
            }
            _ => return Err(Odd),
        };
        Ok(Some((tag >> 3, head, length)))
    }

    fn field(&mut self) -> Result<(u64, Raw<'a>), Odd> {
        let tag = self.varint()?;
        let raw = match tag & 7 {
            0 => Raw::Number(self.varint()?),
            1 => Raw::Bytes(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Raw::Bytes(self.take(usize::try_from(length).map_err(|_| Odd)?)?)
            }
            5 => Raw::Bytes(self.take(4)?),
            _ => return Err(Odd),
        };
        Ok((tag >> 3, raw))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Odd> {
        let (taken, left) = self.0.split_at_checked(length).ok_or(Odd)?;
        self.0 = left;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Odd> {
        let (number, length) = varint(self.0)?.ok_or(Odd)?;
        self.take(length)?;
        Ok(number)
    }
}

/// The number that bytes begin with, and how many of them it takes; `None` while it goes on behind their end.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Odd> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((number, at + 1)));
        }
    }
    if bytes.len() < 10 { Ok(None) } else { Err(Odd) }
}
