//! What is fixed for one history, all drawn from its seed.

use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::{Configuration, DeploymentMode};

use crate::random::Random;
use crate::support::MemoryLog;

/// Durations are in milliseconds, as in the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) suite: CipherSuite,
    pub(crate) rmw: u64,
    pub(crate) lifetime: Option<u64>,
    /// The shortest and the longest time between two log entries.
    pub(crate) min_gap: u64,
    pub(crate) max_gap: u64,
    pub(crate) max_ahead: u64,
    pub(crate) max_behind: u64,
    /// Log entries at the end.
    pub(crate) size: u64,
}

impl Settings {
    pub(crate) fn honest(random: &mut Random) -> Self {
        let p256 = random.one_in(50);
        let rmw = *random.pick(&[0, 100, 1_000, 3_000, 10_000]).unwrap();
        let max_gap = *random.pick(&[200, 1_000, 4_000]).unwrap();
        // One in three histories ends with many log entries within one RMW.
        let (rmw, max_gap) = match random.one_in(3) {
            true => (20_000, 200),
            false => (rmw, max_gap),
        };
        let lifetime = random
            .one_in(3)
            .then(|| rmw + 1 + random.below(3 * rmw + 2_000));
        Self {
            suite: match p256 {
                true => CipherSuite::Kt128Sha256P256,
                false => CipherSuite::Kt128Sha256Ed25519,
            },
            rmw,
            lifetime,
            min_gap: 0,
            max_gap,
            max_ahead: random.below(5_000),
            max_behind: max_gap + random.below(5_000),
            size: random.between(10, if p256 { 16 } else { 36 }),
        }
    }

    /// Log entries come often enough for distinguished ones to come about once in the RMW.
    pub(crate) fn dishonest(random: &mut Random, expires: bool) -> Self {
        let rmw = 1_000;
        Self {
            suite: CipherSuite::Kt128Sha256Ed25519,
            rmw,
            lifetime: expires.then(|| rmw + 200 + random.below(800)),
            min_gap: 20,
            max_gap: 200 + random.below(200),
            max_ahead: random.below(500),
            max_behind: 600 + random.below(400),
            size: 70,
        }
    }

    pub(crate) fn empty_log(&self) -> MemoryLog {
        let signing = SigningKey::from_bytes(self.suite, &[7; 32]).unwrap();
        let vrf = VrfSecretKey::from_bytes(self.suite, &[9; 32]).unwrap();
        let config = Configuration {
            ciphersuite: self.suite,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: signing.public_key(),
            vrf_public_key: vrf.public_key(),
            max_ahead: self.max_ahead,
            max_behind: self.max_behind,
            reasonable_monitoring_window: self.rmw,
            maximum_lifetime: self.lifetime,
        };
        MemoryLog::with_config(config, signing, vrf)
    }
}
