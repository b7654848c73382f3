//! What is fixed for one history, all drawn from its seed.

use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::{Configuration, DeploymentMode};

use crate::misdeed::Misdeed;
use crate::random::Random;
use crate::support::MemoryLog;

const SEEDS: [u8; 3] = [7, 9, 5];

/// Durations are in milliseconds, as in the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) suite: CipherSuite,
    pub(crate) rmw: u64,
    pub(crate) lifetime: Option<u64>,
    /// How far an auditor may lag, if there is one.
    pub(crate) auditor_lag: Option<u64>,
    /// Of the signature key, the VRF key and the auditor's key.
    pub(crate) seeds: [u8; 3],
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
            auditor_lag: None,
            seeds: SEEDS,
            min_gap: 0,
            max_gap,
            max_ahead: random.below(5_000),
            max_behind: max_gap + random.below(5_000),
            size: random.between(10, if p256 { 16 } else { 36 }),
        }
    }

    /// Log entries come often enough for distinguished ones to come about once in the RMW.
    pub(crate) fn dishonest(random: &mut Random, misdeed: Misdeed) -> Self {
        use Misdeed::*;
        let expires = matches!(misdeed, ExpiredVersionReplaced | ExpiredByDate);
        let is_audited = matches!(misdeed, AuditorStarved | AuditorSwapped | ModeDowngraded);
        let rmw = 1_000;
        Self {
            suite: CipherSuite::Kt128Sha256Ed25519,
            rmw,
            lifetime: expires.then(|| rmw + 200 + random.below(800)),
            auditor_lag: is_audited.then(|| 100 + random.below(900)),
            seeds: SEEDS,
            min_gap: 20,
            max_gap: 200 + random.below(200),
            max_ahead: random.below(500),
            max_behind: 600 + random.below(400),
            size: 70,
        }
    }

    /// The key of the log's signatures, of its VRF, or of the auditor.
    fn seed(&self, index: usize) -> [u8; 32] {
        [self.seeds[index]; 32]
    }

    pub(crate) fn auditor(&self) -> SigningKey {
        SigningKey::from_bytes(self.suite, &self.seed(2)).unwrap()
    }

    pub(crate) fn empty_log(&self) -> MemoryLog {
        let signing = SigningKey::from_bytes(self.suite, &self.seed(0)).unwrap();
        let vrf = VrfSecretKey::from_bytes(self.suite, &self.seed(1)).unwrap();
        let mode = match self.auditor_lag {
            None => DeploymentMode::ContactMonitoring,
            Some(max_auditor_lag) => DeploymentMode::ThirdPartyAuditing {
                max_auditor_lag,
                auditor_start_pos: 0,
                auditor_public_key: self.auditor().public_key(),
            },
        };
        let config = Configuration {
            ciphersuite: self.suite,
            mode,
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
