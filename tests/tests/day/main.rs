//! A day in virtual time: honest directories and five auditors, with crashes of either, partitions,
//! slow links, clocks that are wrong within bounds, and auditors that are restored from backups.
//! Nobody is accused of anything. And in the same world a fork is proved, everywhere.
//!
//! What runs is the server, the auditor and the client as they are; only clock and network are not.
//! `OVERT_HOURS` sets how long the day is, `OVERT_SEED` what happens in it.

mod hosts;
mod net;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use hosts::{AuditorHost, DirectoryHost, POLL, Person};
use net::{Net, Skewed};

const AUDITORS: usize = 5;
const PEOPLE: u64 = 3;
/// Of log entries in one of the directories; nothing expires in the other.
const LIFETIME: Duration = Duration::from_secs(6 * 3600);

struct World {
    net: Arc<Net>,
    auditors: Vec<AuditorHost>,
    directories: Vec<DirectoryHost>,
    policy: String,
    began: Instant,
    rng: StdRng,
    _home: tempfile::TempDir,
}

/// What happened.
#[derive(Debug, Default)]
struct Faults {
    crashes: u32,
    directory_crashes: u32,
    restored: u32,
    cuts: u32,
    slow: u32,
}

fn variable(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

impl World {
    async fn new(seed: u64) -> Self {
        let net = Net::new(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let began = Instant::now();
        // Two minutes is less than what the directories allow, added up.
        let mut clock = || Skewed::by(began, rng.random_range(-120_000..120_000));
        let home = home();
        let names: Vec<String> = (0..AUDITORS).map(|n| format!("auditor-{n}.test")).collect();
        let mut auditors: Vec<_> = names
            .iter()
            .map(|name| AuditorHost::new(&net, name, home.path().join(name), clock()))
            .collect();
        let followed = ["keys-0.test", "keys-1.test"];
        for auditor in &mut auditors {
            auditor.knows(&followed, &names);
        }
        let mut policy: String = auditors.iter().map(AuditorHost::policy).collect();
        policy += &format!("group all 3 {}\nquorum all\n", names.join(" "));
        let directory = |name: &str, clock| {
            DirectoryHost::new(&net, name, home.path().join(name), &policy, clock)
        };
        let directories = vec![
            directory(followed[0], clock()).with_auditor(auditors[0].public_key()),
            directory(followed[1], clock()).with_lifetime(LIFETIME),
        ];
        Self {
            net,
            auditors,
            directories,
            policy,
            began,
            rng,
            _home: home,
        }
    }

    async fn start_directories(&mut self) {
        for directory in &mut self.directories {
            directory.start().await;
        }
    }

    async fn start_auditors(&mut self) {
        for auditor in &mut self.auditors {
            auditor.start();
        }
        sleep(3 * POLL).await;
    }

    /// People of both directories, who live until the end.
    async fn people(&mut self, end: Instant) -> JoinSet<hosts::Done> {
        let mut people = JoinSet::new();
        for (n, directory) in (0..).zip(&self.directories) {
            let all = n * PEOPLE..(n + 1) * PEOPLE;
            for number in all.clone() {
                let clock = Skewed::by(self.began, self.rng.random_range(-120_000..120_000));
                let (name, policy) = (&directory.name, &self.policy);
                let person = Person::new(&self.net, number, name, policy, clock).await;
                let others = all.clone().filter(|other| *other != number).collect();
                people.spawn(person.live(others, end));
            }
        }
        people
    }

    /// Something goes wrong, again and again.
    async fn trouble(&mut self, end: Instant) -> Faults {
        let mut faults = Faults::default();
        while Instant::now() < end {
            let pause = self.rng.random_range(30.0..600.0);
            sleep(Duration::from_secs_f64(pause)).await;
            let down = Duration::from_secs_f64(self.rng.random_range(1.0..900.0));
            let which = self.rng.random_range(0..AUDITORS);
            match self.rng.random_range(0..10) {
                0..4 => {
                    let is_kept = self.rng.random_bool(0.3);
                    let is_restored = self.rng.random_bool(0.3);
                    let auditor = &mut self.auditors[which];
                    auditor.crash().await;
                    faults.crashes += 1;
                    if is_restored {
                        faults.restored += u32::from(auditor.restore());
                    } else if is_kept {
                        auditor.back_up();
                    }
                    sleep(down).await;
                    self.auditors[which].start();
                }
                4..6 => {
                    let which = self.rng.random_range(0..self.directories.len());
                    let directory = &mut self.directories[which];
                    directory.crash().await;
                    sleep(down / 4).await;
                    directory.start().await;
                    faults.directory_crashes += 1;
                }
                6..8 => {
                    let auditors = self.auditors.iter().map(|host| &host.name);
                    let all = auditors.chain(self.directories.iter().map(|host| &host.name));
                    let count = self.rng.random_range(1..4);
                    let group: HashSet<_> = all
                        .cloned()
                        .sample(&mut self.rng, count)
                        .into_iter()
                        .collect();
                    self.net.cut_off(group);
                    sleep(down).await;
                    self.net.heal();
                    faults.cuts += 1;
                }
                _ => {
                    let seconds = self.rng.random_range(1.0..20.0);
                    self.net.slow_down(&self.auditors[which].name, seconds);
                    sleep(down).await;
                    self.net.heal();
                    faults.slow += 1;
                }
            }
        }
        faults
    }
}

/// Days of commits are made here: in memory, where there is such a place.
fn home() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_accused_on_an_honest_day() {
    let seed = variable("OVERT_SEED", 1);
    let hours = variable("OVERT_HOURS", 24);
    let mut world = World::new(seed).await;
    world.start_directories().await;
    world.start_auditors().await;
    let end = world.began + Duration::from_secs(hours * 3600);
    let people = world.people(end).await;
    let faults = world.trouble(end).await;
    // All that was going on comes to its end, and all are up.
    sleep(30 * POLL).await;
    let lives = people.join_all().await;
    for auditor in &mut world.auditors {
        auditor.crash().await;
    }

    let (mut sizes, mut alarms) = (HashMap::new(), Vec::new());
    for auditor in &world.auditors {
        let store = auditor.store();
        assert_eq!(store.evidence().unwrap(), [], "{}", auditor.name);
        alarms.extend(store.alarms(false).unwrap());
        let records = store.records().unwrap();
        assert_eq!(records.len(), world.directories.len());
        for record in records {
            assert_eq!(record.refused, None, "{}", auditor.name);
            assert_eq!(record.suspicion, None, "{}", auditor.name);
            assert_eq!(record.replay, record.confirmed);
            let origin = record.descriptor.origin.clone();
            let cosigned = store.cosigned("auditor", &origin).unwrap().unwrap();
            let behind = record.replay.size() - cosigned.checkpoint().tree().size;
            assert!(behind < 10, "{} is {behind} behind", auditor.name);
            sizes
                .entry(origin)
                .or_insert_with(Vec::new)
                .push(record.replay.size());
        }
    }
    let (carried, failed) = world.net.counts();
    println!(
        "seed {seed}, {hours} hours: {faults:?}, {carried} messages arrived, {failed} did not"
    );
    println!("people: {lives:?}");
    println!("auditors: {sizes:?}, alarms: {alarms:?}");
    assert_eq!(alarms, [], "an alarm without a reason");
    for sizes in sizes.values() {
        let spread = sizes.iter().max().unwrap() - sizes.iter().min().unwrap();
        assert!(spread < 10, "{sizes:?}");
    }
    // And something did happen.
    if hours >= 24 {
        assert!(faults.crashes > 10 && faults.directory_crashes > 5 && faults.restored > 1);
        assert!(faults.cuts > 5 && faults.slow > 5);
        for life in lives {
            let least = life.lookups.min(life.passes).min(life.updates);
            assert!(least > 10, "{life:?}");
        }
    }
}

/// What keeps the day above from passing because nobody looks: one auditor is shown a directory of
/// its own, with the keys of the other.
#[tokio::test(start_paused = true)]
async fn a_fork_is_proved_in_the_same_world() {
    let mut world = World::new(1).await;
    world.start_directories().await;
    let honest = &world.directories[1];
    let mut hidden = honest.twin("hidden.test");
    let victim = &world.auditors[4].name;
    world.net.disguise(victim, &honest.name, &hidden.name);
    let url = format!("http://{}", honest.name);
    hidden.start().await;
    world.start_auditors().await;
    let end = Instant::now() + Duration::from_secs(1800);
    let people = world.people(end).await;
    people.join_all().await;
    sleep(20 * POLL).await;
    hidden.crash().await;
    for auditor in &mut world.auditors {
        auditor.crash().await;
        let records = auditor.store().records().unwrap();
        let refused: Vec<_> = records.iter().filter(|one| one.refused.is_some()).collect();
        assert_eq!(refused.len(), 1, "{}", auditor.name);
        assert_eq!(refused[0].url, url);
    }
}

/// An auditor that comes back when entries that it has not seen are gone cannot vouch for them, says
/// so, and goes on where it is told to.
#[tokio::test(start_paused = true)]
async fn an_auditor_that_was_away_for_too_long_says_so() {
    let mut world = World::new(1).await;
    world.start_directories().await;
    world.start_auditors().await;
    world.auditors[4].crash().await;
    sleep(LIFETIME + LIFETIME / 3).await;
    world.auditors[4].start();
    sleep(3 * POLL).await;

    let auditor = &mut world.auditors[4];
    auditor.crash().await;
    let codes = |auditor: &AuditorHost| -> Vec<String> {
        let alarms = auditor.store().alarms(false).unwrap();
        alarms.into_iter().map(|alarm| alarm.code).collect()
    };
    assert_eq!(codes(auditor), ["entries-expired"]);
    let records = auditor.store().records().unwrap();
    assert!(records[0].suspicion.is_none() && records[1].suspicion.is_some());
    let (whole, kept) = (records[0].replay.size(), records[1].replay.size());
    assert!(kept < 10 && whole > 50, "{kept} of {whole}");

    auditor.begin_at(whole - 10);
    auditor.start();
    sleep(15 * POLL).await;
    auditor.crash().await;
    let record = auditor.store().records().unwrap().remove(1);
    assert_eq!((&record.suspicion, &record.refused), (&None, &None));
    assert!(record.replay.size() >= whole);
    let cosigned = auditor
        .store()
        .cosigned("auditor", &record.descriptor.origin)
        .unwrap();
    assert!(cosigned.unwrap().checkpoint().tree().size >= whole);
}
