//! Auditors that are shown two logs, and compare.

use std::path::Path;
use std::time::Instant;

use overt_protocol::evidence::Evidence;
use overt_tests::{Auditor, AuditorPlace, Program, User};

use crate::fork::{Fork, TOKEN, copy, free_address, get, publish, start_at, wait_until_published};
use crate::{Noticed, prove};

/// The files that an auditor keeps and gives to everybody.
async fn files(auditor: &Auditor) -> Vec<Evidence> {
    let http = reqwest::Client::new();
    let url = format!("{}/gossip/evidence", auditor.status);
    let list = get(&http, url.clone()).await;
    let ids: Vec<String> = serde_json::from_slice(&list).unwrap();
    let mut files = Vec::new();
    for id in ids {
        let file = Evidence::parse(&get(&http, format!("{url}/{id}")).await).unwrap();
        assert_eq!(file.id(), id);
        files.push(file);
    }
    files
}

/// Two auditors that ask each other, below a folder.
fn places(folder: &Path) -> [AuditorPlace; 2] {
    let mut places = ["one.example", "other.example"]
        .map(|name| AuditorPlace::new(name, &folder.join(name)).unwrap());
    let urls = places.each_ref().map(AuditorPlace::url);
    for (place, peer) in places.iter_mut().zip(urls.iter().rev()) {
        place.more = format!("[[peer]]\nurl = \"{peer}\"\n");
    }
    places
}

/// Each auditor is shown one of two logs, and cosigns what it replayed: neither is dishonest, and the
/// directory asks each for its own log only.
#[tokio::test(flavor = "multi_thread")]
async fn two_auditors_that_are_shown_two_logs() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let addresses = [free_address(), free_address()];
    let data = ["data", "copy"].map(|name| folder.path().join(name));
    let policies = places.each_ref().map(|place| {
        let path = folder.path().join(format!("{}.policy", place.name));
        let policy = format!("{}quorum {}\n", place.policy_lines().unwrap(), place.name);
        std::fs::write(&path, policy).unwrap();
        path.display().to_string()
    });
    let start = |n: usize| {
        let policy = [("OVERT_SERVER_WITNESS_POLICY", policies[n].as_str())];
        start_at(&addresses[n], &data[n], &policy)
    };
    let one = places[0]
        .start(&format!("http://{}", addresses[0]))
        .unwrap();
    let common = start(0);
    wait_until_published(&common.url).await;
    publish(&common.url, "alice", &["common"]).await;
    common.stop().unwrap();
    copy(&data[0], &data[1]);
    let (face, face_of_other) = (start(0), start(1));
    let other = places[1].start(&face_of_other.url).unwrap();
    wait_until_published(&face_of_other.url).await;
    let since = Instant::now();
    for (face, value) in [(&face, "hers"), (&face_of_other, "theirs")] {
        let mut user = User::new(&face.url, Some(TOKEN)).await.unwrap();
        user.own(&face.url, "alice").await.unwrap();
        // An auditor may have noticed before it is published.
        let _ = user.update(&face.url, "alice", value.as_bytes()).await;
    }
    for auditor in [&one, &other] {
        let refuses = |said: &serde_json::Value| said["state"] == "refused";
        auditor.status(refuses).await.unwrap();
        prove(&Noticed {
            row: "B6",
            attack: "two auditors are shown two logs",
            by: "both, from each other",
            since,
            files: files(auditor).await,
        });
    }
}

/// A log that one auditor alone is shown otherwise, and a person who brings it what others see.
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_that_is_told_by_a_stranger() {
    let folder = tempfile::tempdir().unwrap();
    let [place, _] = places(folder.path());
    let fork = Fork::new(None, 0).await;
    let auditor = place.start(&fork.one.url).unwrap();
    auditor
        .status(|said| said["tree_size"].as_u64() > Some(2))
        .await
        .unwrap();
    let http = reqwest::Client::new();
    let since = Instant::now();
    let shown = get(&http, format!("{}/checkpoint", fork.other.url)).await;
    let brought = http.post(format!("{}/gossip/checkpoint", auditor.status));
    let brought = brought.body(shown).send().await.unwrap();
    assert_eq!(brought.status(), 409);
    auditor
        .status(|said| said["state"] == "refused")
        .await
        .unwrap();
    prove(&Noticed {
        row: "B4",
        attack: "one person is shown another log",
        by: "an auditor, to whom that person brings a checkpoint",
        since,
        files: files(&auditor).await,
    });
}

/// Users and auditors are given one log, and the head log is another's.
#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_of_a_head_log_for_show() {
    let folder = tempfile::tempdir().unwrap();
    let [place, _] = places(folder.path());
    let fork = Fork::new(None, 0).await;
    let faces = [fork.one.url.as_str(), &fork.other.url, "by-path"];
    let directory = Program::start("two-faced", &faces).unwrap();
    let since = Instant::now();
    let auditor = place.start(&directory.url).unwrap();
    auditor
        .status(|said| said["state"] == "refused")
        .await
        .unwrap();
    prove(&Noticed {
        row: "B12",
        attack: "auditors are given another log than the head log has",
        by: "an auditor, from the directory's own statements",
        since,
        files: files(&auditor).await,
    });
}

/// More than an auditor takes, of all that anybody can send.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_gossip() {
    let folder = tempfile::tempdir().unwrap();
    let [place, _] = places(folder.path());
    let fork = Fork::new(None, 0).await;
    let auditor = place.start(&fork.one.url).unwrap();
    let follows = |said: &serde_json::Value| said["tree_size"].as_u64() > Some(2);
    auditor.status(follows).await.unwrap();
    let http = reqwest::Client::new();
    let shown = get(&http, format!("{}/checkpoint", fork.one.url)).await;
    let huge = vec![b'x'; 8 << 20];
    let mut sent = Vec::new();
    for n in 0..120 {
        let path = ["checkpoint", "evidence"][n % 2];
        let body = match n % 3 {
            0 => shown.clone(),
            1 if n == 1 => huge.clone(),
            _ => format!("nonsense {n}").into_bytes(),
        };
        let request = http.post(format!("{}/gossip/{path}", auditor.status));
        sent.push(tokio::spawn(request.body(body).send()));
    }
    let mut turned_away = 0;
    for answer in sent {
        // The connection may be cut below a body that is too long.
        if let Ok(answer) = answer.await.unwrap() {
            turned_away += usize::from(answer.status() == 429);
            assert_ne!(answer.status(), 500);
        }
    }
    assert!(turned_away > 0);
    publish(&fork.one.url, "grace", &["1"]).await;
    let grown = |said: &serde_json::Value| said["tree_size"].as_u64() > Some(3);
    let said = auditor.status(grown).await.unwrap();
    assert_eq!(said["state"], "followed");
    assert!(files(&auditor).await.is_empty());
}
