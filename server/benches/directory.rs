//! The directory on SQLite: a batch of updates made durable, and searches proved and verified, in
//! directories of 10^4, 10^5 and 10^6 labels.
//!
//! The directories are filled as the sequencer does it, 1,000 labels to a log entry, except that
//! only labels that will be searched for have their real VRF outputs: the keys of all others are
//! their hashes, which are as random and cost no curve operation.

use std::fmt;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use overt_protocol::codec::Encode;
use overt_protocol::prefix_tree::LeafPaths;
use overt_protocol::provider::{self, Tip, append};
use overt_protocol::suite::{self, CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::user::{TreeState, Verifier};
use overt_protocol::wire::{
    CommitmentValue, Configuration, DeploymentMode, PrefixLeaf, SearchRequest, TreeHead,
    TreeHeadTbs, UpdateValue, VrfInput,
};
use overt_server::directory::Shared;
use overt_server::store::{Batch, NewVersion, SqliteStore, Store, VersionRow};
use sha2::{Digest, Sha256};

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;
const BATCH: usize = 1_000;
const VALUE_BYTES: usize = 100;
/// Log entries are ten minutes apart, so a directory of 10^6 labels has grown for a week.
const INTERVAL: u64 = 600_000;
/// The server's default.
const WINDOW: u64 = 24 * 3_600_000;
/// The server's default.
const CACHE: u64 = 256 << 20;
/// Labels that are searched for again and again.
const REPEATED: usize = 200;
/// Labels that are searched for once.
const ONCE: usize = 500;

static DIRECTORIES: [OnceLock<Log>; 3] = [const { OnceLock::new() }; 3];
static FOLDER: OnceLock<PathBuf> = OnceLock::new();

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    FOLDER.get_or_init(|| folder.path().to_owned());
    divan::main();
    for log in DIRECTORIES.iter().filter_map(OnceLock::get) {
        log.print_sizes();
    }
}

/// `cargo bench` says so; elsewhere everything runs once, in small directories.
fn measuring() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

#[derive(Clone, Copy)]
struct Labels {
    index: usize,
    count: usize,
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.count.to_string())
    }
}

impl Labels {
    fn log(self) -> &'static Log {
        DIRECTORIES[self.index].get_or_init(|| Log::fill(self.count))
    }
}

fn sizes() -> [Labels; 3] {
    let sizes = if measuring() {
        [10_000, 100_000, 1_000_000]
    } else {
        [1_000, 2_000, 4_000]
    };
    [0, 1, 2].map(|index| Labels {
        index,
        count: sizes[index],
    })
}

/// `append` and `commit` of 1,000 labels whose leaves are ready; each sample goes on from the one
/// before. The records just written are in the cache, as the sequencer leaves them.
#[divan::bench(args = [sizes()[2]], sample_count = 50, sample_size = 1)]
fn insert_1000(bencher: Bencher, labels: Labels) {
    let log = labels.log();
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| log.next_batch())
        .bench_local_values(|batch| log.insert(batch));
}

/// The VRF proofs have to be made, and the label's own records are not in the cache.
#[divan::bench(args = sizes(), sample_count = ONCE as u32, sample_size = 1)]
fn search_first_time(bencher: Bencher, labels: Labels) {
    let log = labels.log();
    let _ = log.respond(&request(0, None));
    bencher
        .with_inputs(|| {
            request(
                REPEATED + log.searched.fetch_add(1, Ordering::Relaxed),
                None,
            )
        })
        .bench_local_values(|request| log.respond(&request));
}

#[divan::bench(args = sizes(), sample_count = 1000)]
fn search_repeated(bencher: Bencher, labels: Labels) {
    let log = labels.log();
    for number in 0..REPEATED {
        log.respond(&request(number, None));
    }
    let mut numbers = (0..REPEATED).cycle();
    bencher
        .with_inputs(|| request(numbers.next().unwrap_or_default(), None))
        .bench_local_values(|request| log.respond(&request));
}

#[divan::bench(args = sizes(), sample_count = 1000)]
fn verify_new_client(bencher: Bencher, labels: Labels) {
    verify(bencher, labels.log(), None);
}

#[divan::bench(args = sizes(), sample_count = 1000)]
fn verify_same_head(bencher: Bencher, labels: Labels) {
    let log = labels.log();
    verify(bencher, log, Some(log.state()));
}

fn verify(bencher: Bencher, log: &Log, state: Option<TreeState>) {
    let last = state.as_ref().map(TreeState::tree_size);
    let exchanges: Vec<_> = (0..REPEATED)
        .map(|number| {
            let request = request(number, last);
            let response = log.respond(&request);
            (request, response)
        })
        .collect();
    let check = |(request, response): &(SearchRequest, Vec<u8>)| {
        log.verifier
            .search(state.as_ref(), request, response, log.now)
            .expect("own response")
    };
    let mut next = exchanges.iter().cycle();
    bencher.bench_local(|| next.next().map(|exchange| check(black_box(exchange))));
}

