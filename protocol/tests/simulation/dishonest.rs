//! Every misdeed is noticed: by whom, by which check, how soon after it was done.
//!
//! The table says in how many histories, and in how many of them somebody had believed something
//! wrong before; and the longest delay.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use overt_protocol::provider::Refusal;

use crate::liar::{Liar, TARGET};
use crate::misdeed::{Misdeed, Promise};
use crate::random::Random;
use crate::settings::Settings;
use crate::user::{Alarm, Done};
use crate::world::World;

const OWNERS: usize = 2;
const CONTACTS: usize = 2;
/// Log entries before the misdeed, at least.
const BEFORE: u64 = 14;

/// Whether somebody believed something wrong before.
type Deceived = bool;

/// What came of one history.
enum Outcome {
    /// Someone noticed, so long after the misdeed, in units of the RMW.
    Detected(Alarm, f64, Deceived),
    /// Nobody ever was shown anything wrong.
    Harmless,
    /// Somebody was, and it was not noticed in time.
    Missed(String),
}

#[derive(Default)]
struct Row {
    count: u32,
    deceived: u32,
    worst: f64,
}

#[test]
fn every_misdeed_is_noticed() {
    let started = std::time::Instant::now();
    let seeds = crate::seeds(40);
    let mut failures = Vec::new();
    let [name, detector, check] = ["misdeed", "detector", "check"];
    let [of, before, worst] = ["of runs", "deceived", "worst/RMW"];
    println!("{name:<44}{detector:<21}{check:<22}{of:>10}{before:>10}{worst:>11}");
    for misdeed in Misdeed::ALL {
        let mut rows: BTreeMap<(&str, String), Row> = BTreeMap::new();
        let mut runs = 0;
        for seed in seeds.clone() {
            let run = AssertUnwindSafe(|| History::new(misdeed, seed).run());
            let outcome = catch_unwind(run).unwrap_or_else(|panic| {
                println!("{misdeed:?}, OVERT_SEED={seed}");
                resume_unwind(panic)
            });
            match outcome {
                Outcome::Harmless => continue,
                Outcome::Missed(why) => failures.push((misdeed, seed, why)),
                Outcome::Detected(alarm, delay, deceived) => {
                    if !is_expected(misdeed, &alarm) {
                        failures.push((misdeed, seed, format!("{alarm:?}")));
                    }
                    let row = rows.entry((alarm.detector, alarm.check)).or_default();
                    row.count += 1;
                    row.deceived += u32::from(deceived);
                    row.worst = row.worst.max(delay);
                }
            }
            runs += 1;
        }
        for ((detector, check), row) in &rows {
            let (name, worst) = (misdeed.name(), row.worst);
            let (of, before) = (format!("{}/{runs}", row.count), row.deceived);
            println!("{name:<44}{detector:<21}{check:<22}{of:>10}{before:>10}{worst:>11.2}");
        }
        assert!(
            runs > 0 || seeds.end - seeds.start < 10,
            "{misdeed:?} never had an effect"
        );
    }
    println!("{:?}", started.elapsed());
    assert!(
        failures.is_empty(),
        "{} failures, OVERT_SEED = {failures:#?}",
        failures.len()
    );
}

fn is_expected(misdeed: Misdeed, alarm: &Alarm) -> bool {
    let mut detections = misdeed.detections().iter();
    detections.any(|(who, checks)| *who == alarm.detector && checks.contains(&alarm.check.as_str()))
}

struct History {
    world: World<Liar>,
    /// When the misdeed was done.
    began: Option<u64>,
    /// Somebody believes something wrong.
    deceived: bool,
}

impl History {
    fn new(misdeed: Misdeed, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let settings = Settings::dishonest(&mut random, misdeed.needs_lifetime());
        let liar = Liar::new(misdeed, &settings);
        let mut world = World::new(liar, settings, random, (OWNERS, CONTACTS));
        for user in &mut world.users {
            user.is_flighty = false;
            user.period = world
                .random
                .between(world.settings.rmw / 4, world.settings.rmw);
        }
        Self {
            world,
            began: None,
            deceived: false,
        }
    }

    /// The next distinguished entry comes within the RMW and the wait for a log entry; then all
    /// monitor within a period and the waits before. An expired version is asked for later, when
    /// more has expired.
    fn deadline(&self, began: u64) -> u64 {
        let settings = &self.world.settings;
        let period = self.world.users.iter().map(|user| user.period).max();
        let later = settings.lifetime.unwrap_or(0);
        began + settings.rmw + period.unwrap() + 3 * settings.max_gap + later
    }

