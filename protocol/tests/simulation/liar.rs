//! A directory that is honest until it does one misdeed. It has the real keys, and keeps a second
//! log of the same size for what it does not show everybody.

use std::cell::Cell;

use overt_protocol::codec::Encode;
use overt_protocol::ladder::base_ladder;
use overt_protocol::provider::{self, Directory, Refusal};
use overt_protocol::wire::*;

use crate::misdeed::Misdeed;
use crate::server::{Answer, RECENT, Server, Values, bytes, update};
use crate::settings::Settings;
use crate::shown::{Fake, Shown};
use crate::support::{MemoryError, MemoryLog};
use crate::tamper::{Script, bend, set_tree};

/// The label that it is all about, which user 0 owns.
pub(crate) const TARGET: &str = "alice";
/// User 0.
const OWNER: usize = 0;

/// What it did.
pub(crate) struct Deed {
    /// The log entry from which on things are wrong.
    pub(crate) position: u64,
    /// Where a temporary misdeed ends; or up to where users saw the log as it was.
    until: u64,
    /// The greatest honest version of the target.
    pub(crate) greatest: u32,
    pub(crate) fake: Option<Fake>,
    /// When the entry at `position` was made in truth.
    time: u64,
}

pub(crate) struct Liar {
    pub(crate) misdeed: Misdeed,
    pub(crate) settings: Settings,
    pub(crate) logs: [MemoryLog; 2],
    script: Script,
    armed: bool,
    pub(crate) deed: Option<Deed>,
    /// Lying answers so far.
    pub(crate) lies: Cell<u32>,
}

impl Liar {
    pub(crate) fn new(misdeed: Misdeed, settings: &Settings) -> Self {
        Self {
            misdeed,
            settings: settings.clone(),
            logs: [settings.empty_log(), settings.empty_log()],
            script: Script::default(),
            armed: false,
            deed: None,
            lies: Cell::new(0),
        }
    }

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
        let verifier = overt_protocol::user::Verifier::new(self.logs[0].config.clone()).unwrap();
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

    /// The version to ask for, to hear a lie.
    pub(crate) fn wanted(&self) -> Option<u32> {
        match self.misdeed {
            Misdeed::ExpiredVersionReplaced => {
                let deed = self.deed.as_ref()?;
                // At once, or when all log entries from before have expired.
                let tip = self.logs[0].tip.timestamp;
                let is_ripe = self.logs[0].config.is_expired(deed.time, tip);
                let version = deed.fake.as_ref()?.version;
                (is_ripe || deed.time % 2 == 0).then_some(version)
            }
            _ => None,
        }
    }

    pub(crate) fn lie(&self, answer: Answer) -> Answer {
        self.lies.set(self.lies.get() + 1);
        answer
    }

    /// Does it, with the log entry that is due.
    fn begin(&mut self, timestamp: u64, new: &Values) -> Deed {
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

    /// What a user is shown if nothing else is said.
    pub(crate) fn view(&self, user: usize) -> Shown<'_> {
        let size = self.logs[0].tip.size;
        let is_other = self.deed.as_ref().is_some_and(|deed| match self.misdeed {
            Misdeed::GhostHidden => user != OWNER && size < deed.until,
            Misdeed::TwoViews | Misdeed::CredentialFromFork => user % 2 == 1,
            Misdeed::DistinguishedRewritten => true,
            _ => false,
        });
        let mut shown = Shown::honestly(self.logs[usize::from(is_other)].published(), TARGET);
        if let Some(deed) = &self.deed {
            match self.misdeed {
                Misdeed::VersionSkipped => shown.hole = Some(deed.greatest + 1),
                Misdeed::GhostDenied if user == OWNER => shown.greatest = Some(deed.greatest),
                Misdeed::TimestampsBent => shown.timestamp = Some((deed.position, deed.time)),
                Misdeed::ValueReplaced if size <= deed.until => shown.fake = deed.fake.as_ref(),
                _ => {}
            }
        }
        shown
    }

