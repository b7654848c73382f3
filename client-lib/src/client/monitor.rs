//! Keeping watch: one pass over everything that is to be monitored (section "Monitoring the Tree").

use overt_protocol::codec::Encode;
use overt_protocol::signed_value::Signer;
use overt_protocol::user::{ContactMonitored, TreeState, TreeView, UpdateVerified};
use overt_protocol::wire::{ContactMonitorRequest, MonitorMapEntry};

use crate::alarm::State;
use crate::client::Client;
use crate::client::event::{Event, Monitoring};
use crate::client::wave::{Ask, Told};
use crate::error::{ClientError, Reason};
use crate::failure::{self, Kept};
use crate::kept::Contact;
use crate::operation::Operation;
use crate::store::{Change, Monitored, Owned, OwnerChange};
use crate::transport::Transport;

/// Answers to one question that a directory may draw out.
const ROUNDS: usize = 1024;

impl<T: Transport> Client<T> {
    /// Monitors everything once: the pinned configuration, the recent distinguished log entries,
    /// labels of one's own, labels that were looked up, and credentials that were received.
    pub async fn monitor(&self) -> Monitoring {
        let mut done = Monitoring::default();
        match self.begin_monitoring().await {
            Ok((tree, missed)) => {
                done.tree = Some(tree);
                done.events.extend(missed);
            }
            Err(error) => {
                let label = Vec::new();
                done.events.push(Event::Failed { label, error });
                return done;
            }
        }
        if let Err(error) = self.monitor_all(&mut done.events).await {
            let label = Vec::new();
            done.events.push(Event::Failed { label, error });
        }
        if done.state() < State::NotCheckable
            && let Err(error) = self.store.set_monitored_at(self.url(), self.clock.now())
        {
            let (label, error) = (Vec::new(), error.into());
            done.events.push(Event::Failed { label, error });
        }
        done
    }

    async fn begin_monitoring(&self) -> Result<(TreeState, Option<Event>), ClientError> {
        let window = self.directory.config.reasonable_monitoring_window;
        let before = self.store.monitored_at(self.url())?;
        let gap = before.map(|before| self.clock.now().saturating_sub(before));
        // Twice the window: a pass may be a little late without anything being missed.
        let missed = gap.filter(|gap| *gap > window.saturating_mul(2));
        self.directory.check(&self.transport).await?;
        let tree = self.refresh_recent().await?;
        Ok((tree, missed.map(|gap| Event::Missed { gap })))
    }

    async fn monitor_all(&self, events: &mut Vec<Event>) -> Result<(), ClientError> {
        for label in self.store.owned_labels(self.url())? {
            match self.monitor_owned(&label, events).await {
                Ok(version) => events.push(Event::Owned { label, version }),
                Err(error) => events.push(Event::Failed { label, error }),
            }
        }
        if self.directory.config.is_contact_monitoring() {
            for label in self.store.contact_labels(self.url())? {
                let contact = self.store.contact(self.url(), &label)?.unwrap_or_default();
                if contact.map.is_empty() {
                    continue;
                }
                match self.monitor_contact(&label, &contact).await {
                    Ok(remaining) => events.push(Event::Contact { label, remaining }),
                    Err(error) => events.push(Event::Failed { label, error }),
                }
            }
        }
        self.finish_credentials(events).await
    }

