//! Directories of many labels, 1,000 to a log entry. Only labels that will be searched for have
//! their real VRF outputs: the keys of all others are their hashes, which are as random and cost no
//! curve operation.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use overt_protocol::clock::SystemClock;
use overt_protocol::codec::Encode;
use overt_protocol::provider::{self, Tip, append};
use overt_protocol::suite::{self, CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::user::{TreeState, Verifier};
use overt_protocol::wire::{
    CommitmentValue, Configuration, DeploymentMode, PrefixLeaf, SearchRequest, TreeHead,
    TreeHeadTbs, UpdateValue, VrfInput,
};
use overt_server::directory::Shared;
use overt_server::store::{Batch, Created, SqliteStore, Store};
use sha2::{Digest, Sha256};

pub const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;
pub const BATCH: usize = 1_000;
pub const VALUE_BYTES: usize = 100;
/// Log entries are ten minutes apart, so a directory of 10^6 labels has grown for a week.
pub const INTERVAL: u64 = 600_000;
/// When the directory began: real clocks make its first entry distinguished.
pub const BEGAN: u64 = 1_760_000_000_000;
/// The server's default.
pub const WINDOW: u64 = 24 * 3_600_000;
/// The server's default.
pub const CACHE: u64 = 192 << 20;
/// Labels that are searched for again and again.
pub const REPEATED: usize = 200;
/// Labels that are searched for once.
pub const ONCE: usize = 500;

/// A directory, filled as the sequencer does it.
pub struct Log {
    pub shared: Shared<SqliteStore>,
    pub verifier: Verifier,
    pub labels: usize,
    pub now: u64,
    /// How many labels were searched for once.
    pub searched: AtomicUsize,
    pub tip: Mutex<Tip>,
    pub bytes: i64,
    pub record_bytes: f64,
    signing: SigningKey,
}

/// The searched labels come first in number but are spread over the log entries.
pub fn label(number: usize) -> Vec<u8> {
    format!("someone-{number:07}@example.org").into_bytes()
}

pub fn request(number: usize, last: Option<u64>) -> SearchRequest {
    SearchRequest {
        last,
        label: label(number),
        version: None,
    }
}

impl Log {
    pub fn fill(folder: &Path, labels: usize) -> Self {
        let signing = SigningKey::from_bytes(SUITE, &[0x11; 32]).expect("a valid key");
        let vrf = VrfSecretKey::from_bytes(SUITE, &[0x22; 32]).expect("a valid key");
        let config = Configuration {
            ciphersuite: SUITE,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: signing.public_key(),
            vrf_public_key: vrf.public_key(),
            max_ahead: 60_000,
            max_behind: WINDOW,
            reasonable_monitoring_window: WINDOW,
            maximum_lifetime: None,
        };
        let store = SqliteStore::open(&folder.join(format!("{labels}.sqlite3"))).expect("store");
        let mut log = Self {
            shared: Shared::new(store, config.clone(), vrf, Arc::new(SystemClock), CACHE),
            verifier: Verifier::new(config).expect("a valid configuration"),
            labels,
            now: 0,
            searched: AtomicUsize::new(0),
            tip: Mutex::new(Tip::empty()),
            bytes: 0,
            record_bytes: 0.0,
            signing,
        };
        let entries = labels / BATCH;
        for entry in 0..entries {
            // Neighbours in number, the searched ones too, go into different log entries.
            let numbers = (0..BATCH).map(|i| i * entries + entry);
            log.insert(log.batch(numbers));
        }
        log.publish();
        let now = log.tip().timestamp;
        log.now = now;
        (log.bytes, log.record_bytes) = log.database();
        log
    }

    /// Signs and publishes the tip.
    pub fn publish(&self) {
        let tip = self.tip().clone();
        let tbs = TreeHeadTbs {
            config: &self.shared.config,
            tree_size: tip.size,
            root: tip.root().expect("not empty"),
        };
        let signature = self.signing.sign(&tbs.to_bytes().expect("own head"));
        self.shared.publish(TreeHead {
            tree_size: tip.size,
            signature,
        });
    }

    pub fn tip(&self) -> std::sync::MutexGuard<'_, Tip> {
        self.tip.lock().expect("no other thread")
    }

    /// New labels, after all others.
    pub fn next_batch(&self) -> Prepared {
        let from = usize::try_from(self.tip().next_leaf).expect("small");
        self.batch(from..from + BATCH)
    }

    pub fn batch(&self, numbers: impl Iterator<Item = usize>) -> Prepared {
        let mut prepared = Prepared::default();
        for number in numbers {
            let label = label(number);
            let opening = [7; suite::NC];
            let update = UpdateValue {
                value: vec![0xa5; VALUE_BYTES],
                signature: None,
            };
            let committed = CommitmentValue {
                opening: &opening,
                label: &label,
                version: 0,
                update: &update,
            };
            let committed = committed.to_bytes().expect("in bounds");
            let vrf_output = if number < REPEATED + ONCE {
                let input = VrfInput {
                    label: &label,
                    version: 0,
                };
                let input = input.to_bytes().expect("in bounds");
                self.shared.vrf.output(&input)
            } else {
                Sha256::digest(&label).into()
            };
            prepared.leaves.push(PrefixLeaf {
                vrf_output,
                commitment: suite::commitment(&[&committed]),
            });
            prepared.versions.push(Created {
                label,
                version: 0,
                opened: Some((opening, update)),
            });
        }
        prepared
    }

    /// A log entry with the second version of one of the searched labels, alone.
    pub fn second_version(&self, number: usize) -> Prepared {
        let mut prepared = self.batch(std::iter::once(number));
        let label = label(number);
        let input = VrfInput {
            label: &label,
            version: 1,
        };
        let (Some(version), Some(leaf)) =
            (prepared.versions.first_mut(), prepared.leaves.first_mut())
        else {
            return prepared;
        };
        version.version = 1;
        leaf.vrf_output = self
            .shared
            .vrf
            .output(&input.to_bytes().expect("in bounds"));
        if let Some((opening, update)) = &version.opened {
            let committed = CommitmentValue {
                opening,
                label: &label,
                version: 1,
                update,
            };
            leaf.commitment = suite::commitment(&[&committed.to_bytes().expect("in bounds")]);
        }
        prepared
    }

    pub fn insert(&self, Prepared { leaves, versions }: Prepared) {
        let mut tip = self.tip();
        let records = self.shared.records().expect("store");
        let timestamp = tip.timestamp.max(BEGAN) + INTERVAL;
        let appended = append(&records, &tip, timestamp, &leaves, &[]).expect("new keys");
        drop(records);
        let mut batch = Batch::after(tip.clone());
        let added = leaves.into_iter().zip(versions.into_iter().map(Some));
        batch.push(appended, added.collect(), Vec::new());
        self.shared.store.commit(&tip, &batch).expect("store");
        self.shared.remember(batch.pages);
        *tip = batch.tip;
    }

    pub fn respond(&self, request: &SearchRequest) -> Vec<u8> {
        let snapshot = self.shared.snapshot().expect("published");
        let response = provider::search(&snapshot, request).expect("stored");
        response.to_bytes().expect("in bounds")
    }

    /// The state of a client after its first search.
    pub fn state(&self) -> TreeState {
        let request = request(0, None);
        let response = self.respond(&request);
        let done = self.verifier.search(None, &request, &response, self.now);
        done.expect("own response").state
    }

    /// Bytes of the database, and of what is written of pages for a leaf.
    pub fn database(&self) -> (i64, f64) {
        let reader = self.shared.store.reader().expect("store");
        let one = |sql| reader.query_row(sql, [], |row| row.get(0));
        let bytes = one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
        let record = reader.query_row(
            "SELECT sum(length(records)) * 1.0 / (SELECT max(id) FROM leaf) FROM page",
            [],
            |row| row.get(0),
        );
        (bytes.expect("pragma"), record.expect("pages"))
    }

    pub fn print_sizes(&self) {
        let state = self.state();
        let mean = |last| {
            let bytes: usize = (0..REPEATED)
                .map(|number| self.respond(&request(number, last)).len())
                .sum();
            bytes / REPEATED
        };
        println!(
            "{} labels, {} log entries: search response {} bytes for a new client, {} at the same \
             head; database {} bytes a label, of which pages {:.0}",
            self.labels,
            state.tree_size(),
            mean(None),
            mean(Some(state.tree_size())),
            self.bytes / i64::try_from(self.labels).unwrap_or(i64::MAX),
            self.record_bytes,
        );
    }
}

/// A batch whose VRF outputs and commitments are made.
#[derive(Default)]
pub struct Prepared {
    pub leaves: Vec<PrefixLeaf>,
    pub versions: Vec<Created>,
}
