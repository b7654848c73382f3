//! A log, its users, and time passing.

use std::rc::Rc;

use overt_protocol::user::Verifier;

use crate::random::Random;
use crate::server::{Server, Values};
use crate::settings::Settings;
use crate::user::{Done, Made, User};

pub(crate) const START: u64 = 1_700_000_000_000;
/// Owned by users 0, 1 and 2.
pub(crate) const LABELS: [&str; 3] = ["alice", "bob", "carol"];
/// Labels without owners, here to keep the trees busy.
const OTHERS: u64 = 4;

pub(crate) struct World<S> {
    pub(crate) server: S,
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) time: u64,
    pub(crate) users: Vec<User>,
    /// What the owners' devices made.
    pub(crate) made: Made,
}

impl<S: Server> World<S> {
    /// `owners` users who own a label each, then `contacts` who own none.
    pub(crate) fn new(
        server: S,
        settings: Settings,
        mut random: Random,
        (owners, contacts): (usize, usize),
    ) -> Self {
        let verifier = Rc::new(Verifier::new(server.log().config.clone()).unwrap());
        let users = (0..owners + contacts).map(|number| {
            let label = (number < owners).then(|| LABELS[number].to_owned());
            let skew = skew(&settings, &mut random);
            User::new(number, verifier.clone(), skew, label)
        });
        Self {
            users: users.collect(),
            server,
            settings,
            random,
            time: START,
            made: LABELS.map(|label| (label.to_owned(), Vec::new())).into(),
        }
    }

    /// Someone who never used this log before. Returns the number.
    pub(crate) fn newcomer(&mut self) -> usize {
        let number = self.users.len();
        let verifier = self.users[0].verifier.clone();
        let skew = skew(&self.settings, &mut self.random);
        self.users.push(User::new(number, verifier, skew, None));
        number
    }

    /// Time passes, and the log gets an entry. Of the labels that owners have, each gets up to two
    /// versions, unless it is `quiet`; those of `publisher` are left to that user's device.
    pub(crate) fn grow(&mut self, quiet: Option<&str>, publisher: Option<usize>) -> Done {
        // Long waits and bursts, both.
        let gap = match self.random.below(6) {
            0 => self.settings.min_gap,
            1 => self.settings.max_gap,
            _ => self
                .random
                .between(self.settings.min_gap, self.settings.max_gap),
        };
        self.time += gap;
        let mut new = Values::new();
        let mut own = Vec::new();
        for (owner, label) in LABELS.iter().enumerate() {
            let count = match self.random.below(8) {
                0 => 1,
                1 => self.random.between(1, 2),
                _ if publisher == Some(owner) => 1,
                _ => 0,
            };
            for _ in 0..count {
                let value = format!("{label} {}", self.random.next()).into_bytes();
                if quiet == Some(label) {
                    continue;
                }
                let made = self.made.get_mut(*label).unwrap();
                made.push(value.clone());
                if publisher == Some(owner) {
                    own.push(value.clone());
                }
                new.push(((*label).to_owned(), value));
            }
        }
        if !self.random.one_in(4) {
            let other = format!("other {}", self.random.below(OTHERS));
            new.push((other, vec![1]));
        }
        self.server.push(self.time, &new);
        let created = self.server.log().tip.size - 1;
        match publisher.filter(|_| !own.is_empty()) {
            // The device that made them has the log prove that it took them.
            Some(owner) => {
                let user = &mut self.users[owner];
                let claim = (own, Some(created));
                user.learn(&self.server, self.time, &self.made, claim)
            }
            None => Ok(()),
        }
    }

    /// What every user does regularly: walk, own, monitor, finish credentials.
    pub(crate) fn routine(&mut self, number: usize) -> Done {
        let (server, time) = (&self.server, self.time);
        let user = &mut self.users[number];
        user.walk(server, time)?;
        if user.label.is_some() {
            user.check_receipts(server)?;
            user.own(server, time, &self.made, &mut self.random)?;
        }
        user.monitor_contacts(server, time)?;
        user.finish_credentials(server)?;
        user.due = time + user.period;
        Ok(())
    }
}

/// A clock that honest heads agree with: not more than `max_ahead` behind the log's, and so little
/// ahead that the longest wait between log entries stays within `max_behind`.
fn skew(settings: &Settings, random: &mut Random) -> i64 {
    let ahead = settings.max_behind - settings.max_gap;
    random.below(settings.max_ahead + ahead + 1) as i64 - settings.max_ahead as i64
}
