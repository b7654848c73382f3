//! Monitoring labels of one's own: first versions that are new here, then proof at every
//! distinguished log entry (section "Owner Algorithm").

use overt_protocol::signed_value::Signer;
use overt_protocol::user::{TreeState, TreeView, UpdateVerified};

use crate::client::Client;
use crate::client::event::Event;
use crate::client::publish::greatest;
use crate::client::wave::Told;
use crate::error::{ClientError, Reason};
use crate::operation::Operation;
use crate::store::{Change, Owned, OwnerChange, Pending};
use crate::transport::Transport;

/// Answers to one question that a directory may draw out.
const ROUNDS: usize = 1024;

/// A label on its way through a pass.
struct Watched<'e> {
    label: &'e [u8],
    tree: Option<TreeState>,
    owned: Owned,
    /// What was sent from here.
    sent: Vec<Pending>,
    /// Distinguished log entries at which it was proved.
    recent: Vec<(Option<u64>, Vec<TreeView>)>,
    events: &'e mut Vec<Event>,
}

/// Versions that are new here, in order.
#[derive(Default)]
struct Learned {
    /// What was sent from here.
    adopted: Vec<u32>,
    /// What was not, and which key signed each, if the directory requires signatures.
    foreign: Vec<(u32, Option<Signer>)>,
}

impl<T: Transport> Client<T> {
    /// Monitors a label of one's own, or one whose registration was sent and not answered: then it
    /// is owned from now on if that is in the log.
    pub(super) async fn monitor_owned(
        &self,
        label: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), ClientError> {
        let from = self.tree()?;
        let kept = self.store.owned(self.url(), label)?;
        let sent = self.store.pending(self.url(), label)?;
        let unregistered = sent.first().map(|sent| Owned {
            state: sent.owner.clone(),
            value: None,
        });
        let Some(owned) = kept.clone().or(unregistered) else {
            return Ok(());
        };
        let mut watched = Watched {
            label,
            tree: from.clone(),
            owned,
            sent,
            recent: Vec::new(),
            events,
        };
        let learned = self.learn_versions(&mut watched).await?;
        if kept.is_none() && learned.adopted.is_empty() {
            return self.not_registered(watched, &learned);
        }
        let unproved = self.prove_owned(&mut watched).await?;
        let version = greatest(&watched.owned.state);
        let waiting = watched.sent.iter().map(|sent| sent.version).max();
        let change = OwnerChange {
            label: label.to_vec(),
            from: kept.map(|kept| kept.state),
            to: watched.owned,
            is_proved: unproved.is_none(),
        };
        self.settle(Change {
            from,
            to: watched.tree,
            owned: vec![change],
            recent: watched.recent,
            ..Change::default()
        })
        .await?;
        if let Some(error) = unproved {
            return Err(error);
        }
        let label = label.to_vec();
        if let Some(version) = waiting.filter(|waiting| Some(*waiting) > version) {
            let label = label.clone();
            events.push(Event::Pending { label, version });
        }
        events.push(Event::Owned { label, version });
        Ok(())
    }

    /// A registration that was sent is not in the log. If another is there instead, that was said
    /// and the label is none of ours.
    fn not_registered(&self, watched: Watched<'_>, learned: &Learned) -> Result<(), ClientError> {
        if !learned.foreign.is_empty() {
            return Ok(self.store.remove_pending(self.url(), &watched.sent)?);
        }
        watched.events.push(Event::Pending {
            label: watched.label.to_vec(),
            version: 0,
        });
        Ok(())
    }

