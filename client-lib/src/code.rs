//! The verification code: what two people read to each other to see that the directory shows both
//! of them the same value.
//!
//! ```text
//! struct {
//!   opaque context<1..2^8-1> = "overt.verification-code/v1";
//!   opaque fingerprint[32];    // of the directory
//!   opaque label<0..2^8-1>;
//!   uint32 version;
//!   opaque value<0..2^32-1>;   // as published: with its envelope, if it has one
//! } VerificationInput;
//! ```
//!
//! The code is SHA-256 of this as a big-endian number modulo 10^60, in twelve groups of five
//! digits, the most significant first: 199 bits. Finding another value with a given code takes
//! 2^199 attempts; somebody who chooses both values needs 2^99.

use std::fmt;
use std::str::FromStr;

use overt_protocol::codec::{EncodeError, Width, Writer};
use overt_protocol::descriptor::Fingerprint;
use overt_protocol::suite::sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;

const CONTEXT: &[u8] = b"overt.verification-code/v1";
const GROUPS: usize = 12;
const GROUP: u32 = 100_000;

/// Sixty decimal digits for a (directory, label, version, value). Comparison takes constant time.
#[derive(Debug, Clone, Copy)]
pub struct VerificationCode([u32; GROUPS]);

/// Not sixty digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a verification code is sixty digits, usually in twelve groups of five")]
pub struct CodeError;

impl VerificationCode {
    /// The code of a published value.
    pub fn new(
        directory: &Fingerprint,
        label: &[u8],
        version: u32,
        value: &[u8],
    ) -> Result<Self, EncodeError> {
        let mut w = Writer::default();
        w.opaque(Width::One, CONTEXT, "context");
        w.bytes(directory.as_bytes());
        w.opaque(Width::One, label, "label");
        w.u32(version);
        w.opaque(Width::Four, value, "value");
        let mut number = sha256(&[&w.finish()?]);
        let mut groups = [0; GROUPS];
        for group in groups.iter_mut().rev() {
            // Long division by 10^5, digit by digit in base 256.
            let mut rest = 0u32;
            for byte in &mut number {
                rest = rest * 256 + u32::from(*byte);
                *byte = (rest / GROUP) as u8; // below 256, as the rest was below 10^5
                rest %= GROUP;
            }
            *group = rest;
        }
        Ok(Self(groups))
    }
}

impl PartialEq for VerificationCode {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for VerificationCode {}

impl fmt::Display for VerificationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.0.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{group:05}")?;
        }
        Ok(())
    }
}

impl FromStr for VerificationCode {
    type Err = CodeError;

    /// Accepts any white space or hyphens between the digits.
    fn from_str(text: &str) -> Result<Self, CodeError> {
        let digits = text
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| c.to_digit(10).ok_or(CodeError))
            .collect::<Result<Vec<u32>, _>>()?;
        if digits.len() != GROUPS * 5 {
            return Err(CodeError);
        }
        let mut groups = [0; GROUPS];
        for (group, digits) in groups.iter_mut().zip(digits.chunks(5)) {
            *group = digits.iter().fold(0, |n, digit| n * 10 + digit);
        }
        Ok(Self(groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(label: &[u8], version: u32, value: &[u8]) -> VerificationCode {
        VerificationCode::new(&Fingerprint::from([1; 32]), label, version, value).unwrap()
    }

    #[test]
    fn a_code_is_sixty_digits_that_read_back() {
        let code = code(b"alice", 3, b"key");
        let text = code.to_string();
        assert_eq!(text.split(' ').count(), 12);
        assert!(text.split(' ').all(|group| group.len() == 5));
        assert_eq!(text.parse(), Ok(code));
        assert_eq!(text.replace(' ', "").parse(), Ok(code));
        assert_eq!(text[1..].parse::<VerificationCode>(), Err(CodeError));
        assert_eq!("x".parse::<VerificationCode>(), Err(CodeError));
    }

    #[test]
    fn the_digits_are_the_hash_in_decimal() {
        // Computed with another program's big integers.
        let text = code(b"alice", 3, b"key").to_string();
        assert_eq!(
            text.replace(' ', ""),
            "250301007632273162594500792846123604539318816465636303264827"
        );
    }

    #[test]
    fn a_code_depends_on_all_that_it_is_about() {
        let base = code(b"alice", 3, b"key");
        for other in [
            code(b"bob", 3, b"key"),
            code(b"alice", 2, b"key"),
            code(b"alice", 3, b"k"),
        ] {
            assert_ne!(other, base);
        }
        let elsewhere =
            VerificationCode::new(&Fingerprint::from([2; 32]), b"alice", 3, b"key").unwrap();
        assert_ne!(elsewhere, base);
    }
}
