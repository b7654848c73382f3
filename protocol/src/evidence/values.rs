//! Two values for one version, by the Service Operator of a log that a third party manages.

use serde::{Deserialize, Serialize};

use crate::codec::Encode;
use crate::evidence::heads::configuration;
use crate::evidence::{Accused, Evidence, EvidenceError, Finding, Hex};
use crate::suite::VerifyingKey;
use crate::wire::{Configuration, DeploymentMode, UpdateTbs, UpdateValue};

/// A value, and the operator's signature on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedUpdate {
    /// The value, in the clear.
    pub value: Hex<Vec<u8>>,
    /// Over [`UpdateTbs`].
    pub signature: Hex<Vec<u8>>,
}

/// Two values for one version of a label, which the Service Operator both signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    /// The encoded `Configuration`, in Third-Party Management mode.
    pub configuration: Hex<Vec<u8>>,
    /// The label, in the clear.
    pub label: Hex<Vec<u8>>,
    /// The version.
    pub version: u32,
    /// One.
    pub first: SignedUpdate,
    /// The other.
    pub second: SignedUpdate,
}

impl SignedUpdate {
    /// None if there is no signature.
    fn new(update: &UpdateValue) -> Option<Self> {
        Some(Self {
            value: Hex(update.value.clone()),
            signature: Hex(update.signature.clone()?),
        })
    }
}

impl Values {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let config = configuration(&self.configuration)?;
        let DeploymentMode::ThirdPartyManagement { leaf_public_key } = &config.mode else {
            return Err(EvidenceError::Parties("the log has no Service Operator"));
        };
        let key = VerifyingKey::from_bytes(config.ciphersuite, leaf_public_key)?;
        for SignedUpdate { value, signature } in [&self.first, &self.second] {
            let tbs = UpdateTbs {
                config: &config,
                label: &self.label.0,
                version: self.version,
                value: &value.0,
            };
            key.verify(&tbs.to_bytes()?, &signature.0)
                .map_err(EvidenceError::Value)?;
        }
        if self.first.value == self.second.value {
            return Err(EvidenceError::NoContradiction("the values are the same"));
        }
        let explanation = format!(
            "The operator signed two different values for version {} of one label. A version has \
             one value: some were given one and others another.",
            self.version
        );
        let accused = vec![Accused::operator(&config.hash()?)];
        Ok(Finding::new("two-values", accused, explanation))
    }
}

impl Evidence {
    /// Two values of one version of a label, with the Service Operator's signatures.
    pub fn values(
        config: &Configuration,
        (label, version): (&[u8], u32),
        first: &UpdateValue,
        second: &UpdateValue,
    ) -> Result<Self, EvidenceError> {
        let signed = |update| {
            let unsigned = EvidenceError::Parties("the log has no Service Operator");
            SignedUpdate::new(update).ok_or(unsigned)
        };
        Self::Values(Values {
            configuration: Hex(config.to_bytes()?),
            label: Hex(label.to_vec()),
            version,
            first: signed(first)?,
            second: signed(second)?,
        })
        .verified()
    }
}
