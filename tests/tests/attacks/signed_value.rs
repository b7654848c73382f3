//! Where owners sign their values (rows A14 to A16).

use overt_client::keys::{Seed, signing_key};
use overt_client::{ClientError, Event, Standing, State};
use overt_protocol::signed_value::{SignedValue, Signer};

use crate::directory::{Directory, configuration};
use crate::person::{Person, about, judged};

const ALICE: &str = "alice";

fn directory() -> Directory {
    Directory::new(configuration(None), true)
}

fn seed(n: u8) -> Seed {
    Seed::new([n; 32])
}

fn public(n: u8) -> [u8; 32] {
    overt_client::keys::public_key(&seed(n))
}

/// A value in its envelope, with keys of the directory's own.
fn envelope() -> SignedValue {
    SignedValue::new(b"the directory's key".to_vec(), public(8), Some(public(9)))
}

/// The next version after what is published, signed with this key if the envelope allows it.
fn signed(directory: &Directory, version: u32, signer: Signer, seed: &Seed) -> Vec<u8> {
    let mut value = envelope();
    let config_hash = directory.config().hash().unwrap();
    let (previous, key) = (directory.value(ALICE), signing_key(seed).unwrap());
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
    type Forge = fn(&Directory) -> Vec<u8>;
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
            |directory| borrowed(&directory.value(ALICE)),
            "signed-value-signature",
        ),
        (
            "signed by the owner, for another version",
            |directory| directory.value(ALICE),
            "signed-value-signature",
        ),
    ];
    for (what, forge, check) in forgeries {
        let directory = directory();
        let [alice, bob, carol] = [(); 3].map(|()| Person::new(&directory));
        alice.client.register(ALICE, b"first").await.unwrap();
        bob.client.lookup(ALICE).await.unwrap();
        alice.client.update(ALICE, b"second").await.unwrap();
        let greatest = bob.client.lookup(ALICE).await.unwrap();
        assert_eq!(
            (greatest.version(), greatest.standing()),
            (1, Standing::Signed)
        );
        let trusted = bob.kept();

        directory.publish(ALICE, &forge(&directory));
        let expected = (check, State::Lied);
        assert_eq!(judged(bob.client.lookup(ALICE).await), expected, "{what}");
        assert_eq!(judged(carol.client.lookup(ALICE).await), expected, "{what}");
        assert!(
            bob.kept() == trusted,
            "{what}: something was learnt from it"
        );
        let done = alice.client.monitor().await;
        let [Event::Failed { error, .. }] = about(&done, ALICE)[..] else {
            panic!("{what}: {done:?}");
        };
        assert_eq!((error.check(), done.state()), (Some(check), State::Lied));
    }
}

#[tokio::test]
async fn who_comes_after_somebody_else_registered_is_told() {
    let directory = directory();
    let [alice, bob] = [(); 2].map(|()| Person::new(&directory));
    directory.publish(ALICE, &envelope().encode().unwrap());
    // Nobody can tell yet; the lookup says on whose authority the key stands.
    let found = bob.client.lookup(ALICE).await.unwrap();
    assert_eq!(found.standing(), Standing::FirstRegistration);
    let registered = alice.client.register(ALICE, b"alice's own").await;
    assert!(matches!(registered, Err(ClientError::Taken { version: 0 })));
}

#[tokio::test]
async fn a_recovery_is_told_to_contacts_and_to_the_owner() {
    let directory = directory();
    let [alice, bob] = [(); 2].map(|()| Person::new(&directory));
    let registered = alice.client.register(ALICE, b"first").await.unwrap();
    bob.client.lookup(ALICE).await.unwrap();
    // The recovery phrase got into the wrong hands.
    let stolen = registered.recovery.unwrap();
    let recovered = signed(&directory, 1, Signer::RecoveryKey, &stolen);
    directory.publish(ALICE, &recovered);
    let found = bob.client.lookup(ALICE).await.unwrap();
    assert_eq!(found.standing(), Standing::Recovered);
    assert_eq!(
        (found.recoveries(), found.seen_before()),
        (&[1][..], Some(0))
    );
    // A later version does not make contacts forget to tell.
    let carol = Person::new(&directory);
    directory.publish(ALICE, &signed(&directory, 2, Signer::UpdateKey, &seed(8)));
    let found = carol.client.lookup(ALICE).await.unwrap();
    assert_eq!(
        (found.standing(), found.recoveries()),
        (Standing::Signed, &[1][..])
    );
    let done = alice.client.monitor().await;
    assert_eq!(done.state(), State::OwnKeyChanged);
    let signers: Vec<_> = about(&done, ALICE)
        .into_iter()
        .filter_map(|event| match event {
            Event::Foreign { versions, .. } => Some(versions.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    let expected = [(1, Some(Signer::RecoveryKey)), (2, Some(Signer::UpdateKey))];
    assert_eq!(signers, expected);
}
