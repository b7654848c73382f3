//! The directory on SQLite: a batch of updates made durable, and searches proved and verified, in
//! directories of 10^4, 10^5 and 10^6 labels.

mod filled;

use std::fmt;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use divan::Bencher;
use divan::counter::ItemsCount;
use filled::{BATCH, Log, ONCE, REPEATED, request};
use overt_protocol::user::TreeState;
use overt_protocol::wire::SearchRequest;

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
        let folder = FOLDER.get().expect("set in main");
        DIRECTORIES[self.index].get_or_init(|| Log::fill(folder, self.count))
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
