//! A head log whose leaves do not follow from one another, and an auditor that cosigns it unseen.

use std::time::Instant;

use overt_protocol::auditor::{AuditError, AuditorState};
use overt_protocol::codec::{Decode, Reader};
use overt_protocol::evidence::Evidence;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::head_log::proof::TlogProof;
use overt_protocol::wire::{AuditorUpdate, Configuration, HashValue};
use overt_tests::{Program, Server, witness_keys};

use crate::fork::{SEED, checkpoint, descriptor, get, publish, start};
use crate::{Noticed, prove};

const AUDITOR: &str = "unseen.example";

/// A directory, a head log for show, and who cosigns it.
struct Show {
    directory: Server,
    log: Program,
    _auditor: Program,
    _folder: tempfile::TempDir,
    config: Configuration,
    keys: Vec<VerifierKey>,
    size: u64,
}

impl Show {
    async fn new(rewrites: &str, values: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = start(folder.path(), None);
        publish(&directory.url, "alice", values).await;
        let (descriptor, config) = descriptor(&directory.url).await;
        let auditor = Program::start("careless-auditor", &[AUDITOR]).unwrap();
        let seed = SEED.to_string();
        let arguments = [&directory.url, &seed, rewrites, &auditor.url];
        let log = Program::start("rewriting-log", &arguments).unwrap();
        let mut keys = descriptor.verifier_keys().unwrap();
        let cosigners = witness_keys(AUDITOR).unwrap();
        keys.extend(cosigners.iter().map(|key| key.verifier().clone()));
        let http = reqwest::Client::new();
        let size = checkpoint(&http, &directory.url).await;
        Self {
            size: size.checkpoint().tree().size,
            directory,
            log,
            _auditor: auditor,
            _folder: folder,
            config,
            keys,
        }
    }

    /// The record of a tree size, and its proof.
    async fn record(&self, tree_size: u64) -> (TlogProof, Vec<u8>) {
        let (http, url) = (reqwest::Client::new(), &self.log.url);
        let proof = get(&http, format!("{url}/tlog-proof/{tree_size}")).await;
        let record = get(&http, format!("{url}/record/{tree_size}")).await;
        (TlogProof::parse(&proof).unwrap(), record)
    }

    /// What an auditor knows that replayed so many entries.
    async fn replay(&self, size: u64) -> Vec<HashValue> {
        let url = format!("{}/v1/auditor-updates?from=0", self.directory.url);
        let updates = get(&reqwest::Client::new(), url).await;
        let mut reader = Reader::new(&updates);
        let mut state = AuditorState::empty();
        while state.size < size {
            let update = AuditorUpdate::decode(&mut reader, &()).unwrap();
            let new = |_: &HashValue, _| Ok::<_, AuditError>(true);
            state = state.apply(&self.config, &update, new).unwrap();
        }
        state.full_subtrees
    }
}

fn noticed(row: &'static str, attack: &'static str, since: Instant, files: Vec<Evidence>) {
    // The log, and the auditor that cosigned what it cannot have replayed.
    assert_eq!(files.len(), 2);
    prove(&Noticed {
        row,
        attack,
        by: "whoever replays, by the next two leaves",
        since,
        files,
    });
}

#[tokio::test]
async fn times_that_run_backwards() {
    let show = Show::new("time", &["1", "2"]).await;
    let since = Instant::now();
    let (a, b) = (show.record(1).await, show.record(show.size).await);
    let files = Evidence::records((&a.0, &a.1), (&b.0, &b.1), &[], &show.keys);
    noticed(
        "C3",
        "a log entry is dated before one to its left",
        since,
        files.unwrap(),
    );
}

#[tokio::test]
async fn a_log_that_rewrites_what_came_before() {
    let show = Show::new("root", &["1", "2"]).await;
    let since = Instant::now();
    let before = show.size - 1;
    let (a, b) = (show.record(before).await, show.record(show.size).await);
    let subtrees = show.replay(before).await;
    let files = Evidence::records((&a.0, &a.1), (&b.0, &b.1), &subtrees, &show.keys);
    noticed(
        "E3",
        "an auditor cosigns a log that it did not replay",
        since,
        files.unwrap(),
    );
}

#[tokio::test]
async fn a_value_that_is_replaced() {
    let show = Show::new("leaf", &["1"]).await;
    let since = Instant::now();
    let (a, b) = (
        show.record(show.size).await,
        show.record(show.size + 1).await,
    );
    let update = get(&reqwest::Client::new(), format!("{}/update", show.log.url)).await;
    let update = AuditorUpdate::from_bytes(&update, &()).unwrap();
    let files = Evidence::update(
        &show.config,
        (&a.0, &a.1),
        (&b.0, &b.1),
        &update,
        &show.keys,
    );
    noticed(
        "A3",
        "a published value is overwritten in place",
        since,
        files.unwrap(),
    );
}
