//! A session in the making: what a user asks, what the log answers, and what becomes of it.

use overt_protocol::codec::{Encode, Writer};
use overt_protocol::distinguished::RECENT;
use overt_protocol::monitor::MonitorMap;
use overt_protocol::provider::{self, Directory};
use overt_protocol::wire::*;
use serde_json::{Value, json};

use super::world::World;
use crate::session::{Exchange, Rejected, User};
use crate::support::{MemoryError, Published};

/// A request, and what answers it.
pub(super) trait Ask: Encode {
    /// The operation's name.
    const OP: &'static str;
    type Answer: Clone;

    fn label(&self) -> &[u8];
    /// An honest answer.
    fn answer(&self, at: &Published<'_>) -> Result<Self::Answer, MemoryError>;
    fn responses(answer: &Self::Answer) -> Vec<Vec<u8>>;
}

macro_rules! ask {
    ($(|$at:ident, $request:ident: $type:ty| $op:literal, $label:expr, $honest:expr => $answer:ty;)+) => {$(
        impl Ask for $type {
            const OP: &'static str = $op;
            type Answer = $answer;

            fn label(&self) -> &[u8] {
                let $request = self;
                $label
            }
            fn answer(&self, $at: &Published<'_>) -> Result<$answer, MemoryError> {
                let $request = self;
                $honest
            }
            fn responses(answer: &$answer) -> Vec<Vec<u8>> {
                vec![answer.to_bytes().unwrap()]
            }
        }
    )+};
}

ask! {
    |at, r: SearchRequest| "search", &r.label, provider::search(at, r) => SearchResponse;
    |at, r: ContactMonitorRequest| "contact_monitor", &r.label, provider::contact_monitor(at, r)
        => MonitorResponse;
    |at, r: OwnerInitRequest| "owner_init", &r.label, provider::owner_init(at, r)
        => OwnerInitResponse;
    |at, r: OwnerMonitorRequest| "owner_monitor", &r.label,
        provider::owner_monitor(at, r, usize::MAX) => MonitorResponse;
    |at, r: DistinguishedRequest| "distinguished", none(r), provider::distinguished(at, r, RECENT)
        => MonitorResponse;
    |at, r: AbsenceRequest| "absence", &r.label, provider::absence(at, r) => AbsenceResponse;
    |at, r: CredentialUpdateRequest| "credential_update", &r.label,
        provider::credential_update(at, r) => CredentialUpdate;
    |at, r: MakeCredential| "make_credential", &r.0.label, provider::search(at, &r.0)
        => SearchResponse;
    |at, r: Received| "credential", &r.0, r.made(at) => Credential;
}

/// The label of what is about none.
fn none<A>(_: &A) -> &[u8] {
    &[]
}

impl Ask for UpdateRequest {
    const OP: &'static str = "update";
    type Answer = Vec<UpdateResponse>;

    fn label(&self) -> &[u8] {
        &self.label
    }
    /// New values are in the rightmost log entry.
    fn answer(&self, at: &Published<'_>) -> Result<Vec<UpdateResponse>, MemoryError> {
        provider::update(at, self, (!self.values.is_empty()).then(|| at.size - 1))
    }
    fn responses(answer: &Vec<UpdateResponse>) -> Vec<Vec<u8>> {
        let encoded = answer.iter().map(|response| response.to_bytes().unwrap());
        encoded.collect()
    }
}

/// A search by somebody who wants to make a credential.
pub(super) struct MakeCredential(pub(super) SearchRequest);

/// Nothing is asked; somebody sent a credential for this label.
pub(super) struct Received(pub(super) Vec<u8>);

/// The position of a log entry to replay.
pub(super) struct Audit(pub(super) u64);

impl Received {
    /// It comes from another user, not from the log.
    fn made(&self, _: &Published<'_>) -> Result<Credential, MemoryError> {
        Err(MemoryError::Missing)
    }
}

impl Ask for Audit {
    const OP: &'static str = "audit";
    type Answer = Audited;

