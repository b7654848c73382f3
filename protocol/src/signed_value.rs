//! `SignedValue`: the envelope by which a label's owner, and nobody else, says what comes next.
//!
//! To the draft a value is opaque. A directory that requires this envelope publishes with every
//! value the public key that must sign the next one, so that a version which the directory slips
//! in is not merely visible to the owner later: it is invalid to every contact at once.
//!
//! ```text
//! enum { update(1), recovery(2), (255) } Signer;
//!
//! struct {
//!   Signer signer;
//!   opaque signature[64];              // Ed25519 (RFC 8032) over SignedValueTBS
//! } SignerSignature;
//!
//! struct {
//!   opaque type<1..2^8-1> = "overt.value/v1";
//!   opaque value<0..2^32-1>;           // the application's
//!   opaque update_key[32];             // Ed25519; signs the next version
//!   optional<opaque> recovery_key[32]; // Ed25519; may sign the next version instead
//!   optional<SignerSignature> signature; // absent in version 0, present from version 1 on
//! } SignedValue;
//!
//! struct {
//!   opaque context<1..2^8-1> = "overt.value-signature/v1";
//!   opaque config_hash[32];            // SHA-256 of the log's encoded Configuration
//!   opaque label<0..2^8-1>;
//!   uint32 version;
//!   opaque previous_hash[32];          // SHA-256 of the encoded SignedValue of version - 1
//!   Signer signer;
//!   opaque type<1..2^8-1>;             // the four fields of the value being signed
//!   opaque value<0..2^32-1>;
//!   opaque update_key[32];
//!   optional<opaque> recovery_key[32];
//! } SignedValueTBS;
//! ```
//!
//! Keys are Ed25519 whatever the cipher suite of the log is. Version 0 carries no signature: that
//! the right person registered a label is what people have to compare.

use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Width, Writer};
use crate::suite::{CipherSuite, KeyError, SignatureError, SigningKey, VerifyingKey, sha256};
use crate::wire::{HashValue, encode_label};

const TYPE: &[u8] = b"overt.value/v1";
const CONTEXT: &[u8] = b"overt.value-signature/v1";
/// The scheme of update and recovery keys, independent of the log's suite.
const KEYS: CipherSuite = CipherSuite::Kt128Sha256Ed25519;

/// Bytes of an update or recovery public key.
pub const PUBLIC_KEY_LEN: usize = 32;
/// Bytes of a signature.
const SIGNATURE_LEN: usize = 64;

/// A label's value together with who may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedValue {
    /// The application's bytes.
    pub value: Vec<u8>,
    /// The Ed25519 public key that signs the next version.
    pub update_key: [u8; PUBLIC_KEY_LEN],
    /// The Ed25519 public key that may sign the next version if the update key is lost.
    pub recovery_key: Option<[u8; PUBLIC_KEY_LEN]>,
    /// By a key of the previous version; absent in version 0.
    pub signature: Option<SignerSignature>,
}

/// Which key of the previous version signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Signer {
    /// The update key: an ordinary change (1).
    UpdateKey = 1,
    /// The recovery key: contacts are told so (2).
    RecoveryKey = 2,
}

/// A signature and the role of the key that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerSignature {
    /// Which key.
    pub signer: Signer,
    /// Over the `SignedValueTBS`.
    pub signature: [u8; SIGNATURE_LEN],
}

