//! The user of the sessions in `tests/vectors`: what each operation does to what is kept.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeMap;

use overt_protocol::auditor::{AuditError, AuditorState};
use overt_protocol::codec::{Decode, DecodeError, Encode, Reader};
use overt_protocol::distinguished::RECENT;
use overt_protocol::error::VerifyError;
use overt_protocol::monitor::{MonitorMap, add_to_map};
use overt_protocol::suite::sha256;
use overt_protocol::user::{
    Awaited, OwnerState, ProvisionalCredential, SearchVerified, TreeState, TreeView, VerifiedValue,
    Verifier,
};
use overt_protocol::wire::*;
use serde_json::{Value, json};

/// One step: bytes of a request and of its responses, back to back, at `now`.
pub struct Exchange<'a> {
    pub op: &'a str,
    pub request: &'a [u8],
    pub responses: &'a [u8],
    pub now: u64,
}

/// The check that was not passed.
#[derive(Debug)]
pub struct Rejected {
    pub check: &'static str,
    pub why: String,
}

impl<E: Into<VerifyError>> From<E> for Rejected {
    fn from(error: E) -> Self {
        let error = error.into();
        Self {
            check: error.check(),
            why: error.to_string(),
        }
    }
}

fn audited<T>(result: Result<T, AuditError>) -> Result<T, Rejected> {
    result.map_err(|error| Rejected {
        check: error.check(),
        why: error.to_string(),
    })
}

/// What is kept about a label that was looked up.
#[derive(Default, Clone)]
struct Contact {
    map: MonitorMap,
    vrf_outputs: BTreeMap<u32, HashValue>,
    commitments: BTreeMap<u32, HashValue>,
}

impl Contact {
    fn note(&mut self, done: &SearchVerified, monitored: bool) -> Result<(), VerifyError> {
        for (version, lookup) in &done.ladder {
            self.vrf_outputs.insert(*version, lookup.vrf_output);
            if let Some(commitment) = lookup.commitment {
                let before = self.commitments.insert(*version, commitment);
                if before.is_some_and(|before| before != commitment) {
                    return Err(VerifyError::CommitmentChanged(*version));
                }
            }
        }
        if monitored && done.found.must_monitor {
            add_to_map(&mut self.map, done.found.terminal, done.value.version());
        }
        Ok(())
    }
}

/// What one user, or one auditor, keeps of a log.
#[derive(Clone)]
pub struct User {
    pub tree: Option<TreeState>,
    pub owners: BTreeMap<Vec<u8>, OwnerState>,
    contacts: BTreeMap<Vec<u8>, Contact>,
    pub recent: Vec<TreeView>,
    credentials: Vec<ProvisionalCredential>,
    pub made: Option<Credential>,
    audited: AuditorState,
    /// By which log entry each key was added that an auditor has seen.
    added: BTreeMap<HashValue, u64>,
}

impl Default for User {
    fn default() -> Self {
        Self {
            tree: None,
            owners: BTreeMap::new(),
            contacts: BTreeMap::new(),
            recent: Vec::new(),
            credentials: Vec::new(),
            made: None,
            audited: AuditorState::empty(),
            added: BTreeMap::new(),
        }
    }
}

fn value(value: &VerifiedValue) -> Value {
    json!({"version": value.version(), "value": hex::encode(value.value())})
}

fn positions(views: &[TreeView]) -> Vec<u64> {
    views.iter().map(TreeView::position).collect()
}

impl User {
    /// What contact monitoring of a label begins with.
    pub fn map(&self, label: &[u8]) -> MonitorMap {
        let contact = self.contacts.get(label);
        contact
            .map(|contact| contact.map.clone())
            .unwrap_or_default()
    }

    /// A provisional credential that was received.
    pub fn credential(&self, label: &[u8]) -> Option<&ProvisionalCredential> {
        self.credentials.iter().find(|kept| kept.label() == label)
    }

