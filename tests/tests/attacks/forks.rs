//! Two logs for two groups of people.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use overt_protocol::evidence::Evidence;
use overt_protocol::head_log::key::SignerKey;
use overt_tests::{Person, Program, User, witness_keys};

use crate::fork::{
    Fork, TOKEN, checkpoint, compare, copy, difference, head, publish, start, wait_until_published,
};
use crate::{Noticed, prove};

fn from(address: Ipv4Addr) -> reqwest::Client {
    let client = reqwest::Client::builder().local_address(IpAddr::V4(address));
    client.pool_max_idle_per_host(0).build().unwrap()
}

/// One process with two faces, which strangers see another of than people with an account.
#[tokio::test]
async fn a_split_view_by_user() {
    let fork = Fork::new(None, 0).await;
    let faces = [&fork.one.url, &fork.other.url, "by-token"].map(|s| s.to_owned());
    let faces = faces.each_ref().map(String::as_str);
    let directory = Program::start("two-faced", &faces).unwrap();
    let since = Instant::now();
    let mut account = User::new(&directory.url, Some(TOKEN)).await.unwrap();
    let mut stranger = User::new(&directory.url, None).await.unwrap();
    let hers = account.search(&directory.url, "alice", None).await.unwrap();
    let theirs = stranger
        .search(&directory.url, "alice", None)
        .await
        .unwrap();
    assert_ne!(hers.value(), theirs.value());
    let file = Evidence::heads(&fork.config, head(&account), head(&stranger));
    prove(&Noticed {
        row: "B1",
        attack: "people with an account see another log than strangers",
        by: "two people who compare heads",
        since,
        files: vec![file.unwrap()],
    });
    // The command asks as a stranger, and does not take the two for one.
    let person = Person::new(&directory.url, TOKEN);
    person.run(&["trust", "add", &directory.url]);
    person.verified(&["lookup", "alice"]);
    let (code, said) = person.run(&["gossip", "stranger"]);
    assert!([5, 10].contains(&code), "{code}: {said}");
}

#[tokio::test]
async fn a_split_view_by_address() {
    let fork = Fork::new(None, 0).await;
    let faces = [&fork.one.url, &fork.other.url, "by-address"].map(|s| s.to_owned());
    let faces = faces.each_ref().map(String::as_str);
    let directory = Program::start("two-faced", &faces).unwrap();
    let since = Instant::now();
    let (here, there) = (from(Ipv4Addr::LOCALHOST), from(Ipv4Addr::new(127, 0, 0, 2)));
    let url = directory.url.as_str();
    let same = compare([(&here, url), (&here, url)], &fork.keys).await;
    assert_eq!(same.unwrap_err().check(), "evidence-no-contradiction");
    let files = compare([(&here, url), (&there, url)], &fork.keys).await;
    prove(&Noticed {
        row: "B3",
        attack: "one address sees another log",
        by: "who asks from two addresses",
        since,
        files: files.unwrap(),
    });
}

#[tokio::test]
async fn two_logs_of_different_sizes() {
    let fork = Fork::new(None, 3).await;
    let since = Instant::now();
    let http = reqwest::Client::new();
    let sides = [(&http, fork.one.url.as_str()), (&http, &fork.other.url)];
    prove(&Noticed {
        row: "B2",
        attack: "two logs that never have one size",
        by: "two people who compare checkpoints and read tiles",
        since,
        files: compare(sides, &fork.keys).await.unwrap(),
    });
}

/// Everybody is moved to a fork, and back: whoever was there in between can not follow.
#[tokio::test]
async fn a_fork_that_is_given_up() {
    let fork = Fork::new(None, 1).await;
    let faces = [&fork.one.url, &fork.other.url, "by-time"].map(|s| s.to_owned());
    let faces = faces.each_ref().map(String::as_str);
    let directory = Program::start("two-faced", &faces).unwrap();
    let (http, url) = (reqwest::Client::new(), directory.url.as_str());
    let turn = async || {
        let turned = http.post(format!("{url}/turn")).send().await.unwrap();
        assert_eq!(turned.status(), 200);
    };
    turn().await;
    let mut visitor = User::new(url, None).await.unwrap();
    visitor.search(url, "alice", None).await.unwrap();
    let kept = checkpoint(&http, url).await;
    turn().await;
    let since = Instant::now();
    publish(&fork.one.url, "dave", &["1", "2", "3", "4"]).await;
    let refused = visitor.search(url, "alice", None).await;
    assert!(refused.is_err());
    let now = checkpoint(&http, url).await;
    let read = (&http, fork.other.url.as_str(), &kept);
    let files = difference(read, (&http, url, &now), &fork.keys).await;
    prove(&Noticed {
        row: "B11",
        attack: "a fork is shown for a time, and then the first log again",
        by: "who looked in between, at the next answer",
        since,
        files: files.unwrap(),
    });
}

