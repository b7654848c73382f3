//! The user's side (section "User Operations"): verifying responses.
//!
//! A [`Verifier`] knows one log's configuration. Each operation takes the kept state, the request
//! and the bytes of the response, and returns a new state only if everything verified; the old
//! state is never touched.

mod consume;
mod credential;
mod ladder;
mod monitor;
mod search;
mod state;
mod tree_head;
mod update;

pub use credential::{Awaited, CredentialMade, CredentialVerified, ProvisionalCredential};
pub use monitor::{ContactMonitored, DistinguishedWalked, OwnerInitialized, OwnerMonitored};
pub use search::{SearchVerified, VerifiedValue};
pub use state::{OwnerState, TreeState, TreeView};
pub use update::{UpdateVerified, VerifiedUpdate};

use crate::error::VerifyError;
use crate::suite::{SignatureError, VerifyingKey, VrfPublicKey};
use crate::wire::{Configuration, ConfigurationError, DeploymentMode};

/// Verifies what one log says.
#[derive(Debug, Clone)]
pub struct Verifier {
    config: Configuration,
    signature_key: VerifyingKey,
    vrf_key: VrfPublicKey,
    /// The Service Operator's key, in Third-Party Management mode.
    leaf_key: Option<VerifyingKey>,
    /// The auditor's key, in Third-Party Auditing mode.
    auditor_key: Option<VerifyingKey>,
    /// Whether heads must agree with the user's clock.
    has_clock: bool,
}

impl Verifier {
    /// Checks the configuration itself: its keys, and that a lifetime is longer than the RMW.
    pub fn new(config: Configuration) -> Result<Self, ConfigurationError> {
        if let Some(lifetime) = config.maximum_lifetime
            && (lifetime == 0 || lifetime <= config.reasonable_monitoring_window)
        {
            return Err(ConfigurationError::Lifetime {
                lifetime,
                rmw: config.reasonable_monitoring_window,
            });
        }
        let suite = config.ciphersuite;
        let key = |bytes: &[u8], name| {
            VerifyingKey::from_bytes(suite, bytes).map_err(|_| ConfigurationError::Key(name))
        };
        let (mut leaf_key, mut auditor_key) = (None, None);
        match &config.mode {
            DeploymentMode::ContactMonitoring => {}
            DeploymentMode::ThirdPartyManagement { leaf_public_key } => {
                leaf_key = Some(key(leaf_public_key, "leaf_public_key")?);
            }
            DeploymentMode::ThirdPartyAuditing {
                auditor_public_key, ..
            } => auditor_key = Some(key(auditor_public_key, "auditor_public_key")?),
        }
        Ok(Self {
            signature_key: key(&config.signature_public_key, "signature_public_key")?,
            vrf_key: VrfPublicKey::from_bytes(suite, &config.vrf_public_key)
                .map_err(|_| ConfigurationError::Key("vrf_public_key"))?,
            leaf_key,
            auditor_key,
            has_clock: true,
            config,
        })
    }

    /// The same for whoever judges later what was said at some time: heads may be of any time. For
    /// evidence, never for use.
    pub fn at_any_time(&self) -> Self {
        Self {
            has_clock: false,
            ..self.clone()
        }
    }

    /// Checks the log's signature over `message`.
    pub(crate) fn check_signed(&self, message: &[u8], by: &[u8]) -> Result<(), SignatureError> {
        self.signature_key.verify(message, by)
    }

    /// The log's configuration.
    pub fn config(&self) -> &Configuration {
        &self.config
    }
}

/// A request must advertise exactly the tree size that is kept.
fn check_last(state: Option<&TreeState>, last: Option<u64>) -> Result<(), VerifyError> {
    if state.map(|state| state.tree_size()) == last {
        Ok(())
    } else {
        Err(VerifyError::Request("`last` is not the kept tree size"))
    }
}
