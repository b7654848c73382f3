//! Version counters that were skipped, in Third-Party Management mode.

use overt_protocol::wire::SearchRequest;

use crate::directory::{Person, World, problem};

/// Versions 0, 1, 4 and 5, where 2 and 3 were skipped.
fn skipping() -> World {
    let world = World::managed();
    world.slip_in("alice", b"zero");
    world.slip_in("alice", b"one");
    world.slip_in_after_skipping("alice", 2, b"four");
    world.slip_in("alice", b"five");
    world
}

#[tokio::test]
async fn skipped_versions_are_no_misbehaviour() {
    let world = skipping();
    let bob = Person::new(&[&world]);
    let history = bob.client(&world).history("alice").await.unwrap();
    let versions: Vec<u32> = history.versions.iter().map(|v| v.version()).collect();
    assert_eq!((versions, history.skipped), (vec![0, 1, 4, 5], vec![2, 3]));
}

#[tokio::test]
async fn a_version_whose_commitment_was_shown_cannot_be_called_skipped() {
    // Every search shows the commitment of the version after it; so 4, after a skipped one, could.
    for withheld in [0, 1] {
        let world = skipping();
        let asked = world.clone();
        world.meddle(move |path, act| match path {
            "/v1/search" if asked.body::<SearchRequest>().version == Some(withheld) => {
                Err(problem(404, "not-found"))
            }
            _ => act(),
        });
        let bob = Person::new(&[&world]);
        let error = bob.client(&world).history("alice").await.unwrap_err();
        assert_eq!(error.check(), Some("version-withheld"), "{withheld}");
    }
}

#[tokio::test]
async fn nothing_is_skipped_without_a_manager() {
    let world = World::new(false);
    world.slip_in("alice", b"zero");
    world.slip_in_after_skipping("alice", 1, b"two");
    let bob = Person::new(&[&world]);
    let error = bob.client(&world).history("alice").await.unwrap_err();
    assert_eq!(error.check(), Some("version-withheld"));
}
