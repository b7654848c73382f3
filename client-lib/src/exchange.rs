//! Verifying one stored exchange: the bytes of a request and of its response, with no network.

use overt_protocol::codec::{Decode, DecodeError};
use overt_protocol::distinguished::RECENT;
use overt_protocol::error::VerifyError;
use overt_protocol::user::{ProvisionalCredential, Verifier};
use overt_protocol::wire::{
    AbsenceRequest, ContactMonitorRequest, CredentialUpdateRequest, DistinguishedRequest,
    OwnerInitRequest, OwnerMonitorRequest, SearchRequest, UpdateRequest,
};
use thiserror::Error;

use crate::kept::{KeptState, merge_recent};
use crate::operation::Operation;

/// Why an exchange is not verified.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// The request is not one: nothing can be said about the response.
    #[error("malformed request: {0}")]
    Request(DecodeError),
    /// The response does not verify.
    #[error(transparent)]
    Response(#[from] VerifyError),
}

/// Verifies the response to `request` by a user who keeps `state` (a new one: the default state)
/// at `now`, in milliseconds since the Unix epoch. Returns the state to keep from then on. A
/// credential is a response to nothing: its request is ignored.
pub fn verify(
    verifier: &Verifier,
    state: &KeptState,
    operation: Operation,
    request: &[u8],
    response: &[u8],
    now: u64,
) -> Result<KeptState, ExchangeError> {
    let mut new = state.clone();
    let tree = state.tree.as_ref();
    match operation {
        Operation::Search => {
            let request: SearchRequest = decode(request)?;
            let done = verifier.search(tree, &request, response, now)?;
            let contact = new.contacts.entry(request.label).or_default();
            contact.note(&done, verifier.config().is_contact_monitoring())?;
            new.tree = Some(done.state);
        }
        Operation::Update => {
            let request: UpdateRequest = decode(request)?;
            let owner = state.owners.get(&request.label);
            let owner = owner.ok_or(VerifyError::NotOwner)?;
            let done = verifier.update(tree, owner, &request, response, now)?;
            new.owners.insert(request.label, done.owner);
            new.tree = Some(done.state);
        }
        Operation::OwnerInit => {
            let request: OwnerInitRequest = decode(request)?;
            let done = verifier.owner_init(tree, &request, response, now)?;
            new.owners.insert(request.label, done.owner);
            new.tree = Some(done.state);
        }
        Operation::OwnerMonitor => {
            let request: OwnerMonitorRequest = decode(request)?;
            let owner = state.owners.get(&request.label);
            let owner = owner.ok_or(VerifyError::NotOwner)?;
            let done = verifier.owner_monitor(tree, owner, &request, response, now)?;
            merge_recent(&mut new.recent, done.verified, Some(request.start));
            new.owners.insert(request.label, done.owner);
            new.tree = Some(done.state);
        }
        Operation::ContactMonitor => {
            let request: ContactMonitorRequest = decode(request)?;
            let contact = new.contacts.entry(request.label.clone()).or_default();
            let done = verifier.contact_monitor(
                tree,
                &contact.vrf_outputs,
                &contact.commitments,
                &request,
                response,
                now,
            )?;
            contact.map = done.map;
            new.tree = Some(done.state);
        }
        Operation::Distinguished => {
            let request: DistinguishedRequest = decode(request)?;
            let done = verifier.distinguished(tree, &request, RECENT, response, now)?;
            merge_recent(&mut new.recent, done.recent, request.stop);
            new.tree = Some(done.state);
        }
        Operation::Absence => {
            let request: AbsenceRequest = decode(request)?;
            new.tree = Some(verifier.absence(tree, &request, response, now)?);
        }
        Operation::Credential => {
            let done = verifier.credential(&state.recent, response)?;
            new.credentials.extend(done.provisional);
        }
        Operation::CredentialUpdate => {
            let request: CredentialUpdateRequest = decode(request)?;
            let is_meant = |kept: &ProvisionalCredential| kept.request(0).is_for(&request);
            let kept = state.credentials.iter().position(is_meant);
            let kept = kept.ok_or(VerifyError::Request("no such provisional credential"))?;
            let provisional = new.credentials.remove(kept);
            verifier.credential_update(&state.recent, &provisional, response)?;
        }
    }
    Ok(new)
}

fn decode<R: Decode<()>>(request: &[u8]) -> Result<R, ExchangeError> {
    R::from_bytes(request, &()).map_err(ExchangeError::Request)
}
