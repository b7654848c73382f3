//! What must be monitored and is not proved is overdue, whatever the directory says instead.

use overt_client::{Client, Event, State};

use crate::directory::{Person, RMW, URL, World, problem, unreachable};

async fn state(client: &Client<World>) -> State {
    client.monitor().await.state()
}

/// The alarms of a pass, by code and label.
async fn alarms(client: &Client<World>) -> Vec<(String, String)> {
    let done = client.monitor().await;
    let alarms = done.events.iter().filter_map(|event| event.alarm(1));
    let named = alarms.map(|alarm| (alarm.code, String::from_utf8(alarm.label).unwrap()));
    named.collect()
}

async fn owner() -> (World, Client<World>) {
    let world = World::new(false);
    let alice = Person::new(&[&world]);
    let client = alice.client(&world);
    client.register("alice", b"key").await.unwrap();
    (world, client)
}

const OWNER: &[&str] = &["/v1/update", "/v1/owner-monitor"];

#[tokio::test]
async fn an_owners_monitoring_that_is_refused_from_the_start_is_overdue() {
    let refusals = [
        || Err(problem(409, "version-conflict")),
        || Err(problem(410, "deleted")),
        || Err(problem(404, "not-found")),
        || Err(problem(403, "forbidden")),
        || Err(problem(429, "slow-down")),
        || Err(problem(503, "unavailable")),
    ];
    for refusal in refusals {
        let (world, client) = owner().await;
        world.refuse(OWNER, refusal);
        world.grow(RMW);
        assert_eq!(state(&client).await, State::NotCheckable);
        world.grow(1);
        let expected = ("overdue/refused".to_owned(), "alice".to_owned());
        assert_eq!(alarms(&client).await, [expected]);
        assert_eq!(state(&client).await, State::Overdue);
        world.behave();
        assert_eq!(state(&client).await, State::Verified);
    }
}

#[tokio::test]
async fn every_proof_winds_the_clock_and_nothing_else_does() {
    let (world, client) = owner().await;
    world.grow(RMW - 1);
    assert_eq!(state(&client).await, State::Verified);
    world.refuse(&["/v1/owner-monitor"], || Err(problem(410, "expired")));
    world.grow(RMW / 2);
    assert_eq!(state(&client).await, State::NotCheckable);
    // An update shows that the directory is there, and not that the label is as it should be.
    client.update("alice", b"new key").await.unwrap();
    world.grow(RMW / 2 + 2);
    assert_eq!(state(&client).await, State::Overdue);
}

#[tokio::test]
async fn one_episode_is_one_alarm() {
    let (world, client) = owner().await;
    world.refuse(OWNER, || Err(problem(404, "not-found")));
    for _ in 0..3 {
        world.grow(RMW);
        for event in client.monitor().await.events {
            if let Some(alarm) = event.alarm(1) {
                client.store().raise(URL, &alarm).unwrap();
            }
        }
    }
    assert_eq!(client.store().alarms(URL).unwrap().len(), 1);
}

#[tokio::test]
async fn a_contact_that_is_refused_from_the_start_is_overdue() {
    let world = World::new(false);
    let bob = Person::new(&[&world]);
    let client = bob.client(&world);
    for _ in 0..3 {
        world.grow(0);
    }
    world.slip_in("alice", b"key");
    client.lookup("alice").await.unwrap();
    let map = client.store().contact(URL, b"alice").unwrap().unwrap().map;
    assert!(!map.is_empty(), "it must be monitored");
    world.refuse(&["/v1/contact-monitor"], || Err(problem(404, "not-found")));
    world.grow(RMW);
    assert_eq!(state(&client).await, State::NotCheckable);
    world.grow(1);
    let expected = ("overdue/refused".to_owned(), "alice".to_owned());
    assert_eq!(alarms(&client).await, [expected]);
    world.behave();
    assert_eq!(state(&client).await, State::Verified);
    // Nothing is left to be monitored, so nothing becomes overdue.
    world.refuse(&["/v1/contact-monitor"], || Err(problem(404, "not-found")));
    world.grow(2 * RMW);
    assert_eq!(state(&client).await, State::Verified);
}

#[tokio::test]
async fn silence_is_a_network_fault_for_as_long_as_heads_may_be_old() {
    let (world, client) = owner().await;
    world.meddle(|_, _| unreachable());
    world.wait(2 * RMW);
    assert_eq!(state(&client).await, State::NotCheckable);
    assert_eq!(alarms(&client).await, []);
    world.wait(1);
    let expected = ("overdue/unreachable".to_owned(), String::new());
    assert_eq!(alarms(&client).await, [expected]);
    assert!(client.store().monitored_at(URL).unwrap().is_none());
}

#[tokio::test]
async fn a_directory_that_refuses_everything_is_overdue_as_a_whole() {
    let (world, client) = owner().await;
    world.meddle(|_, _| Err(problem(403, "forbidden")));
    world.wait(RMW + 1);
    let done = client.monitor().await;
    assert!(
        matches!(&done.events[..], [Event::Overdue { label, .. }] if label.is_empty()),
        "{:?}",
        done.events
    );
}
