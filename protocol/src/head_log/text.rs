//! What the text formats of C2SP share: decimal numbers and base64, each written in one way only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wire::HashValue;

/// An ASCII decimal without sign or leading zeroes.
pub(super) fn parse_decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// RFC 4648, section 4, with padding.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Strict: padding must be there, and unused bits zero (RFC 4648, section 3.5).
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The base64 of a hash.
pub(super) fn parse_hash(text: &str) -> Option<HashValue> {
    from_base64(text)?.try_into().ok()
}
