//! Newer keys of contacts are looked for where that is wanted, and nowhere else.

use overt_client::{Event, Monitoring, State};

use crate::directory::{Person, URL, World, problem};

const SEARCH: &str = "/v1/search";

/// Alice has registered and Bob has looked her up.
async fn friends(world: &World) -> (Person, Person) {
    let (alice, bob) = (Person::new(&[world]), Person::new(&[world]));
    alice.client(world).register("alice", b"key").await.unwrap();
    bob.client(world).lookup("alice").await.unwrap();
    world.seen.lock().unwrap().clear();
    (alice, bob)
}

async fn pass(person: &Person, world: &World) -> Monitoring {
    let client = person.client(world).with_contacts_checked();
    client.monitor().await
}

#[tokio::test]
async fn a_contacts_newer_key_is_told_once() {
    for (signed, how) in [
        (true, "signed with the key of the version before"),
        (false, "on the directory's word alone"),
    ] {
        let world = World::new(signed);
        let (alice, bob) = friends(&world).await;
        assert_eq!(pass(&bob, &world).await.state(), State::Verified);
        alice
            .client(&world)
            .update("alice", b"new key")
            .await
            .unwrap();
        alice
            .client(&world)
            .update("alice", b"newest key")
            .await
            .unwrap();
        // What one did oneself is no news.
        assert_eq!(pass(&alice, &world).await.state(), State::Verified);

        let done = pass(&bob, &world).await;
        assert_eq!(done.state(), State::ContactKeyChanged);
        let is_told = |event: &Event| {
            matches!(
                event,
                Event::ContactChanged {
                    from: 0,
                    version: 2,
                    ..
                }
            )
        };
        assert!(done.events.iter().any(is_told), "{:?}", done.events);
        let alarms = bob.store().alarms(URL).unwrap();
        assert_eq!(alarms[0].alarm.code, "contact-key-changed/new-version");
        let detail = &alarms[0].alarm.detail;
        assert!(detail.ends_with(how), "{detail}");
        assert_eq!(pass(&bob, &world).await.state(), State::Verified);
    }
}

#[tokio::test]
async fn a_recovery_is_told_as_one() {
    let world = World::new(true);
    let (alice, bob) = friends(&world).await;
    let registered = alice
        .client(&world)
        .register("alice", b"key")
        .await
        .unwrap();
    let recovery = registered.recovery.unwrap();
    let client = alice.client(&world);
    client.recover("alice", recovery, None).await.unwrap();
    client.update("alice", b"new key").await.unwrap();
    pass(&bob, &world).await;
    let alarms = bob.store().alarms(URL).unwrap();
    let detail = &alarms[0].alarm.detail;
    assert!(
        detail.ends_with("RECOVERED with the recovery key"),
        "{detail}"
    );
}

#[tokio::test]
async fn nobody_is_looked_up_unasked() {
    let world = World::new(false);
    let (alice, bob) = friends(&world).await;
    alice
        .client(&world)
        .update("alice", b"new key")
        .await
        .unwrap();
    world.seen.lock().unwrap().clear();
    assert_eq!(bob.client(&world).monitor().await.state(), State::Verified);
    assert_eq!(world.asked(SEARCH), []);
    pass(&bob, &world).await;
    assert_eq!(world.asked(SEARCH).len(), 1);
}

#[tokio::test]
async fn a_contact_who_cannot_be_looked_up_does_not_make_monitoring_late() {
    let world = World::new(false);
    let (_, bob) = friends(&world).await;
    world.refuse(&[SEARCH], || Err(problem(410, "deleted")));
    assert_eq!(pass(&bob, &world).await.state(), State::NotCheckable);
    assert!(bob.store().monitored_at(URL).unwrap().is_some());
}
