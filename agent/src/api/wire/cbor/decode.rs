//! Reads one CBOR value into any type that serde can read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use super::{major, simple};

/// How deep arrays, maps and tags may be nested; the limit of `serde_json` for JSON.
const DEPTH_LIMIT: usize = 128;

/// The byte that ends an array, map or text of indefinite length.
const BREAK: u8 = 0xff;

/// Why bytes are not the CBOR of what is wanted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(in crate::api) enum CborError {
    /// The input ends inside a value.
    #[error("the value ends too early")]
    Truncated,
    /// A byte that cannot stand where it stands.
    #[error("unexpected byte {byte:#04x} at {offset}")]
    Unexpected {
        /// Which byte.
        byte: u8,
        /// Where, from the start of the input.
        offset: usize,
    },
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// An integer below the smallest that can be held.
    #[error("an integer is out of range")]
    Range,
    /// Nested deeper than [`DEPTH_LIMIT`].
    #[error("the value is nested too deep")]
    TooDeep,
    /// Something follows the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// The value is not what the type wants.
    #[error("{0}")]
    Type(String),
}

impl de::Error for CborError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Type(message.to_string())
    }
}

/// Reads the one value that `bytes` are.
pub(in crate::api) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CborError> {
    let mut decoder = Decoder {
        bytes,
        at: 0,
        depth: 0,
    };
    let value = T::deserialize(&mut decoder)?;
    match bytes.len() - decoder.at {
        0 => Ok(value),
        rest => Err(CborError::Trailing(rest)),
    }
}

struct Decoder<'de> {
    bytes: &'de [u8],
    /// Where the next byte is read.
    at: usize,
    depth: usize,
}

/// What stands before a value.
struct Head {
    major: u8,
    /// The number of the head; `None` for an indefinite length.
    argument: Option<u64>,
    /// The low five bits of the first byte.
    additional: u8,
}

impl<'de> Decoder<'de> {
    fn peek(&self) -> Result<u8, CborError> {
        self.bytes.get(self.at).copied().ok_or(CborError::Truncated)
    }

