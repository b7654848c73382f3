//! A directory that is honest until it does one misdeed. It has the real keys, and keeps a second
//! log for what it does not show everybody.

use std::cell::Cell;
use std::collections::BTreeSet;

use overt_protocol::codec::Encode;
use overt_protocol::provider::{self, Refusal};
use overt_protocol::wire::*;

use crate::auditor::audit;
use crate::deed::Deed;
use crate::misdeed::Misdeed;
use crate::server::{Answer, RECENT, Server, Values, bytes, update};
use crate::settings::Settings;
use crate::shown::Shown;
use crate::support::{MemoryError, MemoryLog};
use crate::tamper::{Proof, Script, bend};

/// The label that it is all about, which user 0 owns.
pub(crate) const TARGET: &str = "alice";
/// Another label.
pub(crate) const OTHER: &str = "bob";
/// User 0.
pub(crate) const OWNER: usize = 0;
/// The user who is shown what nobody else is.
pub(crate) const TARGETED: usize = 2;

pub(crate) struct Liar {
    pub(crate) misdeed: Misdeed,
    pub(crate) settings: Settings,
    pub(crate) logs: [MemoryLog; 2],
    pub(crate) script: Script,
    pub(crate) armed: bool,
    pub(crate) deed: Option<Deed>,
    /// Users who had seen what is not so any more.
    pub(crate) witnesses: BTreeSet<usize>,
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
            witnesses: BTreeSet::new(),
            lies: Cell::new(0),
        }
    }

    /// The version to ask for, to hear a lie.
    pub(crate) fn wanted(&self) -> Option<u32> {
        let deed = self.deed.as_ref()?;
        match self.misdeed {
            Misdeed::ExpiredVersionReplaced => {
                // At once, or when all log entries from before have expired.
                let tip = self.logs[0].tip.timestamp;
                let is_ripe = self.logs[0].config.is_expired(deed.time, tip);
                let version = deed.fake.as_ref()?.version;
                (is_ripe || deed.way(2) == 0).then_some(version)
            }
            _ => None,
        }
    }

    pub(crate) fn lie(&self, answer: Answer) -> Answer {
        self.lies.set(self.lies.get() + 1);
        answer
    }

    /// Whether a user is shown the other log.
    pub(crate) fn shows_other(&self, user: usize) -> bool {
        let Some(deed) = &self.deed else { return false };
        match self.misdeed {
            Misdeed::GhostHidden => user != OWNER && !deed.is_over(self.logs[0].tip.size),
            Misdeed::TwoViews | Misdeed::TwoSizes | Misdeed::CredentialFromFork => user % 2 == 1,
            Misdeed::ForkForOne | Misdeed::ForkByAddress => user == TARGETED,
            Misdeed::DistinguishedRewritten => true,
            Misdeed::Decoy => !self.witnesses.contains(&user),
            Misdeed::VrfKeyChanged => deed.way(2) == 0,
            misdeed => misdeed.is_impostor(),
        }
    }

    /// What a user is shown if nothing else is said.
    pub(crate) fn view(&self, user: usize) -> Shown<'_> {
        let is_other = self.shows_other(user);
        let log = &self.logs[usize::from(is_other)];
        let mut shown = Shown::honestly(log.published(), TARGET);
        shown.published.auditor = self.auditor_head(log);
        let Some(deed) = &self.deed else {
            return shown;
        };
        let is_over = deed.is_over(self.logs[0].tip.size);
        match self.misdeed {
            Misdeed::VersionSkipped => shown.holes = deed.greatest + 1..self.ghost(),
            Misdeed::TimestampsBent => shown.timestamp = Some((deed.position, deed.time)),
            Misdeed::ValueReplaced | Misdeed::ValueDuplicated if !is_over => {
                shown.fake = deed.fake.as_ref();
            }
            Misdeed::Stalled => shown.published = self.logs[0].at(deed.position),
            _ if is_other && self.misdeed.is_impostor() => {
                shown.config = Some(&self.logs[0].config);
            }
            _ if user == OWNER && self.is_denied() => shown.greatest = Some(deed.greatest),
            _ => {}
        }
        shown
    }

    /// The greatest version, which the owner did not make.
    pub(crate) fn ghost(&self) -> u32 {
        self.logs[0].labels[TARGET.as_bytes()].len() as u32 - 1
    }

    /// Whether the owner is told that there are no versions but its own.
    fn is_denied(&self) -> bool {
        let deed = self.deed.as_ref();
        match self.misdeed {
            Misdeed::GhostDenied | Misdeed::GhostRemoved | Misdeed::GhostBeside => true,
            Misdeed::Reverted => deed.is_some_and(|deed| deed.way(2) == 0),
            _ => false,
        }
    }

    /// What the auditor signed of a log, if there is one.
    fn auditor_head(&self, log: &MemoryLog) -> Option<AuditorTreeHead> {
        self.settings.auditor_lag?;
        let (key, size) = (self.settings.auditor(), log.tip.size);
        match (self.misdeed, &self.deed) {
            // The last one that there was, or none.
            (Misdeed::AuditorStarved, Some(deed)) => Some(audit(&key, log, deed.position)),
            (Misdeed::ModeDowngraded, Some(deed)) => {
                let is_there = deed.way(2) == 0;
                is_there.then(|| audit(&key, &self.logs[0], deed.position))
            }
            (Misdeed::AuditorSwapped, Some(deed)) => {
                let other = self.other_settings(deed.way(2) == 1).auditor();
                Some(audit(&other, log, size))
            }
            _ => Some(audit(&key, log, size)),
        }
    }

    /// Sends an answer, after the tampering that all answers need.
    fn send<T: Encode + Proof>(&self, user: usize, answer: Result<T, MemoryError>) -> Answer {
        let Some(deed) = &self.deed else {
            return bytes(answer);
        };
        let mut answer = answer;
        let parts = answer.as_mut().ok().map(Proof::parts);
        // Whoever is told that there is nothing new is told nothing wrong.
        let is_same = matches!(parts, Some((FullTreeHead::Same, _)));
        let is_lie = match (self.misdeed, parts) {
            (Misdeed::TimestampsBent, Some((_, proof))) => bend(proof, deed.time, 1),
            (Misdeed::ExpiredByDate, _) => true,
            // To those who saw what had been there.
            (Misdeed::DistinguishedRewritten | Misdeed::RolledBack, _) => {
                self.witnesses.contains(&user) && !is_same
            }
            (misdeed, _) => misdeed.is_impostor() && self.shows_other(user),
        };
        let answer = bytes(answer);
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
            return;
        }
        let size = self.logs[0].tip.size;
        let deed = self.deed.as_ref();
        let dated = match deed.filter(|_| self.misdeed == Misdeed::TimeStopped) {
            Some(deed) => deed.time,
            None => timestamp,
        };
        let values = match deed.is_some_and(|deed| deed.until == size) {
            true => self.end(new),
            false => new.clone(),
        };
        self.script.push(&mut self.logs[0], dated, &values);
        Script::default().push(&mut self.logs[1], dated, new);
    }

    fn search(&self, user: usize, request: &SearchRequest) -> Answer {
        let deed = self
            .deed
            .as_ref()
            .filter(|_| request.label == TARGET.as_bytes());
        match deed.and_then(|deed| self.lying_search(deed, user, request)) {
            Some(answer) => answer,
            None => self.send(user, provider::search(&self.view(user), request)),
        }
    }

    fn update(&self, user: usize, request: &UpdateRequest, created: Option<u64>) -> Answer {
        let mut shown = self.view(user);
        if let Some(deed) = self.deed.as_ref().filter(|_| user == OWNER) {
            match self.misdeed {
                Misdeed::VersionSkipped => shown.greatest = Some(deed.greatest),
                Misdeed::TimestampsBent => return Err(Refusal::VersionConflict.into()),
                _ => {}
            }
            if let Some(position) = created {
                return self.lying_update(deed, request, position);
            }
        }
        update(&shown, request, created)
    }

    fn owner_init(&self, user: usize, request: &OwnerInitRequest) -> Answer {
        self.send(user, provider::owner_init(&self.view(user), request))
    }

    fn owner_monitor(&self, user: usize, request: &OwnerMonitorRequest, limit: usize) -> Answer {
        let mut shown = self.view(user);
        let deed = self.deed.as_ref().filter(|_| user == OWNER);
        let is_about = [Misdeed::VersionSkipped, Misdeed::UpdateDropped].contains(&self.misdeed);
        let denied = deed.filter(|_| self.is_denied() || is_about);
        let Some(deed) = denied else {
            return self.send(user, provider::owner_monitor(&shown, request, limit));
        };
        // A log may stop before versions that the owner is to learn of by an update; this one says
        // that there are none.
        let stops = self.misdeed == Misdeed::GhostDenied && deed.way(3) == 0;
        shown.greatest = Some(deed.greatest).filter(|_| !stops);
        let answer = provider::owner_monitor(&shown, request, limit);
        self.send(
            user,
            answer.or_else(|_| self.denying_monitor(deed, request)),
        )
    }

    fn contact_monitor(&self, user: usize, request: &ContactMonitorRequest) -> Answer {
        let answer = provider::contact_monitor(&self.view(user), request);
        match self.misdeed {
            Misdeed::GhostRemoved => {
                self.send(user, answer.or_else(|_| Ok(self.true_monitor(request))))
            }
            _ => self.send(user, answer),
        }
    }

    fn distinguished(&self, user: usize, request: &DistinguishedRequest) -> Answer {
        let answer = provider::distinguished(&self.view(user), request, RECENT);
        self.send(user, answer)
    }

    fn credential_update(&self, user: usize, request: &CredentialUpdateRequest) -> Answer {
        // For a version that is only in the fork, out of the fork.
        let answer = provider::credential_update(&self.view(user), request);
        bytes(answer.or_else(|_| provider::credential_update(&self.logs[1].published(), request)))
    }
}