    /// Sends an answer, after the tampering that all answers need.
    fn send<T: Encode + crate::tamper::Proof>(
        &self,
        last: Option<u64>,
        answer: Result<T, MemoryError>,
    ) -> Answer {
        let mut answer = answer?;
        let Some(deed) = &self.deed else {
            return bytes(Ok(answer));
        };
        let is_lie = match self.misdeed {
            Misdeed::TimestampsBent => bend(answer.proof(), deed.time, 1),
            Misdeed::ExpiredByDate => true,
            Misdeed::DistinguishedRewritten => {
                // To those who saw the other content.
                last.is_some_and(|last| last > deed.position && last <= deed.until)
            }
            _ => false,
        };
        let answer = bytes(Ok(answer));
        if is_lie { self.lie(answer) } else { answer }
    }
}

impl Server for Liar {
    fn log(&self) -> &MemoryLog {
        &self.logs[0]
    }

    fn push(&mut self, timestamp: u64, new: &Values) {
        if std::mem::take(&mut self.armed) {
            let deed = self.begin(timestamp, new);
            self.deed = Some(deed);
        } else {
            let size = self.logs[0].tip.size;
            let is_over = self.deed.as_ref().is_some_and(|deed| deed.until == size);
            if is_over && self.misdeed == Misdeed::ValueReplaced {
                set_tree(&mut self.logs[0], TARGET, None);
            }
            self.script.push(&mut self.logs[0], timestamp, new);
        }
        if self.logs[1].tip.size < self.logs[0].tip.size {
            Script::default().push(&mut self.logs[1], timestamp, new);
        }
    }

    fn search(&self, user: usize, request: &SearchRequest) -> Answer {
        let deed = self
            .deed
            .as_ref()
            .filter(|_| request.label == TARGET.as_bytes());
        match deed.and_then(|deed| self.lying_search(deed, user, request)) {
            Some(answer) => answer,
            None => self.send(request.last, provider::search(&self.view(user), request)),
        }
    }

    fn update(&self, user: usize, request: &UpdateRequest, created: Option<u64>) -> Answer {
        let mut shown = self.view(user);
        if let Some(deed) = &self.deed
            && self.misdeed == Misdeed::VersionSkipped
            && request.label == TARGET.as_bytes()
        {
            shown.greatest = Some(deed.greatest);
        }
        if self.misdeed == Misdeed::TimestampsBent && self.deed.is_some() {
            return Err(Refusal::VersionConflict.into());
        }
        update(&shown, request, created)
    }

    fn owner_init(&self, user: usize, request: &OwnerInitRequest) -> Answer {
        self.send(
            request.last,
            provider::owner_init(&self.view(user), request),
        )
    }

    fn owner_monitor(&self, user: usize, request: &OwnerMonitorRequest, limit: usize) -> Answer {
        let mut shown = self.view(user);
        let Some(deed) = self.deed.as_ref().filter(|_| user == OWNER) else {
            return self.send(
                request.last,
                provider::owner_monitor(&shown, request, limit),
            );
        };
        let is_denied = [Misdeed::GhostDenied, Misdeed::VersionSkipped].contains(&self.misdeed);
        if is_denied {
            shown.greatest = Some(deed.greatest);
        }
        let answer = provider::owner_monitor(&shown, request, limit);
        let answer = match is_denied {
            true => answer.or_else(|_| self.denying_monitor(deed, request)),
            false => answer,
        };
        self.send(request.last, answer)
    }

    fn contact_monitor(&self, user: usize, request: &ContactMonitorRequest) -> Answer {
        let answer = provider::contact_monitor(&self.view(user), request);
        self.send(request.last, answer)
    }

    fn distinguished(&self, user: usize, request: &DistinguishedRequest) -> Answer {
        let answer = provider::distinguished(&self.view(user), request, RECENT);
        self.send(request.last, answer)
    }

    fn credential_update(&self, user: usize, request: &CredentialUpdateRequest) -> Answer {
        // For a version that is only in the fork, out of the fork.
        let answer = provider::credential_update(&self.view(user), request);
        bytes(answer.or_else(|_| provider::credential_update(&self.logs[1].published(), request)))
    }
}