    fn take(&mut self, count: u64) -> Result<&'de [u8], CborError> {
        let count = usize::try_from(count).map_err(|_| CborError::Truncated)?;
        let end = self.at.checked_add(count).ok_or(CborError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(CborError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, CborError> {
        let offset = self.at;
        let first = self.peek()?;
        self.at += 1;
        let (major, additional) = (first >> 5, first & 0x1f);
        let argument = match additional {
            0..=23 => Some(u64::from(additional)),
            24..=27 => {
                let bytes = self.take(1 << (additional - 24))?;
                Some(
                    bytes
                        .iter()
                        .fold(0, |number, byte| number << 8 | u64::from(*byte)),
                )
            }
            31 if matches!(
                major,
                major::BYTES | major::TEXT | major::ARRAY | major::MAP
            ) =>
            {
                None
            }
            _ => return Err(unexpected(first, offset)),
        };
        Ok(Head {
            major,
            argument,
            additional,
        })
    }

    /// Whether the innermost container of this length ends here; takes its end along.
    fn ends(&mut self, left: &mut Option<u64>) -> Result<bool, CborError> {
        match left {
            Some(0) => Ok(true),
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
            None if self.peek()? == BREAK => {
                self.at += 1;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The content of a byte or text string whose head was read.
    fn string(&mut self, major: u8, length: Option<u64>) -> Result<Cow<'de, [u8]>, CborError> {
        if let Some(length) = length {
            return self.take(length).map(Cow::Borrowed);
        }
        let mut whole = Vec::new();
        while !self.ends(&mut None)? {
            let (offset, first) = (self.at, self.peek()?);
            let piece = self.head()?;
            // Pieces are definite strings of the same type, each of whole characters.
            let length = piece.argument.filter(|_| piece.major == major);
            let length = length.ok_or_else(|| unexpected(first, offset))?;
            let bytes = self.take(length)?;
            if major == major::TEXT {
                std::str::from_utf8(bytes).map_err(|_| CborError::NotUtf8)?;
            }
            whole.extend_from_slice(bytes);
        }
        Ok(Cow::Owned(whole))
    }

    fn text(&mut self, length: Option<u64>) -> Result<Cow<'de, str>, CborError> {
        match self.string(major::TEXT, length)? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|_| CborError::NotUtf8),
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .map(Cow::Owned)
                .map_err(|_| CborError::NotUtf8),
        }
    }

    /// Reads what is one level deeper.
    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, CborError>,
    ) -> Result<T, CborError> {
        if self.depth == DEPTH_LIMIT {
            return Err(CborError::TooDeep);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// A number, a yes or no, or nothing (RFC 8949, 3.3).
    fn simple<V: Visitor<'de>>(
        &mut self,
        head: &Head,
        offset: usize,
        visitor: V,
    ) -> Result<V::Value, CborError> {
        let bits = head.argument.unwrap_or_default();
        match head.additional {
            simple::FALSE => visitor.visit_bool(false),
            simple::TRUE => visitor.visit_bool(true),
            simple::NULL | simple::UNDEFINED => visitor.visit_unit(),
            simple::HALF => visitor.visit_f64(half(bits)),
            simple::FLOAT => visitor.visit_f64(f64::from(f32::from_bits(low(bits)))),
            simple::DOUBLE => visitor.visit_f64(f64::from_bits(bits)),
            _ => Err(unexpected(self.bytes[offset], offset)),
        }
    }
}

fn unexpected(byte: u8, offset: usize) -> CborError {
    CborError::Unexpected { byte, offset }
}

/// The low half of a head's number, which has no more bits than that where this is called.
fn low(bits: u64) -> u32 {
    u32::try_from(bits).unwrap_or_default()
}

/// An IEEE 754 number of 16 bits.
fn half(bits: u64) -> f64 {
    let bits = low(bits);
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 0x1f, f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2_f64.powi(exponent.cast_signed() - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = CborError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        let offset = self.at;
        let head = self.head()?;
        let number = head.argument.unwrap_or_default();
        match head.major {
            major::UNSIGNED => visitor.visit_u64(number),
            major::NEGATIVE => {
                let number = i64::try_from(number).map_err(|_| CborError::Range)?;
                visitor.visit_i64(-1 - number)
            }
            major::BYTES => match self.string(major::BYTES, head.argument)? {
                Cow::Borrowed(bytes) => visitor.visit_borrowed_bytes(bytes),
                Cow::Owned(bytes) => visitor.visit_byte_buf(bytes),
            },
            major::TEXT => match self.text(head.argument)? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            major::ARRAY => self.deeper(|decoder| {
                let mut items = Items {
                    decoder,
                    left: head.argument,
                };
                let value = visitor.visit_seq(&mut items)?;
                items.expect_end().map(|()| value)
            }),
            major::MAP => self.deeper(|decoder| {
                let mut items = Items {
                    decoder,
                    left: head.argument,
                };
                let value = visitor.visit_map(&mut items)?;
                items.expect_end().map(|()| value)
            }),
            // A tag says what a value stands for; what is wanted here tells the type.
            major::TAG => self.deeper(|decoder| decoder.deserialize_any(visitor)),
            _ => self.simple(&head, offset, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        const NULL: u8 = major::SIMPLE << 5 | simple::NULL;
        const UNDEFINED: u8 = major::SIMPLE << 5 | simple::UNDEFINED;
        if matches!(self.peek()?, NULL | UNDEFINED) {
            self.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CborError> {
        visitor.visit_newtype_struct(self)
    }

    /// Enums of the API are texts.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CborError> {
        let (offset, first) = (self.at, self.peek()?);
        let head = self.head()?;
        if head.major != major::TEXT {
            return Err(unexpected(first, offset));
        }
        let text = self.text(head.argument)?;
        visitor.visit_enum(text.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The items of an array, or the entries of a map.
struct Items<'decoder, 'de> {
    decoder: &'decoder mut Decoder<'de>,
    /// How many come; `None` up to the break.
    left: Option<u64>,
}

impl Items<'_, '_> {
    /// A reader of fewer items than there are has not read a value of its type.
    fn expect_end(mut self) -> Result<(), CborError> {
        if self.decoder.ends(&mut self.left)? {
            Ok(())
        } else {
            Err(CborError::Type("there are too many items".to_owned()))
        }
    }

    /// Each item takes a byte at least, so that a length cannot promise more than there are.
    fn hint(&self) -> Option<usize> {
        let rest = self.decoder.bytes.len() - self.decoder.at;
        self.left
            .map(|left| usize::try_from(left).unwrap_or(rest).min(rest))
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = CborError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, CborError> {
        if self.decoder.ends(&mut self.left)? {
            self.left = Some(0);
            return Ok(None);
        }
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = CborError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, CborError> {
        if self.decoder.ends(&mut self.left)? {
            self.left = Some(0);
            return Ok(None);
        }
        seed.deserialize(&mut *self.decoder).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, CborError> {
        seed.deserialize(&mut *self.decoder)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}
