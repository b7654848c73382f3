//! What the directory says in one place, and otherwise in another.

use std::time::{Duration, Instant};

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::evidence::Evidence;
use overt_protocol::head_log::proof::TlogProof;
use overt_protocol::receipt::Promised;
use overt_protocol::wire::UpdateRequest;
use overt_tests::{HeadLog, User};

use crate::fork::{Fork, TOKEN, checkpoint, get, head, publish, search};
use crate::{Noticed, prove};

/// Users see one log, and who reads the head log another.
#[tokio::test]
async fn a_head_log_for_show() {
    let fork = Fork::new(None, 1).await;
    let mut user = User::new(&fork.one.url, None).await.unwrap();
    user.search(&fork.one.url, "alice", None).await.unwrap();
    let since = Instant::now();
    let (http, shown) = (reqwest::Client::new(), &fork.other.url);
    let size = user.tree.as_ref().unwrap().tree_size();
    let proof = get(&http, format!("{shown}/tlog-proof/{size}")).await;
    let proof = TlogProof::parse(&proof).unwrap();
    let within = checkpoint(&http, shown).await.checkpoint().tree().size;
    let log = HeadLog::read(&http, shown, within).await.unwrap();
    let leaf = (&proof, &log.entries[size as usize - 1][..]);
    let file = Evidence::head_and_record(&fork.config, head(&user), leaf, &fork.keys[0]);
    prove(&Noticed {
        row: "B12",
        attack: "users are shown another log than witnesses and auditors",
        by: "a user who fetches the proof of the head",
        since,
        files: vec![file.unwrap()],
    });
}

#[tokio::test]
async fn a_version_with_two_values() {
    let fork = Fork::new(None, 1).await;
    let since = Instant::now();
    let first = search(&fork.one.url, "alice", None).await;
    let second = search(&fork.other.url, "alice", Some(1)).await;
    let file = Evidence::versions(&fork.config, first, second);
    prove(&Noticed {
        row: "A7",
        attack: "one version of a label has two values",
        by: "two people who compare what they found",
        since,
        files: vec![file.unwrap()],
    });
}

/// The update is promised in one log, and the other goes on without it.
#[tokio::test]
async fn a_broken_promise() {
    let fork = Fork::new(None, 0).await;
    let user = User::new(&fork.one.url, Some(TOKEN)).await.unwrap();
    let request = UpdateRequest {
        last: None,
        label: b"alice".to_vec(),
        greatest_version: Some(1),
        values: vec![b"promised".to_vec()],
    };
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/update", fork.one.url))
        .bearer_auth(TOKEN)
        .header("Prefer", "respond-async")
        .body(request.to_bytes().unwrap());
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let since = Instant::now();
    let promised = Promised::from_bytes(&answer.bytes().await.unwrap(), &()).unwrap();
    user.verifier.receipt(&promised.receipt).unwrap();
    // Its deadline is a second away.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    publish(&fork.other.url, "erin", &["later"]).await;
    let answer = search(&fork.other.url, "alice", None).await;
    let file = Evidence::broken_promise(&fork.config, &promised.receipt, answer);
    prove(&Noticed {
        row: "C11",
        attack: "an update is promised in writing and never made",
        by: "its owner, who looks it up after the deadline",
        since,
        files: vec![file.unwrap()],
    });
}
