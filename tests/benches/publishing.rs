//! How much later updates are answered because witnesses cosign first.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use overt_tests::{Server, User, Witness, published_keys, wait_for};

const TOKEN: &str = "a token for this benchmark";
const INTERVAL: Duration = Duration::from_millis(200);
const UPDATES: u32 = 100;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let mut witnesses = Vec::new();
    let mut policy = String::new();
    for name in ["one", "two", "three"] {
        let witness = Witness::start(name).await.unwrap();
        policy += &witness.policy_lines();
        policy += &format!("group {name} all {name}-0 {name}-1\n");
        witnesses.push(witness);
    }
    policy += "group all all one two three\nquorum all\n";
    let path = folder.path().join("policy");
    std::fs::write(&path, policy).unwrap();
    let path = path.display().to_string();

    let alone = latencies(&folder.path().join("alone"), &[], &[]).await;
    let policy = [("OVERT_SERVER_WITNESS_POLICY", path.as_str())];
    let cosigned = latencies(&folder.path().join("cosigned"), &policy, &witnesses).await;
    println!("{UPDATES} updates one after the other, batch interval {INTERVAL:?}");
    for (name, share) in [("median", 50), ("90th percentile", 90), ("slowest", 100)] {
        let at = |sorted: &[Duration]| sorted[(sorted.len() * share).div_ceil(100) - 1];
        let (alone, cosigned) = (at(&alone), at(&cosigned));
        let added = cosigned.saturating_sub(alone);
        println!("{name}: {alone:.1?} alone, {cosigned:.1?} with all of three, {added:.1?} more");
    }
}

/// From the request to the verified answer, in ascending order.
async fn latencies(
    data_dir: &std::path::Path,
    more: &[(&str, &str)],
    witnesses: &[Witness],
) -> Vec<Duration> {
    let interval = format!("{}ms", INTERVAL.as_millis());
    let arguments = ["--access", "token", "--batch-interval", &interval];
    let environment = [&[("OVERT_SERVER_TOKEN", TOKEN)], more].concat();
    let server = Server::start(data_dir, &arguments, &environment).unwrap();
    for witness in witnesses {
        witness.trust(published_keys(&server.url).await.unwrap());
    }
    wait_for(&server.url, "/readyz").await.unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    let mut taken = Vec::new();
    for n in 0..UPDATES {
        let started = Instant::now();
        let value = n.to_be_bytes();
        user.update(&server.url, "alice", &value).await.unwrap();
        taken.push(started.elapsed());
    }
    taken.sort();
    taken
}
