//! Credentials that people send each other.

use overt_client::client::Finality;
use overt_client::{Event, Monitoring, State};

use crate::directory::{Answer, Person, RMW, URL, Who, World, problem, unreachable};

const PATH: &str = "/v1/credential-update";

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

/// What becomes of a request.
type Fate = fn(&dyn Fn() -> Answer) -> Answer;

/// What Bob, who waits for a credential's update, hears of it.
struct Waited {
    bob: Person,
    passes: Vec<Monitoring>,
    /// When the log was first asked: how many distinguished entries were recent, and which of them
    /// was the one that the credential rests on.
    asked: (usize, Option<usize>),
}

/// Bob has a provisional credential whose update never comes, and a distinguished log entry comes
/// after the other.
async fn waiting(world: &World, answer: Fate) -> Waited {
    let (alice, bob) = friends(world).await;
    world.wait(1);
    alice
        .client(world)
        .update("alice", b"new key")
        .await
        .unwrap();
    let credential = alice.client(world).make_credential("alice").await.unwrap();
    let checked = bob
        .client(world)
        .check_credential(&credential, None)
        .unwrap();
    assert_eq!(checked.finality, Finality::AwaitsDistinguished);
    // Its log entry is between two that came too soon after each other to be distinguished.
    world.grow(1);
    world.meddle(move |path, act| match path {
        PATH => answer(act),
        _ => act(),
    });
    let recent = || bob.client(world).recent().unwrap();
    let base = recent().last().unwrap().position();
    let mut passes = Vec::new();
    let mut asked = None;
    for _ in 0..12 {
        world.grow(RMW);
        passes.push(bob.client(world).monitor().await);
        if asked.is_none() && !world.asked(PATH).is_empty() {
            let at = recent().iter().position(|view| view.position() == base);
            asked = Some((recent().len(), at));
        }
    }
    let asked = asked.expect("the log was never asked");
    Waited { bob, passes, asked }
}

fn credential_events(pass: &Monitoring) -> Vec<String> {
    let said = |event: &Event| match event {
        Event::Credential { finality, .. } => Some(format!("{finality:?}")),
        Event::Failed { error, .. } => Some(error.check().unwrap_or("failed").to_owned()),
        _ => None,
    };
    pass.events.iter().filter_map(said).collect()
}

fn said(passes: &[Monitoring]) -> Vec<String> {
    let said = passes.iter().flat_map(credential_events);
    said.filter(|said| !said.starts_with("AwaitsUpdate"))
        .collect()
}

#[tokio::test]
async fn before_a_credential_expires_the_log_is_asked_by_a_stranger() {
    let world = World::new(false);
    let Waited { bob, passes, asked } = waiting(&world, |act| act()).await;
    assert_eq!(said(&passes), ["Final"]);
    assert_eq!(asked, (10, Some(0)), "not before the last moment");
    assert_eq!(world.asked(PATH), [Who::Stranger]);
    assert!(bob.store().credentials(URL).unwrap().is_empty());
    // Whatever else is asked shows who asks.
    let seen = world.seen.lock().unwrap();
    let mut others = seen.iter().filter(|(path, _)| path != PATH);
    assert!(others.all(|(_, who)| *who == Who::User));
}

#[tokio::test]
async fn where_entries_expire_sooner_the_log_is_asked_sooner() {
    let world = World::with_lifetime(6 * RMW);
    let Waited { passes, asked, .. } = waiting(&world, |act| act()).await;
    assert_eq!(said(&passes), ["Final"]);
    let (recent, at) = asked;
    assert!(recent < 10 && at.is_some(), "{asked:?}");
}

#[tokio::test]
async fn a_log_that_refuses_until_a_credential_has_expired_is_reported_once() {
    let refusals: [Fate; 3] = [
        |_| Err(problem(404, "not-found")),
        |_| Err(problem(503, "unavailable")),
        |_| unreachable(),
    ];
    for refusal in refusals {
        let world = World::new(false);
        let Waited { bob, passes, .. } = waiting(&world, refusal).await;
        assert_eq!(said(&passes), ["failed", "credential-unproved"]);
        assert_eq!(world.asked(PATH), [Who::Stranger; 2]);
        let states: Vec<State> = passes.iter().map(Monitoring::state).collect();
        assert_eq!(states.iter().max(), Some(&State::Overdue));
        let alarms = bob.store().alarms(URL).unwrap();
        let codes: Vec<&str> = alarms.iter().map(|a| a.alarm.code.as_str()).collect();
        assert_eq!(codes, ["overdue/credential-unproved"]);
        assert!(alarms.iter().all(|a| a.alarm.evidence.is_some()));
    }
}

#[tokio::test]
async fn a_log_that_lies_about_a_credential_is_reported_once() {
    let world = World::new(false);
    let lie: Fate = |act| {
        let mut answer = act()?;
        *answer.last_mut().unwrap() ^= 1;
        Ok(answer)
    };
    let Waited { bob, passes, .. } = waiting(&world, lie).await;
    assert_eq!(said(&passes).len(), 1, "{:?}", said(&passes));
    assert_eq!(world.asked(PATH), [Who::Stranger]);
    let alarms = bob.store().alarms(URL).unwrap();
    let [alarm] = &alarms[..] else {
        panic!("{alarms:?}")
    };
    assert!(alarm.alarm.code.starts_with("invalid-proof/"));
    assert!(alarm.alarm.evidence.is_some());
}
