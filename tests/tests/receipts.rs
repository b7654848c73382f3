//! Updates that are acknowledged with a receipt.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::Duration;

use overt_protocol::codec::Encode;
use overt_protocol::receipt::Promised;
use overt_protocol::wire::UpdateRequest;
use overt_tests::{Server, User};

const TOKEN: &str = "a token for these tests";

/// Batches come so late that a promise is all there is at first.
fn server(folder: &Path, interval: &str) -> Server {
    let arguments = ["--access", "token", "--batch-interval", interval];
    let environment = [
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_RECEIPTS", "1m"),
    ];
    Server::start(folder, &arguments, &environment).unwrap()
}

fn request(greatest_version: Option<u32>, values: &[&[u8]]) -> UpdateRequest {
    UpdateRequest {
        last: None,
        label: b"alice".to_vec(),
        greatest_version,
        values: values.iter().map(|value| value.to_vec()).collect(),
    }
}

/// Asks for receipts. Returns the status too.
async fn promise(url: &str, user: &User, request: &UpdateRequest) -> (u16, Vec<Promised>) {
    let answer = reqwest::Client::new()
        .post(format!("{url}/v1/update"))
        .bearer_auth(TOKEN)
        .header("Prefer", "wait=1, respond-async")
        .body(request.to_bytes().unwrap());
    let answer = answer.send().await.unwrap();
    let status = answer.status().as_u16();
    let applied = answer.headers().get("Preference-Applied").cloned();
    let body = answer.bytes().await.unwrap();
    if status != 202 {
        return (status, Vec::new());
    }
    assert_eq!(applied.unwrap(), "respond-async");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_millis() as u64;
    (status, user.verifier.receipts(request, &body, now).unwrap())
}

#[tokio::test]
async fn promises_are_kept_through_crashes() {
    let folder = tempfile::tempdir().unwrap();
    let slow = server(folder.path(), "1h");
    let mut user = User::new(&slow.url, Some(TOKEN)).await.unwrap();
    let (first, second) = (b"first".as_slice(), b"second".as_slice());
    let both = request(None, &[first, second]);
    let (status, receipts) = promise(&slow.url, &user, &both).await;
    assert_eq!((status, receipts.len()), (202, 2));
    // One promise at a time.
    let (status, _) = promise(&slow.url, &user, &both).await;
    assert_eq!(status, 409);
    assert!(user.search(&slow.url, "alice", None).await.is_err());
    slow.kill().unwrap();

    let quick = server(folder.path(), "10ms");
    let mut found = None;
    for _ in 0..200 {
        found = user.search(&quick.url, "alice", None).await.ok();
        if found.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = found.unwrap();
    assert_eq!((found.version(), found.value()), (1, second));
    assert_eq!(*found.commitment(), receipts[1].receipt.commitment);
    let found = user.search(&quick.url, "alice", Some(0)).await.unwrap();
    assert_eq!(*found.commitment(), receipts[0].receipt.commitment);
    assert_eq!(*found.opening(), receipts[0].opening);

    // The promise is over: the label takes updates again, of both kinds.
    let (status, _) = promise(&quick.url, &user, &request(Some(1), &[b"third"])).await;
    assert_eq!(status, 202);
    user.own(&quick.url, "alice").await.unwrap();
    while user
        .search(&quick.url, "alice", None)
        .await
        .unwrap()
        .version()
        < 2
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What is refused is refused at once, and who is behind is told the news.
    let (status, _) = promise(&quick.url, &user, &request(Some(2), &[b"third"])).await;
    assert_eq!(status, 409, "a repeat");
    let (status, _) = promise(&quick.url, &user, &request(Some(1), &[b"other"])).await;
    assert_eq!(status, 200);
    quick.stop().unwrap();
    let again = server(folder.path(), "10ms");
    let found = user.search(&again.url, "alice", None).await.unwrap();
    assert_eq!((found.version(), found.value()), (2, b"third".as_slice()));
}
