//! One person's use of two independent directories, with one memory.

use overt_client::State;

use crate::directory::{Person, RMW, World};

/// Both know a label by the same name, which is not the same person's there.
async fn two() -> (World, World, Person) {
    let (home, work) = (
        World::at("https://home.example", 1),
        World::at("https://work.example", 4),
    );
    let alice = Person::new(&[&home, &work]);
    for (world, value) in [(&home, b"key at home"), (&work, b"key at work")] {
        alice.client(world).register("alice", value).await.unwrap();
        world.grow(RMW);
        assert_eq!(alice.client(world).monitor().await.state(), State::Verified);
    }
    (home, work, alice)
}

#[tokio::test]
async fn two_logs_are_kept_apart() {
    let (home, work, alice) = two().await;
    let store = alice.store();
    let urls: Vec<String> = store
        .directories()
        .unwrap()
        .into_iter()
        .map(|d| d.url)
        .collect();
    assert_eq!(urls, [home.url.clone(), work.url.clone()]);
    let bob = Person::new(&[&home, &work]);
    for (world, value) in [(&home, b"key at home"), (&work, b"key at work")] {
        let found = bob.client(world).lookup("alice").await.unwrap();
        assert_eq!((found.value(), found.seen_before()), (&value[..], None));
    }
    assert_ne!(
        store.tree(&home.url).unwrap(),
        store.tree(&work.url).unwrap()
    );

    // What one directory does is no fault of the other.
    work.slip_in("alice", b"another key");
    let done = alice.client(&work).monitor().await;
    assert_eq!(done.state(), State::Lied, "nobody signed it");
    for alarm in done.events.iter().filter_map(|event| event.alarm(1)) {
        store.raise(&work.url, &alarm).unwrap();
    }
    assert_eq!(alice.client(&home).monitor().await.state(), State::Verified);
    assert_eq!(store.alarms(&work.url).unwrap().len(), 1);
    assert_eq!(store.alarms(&home.url).unwrap().len(), 0);
    let kept = store.tree(&home.url).unwrap();
    store.unpin(&work.url).unwrap();
    assert_eq!(store.tree(&home.url).unwrap(), kept);
    assert_eq!(store.owned_labels(&home.url).unwrap(), [b"alice"]);
    assert!(store.owned_labels(&work.url).unwrap().is_empty());
}

#[tokio::test]
async fn one_log_cannot_answer_for_the_other() {
    let (home, work, _) = two().await;
    let bob = Person::new(&[&home, &work]);
    home.show_everybody(&work);
    let error = bob.client(&home).lookup("alice").await.unwrap_err();
    assert!(error.is_misbehaviour(), "{error}");
}
