//! Signatures on tree heads and on updates: Ed25519 or ECDSA over P-256.
//!
//! Encodings are those of the draft ("KT Cipher Suites"): RFC 8032 for Ed25519; for P-256 an
//! uncompressed SEC 1 point and `r || s`, both big endian. Both signers are deterministic, so
//! a repeated head carries the same bytes and no signature depends on a random generator.

use std::fmt;

use ed25519_dalek::Signer;
use p256::ecdsa::signature::Verifier;
use thiserror::Error;

use super::vrf::edwards25519;
use super::{CipherSuite, KeyError};

/// Bytes of a signature in either suite.
const SIGNATURE_LEN: usize = 64;
/// Bytes of an Ed25519 public key (RFC 8032, section 5.1.5).
const ED25519_PUBLIC_LEN: usize = 32;
/// Bytes of an uncompressed P-256 point (SEC 1, section 2.3.3): a tag, x and y.
const P256_PUBLIC_LEN: usize = 65;

/// The private key of a Service Operator, Third-Party Manager or Third-Party Auditor.
///
/// Its memory is wiped on drop, and `Debug` shows the suite alone.
#[derive(Clone)]
pub struct SigningKey(Signing);

#[derive(Clone)]
enum Signing {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl SigningKey {
    /// Reads a private key of 32 bytes: the seed of RFC 8032 for Ed25519, a big-endian
    /// scalar for P-256.
    ///
    /// # Errors
    /// [`KeyError::SecretRange`] if the P-256 scalar is zero or not below the group order.
    /// Every Ed25519 seed is valid.
    pub fn from_bytes(suite: CipherSuite, secret: &[u8; 32]) -> Result<Self, KeyError> {
        Ok(Self(match suite {
            CipherSuite::Kt128Sha256Ed25519 => {
                Signing::Ed25519(ed25519_dalek::SigningKey::from_bytes(secret))
            }
            CipherSuite::Kt128Sha256P256 => Signing::P256(
                p256::ecdsa::SigningKey::from_slice(secret).map_err(|_| KeyError::SecretRange)?,
            ),
        }))
    }

    /// The suite this key signs for.
    pub fn suite(&self) -> CipherSuite {
        match self.0 {
            Signing::Ed25519(_) => CipherSuite::Kt128Sha256Ed25519,
            Signing::P256(_) => CipherSuite::Kt128Sha256P256,
        }
    }

    /// The public key as the `Configuration` carries it: 32 bytes for Ed25519, 65 for P-256.
    pub fn public_key(&self) -> Vec<u8> {
        match &self.0 {
            Signing::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
            Signing::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    /// Signs a message, giving 64 bytes. P-256 takes its nonce from RFC 6979.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.0 {
            Signing::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Signing::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.suite())
    }
}

/// A public key that tree heads or updates are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey(Verifying);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verifying {
    Ed25519(ed25519_dalek::VerifyingKey),
    P256(p256::ecdsa::VerifyingKey),
}

impl VerifyingKey {
    /// Reads a public key: 32 bytes for Ed25519 (RFC 8032), 65 for P-256 (SEC 1,
    /// uncompressed).
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::PointEncoding`], or [`KeyError::SmallOrder`]: under
    /// an Ed25519 key of small order one signature fits nearly every message, so the owner
    /// of such a key could show two logs under one signature.
    pub fn from_bytes(suite: CipherSuite, public: &[u8]) -> Result<Self, KeyError> {
        match suite {
            CipherSuite::Kt128Sha256Ed25519 => ed25519_key(public).map(Verifying::Ed25519),
            CipherSuite::Kt128Sha256P256 => p256_key(public).map(Verifying::P256),
        }
        .map(Self)
    }

    /// Verifies a signature of 64 bytes.
    ///
    /// Ed25519 is verified without the cofactor and refuses commitments `R` of small order,
    /// so that every verifier of this crate gives the same answer. P-256 accepts both `s`
    /// and its negation, as ECDSA does: a signature is no identifier of what it signs.
    ///
    /// # Errors
    /// [`SignatureError::Length`] if it cannot be a signature of this suite,
    /// [`SignatureError::Rejected`] if the holder of the key did not make it.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let signature: &[u8; SIGNATURE_LEN] =
            signature.try_into().map_err(|_| SignatureError::Length {
                actual: signature.len(),
            })?;
        match &self.0 {
            Verifying::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_bytes(signature);
                key.verify_strict(message, &signature)
            }
            Verifying::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .and_then(|signature| key.verify(message, &signature)),
        }
        .map_err(|_| SignatureError::Rejected)
    }
}

/// Why a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// Not 64 bytes long: the message is malformed, whoever sent it.
    #[error("signature of {actual} bytes where 64 are due")]
    Length {
        /// Bytes that were given.
        actual: usize,
    },
    /// The holder of the key did not sign this message.
    #[error("signature does not verify")]
    Rejected,
}

fn ed25519_key(public: &[u8]) -> Result<ed25519_dalek::VerifyingKey, KeyError> {
    let bytes: &[u8; ED25519_PUBLIC_LEN] = public.try_into().map_err(|_| KeyError::Length {
        expected: ED25519_PUBLIC_LEN,
        actual: public.len(),
    })?;
    // ed25519-dalek decodes leniently; RFC 8032, section 5.1.3, gives a point one encoding.
    let point = edwards25519::decode_point(bytes).ok_or(KeyError::PointEncoding)?;
    if point.is_small_order() {
        return Err(KeyError::SmallOrder);
    }
    Ok(point.into())
}

fn p256_key(public: &[u8]) -> Result<p256::ecdsa::VerifyingKey, KeyError> {
    if public.len() != P256_PUBLIC_LEN {
        return Err(KeyError::Length {
            expected: P256_PUBLIC_LEN,
            actual: public.len(),
        });
    }
    // Of the SEC 1 forms only the uncompressed one has this length. The curve has prime order
    // and the identity is one byte long, so no key here has small order.
    p256::ecdsa::VerifyingKey::from_sec1_bytes(public).map_err(|_| KeyError::PointEncoding)
}

#[cfg(test)]
mod tests;
