//! Cipher suites: the hash, signature, VRF and commitment of a Transparency Log.
//!
//! A log is created with one suite and keeps it (draft, "Cipher Suites"). The two suites of
//! the registry share SHA-256 and the commitment scheme; they differ in the curve, which is
//! why keys and proofs carry a [`CipherSuite`] where hashes do not.

mod commitment;
mod signature;
mod vrf;

use sha2::{Digest, Sha256};
use thiserror::Error;

pub use commitment::commitment;
pub use signature::{SignatureError, SigningKey, VerifyingKey};
pub use vrf::{VrfError, VrfPublicKey, VrfSecretKey};

/// `Hash.Nh` and `VRF.Nh`: bytes in a hash, in a VRF output and in a commitment.
///
/// Both suites truncate or choose their VRF output to this length (draft, "KT Cipher Suites").
pub const NH: usize = 32;

/// `Nc`: bytes in the opening of a commitment (draft, "KT Cipher Suites").
pub const NC: usize = 16;

/// `Kc`: the fixed HMAC key of commitments, 16 bytes (draft, "KT Cipher Suites").
///
/// It is public: what hides the value is the random opening, not this key.
pub const KC: [u8; 16] = [
    0xd8, 0x21, 0xf8, 0x79, 0x0d, 0x97, 0x70, 0x97, 0x96, 0xb4, 0xd7, 0x90, 0x33, 0x57, 0xc3, 0xf5,
];

/// The cipher suites of the draft's registry ("KT Cipher Suites"), by their 16-bit value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CipherSuite {
    /// `KT_128_SHA256_P256`: ECDSA over P-256 and ECVRF-P256-SHA256-TAI.
    Kt128Sha256P256 = 0x0001,
    /// `KT_128_SHA256_Ed25519`: Ed25519 and ECVRF-EDWARDS25519-SHA512-TAI.
    Kt128Sha256Ed25519 = 0x0002,
}

impl CipherSuite {
    /// Every suite this crate implements, in the order of the registry.
    pub const ALL: [Self; 2] = [Self::Kt128Sha256P256, Self::Kt128Sha256Ed25519];

    /// The suite with this value on the wire, or `None` for a reserved or unknown value.
    pub fn from_u16(value: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.to_u16() == value)
    }

    /// The value on the wire.
    pub const fn to_u16(self) -> u16 {
        self as u16
    }

    /// The suite's name in the registry, such as `KT_128_SHA256_Ed25519`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kt128Sha256P256 => "KT_128_SHA256_P256",
            Self::Kt128Sha256Ed25519 => "KT_128_SHA256_Ed25519",
        }
    }

    /// The suite with this registry name, compared exactly.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// `VRF.Np`: bytes in a VRF proof, 81 for P-256 and 80 for edwards25519.
    pub const fn vrf_proof_len(self) -> usize {
        match self {
            Self::Kt128Sha256P256 => vrf::p256::PROOF_LEN,
            Self::Kt128Sha256Ed25519 => vrf::edwards25519::PROOF_LEN,
        }
    }
}

impl std::fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// SHA-256 of the concatenated parts: the hash algorithm of both suites.
pub fn sha256(parts: &[&[u8]]) -> [u8; NH] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Why the bytes of a key were refused. Nothing can be signed or verified with such a key:
/// the configuration that holds it is wrong, or hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A public key of another length, often a key of the other cipher suite.
    #[error("public key of {actual} bytes where {expected} are due")]
    Length {
        /// Bytes the suite's encoding has.
        expected: usize,
        /// Bytes that were given.
        actual: usize,
    },
    /// The public key is not the one encoding of a point on the suite's curve.
    #[error("public key is not the canonical encoding of a curve point")]
    PointEncoding,
    /// The public key is a point of small order, under which anyone can sign or prove.
    #[error("public key has small order")]
    SmallOrder,
    /// The secret key is zero or not below the order of the P-256 group.
    #[error("secret key is not a scalar between 1 and the group order")]
    SecretRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_keep_their_registry_values_and_names() {
        for (suite, value, name, proof_len) in [
            (CipherSuite::Kt128Sha256P256, 1, "KT_128_SHA256_P256", 81),
            (
                CipherSuite::Kt128Sha256Ed25519,
                2,
                "KT_128_SHA256_Ed25519",
                80,
            ),
        ] {
            assert_eq!(suite.to_u16(), value);
            assert_eq!(CipherSuite::from_u16(value), Some(suite));
            assert_eq!(suite.name(), name);
            assert_eq!(CipherSuite::from_name(name), Some(suite));
            assert_eq!(suite.vrf_proof_len(), proof_len);
        }
        for value in [0, 3, 0xf000, 0xffff] {
            assert_eq!(CipherSuite::from_u16(value), None);
        }
        assert_eq!(CipherSuite::from_name("kt_128_sha256_p256"), None);
    }

    #[test]
    fn keys_can_be_shared_between_threads() {
        fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
        shared::<SigningKey>();
        shared::<VerifyingKey>();
        shared::<VrfSecretKey>();
        shared::<VrfPublicKey>();
    }

    #[test]
    fn the_hash_covers_the_concatenation() {
        // FIPS 180-4's one-block message "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex::encode(sha256(&[b"abc"])), abc);
        assert_eq!(hex::encode(sha256(&[b"", b"a", b"bc"])), abc);
    }
}
