//! What a label's owner does.

use overt_protocol::provider::Refusal;
use overt_protocol::receipt::ReceiptError;
use overt_protocol::user::VerifiedUpdate;
use overt_protocol::wire::*;

use crate::random::Random;
use crate::server::Server;
use crate::user::{Alarm, Done, Made, User, alarm, is_refusal, no_answer, rejected};

const WHO: &str = "owner";
/// Answers to one question that a directory may draw out.
const ROUNDS: usize = 64;

impl User {
    /// Begins to own the label at one of the recent distinguished entries, if there is any.
    pub(crate) fn owner_init(
        &mut self,
        server: &dyn Server,
        time: u64,
        random: &mut Random,
    ) -> Done {
        let (Some(label), Some(start)) = (self.label.clone(), random.pick(&self.recent)) else {
            return Ok(());
        };
        let request = OwnerInitRequest {
            last: self.last(),
            label: label.into_bytes(),
            start: start.position(),
        };
        let answer = match server.owner_init(self.number, &request) {
            // The start expired since it was recent.
            Err(error) if self.has_expired(start.position(), server) => {
                assert!(matches!(error, crate::support::MemoryError::Verify(_)));
                return self.walk(server, time);
            }
            answer => answer.map_err(no_answer(WHO))?,
        };
        let done = self
            .verifier
            .owner_init(self.state.as_ref(), &request, &answer, self.clock(time))
            .map_err(rejected(WHO))?;
        self.state = Some(done.state);
        self.owner = Some(done.owner);
        Ok(())
    }

    /// Whether a log entry expired.
    pub(crate) fn has_expired(&self, position: u64, server: &dyn Server) -> bool {
        let log = server.log();
        let timestamp = log.entries[position as usize].timestamp;
        log.config.is_expired(timestamp, log.tip.timestamp)
    }

    /// Asks for versions that this device does not know, or for proof of its own (`values`, which
    /// the log entry at `created` holds). Alarms if any of them was not made by its owner.
    pub(crate) fn learn(
        &mut self,
        server: &dyn Server,
        time: u64,
        made: &Made,
        (values, created): (Vec<Vec<u8>>, Option<u64>),
    ) -> Done {
        let (Some(label), Some(owner)) = (&self.label, &self.owner) else {
            return Ok(());
        };
        let request = UpdateRequest {
            last: self.last(),
            label: label.clone().into_bytes(),
            greatest_version: owner.progress.greatest_version(),
            values,
        };
        let answer = match server.update(self.number, &request, created) {
            Err(error) if created.is_none() && is_refusal(&error, &[Refusal::VersionConflict]) => {
                return Ok(());
            }
            // Offline for longer than the lifetime: to begin again.
            Err(error)
                if is_refusal(&error, &[Refusal::Expired])
                    && self.has_expired(owner.progress.start, server) =>
            {
                self.owner = None;
                return Ok(());
            }
            answer => answer.map_err(no_answer(WHO))?,
        };
        let done = self
            .verifier
            .update(
                self.state.as_ref(),
                owner,
                &request,
                &answer,
                self.clock(time),
            )
            .map_err(rejected(WHO))?;
        check_made(&done.updates, &made[label])?;
        self.state = Some(done.state);
        self.owner = Some(done.owner);
        if created.is_some() {
            assert!(done.updates.last().unwrap().requested);
            // What a distinguished entry holds is left to owner monitoring, which goes on from where
            // it was; who was offline for too long has to begin again first.
            let start = self.owner.as_ref().unwrap().progress.start;
            let is_unproved = done.updates.iter().any(|update| !update.proved);
            if is_unproved && !self.has_expired(start, server) {
                self.owner_monitor(server, time, (ROUNDS, ROUNDS, false))?;
            }
        }
        Ok(())
    }

    /// Owner monitoring, with at most `limit` ladders in an answer. Stops now and then in the
    /// middle, to be resumed the next time. If there may be versions that are `unlearnt` the log
    /// may stop before them.
    pub(crate) fn owner_monitor(
        &mut self,
        server: &dyn Server,
        time: u64,
        (limit, rounds, unlearnt): (usize, usize, bool),
    ) -> Done {
        for _ in 0..rounds.min(ROUNDS) {
            let (Some(label), Some(owner)) = (&self.label, &self.owner) else {
                return Ok(());
            };
            let request = OwnerMonitorRequest {
                last: self.last(),
                label: label.clone().into_bytes(),
                entries: Self::entries(&owner.map),
                start: owner.progress.start,
                greatest_version: owner.progress.greatest_version(),
            };
            let answer = server.owner_monitor(self.number, &request, limit);
            let answer = answer.map_err(no_answer(WHO))?;
            let done = self
                .verifier
                .owner_monitor(
                    self.state.as_ref(),
                    owner,
                    &request,
                    &answer,
                    self.clock(time),
                )
                .map_err(rejected(WHO))?;
            let is_stuck = !done.complete && done.verified.is_empty();
            if is_stuck && !unlearnt {
                return Err(alarm(WHO, "unproved", "no ladder at all".to_owned()));
            }
            self.state = Some(done.state);
            let map = done.owner.map.clone();
            self.owner = Some(done.owner);
            if done.complete {
                self.check_map(&map);
            }
            if done.complete || is_stuck {
                break;
            }
        }
        Ok(())
    }

    /// Checks the promises that are due.
    pub(crate) fn check_receipts(&mut self, server: &dyn Server) -> Done {
        let mut open = Vec::new();
        for receipt in std::mem::take(&mut self.receipts) {
            let request = SearchRequest {
                last: None,
                label: receipt.label.clone(),
                version: None,
            };
            let answer = server.search(self.number, &request);
            let answer = answer.map_err(no_answer(WHO))?;
            match self.verifier.broken_promise(&receipt, &request, &answer) {
                Ok(broken) => return Err(alarm(WHO, "promise broken", format!("{broken:?}"))),
                Err(ReceiptError::Early { .. }) => open.push(receipt),
                Err(ReceiptError::NotBroken) => {}
                Err(error) => return Err(alarm(WHO, error.check(), error.to_string())),
            }
        }
        self.receipts = open;
        Ok(())
    }

    /// Everything that an owner does regularly.
    pub(crate) fn own(
        &mut self,
        server: &dyn Server,
        time: u64,
        made: &Made,
        random: &mut Random,
    ) -> Done {
        let start = self.owner.as_ref().map(|owner| owner.progress.start);
        // After longer than the lifetime offline, an owner has to begin again.
        if start.is_none_or(|start| self.has_expired(start, server)) {
            self.owner = None;
            self.owner_init(server, time, random)?;
        }
        let limit = random.between(1, 4) as usize;
        // Versions that come between the two requests are learnt too late for monitoring.
        if self.is_flighty && random.one_in(3) {
            self.owner_monitor(server, time, (limit, ROUNDS, true))?;
        }
        self.learn(server, time, made, (Vec::new(), None))?;
        let rounds = match random.below(4) {
            0 if self.is_flighty => 0,
            1 if self.is_flighty => 1,
            _ => ROUNDS,
        };
        self.owner_monitor(server, time, (limit, rounds, false))
    }
}

/// Every version that the log shows must be one that the owner's devices made.
fn check_made(updates: &[VerifiedUpdate], made: &[Vec<u8>]) -> Result<(), Alarm> {
    for value in updates.iter().flat_map(|update| &update.values) {
        let version = value.version();
        if made.get(version as usize).map(Vec::as_slice) != Some(value.value()) {
            let detail = format!("version {version} is not the owner's");
            return Err(alarm(WHO, "foreign version", detail));
        }
    }
    Ok(())
}
