//! The TLS presentation language as the draft uses it (section "Presentation Language").
//!
//! Two departures from RFC 8446 matter: vector bounds count *elements*, not bytes (section
//! "Variable-Length Vectors"), and `optional<T>` is a presence octet that must be 0 or 1.
//! Decoding is strict: every bound is checked and no byte may be left over.

use thiserror::Error;

/// Why bytes are not an encoding of the expected structure. Nothing was consumed or changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The input ends inside the named field.
    #[error("input ends inside {0}")]
    UnexpectedEnd(&'static str),
    /// The structure is complete and this many bytes follow it.
    #[error("{0} bytes follow the end of the structure")]
    TrailingBytes(usize),
    /// An `optional` presence octet other than 0 or 1 (section "Optional Values").
    #[error("presence octet is {0}, expected 0 or 1")]
    Presence(u8),
    /// A value outside the named enumeration.
    #[error("{value} is not a {what} that this structure may hold")]
    Enumeration {
        /// The enumeration.
        what: &'static str,
        /// What the input says.
        value: u64,
    },
    /// A vector whose element count is outside its bounds.
    #[error("{what} has {count} elements, outside its bounds")]
    Bounds {
        /// The vector.
        what: &'static str,
        /// The element count in the input.
        count: usize,
    },
}

/// A value does not fit its wire format: the named vector has too many elements or a wrong length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0} does not fit its wire format")]
pub struct EncodeError(pub &'static str);

/// Reads a structure front to back without copying more than it must.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes exactly `n` bytes.
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(DecodeError::UnexpectedEnd(what))?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes a fixed-size byte string.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::UnexpectedEnd(what))?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes a `uint8`.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array(what).map(u8::from_be_bytes)
    }

    /// Takes a `uint16`.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// Takes a `uint32`.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Takes a `uint64`.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// Takes an element count of `width` bytes (1, 2 or 4).
    fn count(&mut self, width: Width, what: &'static str) -> Result<usize, DecodeError> {
        Ok(match width {
            Width::One => usize::from(self.u8(what)?),
            Width::Two => usize::from(self.u16(what)?),
            Width::Four => {
                usize::try_from(self.u32(what)?).map_err(|_| DecodeError::UnexpectedEnd(what))?
            }
        })
    }

    /// Takes `opaque what<0..2^(8*width)-1>`.
    pub fn opaque(&mut self, width: Width, what: &'static str) -> Result<Vec<u8>, DecodeError> {
        let n = self.count(width, what)?;
        self.take(n, what).map(<[u8]>::to_vec)
    }

    /// Takes a vector of elements that `element` decodes. Memory grows with the input, never with
    /// the claimed count.
    pub fn vector<T>(
        &mut self,
        width: Width,
        what: &'static str,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let n = self.count(width, what)?;
        if n > self.rest.len() {
            return Err(DecodeError::UnexpectedEnd(what));
        }
        // An element is at least one byte, so this bounds the allocation by a small multiple of
        // the input for the structures of the draft.
        let mut out = Vec::with_capacity(n.min(1024));
        for _ in 0..n {
            out.push(element(self)?);
        }
        Ok(out)
    }

    /// Takes an `optional<T>`.
    pub fn optional<T>(
        &mut self,
        what: &'static str,
        value: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8(what)? {
            0 => Ok(None),
            1 => value(self).map(Some),
            other => Err(DecodeError::Presence(other)),
        }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Succeeds only at the end of the input.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            n => Err(DecodeError::TrailingBytes(n)),
        }
    }
}

/// Bytes that a vector's element count takes: what its specified maximum length needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// `<0..2^8-1>`
    One,
    /// `<0..2^16-1>`
    Two,
    /// `<0..2^32-1>`
    Four,
}

/// Builds an encoding. A vector that does not fit is remembered and reported by [`Writer::finish`].
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    error: Option<EncodeError>,
}

impl Writer {
    /// Appends raw bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends raw bytes that must be exactly `n` long.
    pub fn fixed(&mut self, bytes: &[u8], n: usize, what: &'static str) {
        if bytes.len() != n {
            self.fail(what);
        }
        self.bytes(bytes);
    }

    /// Appends a `uint8`.
    pub fn u8(&mut self, value: u8) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a `uint16`.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a `uint32`.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a `uint64`.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    fn count(&mut self, width: Width, n: usize, what: &'static str) {
        let fits = match width {
            Width::One => u8::try_from(n).map(|n| self.u8(n)).is_ok(),
            Width::Two => u16::try_from(n).map(|n| self.u16(n)).is_ok(),
            Width::Four => u32::try_from(n).map(|n| self.u32(n)).is_ok(),
        };
        if !fits {
            self.fail(what);
        }
    }

    /// Appends `opaque what<0..2^(8*width)-1>`.
    pub fn opaque(&mut self, width: Width, bytes: &[u8], what: &'static str) {
        self.count(width, bytes.len(), what);
        self.bytes(bytes);
    }

    /// Appends a vector whose elements `element` encodes.
    pub fn vector<T>(
        &mut self,
        width: Width,
        items: &[T],
        what: &'static str,
        mut element: impl FnMut(&mut Self, &T),
    ) {
        self.count(width, items.len(), what);
        for item in items {
            element(self, item);
        }
    }

    /// Appends an `optional<T>`.
    pub fn optional<T>(&mut self, value: Option<&T>, encode: impl FnOnce(&mut Self, &T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            encode(self, value);
        }
    }

    /// Records that `what` does not fit; the encoding fails as a whole.
    pub fn fail(&mut self, what: &'static str) {
        self.error.get_or_insert(EncodeError(what));
    }

    /// The encoding, or the first field that did not fit.
    pub fn finish(self) -> Result<Vec<u8>, EncodeError> {
        match self.error {
            None => Ok(self.out),
            Some(error) => Err(error),
        }
    }
}

/// A structure with a TLS encoding.
pub trait Encode {
    /// Appends the encoding.
    fn encode(&self, w: &mut Writer);

    /// The whole encoding.
    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::default();
        self.encode(&mut w);
        w.finish()
    }
}

/// A structure that can be decoded, given what its `select`s refer to (`C`: nothing, or the
/// [`Configuration`](crate::wire::Configuration) of the log).
pub trait Decode<C: ?Sized>: Sized {
    /// Takes the structure from the front of `r`.
    fn decode(r: &mut Reader<'_>, context: &C) -> Result<Self, DecodeError>;

    /// Decodes the structure and nothing else.
    fn from_bytes(bytes: &[u8], context: &C) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let value = Self::decode(&mut r, context)?;
        r.finish()?;
        Ok(value)
    }
}
