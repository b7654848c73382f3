//! What the text formats of C2SP share: decimal numbers and base64, each written in one way only.

use std::fmt;

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

/// Divides lines, an empty line and a note into the lines and the note. The note is what follows the
/// first empty line; its own are left to it.
pub(super) fn split_note(bytes: &[u8]) -> Option<(Vec<&str>, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let (lines, rest) = bytes.split_at_checked(end)?;
    let lines = str::from_utf8(lines).ok()?;
    Some((lines.split('\n').collect(), rest.strip_prefix(b"\n\n")?))
}

/// Hashes, one a line.
pub(super) fn parse_hashes(lines: &[&str]) -> Option<Vec<HashValue>> {
    lines.iter().map(|line| parse_hash(line)).collect()
}

/// The lines that [`parse_hashes`] reads, each with its newline.
pub(super) fn write_hashes(f: &mut fmt::Formatter<'_>, hashes: &[HashValue]) -> fmt::Result {
    let mut hashes = hashes.iter();
    hashes.try_for_each(|hash| writeln!(f, "{}", to_base64(hash)))
}
