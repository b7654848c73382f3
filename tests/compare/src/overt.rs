//! Overt: the sequencer on SQLite with `synchronous=FULL`, provers and verifiers, without HTTP.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use overt_protocol::auditor::{AuditError, AuditorState};
use overt_protocol::clock::Clock;
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::head_log::key::{SignatureType, SignerKey};
use overt_protocol::head_log::tree::CompactRange;
use overt_protocol::provider::{Tip, auditor_update, search};
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::user::{TreeState, Verifier};
use overt_protocol::wire::{
    AuditorUpdate, Configuration, DeploymentMode, SearchRequest, UpdateValue, VrfInput,
};
use overt_server::access::Token;
use overt_server::directory::Shared;
use overt_server::guard::Guard;
use overt_server::publish::{LogSigner, Publisher};
use overt_server::sequencer::{From, Outcome, Pace, Sequencer, Submission, Updates};
use overt_server::store::SqliteStore;
use tokio::runtime::Runtime;

use crate::Change;

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;
const TOKEN: &str = "the operator";
const ORIGIN: &str = "compare.example/overt";
const DAY: u64 = 24 * 3_600_000;

/// When the directory began.
const BEGAN: u64 = 1_760_000_000_000;

/// Time passes with the changes.
#[derive(Debug)]
struct Calendar {
    changes: AtomicU64,
    per_day: u64,
}

impl Clock for Calendar {
    fn now(&self) -> u64 {
        BEGAN + self.changes.load(Ordering::Relaxed) * DAY / self.per_day
    }
}

/// A directory, and what its users and its auditor keep.
pub struct Overt {
    shared: Arc<Shared<SqliteStore>>,
    clock: Arc<Calendar>,
    updates: Updates,
    verifier: Verifier,
    versions: HashMap<Vec<u8>, u32>,
}

impl Overt {
    /// A new directory. Batches end with the update that completes `batch`.
    pub fn new(
        runtime: &Runtime,
        folder: &Path,
        batch: usize,
        per_day: u64,
        cache: u64,
    ) -> anyhow::Result<Self> {
        let signing = SigningKey::from_bytes(SUITE, &[0x11; 32])?;
        let vrf = VrfSecretKey::from_bytes(SUITE, &[0x22; 32])?;
        let config = Configuration {
            ciphersuite: SUITE,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: signing.public_key(),
            vrf_public_key: vrf.public_key(),
            max_ahead: 60_000,
            max_behind: DAY,
            reasonable_monitoring_window: DAY,
            maximum_lifetime: None,
        };
        let clock = Arc::new(Calendar {
            changes: AtomicU64::new(0),
            per_day,
        });
        let store = SqliteStore::open(&folder.join("overt.sqlite3"))?;
        let shared = Arc::new(Shared::new(
            store,
            config.clone(),
            vrf,
            Arc::clone(&clock) as Arc<dyn Clock>,
            cache,
        ));
        let access = Token {
            token: TOKEN.to_owned().into(),
        };
        let pace = Pace {
            interval: Duration::from_millis(50),
            max_updates: batch,
            max_leaves_per_entry: 255,
            heartbeat: Duration::from_secs(3_600),
            padding: None,
            promise: Duration::ZERO,
        };
        let keys = [SignatureType::Ed25519, SignatureType::MlDsa44Cosignature];
        let keys = keys.map(|kind| SignerKey::from_seed(ORIGIN, kind, &[0x33; 32]));
        let signer = LogSigner {
            origin: ORIGIN.to_owned(),
            keys: keys.into_iter().collect::<Result<_, _>>()?,
        };
        let (publisher, heads) = Publisher::new(Arc::clone(&shared), signer, None);
        let from = From {
            tip: Tip::empty(),
            guard: Guard::new(folder.join("guard")),
            swept: 0,
            head_log: CompactRange::default(),
            heads: heads.clone(),
        };
        let (mut sequencer, updates) = Sequencer::new(
            Arc::clone(&shared),
            Arc::new(access),
            signing,
            pace,
            batch,
            from,
        );
        let first = sequencer.heartbeat()?;
        publisher.resume(&first)?;
        runtime.block_on(heads.send(first))?;
        drop(heads);
        runtime.spawn(publisher.run());
        runtime.spawn(sequencer.run());
        Ok(Self {
            shared,
            clock,
            updates,
            verifier: Verifier::new(config)?,
            versions: HashMap::new(),
        })
    }

