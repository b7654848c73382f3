//! What owners are told (rows A2, A13, C10).

use overt_client::{Event, Monitoring, State};

use crate::directory::{RMW, World};
use crate::{about, empty_log, people};

/// How many versions of a label were not made by this device.
fn foreign(done: &Monitoring, label: &str) -> usize {
    let versions = |event: &Event| match event {
        Event::Foreign { versions, .. } => versions.len(),
        _ => 0,
    };
    about(done, label).into_iter().map(versions).sum()
}

/// How long monitoring had not gone through, if its owner is told so.
fn gap(done: &Monitoring) -> Option<u64> {
    done.events.iter().find_map(|event| match event {
        Event::Missed { gap } => Some(*gap),
        _ => None,
    })
}

#[tokio::test]
async fn every_label_of_a_person_is_watched() {
    let world = World::new(false);
    let [alice] = people(&world);
    let alice = alice.client(&world);
    let (primary, telephone) = ("alice@example.org", "+1 555 0100");
    alice.register(primary, b"a key").await.unwrap();
    let to_primary = primary.as_bytes();
    alice.register(telephone, to_primary).await.unwrap();
    world.grow(RMW);
    assert_eq!(alice.monitor().await.state(), State::Verified);
    // Whoever looks the number up is led to somebody else.
    world.slip_in(telephone, b"mallory@example.org");
    world.grow(RMW);
    let done = alice.monitor().await;
    assert_eq!(done.state(), State::OwnKeyChanged);
    assert_eq!((foreign(&done, telephone), foreign(&done, primary)), (1, 0));
}

#[tokio::test]
async fn who_was_away_is_told_of_the_gap_and_of_what_happened_in_it() {
    let world = World::new(false);
    let [alice] = people(&world);
    let alice = alice.client(&world);
    alice.register("alice", b"a key").await.unwrap();
    assert_eq!(alice.monitor().await.state(), State::Verified);
    world.slip_in("alice", b"the directory's key");
    for _ in 0..5 {
        world.grow(RMW);
    }
    world.slip_in("alice", b"a key");
    world.grow(RMW);
    let done = alice.monitor().await;
    assert!(gap(&done) > Some(5 * RMW), "{done:?}");
    assert_eq!(foreign(&done, "alice"), 2, "{done:?}");
}

/// Nobody can vouch for the time in between, and nobody is told that all is well.
#[tokio::test]
async fn who_was_away_for_longer_than_the_lifetime_is_told_of_the_gap() {
    let lifetime = 3 * RMW;
    let world = World::with_log(empty_log(Some(lifetime)), false);
    let [alice] = people(&world);
    let alice = alice.client(&world);
    alice.register("alice", b"a key").await.unwrap();
    assert_eq!(alice.monitor().await.state(), State::Verified);
    for _ in 0..8 {
        world.grow(RMW);
    }
    let done = alice.monitor().await;
    assert!(gap(&done) > Some(lifetime), "{done:?}");
    assert_eq!(done.state(), State::Overdue, "{done:?}");
}