    fn run(mut self) -> Outcome {
        let misdeed = self.world.server.misdeed;
        let before = BEFORE + self.world.random.below(16);
        for tick in 0..self.world.settings.size {
            let is_time = self.began.is_none() && tick >= before;
            let begins = is_time && self.world.server.arm();
            let quiet = (begins || self.began.is_some()).then_some(TARGET);
            self.world.grow(quiet, None).unwrap();
            if begins {
                self.began = Some(self.world.time);
            }
            if let Err(alarm) = self.tick() {
                let began = self
                    .began
                    .unwrap_or_else(|| panic!("false alarm: {alarm:?}"));
                return self.judge(alarm, began);
            }
            if self
                .began
                .is_some_and(|began| self.world.time > self.deadline(began))
            {
                break;
            }
        }
        let always = matches!(
            misdeed,
            Misdeed::GhostTold | Misdeed::GhostDenied | Misdeed::TwoViews
        );
        if self.deceived || (always && self.began.is_some()) || self.world.server.lies.get() > 0 {
            let lies = self.world.server.lies.get();
            return Outcome::Missed(format!("not noticed, {lies} lies"));
        }
        Outcome::Harmless
    }

    fn judge(self, alarm: Alarm, began: u64) -> Outcome {
        let lies = self.world.server.lies.get();
        if self.world.server.misdeed.promise() == Promise::AtOnce {
            return match lies {
                // Newcomers, who cannot know better, are told from others who compare.
                0 | 1 => Outcome::Detected(alarm, 0.0, false),
                _ => Outcome::Missed(format!("noticed by answer {lies}: {alarm:?}")),
            };
        }
        if self.world.time > self.deadline(began) {
            return Outcome::Missed(format!("too late: {alarm:?}"));
        }
        let delay = (self.world.time - began) as f64 / self.world.settings.rmw as f64;
        Outcome::Detected(alarm, delay, self.deceived)
    }

    /// Everybody does what is due, and somebody is made to look at the target.
    fn tick(&mut self) -> Done {
        let bait_first = self.world.random.one_in(2);
        if bait_first {
            self.bait()?;
        }
        for number in 0..self.world.users.len() {
            if self.world.users[number].due <= self.world.time {
                self.world.routine(number)?;
                self.compare(number)?;
            }
        }
        if !bait_first {
            self.bait()?;
        }
        Ok(())
    }

    /// Compares roots with everybody who knows an entry that the own list can reach.
    fn compare(&mut self, number: usize) -> Done {
        if self.world.server.misdeed == Misdeed::CredentialFromFork {
            return Ok(());
        }
        let user = &self.world.users[number];
        for other in &self.world.users {
            let n = user.recent.len().min(other.recent.len());
            let newest = other.recent.last().map(|view| view.position());
            let new = user
                .recent
                .iter()
                .filter(|view| Some(view.position()) > newest);
            if new.count() < n {
                user.compare(other)?;
            }
        }
        Ok(())
    }

    /// A contact or a newcomer looks the target up, or sends a credential for it.
    fn bait(&mut self) -> Done {
        let world = &mut self.world;
        if self.began.is_none() && !world.random.one_in(3) {
            return Ok(());
        }
        if world.server.misdeed == Misdeed::CredentialFromFork && self.began.is_some() {
            return self.credential();
        }
        let is_new = world.users.len() < 7 && world.random.one_in(4);
        let number = match is_new {
            true => world.newcomer(),
            false => world
                .random
                .between(OWNERS as u64, world.users.len() as u64 - 1) as usize,
        };
        world.users[number].period = world.settings.rmw / 2;
        let version = world.server.wanted();
        let user = &mut world.users[number];
        let may_refuse = [Refusal::NotFound];
        let want = (TARGET, version);
        if let Some(found) = user.search(&world.server, world.time, want, &may_refuse)? {
            let made = world.made[TARGET].get(found.value.version() as usize);
            self.deceived |= made.map(Vec::as_slice) != Some(found.value.value());
        }
        Ok(())
    }

    /// One half sends the other a credential, until one was believed for now.
    fn credential(&mut self) -> Done {
        let world = &mut self.world;
        let (sender, receiver) = (OWNERS + 1, OWNERS);
        if self.deceived {
            return Ok(());
        }
        let Some(from) = world.users[sender].recent.last() else {
            return Ok(());
        };
        let user = &world.users[sender];
        let credential = user.make_credential(&world.server, world.time, from, TARGET)?;
        world.users[receiver].receive(&credential)?;
        let is_true = world.made[TARGET].last() == Some(&credential.value.value);
        self.deceived |= !is_true && !world.users[receiver].credentials.is_empty();
        Ok(())
    }
}