    /// Verifies a step, and returns what it shows. Only then does it change what is kept.
    pub fn step(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let mut next = self.clone();
        let shown = match step.op {
            "search" => next.search(v, step)?,
            "update" => next.update(v, step)?,
            "contact_monitor" => next.contact_monitor(v, step)?,
            "owner_init" => next.owner_init(v, step)?,
            "owner_monitor" => next.owner_monitor(v, step)?,
            "distinguished" => next.distinguished(v, step)?,
            "absence" => next.absence(v, step)?,
            "make_credential" => next.make_credential(v, step)?,
            "credential" => next.receive_credential(v, step)?,
            "credential_update" => next.credential_update(v, step)?,
            "audit" => next.audit(v, step)?,
            other => panic!("unknown operation {other}"),
        };
        *self = next;
        Ok(shown)
    }

    fn search(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: SearchRequest = decode(step)?;
        let done = v.search(self.tree.as_ref(), &request, step.responses, step.now)?;
        let contact = self.contacts.entry(request.label).or_default();
        contact.note(&done, v.config().is_contact_monitoring())?;
        let mut shown = value(&done.value);
        shown["terminal"] = json!(done.found.terminal);
        shown["right_of_distinguished"] = json!(done.found.must_monitor);
        self.tree = Some(done.state);
        Ok(shown)
    }

    fn update(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: UpdateRequest = decode(step)?;
        let owner = self.owners.get(&request.label);
        let owner = owner.ok_or(VerifyError::NotOwner)?;
        let tree = self.tree.as_ref();
        let done = v.update(tree, owner, &request, step.responses, step.now)?;
        let updates = done.updates.iter().map(|update| {
            json!({
                "position": update.position,
                "values": update.values.iter().map(value).collect::<Value>(),
                "requested": update.requested,
                "proved": update.proved,
            })
        });
        let shown = json!({"updates": updates.collect::<Value>()});
        self.owners.insert(request.label, done.owner);
        self.tree = Some(done.state);
        Ok(shown)
    }

    fn contact_monitor(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: ContactMonitorRequest = decode(step)?;
        let contact = self.contacts.entry(request.label.clone()).or_default();
        let done = v.contact_monitor(
            self.tree.as_ref(),
            &contact.vrf_outputs,
            &contact.commitments,
            &request,
            step.responses,
            step.now,
        )?;
        contact.map = done.map;
        self.tree = Some(done.state);
        Ok(Value::Null)
    }

    fn owner_init(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: OwnerInitRequest = decode(step)?;
        let done = v.owner_init(self.tree.as_ref(), &request, step.responses, step.now)?;
        self.tree = Some(done.state);
        self.owners.insert(request.label, done.owner);
        Ok(Value::Null)
    }

    fn owner_monitor(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: OwnerMonitorRequest = decode(step)?;
        let owner = self.owners.get(&request.label);
        let owner = owner.ok_or(VerifyError::NotOwner)?;
        let tree = self.tree.as_ref();
        let done = v.owner_monitor(tree, owner, &request, step.responses, step.now)?;
        self.tree = Some(done.state);
        self.owners.insert(request.label, done.owner);
        Ok(json!({"verified": positions(&done.verified), "complete": done.complete}))
    }

    fn distinguished(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: DistinguishedRequest = decode(step)?;
        let tree = self.tree.as_ref();
        let done = v.distinguished(tree, &request, RECENT, step.responses, step.now)?;
        self.tree = Some(done.state);
        let shown = json!({"found": positions(&done.recent)});
        if request.stop.is_none() {
            self.recent.clear();
        }
        self.recent.extend(done.recent);
        Ok(shown)
    }

    fn absence(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: AbsenceRequest = decode(step)?;
        self.tree = Some(v.absence(self.tree.as_ref(), &request, step.responses, step.now)?);
        Ok(Value::Null)
    }

    /// Of the recent distinguished entry whose tree size the search advertises.
    fn make_credential(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: SearchRequest = decode(step)?;
        let size = request.last.unwrap_or_default();
        let from = self.recent.iter().find(|view| view.size == size);
        let from = from.ok_or(VerifyError::UnknownDistinguished(size.saturating_sub(1)))?;
        let made = v.make_credential(from, &request, step.responses, step.now)?;
        let credential = made.credential.to_bytes()?;
        let hash = hex::encode(sha256(&[&credential]));
        self.made = Some(made.credential);
        Ok(json!({"credential_sha256": hash}))
    }

