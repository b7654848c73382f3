//! `Configuration` (section "Tree Head Signature").

use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, Reader, Width, Writer};
use crate::suite::{CipherSuite, sha256};
use crate::wire::HashValue;

/// The long-term configuration of a Transparency Log. All of it stands in every signed head, so a
/// log cannot change any of it unseen. Durations are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The cipher suite.
    pub ciphersuite: CipherSuite,
    /// How the log is deployed, with the fields that only that mode has.
    pub mode: DeploymentMode,
    /// Verifies `TreeHead.signature`; the suite's signature key encoding.
    pub signature_public_key: Vec<u8>,
    /// Verifies VRF proofs; the suite's VRF key encoding.
    pub vrf_public_key: Vec<u8>,
    /// How far ahead of the user's clock a head may be.
    pub max_ahead: u64,
    /// How far behind the user's clock a head may be.
    pub max_behind: u64,
    /// The Reasonable Monitoring Window.
    pub reasonable_monitoring_window: u64,
    /// The age at which log entries expire, if they do.
    pub maximum_lifetime: Option<u64>,
}

/// `DeploymentMode`, with the fields that `Configuration` selects by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeploymentMode {
    /// Users who looked up a label monitor it (1).
    ContactMonitoring,
    /// A third party keeps the tree (2).
    ThirdPartyManagement {
        /// Verifies the Service Operator's signature on each value.
        leaf_public_key: Vec<u8>,
    },
    /// A third party replays the tree and signs its heads (3).
    ThirdPartyAuditing {
        /// How far the auditor may lag behind the rightmost log entry, in milliseconds.
        max_auditor_lag: u64,
        /// The first log entry that the auditor processed.
        auditor_start_pos: u64,
        /// Verifies the auditor's signatures.
        auditor_public_key: Vec<u8>,
    },
}

/// Why a configuration cannot be used, although it is well encoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigurationError {
    /// A lifetime must be greater than zero and than the RMW (section "Maximum Lifetime").
    #[error("maximum_lifetime is {lifetime} ms, must be greater than the RMW of {rmw} ms")]
    Lifetime {
        /// `maximum_lifetime`.
        lifetime: u64,
        /// `reasonable_monitoring_window`.
        rmw: u64,
    },
    /// A public key that the cipher suite refuses.
    #[error("{0} is not a valid public key of the cipher suite")]
    Key(&'static str),
}

impl Configuration {
    /// SHA-256 of the encoded configuration: how the log is told from every other.
    pub fn hash(&self) -> Result<HashValue, crate::codec::EncodeError> {
        Ok(sha256(&[&self.to_bytes()?]))
    }

    /// Whether users who look up a label must monitor it.
    pub fn is_contact_monitoring(&self) -> bool {
        self.mode == DeploymentMode::ContactMonitoring
    }

    /// Whether a third party keeps the tree, and the Service Operator signs values.
    pub fn is_third_party_management(&self) -> bool {
        matches!(self.mode, DeploymentMode::ThirdPartyManagement { .. })
    }

    pub(crate) fn is_third_party_auditing(&self) -> bool {
        matches!(self.mode, DeploymentMode::ThirdPartyAuditing { .. })
    }

    /// Whether a log entry of this timestamp is expired (section "Maximum Lifetime").
    pub fn is_expired(&self, timestamp: u64, rightmost: u64) -> bool {
        self.maximum_lifetime
            .is_some_and(|lifetime| rightmost.saturating_sub(timestamp) >= lifetime)
    }

    /// Whether an entry between these two timestamps is distinguished (section "Reasonable
    /// Monitoring Window"; "less than", so that an RMW of zero makes every entry distinguished).
    pub fn is_distinguished_between(&self, left: u64, right: u64) -> bool {
        right.saturating_sub(left) >= self.reasonable_monitoring_window
    }
}

impl DeploymentMode {
    /// The value of the enumeration on the wire.
    pub fn to_u8(&self) -> u8 {
        match self {
            Self::ContactMonitoring => 1,
            Self::ThirdPartyManagement { .. } => 2,
            Self::ThirdPartyAuditing { .. } => 3,
        }
    }
}

impl Encode for Configuration {
    fn encode(&self, w: &mut Writer) {
        w.u16(self.ciphersuite.to_u16());
        w.u8(self.mode.to_u8());
        w.opaque(
            Width::Two,
            &self.signature_public_key,
            "signature_public_key",
        );
        w.opaque(Width::Two, &self.vrf_public_key, "vrf_public_key");
        match &self.mode {
            DeploymentMode::ContactMonitoring => {}
            DeploymentMode::ThirdPartyManagement { leaf_public_key } => {
                w.opaque(Width::Two, leaf_public_key, "leaf_public_key");
            }
            DeploymentMode::ThirdPartyAuditing {
                max_auditor_lag,
                auditor_start_pos,
                auditor_public_key,
            } => {
                w.u64(*max_auditor_lag);
                w.u64(*auditor_start_pos);
                w.opaque(Width::Two, auditor_public_key, "auditor_public_key");
            }
        }
        w.u64(self.max_ahead);
        w.u64(self.max_behind);
        w.u64(self.reasonable_monitoring_window);
        w.optional(self.maximum_lifetime.as_ref(), |w, n| w.u64(*n));
    }
}

impl Decode<()> for Configuration {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        let suite = r.u16("ciphersuite")?;
        let ciphersuite = CipherSuite::from_u16(suite).ok_or(DecodeError::Enumeration {
            what: "CipherSuite",
            value: suite.into(),
        })?;
        let mode = r.u8("mode")?;
        let signature_public_key = r.opaque(Width::Two, "signature_public_key")?;
        let vrf_public_key = r.opaque(Width::Two, "vrf_public_key")?;
        let mode = match mode {
            1 => DeploymentMode::ContactMonitoring,
            2 => DeploymentMode::ThirdPartyManagement {
                leaf_public_key: r.opaque(Width::Two, "leaf_public_key")?,
            },
            3 => DeploymentMode::ThirdPartyAuditing {
                max_auditor_lag: r.u64("max_auditor_lag")?,
                auditor_start_pos: r.u64("auditor_start_pos")?,
                auditor_public_key: r.opaque(Width::Two, "auditor_public_key")?,
            },
            other => {
                return Err(DecodeError::Enumeration {
                    what: "DeploymentMode",
                    value: other.into(),
                });
            }
        };
        Ok(Self {
            ciphersuite,
            mode,
            signature_public_key,
            vrf_public_key,
            max_ahead: r.u64("max_ahead")?,
            max_behind: r.u64("max_behind")?,
            reasonable_monitoring_window: r.u64("reasonable_monitoring_window")?,
            maximum_lifetime: r.optional("maximum_lifetime", |r| r.u64("maximum_lifetime"))?,
        })
    }
}