/// Why a value may not stand where it does. In a published version this is misbehaviour of the
/// directory, which must not have accepted it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignedValueError {
    /// The bytes are not an encoding of a `SignedValue`.
    #[error("not a signed value: {0}")]
    Decode(#[from] DecodeError),
    /// A field does not fit its wire format.
    #[error("a signed value cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// Not a usable Ed25519 public key, or not the private key that was expected.
    #[error("{role}: {error}")]
    Key {
        /// The field.
        role: &'static str,
        /// What is wrong.
        error: KeyError,
    },
    /// The recovery key is the update key, so that recoveries could not be told apart.
    #[error("the recovery key is the same as the update key")]
    SameKeys,
    /// Version 0 carries a signature.
    #[error("the first version carries a signature, which nothing can verify")]
    SignatureSurplus,
    /// A later version carries no signature.
    #[error("no key of the previous version signed this value")]
    SignatureMissing,
    /// Version 0 was given where a later one is due.
    #[error("version 0 has no previous version")]
    NoPrevious,
    /// A recovery signature, but the previous version has no recovery key.
    #[error("signed with a recovery key, but the previous version has none")]
    NoRecoveryKey,
    /// The signature is not by the named key of the previous version over this value.
    #[error("the signature of the previous version's key does not verify")]
    Signature(#[source] SignatureError),
    /// The private key at hand is not the one that the previous version names.
    #[error("this private key is not the one that the previous version names")]
    WrongSigner,
}

impl SignedValueError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Decode(_) => "signed-value-encoding",
            Self::Encode(_) => "signed-value-encoding-limits",
            Self::Key { .. } => "signed-value-key",
            Self::SameKeys => "signed-value-same-keys",
            Self::SignatureSurplus => "signed-value-signature-surplus",
            Self::SignatureMissing => "signed-value-signature-missing",
            Self::NoPrevious => "signed-value-no-previous",
            Self::NoRecoveryKey => "signed-value-no-recovery-key",
            Self::Signature(_) => "signed-value-signature",
            Self::WrongSigner => "signed-value-wrong-signer",
        }
    }
}

impl SignedValue {
    /// A value without a signature, as version 0 has it.
    pub fn new(
        value: Vec<u8>,
        update_key: [u8; PUBLIC_KEY_LEN],
        recovery_key: Option<[u8; PUBLIC_KEY_LEN]>,
    ) -> Self {
        Self {
            value,
            update_key,
            recovery_key,
            signature: None,
        }
    }

    /// Decodes what [`Encode::to_bytes`] made, strictly.
    pub fn decode(bytes: &[u8]) -> Result<Self, SignedValueError> {
        Ok(<Self as Decode<()>>::from_bytes(bytes, &())?)
    }

    /// The encoding.
    pub fn encode(&self) -> Result<Vec<u8>, SignedValueError> {
        Ok(self.to_bytes()?)
    }

    /// Signs this value as `version` of `label` with a key of the previous version.
    ///
    /// # Errors
    /// [`SignedValueError::WrongSigner`] if `key` is not the one that the previous version names
    /// for `signer`.
    pub fn sign(
        &mut self,
        config_hash: &HashValue,
        label: &[u8],
        version: u32,
        previous_bytes: &[u8],
        signer: Signer,
        key: &SigningKey,
    ) -> Result<(), SignedValueError> {
        self.check_keys()?;
        let previous = Self::decode(previous_bytes)?;
        if version == 0 {
            return Err(SignedValueError::NoPrevious);
        }
        if key.suite() != KEYS || previous.key_of(signer)?.as_slice() != key.public_key() {
            return Err(SignedValueError::WrongSigner);
        }
        let tbs = self.tbs(config_hash, label, version, previous_bytes, signer)?;
        let signature = key.sign(&tbs).try_into();
        self.signature = Some(SignerSignature {
            signer,
            signature: signature.map_err(|_| SignedValueError::WrongSigner)?,
        });
        Ok(())
    }

    /// Checks that this can stand as version 0: usable keys and no signature.
    pub fn verify_first(&self) -> Result<(), SignedValueError> {
        self.check_keys()?;
        match self.signature {
            None => Ok(()),
            Some(_) => Err(SignedValueError::SignatureSurplus),
        }
    }

