//! How the misdeed is done.

use overt_protocol::codec::Encode;
use overt_protocol::ladder::base_ladder;
use overt_protocol::provider::{self, Directory};
use overt_protocol::receipt::{Receipt, commitment};
use overt_protocol::user::Verifier;
use overt_protocol::wire::DistinguishedRequest;

use crate::liar::{Liar, OTHER, TARGET};
use crate::misdeed::Misdeed;
use crate::server::{OPENING, RECENT, Values};
use crate::shown::Fake;
use crate::tamper::{Script, set_tree};

/// What it did.
pub(crate) struct Deed {
    /// The log entry from which on things are wrong.
    pub(crate) position: u64,
    /// Where a temporary misdeed ends.
    pub(crate) until: u64,
    /// The greatest honest version of the target.
    pub(crate) greatest: u32,
    pub(crate) fake: Option<Fake>,
    /// When it was done.
    pub(crate) time: u64,
}

impl Deed {
    /// One of several ways to do it.
    pub(crate) fn way(&self, ways: u64) -> u64 {
        self.time % ways
    }

    /// Whether a temporary misdeed is over in a log of this size.
    pub(crate) fn is_over(&self, size: u64) -> bool {
        size > self.until
    }
}

impl Liar {
    /// The greatest version of the target.
    pub(crate) fn greatest(&self) -> Option<u32> {
        let published = self.logs[0].published();
        published.greatest_version(TARGET.as_bytes()).unwrap()
    }

    /// The log entry that created a version of the target.
    pub(crate) fn created(&self, version: u32) -> u64 {
        let (stored, ..) = &self.logs[0].labels[TARGET.as_bytes()][version as usize];
        stored.position
    }

    /// An old version that is not the greatest at any unexpired log entry, and that nobody comes
    /// across who looks for the greatest.
    fn expired_version(&self) -> Option<u32> {
        let log = &self.logs[0];
        let greatest = self.greatest()?;
        let ladder = base_ladder(greatest);
        let is_expired = |version: &u32| {
            let next = log.entries[self.created(version + 1) as usize];
            let is_expired = log.config.is_expired(next.timestamp, log.tip.timestamp);
            is_expired && !ladder.contains(version)
        };
        (0..greatest).rev().find(is_expired)
    }

    fn distinguished(&self) -> Option<u64> {
        let published = self.logs[0].published();
        let request = DistinguishedRequest {
            last: None,
            stop: None,
        };
        let told = provider::distinguished(&published, &request, RECENT).unwrap();
        let now = self.logs[0].tip.timestamp;
        let verifier = Verifier::new(self.logs[0].config.clone()).unwrap();
        let told = told.to_bytes().unwrap();
        let walked = verifier.distinguished(None, &request, RECENT, &told, now);
        Some(walked.unwrap().recent.last()?.position())
    }

    /// Prepares to do the misdeed with the next log entry, if it is of use by now.
    pub(crate) fn arm(&mut self) -> bool {
        let log = &self.logs[0];
        let size = log.tip.size;
        let Some(greatest) = self.greatest() else {
            return false;
        };
        let is_new = self.created(greatest) + 3 > size;
        self.armed = match self.misdeed {
            Misdeed::ValueReplaced | Misdeed::ValueDuplicated => is_new,
            Misdeed::GreatestWithheld | Misdeed::ValueSwapped => greatest > 0,
            Misdeed::TimestampsBent => !(size + 1).is_power_of_two(),
            Misdeed::DistinguishedRewritten => self.distinguished().is_some(),
            Misdeed::ExpiredVersionReplaced => self.expired_version().is_some(),
            Misdeed::LabelConfused => log.labels.contains_key(OTHER.as_bytes()),
            _ => true,
        };
        self.armed
    }

    /// Does it, with the log entry that is due.
    pub(crate) fn begin(&mut self, timestamp: u64, new: &Values) -> Deed {
        let position = self.logs[0].tip.size;
        let mut deed = Deed {
            position,
            until: position + 1 + timestamp % 3,
            greatest: self.greatest().unwrap(),
            fake: None,
            time: timestamp,
        };
        let values = self.values(&mut deed, new);
        match self.misdeed {
            Misdeed::GhostHidden => {
                deed.until = position + 2;
                self.fork(timestamp, &values);
            }
            Misdeed::TwoViews
            | Misdeed::ForkByAddress
            | Misdeed::ForkForOne
            | Misdeed::CredentialFromFork => self.fork(timestamp, &values),
            Misdeed::TwoSizes => {
                self.fork(timestamp, &values);
                Script::default().push(&mut self.logs[1], timestamp, &Values::new());
            }
            Misdeed::ValueReplaced | Misdeed::ValueDuplicated => {
                if self.misdeed == Misdeed::ValueDuplicated {
                    deed.until = u64::MAX;
                }
                deed.fake = Some(self.replace(deed.greatest));
            }
            Misdeed::ExpiredVersionReplaced => {
                deed.fake = Some(self.replace(self.expired_version().unwrap()));
            }
            Misdeed::VersionSkipped => {
                let log = &mut self.logs[0];
                for version in deed.greatest + 1..=deed.greatest + 1 + deed.way(2) as u32 {
                    Fake::new(&log.vrf, TARGET, version).claim(log, TARGET, position);
                }
            }
            Misdeed::VrfKeyChanged if deed.way(2) == 1 => {
                let vrf = self.other_settings(true).empty_log().vrf;
                let moved = Fake::new(&vrf, TARGET, 0);
                self.logs[0].push_leaves(timestamp, &[moved.leaf]);
                deed.fake = Some(moved);
            }
            Misdeed::TimestampsBent => self.logs[0].tip.timestamp = 0,
            Misdeed::DistinguishedRewritten => deed.position = self.distinguished().unwrap(),
            Misdeed::RolledBack => deed.position -= 1 + deed.way(4),
            Misdeed::GreatestWithheld => deed.position = self.created(deed.greatest),
            Misdeed::Decoy => deed.position = 0,
            _ => {}
        }
        match self.misdeed {
            Misdeed::RolledBack => self.roll_back(deed.position, timestamp, &values),
            _ => {
                let dated = self.dated(&deed);
                self.script.push(&mut self.logs[0], dated, &values);
            }
        }
        self.rebuild_other(&deed);
        deed
    }

