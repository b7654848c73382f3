//! A directory that lets only some look labels up.
#![allow(clippy::unwrap_used, missing_docs)]

use overt_protocol::codec::Encode;
use overt_protocol::wire::{
    ContactMonitorRequest, MonitorMapEntry, OwnerInitRequest, OwnerMonitorRequest, SearchRequest,
    UpdateRequest,
};
use overt_tests::{Person, Server, User};
use serde_json::Value;

const TOKEN: &str = "a token for these tests";

/// Asks as someone without a token. Returns status and body.
async fn ask(url: &str, operation: &str, body: &impl Encode, openings: &[u8]) -> (u16, Vec<u8>) {
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/{operation}"))
        .header("Overt-Openings", hex::encode(openings))
        .body(body.to_bytes().unwrap());
    let answer = request.send().await.unwrap();
    (
        answer.status().as_u16(),
        answer.bytes().await.unwrap().to_vec(),
    )
}

#[tokio::test]
async fn monitoring_outlives_the_right_to_look_up() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--access", "token", "--batch-interval", "5ms"];
    let environment = [
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_LOOKUPS", "token"),
    ];
    let server = Server::start(folder.path(), &arguments, &environment).unwrap();
    let url = server.url.clone();
    let mut friend = User::new(&url, Some(TOKEN)).await.unwrap();
    friend.own(&url, "alice").await.unwrap();
    friend.update(&url, "alice", b"first").await.unwrap();
    let found = friend.search(&url, "alice", None).await.unwrap();
    let opening = *found.opening();
    let position = friend.tree.as_ref().unwrap().tree_size() - 1;
    friend.update(&url, "alice", b"second").await.unwrap();

    // Without the token, nothing tells what exists from what does not.
    let search = |label: &str| SearchRequest {
        last: None,
        label: label.into(),
        version: None,
    };
    let (status, refused) = ask(&url, "search", &search("alice"), &opening).await;
    assert_eq!(status, 401);
    let unknown = ask(&url, "search", &search("bob"), &opening).await;
    assert_eq!(unknown, (401, refused.clone()));
    let init = OwnerInitRequest {
        last: None,
        label: b"alice".to_vec(),
        start: 0,
    };
    assert_eq!(ask(&url, "owner-init", &init, &opening).await.0, 401);
    let news = |values: Vec<Vec<u8>>| UpdateRequest {
        last: None,
        label: b"alice".to_vec(),
        greatest_version: Some(0),
        values,
    };
    assert_eq!(ask(&url, "update", &news(vec![]), &opening).await.0, 401);
    let slipped = news(vec![b"x".to_vec()]);
    assert_eq!(ask(&url, "update", &slipped, &opening).await.0, 401);

    // What was looked up once is monitored, by whoever has its opening.
    let monitor = |label: &str, version| ContactMonitorRequest {
        last: None,
        label: label.into(),
        entries: vec![MonitorMapEntry { position, version }],
    };
    let allowed = ask(&url, "contact-monitor", &monitor("alice", 0), &opening).await;
    assert_eq!(allowed.0, 200);
    let mut wrong = opening;
    wrong[0] ^= 1;
    let cases = [
        ("alice", 0, wrong.to_vec()),
        ("alice", 0, Vec::new()),
        ("alice", 0, [opening, opening].concat()),
        ("alice", 1, opening.to_vec()),
        ("alice", 7, opening.to_vec()),
        ("bob", 0, opening.to_vec()),
    ];
    for (label, version, shown) in cases {
        let answer = ask(&url, "contact-monitor", &monitor(label, version), &shown).await;
        assert_eq!(answer, (401, refused.clone()), "{label} {version}");
    }
    let none = ContactMonitorRequest {
        entries: Vec::new(),
        ..monitor("alice", 0)
    };
    assert_eq!(ask(&url, "contact-monitor", &none, &[]).await.0, 401);
    let owner = |greatest_version| OwnerMonitorRequest {
        last: None,
        label: b"alice".to_vec(),
        entries: Vec::new(),
        start: 0,
        greatest_version,
    };
    let answer = ask(&url, "owner-monitor", &owner(Some(0)), &opening).await;
    assert_eq!(answer.0, 200);
    let answer = ask(&url, "owner-monitor", &owner(Some(1)), &opening).await;
    assert_eq!(answer, (401, refused));
    // With the token, nothing changes.
    friend.search(&url, "alice", Some(0)).await.unwrap();
}

#[tokio::test]
async fn a_contact_is_monitored_after_the_token_is_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--access", "token", "--batch-interval", "5ms"];
    let environment = [
        ("OVERT_SERVER_TOKEN", TOKEN),
        ("OVERT_SERVER_LOOKUPS", "token"),
    ];
    let server = Server::start(folder.path(), &arguments, &environment).unwrap();
    let url = server.url.clone();
    let mut alice = User::new(&url, Some(TOKEN)).await.unwrap();
    alice.own(&url, "alice").await.unwrap();
    for value in [b"1", b"2", b"3", b"4", b"5"] {
        alice.update(&url, "alice", value).await.unwrap();
    }
    let bob = Person::new(&url, TOKEN);
    assert_eq!(bob.verified(&["lookup", "alice"])["version"], 4);
    alice.update(&url, "alice", b"6").await.unwrap();

    let without_token = |arguments: &[&str]| {
        let mut command = bob.command();
        let output = command.env_remove("OVERT_TOKEN").args(arguments).output();
        let output = output.unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), json)
    };
    let (code, report) = without_token(&["monitor"]);
    assert_eq!(code, Some(0), "{report}");
    // It must be monitored, and was.
    let is_contact = |event: &&Value| event["event"] == "contact";
    let events = report["events"].as_array().unwrap();
    let contact = events.iter().find(is_contact).unwrap();
    assert_eq!(contact["remaining"], 1, "{report}");
    // That there is a later version is told to nobody without the right to look it up.
    assert_ne!(without_token(&["lookup", "alice"]).0, Some(0));
    assert_ne!(without_token(&["monitor", "--check-contacts"]).0, Some(0));
    let status = bob.verified(&["status"]);
    assert_eq!(status["contacts"][0]["version"], 4, "{status}");
}
