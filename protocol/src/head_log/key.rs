//! Keys of signed notes (signed-note, "Signatures" and "Verifier keys").
//!
//! Three signature types: plain Ed25519, with which a log signs; Ed25519 and ML-DSA-44 cosignatures,
//! with which witnesses and auditors sign, and ML-DSA-44 also a log (tlog-checkpoint, "Signatures").
//! `ml-dsa` has not been audited: the project always signs with Ed25519 beside it.

use std::fmt;
use std::str::FromStr;

use ml_dsa::{Keypair, MlDsa44, Signer, Verifier};
use thiserror::Error;

use crate::head_log::checkpoint::Checkpoint;
use crate::head_log::cosignature::{self, ed25519_message, ml_dsa_44_message};
use crate::head_log::text::{from_base64, to_base64};
use crate::suite::{self, CipherSuite, sha256};

const ED25519: CipherSuite = CipherSuite::Kt128Sha256Ed25519;
/// Bytes of an ML-DSA-44 public key (FIPS 204, table 2).
const ML_DSA_44_PUBLIC_LEN: usize = 1312;
/// Bytes that a key's name has at most (tlog-cosignature, `cosigner_name`).
pub const MAX_NAME_LEN: usize = 255;
/// More characters than the longest verifier key has.
pub const MAX_VKEY_LEN: usize = 2048;

/// How a key signs: the signature type identifier byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SignatureType {
    /// Ed25519 over the note text.
    Ed25519 = 0x01,
    /// A timestamped Ed25519 cosignature of a checkpoint.
    Ed25519Cosignature = 0x04,
    /// A timestamped ML-DSA-44 cosignature of a checkpoint (FIPS 204, empty context).
    MlDsa44Cosignature = 0x06,
}

impl SignatureType {
    const ALL: [Self; 3] = [
        Self::Ed25519,
        Self::Ed25519Cosignature,
        Self::MlDsa44Cosignature,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == byte)
    }

    /// Whether it is a type that cosigners use (tlog-cosignature).
    pub fn is_cosignature(self) -> bool {
        self != Self::Ed25519
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteKeyError {
    /// Not `<name>+<key ID>+<base64>`.
    #[error("not a verifier key: expected <name>+<key ID>+<key>")]
    Format,
    /// The name is empty, too long, or has spaces, plus signs or control characters.
    #[error("a key name is 1 to {MAX_NAME_LEN} bytes without spaces, plus or control characters")]
    Name,
    /// The key ID is not that of the name and key beside it.
    #[error("the key ID is not that of this name and key")]
    KeyId,
    /// A signature type that is not supported.
    #[error("keys of signature type {0:#04x} are not supported")]
    Type(u8),
    /// Not a public key of the type.
    #[error(transparent)]
    Key(#[from] suite::KeyError),
}

impl NoteKeyError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Format => "note-key-format",
            Self::Name => "note-key-name",
            Self::KeyId => "note-key-id",
            Self::Type(_) => "note-key-type",
            Self::Key(_) => "note-key",
        }
    }
}

/// Non-empty, without Unicode spaces, plus or control characters (signed-note, "Format").
pub(super) fn is_key_name(name: &str) -> bool {
    let refused = |c: char| c.is_whitespace() || c == '+' || c < ' ';
    !name.is_empty() && !name.contains(refused)
}

/// SHA-256 of name, newline, type and public key, cut to its first four bytes.
///
/// For plain Ed25519 the specification only recommends this ID; a vkey with another is refused all
/// the same, because a mistyped key would otherwise be one that never signed anything.
fn key_id(name: &str, kind: SignatureType, public: &[u8]) -> u32 {
    let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind as u8], public]);
    u32::from_be_bytes([a, b, c, d])
}

/// What a key of this type and name signs about the text of a note.
///
/// None if it can sign nothing about it: not a checkpoint, or one that does not fit the message.
fn message(kind: SignatureType, name: &str, text: &str, timestamp: u64) -> Option<Vec<u8>> {
    match kind {
        SignatureType::Ed25519 => Some(text.as_bytes().to_vec()),
        SignatureType::Ed25519Cosignature => Some(ed25519_message(text, timestamp)),
        SignatureType::MlDsa44Cosignature => {
            let checkpoint = Checkpoint::parse(text).ok()?;
            ml_dsa_44_message(name, timestamp, &checkpoint).ok()
        }
    }
}

/// A public key with its name. [`Display`](fmt::Display) and [`FromStr`] are its vkey.
#[derive(Clone, PartialEq)]
pub struct VerifierKey {
    name: String,
    kind: SignatureType,
    id: u32,
    bytes: Vec<u8>,
    public: PublicKey,
}

#[derive(Clone, PartialEq)]
enum PublicKey {
    Ed25519(suite::VerifyingKey),
    MlDsa44(ml_dsa::VerifyingKey<MlDsa44>),
}

