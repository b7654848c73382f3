//! Credentials that people send each other.

use crate::directory::{Person, RMW, World};

/// Alice, who has registered, and Bob, who knows the recent distinguished log entries.
async fn friends(world: &World) -> (Person, Person) {
    let (alice, bob) = (Person::new(&[world]), Person::new(&[world]));
    alice.client(world).register("alice", b"key").await.unwrap();
    world.grow(RMW);
    world.grow(RMW);
    bob.client(world).monitor().await;
    (alice, bob)
}

#[tokio::test]
async fn a_credential_for_an_older_version_than_was_seen_is_old() {
    for signed in [false, true] {
        let world = World::new(signed);
        let (alice, bob) = friends(&world).await;
        let credential = alice.client(&world).make_credential("alice").await.unwrap();
        let check = |person: &Person| {
            let client = person.client(&world);
            let checked = client.check_credential(&credential, None).unwrap();
            (checked.is_old(), checked.seen_before)
        };
        assert_eq!(check(&bob), (false, None));
        alice
            .client(&world)
            .update("alice", b"new key")
            .await
            .unwrap();
        assert_eq!(check(&bob), (false, None), "nobody told him");
        bob.client(&world).lookup("alice").await.unwrap();
        assert_eq!(check(&bob), (true, Some(1)));
        assert_eq!(check(&alice), (true, Some(1)), "as its owner");
    }
}
