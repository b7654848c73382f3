//! What a user does who looks labels up.

use overt_protocol::error::VerifyError;
use overt_protocol::provider::Refusal;
use overt_protocol::user::SearchVerified;
use overt_protocol::wire::*;

use crate::server::Server;
use crate::user::{Contact, Done, User, is_refusal, no_answer, rejected};

const SEARCHER: &str = "searcher";
const CONTACT: &str = "contact";

impl User {
    /// Looks a label up: its greatest version or a given one. What the log refuses is no alarm if
    /// `may_refuse` names it.
    pub(crate) fn search(
        &mut self,
        server: &dyn Server,
        time: u64,
        (label, version): (&str, Option<u32>),
        may_refuse: &[Refusal],
    ) -> Done<Option<SearchVerified>> {
        let request = SearchRequest {
            last: self.last(),
            label: label.as_bytes().to_vec(),
            version,
        };
        let answer = match server.search(self.number, &request) {
            Err(error) if is_refusal(&error, may_refuse) => return Ok(None),
            answer => answer.map_err(no_answer(SEARCHER))?,
        };
        let found = self
            .verifier
            .search(self.state.as_ref(), &request, &answer, self.clock(time))
            .map_err(rejected(SEARCHER))?;
        let contact = self.contacts.entry(label.to_owned()).or_default();
        contact.note(&found).map_err(rejected(SEARCHER))?;
        self.state = Some(found.state.clone());
        Ok(Some(found))
    }

    /// Contact monitoring of one label.
    pub(crate) fn contact_monitor(&mut self, server: &dyn Server, time: u64, label: &str) -> Done {
        let contact = &self.contacts[label];
        if contact.map.is_empty() {
            return Ok(());
        }
        let request = ContactMonitorRequest {
            last: self.last(),
            label: label.as_bytes().to_vec(),
            entries: Self::entries(&contact.map),
        };
        let answer = match server.contact_monitor(self.number, &request) {
            // Offline for longer than the lifetime: nobody can vouch for what was looked up then.
            Err(error)
                if is_refusal(&error, &[Refusal::Expired])
                    && contact.map.keys().any(|at| self.has_expired(*at, server)) =>
            {
                self.contacts.remove(label);
                return Ok(());
            }
            answer => answer.map_err(no_answer(CONTACT))?,
        };
        let done = self
            .verifier
            .contact_monitor(
                self.state.as_ref(),
                &contact.vrf_outputs,
                &contact.commitments,
                &request,
                &answer,
                self.clock(time),
            )
            .map_err(rejected(CONTACT))?;
        self.state = Some(done.state);
        self.check_map(&done.map);
        if let Some(contact) = self.contacts.get_mut(label) {
            contact.map = done.map;
        }
        Ok(())
    }

    /// Contact monitoring of everything that was looked up.
    pub(crate) fn monitor_contacts(&mut self, server: &dyn Server, time: u64) -> Done {
        let labels: Vec<String> = self.contacts.keys().cloned().collect();
        for label in labels {
            self.contact_monitor(server, time, &label)?;
        }
        Ok(())
    }
}

impl Contact {
    /// Takes note of a verified search: what to monitor, and that no commitment changed.
    fn note(&mut self, found: &SearchVerified) -> Result<(), VerifyError> {
        for (version, lookup) in &found.ladder {
            self.vrf_outputs.insert(*version, lookup.vrf_output);
            if let Some(commitment) = lookup.commitment {
                let before = self.commitments.insert(*version, commitment);
                if before.is_some_and(|before| before != commitment) {
                    return Err(VerifyError::CommitmentChanged(*version));
                }
            }
        }
        let version = found.value.version();
        self.greatest = self.greatest.max(Some(version));
        if found.found.must_monitor {
            self.watch(found.found.terminal, version);
        }
        Ok(())
    }

    /// Adds to the monitoring map what a search found. A request must name no version twice
    /// (section "Contact Monitor"), and lesser versions to the right of greater ones are an error
    /// (section "Contact Algorithm", step 3.1.2). Both are left out: the path of what stands to
    /// their left, with a version that is not less, leads past them.
    fn watch(&mut self, position: u64, version: u32) {
        self.map.retain(|p, v| *p < position || *v > version);
        let is_led_past = self.map.range(..=position).any(|(_, v)| *v >= version);
        if !is_led_past {
            self.map.insert(position, version);
        }
    }
}