    /// Has the label proved at every distinguished log entry that was not verified before. Returns
    /// an error beside what was proved if the log does not get to the last.
    async fn prove_owned(
        &self,
        watched: &mut Watched<'_>,
    ) -> Result<Option<ClientError>, ClientError> {
        let label = watched.label;
        for _ in 0..ROUNDS {
            let (tree, state) = (watched.tree.as_ref(), &watched.owned.state);
            let ask = self.owner_monitor_request(tree, label, state)?;
            let told = self.ask(tree, &ask).await?;
            let start = state.progress.start;
            if !told.outcome.complete && told.outcome.verified.is_empty() {
                // It stops before a version that is unknown here. That may just have come.
                if self.learn_versions(watched).await?.is_empty() {
                    let reason = Reason::Unproved(start);
                    let operation = Operation::OwnerMonitor;
                    return Ok(Some(self.reject_told(reason, operation, label, &told)));
                }
                continue;
            }
            watched.owned.state = told.outcome.owner;
            watched.recent.push((Some(start), told.outcome.verified));
            watched.tree = Some(told.head);
            if told.outcome.complete {
                return Ok(None);
            }
        }
        Ok(Some(ClientError::Unsettled))
    }

    /// Learns of versions that are new here. The alarm is raised before they become part of the
    /// owner's state, or a crash could lose it.
    async fn learn_versions(&self, watched: &mut Watched<'_>) -> Result<Learned, ClientError> {
        let mut all = Learned::default();
        for _ in 0..ROUNDS {
            let (tree, state) = (watched.tree.as_ref(), &watched.owned.state);
            let ask = self.update_request(tree, watched.label, state, None)?;
            let told = match self.ask(tree, &ask).await {
                Ok(told) => told,
                // So says the directory; owner monitoring proves it.
                Err(ClientError::Refused(problem)) if problem.status == 409 => break,
                Err(error) => return Err(error),
            };
            let learned = self.take_versions(watched, &told)?;
            self.tell_versions(watched, &learned, &told)?;
            all.adopted.extend(learned.adopted);
            all.foreign.extend(learned.foreign);
            watched.owned.state = told.outcome.owner;
            watched.tree = Some(told.head);
        }
        Ok(all)
    }

    /// Which of the versions were sent from here, and which key signed each of the others.
    fn take_versions(
        &self,
        watched: &mut Watched<'_>,
        told: &Told<UpdateVerified>,
    ) -> Result<Learned, ClientError> {
        let mut learned = Learned::default();
        let Watched {
            label, owned, sent, ..
        } = watched;
        for value in told.outcome.updates.iter().flat_map(|u| &u.values) {
            let version = value.version();
            let previous = owned.value.as_deref();
            let signer = match self.requires_signed_value() {
                false => None,
                true => self
                    .check_successor(label, version, value.value(), previous)
                    .map_err(|error| {
                        let reason = Reason::SignedValue { version, error };
                        self.reject_told(reason, Operation::Update, label, told)
                    })?,
            };
            let became = |sent: &Pending| sent.became(value, &told.outcome.owner);
            match sent.iter().any(became) {
                true => learned.adopted.push(version),
                false => learned.foreign.push((version, signer)),
            }
            owned.value = Some(value.value().to_vec());
        }
        Ok(learned)
    }

    fn tell_versions(
        &self,
        watched: &mut Watched<'_>,
        learned: &Learned,
        told: &Told<UpdateVerified>,
    ) -> Result<(), ClientError> {
        let label = watched.label;
        if !learned.adopted.is_empty() {
            watched.events.push(Event::Adopted {
                label: label.to_vec(),
                versions: learned.adopted.clone(),
            });
        }
        if !learned.foreign.is_empty() {
            let reason = Reason::Foreign(learned.foreign.clone());
            let exchange = self.told_exchange(Operation::Update, label, told);
            let event = Event::Foreign {
                label: label.to_vec(),
                versions: learned.foreign.clone(),
                evidence: self.keep_evidence(exchange, &reason),
            };
            if let Some(alarm) = event.alarm(self.clock.now()) {
                self.store.raise(self.url(), &alarm)?;
            }
            watched.events.push(event);
        }
        Ok(())
    }
}

impl Learned {
    fn is_empty(&self) -> bool {
        self.adopted.is_empty() && self.foreign.is_empty()
    }
}