    fn label(&self) -> &[u8] {
        none(self)
    }
    fn answer(&self, at: &Published<'_>) -> Result<Audited, MemoryError> {
        Ok(Audited {
            update: provider::auditor_update(at, self.0)?,
            head: at.tree_head().clone(),
        })
    }
    fn responses(Audited { update, head }: &Audited) -> Vec<Vec<u8>> {
        vec![update.to_bytes().unwrap(), head.to_bytes().unwrap()]
    }
}

/// The log entry, and the head that the log signed with it.
#[derive(Clone)]
pub(super) struct Audited {
    pub(super) update: AuditorUpdate,
    pub(super) head: TreeHead,
}

impl Encode for MakeCredential {
    fn encode(&self, w: &mut Writer) {
        self.0.encode(w);
    }
}

impl Encode for Received {
    fn encode(&self, _: &mut Writer) {}
}

impl Encode for Audit {
    fn encode(&self, w: &mut Writer) {
        w.u64(self.0);
    }
}

/// One user's steps.
pub(super) struct Script<'w> {
    pub(super) world: &'w World,
    pub(super) user: User,
    name: &'static str,
    steps: Vec<Value>,
}

impl<'w> Script<'w> {
    pub(super) fn new(world: &'w World, name: &'static str) -> Self {
        Self {
            world,
            user: User::default(),
            name,
            steps: Vec::new(),
        }
    }

    /// The tree size to advertise.
    pub(super) fn last(&self) -> Option<u64> {
        self.user.tree.as_ref().map(|tree| tree.tree_size())
    }

    /// Asks the log when it has `size` entries, and accepts its answer.
    pub(super) fn honest<A: Ask>(&mut self, size: u64, request: &A) -> A::Answer {
        let answer = request.answer(&self.world.at(size)).unwrap();
        self.accept(size, request, &answer);
        answer
    }

    /// An answer that verifies.
    pub(super) fn accept<A: Ask>(&mut self, size: u64, request: &A, answer: &A::Answer) {
        let responses = A::responses(answer);
        let (mut step, result) = self.step::<A>(size, self.world.now(size), request, &responses);
        let shown = result.unwrap_or_else(|error| panic!("{}: {step}: {error:?}", self.name));
        step["expect"] = json!("accept");
        step["client_state_after"] = self.user.kept();
        if !shown.is_null() {
            step["shows"] = shown;
        }
        self.steps.push(step);
    }

    /// An answer that verifies, although the log of the file would not give it.
    pub(super) fn deceived<A: Ask>(&mut self, size: u64, request: &A, answer: &A::Answer) {
        self.accept(size, request, answer);
        self.note("honest", json!(false));
    }

    /// Says more about the last step.
    pub(super) fn note(&mut self, name: &str, value: Value) {
        self.steps.last_mut().unwrap()[name] = value;
    }

    /// Receives the credential that was made last.
    pub(super) fn receive(&mut self, size: u64, label: &str) {
        let credential = self.user.made.clone().unwrap();
        self.accept(size, &Received(label.into()), &credential);
    }

    /// Whether an answer verifies.
    pub(super) fn would_accept<A: Ask>(&self, size: u64, request: &A, answer: &A::Answer) -> bool {
        let mut tried = Self {
            user: self.user.clone(),
            ..Self::new(self.world, self.name)
        };
        let (now, responses) = (self.world.now(size), A::responses(answer));
        tried.step(size, now, request, &responses).1.is_ok()
    }

    /// An answer that does not pass `check`.
    pub(super) fn reject<A: Ask>(
        &mut self,
        (why, check): (&str, &str),
        size: u64,
        request: &A,
        answer: &A::Answer,
    ) {
        let responses = A::responses(answer);
        self.reject_bytes(
            (why, check),
            (size, self.world.now(size)),
            request,
            &responses,
        );
    }

    /// An honest answer, changed so that it does not pass `check`.
    pub(super) fn tampered<A: Ask>(
        &mut self,
        reason: (&str, &str),
        size: u64,
        (request, honest): (&A, &A::Answer),
        change: impl FnOnce(&mut A::Answer),
    ) {
        let mut answer = honest.clone();
        change(&mut answer);
        self.reject(reason, size, request, &answer);
    }

