//! Two ways in which searches lead to a monitoring map that no log may answer for, and that a
//! contact therefore has to keep tidy. Random histories come across both, the second one rarely.

use overt_protocol::provider;
use overt_protocol::wire::*;

use crate::random::Random;
use crate::server::{Honest, Server, Values};
use crate::settings::Settings;
use crate::user::User;
use crate::world::World;

const LABEL: &str = "alice";

/// A world whose first sixteen entries end with a distinguished one, after which everything happens
/// within the RMW: a subtree grows in which nothing is distinguished.
fn world() -> World<Honest> {
    let mut random = Random::new(1);
    let settings = Settings {
        rmw: 10_000,
        lifetime: None,
        max_ahead: 0,
        max_behind: 1_000,
        ..Settings::honest(&mut random)
    };
    let settings = Settings {
        max_gap: settings.max_behind,
        ..settings
    };
    let server = Honest::new(&settings);
    let mut world = World::new(server, settings, random, (0, 1));
    grow_to(&mut world, 16, &[]);
    world
}

/// Grows the log, with a new version at each of these entries.
fn grow_to(world: &mut World<Honest>, size: u64, versions: &[u64]) {
    for position in world.server.log().tip.size..size {
        world.time += 10;
        let new: Values = match versions.contains(&position) {
            true => vec![(LABEL.to_owned(), position.to_be_bytes().to_vec())],
            false => Vec::new(),
        };
        world.server.push(world.time, &new);
    }
}

fn search(world: &mut World<Honest>, version: Option<u32>) -> (u64, u32) {
    let user = &mut world.users[0];
    let found = user.search(&world.server, world.time, (LABEL, version), &[]);
    let found = found.unwrap().unwrap();
    assert!(found.found.must_monitor);
    (found.found.terminal, found.value.version())
}

fn map(world: &World<Honest>) -> Vec<(u64, u32)> {
    let map = &world.users[0].contacts[LABEL].map;
    map.iter()
        .map(|(position, version)| (*position, *version))
        .collect()
}

fn monitor(world: &mut World<Honest>) {
    let user = &mut world.users[0];
    user.contact_monitor(&world.server, world.time, LABEL)
        .unwrap();
}

/// What an honest log says to a map as it would be without care.
fn refusal(world: &World<Honest>, map: &[(u64, u32)]) -> String {
    let request = ContactMonitorRequest {
        last: None,
        label: LABEL.into(),
        entries: User::entries(&map.iter().copied().collect()),
    };
    let answer = provider::contact_monitor(&world.server.log().published(), &request);
    answer.unwrap_err().to_string()
}

/// The same version is found again, further right.
#[test]
fn a_version_is_found_twice() {
    let mut world = world();
    grow_to(&mut world, 17, &[16]);
    let first = search(&mut world, None);
    grow_to(&mut world, 18, &[]);
    let second = search(&mut world, None);
    assert_eq!((first, second), ((16, 0), (17, 0)));
    assert!(refusal(&world, &[first, second]).contains("a version twice"));
    assert_eq!(map(&world), [first]);
    monitor(&mut world);
    assert_eq!(map(&world), [second]);
}

/// A newer version is found to the left of where an older one has been followed to.
#[test]
fn an_older_version_has_overtaken() {
    let mut world = world();
    grow_to(&mut world, 17, &[16]);
    assert_eq!(search(&mut world, None), (16, 0));
    grow_to(&mut world, 20, &[17, 19]);
    monitor(&mut world);
    assert_eq!(map(&world), [(19, 0)]);
    assert_eq!(search(&mut world, Some(1)), (17, 1));
    grow_to(&mut world, 24, &[]);
    assert!(refusal(&world, &[(17, 1), (19, 0)]).contains("versions do not grow"));
    assert_eq!(map(&world), [(17, 1)]);
    monitor(&mut world);
    assert_eq!(map(&world), [(23, 1)]);
}

/// An owner monitors before it learns of a version that is in the log by then: the version before
/// is followed past it.
#[test]
fn an_owner_learns_late() {
    let mut world = world();
    world.users[0].label = Some(LABEL.to_owned());
    let mut random = Random::new(1);
    let made = |world: &World<Honest>| {
        let versions = world.server.log().labels.get(LABEL.as_bytes());
        let values = versions
            .into_iter()
            .flatten()
            .map(|(_, _, update)| update.value.clone());
        [(LABEL.to_owned(), values.collect())].into()
    };
    let own = |world: &mut World<Honest>, limits: Option<(usize, usize, bool)>| {
        let made = made(world);
        let user = &mut world.users[0];
        match limits {
            None => user.learn(&world.server, world.time, &made, (Vec::new(), None)),
            Some(limits) => user.owner_monitor(&world.server, world.time, limits),
        }
    };
    world.users[0].walk(&world.server, world.time).unwrap();
    let user = &mut world.users[0];
    user.recent.drain(..user.recent.len() - 1);
    user.owner_init(&world.server, world.time, &mut random)
        .unwrap();
    assert_eq!(user.owner.as_ref().unwrap().progress.start, 15);
    grow_to(&mut world, 17, &[16]);
    own(&mut world, None).unwrap();
    grow_to(&mut world, 20, &[17]);
    own(&mut world, Some((4, 1, true))).unwrap();
    own(&mut world, None).unwrap();
    grow_to(&mut world, 24, &[]);
    own(&mut world, Some((4, 1, false))).unwrap();
    let map = &world.users[0].owner.as_ref().unwrap().map;
    assert_eq!(map, &[(23, 1)].into());
}