    /// Learns of versions that others created, then has the label proved at every distinguished
    /// log entry to the right of those verified before.
    async fn monitor_owned(
        &self,
        label: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<Option<u32>, ClientError> {
        let from = self.tree()?;
        let mut tree = from.clone();
        let Some(kept) = self.store.owned(self.url(), label)? else {
            return Ok(None);
        };
        let mut owned = kept.clone();
        let before = events.len();
        self.learn_versions(label, &mut tree, &mut owned, events)
            .await?;
        // Kept before the versions become part of the owner's state, or a crash could lose them.
        for event in events.iter().skip(before) {
            if let Some(alarm) = event.alarm(self.clock.now()) {
                self.store.raise(self.url(), &alarm)?;
            }
        }
        let mut recent = Vec::new();
        let mut unproved = None;
        for _ in 0..ROUNDS {
            let ask = self.owner_monitor_request(tree.as_ref(), label, &owned.state)?;
            let told = self.ask(tree.as_ref(), &ask).await?;
            let start = owned.state.progress.start;
            let stuck = !told.outcome.complete && told.outcome.verified.is_empty();
            let complete = told.outcome.complete;
            if stuck {
                unproved = Some(self.reject_told(
                    Reason::Unproved(start),
                    Operation::OwnerMonitor,
                    label,
                    &told,
                ));
            }
            owned.state = told.outcome.owner;
            recent.push((Some(start), told.outcome.verified));
            tree = Some(told.head);
            if complete || stuck {
                break;
            }
        }
        let version = owned.state.progress.greatest_version();
        let change = OwnerChange {
            label: label.to_vec(),
            from: Some(kept.state),
            to: owned,
        };
        self.settle(Change {
            from,
            to: tree,
            owned: vec![change],
            recent,
            ..Change::default()
        })
        .await?;
        match unproved {
            Some(error) => Err(error),
            None => Ok(version),
        }
    }

    /// Versions that this device did not make.
    async fn learn_versions(
        &self,
        label: &[u8],
        tree: &mut Option<TreeState>,
        owned: &mut Owned,
        events: &mut Vec<Event>,
    ) -> Result<(), ClientError> {
        for _ in 0..ROUNDS {
            let ask = self.update_request(tree.as_ref(), label, &owned.state, None)?;
            let told = match self.ask(tree.as_ref(), &ask).await {
                Ok(told) => told,
                // So says the directory; owner monitoring proves it.
                Err(ClientError::Refused(problem)) if problem.status == 409 => return Ok(()),
                Err(error) => return Err(error),
            };
            let versions = self.check_foreign(label, owned, &told)?;
            let reason = Reason::Foreign(versions.clone());
            let exchange = self.told_exchange(Operation::Update, label, &told);
            let evidence = self.keep_evidence(exchange, &reason);
            events.push(Event::Foreign {
                label: label.to_vec(),
                versions,
                evidence,
            });
            owned.state = told.outcome.owner;
            *tree = Some(told.head);
        }
        Ok(())
    }

    /// Which key signed each of the versions that somebody else made.
    fn check_foreign(
        &self,
        label: &[u8],
        owned: &mut Owned,
        told: &Told<UpdateVerified>,
    ) -> Result<Vec<(u32, Option<Signer>)>, ClientError> {
        let mut versions = Vec::new();
        let values = told.outcome.updates.iter().flat_map(|u| &u.values);
        for value in values {
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
            versions.push((version, signer));
            owned.value = Some(value.value().to_vec());
        }
        Ok(versions)
    }

    async fn monitor_contact(&self, label: &[u8], contact: &Contact) -> Result<usize, ClientError> {
        let from = self.tree()?;
        let ask = self.contact_monitor_request(from.as_ref(), label, contact)?;
        let told = self.ask(from.as_ref(), &ask).await?;
        let remaining = told.outcome.map.len();
        let monitored = Monitored {
            label: label.to_vec(),
            from: contact.map.clone(),
            to: told.outcome.map,
        };
        self.settle(Change {
            from,
            to: Some(told.head),
            monitored: vec![monitored],
            ..Change::default()
        })
        .await?;
        Ok(remaining)
    }

    fn contact_monitor_request(
        &self,
        tree: Option<&TreeState>,
        label: &[u8],
        contact: &Contact,
    ) -> Result<Ask<'_, ContactMonitored>, ClientError> {
        let entry = |(position, version): (&u64, &u32)| MonitorMapEntry {
            position: *position,
            version: *version,
        };
        let request = ContactMonitorRequest {
            last: tree.map(TreeState::tree_size),
            label: label.to_vec(),
            entries: contact.map.iter().map(entry).collect(),
        };
        let contact = contact.clone();
        Ok(Ask {
            operation: Operation::ContactMonitor,
            label: label.to_vec(),
            owner: None,
            request: request.to_bytes()?,
            verify: Box::new(move |tree, response, now| {
                let done = self.verifier.contact_monitor(
                    tree,
                    &contact.vrf_outputs,
                    &contact.commitments,
                    &request,
                    response,
                    now,
                )?;
                Ok((done.state.clone(), done))
            }),
        })
    }

    /// Keeps an exchange that shows something a person must hear of.
    pub(super) fn keep_evidence(&self, exchange: failure::Exchange<'_>, reason: &Reason) -> Kept {
        let mut exchange = failure::Exchange {
            directory: self.url(),
            ..exchange
        };
        if let Ok(config) = self.directory.config.to_bytes() {
            exchange.files.push(("configuration.bin", config));
        }
        failure::keep(self.failures.as_deref(), &exchange, reason)
    }
}

/// The position of the newest of these entries.
pub(super) fn newest(recent: &[TreeView]) -> Option<u64> {
    recent.last().map(TreeView::position)
}
