//! Forks where heads must be cosigned: refused, or paid for by whoever cosigned both sides.

use std::path::Path;
use std::time::Instant;

use overt_protocol::evidence::Evidence;
use overt_protocol::head_log::cosignature::MAX_TIMESTAMP;
use overt_protocol::head_log::policy::{Party, Policy};
use overt_tests::{Program, Server, User, Witness, log_keys, witness_keys};

use crate::fork::{
    ORIGIN, SEED, TOKEN, checkpoint, compare, copy, publish, start, wait_until_published,
};
use crate::{Noticed, prove};

const CARELESS: &str = "careless.example";

/// Honest witnesses of these names, and one party that cosigns anything.
struct Parties {
    honest: Vec<Witness>,
    careless: Program,
    folder: tempfile::TempDir,
}

impl Parties {
    async fn new(names: &[&str]) -> Self {
        let mut honest = Vec::new();
        for name in names {
            let witness = Witness::start(name).await.unwrap();
            let keys = log_keys(ORIGIN, SEED).unwrap();
            witness.trust(keys.iter().map(|key| key.verifier().clone()).collect());
            honest.push(witness);
        }
        Self {
            honest,
            careless: Program::start("careless-auditor", &[CARELESS]).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A policy of so many of all, of whom the directory asks only some of the honest.
    fn policy(&self, quorum: usize, asks: impl Fn(usize) -> bool) -> String {
        let mut text = String::new();
        let mut names = String::new();
        let honest = self.honest.iter().enumerate();
        let honest = honest.map(|(n, witness)| {
            let nowhere = "http://127.0.0.1:1".to_owned();
            let url = if asks(n) {
                witness.url.clone()
            } else {
                nowhere
            };
            (witness.keys()[0].clone(), url)
        });
        let careless = witness_keys(CARELESS).unwrap()[0].verifier().clone();
        let all = honest.chain([(careless, self.careless.url.clone())]);
        for (n, (key, url)) in all.enumerate() {
            text += &format!("witness w{n} {key} {url}\n");
            names += &format!(" w{n}");
        }
        text + &format!("group all {quorum}{names}\nquorum all\n")
    }

    fn write(&self, name: &str, policy: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, policy).unwrap();
        path.display().to_string()
    }

    fn data(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

/// Alice registers, and the directory is copied. Returns the honest one, running again.
async fn before_the_fork(data: &Path, copied: &Path, policy: &str) -> Server {
    let server = start(data, Some(policy));
    wait_until_published(&server.url).await;
    publish(&server.url, "alice", &["common"]).await;
    server.stop().unwrap();
    copy(data, copied);
    start(data, Some(policy))
}

/// 3 of 4, of which one is dishonest: 2 * 3 - 4 > 1.
#[tokio::test]
async fn a_fork_gets_no_second_quorum() {
    let parties = Parties::new(&["one.example", "two.example", "three.example"]).await;
    let policy = parties.policy(3, |_| true);
    assert!(Policy::parse(policy.as_bytes()).unwrap().excludes_fork(1));
    let policy = parties.write("policy", &policy);
    let (one, other) = (parties.data("one"), parties.data("other"));
    let one = before_the_fork(&one, &other, &policy).await;
    publish(&one.url, "alice", &["hers"]).await;
    let signed = parties.honest.iter().map(|w| w.signed().len());
    let signed: Vec<usize> = signed.collect();
    let other = start(&other, Some(&policy));
    let http = reqwest::Client::new();
    let before = checkpoint(&http, &other.url).await;
    // The update waits for a quorum until it is given up.
    let mut user = User::new(&other.url, Some(TOKEN)).await.unwrap();
    user.own(&other.url, "alice").await.unwrap();
    let refused = user.update(&other.url, "alice", b"theirs").await;
    assert!(refused.unwrap_err().to_string().contains("503"));
    let after = checkpoint(&http, &other.url).await;
    assert_eq!(after.checkpoint(), before.checkpoint());
    for (witness, signed) in parties.honest.iter().zip(signed) {
        assert_eq!(witness.signed().len(), signed);
    }
    println!(
        "| B1 | a fork, of 4 parties with 1 dishonest and a quorum of 3 | honest witnesses | before it is published | none: it does not happen | - |"
    );
}

/// 2 of 3, of which one is dishonest: 2 * 2 - 3 is not more than 1.
#[tokio::test]
async fn a_quorum_that_excludes_too_few_leaves_evidence() {
    let parties = Parties::new(&["one.example", "two.example"]).await;
    let common = parties.write("common", &parties.policy(2, |n| n == 0));
    let forked = parties.write("forked", &parties.policy(2, |n| n == 1));
    let (one, other) = (parties.data("one"), parties.data("other"));
    let one = before_the_fork(&one, &other, &common).await;
    publish(&one.url, "alice", &["hers"]).await;
    let other = start(&other, Some(&forked));
    publish(&other.url, "alice", &["theirs"]).await;
    let since = Instant::now();
    let http = reqwest::Client::new();
    let mut keys = Vec::new();
    keys.extend(
        log_keys(ORIGIN, SEED)
            .unwrap()
            .map(|key| key.verifier().clone()),
    );
    // Both satisfy whoever asks for two of three.
    let mut users = Policy::parse(parties.policy(2, |_| true).as_bytes()).unwrap();
    assert!(!users.excludes_fork(1));
    for key in &keys {
        let (key, url) = (key.clone(), None);
        users.add_log(Party { key, url }).unwrap();
    }
    for side in [&one, &other] {
        let shown = checkpoint(&http, &side.url).await;
        users.verify(&shown, &(0..=MAX_TIMESTAMP)).unwrap();
    }
    let careless = witness_keys(CARELESS).unwrap()[0].verifier().clone();
    keys.push(careless.clone());
    keys.extend(
        parties
            .honest
            .iter()
            .map(|witness| witness.keys()[0].clone()),
    );
    let sides = [(&http, one.url.as_str()), (&http, &other.url)];
    let files: Vec<Evidence> = compare(sides, &keys).await.unwrap();
    let accused = |file: &Evidence| file.verify().unwrap().accused[0].key().to_owned();
    let accused: Vec<String> = files.iter().map(accused).collect();
    assert_eq!(accused, [keys[0].to_string(), careless.to_string()]);
    prove(&Noticed {
        row: "E2",
        attack: "a fork, of 3 parties with 1 dishonest and a quorum of 2",
        by: "two people who compare checkpoints",
        since,
        files,
    });
}
