//! Another configuration than the one that was pinned (rows B10, D1 to D5).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use overt_client::trust::{DESCRIPTOR_PATH, TrustError};
use overt_client::{Client, Clock, Directory, Event, PinnedBy, State};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::{Configuration, DeploymentMode};

use crate::directory::{Person, RMW, URL, World};
use crate::memory::MemoryLog;
use crate::{KEYS, SUITE, about, empty_log, judged, remembered};

/// Directories that differ from what people pinned in one respect each.
fn others() -> Vec<(&'static str, World)> {
    let [signing, vrf] = KEYS;
    let log = |suite, signing, vrf, rmw| MemoryLog::new(suite, signing, vrf, rmw, None);
    let mut max_ahead = empty_log(None);
    max_ahead.config.max_ahead *= 10;
    let logs = [
        ("signature key", log(SUITE, [3; 32], vrf, RMW)),
        ("VRF key", log(SUITE, signing, [3; 32], RMW)),
        (
            "suite",
            log(CipherSuite::Kt128Sha256P256, signing, vrf, RMW),
        ),
        ("window", log(SUITE, signing, vrf, 10 * RMW)),
        ("lifetime", empty_log(Some(20 * RMW))),
        ("max_ahead", max_ahead),
    ];
    let world = |(what, log)| (what, World::with_log(log, false));
    logs.into_iter().map(world).collect()
}

struct At(Arc<AtomicU64>);

impl Clock for At {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Somebody who pinned one directory and is led to another.
fn misled(person: &Person, pinned: Directory, world: &World) -> Client<World> {
    let clock = At(world.now.clone());
    Client::new(world.clone(), person.store(), pinned, clock).unwrap()
}

/// It says of itself what is not so.
fn claim(world: &World, descriptor: &Descriptor) {
    let json = descriptor.to_json().unwrap();
    world.meddle(move |path, act| match path == DESCRIPTOR_PATH {
        true => Ok(json.clone()),
        false => act(),
    });
}

#[tokio::test]
async fn another_log_under_the_pinned_address_is_refused() {
    let honest = World::new(false);
    let pinned = honest.directory();
    for (what, other) in others() {
        other.slip_in("alice", b"the directory's key");
        other.grow(RMW);
        // It says that it is what people know it as.
        claim(&other, &pinned.descriptor);
        let bob = Person::new(&[&honest]);
        let before = remembered(&bob);
        let client = misled(&bob, pinned.clone(), &other);
        let (check, state) = judged(client.lookup("alice").await);
        assert_eq!(state, State::InvalidProof, "{what}: {check}");
        let done = client.monitor().await;
        assert_eq!(done.state(), State::InvalidProof, "{what}: {done:?}");

        // It says what it is.
        other.behave();
        let done = client.monitor().await;
        let [Event::Failed { error, .. }] = about(&done, "")[..] else {
            panic!("{what}: {done:?}");
        };
        assert_eq!(error.check(), Some("directory-changed"), "{what}");
        assert!(error.is_misbehaviour());
        drop(client);
        assert!(remembered(&bob) == before, "{what}: something was learnt");

        // A new user has the fingerprint from elsewhere.
        let fetched = Directory::fetch(&other, URL, Some(pinned.fingerprint), 0).await;
        assert!(
            matches!(fetched, Err(TrustError::Fingerprint { .. })),
            "{what}"
        );
    }
}

/// People expect an auditor's signature, and the directory does without.
#[tokio::test]
async fn auditing_cannot_be_given_up() {
    let world = World::new(false);
    world.slip_in("alice", b"alice's key");
    let config = world.directory().config;
    let audited = Configuration {
        mode: DeploymentMode::ThirdPartyAuditing {
            max_auditor_lag: 10 * RMW,
            auditor_start_pos: 0,
            auditor_public_key: config.signature_public_key.clone(),
        },
        ..config
    };
    let audited = Descriptor::new("keys.example.org", &audited, false).unwrap();
    let json = audited.to_json().unwrap();
    let pinned = Directory::from_descriptor(URL, &json, PinnedBy::Fingerprint, 0).unwrap();
    let bob = Person::new(&[]);
    bob.store().pin(&pinned).unwrap();
    claim(&world, &audited);
    let client = misled(&bob, pinned, &world);
    let judgement = judged(client.lookup("alice").await);
    assert_eq!(judgement, ("encoding", State::InvalidProof));
    assert_eq!(client.monitor().await.state(), State::InvalidProof);
    world.behave();
    let done = client.monitor().await;
    let [Event::Failed { error, .. }] = about(&done, "")[..] else {
        panic!("{done:?}");
    };
    assert_eq!(error.check(), Some("directory-changed"));
}
