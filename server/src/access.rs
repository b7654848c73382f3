//! Who may write what, and who may look labels up (section "Access Control" of draft-arch: the
//! application decides).

use overt_protocol::signed_value::{SignedValue, SignedValueError};
use overt_protocol::wire::{HashValue, Opening};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// What an update would do.
#[derive(Debug, Clone)]
pub struct Proposed<'a> {
    /// The label.
    pub label: &'a [u8],
    /// The version that the first value would get.
    pub version: u32,
    /// The value of the version before; none for a new label.
    pub previous: Option<&'a [u8]>,
    /// The new values, in order.
    pub values: Vec<&'a [u8]>,
    /// The bearer token that came with the request.
    pub token: Option<&'a str>,
}

/// Why an update is not allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AccessError {
    /// No token, or a wrong one.
    #[error("a valid bearer token is required to write")]
    Unauthorized,
    /// The value is not a `SignedValue`, or not signed by who may.
    #[error("version {version}: {error}")]
    SignedValue {
        /// The version it would get.
        version: u32,
        /// What is wrong.
        error: SignedValueError,
    },
}

impl AccessError {
    /// Whether the value is well-formed, but signed by someone who may not write the label.
    pub fn is_wrong_signer(&self) -> bool {
        use SignedValueError as E;
        let Self::SignedValue { error, .. } = self else {
            return false;
        };
        matches!(
            error,
            E::Signature(_) | E::SignatureMissing | E::NoRecoveryKey | E::WrongSigner
        )
    }
}

/// Decides about updates.
pub trait Access: Send + Sync + 'static {
    /// Whether values must be `SignedValue`s; stands in the descriptor.
    fn requires_signed_value(&self) -> bool;
    /// Allows or refuses an update.
    fn check(&self, proposed: &Proposed<'_>) -> Result<(), AccessError>;
    /// Whether `value` says the same as the current value, so that it makes no new version.
    fn is_repeat(&self, current: &[u8], value: &[u8]) -> bool;
}

/// First come, first served: a label belongs to whoever holds the update key in its newest value.
#[derive(Debug)]
pub struct Open {
    /// SHA-256 of the configuration, which every signature covers.
    pub config_hash: HashValue,
}

impl Access for Open {
    fn requires_signed_value(&self) -> bool {
        true
    }

    fn check(&self, proposed: &Proposed<'_>) -> Result<(), AccessError> {
        let mut previous = proposed.previous;
        for (version, value) in (proposed.version..).zip(proposed.values.iter().copied()) {
            let wrong = |error| AccessError::SignedValue { version, error };
            let signed = SignedValue::decode(value).map_err(wrong)?;
            match previous {
                None => signed.verify_first().map_err(wrong)?,
                Some(previous) => {
                    signed
                        .verify_successor(&self.config_hash, proposed.label, version, previous)
                        .map_err(wrong)?;
                }
            }
            previous = Some(value);
        }
        Ok(())
    }

    fn is_repeat(&self, current: &[u8], value: &[u8]) -> bool {
        match (SignedValue::decode(current), SignedValue::decode(value)) {
            (Ok(current), Ok(value)) => {
                current.value == value.value
                    && current.update_key == value.update_key
                    && current.recovery_key == value.recovery_key
            }
            _ => current == value,
        }
    }
}

/// The Third-Party Manager's: what the Service Operator signed may be written, and nothing else.
/// The signatures themselves are part of the protocol, and checked with it.
#[derive(Debug)]
pub struct OperatorSigned;

impl Access for OperatorSigned {
    fn requires_signed_value(&self) -> bool {
        false
    }

    fn check(&self, _: &Proposed<'_>) -> Result<(), AccessError> {
        Ok(())
    }

    fn is_repeat(&self, _: &[u8], _: &[u8]) -> bool {
        // The operator has used up the version that it signed.
        false
    }
}

/// An operator's static token may write any label; values are opaque.
pub struct Token {
    /// The token.
    pub token: Zeroizing<String>,
}

impl Access for Token {
    fn requires_signed_value(&self) -> bool {
        false
    }

    fn check(&self, proposed: &Proposed<'_>) -> Result<(), AccessError> {
        match is_token(proposed.token, &self.token) {
            true => Ok(()),
            false => Err(AccessError::Unauthorized),
        }
    }

    fn is_repeat(&self, current: &[u8], value: &[u8]) -> bool {
        current == value
    }
}

/// Lengths are compared in the open; contents are not.
fn is_token(given: Option<&str>, token: &str) -> bool {
    let given = given.unwrap_or_default().as_bytes();
    bool::from(given.ct_eq(token.as_bytes())) && !given.is_empty()
}

/// Who may look labels up.
pub enum Lookups {
    /// Everyone.
    Open,
    /// Whoever has the operator's token, which an application adds to what it lets its users ask.
    /// Monitoring what was looked up once is open to whoever can show the commitment openings that
    /// came with it (draft-arch, section "Contact Monitoring"): access that was revoked must not
    /// hide misbehaviour that happened before.
    Token(Zeroizing<String>),
}

impl Lookups {
    /// Whether someone with this token may look labels up.
    pub fn allows(&self, token: Option<&str>) -> bool {
        match self {
            Self::Open => true,
            Self::Token(expected) => is_token(token, expected),
        }
    }
}

/// Whether the openings that someone shows are those of the versions, in order.
pub fn are_openings(shown: &[u8], openings: &[Opening]) -> bool {
    let expected: Vec<u8> = openings.concat();
    !expected.is_empty() && bool::from(shown.ct_eq(&expected))
}