    /// The same for any bytes at any time.
    pub(super) fn reject_bytes<A: Ask>(
        &mut self,
        (why, check): (&str, &str),
        (size, now): (u64, u64),
        request: &A,
        responses: &[Vec<u8>],
    ) {
        let (mut step, result) = self.step::<A>(size, now, request, responses);
        let found = result.err().map(|error| error.check);
        assert_eq!(found, Some(check), "{}: {why}", self.name);
        step["expect"] = json!("reject");
        step["check"] = json!(check);
        step["why"] = json!(why);
        self.steps.push(step);
    }

    fn step<A: Ask>(
        &mut self,
        size: u64,
        now: u64,
        request: &A,
        responses: &[Vec<u8>],
    ) -> (Value, Result<Value, Rejected>) {
        let bytes = request.to_bytes().unwrap();
        let exchange = Exchange {
            op: A::OP,
            request: &bytes,
            responses: &responses.concat(),
            now,
        };
        let result = self.user.step(&self.world.verifier, &exchange);
        let label = String::from_utf8_lossy(request.label());
        let step = json!({
            "name": format!("{} {label}", A::OP).replace('_', " ").trim(),
            "op": A::OP,
            "label": label,
            "now_ms": now,
            "tree_size": size,
            "request": hex::encode(&bytes),
            "responses": responses.iter().map(hex::encode).collect::<Vec<_>>(),
        });
        (step, result)
    }

    /// The session as a file holds it.
    pub(super) fn finish(self) -> Value {
        json!({"name": self.name, "steps": self.steps})
    }
}

pub(super) fn entries(map: &MonitorMap) -> Vec<MonitorMapEntry> {
    let entry = |(position, version): (&u64, &u32)| MonitorMapEntry {
        position: *position,
        version: *version,
    };
    map.iter().map(entry).collect()
}

/// The requests that a user makes, which follow from what is kept.
impl Script<'_> {
    pub(super) fn search_request(&self, label: &str, version: Option<u32>) -> SearchRequest {
        SearchRequest {
            last: self.last(),
            label: label.into(),
            version,
        }
    }

    pub(super) fn contact_request(&self, label: &str) -> ContactMonitorRequest {
        ContactMonitorRequest {
            last: self.last(),
            label: label.into(),
            entries: entries(&self.user.map(label.as_bytes())),
        }
    }

    pub(super) fn owner_init_request(&self, label: &str, start: u64) -> OwnerInitRequest {
        OwnerInitRequest {
            last: self.last(),
            label: label.into(),
            start,
        }
    }

    pub(super) fn owner_request(&self, label: &str) -> OwnerMonitorRequest {
        let owner = &self.user.owners[label.as_bytes()];
        OwnerMonitorRequest {
            last: self.last(),
            label: label.into(),
            entries: entries(&owner.map),
            start: owner.progress.start,
            greatest_version: owner.progress.greatest_version(),
        }
    }

    /// With the new values, or none to be told of those that others created.
    pub(super) fn update_request(&self, label: &str, values: Vec<Vec<u8>>) -> UpdateRequest {
        let owner = &self.user.owners[label.as_bytes()];
        UpdateRequest {
            last: self.last(),
            label: label.into(),
            greatest_version: owner.progress.greatest_version(),
            values,
        }
    }

    pub(super) fn distinguished_request(&self, stop: Option<u64>) -> DistinguishedRequest {
        DistinguishedRequest {
            last: self.last(),
            stop,
        }
    }

    pub(super) fn absence_request(&self, label: &str) -> AbsenceRequest {
        AbsenceRequest {
            last: self.last(),
            label: label.into(),
        }
    }

    /// From the recent distinguished entry at this place in the list.
    pub(super) fn credential_request(&self, label: &str, from: usize) -> MakeCredential {
        MakeCredential(SearchRequest {
            last: Some(self.user.recent[from].size),
            label: label.into(),
            version: None,
        })
    }
}
