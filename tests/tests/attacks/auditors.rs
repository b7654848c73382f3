//! The auditor that a configuration names, signing two logs.

use std::path::Path;
use std::time::{Duration, Instant};

use overt_protocol::evidence::{Evidence, Head};
use overt_tests::{Auditor, Server, User};

use crate::fork::{TOKEN, copy, descriptor, free_address, start_at};
use crate::{Noticed, prove};

/// A directory and the auditor that it waits for, both with their data below a folder.
struct Side {
    url: String,
    server: Server,
    auditor: Auditor,
}

impl Side {
    fn start(folder: &Path, address: &str, key: &str) -> Self {
        let settings = [
            ("OVERT_SERVER_MODE", "third-party-auditing"),
            ("OVERT_SERVER_AUDITOR_PUBLIC_KEY", key),
        ];
        let server = start_at(address, &folder.join("server"), &settings);
        Self {
            url: server.url.clone(),
            auditor: Auditor::start(folder, &server.url).unwrap(),
            server,
        }
    }

    /// Tries until the directory has something to show that its auditor signed.
    async fn audited<T>(&self, mut ask: impl AsyncFnMut(&str) -> anyhow::Result<T>) -> T {
        for _ in 0..1_000 {
            if let Ok(answer) = ask(&self.url).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the auditor signs nothing");
    }

    /// Publishes a value. Returns the auditor's head over the log that ends with it.
    async fn publish(&self, value: &[u8]) -> Head {
        let mut user = User::new(&self.url, Some(TOKEN)).await.unwrap();
        self.audited(async |url| user.own(url, "alice").await).await;
        user.update(&self.url, "alice", value).await.unwrap();
        self.audited(async |_| {
            let mut user = User::new(&self.url, None).await?;
            user.search(&self.url, "alice", None).await?;
            let tree = user.tree.as_ref().unwrap();
            let head = tree.auditor_tree_head.as_ref().unwrap();
            anyhow::ensure!(head.tree_size == tree.tree_size());
            Ok(Head::of_auditor(head, tree.view.root))
        })
        .await
    }

    fn stop(self) {
        drop(self.auditor);
        self.server.stop().unwrap();
    }
}

/// One key in two auditors, each of which replays honestly what it is given.
#[tokio::test]
async fn an_auditors_key_that_signs_two_logs() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    std::fs::create_dir(&one).unwrap();
    let key = Auditor::public_key(&one).unwrap();
    copy(&one, &other);
    let [here, there] = [free_address(), free_address()];
    let before = Side::start(&one, &here, &key);
    before.publish(b"common").await;
    before.stop();
    copy(&one.join("server"), &other.join("server"));
    let (one, other) = (
        Side::start(&one, &here, &key),
        Side::start(&other, &there, &key),
    );
    let hers = one.publish(b"hers").await;
    let since = Instant::now();
    let theirs = other.publish(b"theirs").await;
    assert_eq!(hers.tree_size, theirs.tree_size);
    let (_, config) = descriptor(&one.url).await;
    let file = Evidence::heads(&config, hers, theirs);
    prove(&Noticed {
        row: "E1",
        attack: "the auditor that the configuration names signs two logs",
        by: "two people who compare heads",
        since,
        files: vec![file.unwrap()],
    });
}
