//! What is remembered, and who is asked (rows F4 and F7).

use overt_client::{ClientError, Event, State};

use crate::directory::{Person, RMW, URL, World};
use crate::{about, judged, people, remembered};

/// One byte of every answer at a path is another, so many eighths from its beginning.
fn spoil(world: &World, spoilt: &'static str, eighths: usize) {
    world.meddle(move |path, act| {
        let mut answer = act()?;
        let at = answer.len() * eighths / 8;
        if path == spoilt {
            answer[at] ^= 1;
        }
        Ok(answer)
    });
}

/// Somebody who owns a label, and looked up another that is to be monitored still.
async fn alice(world: &World) -> Person {
    let [alice, bob] = people(world);
    let key = b"alice's key";
    alice.client(world).register("alice", key).await.unwrap();
    world.grow(RMW);
    let client = bob.client(world);
    client.register("bob", b"bob's key").await.unwrap();
    client.update("bob", b"another").await.unwrap();
    alice.client(world).lookup("bob").await.unwrap();
    let contact = alice.store().contact(URL, b"bob").unwrap();
    assert!(!contact.unwrap().map.is_empty());
    alice
}

#[tokio::test]
async fn a_failed_answer_changes_no_byte_of_what_is_remembered() {
    let world = World::new(false);
    let alice = alice(&world).await;
    world.grow(1_000);
    let before = remembered(&alice);
    for eighths in 0..8 {
        spoil(&world, "/v1/search", eighths);
        let (check, _) = judged(alice.client(&world).lookup("bob").await);
        assert!(check != "none" && remembered(&alice) == before, "{check}");

        spoil(&world, "/v1/distinguished", eighths);
        let done = alice.client(&world).monitor().await;
        assert!(done.state() > State::NotCheckable);
        assert!(remembered(&alice) == before, "{done:?}");
    }
    world.behave();
    let found = alice.client(&world).lookup("bob").await.unwrap();
    assert_eq!(found.version(), 1);
    assert!(remembered(&alice) != before);
}

#[tokio::test]
async fn a_failed_answer_changes_nothing_about_the_label() {
    for (path, label) in [
        ("/v1/owner-monitor", "alice"),
        ("/v1/contact-monitor", "bob"),
        ("/v1/update", "alice"),
    ] {
        let world = World::new(false);
        let alice = alice(&world).await;
        // What is monitored gets further with time.
        world.grow(RMW);
        let known = || {
            let store = alice.store();
            let owned = store.owned(URL, label.as_bytes()).unwrap();
            let contact = store.contact(URL, label.as_bytes()).unwrap();
            (owned, contact, store.monitored_at(URL).unwrap())
        };
        let before = known();
        for eighths in 0..8 {
            spoil(&world, path, eighths);
            if path == "/v1/update" {
                let (check, _) = judged(alice.client(&world).update("alice", b"new").await);
                assert_ne!(check, "none");
            } else {
                let done = alice.client(&world).monitor().await;
                assert_eq!(done.state(), State::InvalidProof);
                let [Event::Failed { .. }] = about(&done, label)[..] else {
                    panic!("{done:?}");
                };
            }
            assert_eq!(known(), before);
        }
        world.behave();
        let done = alice.client(&world).monitor().await;
        assert_eq!(done.state(), State::Verified, "{done:?}");
        assert_ne!(known(), before);
    }
}

#[tokio::test]
async fn a_credential_makes_nobody_ask_the_directory() {
    let world = World::new(false);
    let [alice, bob] = people(&world);
    let key = b"alice's key";
    alice.client(&world).register("alice", key).await.unwrap();
    bob.client(&world).monitor().await;
    world.grow(RMW);
    world.grow(RMW);
    // It rests on a log entry that Bob does not know of.
    let credential = alice.client(&world).make_credential("alice").await;
    let credential = credential.unwrap();
    let asked = || world.seen.lock().unwrap().len();
    let (asked_before, before) = (asked(), remembered(&bob));
    let check = |bytes: &[u8]| bob.client(&world).check_credential(bytes, None);
    let early = check(&credential);
    assert!(
        matches!(early, Err(ClientError::CredentialTooNew)),
        "{early:?}"
    );
    // Nor does a false one.
    for at in (0..credential.len()).step_by(11) {
        let mut forged = credential.clone();
        forged[at] ^= 1;
        check(&forged).unwrap_err();
    }
    assert_eq!(asked(), asked_before);
    assert!(remembered(&bob) == before);
    bob.client(&world).monitor().await;
    let asked_before = asked();
    check(&credential).unwrap();
    assert_eq!(asked(), asked_before);
}