    fn receive_credential(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let done = v.credential(&self.recent, step.responses)?;
        let mut shown = value(&done.value);
        shown["provisional"] = json!(done.provisional.is_some());
        self.credentials.extend(done.provisional);
        Ok(shown)
    }

    fn credential_update(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let request: CredentialUpdateRequest = decode(step)?;
        let is_meant = |kept: &ProvisionalCredential| kept.request(0).is_for(&request);
        let kept = self.credentials.iter().position(is_meant);
        let kept = kept.ok_or(VerifyError::Request("no such provisional credential"))?;
        let provisional = self.credentials.remove(kept);
        v.credential_update(&self.recent, &provisional, step.responses)?;
        Ok(Value::Null)
    }

    /// Replays the next log entry, and compares with the head that the log signed afterwards.
    fn audit(&mut self, v: &Verifier, step: &Exchange<'_>) -> Result<Value, Rejected> {
        let mut r = Reader::new(step.responses);
        let update = AuditorUpdate::decode(&mut r, &())?;
        let head = TreeHead::decode(&mut r, &())?;
        r.finish()?;
        let is_newer = |key: &HashValue, distinguished| {
            Ok(self
                .added
                .get(key)
                .is_none_or(|at| Some(*at) > distinguished))
        };
        let next = audited(self.audited.apply(v.config(), &update, is_newer))?;
        audited(next.check_head(v.config(), &head))?;
        let keys = update.added.iter().map(|leaf| leaf.vrf_output);
        self.added.extend(keys.map(|key| (key, self.audited.size)));
        self.audited = next;
        Ok(Value::Null)
    }

    /// What is kept, as the vectors write it.
    pub fn kept(&self) -> Value {
        let mut kept = json!({});
        if let Some(tree) = &self.tree {
            kept["tree_size"] = json!(tree.tree_size());
            kept["root"] = json!(hex::encode(tree.view.root));
        }
        let labels = self.labels();
        if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
            kept["labels"] = labels;
        }
        if !self.recent.is_empty() {
            kept["recent"] = json!(positions(&self.recent));
        }
        if !self.credentials.is_empty() {
            let credentials = self.credentials.iter();
            kept["credentials"] = credentials.map(|kept| self.awaiting(kept)).collect();
        }
        if let Some(root) = self.audited.root() {
            let (tree_size, root) = (self.audited.size, hex::encode(root));
            kept["audited"] = json!({"tree_size": tree_size, "root": root});
        }
        kept
    }

    fn labels(&self) -> Value {
        let entries = |map: &MonitorMap| -> Value {
            map.iter()
                .map(|(position, version)| json!({"position": position, "version": version}))
                .collect()
        };
        let contacts = self.contacts.iter().filter(|(_, c)| !c.map.is_empty());
        let mut labels: BTreeMap<_, _> = contacts
            .map(|(label, contact)| (label, json!({"contact": entries(&contact.map)})))
            .collect();
        for (label, owner) in &self.owners {
            let progress = &owner.progress;
            let upcoming = progress.upcoming.iter().copied().collect();
            let owned = json!({
                "contact": entries(&owner.map),
                "owner": {
                    "starting": progress.start,
                    "version_at_starting": progress.version_at_start.map_or(-1, i64::from),
                    "upcoming": entries(&upcoming),
                },
            });
            labels.insert(label, owned);
        }
        let named = labels.into_iter();
        named
            .map(|(label, kept)| (String::from_utf8(label.clone()).unwrap(), kept))
            .collect()
    }

    fn awaiting(&self, kept: &ProvisionalCredential) -> Value {
        let awaits = match kept.await_final(&self.recent) {
            Ok(Awaited::Distinguished) => json!("distinguished"),
            Ok(Awaited::Update(position)) => json!({"update": position}),
            Ok(Awaited::Nothing) => json!("nothing"),
            Err(error) => json!({"error": error.check()}),
        };
        json!({
            "label": String::from_utf8(kept.label().to_vec()).unwrap(),
            "version": kept.version(),
            "terminal": kept.terminal(),
            "tree_size": kept.tree_size(),
            "awaits": awaits,
        })
    }
}

fn decode<R: Decode<()>>(step: &Exchange<'_>) -> Result<R, DecodeError> {
    R::from_bytes(step.request, &())
}
