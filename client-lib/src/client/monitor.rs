//! Keeping watch: one pass over everything that is to be monitored (section "Monitoring the Tree").

use overt_protocol::codec::Encode;
use overt_protocol::user::{ContactMonitored, TreeState, TreeView};
use overt_protocol::wire::{ContactMonitorRequest, MonitorMapEntry, Opening};

use crate::alarm::State;
use crate::client::Client;
use crate::client::event::{Event, Monitoring};
use crate::client::wave::Ask;
use crate::error::{ClientError, Reason};
use crate::failure::{self, Kept};
use crate::kept::Contact;
use crate::operation::Operation;
use crate::store::{Change, Monitored};
use crate::transport::Transport;

impl<T: Transport> Client<T> {
    /// Monitors everything once: the pinned configuration, the recent distinguished log entries,
    /// labels of one's own, labels that were looked up, and credentials that were received. Newer
    /// keys of contacts are looked for only [if that is wanted](Client::with_contacts_checked).
    pub async fn monitor(&self) -> Monitoring {
        let mut done = Monitoring::default();
        match self.begin_monitoring().await {
            Ok((tree, missed)) => {
                done.tree = Some(tree);
                done.events.extend(missed);
            }
            Err(error) => {
                done.events.push(self.all_unproved(error));
                return done;
            }
        }
        if let Some(tree) = &done.tree
            && let Err(error) = self.check_promises(tree, &mut done.events).await
        {
            let label = Vec::new();
            done.events.push(Event::Failed { label, error });
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
        if self.checks_contacts
            && let Err(error) = self.check_contacts(&mut done.events).await
        {
            let label = Vec::new();
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
        let mut own = self.store.owned_labels(self.url())?;
        own.extend(self.store.pending_labels(self.url())?);
        for label in own {
            if let Err(error) = self.monitor_owned(&label, events).await {
                let since = self.store.owned_proved_at(self.url(), &label)?;
                events.push(self.unproved(label, since, error));
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
                    Err(error) => {
                        let since = self.store.contact_proved_at(self.url(), &label)?;
                        events.push(self.unproved(label, since, error));
                    }
                }
            }
        }
        self.finish_credentials(events).await
    }

    /// Nothing at all could be checked: since monitoring last went through, or else since there is
    /// something to be monitored.
    fn all_unproved(&self, error: ClientError) -> Event {
        let since = match self.store.monitored_at(self.url()) {
            Ok(None) => self.store.oldest_proof(self.url()),
            since => since,
        };
        self.unproved(Vec::new(), since.ok().flatten(), error)
    }

    /// What could not be checked is overdue after the reasonable monitoring window if the directory
    /// answers, or if it is silent for as long as it may let its head grow old.
    fn unproved(&self, label: Vec<u8>, since: Option<u64>, error: ClientError) -> Event {
        let patience = self.patience(&error);
        let is_overdue = |since: &u64| self.clock.now().saturating_sub(*since) > patience;
        match since.filter(is_overdue) {
            Some(since) if State::of(&error) == State::NotCheckable => Event::Overdue {
                label,
                since,
                error,
            },
            _ => Event::Failed { label, error },
        }
    }

    /// How long this may come instead of proof, in milliseconds.
    pub(super) fn patience(&self, error: &ClientError) -> u64 {
        let config = &self.directory.config;
        let window = config.reasonable_monitoring_window;
        match error.is_answer() {
            true => window,
            false => window.max(config.max_behind),
        }
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
        let openings = openings(contact);
        let contact = contact.clone();
        Ok(Ask {
            operation: Operation::ContactMonitor,
            label: label.to_vec(),
            owner: None,
            openings,
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

/// What shows that the versions that are monitored were looked up: their openings, in the order of the
/// map. None if one is not known.
fn openings(contact: &Contact) -> Vec<Opening> {
    let opening = |version| contact.openings.get(version).copied();
    let openings: Option<_> = contact.map.values().map(opening).collect();
    openings.unwrap_or_default()
}
