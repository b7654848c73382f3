//! What tells one log of the vectors from the other: cipher suite, mode, and lifetime.

use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::{Configuration, DeploymentMode};

use serde_json::{Value, json};

use super::seed;

/// The Reasonable Monitoring Window, in milliseconds.
const WINDOW: u64 = 30_000;
/// The lifetime, where there is one: entries in the left half of the log expire.
const LIFETIME: u64 = 130_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) suite: CipherSuite,
    /// As in `Configuration.mode`.
    pub(super) mode: u8,
    pub(super) lifetime: bool,
}

impl Setting {
    /// Every combination.
    pub(super) fn all() -> Vec<Self> {
        let mut out = Vec::new();
        for suite in CipherSuite::ALL {
            for mode in 1..=3 {
                for lifetime in [false, true] {
                    out.push(Self {
                        suite,
                        mode,
                        lifetime,
                    });
                }
            }
        }
        out
    }

    /// Ed25519 without a lifetime: what need not be in every file is in that of its mode.
    pub(super) fn is_plain(&self) -> bool {
        self.suite == CipherSuite::Kt128Sha256Ed25519 && !self.lifetime
    }

    /// The stem of a file's name.
    pub(super) fn name(&self) -> String {
        let lifetime = if self.lifetime { "-lifetime" } else { "" };
        format!("suite{}-mode{}{lifetime}", self.suite.to_u16(), self.mode)
    }

    /// The private key of the log.
    pub(super) fn signing_key(&self) -> SigningKey {
        self.key("signature")
    }

    /// The Service Operator's, in Third-Party Management mode.
    pub(super) fn leaf_key(&self) -> Option<SigningKey> {
        (self.mode == 2).then(|| self.key("leaf"))
    }

    /// The auditor's, in Third-Party Auditing mode.
    pub(super) fn auditor_key(&self) -> Option<SigningKey> {
        (self.mode == 3).then(|| self.key("auditor"))
    }

    fn key(&self, name: &str) -> SigningKey {
        SigningKey::from_bytes(self.suite, &seed(name)).unwrap()
    }

    pub(super) fn vrf_key(&self) -> VrfSecretKey {
        VrfSecretKey::from_bytes(self.suite, &seed("vrf")).unwrap()
    }

    /// The private keys as a file holds them.
    pub(super) fn private_keys(&self) -> Value {
        let mut keys = json!({});
        let mut add = |name: &str| keys[name] = json!(hex::encode(seed(name)));
        add("signature");
        add("vrf");
        match self.mode {
            2 => add("leaf"),
            3 => add("auditor"),
            _ => {}
        }
        keys
    }

    pub(super) fn configuration(&self) -> Configuration {
        let public = |key: Option<SigningKey>| key.map(|key| key.public_key()).unwrap_or_default();
        Configuration {
            ciphersuite: self.suite,
            mode: match self.mode {
                1 => DeploymentMode::ContactMonitoring,
                2 => DeploymentMode::ThirdPartyManagement {
                    leaf_public_key: public(self.leaf_key()),
                },
                _ => DeploymentMode::ThirdPartyAuditing {
                    max_auditor_lag: 60_000,
                    auditor_start_pos: 2,
                    auditor_public_key: public(self.auditor_key()),
                },
            },
            signature_public_key: self.signing_key().public_key(),
            vrf_public_key: self.vrf_key().public_key(),
            max_ahead: 60_000,
            max_behind: 86_400_000,
            reasonable_monitoring_window: WINDOW,
            maximum_lifetime: self.lifetime.then_some(LIFETIME),
        }
    }
}
