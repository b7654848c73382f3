//! What following a directory costs an auditor: first everything that there is, then 1,000 updates
//! each second. `OVERT_VERSIONS` label-versions to begin with (a million), `OVERT_SECONDS` of the
//! second part (60).
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use overt_protocol::clock::{Clock, SystemClock};
use overt_protocol::codec::Encode;
use overt_protocol::descriptor::Descriptor;
use overt_protocol::provider::{Tip, append, auditor_update};
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::{Configuration, DeploymentMode, PrefixLeaf, TreeHead, TreeHeadTbs};
use overt_server::access::Lookups;
use overt_server::directory::Shared;
use overt_server::http::{Api, Limits, router};
use overt_server::sequencer::Updates;
use overt_server::store::{Batch, SqliteStore, Store};
use overt_tests::{AuditorPlace, get};
use rand::RngExt;

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;
/// Changes of a log entry: the most that an auditor can follow.
const CHANGES: usize = 255;
/// Of the second part, in a second: 1,020 updates.
const ENTRIES_PER_SECOND: u32 = 4;
const DAY: u64 = 24 * 3_600_000;

/// A directory whose keys are random, as VRF outputs are.
struct Directory {
    shared: Arc<Shared<SqliteStore>>,
    signing: SigningKey,
    tip: Tip,
}

impl Directory {
    fn new(folder: &Path) -> Self {
        let signing = SigningKey::from_bytes(SUITE, &[0x11; 32]).unwrap();
        let vrf = VrfSecretKey::from_bytes(SUITE, &[0x22; 32]).unwrap();
        let config = Configuration {
            ciphersuite: SUITE,
            mode: DeploymentMode::ContactMonitoring,
            signature_public_key: signing.public_key(),
            vrf_public_key: vrf.public_key(),
            max_ahead: DAY,
            max_behind: DAY,
            reasonable_monitoring_window: DAY,
            maximum_lifetime: None,
        };
        let store = SqliteStore::open(&folder.join("overt.sqlite3")).unwrap();
        let clock = Arc::new(SystemClock);
        Self {
            shared: Arc::new(Shared::new(store, config, vrf, clock, 256 << 20)),
            signing,
            tip: Tip::empty(),
        }
    }

    /// Appends a log entry, durably.
    fn grow(&mut self) {
        let mut rng = rand::rng();
        let leaf = |_| PrefixLeaf {
            vrf_output: rng.random(),
            commitment: rng.random(),
        };
        let leaves: Vec<_> = (0..CHANGES).map(leaf).collect();
        let records = self.shared.records().unwrap();
        let now = SystemClock.now();
        let done = append(&records, &self.tip, now, &leaves, &[]).unwrap();
        drop(records);
        let mut batch = Batch::after(self.tip.clone());
        let added = leaves.into_iter().map(|leaf| (leaf, None));
        batch.push(done, added.collect(), Vec::new());
        self.shared.store.commit(&self.tip, &batch).unwrap();
        self.tip = batch.tip;
        self.shared.remember(batch.pages);
    }

    fn publish(&self) {
        let tree_size = self.tip.size;
        let tbs = TreeHeadTbs {
            config: &self.shared.config,
            tree_size,
            root: self.tip.root().unwrap(),
        };
        let signature = self.signing.sign(&tbs.to_bytes().unwrap());
        self.shared.publish(TreeHead {
            tree_size,
            signature,
        });
    }

    /// Bytes of the last log entries' `AuditorUpdate`s for each of their changes.
    fn bytes_per_update(&self) -> usize {
        let at = self.shared.unaudited().unwrap();
        let last = self.tip.size - 20..self.tip.size;
        let bytes = last.map(|n| auditor_update(&at, n).unwrap().to_bytes().unwrap().len());
        bytes.sum::<usize>() / (20 * CHANGES)
    }

    async fn serve(&self) -> String {
        let config = &self.shared.config;
        let api = Api {
            shared: Arc::clone(&self.shared),
            updates: Updates::elsewhere(),
            descriptor: Descriptor::new("bench.example", config, false).unwrap(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            owner_monitor_limit: 64,
            lookups: Lookups::Open,
            gives_receipts: false,
            max_head_age: DAY,
        };
        let limits = Limits {
            max_body: 1 << 20,
            concurrency: 64,
            timeout: Duration::from_secs(60),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = router(Arc::new(api), limits);
        tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        url
    }
}

/// CPU time of a process, and the most memory that it ever had.
fn used(pid: u32) -> (Duration, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = stat.rsplit(") ").next().unwrap();
    let fields: Vec<u64> = after.split(' ').map(|f| f.parse().unwrap_or(0)).collect();
    // utime and stime, in hundredths of a second.
    let cpu = Duration::from_millis((fields[11] + fields[12]) * 10);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    (cpu, peak.trim().trim_end_matches(" kB").parse().unwrap())
}

async fn replayed(url: &str) -> u64 {
    let Ok((200, json)) = get(url, "/status.json").await else {
        return 0;
    };
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    json[0]["tree_size"].as_u64().unwrap_or(0)
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

#[tokio::main]
async fn main() {
    let versions = number("OVERT_VERSIONS", 1_000_000);
    let seconds = u32::try_from(number("OVERT_SECONDS", 60)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut directory = Directory::new(folder.path());
    for _ in 0..versions / CHANGES {
        directory.grow();
    }
    directory.publish();
    let (size, url) = (directory.tip.size, directory.serve().await);
    println!(
        "{versions} label-versions in {size} log entries, {} bytes an update",
        directory.bytes_per_update()
    );

    let place = AuditorPlace::new("auditor.example.org", &folder.path().join("a")).unwrap();
    let started = Instant::now();
    let auditor = place.start(&url).unwrap();
    while replayed(&place.url()).await < size {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let taken = started.elapsed();
    let (cpu, peak) = used(auditor.pid());
    let each = |cpu: Duration, updates: usize| cpu / u32::try_from(updates).unwrap();
    println!(
        "caught up in {taken:.1?}: {:.0} updates/s, {:.1?} of CPU time for each, at most {} MiB",
        versions as f64 / taken.as_secs_f64(),
        each(cpu, versions),
        peak / 1024
    );

    let began = Instant::now();
    for n in 1..=seconds * ENTRIES_PER_SECOND {
        directory.grow();
        directory.publish();
        let due = Duration::from_secs(1) * n / ENTRIES_PER_SECOND;
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
    let behind = directory.tip.size - replayed(&place.url()).await;
    let updates = usize::try_from(directory.tip.size - size).unwrap() * CHANGES;
    let (after, peak) = used(auditor.pid());
    println!(
        "{updates} updates in {:.1?}: {:.1} % of a core, {behind} log entries behind at the end, at \
         most {} MiB",
        began.elapsed(),
        (after - cpu).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0,
        peak / 1024
    );
}
