//! Bytes as lower-case hexadecimal.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::descriptor::{from_hex, to_hex};

/// Bytes, or an array of them, that a file has as a string of lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hex<T>(pub T);

impl<T: AsRef<[u8]>> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to_hex(self.0.as_ref()).serialize(to)
    }
}

impl<'de, T: TryFrom<Vec<u8>>> Deserialize<'de> for Hex<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = from_hex(&String::deserialize(from)?);
        let value = bytes.and_then(|bytes| T::try_from(bytes).ok());
        value
            .map(Self)
            .ok_or_else(|| D::Error::custom("not lower-case hexadecimal, or of another length"))
    }
}