struct Log {
    shared: Shared<SqliteStore>,
    verifier: Verifier,
    labels: usize,
    now: u64,
    /// How many labels were searched for once.
    searched: AtomicUsize,
    tip: Mutex<Tip>,
    bytes: i64,
    record_bytes: f64,
}

/// The searched labels come first in number but are spread over the log entries.
fn label(number: usize) -> Vec<u8> {
    format!("someone-{number:07}@example.org").into_bytes()
}

fn request(number: usize, last: Option<u64>) -> SearchRequest {
    SearchRequest {
        last,
        label: label(number),
        version: None,
    }
}

impl Log {
    fn fill(labels: usize) -> Self {
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
        let folder = FOLDER.get().expect("set in main");
        let store = SqliteStore::open(&folder.join(format!("{labels}.sqlite3"))).expect("store");
        let mut log = Self {
            shared: Shared::new(store, config.clone(), vrf, CACHE),
            verifier: Verifier::new(config).expect("a valid configuration"),
            labels,
            now: 0,
            searched: AtomicUsize::new(0),
            tip: Mutex::new(Tip::empty()),
            bytes: 0,
            record_bytes: 0.0,
        };
        let entries = labels / BATCH;
        for entry in 0..entries {
            // Neighbours in number, the searched ones too, go into different log entries.
            let numbers = (0..BATCH).map(|i| i * entries + entry);
            let tip = log.tip().clone();
            log.insert(log.batch(&tip, numbers));
        }
        let tip = log.tip().clone();
        let tbs = TreeHeadTbs {
            config: &log.shared.config,
            tree_size: tip.size,
            root: tip.root().expect("not empty"),
        };
        let signature = signing.sign(&tbs.to_bytes().expect("own head"));
        log.shared.publish(TreeHead {
            tree_size: tip.size,
            signature,
        });
        log.now = tip.timestamp;
        (log.bytes, log.record_bytes) = log.database();
        log
    }

    fn tip(&self) -> std::sync::MutexGuard<'_, Tip> {
        self.tip.lock().expect("no other thread")
    }

    /// New labels, after all others.
    fn next_batch(&self) -> Prepared {
        let tip = self.tip().clone();
        let from = usize::try_from(tip.next_leaf).expect("small");
        self.batch(&tip, from..from + BATCH)
    }

    fn batch(&self, tip: &Tip, numbers: impl Iterator<Item = usize>) -> Prepared {
        self.warm(tip);
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
            let leaf = tip.next_leaf + prepared.versions.len() as u64;
            prepared.versions.push(NewVersion {
                label,
                version: 0,
                row: VersionRow {
                    position: tip.size,
                    leaf,
                },
                opened: Some((opening, update)),
            });
        }
        prepared
    }

    /// Brings the newest records into the cache, where the sequencer leaves those it wrote.
    fn warm(&self, tip: &Tip) {
        let records = self.shared.records().expect("store");
        for id in tip.next_leaf.saturating_sub(BATCH as u64).max(1)..tip.next_leaf {
            records.leaf_path(id).expect("stored");
        }
    }

    fn insert(&self, Prepared { leaves, versions }: Prepared) {
        let mut tip = self.tip();
        let records = self.shared.records().expect("store");
        let appended = append(&records, &tip, tip.timestamp + INTERVAL, &leaves).expect("new keys");
        let batch = Batch {
            entries: vec![(
                tip.size,
                appended.entry,
                appended.tip.prefix_root,
                appended.tip.next_leaf,
            )],
            paths: appended.paths,
            subtrees: appended.subtrees,
            versions,
            tip: appended.tip,
        };
        self.shared.store.commit(&tip, &batch).expect("store");
        *tip = batch.tip;
    }

    fn respond(&self, request: &SearchRequest) -> Vec<u8> {
        let snapshot = self.shared.snapshot().expect("published");
        let response = provider::search(&snapshot, request).expect("stored");
        response.to_bytes().expect("in bounds")
    }

    /// The state of a client after its first search.
    fn state(&self) -> TreeState {
        let request = request(0, None);
        let response = self.respond(&request);
        let done = self.verifier.search(None, &request, &response, self.now);
        done.expect("own response").state
    }

    /// Bytes of the database, and of a leaf record on average.
    fn database(&self) -> (i64, f64) {
        let reader = self.shared.store.reader().expect("store");
        let one = |sql| reader.query_row(sql, [], |row| row.get(0));
        let bytes = one("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
        let record = reader.query_row("SELECT avg(length(path)) FROM leaf", [], |row| row.get(0));
        (bytes.expect("pragma"), record.expect("leaf"))
    }

    fn print_sizes(&self) {
        let state = self.state();
        let mean = |last| {
            let bytes: usize = (0..REPEATED)
                .map(|number| self.respond(&request(number, last)).len())
                .sum();
            bytes / REPEATED
        };
        println!(
            "{} labels, {} log entries: search response {} bytes for a new client, {} at the same \
             head; database {} bytes a label, of which a leaf record {:.0}",
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
struct Prepared {
    leaves: Vec<PrefixLeaf>,
    versions: Vec<NewVersion>,
}
