//! Every misdeed is noticed: by whom, by which check, how soon after it was done.
//!
//! The table says in how many histories, and in how many of them somebody had believed something
//! wrong before; and the longest delay.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use overt_protocol::provider::Refusal;

use crate::about::{Aftermath, Detection, FORKED, Promise};
use crate::liar::{Liar, OWNER, TARGET};
use crate::malformation::Malformation;
use crate::misdeed::Misdeed;
use crate::random::Random;
use crate::settings::Settings;
use crate::user::{Alarm, Done, User};
use crate::world::World;

const OWNERS: usize = 2;
const CONTACTS: usize = 2;
/// Log entries before the misdeed, at least.
const BEFORE: u64 = 14;
/// Somebody who asks without a name.
const NOBODY: usize = usize::MAX - 1;

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
    let [id, name, detector, check] = ["row", "misdeed", "detector", "check"];
    let [of, before, worst] = ["of runs", "deceived", "worst/RMW"];
    println!("{id:<6}{name:<48}{detector:<21}{check:<22}{of:>8}{before:>10}{worst:>11}");
    for misdeed in Misdeed::ALL {
        let about = misdeed.about();
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
                    let row = rows.entry((alarm.detector, alarm.check)).or_default();
                    row.count += 1;
                    row.deceived += u32::from(deceived);
                    row.worst = row.worst.max(delay);
                }
            }
            runs += 1;
        }
        for ((detector, check), row) in &rows {
            let (id, name, worst) = (about.row, about.name, row.worst);
            let (of, before) = (format!("{}/{runs}", row.count), row.deceived);
            println!("{id:<6}{name:<48}{detector:<21}{check:<22}{of:>8}{before:>10}{worst:>11.2}");
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

struct History {
    world: World<Liar>,
    /// When the misdeed was done.
    began: Option<u64>,
    /// How long after that users begin to compare, where they do so late.
    late: u64,
    /// Somebody believes something wrong.
    deceived: bool,
}

impl History {
    fn new(misdeed: Misdeed, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let settings = Settings::dishonest(&mut random, misdeed);
        let late = match misdeed.about().promise {
            Promise::Comparison => random.below(settings.rmw),
            _ => 0,
        };
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
            late,
            deceived: false,
        }
    }

    /// When somebody must have noticed what began then.
    fn deadline(&self, began: u64) -> u64 {
        let settings = &self.world.settings;
        let period = self.world.users.iter().map(|user| user.period).max();
        let gaps = 3 * settings.max_gap;
        let within = match self.world.server.misdeed.about().promise {
            // The next distinguished entry comes within the RMW and the wait for a log entry; then
            // all monitor within a period and the waits before. An expired version is asked for
            // later, when more has expired.
            Promise::AtOnce | Promise::NextMonitoring | Promise::Comparison => {
                let later = settings.lifetime.unwrap_or(0);
                settings.rmw + period.unwrap() + self.late + later
            }
            // By the clock that is furthest behind.
            Promise::MaxBehind => settings.max_behind + settings.max_ahead,
            // Then the owner asks.
            Promise::Deadline => settings.rmw + period.unwrap(),
            Promise::AuditorLag => settings.auditor_lag.unwrap(),
        };
        began + within + gaps
    }

    fn run(mut self) -> Outcome {
        let misdeed = self.world.server.misdeed;
        let before = BEFORE + self.world.random.below(16);
        for tick in 0..self.world.settings.size {
            let is_time = self.began.is_none() && tick >= before && self.is_ready();
            let begins = is_time && self.world.server.arm();
            if let Err(alarm) = self.grow(begins).and_then(|()| self.tick()) {
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
        let lies = self.world.server.lies.get();
        let must_show = misdeed.about().promise != Promise::AtOnce && !misdeed.may_pass();
        if self.deceived || (must_show && self.began.is_some()) || lies > 0 {
            return Outcome::Missed(format!("not noticed, {lies} lies"));
        }
        Outcome::Harmless
    }

    /// Whether the owner's device could make a version now, where it has to.
    fn is_ready(&self) -> bool {
        let server = &self.world.server;
        let owner = &self.world.users[OWNER].owner;
        let knows_all = |greatest| server.greatest() == greatest;
        !server.misdeed.is_about_an_update()
            || owner
                .as_ref()
                .is_some_and(|owner| knows_all(owner.progress.greatest_version()))
    }

    /// The log gets an entry, and perhaps the misdeed `begins` with it.
    fn grow(&mut self, begins: bool) -> Done {
        let misdeed = self.world.server.misdeed;
        let publisher = (begins && misdeed.is_about_an_update()).then_some(OWNER);
        let is_quiet = self.began.is_some() || (begins && publisher.is_none());
        let grown = self.world.grow(is_quiet.then_some(TARGET), publisher);
        if begins {
            self.began = Some(self.world.time);
            let from = self.world.server.deed.as_ref().unwrap().position;
            let users = self.world.users.iter();
            let witnesses = users.filter(|user| user.last() > Some(from));
            self.world.server.witnesses = witnesses.map(|user| user.number).collect();
            if misdeed == Misdeed::PromiseBroken {
                let deadline = self.world.time + self.world.settings.rmw;
                let receipt = self.world.server.promise(deadline);
                self.world.users[OWNER].receipts.push(receipt);
            }
        }
        grown
    }

    fn judge(self, alarm: Alarm, began: u64) -> Outcome {
        let lies = self.world.server.lies.get();
        let delay = (self.world.time - began) as f64 / self.world.settings.rmw as f64;
        let missed = |why: &str| Outcome::Missed(format!("{why}: {alarm:?}"));
        if !self.is_expected(&alarm) {
            return missed("by another check");
        }
        let outcome = match self.world.server.misdeed.about().promise {
            // Newcomers, who cannot know better, are told from others who compare.
            Promise::AtOnce if lies > 1 => return missed("not by the first answer"),
            Promise::AtOnce => Outcome::Detected(alarm, 0.0, false),
            _ if self.world.time > self.deadline(began) => return missed("too late"),
            _ => Outcome::Detected(alarm, delay, self.deceived),
        };
        match self.aftermath() {
            Ok(()) => outcome,
            Err(wrong) => Outcome::Missed(wrong),
        }
    }

    fn is_expected(&self, alarm: &Alarm) -> bool {
        let server = &self.world.server;
        let of_this_one: Vec<Detection> = match (server.misdeed, &server.deed) {
            (Misdeed::Malformed, Some(deed)) => vec![("searcher", Malformation::of(deed).checks())],
            (misdeed, _) => misdeed.about().detections.to_vec(),
        };
        of_this_one
            .iter()
            .any(|(who, checks)| *who == alarm.detector && checks.contains(&alarm.check.as_str()))
    }

    /// The directory gives it up. Where the log itself is as it should be, everybody goes on as if
    /// nothing had been said; whoever saw a fork cannot.
    fn aftermath(mut self) -> Result<(), String> {
        let server = &self.world.server;
        let aftermath = server.misdeed.about().aftermath;
        let position = server.deed.as_ref().unwrap().position;
        let users = self.world.users.iter();
        let is_lost = |user: &User| server.shows_other(user.number) && user.last() > Some(position);
        let lost: Vec<bool> = users.map(is_lost).collect();
        if aftermath == Aftermath::Spoilt {
            return Ok(());
        }
        self.world.server.deed = None;
        let world = &mut self.world;
        // Nobody can be told that there is nothing new.
        let sizes = [0, 1].map(|log| world.server.logs[log].tip.size);
        for _ in 0..=sizes[1].saturating_sub(sizes[0]) {
            world
                .grow(Some(TARGET), None)
                .map_err(|alarm| format!("{alarm:?}"))?;
        }
        for (number, is_lost) in lost.into_iter().enumerate() {
            match world.routine(number) {
                Ok(()) if !is_lost => {}
                Err(alarm) if is_lost && FORKED.contains(&alarm.check.as_str()) => {}
                other => return Err(format!("user {number}, lost: {is_lost}, then {other:?}")),
            }
        }
        Ok(())
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
        let user = &self.world.users[number];
        match self.world.server.misdeed {
            Misdeed::CredentialFromFork => return Ok(()),
            Misdeed::ForkByAddress => {
                let (verifier, skew) = (user.verifier.clone(), user.skew);
                let mut nobody = User::new(NOBODY, verifier, skew, None);
                nobody.walk(&self.world.server, self.world.time)?;
                return user.compare(&nobody, "asking anonymously").map(|_| ());
            }
            Misdeed::ForkForOne if self.began.is_none_or(|b| self.world.time < b + self.late) => {
                return Ok(());
            }
            _ => {}
        }
        for other in &self.world.users {
            let n = user.recent.len().min(other.recent.len());
            let newest = other.recent.last().map(|view| view.position());
            let new = user
                .recent
                .iter()
                .filter(|view| Some(view.position()) > newest);
            if new.count() < n {
                user.compare(other, "comparing users")?;
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
