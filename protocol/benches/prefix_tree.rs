//! The prefix tree alone, in memory: batches inserted into 1,000,000 leaves, a ladder of four keys
//! proved and evaluated. Keys are random, as VRF outputs are.

use std::hint::black_box;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use overt_protocol::codec::Encode;
use overt_protocol::prefix_tree::{
    Lookup, ModifyError, Node, Page, PageError, PageId, Pages, evaluate, modify, prove,
};
use overt_protocol::wire::{HashValue, PrefixLeaf};
use sha2::{Digest, Sha256};

/// What one log entry takes where auditors follow.
const BATCH: usize = 255;
/// Versions 0, 1, 3 and 2 of a label, say: two that are there and two that are not.
const LADDER: usize = 4;

fn main() {
    divan::main();
    if measuring() {
        for count in [1, 100, 1000] {
            print_records(count);
        }
    }
}

/// `cargo bench` says so; elsewhere everything runs once, and on a small tree.
fn measuring() -> bool {
    std::env::args().any(|arg| arg == "--bench") && !std::env::args().any(|arg| arg == "--list")
}

/// The result is not kept: every iteration inserts into the same tree.
#[divan::bench(args = [1, 100, 1000], sample_count = 100)]
fn insert_into_million(bencher: Bencher, count: usize) {
    let tree = &*TREE;
    let new = new_leaves(count);
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| modify(tree, tree.root, black_box(&new), &[], tree.next_id()));
}

#[divan::bench(sample_count = 1000)]
fn prove_ladder(bencher: Bencher) {
    let tree = &*TREE;
    let ladders = ladders();
    let mut next = ladders.iter().cycle();
    bencher.bench_local(|| next.next().map(|keys| prove(tree, tree.root, keys)));
}

#[divan::bench(sample_count = 1000)]
fn evaluate_ladder(bencher: Bencher) {
    let tree = &*TREE;
    let proofs: Vec<_> = ladders()
        .iter()
        .map(|keys| {
            let lookups = keys.map(|vrf_output| Lookup {
                vrf_output,
                commitment: Some([1; 32]),
            });
            let proof = prove(tree, tree.root, keys).expect("own tree");
            let root = evaluate(&lookups, &proof).expect("own proof");
            assert_eq!(Some(root), tree.root.map(|node| node.value));
            (lookups, proof)
        })
        .collect();
    let mut next = proofs.iter().cycle();
    bencher.bench_local(|| next.next().map(|(lookups, proof)| evaluate(lookups, proof)));
}

/// Pages by id, in memory.
struct Tree {
    pages: Vec<Page>,
    root: Option<Node>,
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let size = if measuring() { 1_000_000 } else { 10_000 };
    let mut tree = Tree {
        pages: Vec::new(),
        root: None,
    };
    for batch in 0..size / BATCH {
        let leaves: Vec<_> = (0..BATCH).map(|i| leaf("old", batch * BATCH + i)).collect();
        let done = modify(&tree, tree.root, &leaves, &[], tree.next_id()).expect("random keys");
        tree.pages
            .extend(done.pages.into_iter().map(|new| new.page));
        tree.root = done.root;
    }
    tree
});

impl Tree {
    fn next_id(&self) -> PageId {
        self.pages.len() as PageId + 1
    }
}

impl Pages for Tree {
    type Error = TreeError;
    type Page<'a> = &'a Page;

    fn page(&self, id: PageId) -> Result<&Page, TreeError> {
        let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
        index
            .and_then(|index| self.pages.get(index))
            .ok_or(TreeError)
    }
}

#[derive(Debug)]
struct TreeError;

impl From<PageError> for TreeError {
    fn from(_: PageError) -> Self {
        Self
    }
}

impl From<ModifyError> for TreeError {
    fn from(_: ModifyError) -> Self {
        Self
    }
}

fn leaf(kind: &str, number: usize) -> PrefixLeaf {
    PrefixLeaf {
        vrf_output: key(kind, number),
        commitment: [1; 32],
    }
}

fn key(kind: &str, number: usize) -> HashValue {
    Sha256::digest(format!("{kind} {number}")).into()
}

fn new_leaves(count: usize) -> Vec<PrefixLeaf> {
    (0..count).map(|number| leaf("new", number)).collect()
}

fn ladders() -> Vec<[HashValue; LADDER]> {
    (0..1000)
        .map(|i| {
            let (a, b) = (2 * i, 2 * i + 1);
            [
                key("old", a),
                key("old", b),
                key("absent", a),
                key("absent", b),
            ]
        })
        .collect()
}

/// What a batch of `count` writes for each of its leaves.
fn print_records(count: usize) {
    let tree = &*TREE;
    let (mut bytes, mut pages) = (0, 0);
    for leaves in new_leaves(1000).chunks(count) {
        let done = modify(tree, tree.root, leaves, &[], tree.next_id()).expect("random keys");
        pages += done.pages.len();
        for new in done.pages {
            bytes += new.record.to_bytes().expect("own record").len();
        }
    }
    println!(
        "batches of {count}: {:.1} pages and {:.0} bytes a leaf",
        pages as f64 / 1000.0,
        bytes as f64 / 1000.0
    );
}
