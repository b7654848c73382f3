//! A directory and three auditors: what they cosign, and what they make of a directory that shows two
//! faces.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use overt_protocol::descriptor::Descriptor;
use overt_protocol::evidence::Evidence;
use overt_protocol::head_log::checkpoint::{Checkpoint, SignedCheckpoint};
use overt_protocol::head_log::key::{SignatureType, SignerKey};
use overt_protocol::head_log::policy::{Party, Policy};
use overt_protocol::head_log::tree::SizedRoot;
use overt_protocol::head_log::witness::{AddCheckpoint, monitoring_path, parse_size};
use overt_tests::{Auditor, AuditorPlace, Person, Server, User};

const TOKEN: &str = "a token for these tests";

struct World {
    folder: tempfile::TempDir,
    places: Vec<AuditorPlace>,
    policy: String,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut places: Vec<_> = ["one", "two", "three"]
            .into_iter()
            .map(|name| AuditorPlace::new(name, &folder.path().join(name)).unwrap())
            .collect();
        let urls: Vec<_> = places.iter().map(AuditorPlace::url).collect();
        for place in &mut places {
            let own = place.url();
            for peer in urls.iter().filter(|url| **url != own) {
                place.more += &format!("[[peer]]\nurl = \"{peer}\"\n");
            }
        }
        let mut policy = String::new();
        for place in &places {
            policy += &place.policy_lines().unwrap();
        }
        policy += "group all 2 one two three\nquorum all\n";
        std::fs::write(folder.path().join("policy"), &policy).unwrap();
        Self {
            folder,
            places,
            policy,
        }
    }

    fn server(&self) -> Server {
        let policy = self.folder.path().join("policy").display().to_string();
        let environment = [
            ("OVERT_SERVER_TOKEN", TOKEN),
            ("OVERT_SERVER_WITNESS_POLICY", &policy),
            ("OVERT_SERVER_WITNESS_TIMEOUT", "5s"),
            ("OVERT_SERVER_QUORUM_TIMEOUT", "1s"),
            ("OVERT_SERVER_REQUEST_TIMEOUT", "20s"),
        ];
        let arguments = ["--access", "token", "--batch-interval", "20ms"];
        Server::start(&self.folder.path().join("data"), &arguments, &environment).unwrap()
    }

    fn auditors(&self, url: &str) -> Vec<Auditor> {
        let start = |place: &AuditorPlace| place.start(url).unwrap();
        self.places.iter().map(start).collect()
    }
}

async fn get(url: &str, path: &str) -> (u16, Vec<u8>) {
    match reqwest::get(format!("{url}{path}")).await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            (status, answer.bytes().await.unwrap().to_vec())
        }
        Err(_) => (0, Vec::new()),
    }
}

