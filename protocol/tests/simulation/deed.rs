//! How the misdeed is done.

use overt_protocol::codec::Encode;
use overt_protocol::ladder::base_ladder;
use overt_protocol::provider::{self, Directory};
use overt_protocol::user::Verifier;
use overt_protocol::wire::DistinguishedRequest;

use crate::liar::{Liar, TARGET};
use crate::misdeed::Misdeed;
use crate::server::{RECENT, Values};
use crate::shown::Fake;
use crate::tamper::{Script, set_tree};

/// What it did.
pub(crate) struct Deed {
    /// The log entry from which on things are wrong.
    pub(crate) position: u64,
    /// Where a temporary misdeed ends; or up to where users saw the log as it was.
    pub(crate) until: u64,
    /// The greatest honest version of the target.
    pub(crate) greatest: u32,
    pub(crate) fake: Option<Fake>,
    /// When the entry at `position` was made in truth.
    pub(crate) time: u64,
}

impl Liar {
    fn greatest(&self) -> Option<u32> {
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
        let size = self.logs[0].tip.size;
        let Some(greatest) = self.greatest() else {
            return false;
        };
        self.armed = match self.misdeed {
            Misdeed::ValueReplaced => self.created(greatest) + 3 > size,
            Misdeed::GreatestWithheld => greatest > 0,
            Misdeed::TimestampsBent => !(size + 1).is_power_of_two(),
            Misdeed::DistinguishedRewritten => self.distinguished().is_some(),
            Misdeed::ExpiredVersionReplaced => self.expired_version().is_some(),
            _ => true,
        };
        self.armed
    }

    /// Does it, with the log entry that is due.
    pub(crate) fn begin(&mut self, timestamp: u64, new: &Values) -> Deed {
        let position = self.logs[0].tip.size;
        let greatest = self.greatest().unwrap();
        let mut deed = Deed {
            position,
            until: position + 3,
            greatest,
            fake: None,
            time: timestamp,
        };
        let mut ghost = new.clone();
        ghost.push((TARGET.to_owned(), b"the directory's".to_vec()));
        let [log, other] = &mut self.logs;
        match self.misdeed {
            Misdeed::GhostTold | Misdeed::GhostDenied => self.script.push(log, timestamp, &ghost),
            Misdeed::GhostHidden | Misdeed::TwoViews | Misdeed::CredentialFromFork => {
                Script::default().push(other, timestamp, &ghost);
                self.script.push(log, timestamp, new);
            }
            Misdeed::ValueReplaced => {
                deed.until = position + 1 + timestamp % 3;
                let fake = Fake::new(log, TARGET, greatest);
                set_tree(log, TARGET, Some(&fake));
                deed.fake = Some(fake);
                self.script.push(log, timestamp, new);
            }
            Misdeed::ExpiredVersionReplaced => {
                let version = self.expired_version().unwrap();
                let log = &mut self.logs[0];
                let fake = Fake::new(log, TARGET, version);
                set_tree(log, TARGET, Some(&fake));
                deed.fake = Some(fake);
                self.script.push(log, timestamp, new);
            }
            Misdeed::VersionSkipped => {
                Fake::new(log, TARGET, greatest + 1).claim(log, TARGET, position);
                self.script.push(log, timestamp, &ghost);
            }
            Misdeed::TimestampsBent => {
                log.tip.timestamp = 0;
                self.script.push(log, 1, new);
            }
            Misdeed::ExpiredByDate => {
                let ahead = 2 * self.settings.max_ahead + self.settings.max_behind;
                let expired = timestamp + ahead + self.settings.lifetime.unwrap();
                self.script.push(log, expired, new);
            }
            Misdeed::DistinguishedRewritten => {
                deed.position = self.distinguished().unwrap();
                deed.until = position;
                self.script.push(&mut self.logs[0], timestamp, new);
                let mut script = self.script.clone();
                let (_, values) = &mut script.0[deed.position as usize];
                values.push(("mallory".to_owned(), vec![0]));
                self.logs[1] = script.replay(self.settings.empty_log());
            }
            Misdeed::GreatestWithheld => {
                self.script.push(log, timestamp, new);
                let mut script = self.script.clone();
                script.remove_last(TARGET);
                self.logs[1] = script.replay(self.settings.empty_log());
                deed.position = self.created(greatest);
            }
            Misdeed::HeadReplayed => self.script.push(log, timestamp, new),
        }
        deed
    }
}
