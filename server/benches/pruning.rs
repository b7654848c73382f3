//! How large a store grows while updates go on: a log whose entries expire beside one that keeps
//! everything. With `OVERT_PLOT` set, the curves are drawn into that file
//! (an absolute path: benchmarks run in their package's folder).

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use overt_protocol::clock::SystemClock;
use overt_protocol::provider::{Retention, Tip, append};
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::{Configuration, DeploymentMode, PrefixLeaf, TreeHead, UpdateValue};
use overt_server::directory::Shared;
use overt_server::prune::{Pruning, step};
use overt_server::sequencer::Retirement;
use overt_server::store::{Batch, Created, SqliteStore, Store};
use sha2::{Digest, Sha256};

const LABELS: u64 = 1_000;
/// Updates in one log entry.
const UPDATES: u64 = 10;
const VALUE_BYTES: usize = 100;
/// Milliseconds between log entries.
const INTERVAL: u64 = 1_000;
const BEGAN: u64 = 1_760_000_000_000;

fn main() {
    let measuring = std::env::args().any(|arg| arg == "--bench");
    let entries: u64 = if measuring { 100_000 } else { 1_000 };
    let lifetime = entries / 10;
    println!("{LABELS} labels, {UPDATES} updates in each of {entries} log entries");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let curves = [Some(lifetime), None].map(|lifetime| {
        match lifetime {
            Some(lifetime) => println!("a lifetime of {lifetime} log entries:"),
            None => println!("no lifetime:"),
        }
        grow(folder.path(), entries, lifetime)
    });
    if let Some(path) = std::env::var_os("OVERT_PLOT") {
        std::fs::write(path, plot(entries, &curves)).expect("the plot");
    }
}

/// Mebibytes in use after each tenth of the log entries.
fn grow(folder: &Path, entries: u64, lifetime: Option<u64>) -> Vec<f64> {
    let suite = CipherSuite::Kt128Sha256Ed25519;
    let signing = SigningKey::from_bytes(suite, &[1; 32]).expect("a valid key");
    let vrf = VrfSecretKey::from_bytes(suite, &[2; 32]).expect("a valid key");
    let config = Configuration {
        ciphersuite: suite,
        mode: DeploymentMode::ContactMonitoring,
        signature_public_key: signing.public_key(),
        vrf_public_key: vrf.public_key(),
        max_ahead: INTERVAL,
        max_behind: INTERVAL,
        reasonable_monitoring_window: entries / 100 * INTERVAL,
        maximum_lifetime: lifetime.map(|entries| entries * INTERVAL),
    };
    let retention = Retention::of(&config);
    let store = SqliteStore::open(&folder.join(format!("{lifetime:?}"))).expect("store");
    let shared = Shared::new(store, config, vrf, Arc::new(SystemClock), 64 << 20);
    let mut retirement = retention.map(|retention| Retirement::new(retention, 0));
    let mut tip = Tip::empty();
    let mut sizes = Vec::new();
    for entry in 0..entries {
        tip = push(&shared, &tip, retirement.as_mut());
        shared.publish(TreeHead {
            tree_size: tip.size,
            signature: Vec::new(),
        });
        if let Some(retention) = retention.filter(|_| entry % 64 == 0) {
            let pruning = Pruning {
                retention,
                grace: 0,
                interval: std::time::Duration::ZERO,
            };
            while step(&shared, pruning).expect("store") > 0 {}
        }
        if (entry + 1) % (entries / 10) == 0 {
            let size = mebibytes(&shared.store);
            println!("  {:>7} log entries: {size:>7.1} MiB", entry + 1);
            sizes.push(size);
        }
    }
    sizes
}

/// Appends a log entry as the sequencer does, with keys that are hashes: as random as VRF outputs.
fn push(shared: &Shared<SqliteStore>, tip: &Tip, retirement: Option<&mut Retirement>) -> Tip {
    let position = tip.size;
    let timestamp = BEGAN + position * INTERVAL;
    let mut added = Vec::new();
    for update in 0..UPDATES {
        let number = position * UPDATES + update;
        let (label, version) = (number % LABELS, number / LABELS);
        let hash = |what: &str| Sha256::digest(format!("{what} {label} {version}")).into();
        let leaf = PrefixLeaf {
            vrf_output: hash("key"),
            commitment: hash("commitment"),
        };
        let update = UpdateValue {
            value: vec![7; VALUE_BYTES],
            signature: None,
        };
        let created = Created {
            label: format!("someone-{label:07}@example.org").into_bytes(),
            version: u32::try_from(version).expect("small"),
            opened: Some(([9; 16], update)),
        };
        added.push((leaf, Some(created)));
    }
    let records = shared.records().expect("store");
    let mut batch = Batch::after(tip.clone());
    let gone = match retirement {
        Some(retirement) => retirement
            .retire(&records, timestamp, 1_000, &mut batch.retired)
            .expect("store"),
        None => Vec::new(),
    };
    let leaves: Vec<_> = added.iter().map(|(leaf, _)| *leaf).collect();
    let removed: Vec<_> = gone.iter().map(|(_, leaf)| *leaf).collect();
    let done = append(&records, tip, timestamp, &leaves, &removed).expect("new keys");
    drop(records);
    batch.push(done, added, gone.into_iter().map(|(id, _)| id).collect());
    shared.store.commit(tip, &batch).expect("store");
    batch.tip
}

/// What is used of the database; free pages are used again.
fn mebibytes(store: &SqliteStore) -> f64 {
    let reader = store.reader().expect("store");
    let pages = "SELECT (page_count - freelist_count) * page_size
                 FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let bytes: i64 = reader
        .query_row(pages, [], |row| row.get(0))
        .expect("pragma");
    bytes as f64 / f64::from(1 << 20)
}

/// Two curves over the number of log entries.
fn plot(entries: u64, curves: &[Vec<f64>; 2]) -> String {
    let (width, height, left, bottom) = (640.0, 320.0, 60.0, 40.0);
    let greatest = curves.iter().flatten().copied().fold(1.0, f64::max);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <path d=\"M{left} 10V{height}H{width}\" fill=\"none\" stroke=\"#888\"/>\n\
         <text x=\"{left}\" y=\"{y}\">0</text>\n\
         <text x=\"{width}\" y=\"{y}\" text-anchor=\"end\">{entries} log entries</text>\n\
         <text x=\"{x}\" y=\"20\" text-anchor=\"end\">{greatest:.0} MiB</text>\n",
        width + 20.0,
        height + bottom,
        y = height + 20.0,
        x = left - 6.0,
    );
    let colours = ["#06c", "#c60"];
    let names = ["entries expire after a tenth of that", "nothing expires"];
    for (row, ((curve, colour), name)) in curves.iter().zip(colours).zip(names).enumerate() {
        let points = curve.iter().enumerate().map(|(index, size)| {
            let x = left + (width - left) * (index + 1) as f64 / curve.len() as f64;
            let y = height - (height - 20.0) * size / greatest;
            format!("{x:.1},{y:.1}")
        });
        let points: Vec<String> = points.collect();
        let (points, y) = (points.join(" "), 40 + 18 * row);
        let _ = writeln!(
            out,
            "<polyline points=\"{left},{height} {points}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"2\"/>\n<text x=\"{}\" y=\"{y}\" fill=\"{colour}\">{name}</text>",
            left + 12.0,
        );
    }
    out.push_str("</svg>\n");
    out
}