async fn wait_for(url: &str, path: &str) -> Vec<u8> {
    for _ in 0..600 {
        let (status, body) = get(url, path).await;
        if status == 200 {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} is never there");
}

async fn post(url: &str, path: &str, body: String) -> (u16, String) {
    let http = reqwest::Client::new();
    let answer = http.post(format!("{url}{path}")).body(body).send().await;
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn descriptor(url: &str) -> Descriptor {
    let (_, json) = get(url, "/v1/descriptor").await;
    Descriptor::parse(&json).unwrap().0
}

/// What an auditor cosigned last; none if nothing.
async fn latest(place: &AuditorPlace, role: &str, origin: &str) -> Option<SignedCheckpoint> {
    let path = format!("/{role}/{}", monitoring_path(origin));
    let (status, note) = get(&place.url(), &path).await;
    (status == 200).then(|| SignedCheckpoint::parse(&note).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_auditors_are_a_quorum() {
    let world = World::new();
    let server = world.server();
    let url = server.url.clone();
    let mut auditors = world.auditors(&url);
    wait_for(&url, "/readyz").await;
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    for n in 0..20u8 {
        user.update(&url, "alice", &[n]).await.unwrap();
    }
    let descriptor = descriptor(&url).await;
    let mut policy = Policy::parse(world.policy.as_bytes()).unwrap();
    for key in descriptor.verifier_keys().unwrap() {
        policy.add_log(Party { key, url: None }).unwrap();
    }
    let note = wait_for(&url, "/checkpoint").await;
    let checkpoint = SignedCheckpoint::parse(&note).unwrap();
    let trusted = policy.verify(&checkpoint, &(0..=u64::MAX)).unwrap();
    assert!(trusted.cosignatures.len() >= 4, "two keys each");
    // They agree with each other.
    auditors[0]
        .status(|s| {
            let peers = s["peers"].as_object();
            peers.is_some_and(|peers| {
                peers.len() == 2 && peers.values().all(|peer| peer["result"] == "agrees")
            })
        })
        .await
        .unwrap();

    // With one alone, heads wait; the directory heals by itself when a second is back.
    auditors.truncate(1);
    let before = user.tree.as_ref().unwrap().tree_size();
    let error = user.update(&url, "alice", b"held").await.unwrap_err();
    assert!(format!("{error:#}").contains("not-witnessed"), "{error:#}");
    let note = wait_for(&url, "/checkpoint").await;
    let held = SignedCheckpoint::parse(&note).unwrap();
    assert!(held.checkpoint().tree().size <= before);
    assert_ne!(
        user.search(&url, "alice", None).await.unwrap().value(),
        b"held"
    );
    auditors.push(world.places[1].start(&url).unwrap());
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if user.search(&url, "alice", None).await.unwrap().value() == b"held" {
            server.stop().unwrap();
            return;
        }
    }
    panic!("the directory does not heal");
}

/// The log signs what it likes: its keys are in its data directory.
fn log_keys(world: &World, origin: &str) -> Vec<SignerKey> {
    let kinds = [
        ("keys/head-log", SignatureType::Ed25519),
        ("keys/head-log-ml-dsa", SignatureType::MlDsa44Cosignature),
    ];
    let keys = kinds.map(|(name, kind)| {
        let path = world.folder.path().join("data").join(name);
        let text = std::fs::read_to_string(path).unwrap();
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed).unwrap();
        SignerKey::from_seed(origin, kind, &seed).unwrap()
    });
    keys.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_face_is_evidence_that_all_auditors_get() {
    let world = World::new();
    let server = world.server();
    let url = server.url.clone();
    let auditors = world.auditors(&url);
    wait_for(&url, "/readyz").await;
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    user.update(&url, "alice", b"value").await.unwrap();
    let origin = descriptor(&url).await.origin;
    let note = wait_for(&url, "/checkpoint").await;
    let shown = SignedCheckpoint::parse(&note).unwrap();
    let tree = shown.checkpoint().tree();
    let place = &world.places[0];

    // Someone who was shown the same; someone with nonsense.
    let bring = |note: String| post(&auditors[0].status, "/gossip/checkpoint", note);
    let (status, said) = bring(shown.to_string()).await;
    assert_eq!((status, said.contains("agrees")), (200, true), "{said}");
    assert_eq!(bring("nonsense".to_owned()).await.0, 400);
    let stranger = Checkpoint::new("elsewhere.example.org", tree).unwrap();
    let key = SignerKey::from_seed(stranger.origin(), SignatureType::Ed25519, &[1; 32]).unwrap();
    let foreign = SignedCheckpoint::sign(stranger, &[key]).unwrap();
    assert_eq!(bring(foreign.to_string()).await.0, 404);
    let forged = SignerKey::from_seed(&origin, SignatureType::Ed25519, &[1; 32]).unwrap();
    let forged = SignedCheckpoint::sign(shown.checkpoint().clone(), &[forged]).unwrap();
    assert_eq!(bring(forged.to_string()).await.0, 403);

    let seen = place.ask(&["status"]).unwrap();
    let text = String::from_utf8_lossy(&seen.stdout);
    assert_eq!(seen.status.code(), Some(0), "{seen:?}");
    assert!(text.contains(&format!("{origin}: FOLLOWED")), "{text}");
    // Someone who was shown another log of the same size.
    let other = SizedRoot {
        size: tree.size,
        root: [7; 32],
    };
    let other = Checkpoint::new(&origin, other).unwrap();
    let other = SignedCheckpoint::sign(other, &log_keys(&world, &origin)).unwrap();
    let (status, said) = bring(other.to_string()).await;
    assert_eq!(
        (status, said.contains("contradicts")),
        (409, true),
        "{said}"
    );
    for (auditor, place) in auditors.iter().zip(&world.places) {
        let status = auditor.status(|s| s["state"] == "refused").await.unwrap();
        let id = status["evidence"][0]["id"].as_str().unwrap();
        let file = wait_for(&place.url(), &format!("/gossip/evidence/{id}")).await;
        let finding = Evidence::parse(&file).unwrap().verify().unwrap();
        assert_eq!(finding.code, "two-checkpoints");
    }
    // Nothing more of it is signed, whatever it asks for.
    let before = latest(place, "auditor", &origin).await.unwrap();
    let request = AddCheckpoint {
        old_size: before.checkpoint().tree().size,
        consistency: Vec::new(),
        checkpoint: before.clone(),
    };
    for role in ["auditor", "witness"] {
        let path = format!("/{role}/add-checkpoint");
        let (status, said) = post(&place.url(), &path, request.to_string()).await;
        assert_eq!(status, 403, "{said}");
    }
    let page = String::from_utf8(get(&place.url(), "/").await.1).unwrap();
    assert!(page.contains("REFUSED"), "{page}");
    let metrics = String::from_utf8(get(&place.url(), "/metrics").await.1).unwrap();
    assert!(metrics.contains("overt_auditor_refused{"), "{metrics}");
    let seen = place.ask(&["status", "--json"]).unwrap();
    assert_eq!(seen.status.code(), Some(3), "{seen:?}");
    let folder = world.folder.path().join("evidence");
    std::fs::create_dir(&folder).unwrap();
    let written = place.ask(&["evidence", folder.to_str().unwrap()]).unwrap();
    assert_eq!(written.status.code(), Some(0), "{written:?}");
    let file = folder.read_dir().unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read(file).unwrap();
    assert!(Evidence::parse(&file).unwrap().verify().is_ok());
    // After a restart neither.
    drop(auditors);
    let silent = place.ask(&["status"]).unwrap();
    let text = String::from_utf8_lossy(&silent.stderr);
    assert_eq!(silent.status.code(), Some(1), "{silent:?}");
    assert!(text.contains("is it running?"), "{text}");
    let again = place.start(&url).unwrap();
    again.status(|s| s["state"] == "refused").await.unwrap();
    let (status, _) = post(&place.url(), "/auditor/add-checkpoint", request.to_string()).await;
    assert_eq!(status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_signs_what_it_replayed_and_a_witness_what_is_consistent() {
    let world = World::new();
    let mut place = world.places[0].clone();
    let origin = "another.example.org";
    let key = SignerKey::from_seed(origin, SignatureType::Ed25519, &[5; 32]).unwrap();
    place.more = format!("[[log]]\nkeys = [\"{}\"]\n", key.verifier());
    let data = world.folder.path().join("data");
    let arguments = ["--access", "token", "--batch-interval", "20ms"];
    let server = Server::start(&data, &arguments, &[("OVERT_SERVER_TOKEN", TOKEN)]).unwrap();
    let url = server.url.clone();
    let auditor = place.start(&url).unwrap();
    auditor
        .status(|s| s["tree_size"].as_u64() > Some(0))
        .await
        .unwrap();
    let ask = |role: &str, old_size: u64, signed: &SignedCheckpoint| {
        let request = AddCheckpoint {
            old_size,
            consistency: Vec::new(),
            checkpoint: signed.clone(),
        };
        let path = format!("/{role}/add-checkpoint");
        let place = place.clone();
        async move { post(&place.url(), &path, request.to_string()).await }
    };
    let sign = |origin: &str, size: u64, root: u8, keys: &[SignerKey]| {
        let root = [root; 32];
        let checkpoint = Checkpoint::new(origin, SizedRoot { size, root }).unwrap();
        SignedCheckpoint::sign(checkpoint, keys).unwrap()
    };

    // Any log that the settings name, as a witness only; exact status codes.
    let first = sign(origin, 5, 1, std::slice::from_ref(&key));
    assert_eq!(ask("auditor", 0, &first).await.0, 404);
    let (status, lines) = ask("witness", 0, &first).await;
    assert_eq!((status, lines.lines().count()), (200, 2), "{lines}");
    let (status, size) = ask("witness", 0, &first).await;
    assert_eq!((status, parse_size(size.as_bytes())), (409, Some(5)));
    assert_eq!(ask("witness", 5, &first).await.0, 200);
    let grown = sign(origin, 6, 3, std::slice::from_ref(&key));
    assert_eq!(
        ask("witness", 5, &grown).await.0,
        422,
        "no consistency proof"
    );
    assert_eq!(ask("witness", 7, &grown).await.0, 400);
    // Two trees of one size: from then on it is refused.
    let fork = sign(origin, 5, 2, std::slice::from_ref(&key));
    assert_eq!(ask("witness", 5, &fork).await.0, 422);
    assert_eq!(ask("witness", 5, &first).await.0, 403);
    let unknown = sign(
        "unknown.example.org",
        1,
        1,
        &[SignerKey::from_seed("unknown.example.org", SignatureType::Ed25519, &[5; 32]).unwrap()],
    );
    assert_eq!(ask("witness", 0, &unknown).await.0, 404);
    assert_eq!(
        post(&place.url(), "/witness/add-checkpoint", "x".into())
            .await
            .0,
        400
    );
    let witnessed = latest(&place, "witness", origin).await.unwrap();
    assert_eq!(witnessed.checkpoint(), first.checkpoint());
    assert!(latest(&place, "auditor", origin).await.is_none());

    // Of the directory: only what its entries come to, even if the log signed it.
    let descriptor = descriptor(&url).await;
    let keys = log_keys(&world, &descriptor.origin);
    let note = wait_for(&url, "/checkpoint").await;
    let shown = SignedCheckpoint::parse(&note).unwrap();
    let size = shown.checkpoint().tree().size;
    let ahead = sign(&descriptor.origin, size + 1_000, 1, &keys);
    assert_eq!(ask("auditor", 0, &ahead).await.0, 503);
    assert_eq!(ask("auditor", 0, &shown).await.0, 200);
    let fork = sign(&descriptor.origin, size, 9, &keys);
    assert_eq!(ask("auditor", size, &fork).await.0, 422);
    auditor.status(|s| s["state"] == "refused").await.unwrap();
    assert_eq!(ask("auditor", size, &shown).await.0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_who_cosigned_and_who_did_not() {
    let world = World::new();
    let server = world.server();
    let url = server.url.clone();
    let mut auditors = world.auditors(&url);
    wait_for(&url, "/readyz").await;
    let (policy, strict) = (world.folder.path().join("policy"), "strict.policy");
    let person = Person::new(&url, TOKEN);
    std::fs::write(person.path("key"), "a key").unwrap();
    let path = |name: &str| person.path(name).display().to_string();
    person.verified(&["trust", "add", &url]);
    let policy = policy.display().to_string();
    let chosen = person.verified(&["trust", "policy", &url, &policy]);
    // Two of three hold against the directory alone, not against it and one of them.
    assert_eq!(chosen["excludes_fork"], false);
    let chosen = person.verified(&["trust", "policy", &url, &policy, "--dishonest", "0"]);
    assert_eq!(chosen["excludes_fork"], true);

    person.verified(&["register", "alice", &path("key")]);
    let found = person.verified(&["verify", "alice", "--key", &path("key")]);
    assert!(found["cosigned"].as_array().unwrap().len() >= 2, "{found}");
    let listed = person.verified(&["witness", "list"]);
    assert_eq!(listed["witnesses"].as_array().unwrap().len(), 6);
    // The auditors are asked, and told: they know what this person was shown.
    let asked = person.verified(&["gossip", "auditors"]);
    assert_eq!(asked["agreed"].as_array().unwrap().len(), 3, "{asked}");
    assert_eq!(asked["silent"].as_array().unwrap().len(), 0, "{asked}");
    let pass = person.verified(&["monitor"]);
    let events = pass["events"].as_array().unwrap();
    assert!(
        events.iter().any(|event| event["event"] == "audited"),
        "{pass}"
    );
    let status = person.verified(&["status"]);
    let bounds = status["noticed_within"].as_array().unwrap();
    let within = |formula: &str| {
        let bound = bounds.iter().find(|bound| bound["formula"] == formula);
        bound.map(|bound| bound["within_ms"].as_u64())
    };
    // RMW and W are a day, H at most max_behind, which is a day too. Two of three hold against the
    // directory alone.
    assert_eq!(within("RMW + H + W"), Some(Some(3 * 24 * 3_600_000)));
    assert_eq!(
        (within("0"), within("P + G")),
        (Some(Some(0)), None),
        "{status}"
    );

    // A policy of one's own may ask for more than the operator's.
    let all = world.policy.replace("group all 2", "group all 3");
    std::fs::write(person.path(strict), all).unwrap();
    person.verified(&["trust", "policy", &url, &path(strict)]);
    std::fs::write(person.path("key"), "another key").unwrap();
    person.verified(&["update", "alice", &path("key")]);
    drop(auditors.pop());
    std::fs::write(person.path("key"), "a third key").unwrap();
    let (code, said) = person.run(&["update", "alice", &path("key")]);
    assert_eq!(code, 4, "{said}");
    let said = said.to_string();
    assert!(said.contains("missing: three/auditor"), "{said}");

    // Without a quorum the operator's own policy holds heads back, which people are told.
    person.verified(&["trust", "policy", &url, "--none"]);
    drop(auditors.pop());
    std::fs::write(person.path("key"), "a fourth key").unwrap();
    let (code, said) = person.run(&["update", "alice", &path("key")]);
    assert_eq!(code, 4, "{said}");
    assert!(said.to_string().contains("too few witnesses"), "{said}");
    person.verified(&["lookup", "alice"]);
    auditors.push(world.places[1].start(&url).unwrap());
    auditors.push(world.places[2].start(&url).unwrap());
    for _ in 0..100 {
        let (code, _) = person.run(&["update", "alice", &path("key")]);
        if code == 0 {
            person.verified(&["verify", "alice", "--key", &path("key")]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the directory does not heal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_that_was_shown_early_is_not_forgotten() {
    let world = World::new();
    let server = world.server();
    let url = server.url.clone();
    let auditors = world.auditors(&url);
    wait_for(&url, "/readyz").await;
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    let origin = descriptor(&url).await.origin;
    let note = wait_for(&url, "/checkpoint").await;
    let shown = SignedCheckpoint::parse(&note).unwrap();
    let next = SizedRoot {
        size: shown.checkpoint().tree().size + 1,
        root: [7; 32],
    };
    let next = Checkpoint::new(&origin, next).unwrap();
    let next = SignedCheckpoint::sign(next, &log_keys(&world, &origin)).unwrap();
    // Nobody can tell yet.
    let brought = post(&auditors[0].status, "/gossip/checkpoint", next.to_string());
    let (status, said) = brought.await;
    assert_eq!((status, said.contains("later")), (202, true), "{said}");
    // The log grows, with another head of that size: no auditor that knows both cosigns it.
    let _ = user.update(&url, "alice", b"value").await;
    let status = auditors[0]
        .status(|s| s["state"] == "refused")
        .await
        .unwrap();
    let id = status["evidence"][0]["id"].as_str().unwrap();
    let path = format!("/gossip/evidence/{id}");
    let file = wait_for(&world.places[0].url(), &path).await;
    let finding = Evidence::parse(&file).unwrap().verify().unwrap();
    assert_eq!(finding.code, "two-checkpoints");
    let cosigned = latest(&world.places[0], "auditor", &origin).await.unwrap();
    assert!(cosigned.checkpoint().tree().size <= shown.checkpoint().tree().size);
}
