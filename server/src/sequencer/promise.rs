//! Acknowledging updates before they are in the log: promises that survive crashes.

use std::collections::{HashSet, VecDeque};

use overt_protocol::receipt::{Promised, Receipt, commitment};
use overt_protocol::wire::UpdateValue;

use crate::error::DirectoryError;
use crate::sequencer::evaluate::random_openings;
use crate::sequencer::{Acknowledged, Answer, Sequencer, Submission, UpdateError, Waiting, answer};
use crate::store::{Promise, Store};

impl<S: Store> Sequencer<S> {
    /// The updates that were promised and are not in the log: after a crash.
    pub(super) fn given(&self) -> Result<VecDeque<Waiting>, DirectoryError> {
        let mut out: VecDeque<Waiting> = VecDeque::new();
        for promise in self.shared.store.promises()? {
            let value = UpdateValue {
                value: promise.value,
                signature: None,
            };
            let same = out
                .back_mut()
                .filter(|waiting| waiting.submission.label == promise.label);
            match same {
                Some(waiting) => {
                    waiting.submission.values.push(value);
                    if let Answer::Given(_, openings) = &mut waiting.answer {
                        openings.push(promise.opening);
                    }
                }
                None => out.push_back(Waiting {
                    submission: Submission {
                        label: promise.label,
                        greatest_version: promise.version.checked_sub(1),
                        values: vec![value],
                        signed_version: None,
                    },
                    token: None,
                    answer: Answer::Given(promise.version, vec![promise.opening]),
                }),
            }
        }
        Ok(out)
    }

    /// Decides about updates, keeps those that are allowed, and answers with receipts. Labels that
    /// are `on_their_way` have a promise already. Returns what is to be done.
    pub(super) fn give_promises(
        &mut self,
        asked: Vec<Waiting>,
        mut on_their_way: HashSet<Vec<u8>>,
    ) -> Result<Vec<Waiting>, DirectoryError> {
        let mut kept = Vec::new();
        let mut reader = None;
        for waiting in asked {
            let label = &waiting.submission.label;
            if on_their_way.contains(label) {
                answer(waiting, Err(UpdateError::OnItsWay));
                continue;
            }
            match self.check(&mut reader, &waiting) {
                Ok(place) => {
                    on_their_way.insert(label.clone());
                    let promises = promises(place.first, &waiting.submission)?;
                    kept.push((waiting, promises));
                }
                Err(decided) => answer(waiting, decided),
            }
        }
        drop(reader);
        let all: Vec<Promise> = kept.iter().flat_map(|(_, p)| p.iter().cloned()).collect();
        if all.is_empty() {
            return Ok(Vec::new());
        }
        self.shared.store.promise(&all)?;
        metrics::counter!("overt_promises_total").increment(all.len() as u64);
        kept.into_iter()
            .map(|(waiting, promises)| self.give(waiting, &promises))
            .collect()
    }

    /// Answers with the receipts of promises that are kept.
    fn give(&self, waiting: Waiting, promises: &[Promise]) -> Result<Waiting, DirectoryError> {
        let receipts = promises
            .iter()
            .map(|promise| self.receipt(promise))
            .collect::<Result<Vec<_>, DirectoryError>>()?;
        if let Answer::Promised(answer) = waiting.answer {
            // The caller may have gone; the promise stands all the same.
            let _ = answer.send(Ok(Acknowledged::Promised(receipts)));
        }
        let first = promises.first().map_or(0, |promise| promise.version);
        let openings = promises.iter().map(|promise| promise.opening).collect();
        Ok(Waiting {
            answer: Answer::Given(first, openings),
            ..waiting
        })
    }

    fn receipt(&self, promise: &Promise) -> Result<Promised, DirectoryError> {
        let Promise {
            label,
            version,
            opening,
            value,
        } = promise;
        let timestamp = self.shared.clock.now();
        let within = u64::try_from(self.pace.promise.as_millis()).unwrap_or(u64::MAX);
        let receipt = Receipt {
            config_hash: self.shared.config.hash()?,
            label: label.clone(),
            version: *version,
            commitment: commitment(label, *version, opening, value)?,
            timestamp,
            deadline: timestamp.saturating_add(within),
            signature: Vec::new(),
        };
        Ok(Promised {
            receipt: receipt.sign(&self.signing)?,
            opening: *opening,
        })
    }
}

fn promises(first: u32, submission: &Submission) -> Result<Vec<Promise>, DirectoryError> {
    let openings = random_openings(submission.values.len())?;
    (first..)
        .zip(submission.values.iter().zip(openings))
        .map(|(version, (update, opening))| {
            Ok(Promise {
                label: submission.label.clone(),
                version,
                opening,
                value: update.value.clone(),
            })
        })
        .collect()
}