    /// What the log entry adds.
    fn values(&self, deed: &mut Deed, new: &Values) -> Values {
        let ghost = (TARGET.to_owned(), b"the directory's".to_vec());
        let is_target = |(label, _): &&(String, Vec<u8>)| label == TARGET;
        let mut values = new.clone();
        match self.misdeed {
            Misdeed::GhostTold
            | Misdeed::GhostDenied
            | Misdeed::GhostRemoved
            | Misdeed::VersionSkipped => values.push(ghost),
            Misdeed::GhostBeside => {
                deed.greatest += new.iter().filter(is_target).count() as u32;
                values.push(ghost);
            }
            Misdeed::Reverted => {
                values.push(ghost);
                deed.until -= 1;
                if deed.until == deed.position {
                    values.push(self.old_value(deed.greatest));
                }
            }
            Misdeed::UpdateDropped => {
                values.retain(|value| !is_target(&value));
                if deed.way(3) != 0 {
                    let count = new.iter().filter(is_target).count();
                    values.extend(std::iter::repeat_n(ghost, count));
                }
            }
            // Nothing, or something else.
            Misdeed::PromiseBroken if deed.way(2) == 1 => values.push(ghost),
            _ => {}
        }
        values
    }

    /// The promise that the next version of the target holds what the owner's device made.
    pub(crate) fn promise(&self, deadline: u64) -> Receipt {
        let log = &self.logs[0];
        let deed = self.deed.as_ref().unwrap();
        let (label, version) = (TARGET.as_bytes(), deed.greatest + 1);
        let receipt = Receipt {
            config_hash: log.config.hash().unwrap(),
            label: label.to_vec(),
            version,
            commitment: commitment(label, version, &OPENING, b"the owner's").unwrap(),
            timestamp: deed.time,
            deadline,
            signature: Vec::new(),
        };
        receipt.sign(&log.signing).unwrap()
    }

    /// The label with its value at a version.
    fn old_value(&self, version: u32) -> (String, Vec<u8>) {
        let (.., update) = &self.logs[0].labels[TARGET.as_bytes()][version as usize];
        (TARGET.to_owned(), update.value.clone())
    }

    /// The timestamp of a log entry that is made now.
    fn dated(&self, deed: &Deed) -> u64 {
        let ahead = 2 * self.settings.max_ahead + self.settings.max_behind;
        match self.misdeed {
            Misdeed::TimestampsBent => 1,
            Misdeed::ExpiredByDate => deed.time + ahead + self.settings.lifetime.unwrap(),
            _ => deed.time,
        }
    }

    /// A log entry that only the other log has, with a version that its owner did not make.
    fn fork(&mut self, timestamp: u64, new: &Values) {
        let mut ghost = new.clone();
        ghost.push((TARGET.to_owned(), b"the directory's".to_vec()));
        Script::default().push(&mut self.logs[1], timestamp, &ghost);
    }

    /// Another value of a version, from now on.
    fn replace(&mut self, version: u32) -> Fake {
        let log = &mut self.logs[0];
        let fake = Fake::new(&log.vrf, TARGET, version);
        set_tree(log, TARGET, Some(&fake));
        fake
    }

    /// The log goes on from where it had `size` entries. The values that were lost are made again.
    fn roll_back(&mut self, size: u64, timestamp: u64, new: &Values) {
        let lost = self.script.0.split_off(size as usize);
        let lost = lost.into_iter().flat_map(|(_, values)| values);
        let values: Values = lost.chain(new.iter().cloned()).collect();
        self.logs[0] = self.script.replay(self.settings.empty_log());
        self.script.push(&mut self.logs[0], timestamp, &values);
    }

    /// The other log, where it is not a fork that began just now.
    fn rebuild_other(&mut self, deed: &Deed) {
        let mut script = self.script.clone();
        self.logs[1] = match self.misdeed {
            Misdeed::DistinguishedRewritten => {
                let (_, values) = &mut script.0[deed.position as usize];
                values.push(("mallory".to_owned(), vec![0]));
                script.replay(self.settings.empty_log())
            }
            Misdeed::GreatestWithheld => {
                script.remove_last(TARGET);
                script.replay(self.settings.empty_log())
            }
            _ if self.misdeed.is_impostor() => self.impostor(deed.way(2) == 1),
            _ => return,
        };
    }

    /// Ends a temporary misdeed with the log entry that is due. Returns what that adds.
    pub(crate) fn end(&mut self, new: &Values) -> Values {
        let mut values = new.clone();
        match self.misdeed {
            Misdeed::ValueReplaced => set_tree(&mut self.logs[0], TARGET, None),
            Misdeed::GhostRemoved => {
                let versions = self.logs[0].labels.get_mut(TARGET.as_bytes());
                versions.unwrap().pop();
                set_tree(&mut self.logs[0], TARGET, None);
            }
            Misdeed::Reverted => {
                let greatest = self.deed.as_ref().unwrap().greatest;
                values.push(self.old_value(greatest));
            }
            _ => {}
        }
        values
    }
}
