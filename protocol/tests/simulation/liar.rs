//! A directory that is honest until it does one misdeed. It has the real keys, and keeps a second
//! log of the same size for what it does not show everybody.

use std::cell::Cell;

use overt_protocol::codec::Encode;
use overt_protocol::provider::{self, Refusal};
use overt_protocol::wire::*;

use crate::deed::Deed;
use crate::misdeed::Misdeed;
use crate::server::{Answer, RECENT, Server, Values, bytes, update};
use crate::settings::Settings;
use crate::shown::Shown;
use crate::support::{MemoryError, MemoryLog};
use crate::tamper::{Script, bend, set_tree};

/// The label that it is all about, which user 0 owns.
pub(crate) const TARGET: &str = "alice";
/// User 0.
const OWNER: usize = 0;

pub(crate) struct Liar {
    pub(crate) misdeed: Misdeed,
    pub(crate) settings: Settings,
    pub(crate) logs: [MemoryLog; 2],
    pub(crate) script: Script,
    pub(crate) armed: bool,
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
        // A log may stop before versions that the owner is to learn of by an update; this one says
        // that there are none.
        let stops = self.misdeed == Misdeed::GhostDenied && deed.time % 3 == 0;
        if is_denied {
            shown.greatest = Some(deed.greatest).filter(|_| !stops);
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
