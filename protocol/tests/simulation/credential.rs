//! What users do who send each other credentials.

use overt_protocol::codec::Encode;
use overt_protocol::provider::Refusal;
use overt_protocol::user::{Awaited, ProvisionalCredential, TreeView};
use overt_protocol::wire::*;

use crate::server::Server;
use crate::user::{Done, User, is_refusal, no_answer, rejected};

const MAKER: &str = "credential maker";
const RECEIVER: &str = "credential receiver";

/// What became of a credential that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// It rests on a log entry that the receiver does not know of.
    NotYet,
    /// Verified, for now or for good.
    Verified { provisional: bool },
}

impl User {
    /// Makes a credential for a label, from a recent distinguished entry that the receiver knows.
    pub(crate) fn make_credential(
        &self,
        server: &dyn Server,
        time: u64,
        from: &TreeView,
        label: &str,
    ) -> Done<Credential> {
        let request = SearchRequest {
            last: Some(from.size),
            label: label.as_bytes().to_vec(),
            version: None,
        };
        let answer = server.search(self.number, &request);
        let answer = answer.map_err(no_answer(MAKER))?;
        let made = self
            .verifier
            .make_credential(from, &request, &answer, self.clock(time))
            .map_err(rejected(MAKER))?;
        Ok(made.credential)
    }

    /// Verifies a credential that another user sent.
    pub(crate) fn receive(&mut self, credential: &Credential) -> Done<Received> {
        let known = |view: &TreeView| view.position() == credential.position;
        if !self.recent.iter().any(known) {
            return Ok(Received::NotYet);
        }
        let bytes = credential.to_bytes().unwrap();
        let done = self
            .verifier
            .credential(&self.recent, &bytes)
            .map_err(rejected(RECEIVER))?;
        assert_eq!(done.value.value(), credential.value.value);
        let provisional = done.provisional.is_some();
        self.credentials.extend(done.provisional);
        Ok(Received::Verified { provisional })
    }

    /// Verifies finally what can be by now.
    pub(crate) fn finish_credentials(&mut self, server: &dyn Server) -> Done<usize> {
        let mut waiting = Vec::new();
        let mut finished = 0;
        for credential in std::mem::take(&mut self.credentials) {
            match self.finish(server, &credential)? {
                true => finished += 1,
                false => waiting.push(credential),
            }
        }
        self.credentials = waiting;
        Ok(finished)
    }

    fn finish(&self, server: &dyn Server, credential: &ProvisionalCredential) -> Done<bool> {
        let awaited = credential.await_final(&self.recent);
        let distinguished = match awaited.map_err(rejected(RECEIVER))? {
            Awaited::Distinguished => return Ok(false),
            Awaited::Nothing => return Ok(true),
            Awaited::Update(distinguished) => distinguished,
        };
        let request = credential.request(distinguished);
        let update = match server.credential_update(self.number, &request) {
            // The credential expired with what it begins at.
            Err(error)
                if is_refusal(&error, &[Refusal::Expired])
                    && self.has_expired(request.entry.position, server) =>
            {
                return Ok(true);
            }
            update => update.map_err(no_answer(RECEIVER))?,
        };
        self.verifier
            .credential_update(&self.recent, credential, &update)
            .map_err(rejected(RECEIVER))?;
        Ok(true)
    }
}