/// The log goes on from a copy that is older than what it has shown.
#[tokio::test]
async fn a_log_that_is_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let server = start(&data, None);
    publish(&server.url, "alice", &["1"]).await;
    server.stop().unwrap();
    copy(&data, &backup);
    let server = start(&data, None);
    publish(&server.url, "alice", &["2", "3"]).await;
    let http = reqwest::Client::new();
    let kept = checkpoint(&http, &server.url).await;
    let (descriptor, _) = crate::fork::descriptor(&server.url).await;
    let keys = descriptor.verifier_keys().unwrap();
    let mut seen = overt_tests::HeadLog::read(&http, &server.url, kept.checkpoint().tree().size)
        .await
        .unwrap();
    let mut user = User::new(&server.url, None).await.unwrap();
    user.search(&server.url, "alice", None).await.unwrap();
    server.kill().unwrap();
    let server = start(&backup, None);
    let since = Instant::now();
    publish(&server.url, "alice", &["other"]).await;
    assert!(user.search(&server.url, "alice", None).await.is_err());
    let now = checkpoint(&http, &server.url).await;
    let size = now.checkpoint().tree().size;
    let mut log = overt_tests::HeadLog::read(&http, &server.url, size)
        .await
        .unwrap();
    let leaves =
        overt_protocol::evidence::prove_difference((&mut seen, &kept), (&mut log, &now)).unwrap();
    let [a, b] = leaves.unwrap();
    prove(&Noticed {
        row: "B8",
        attack: "the log goes on from an older backup",
        by: "who saw more, at the next answer",
        since,
        files: Evidence::leaves(&a, &b, &keys).unwrap(),
    });
}

/// An auditor that cosigns both sides of a fork is proved to have done so, beside the log.
#[tokio::test]
async fn an_auditor_that_cosigns_a_fork() {
    let name = "careless.example";
    let auditor = Program::start("careless-auditor", &[name]).unwrap();
    let auditors: Vec<SignerKey> = witness_keys(name).unwrap();
    let policy = format!(
        "witness a {} {}\nquorum a\n",
        auditors[0].verifier(),
        auditor.url
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy");
    std::fs::write(&path, policy).unwrap();
    let fork = Fork::new(path.to_str(), 0).await;
    let since = Instant::now();
    let mut keys = fork.keys.clone();
    keys.extend(auditors.iter().map(|key| key.verifier().clone()));
    let http = reqwest::Client::new();
    let sides = [(&http, fork.one.url.as_str()), (&http, &fork.other.url)];
    let files = compare(sides, &keys).await.unwrap();
    assert_eq!(files.len(), 2, "the log, and the auditor");
    prove(&Noticed {
        row: "E1",
        attack: "an auditor cosigns both sides of a fork",
        by: "two people who compare checkpoints",
        since,
        files,
    });
}

/// Another directory under the name and keys of this one.
#[tokio::test]
async fn two_logs_under_one_origin() {
    let folder = tempfile::tempdir().unwrap();
    let one = start(&folder.path().join("one"), None);
    let other = start(&folder.path().join("other"), None);
    wait_until_published(&other.url).await;
    publish(&one.url, "alice", &["1"]).await;
    let since = Instant::now();
    let (descriptor, _) = crate::fork::descriptor(&one.url).await;
    let keys = descriptor.verifier_keys().unwrap();
    let http = reqwest::Client::new();
    let sides = [(&http, one.url.as_str()), (&http, &other.url)];
    prove(&Noticed {
        row: "D13",
        attack: "two logs with different configurations under one origin",
        by: "two people who compare checkpoints",
        since,
        files: compare(sides, &keys).await.unwrap(),
    });
}
