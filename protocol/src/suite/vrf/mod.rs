//! The verifiable random function that hides labels in the prefix tree.
//!
//! ECVRF of RFC 9381 with try-and-increment, over edwards25519 or P-256. A server needs the
//! output of every label-version it stores but a proof only for those it is asked about, and
//! an output costs half a proof: hence [`VrfSecretKey::output`] beside
//! [`VrfSecretKey::prove`].
//!
//! Try-and-increment takes a time that depends on the input (RFC 9381, "Side-Channel
//! Attacks"): who can time the server learns a little about the labels it looks up. Nothing
//! about the key, though: whatever touches the key takes constant time.

pub(super) mod edwards25519;
pub(super) mod p256;

use std::fmt;

use thiserror::Error;

use super::{CipherSuite, KeyError, NH};

/// Bytes of the challenge `c` in a proof: `cLen` of both suites (RFC 9381, section 5.5).
const CHALLENGE_LEN: usize = 16;

/// The bytes that open and close every hash, so that none can be taken for another.
mod domain {
    pub(super) const ENCODE_TO_CURVE: u8 = 0x01;
    pub(super) const CHALLENGE: u8 = 0x02;
    pub(super) const PROOF_TO_HASH: u8 = 0x03;
    pub(super) const BACK: u8 = 0x00;
}

/// The private key that turns label-versions into search keys.
///
/// Its memory is wiped on drop, and `Debug` shows the suite alone.
#[derive(Clone)]
pub struct VrfSecretKey(Secret);

#[derive(Clone)]
enum Secret {
    Edwards25519(edwards25519::SecretKey),
    P256(p256::SecretKey),
}

impl VrfSecretKey {
    /// Reads a private key of 32 bytes: the seed of RFC 8032 for edwards25519, a big-endian
    /// scalar for P-256.
    ///
    /// # Errors
    /// [`KeyError::SecretRange`] if the P-256 scalar is zero or not below the group order.
    /// Every edwards25519 seed is valid.
    pub fn from_bytes(suite: CipherSuite, secret: &[u8; 32]) -> Result<Self, KeyError> {
        Ok(Self(match suite {
            CipherSuite::Kt128Sha256Ed25519 => {
                Secret::Edwards25519(edwards25519::SecretKey::from_seed(secret))
            }
            CipherSuite::Kt128Sha256P256 => Secret::P256(p256::SecretKey::from_bytes(secret)?),
        }))
    }

    /// The suite this key computes for.
    pub fn suite(&self) -> CipherSuite {
        match self.0 {
            Secret::Edwards25519(_) => CipherSuite::Kt128Sha256Ed25519,
            Secret::P256(_) => CipherSuite::Kt128Sha256P256,
        }
    }

    /// The public key as the `Configuration` carries it: 32 bytes for edwards25519, 33 (a
    /// compressed SEC 1 point) for P-256.
    pub fn public_key(&self) -> Vec<u8> {
        match &self.0 {
            Secret::Edwards25519(key) => key.public_key().to_vec(),
            Secret::P256(key) => key.public_key().to_vec(),
        }
    }

    /// The output for one input, without a proof.
    pub fn output(&self, alpha: &[u8]) -> [u8; NH] {
        match &self.0 {
            Secret::Edwards25519(key) => key.output(alpha),
            Secret::P256(key) => key.output(alpha),
        }
    }

    /// The outputs for many inputs, in their order. They share one field inversion, which
    /// saves up to a tenth of each; memory grows by about 300 bytes an input.
    pub fn outputs(&self, alphas: &[&[u8]]) -> Vec<[u8; NH]> {
        match &self.0 {
            Secret::Edwards25519(key) => key.outputs(alphas),
            Secret::P256(key) => key.outputs(alphas),
        }
    }

    /// The output for one input and the proof that it is right, of
    /// [`CipherSuite::vrf_proof_len`] bytes. The same input gives the same proof.
    pub fn prove(&self, alpha: &[u8]) -> ([u8; NH], Vec<u8>) {
        match &self.0 {
            Secret::Edwards25519(key) => key.prove(alpha),
            Secret::P256(key) => key.prove(alpha),
        }
    }
}

impl fmt::Debug for VrfSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VrfSecretKey({})", self.suite())
    }
}

/// The public key that VRF proofs are verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrfPublicKey(Public);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    Edwards25519(edwards25519::PublicKey),
    P256(p256::PublicKey),
}

impl VrfPublicKey {
    /// Reads and validates a public key (RFC 9381, section 5.4.5): 32 bytes for
    /// edwards25519, 33 (a compressed SEC 1 point) for P-256.
    ///
    /// # Errors
    /// [`KeyError::Length`], [`KeyError::PointEncoding`], or [`KeyError::SmallOrder`]: under
    /// a key of small order an input has several provable outputs.
    pub fn from_bytes(suite: CipherSuite, public: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(match suite {
            CipherSuite::Kt128Sha256Ed25519 => {
                Public::Edwards25519(edwards25519::PublicKey::from_bytes(public)?)
            }
            CipherSuite::Kt128Sha256P256 => Public::P256(p256::PublicKey::from_bytes(public)?),
        }))
    }

    /// The output for this input, if the proof holds.
    ///
    /// # Errors
    /// A [`VrfError`]; the first three say that no honest prover wrote these bytes.
    pub fn verify(&self, alpha: &[u8], proof: &[u8]) -> Result<[u8; NH], VrfError> {
        match &self.0 {
            Public::Edwards25519(key) => key.verify(alpha, proof),
            Public::P256(key) => key.verify(alpha, proof),
        }
    }
}

/// Why a VRF proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VrfError {
    /// Too short or too long for the suite, surplus bytes included.
    #[error("VRF proof of {actual} bytes where {expected} are due")]
    Length {
        /// `VRF.Np` of the suite.
        expected: usize,
        /// Bytes that were given.
        actual: usize,
    },
    /// `Gamma` is not the one encoding of a point on the curve.
    #[error("VRF proof does not begin with the canonical encoding of a curve point")]
    PointEncoding,
    /// `s` is not below the group order; accepting it would give each proof twins.
    #[error("scalar of the VRF proof is not below the group order")]
    ScalarRange,
    /// Well formed, but not a proof for this key and this input.
    #[error("VRF proof does not verify")]
    Rejected,
}
