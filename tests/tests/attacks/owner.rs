//! What owners are told (rows A13, C7, C8, C10).

use overt_client::{Event, Monitoring, Operation, State};

use crate::directory::{Directory, RMW, configuration};
use crate::person::{Person, URL, about};

fn is_foreign(event: &&Event) -> bool {
    matches!(event, Event::Foreign { .. })
}

#[tokio::test]
async fn every_label_of_a_person_is_watched() {
    let directory = Directory::new(configuration(None), false);
    let alice = Person::new(&directory);
    let (primary, telephone) = ("alice@example.org", "+1 555 0100");
    alice.client.register(primary, b"a key").await.unwrap();
    let to_primary = primary.as_bytes();
    alice.client.register(telephone, to_primary).await.unwrap();
    directory.passes(RMW);
    assert_eq!(alice.client.monitor().await.state(), State::Verified);
    // Whoever looks the number up is led to somebody else.
    directory.publish(telephone, b"mallory@example.org");
    directory.passes(RMW);
    let done = alice.client.monitor().await;
    assert_eq!(done.state(), State::OwnKeyChanged);
    assert!(about(&done, telephone).iter().any(is_foreign), "{done:?}");
    assert!(!about(&done, primary).iter().any(is_foreign), "{done:?}");
}

/// The time since monitoring last went through is what the alarm about silence goes by.
#[tokio::test]
async fn refused_monitoring_does_not_count_as_done() {
    for refused in [Operation::OwnerMonitor, Operation::Distinguished] {
        let directory = Directory::new(configuration(None), false);
        let alice = Person::new(&directory);
        alice.client.register("alice", b"a key").await.unwrap();
        assert_eq!(alice.client.monitor().await.state(), State::Verified);
        let monitored = alice.client.store().monitored_at(URL).unwrap();
        assert!(monitored.is_some());
        directory.refuses(refused);
        for _ in 0..3 {
            directory.passes(RMW);
            let done = alice.client.monitor().await;
            assert_eq!(done.state(), State::NotCheckable, "{done:?}");
            let at = alice.client.store().monitored_at(URL).unwrap();
            assert_eq!(at, monitored);
        }
    }
}

/// How long monitoring had not gone through, if its owner is told so.
fn gap(done: &Monitoring) -> Option<u64> {
    done.events.iter().find_map(|event| match event {
        Event::Missed { gap } => Some(*gap),
        _ => None,
    })
}

#[tokio::test]
async fn who_was_away_is_told_of_the_gap_and_of_what_happened_in_it() {
    let directory = Directory::new(configuration(None), false);
    let alice = Person::new(&directory);
    alice.client.register("alice", b"a key").await.unwrap();
    assert_eq!(alice.client.monitor().await.state(), State::Verified);
    directory.publish("alice", b"the directory's key");
    for _ in 0..5 {
        directory.passes(RMW);
    }
    directory.publish("alice", b"a key");
    directory.passes(RMW);
    let done = alice.client.monitor().await;
    assert!(gap(&done) > Some(5 * RMW), "{done:?}");
    let versions = about(&done, "alice")
        .into_iter()
        .find_map(|event| match event {
            Event::Foreign { versions, .. } => Some(versions.len()),
            _ => None,
        });
    assert_eq!(versions, Some(2), "{done:?}");
}

/// Nobody can vouch for the time in between, and nobody is told that all is well.
#[tokio::test]
async fn who_was_away_for_longer_than_the_lifetime_is_told_of_the_gap() {
    let lifetime = 3 * RMW;
    let directory = Directory::new(configuration(Some(lifetime)), false);
    let alice = Person::new(&directory);
    alice.client.register("alice", b"a key").await.unwrap();
    assert_eq!(alice.client.monitor().await.state(), State::Verified);
    for _ in 0..8 {
        directory.passes(RMW);
    }
    let done = alice.client.monitor().await;
    assert!(gap(&done) > Some(lifetime), "{done:?}");
    assert_ne!(done.state(), State::Verified, "{done:?}");
}
