//! What the directory shows to strangers is compared with what it shows to its users.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use overt_client::kept::KeptState;
use overt_client::{ClientError, Event, Operation, Pace, State, exchange};
use overt_protocol::codec::Decode;
use overt_protocol::user::Verifier;
use overt_protocol::wire::{Configuration, DistinguishedRequest};

use crate::directory::{Person, RMW, URL, Who, World, problem, unreachable};

const PATH: &str = "/v1/distinguished";

/// A log of some distinguished entries. All of them are the same.
fn grown() -> World {
    let world = World::new(false);
    world.slip_in("alice", b"key");
    for _ in 0..4 {
        world.grow(RMW);
    }
    world
}

/// A user who knows that log.
async fn user(world: &World) -> Person {
    let bob = Person::new(&[world]);
    assert_eq!(bob.client(world).monitor().await.state(), State::Verified);
    bob
}

fn check(event: &Event) -> &'static str {
    match event {
        Event::Failed { error, .. } => error.check().unwrap_or("none"),
        _ => "none",
    }
}

#[tokio::test]
async fn a_stranger_is_shown_the_same_log_and_tells_nothing() {
    let world = grown();
    let bob = user(&world).await;
    let before = bob.store().tree(URL).unwrap();
    world.grow(RMW);
    world.seen.lock().unwrap().clear();
    let event = bob.client(&world).compare_as_stranger().await;
    assert!(
        matches!(event, Event::Compared { roots } if roots > 1),
        "{event:?}"
    );
    assert_eq!(world.asked(PATH), [Who::Stranger]);
    let request: DistinguishedRequest = world.body();
    assert_eq!((request.last, request.stop), (None, None));
    let seen = world.seen.lock().unwrap();
    assert!(seen.iter().all(|(_, who)| *who == Who::Stranger));
    assert_eq!(bob.store().tree(URL).unwrap(), before, "nothing is learnt");
}

/// Another log, which is the same up to some entry.
fn forked(common: usize, after: usize) -> World {
    let world = World::new(false);
    world.slip_in("alice", b"key");
    for n in 0..4 {
        if n == common {
            world.slip_in("alice", b"another key");
        }
        world.grow(RMW);
    }
    for _ in 0..after {
        world.grow(RMW);
    }
    world
}

#[tokio::test]
async fn another_log_for_strangers_is_a_fork_with_both_heads_as_evidence() {
    for (common, after) in [(0, 0), (0, 2), (1, 0), (3, 0), (3, 1), (2, 2)] {
        let world = grown();
        let bob = user(&world).await;
        world.show_strangers(&forked(common, after));
        world.wait(after as u64 * RMW);
        let event = bob.client(&world).compare_as_stranger().await;
        assert_eq!(check(&event), "split-view", "{common} {after}: {event:?}");
        assert_eq!(event.state(), State::Lied);
        let alarms = bob.store().alarms(URL).unwrap();
        assert_eq!(alarms[0].alarm.code, "lied/split-view");
        let evidence = alarms[0].alarm.evidence.clone().unwrap();
        let (theirs, mine) = (
            replayed(Path::new(&evidence), "response.bin"),
            replayed(Path::new(&evidence), "own-response.bin"),
        );
        assert_ne!(theirs.recent, mine.recent);
        let kept = std::fs::read(Path::new(&evidence).join("own-state.bin")).unwrap();
        assert_eq!(KeptState::from_bytes(&kept).unwrap().recent, mine.recent);
    }
}

#[tokio::test]
async fn two_heads_of_one_size_are_a_fork_before_any_entry_is_distinguished() {
    let (world, other) = (grown(), grown());
    world.slip_in("bob", b"key");
    other.slip_in("bob", b"another key");
    world.show_strangers(&other);
    let bob = user(&world).await;
    let event = bob.client(&world).compare_as_stranger().await;
    assert_eq!(check(&event), "split-view", "{event:?}");
}

