//! What stands in the register.

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// Values up to this length, in bytes, are held in place: they are copied, sent and taken in
/// without a block of memory of their own.
const SHORT: usize = 22;

/// The bytes of a value. Its clones share the memory of a long one.
#[derive(Clone)]
pub struct Value(Held);

#[derive(Clone)]
enum Held {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Arc<[u8]>),
}

impl Default for Value {
    /// The value of no bytes.
    fn default() -> Value {
        Value(Held::Short { length: 0, bytes: [0; SHORT] })
    }
}

impl Deref for Value {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Short { length, bytes } => &bytes[..usize::from(*length)],
            Held::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Value {
    #[inline]
    fn from(from: &[u8]) -> Value {
        if from.len() > SHORT {
            return Value(Held::Long(from.into()));
        }
        let mut bytes = [0; SHORT];
        bytes[..from.len()].copy_from_slice(from);
        Value(Held::Short { length: from.len() as u8, bytes })
    }
}

impl From<Vec<u8>> for Value {
    fn from(from: Vec<u8>) -> Value {
        Value::from(from.as_slice())
    }
}

impl<const LENGTH: usize> From<[u8; LENGTH]> for Value {
    #[inline]
    fn from(from: [u8; LENGTH]) -> Value {
        Value::from(from.as_slice())
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_bytes(Taker)
    }
}

struct Taker;

impl<'de> Visitor<'de> for Taker {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        Ok(Value::from(bytes))
    }

    /// Some formats have no bytes, only sequences of numbers.
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = sequence.next_element()? {
            bytes.push(byte);
        }
        Ok(Value::from(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_bytes::ByteBuf;

    #[test]
    fn a_value_of_any_length_is_encoded_as_bytes_are() {
        for length in 0..3 * SHORT {
            let bytes: Vec<u8> = (0..length as u8).collect();
            let value = Value::from(bytes.clone());
            assert_eq!(*value, *bytes);
            assert_eq!(format!("{value:?}"), format!("{bytes:?}"));
            let encoded = postcard::to_stdvec(&value).unwrap();
            assert_eq!(encoded, postcard::to_stdvec(&ByteBuf::from(bytes)).unwrap());
            assert_eq!(postcard::from_bytes::<Value>(&encoded).unwrap(), value);
        }
    }

    #[test]
    fn values_are_equal_if_their_bytes_are() {
        let values = [&[][..], &[0], &[0, 0], &[1; SHORT], &[1; SHORT + 1]];
        for (at, one) in values.iter().enumerate() {
            for (other_at, other) in values.iter().enumerate() {
                assert_eq!(Value::from(*one) == Value::from(*other), at == other_at);
            }
        }
    }
}