impl VerifierKey {
    /// Takes a public key: 32 bytes for Ed25519, 1312 for ML-DSA-44.
    pub fn new(name: &str, kind: SignatureType, public: &[u8]) -> Result<Self, NoteKeyError> {
        if !is_key_name(name) || name.len() > MAX_NAME_LEN {
            return Err(NoteKeyError::Name);
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            id: key_id(name, kind, public),
            bytes: public.to_vec(),
            public: PublicKey::new(kind, public)?,
        })
    }

    /// The key's name: the origin if a log signs with it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key ID.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How it signs.
    pub fn kind(&self) -> SignatureType {
        self.kind
    }

    /// The public key proper, which keys of different names and types may share.
    pub fn public(&self) -> &[u8] {
        &self.bytes
    }

    /// Verifies a signature over the text of a note. Gives the timestamp of a cosignature, and 0 for
    /// a plain signature; none if the holder of the key did not make it.
    pub(super) fn verify(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (timestamp, signature) = match self.kind.is_cosignature() {
            true => cosignature::split(signature)?,
            false => (0, signature),
        };
        let message = message(self.kind, &self.name, text, timestamp)?;
        let verified = self.public.verify(&message, signature);
        verified.then_some(timestamp)
    }
}

impl PublicKey {
    fn new(kind: SignatureType, bytes: &[u8]) -> Result<Self, suite::KeyError> {
        match kind {
            SignatureType::Ed25519 | SignatureType::Ed25519Cosignature => {
                suite::VerifyingKey::from_bytes(ED25519, bytes).map(Self::Ed25519)
            }
            SignatureType::MlDsa44Cosignature => {
                // Every string of the right length is a key (FIPS 204, algorithm 23).
                let encoded = bytes.try_into().map_err(|_| suite::KeyError::Length {
                    expected: ML_DSA_44_PUBLIC_LEN,
                    actual: bytes.len(),
                })?;
                Ok(Self::MlDsa44(ml_dsa::VerifyingKey::decode(encoded)))
            }
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => key.verify(message, signature).is_ok(),
            Self::MlDsa44(key) => ml_dsa::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = to_base64(&[&[self.kind as u8], self.public()].concat());
        write!(f, "{}+{:08x}+{key}", self.name, self.id)
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = NoteKeyError;

    fn from_str(vkey: &str) -> Result<Self, NoteKeyError> {
        if vkey.len() > MAX_VKEY_LEN {
            return Err(NoteKeyError::Format);
        }
        let mut parts = vkey.splitn(3, '+');
        let mut part = || parts.next().ok_or(NoteKeyError::Format);
        let (name, id, key) = (part()?, part()?, part()?);
        let key = from_base64(key).ok_or(NoteKeyError::Format)?;
        let (kind, public) = key.split_first().ok_or(NoteKeyError::Format)?;
        let kind = SignatureType::from_byte(*kind).ok_or(NoteKeyError::Type(*kind))?;
        let parsed = Self::new(name, kind, public)?;
        match format!("{:08x}", parsed.id) == id {
            true => Ok(parsed),
            false => Err(NoteKeyError::KeyId),
        }
    }
}

/// A private key with its name. Its memory is wiped on drop, and `Debug` shows the public key.
#[derive(Clone)]
pub struct SignerKey {
    verifier: VerifierKey,
    secret: SecretKey,
}

#[derive(Clone)]
enum SecretKey {
    Ed25519(suite::SigningKey),
    MlDsa44(ml_dsa::SigningKey<MlDsa44>),
}

impl SignerKey {
    /// Makes the key from 32 secret random bytes: the seed of RFC 8032 or of FIPS 204.
    pub fn from_seed(
        name: &str,
        kind: SignatureType,
        seed: &[u8; 32],
    ) -> Result<Self, NoteKeyError> {
        let (secret, public) = match kind {
            SignatureType::Ed25519 | SignatureType::Ed25519Cosignature => {
                let key = suite::SigningKey::from_bytes(ED25519, seed)?;
                let public = key.public_key();
                (SecretKey::Ed25519(key), public)
            }
            SignatureType::MlDsa44Cosignature => {
                let key = ml_dsa::SigningKey::<MlDsa44>::from_seed(seed.into());
                let public = key.verifying_key().encode().to_vec();
                (SecretKey::MlDsa44(key), public)
            }
        };
        let verifier = VerifierKey::new(name, kind, &public)?;
        Ok(Self { verifier, secret })
    }

    /// The public key.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs the text of a note; only cosignatures have a timestamp. Deterministic with every type,
    /// so that the same statement always has the same bytes. None if it can sign nothing about this
    /// text.
    pub(super) fn sign(&self, text: &str, timestamp: u64) -> Option<Vec<u8>> {
        let VerifierKey { kind, name, .. } = &self.verifier;
        let message = message(*kind, name, text, timestamp)?;
        let signature = match &self.secret {
            SecretKey::Ed25519(key) => key.sign(&message),
            SecretKey::MlDsa44(key) => key.try_sign(&message).ok()?.encode().to_vec(),
        };
        Some(match kind.is_cosignature() {
            true => cosignature::join(timestamp, &signature),
            false => signature,
        })
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.verifier)
    }
}
