//! What was sent from here is not somebody else's, even if the answer got lost.

use overt_client::{ClientError, Event, Monitoring, State};

use crate::directory::{Person, RMW, URL, World, problem, unreachable};

fn adopted(done: &Monitoring) -> Vec<u32> {
    let versions = |event: &Event| match event {
        Event::Adopted { versions, .. } => versions.clone(),
        _ => Vec::new(),
    };
    done.events.iter().flat_map(versions).collect()
}

async fn both_kinds(test: impl AsyncFn(World, Person)) {
    for signed in [false, true] {
        let world = World::new(signed);
        let alice = Person::new(&[&world]);
        test(world, alice).await;
    }
}

fn is_lost<T: std::fmt::Debug>(result: Result<T, ClientError>) {
    assert!(
        matches!(result, Err(ClientError::Unreachable(_))),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_registration_whose_answer_got_lost_is_adopted() {
    both_kinds(async |world, alice| {
        world.lose("/v1/update");
        is_lost(alice.client(&world).register("alice", b"key").await);
        world.behave();
        world.grow(RMW / 4);
        let done = alice.client(&world).monitor().await;
        assert_eq!(done.state(), State::Verified, "{:?}", done.events);
        assert_eq!(adopted(&done), [0]);
        assert_eq!(alice.store().owned_labels(URL).unwrap(), [b"alice"]);
        // From now on it is watched.
        let done = alice.client(&world).monitor().await;
        assert_eq!(adopted(&done), [0; 0]);
        world.slip_in("alice", b"another key");
        assert!(alice.client(&world).monitor().await.state() > State::Verified);
    })
    .await;
}

#[tokio::test]
async fn an_update_whose_answer_got_lost_is_adopted() {
    both_kinds(async |world, alice| {
        alice
            .client(&world)
            .register("alice", b"key")
            .await
            .unwrap();
        world.lose("/v1/update");
        is_lost(alice.client(&world).update("alice", b"new key").await);
        world.behave();
        world.grow(RMW / 4);
        let done = alice.client(&world).monitor().await;
        assert_eq!(done.state(), State::Verified, "{:?}", done.events);
        assert_eq!(adopted(&done), [1]);
        assert_eq!(alice.store().alarms(URL).unwrap(), []);
        assert_eq!(alice.store().pending(URL, b"alice").unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn what_was_not_sent_is_an_alarm_all_the_same() {
    let world = World::new(false);
    let alice = Person::new(&[&world]);
    alice
        .client(&world)
        .register("alice", b"key")
        .await
        .unwrap();
    // The directory does not do what it is asked, and puts something else into the log.
    world.refuse(&["/v1/update"], unreachable);
    is_lost(alice.client(&world).update("alice", b"new key").await);
    world.behave();
    world.slip_in("alice", b"the directory's key");
    // Nor is it what was sent if it is another version.
    world.slip_in("alice", b"new key");
    let done = alice.client(&world).monitor().await;
    assert_eq!(done.state(), State::OwnKeyChanged);
    assert_eq!(adopted(&done), [0; 0]);
    let alarms = alice.store().alarms(URL).unwrap();
    let detail = &alarms.first().unwrap().alarm.detail;
    assert!(detail.ends_with(": 1, 2"), "{detail}");
}

#[tokio::test]
async fn a_registration_that_another_came_before_is_an_alarm_once() {
    let world = World::new(false);
    let alice = Person::new(&[&world]);
    world.refuse(&["/v1/update"], unreachable);
    is_lost(alice.client(&world).register("alice", b"key").await);
    world.behave();
    // Nothing is known to be wrong while nothing is there.
    let done = alice.client(&world).monitor().await;
    assert_eq!(done.state(), State::Verified, "{:?}", done.events);
    world.slip_in("alice", b"another key");
    let done = alice.client(&world).monitor().await;
    assert_eq!(done.state(), State::OwnKeyChanged);
    assert_eq!(alice.store().alarms(URL).unwrap().len(), 1);
    assert_eq!(alice.store().owned_labels(URL).unwrap().len(), 0);
    let done = alice.client(&world).monitor().await;
    assert_eq!(done.state(), State::Verified, "{:?}", done.events);
}

#[tokio::test]
async fn the_next_update_goes_on_from_the_one_whose_answer_got_lost() {
    both_kinds(async |world, alice| {
        alice
            .client(&world)
            .register("alice", b"key")
            .await
            .unwrap();
        world.lose("/v1/update");
        is_lost(alice.client(&world).update("alice", b"second").await);
        world.behave();
        let done = alice
            .client(&world)
            .update("alice", b"third")
            .await
            .unwrap();
        assert_eq!((done.version, done.adopted), (2, vec![1]));
        world.lose("/v1/update");
        is_lost(alice.client(&world).update("alice", b"fourth").await);
        world.behave();
        let done = alice
            .client(&world)
            .update("alice", b"fourth")
            .await
            .unwrap();
        assert_eq!((done.version, done.adopted), (3, vec![3]));
        assert_eq!(alice.store().pending(URL, b"alice").unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_recovery_whose_answer_got_lost_is_not_done_twice() {
    let world = World::new(true);
    let alice = Person::new(&[&world]);
    let registered = alice
        .client(&world)
        .register("alice", b"key")
        .await
        .unwrap();
    let recovery = registered.recovery.unwrap();
    world.lose("/v1/update");
    let client = alice.client(&world);
    is_lost(client.recover("alice", recovery.clone(), None).await);
    world.behave();
    let done = client.recover("alice", recovery.clone(), None).await;
    let done = done.unwrap();
    assert_eq!((done.version, done.adopted), (1, vec![1]));
    assert_ne!(done.recovery.unwrap(), recovery);
}

#[tokio::test]
async fn what_the_directory_refused_is_not_waited_for() {
    let world = World::new(false);
    let alice = Person::new(&[&world]);
    world.refuse(&["/v1/update"], || Err(problem(401, "unauthorized")));
    let refused = alice.client(&world).register("alice", b"key").await;
    assert!(matches!(refused, Err(ClientError::Refused(_))));
    assert_eq!(alice.store().pending(URL, b"alice").unwrap(), []);
    // Then it is whoever registers it.
    world.behave();
    world.slip_in("alice", b"another alice's key");
    let done = alice.client(&world).monitor().await;
    assert_eq!(done.state(), State::Verified, "{:?}", done.events);
}

#[tokio::test]
async fn an_update_after_skipped_versions_is_adopted() {
    let world = World::managed();
    let alice = Person::new(&[&world]);
    alice
        .client(&world)
        .register("alice", b"key")
        .await
        .unwrap();
    // The manager lost a version that the operator signed: what was sent becomes version 2.
    world.refuse(&["/v1/update"], unreachable);
    is_lost(alice.client(&world).update("alice", b"new key").await);
    world.behave();
    world.slip_in_after_skipping("alice", 1, b"new key");
    let done = alice.client(&world).monitor().await;
    assert_eq!(done.state(), State::Verified, "{:?}", done.events);
    assert_eq!(adopted(&done), [2]);
}

#[tokio::test]
async fn an_update_that_arrives_while_the_label_is_monitored_is_adopted() {
    let world = World::new(false);
    let alice = Person::new(&[&world]);
    alice
        .client(&world)
        .register("alice", b"key")
        .await
        .unwrap();
    world.refuse(&["/v1/update"], unreachable);
    is_lost(alice.client(&world).update("alice", b"new key").await);
    // Another process of this device has just found nothing new when it arrives.
    let (arriving, mut arrived) = (world.clone(), false);
    world.meddle(move |path, act| {
        if path == "/v1/owner-monitor" && !std::mem::replace(&mut arrived, true) {
            arriving.wait(RMW);
            arriving.slip_in("alice", b"new key");
        }
        act()
    });
    let done = alice.client(&world).monitor().await;
    assert_eq!(done.state(), State::Verified, "{:?}", done.events);
    assert_eq!(adopted(&done), [1]);
}
