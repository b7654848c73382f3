//! No false alarm, ever.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use overt_protocol::provider::Refusal;
use overt_protocol::wire::CredentialProof;

use crate::credential::Received;
use crate::random::Random;
use crate::server::Honest;
use crate::settings::Settings;
use crate::user::{Alarm, Done};
use crate::world::{LABELS, World};

/// What happened, to see that everything did.
#[derive(Debug, Default)]
struct Tally {
    entries: u64,
    monitored: u64,
    greatest: u64,
    fixed: u64,
    expired: u64,
    compared: u64,
    standard: u64,
    provisional: u64,
    finished: u64,
    largest_map: usize,
}

#[test]
fn no_honest_log_gives_an_alarm() {
    let started = std::time::Instant::now();
    let mut tally = Tally::default();
    let seeds = crate::seeds(1_500);
    let mut alarms = Vec::new();
    for seed in seeds.clone() {
        let run = || history(seed, &mut tally);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => {}
            Ok(Err(alarm)) => alarms.push((seed, alarm)),
            Err(panic) => {
                println!("OVERT_SEED={seed}");
                resume_unwind(panic);
            }
        }
    }
    println!("{seeds:?} in {:?}: {tally:#?}", started.elapsed());
    assert!(
        alarms.is_empty(),
        "{} alarms, OVERT_SEED = {alarms:#?}",
        alarms.len()
    );
    if seeds.end - seeds.start >= 100 {
        let counts = [
            tally.expired,
            tally.compared,
            tally.standard,
            tally.finished,
        ];
        assert!(counts.iter().all(|count| *count > 0), "{tally:?}");
    }
}

fn history(seed: u64, tally: &mut Tally) -> Done {
    let mut random = Random::new(seed);
    let settings = Settings::honest(&mut random);
    let owners = random.between(1, 3) as usize;
    let contacts = random.between(1, 2) as usize;
    let size = settings.size;
    let server = Honest::new(&settings);
    let mut world = World::new(server, settings, random, (owners, contacts));
    for _ in 0..size {
        let publisher = world.publisher(owners);
        world.grow(None, publisher)?;
        for number in 0..owners + contacts {
            world.act(number, tally)?;
        }
    }
    let maps = world.users.iter().map(|user| user.largest_map);
    tally.largest_map = maps.max().max(Some(tally.largest_map)).unwrap();
    tally.entries += size;
    Ok(())
}

impl World<Honest> {
    /// Now and then, an owner's own device publishes: one that is online and knows where its label
    /// begins.
    fn publisher(&mut self, owners: usize) -> Option<usize> {
        let number = self.random.below(owners as u64) as usize;
        let user = &self.users[number];
        let is_ready = user.owner.is_some() && user.due <= self.time;
        (is_ready && self.random.one_in(2)).then_some(number)
    }

    /// A user does something, or sleeps on.
    fn act(&mut self, number: usize, tally: &mut Tally) -> Result<(), Alarm> {
        if self.users[number].due > self.time {
            return Ok(());
        }
        let label = *self.random.pick(&LABELS).unwrap();
        match self.random.below(11) {
            0..3 => self.look_up(number, label, tally)?,
            3 | 7 | 8 => {
                let waiting = self.users[number].credentials.len();
                self.routine(number)?;
                tally.monitored += 1;
                tally.finished += (waiting - self.users[number].credentials.len()) as u64;
            }
            4 => self.send_credential(number, label, tally)?,
            5 => self.compare(number, tally)?,
            // Offline for some log entries, or for some monitoring windows.
            6 => {
                let unit = match self.random.one_in(2) {
                    true => self.settings.max_gap,
                    false => self.settings.rmw + self.settings.max_gap,
                };
                self.users[number].due = self.time + unit / 4 + self.random.below(3 * unit);
            }
            _ => {}
        }
        Ok(())
    }

    fn look_up(&mut self, number: usize, label: &str, tally: &mut Tally) -> Done {
        let (server, user) = (&self.server, &mut self.users[number]);
        let made = &self.made[label];
        if self.random.one_in(2) {
            let found = user.search(server, self.time, (label, None), &[Refusal::NotFound])?;
            let value = found.map(|found| found.value.value().to_vec());
            assert_eq!(value.as_ref(), made.last());
            tally.greatest += 1;
            return Ok(());
        }
        // Newer versions are of more interest than old ones.
        let back = self.random.below(4).min(self.random.below(40)) as usize;
        let Some(version) = made.len().checked_sub(1 + back) else {
            return Ok(());
        };
        let may_refuse: &[Refusal] = match self.settings.lifetime {
            Some(_) => &[Refusal::Expired],
            None => &[],
        };
        let want = (label, Some(version as u32));
        match user.search(server, self.time, want, may_refuse)? {
            Some(found) => {
                assert_eq!(found.value.value(), made[version]);
                tally.fixed += 1;
            }
            None => tally.expired += 1,
        }
        Ok(())
    }

    /// A user sends a credential to another, who may know too little of the log to judge it.
    fn send_credential(&mut self, number: usize, label: &str, tally: &mut Tally) -> Done {
        if self.made[label].is_empty() {
            return Ok(());
        }
        let (server, time) = (&self.server, self.time);
        let other = self.random.below(self.users.len() as u64) as usize;
        let user = &self.users[number];
        let known = &self.users[other].recent;
        let from = user.recent.iter().rev().find(|view| known.contains(view));
        let Some(from) = from.or(user.recent.last()) else {
            return Ok(());
        };
        let credential = user.make_credential(server, time, from, label)?;
        let is_provisional = matches!(credential.proof, CredentialProof::Provisional { .. });
        match self.users[other].receive(&credential)? {
            Received::NotYet => {}
            Received::Verified { provisional } => {
                assert_eq!(provisional, is_provisional);
                match provisional {
                    true => tally.provisional += 1,
                    false => tally.standard += 1,
                }
            }
        }
        Ok(())
    }

    /// Compares roots with a user who walked some time ago, if no more distinguished entries came
    /// since than the lists hold; more need another walk first.
    fn compare(&mut self, number: usize, tally: &mut Tally) -> Done {
        let user = &mut self.users[number];
        user.walk_on(&self.server, self.time)?;
        let walked = user.recent.clone();
        user.walk(&self.server, self.time)?;
        assert_eq!(user.recent, walked);
        let other = self.random.below(self.users.len() as u64) as usize;
        let (user, other) = (&self.users[number], &self.users[other]);
        let n = user.recent.len().min(other.recent.len());
        let newest = other.recent.last().map(|view| view.position());
        let since = |view: &&overt_protocol::user::TreeView| Some(view.position()) > newest;
        if user.recent.iter().filter(since).count() < n && user.compare(other, "comparing users")? {
            tally.compared += 1;
        }
        Ok(())
    }
}
