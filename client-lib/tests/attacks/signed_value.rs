//! Where owners sign their values (rows A14 to A16).

use overt_client::keys::{Seed, public_key, signing_key};
use overt_client::{ClientError, Event, Standing, State};
use overt_protocol::signed_value::{SignedValue, Signer};

use crate::directory::World;
use crate::{about, judged, people, remembered};

const ALICE: &str = "alice";

fn seed(n: u8) -> Seed {
    Seed::new([n; 32])
}

/// A value in its envelope, with keys of the directory's own.
fn envelope() -> SignedValue {
    let (update, recovery) = (public_key(&seed(8)), public_key(&seed(9)));
    SignedValue::new(b"the directory's key".to_vec(), update, Some(recovery))
}

fn published(world: &World) -> Vec<u8> {
    let log = world.log.lock().unwrap();
    let (.., update) = log.labels[ALICE.as_bytes()].last().unwrap();
    update.value.clone()
}

/// The next version after what is published, signed with a key that this allows to.
fn signed(world: &World, version: u32, signer: Signer, seed: &Seed) -> Vec<u8> {
    let mut value = envelope();
    let config_hash = world.directory().config.hash().unwrap();
    let (previous, key) = (published(world), signing_key(seed).unwrap());
    let label = ALICE.as_bytes();
    value
        .sign(&config_hash, label, version, &previous, signer, &key)
        .unwrap();
    value.encode().unwrap()
}

/// A signature that the owner made, over something else.
fn borrowed(published: &[u8]) -> Vec<u8> {
    let mut value = envelope();
    value.signature = SignedValue::decode(published).unwrap().signature;
    value.encode().unwrap()
}

#[tokio::test]
async fn a_version_that_its_owner_did_not_sign_is_invalid_to_everybody_at_once() {
    type Forge = fn(&World) -> Vec<u8>;
    let forgeries: [(&str, Forge, &str); 4] = [
        (
            "no envelope",
            |_| b"the directory's key".to_vec(),
            "signed-value-encoding",
        ),
        (
            "not signed",
            |_| envelope().encode().unwrap(),
            "signed-value-signature-missing",
        ),
        (
            "signed by the owner, for another value",
            |world| borrowed(&published(world)),
            "signed-value-signature",
        ),
        ("signed by the owner, for another version", published, {
            "signed-value-signature"
        }),
    ];
    for (what, forge, check) in forgeries {
        let world = World::new(true);
        let [alice, bob, carol] = people(&world);
        let owner = alice.client(&world);
        owner.register(ALICE, b"first").await.unwrap();
        bob.client(&world).lookup(ALICE).await.unwrap();
        owner.update(ALICE, b"second").await.unwrap();
        let found = bob.client(&world).lookup(ALICE).await.unwrap();
        assert_eq!((found.version(), found.standing()), (1, Standing::Signed));
        let before = remembered(&bob);

        world.slip_in(ALICE, &forge(&world));
        let expected = (check, State::Lied);
        for contact in [&bob, &carol] {
            let found = contact.client(&world).lookup(ALICE).await;
            assert_eq!(judged(found), expected, "{what}");
        }
        assert!(remembered(&bob) == before, "{what}: something was learnt");
        let done = owner.monitor().await;
        let [Event::Failed { error, .. }] = about(&done, ALICE)[..] else {
            panic!("{what}: {done:?}");
        };
        assert_eq!((error.check(), done.state()), (Some(check), State::Lied));
    }
}

#[tokio::test]
async fn who_comes_after_somebody_else_registered_is_told() {
    let world = World::new(true);
    let [alice, bob] = people(&world);
    world.slip_in(ALICE, &envelope().encode().unwrap());
    // Nobody can tell yet; the lookup says on whose authority the key stands.
    let found = bob.client(&world).lookup(ALICE).await.unwrap();
    assert_eq!(found.standing(), Standing::FirstRegistration);
    let registered = alice.client(&world).register(ALICE, b"alice's own").await;
    assert!(matches!(registered, Err(ClientError::Taken { version: 0 })));
}

#[tokio::test]
async fn a_recovery_is_told_to_contacts_and_to_the_owner() {
    let world = World::new(true);
    let [alice, bob, carol] = people(&world);
    let owner = alice.client(&world);
    let registered = owner.register(ALICE, b"first").await.unwrap();
    bob.client(&world).lookup(ALICE).await.unwrap();
    // The recovery phrase got into the wrong hands.
    let stolen = registered.recovery.unwrap();
    world.slip_in(ALICE, &signed(&world, 1, Signer::RecoveryKey, &stolen));
    let found = bob.client(&world).lookup(ALICE).await.unwrap();
    assert_eq!(found.standing(), Standing::Recovered);
    assert_eq!(
        (found.recoveries(), found.seen_before()),
        (&[1][..], Some(0))
    );
    // A later version does not hide it from who comes later.
    world.slip_in(ALICE, &signed(&world, 2, Signer::UpdateKey, &seed(8)));
    let found = carol.client(&world).lookup(ALICE).await.unwrap();
    assert_eq!(
        (found.standing(), found.recoveries()),
        (Standing::Signed, &[1][..])
    );
    let done = owner.monitor().await;
    assert_eq!(done.state(), State::OwnKeyChanged);
    let foreign = about(&done, ALICE)
        .into_iter()
        .filter_map(|event| match event {
            Event::Foreign { versions, .. } => Some(versions.clone()),
            _ => None,
        });
    let expected = [(1, Some(Signer::RecoveryKey)), (2, Some(Signer::UpdateKey))];
    assert_eq!(foreign.flatten().collect::<Vec<_>>(), expected);
}