    /// What asks for the changes.
    pub fn submissions(&mut self, changes: &[Change]) -> Vec<Submission> {
        let submission = |(label, value): &Change| {
            let known = self.versions.get(label).copied();
            let next = known.map_or(0, |version| version + 1);
            self.versions.insert(label.clone(), next);
            Submission {
                label: label.clone(),
                greatest_version: known,
                values: vec![UpdateValue {
                    value: value.clone(),
                    signature: None,
                }],
                signed_version: None,
            }
        };
        changes.iter().map(submission).collect()
    }

    /// Makes changes in one batch; all are durable and published afterwards.
    pub fn submit(&self, runtime: &Runtime, submissions: Vec<Submission>) -> anyhow::Result<()> {
        let count = u64::try_from(submissions.len())?;
        self.clock.changes.fetch_add(count, Ordering::Relaxed);
        let waiting = submissions.into_iter().map(|submission| {
            let token = Some(TOKEN.to_owned().into());
            self.updates.update(submission, token)
        });
        for outcome in runtime.block_on(join_all(waiting)) {
            anyhow::ensure!(matches!(outcome?, Outcome::Created(_)), "behind");
        }
        Ok(())
    }

    /// Both.
    pub fn publish(&mut self, runtime: &Runtime, changes: &[Change]) -> anyhow::Result<()> {
        let submissions = self.submissions(changes);
        self.submit(runtime, submissions)
    }

    /// VRF outputs of new labels, as the sequencer computes them, on one core.
    pub fn vrf_outputs(&self, changes: &[Change]) -> anyhow::Result<usize> {
        let mut made = 0;
        for chunk in changes.chunks(125) {
            let inputs = chunk
                .iter()
                .map(|(label, _)| VrfInput { label, version: 0 }.to_bytes())
                .collect::<Result<Vec<_>, _>>()?;
            let alphas: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
            made += self.shared.vrf.outputs(&alphas).len();
        }
        Ok(made)
    }

    /// The response to a search by a user whose tree had `last` entries.
    pub fn respond(
        &self,
        label: &[u8],
        version: Option<u32>,
        last: Option<u64>,
    ) -> anyhow::Result<(SearchRequest, Vec<u8>)> {
        let request = SearchRequest {
            last,
            label: label.to_vec(),
            version,
        };
        let response = search(&self.shared.snapshot()?, &request)?;
        Ok((request, response.to_bytes()?))
    }

    /// Verifies such a response.
    pub fn verify(
        &self,
        state: Option<&TreeState>,
        (request, response): &(SearchRequest, Vec<u8>),
    ) -> anyhow::Result<TreeState> {
        Ok(self
            .verifier
            .search(state, request, response, self.clock.now())?
            .state)
    }

    /// How many entries the log has.
    pub fn size(&self) -> anyhow::Result<u64> {
        Ok(self
            .shared
            .published()
            .context("nothing is published")?
            .tree_size)
    }

    /// The `AuditorUpdate`s of log entries.
    pub fn auditor_updates(&self, from: u64, to: u64) -> anyhow::Result<Vec<Vec<u8>>> {
        let at = self.shared.snapshot()?;
        (from..to)
            .map(|position| Ok(auditor_update(&at, position)?.to_bytes()?))
            .collect()
    }

    /// Replays them.
    pub fn replay(
        &self,
        state: &AuditorState,
        updates: &[Vec<u8>],
    ) -> anyhow::Result<AuditorState> {
        let mut state = state.clone();
        for update in updates {
            let update = AuditorUpdate::from_bytes(update, &())?;
            state = state.apply(&self.shared.config, &update, |_, _| {
                Ok::<_, AuditError>(false)
            })?;
        }
        Ok(state)
    }
}