    /// Checks that this can stand as `version`, at least 1, of `label` after the encoded
    /// `SignedValue` of `version - 1`. Tells which of the two keys signed.
    pub fn verify_successor(
        &self,
        config_hash: &HashValue,
        label: &[u8],
        version: u32,
        previous_bytes: &[u8],
    ) -> Result<Signer, SignedValueError> {
        if version == 0 {
            return Err(SignedValueError::NoPrevious);
        }
        self.check_keys()?;
        let previous = Self::decode(previous_bytes)?;
        let SignerSignature { signer, signature } = self
            .signature
            .as_ref()
            .ok_or(SignedValueError::SignatureMissing)?;
        let tbs = self.tbs(config_hash, label, version, previous_bytes, *signer)?;
        let role = match signer {
            Signer::UpdateKey => "previous update key",
            Signer::RecoveryKey => "previous recovery key",
        };
        key(role, previous.key_of(*signer)?)?
            .verify(&tbs, signature)
            .map_err(SignedValueError::Signature)?;
        Ok(*signer)
    }

    fn key_of(&self, signer: Signer) -> Result<&[u8; PUBLIC_KEY_LEN], SignedValueError> {
        match signer {
            Signer::UpdateKey => Ok(&self.update_key),
            Signer::RecoveryKey => self
                .recovery_key
                .as_ref()
                .ok_or(SignedValueError::NoRecoveryKey),
        }
    }

    /// A key that cannot verify would lock the label; one of small order would open it to all.
    fn check_keys(&self) -> Result<(), SignedValueError> {
        key("update key", &self.update_key)?;
        if let Some(recovery_key) = &self.recovery_key {
            key("recovery key", recovery_key)?;
            if *recovery_key == self.update_key {
                return Err(SignedValueError::SameKeys);
            }
        }
        Ok(())
    }

    fn tbs(
        &self,
        config_hash: &HashValue,
        label: &[u8],
        version: u32,
        previous_bytes: &[u8],
        signer: Signer,
    ) -> Result<Vec<u8>, SignedValueError> {
        let mut w = Writer::default();
        w.opaque(Width::One, CONTEXT, "context");
        w.bytes(config_hash);
        encode_label(&mut w, label);
        w.u32(version);
        w.bytes(&sha256(&[previous_bytes]));
        w.u8(signer as u8);
        self.encode_unsigned(&mut w);
        Ok(w.finish()?)
    }

    fn encode_unsigned(&self, w: &mut Writer) {
        w.opaque(Width::One, TYPE, "type");
        w.opaque(Width::Four, &self.value, "value");
        w.bytes(&self.update_key);
        w.optional(self.recovery_key.as_ref(), |w, key| w.bytes(key));
    }
}

fn key(role: &'static str, bytes: &[u8]) -> Result<VerifyingKey, SignedValueError> {
    VerifyingKey::from_bytes(KEYS, bytes).map_err(|error| SignedValueError::Key { role, error })
}

impl Encode for SignedValue {
    fn encode(&self, w: &mut Writer) {
        self.encode_unsigned(w);
        w.optional(self.signature.as_ref(), |w, s| {
            w.u8(s.signer as u8);
            w.bytes(&s.signature);
        });
    }
}

impl Decode<()> for SignedValue {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        let found = r.opaque(Width::One, "type")?;
        if found != TYPE {
            return Err(DecodeError::Enumeration {
                what: "SignedValue type",
                // The length is all that fits; the text is not ours to show.
                value: u64::try_from(found.len()).unwrap_or(u64::MAX),
            });
        }
        Ok(Self {
            value: r.opaque(Width::Four, "value")?,
            update_key: r.array("update_key")?,
            recovery_key: r.optional("recovery_key", |r| r.array("recovery_key"))?,
            signature: r.optional("signature", |r| {
                let signer = match r.u8("signer")? {
                    1 => Signer::UpdateKey,
                    2 => Signer::RecoveryKey,
                    other => {
                        return Err(DecodeError::Enumeration {
                            what: "Signer",
                            value: other.into(),
                        });
                    }
                };
                let signature = r.array("signature")?;
                Ok(SignerSignature { signer, signature })
            })?,
        })
    }
}

#[cfg(test)]
mod tests;
