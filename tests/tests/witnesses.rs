//! Heads are published once the witnesses have cosigned them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use overt_protocol::codec::Decode;
use overt_protocol::head_log::policy::{Party, Policy};
use overt_protocol::head_log::proof::TlogProof;
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::wire::TreeHead;
use overt_tests::{Mood, Server, User, Witness, get, published_keys, wait_for};

const TOKEN: &str = "a token for these tests";

/// Three witnesses, of which two must cosign, each with either of its keys.
struct World {
    witnesses: Vec<Witness>,
    policy: String,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let mut witnesses = Vec::new();
        let mut policy = String::new();
        for name in ["one", "two", "three"] {
            let witness = Witness::start(name).await.unwrap();
            policy += &witness.policy_lines();
            policy += &format!("group {name} any {name}-0 {name}-1\n");
            witnesses.push(witness);
        }
        policy += "group all 2 one two three\nquorum all\n";
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy"), &policy).unwrap();
        Self {
            witnesses,
            policy,
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn set_moods(&self, moods: [Mood; 3]) {
        for (witness, mood) in self.witnesses.iter().zip(moods) {
            witness.set_mood(mood);
        }
    }

    /// Starts the directory, and makes the witnesses trust it.
    async fn start(&self, more: &[(&str, &str)]) -> Server {
        let policy = self.path("policy").display().to_string();
        let with_policy = [more, &[("OVERT_SERVER_WITNESS_POLICY", &policy)]].concat();
        let server = self.start_alone(&with_policy).unwrap();
        let keys = published_keys(&server.url).await.unwrap();
        for witness in &self.witnesses {
            witness.trust(keys.clone());
        }
        server
    }

    /// Starts the directory without witnesses.
    fn start_alone(&self, more: &[(&str, &str)]) -> anyhow::Result<Server> {
        let mut environment = vec![
            ("OVERT_SERVER_TOKEN", TOKEN),
            ("OVERT_SERVER_WITNESS_TIMEOUT", "300ms"),
            ("OVERT_SERVER_QUORUM_TIMEOUT", "500ms"),
            ("OVERT_SERVER_REQUEST_TIMEOUT", "2s"),
            ("OVERT_SERVER_MAX_BEHIND", "4s"),
            ("OVERT_SERVER_HEARTBEAT_FRACTION", "0.2"),
            ("OVERT_SERVER_REASONABLE_MONITORING_WINDOW", "2s"),
        ];
        environment.extend(more);
        let arguments = ["--access", "token", "--batch-interval", "20ms"];
        Server::start(&self.path("data"), &arguments, &environment)
    }
}

/// Checks that the user's head is a leaf of a checkpoint that satisfies the policy. Returns how many
/// cosignatures that has.
async fn check(user: &User, url: &str, policy: &str) -> anyhow::Result<usize> {
    let mut policy = Policy::parse(policy.as_bytes())?;
    for key in published_keys(url).await? {
        policy.add_log(Party { key, url: None })?;
    }
    let tree = user.tree.as_ref().unwrap();
    let size = tree.tree_size();
    let (status, proof) = get(url, &format!("/tlog-proof/{size}")).await?;
    anyhow::ensure!(status == 200, "no proof of {size}");
    let record = HeadRecord {
        config_hash: user.verifier.config().hash()?,
        tree_size: size,
        entry: *tree.rightmost().unwrap(),
        root: tree.view.root,
    };
    let proof = TlogProof::parse(&proof)?;
    let trusted = proof.verify_head(&record, &policy, &(0..=u64::MAX))?;
    Ok(trusted.cosignatures.len())
}

async fn tree_size(url: &str) -> u64 {
    let (_, bytes) = get(url, "/v1/tree-head").await.unwrap();
    TreeHead::from_bytes(&bytes, &()).unwrap().tree_size
}

fn conflicts(witness: &Witness) -> bool {
    let signed = witness.signed();
    signed.windows(2).any(|pair| {
        let [a, b] = [0, 1].map(|n| pair[n].checkpoint().tree());
        a.size > b.size || (a.size == b.size && a.root != b.root)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_head_that_users_see_is_witnessed() {
    let world = World::new().await;
    let server = world.start(&[]).await;
    let url = server.url.clone();
    wait_for(&url, "/readyz").await.unwrap();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    for n in 0..20u8 {
        user.update(&url, "alice", &[n]).await.unwrap();
        assert!(check(&user, &url, &world.policy).await.unwrap() >= 2);
    }
    // One of three may be anything.
    for mood in [
        Mood::Unknown,
        Mood::Conflict,
        Mood::ConflictWithoutSize,
        Mood::Broken,
        Mood::Garbage,
        Mood::Silent,
        Mood::Forger,
    ] {
        world.set_moods([mood, Mood::Honest, Mood::Honest]);
        user.update(&url, "alice", format!("{mood:?}").as_bytes())
            .await
            .unwrap();
        assert!(check(&user, &url, &world.policy).await.unwrap() >= 2);
    }
    assert!(!world.witnesses.iter().any(conflicts));
    let none = format!("/tlog-proof/{}", u64::MAX);
    for path in ["/tlog-proof/0", "/tlog-proof/x", &none] {
        assert_eq!(get(&url, path).await.unwrap().0, 404, "{path}");
    }
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_heads_wait_and_then_go_on() {
    let world = World::new().await;
    let server = world.start(&[]).await;
    let url = server.url.clone();
    wait_for(&url, "/readyz").await.unwrap();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    user.update(&url, "alice", b"first").await.unwrap();

    world.set_moods([Mood::Silent, Mood::Broken, Mood::Honest]);
    let published = user.tree.as_ref().unwrap().tree_size();
    let error = user.update(&url, "alice", b"second").await.unwrap_err();
    assert!(format!("{error:#}").contains("50"), "{error:#}");
    // Auditors see it, and all that comes after; users do not.
    let mut seen = 0;
    for _ in 0..600 {
        seen = tree_size(&url).await;
        if seen > published + 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(seen > published + 2);
    let error = user.update(&url, "alice", b"third").await.unwrap_err();
    assert!(format!("{error:#}").contains("not-witnessed"), "{error:#}");
    // A crash changes nothing.
    server.kill().unwrap();
    let server = world.start(&[]).await;
    let url = server.url.clone();
    assert!(tree_size(&url).await > published);
    let mut held = None;
    for _ in 0..200 {
        let mut stranger = User::new(&url, Some(TOKEN)).await.unwrap();
        match stranger.search(&url, "alice", None).await {
            // As long as its age allows, the last published head is served.
            Ok(found) => {
                assert_eq!(found.value(), b"first");
                assert!(check(&stranger, &url, &world.policy).await.unwrap() >= 2);
            }
            Err(error) => held = Some(format!("{error:#}")),
        }
        if held
            .as_ref()
            .is_some_and(|held| held.contains("not-witnessed"))
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(held.unwrap().contains("not-witnessed"));
    let (status, _) = get(&url, "/readyz").await.unwrap();
    assert_eq!(status, 503);
    let metrics = String::from_utf8(get(&url, "/metrics").await.unwrap().1).unwrap();
    assert!(metrics.contains("overt_head_has_quorum 0"), "{metrics}");

    world.set_moods([Mood::Honest, Mood::Silent, Mood::Honest]);
    wait_for(&url, "/readyz").await.unwrap();
    let found = user.search(&url, "alice", None).await.unwrap();
    assert_eq!(found.value(), b"second");
    assert!(check(&user, &url, &world.policy).await.unwrap() >= 2);
    assert!(!world.witnesses.iter().any(conflicts));
    server.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_degrades_says_so() {
    let world = World::new().await;
    world.set_moods([Mood::Honest, Mood::Unknown, Mood::Unknown]);
    let server = world
        .start(&[("OVERT_SERVER_WITHOUT_QUORUM", "degrade")])
        .await;
    let url = server.url.clone();
    wait_for(&url, "/readyz").await.unwrap();
    let mut user = User::new(&url, Some(TOKEN)).await.unwrap();
    user.own(&url, "alice").await.unwrap();
    user.update(&url, "alice", b"first").await.unwrap();
    let error = check(&user, &url, &world.policy).await.unwrap_err();
    assert!(format!("{error:#}").contains("no quorum"), "{error:#}");
    let metrics = String::from_utf8(get(&url, "/metrics").await.unwrap().1).unwrap();
    assert!(metrics.contains("overt_head_has_quorum 0"), "{metrics}");
    world.set_moods([Mood::Honest; 3]);
    for n in 0..200u8 {
        user.update(&url, "alice", &[n]).await.unwrap();
        if check(&user, &url, &world.policy).await.is_ok() {
            server.stop().unwrap();
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the quorum is there and not used");
}

#[tokio::test]
async fn a_new_policy_takes_nothing_back_and_keys_stay() {
    let world = World::new().await;
    world.set_moods([Mood::Broken; 3]);
    let server = world.start_alone(&[]).unwrap();
    let mut user = User::new(&server.url, Some(TOKEN)).await.unwrap();
    user.own(&server.url, "alice").await.unwrap();
    user.update(&server.url, "alice", b"first").await.unwrap();
    server.stop().unwrap();
    // What was shown without witnesses is shown still.
    let server = world.start(&[]).await;
    let found = user.search(&server.url, "alice", None).await.unwrap();
    assert_eq!(found.value(), b"first");
    server.kill().unwrap();

    let refused = |more: &[(&str, &str)]| format!("{:#}", world.start_alone(more).unwrap_err());
    for name in ["keys/head-log", "keys/head-log-ml-dsa"] {
        let path = world.path("data").join(name);
        let key = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, "00".repeat(32)).unwrap();
        let said = refused(&[]);
        assert!(said.contains("a key that signs checkpoints"), "{said}");
        std::fs::remove_file(&path).unwrap();
        let said = refused(&[]);
        assert!(said.contains("key file"), "{said}");
        std::fs::write(&path, key).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let said = refused(&[("OVERT_SERVER_ORIGIN", "elsewhere.example.org")]);
    assert!(said.contains("origin"), "{said}");
    world.start_alone(&[]).unwrap().stop().unwrap();
}
