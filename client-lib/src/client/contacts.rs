//! Looking for newer keys of contacts. That takes a lookup of each, so it is done only where an
//! application asks for it.

use std::collections::BTreeSet;

use crate::client::event::Event;
use crate::client::lookup::Want;
use crate::client::{Client, History};
use crate::error::ClientError;
use crate::transport::Transport;

/// Labels that are looked up together.
const CHUNK: usize = 64;

impl<T: Transport> Client<T> {
    /// Has every monitoring pass look up the labels that were looked up earlier, and tell of newer
    /// versions. To the directory this shows all of them together.
    pub fn with_contacts_checked(mut self) -> Self {
        self.checks_contacts = true;
        self
    }

    pub(super) async fn check_contacts(&self, events: &mut Vec<Event>) -> Result<(), ClientError> {
        let own: BTreeSet<_> = self.store.owned_labels(self.url())?.into_iter().collect();
        let mut labels = self.store.contact_labels(self.url())?;
        labels.retain(|label| !own.contains(label));
        for labels in labels.chunks(CHUNK) {
            let want = |label: &Vec<u8>| Want {
                label: label.clone(),
                version: None,
                all: false,
            };
            let (found, learnt) = self.find_many(labels.iter().map(want).collect()).await?;
            let told = labels.iter().zip(found);
            let told: Vec<Event> = told
                .filter_map(|(label, found)| changed(label, found))
                .collect();
            // The alarm is raised before the newer version is one that was seen, or a crash could
            // lose it.
            for alarm in told
                .iter()
                .filter_map(|event| event.alarm(self.clock.now()))
            {
                self.store.raise(self.url(), &alarm)?;
            }
            if !learnt.contacts.is_empty() {
                self.settle(learnt).await?;
            }
            events.extend(told);
        }
        Ok(())
    }
}

/// What a lookup tells of a contact, if it is something new.
fn changed(label: &[u8], found: Result<History, ClientError>) -> Option<Event> {
    let label = label.to_vec();
    let mut found = match found {
        Ok(found) => found,
        Err(error) => return Some(Event::Failed { label, error }),
    };
    let newest = found.versions.pop()?;
    let from = newest.seen_before()?;
    (from < newest.version()).then(|| Event::ContactChanged {
        label,
        from,
        version: newest.version(),
        standing: newest.standing(),
        is_recovered: !newest.recoveries().is_empty(),
    })
}