/// What a new user learns from a kept answer alone.
fn replayed(dir: &Path, response: &str) -> KeptState {
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&read("report.json")).unwrap();
    let config = Configuration::from_bytes(&read("configuration.bin"), &()).unwrap();
    let now = report["now_ms"].as_u64().unwrap();
    exchange::verify(
        &Verifier::new(config).unwrap(),
        &KeptState::from_bytes(&read("state.bin")).unwrap(),
        Operation::Distinguished,
        &read("request.bin"),
        &read(response),
        now,
    )
    .unwrap()
}

#[tokio::test]
async fn another_configuration_or_a_false_answer_for_strangers_is_no_network_fault() {
    let world = grown();
    let bob = user(&world).await;
    let other = World::with_lifetime(100 * RMW);
    world.show_strangers(&other);
    let event = bob.client(&world).compare_as_stranger().await;
    assert_eq!(check(&event), "directory-changed");

    let world = grown();
    let bob = user(&world).await;
    world.meddle(|path, act| {
        let mut answer = act()?;
        if path == PATH {
            *answer.last_mut().unwrap() ^= 1;
        }
        Ok(answer)
    });
    let event = bob.client(&world).compare_as_stranger().await;
    assert_eq!(event.state(), State::InvalidProof);
    assert_eq!(bob.store().alarms(URL).unwrap().len(), 1);
}

#[tokio::test]
async fn a_directory_that_turns_strangers_away_is_overdue() {
    for answer in [|| Err(problem(403, "forbidden")), unreachable] {
        let world = grown();
        let bob = user(&world).await;
        world.refuse(&[PATH], answer);
        let compare = async || bob.client(&world).compare_as_stranger().await;
        assert_eq!(compare().await.state(), State::NotCheckable);
        world.wait(2 * RMW);
        assert_eq!(compare().await.state(), State::NotCheckable);
        world.wait(2 * RMW + 1);
        let event = compare().await;
        assert!(matches!(event, Event::Uncompared { .. }), "{event:?}");
        assert_eq!(event.state(), State::Overdue);
        let alarms = bob.store().alarms(URL).unwrap();
        assert_eq!(alarms[0].alarm.code, "overdue/not-compared");
        // One success, and the time begins anew.
        world.behave();
        world.grow(0);
        bob.client(&world).monitor().await;
        assert_eq!(compare().await.state(), State::Verified);
        world.refuse(&[PATH], answer);
        world.wait(2 * RMW);
        assert_eq!(compare().await.state(), State::NotCheckable);
    }
}

#[tokio::test]
async fn what_cannot_be_compared_is_no_fork() {
    // Somebody who was away for long and a stranger have no recent entry in common.
    let world = grown();
    let bob = user(&world).await;
    for _ in 0..20 {
        world.grow(RMW);
    }
    let event = bob.client(&world).compare_as_stranger().await;
    let Event::Failed { error, .. } = &event else {
        panic!("{event:?}")
    };
    assert!(matches!(error, ClientError::Apart), "{error}");
}

#[tokio::test]
async fn whoever_keeps_watch_compares_by_itself_where_no_third_party_does() {
    let every = Duration::from_millis(40);
    let retry = every;
    let world = grown();
    let bob = user(&world).await;
    let client = bob.client(&world);
    let passes = client.watch(Pace { every, retry });
    let compared = passes.filter_map(async |pass| {
        let mut events = pass.events.into_iter();
        events.find(|event| matches!(event, Event::Compared { .. }))
    });
    let compared = std::pin::pin!(compared);
    let twice = compared.take(2).collect::<Vec<_>>();
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(60), twice)
            .await
            .unwrap()
            .len(),
        2
    );

    let managed = World::managed();
    let carol = Person::new(&[&managed]);
    let client = carol.client(&managed);
    let passes = client
        .watch(Pace { every, retry })
        .take(5)
        .collect::<Vec<_>>()
        .await;
    assert!(passes.iter().all(|pass| pass.tree.is_some()), "{passes:?}");
    assert!(managed.asked(PATH).iter().all(|who| *who == Who::User));
}
