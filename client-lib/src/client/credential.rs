//! Credentials: proofs of a label's value that people send each other (section "Credentials").

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::error::VerifyError;
use overt_protocol::signed_value::SignedValue;
use overt_protocol::user::{Awaited, ProvisionalCredential, TreeState, TreeView, VerifiedValue};
use overt_protocol::wire::{Credential, SearchRequest};

use crate::client::monitor::newest;
use crate::client::wave::Ask;
use crate::client::{Client, Event, Standing};
use crate::code::VerificationCode;
use crate::error::{ClientError, Reason};
use crate::failure::Exchange;
use crate::kept::{KeptState, MAX_RECENT};
use crate::operation::Operation;
use crate::store::Received;
use crate::transport::Transport;

/// How far a credential is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// Finally.
    Final,
    /// Initially, until the next distinguished log entry is known here.
    AwaitsDistinguished,
    /// Initially, until an update that leads to this distinguished log entry.
    AwaitsUpdate(u64),
}

impl From<Awaited> for Finality {
    fn from(awaited: Awaited) -> Self {
        match awaited {
            Awaited::Nothing => Self::Final,
            Awaited::Distinguished => Self::AwaitsDistinguished,
            Awaited::Update(position) => Self::AwaitsUpdate(position),
        }
    }
}

/// A credential whose contents may be used.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The label and value, proved to be in the log.
    pub value: VerifiedValue,
    /// The application's bytes.
    pub content: Vec<u8>,
    /// By whose authority it stands; none if that takes its predecessor, which a credential does
    /// not hold and which was not looked up here.
    pub standing: Option<Standing>,
    /// How far it is verified.
    pub finality: Finality,
    /// The greatest version of the label that was seen here earlier.
    pub seen_before: Option<u32>,
    /// What two people compare.
    pub code: VerificationCode,
}

impl Checked {
    /// Whether a later version was seen here earlier: then this is not the label's present value.
    pub fn is_old(&self) -> bool {
        self.seen_before > Some(self.value.version())
    }
}

impl<T: Transport> Client<T> {
    /// Makes a credential for the greatest version of a label, usually one's own, that rests on the
    /// newest distinguished log entry. The directory is asked; receivers need not ask it.
    pub async fn make_credential(&self, label: &str) -> Result<Vec<u8>, ClientError> {
        self.refresh_recent().await?;
        let recent = self.recent()?;
        let base = recent.last().ok_or(ClientError::NoDistinguished)?.clone();
        let request = SearchRequest {
            last: Some(base.size),
            label: label.as_bytes().to_vec(),
            version: None,
        };
        let tree = self.tree()?;
        let ask = Ask {
            operation: Operation::Search,
            openings: Vec::new(),
            label: label.as_bytes().to_vec(),
            owner: None,
            request: request.to_bytes()?,
            verify: Box::new(move |_, response, now| {
                let made = self
                    .verifier
                    .make_credential(&base, &request, response, now)?;
                // Two views of one log, or the directory forked since.
                let state = made.state.or_else(|| tree.clone());
                let state = state.ok_or(VerifyError::SameWithoutLast)?;
                Ok((state, made.credential))
            }),
        };
        let told = self.ask(None, &ask).await?;
        let views = [Some(told.head.clone()), self.tree()?];
        self.reconcile(views.into_iter().flatten().collect())
            .await?;
        Ok(told.outcome.to_bytes()?)
    }

    /// Makes the update that finally verifies a provisional credential of one's own, once a
    /// distinguished log entry has come after it. None if it needs none (yet).
    pub async fn make_credential_update(
        &self,
        credential: &[u8],
    ) -> Result<Option<Vec<u8>>, ClientError> {
        self.refresh_recent().await?;
        let recent = self.recent()?;
        let verified = self.verify_credential(&recent, credential)?;
        let Some(provisional) = verified.1 else {
            return Ok(None);
        };
        match self.await_final(&recent, credential, &provisional)? {
            Awaited::Update(distinguished) => {
                let update = self.fetch_update(&provisional, distinguished).await?;
                self.verify_update(&recent, credential, &provisional, &update)?;
                Ok(Some(update))
            }
            Awaited::Nothing | Awaited::Distinguished => Ok(None),
        }
    }

    /// Verifies a credential that somebody sent, and keeps it if it is provisional. `update` is
    /// what they sent to verify it finally; it is kept too if it comes too early. The directory is
    /// not asked: that could tell it who talks to whom.
    pub fn check_credential(
        &self,
        credential: &[u8],
        update: Option<&[u8]>,
    ) -> Result<Checked, ClientError> {
        let recent = self.recent()?;
        let (value, provisional) = self.verify_credential(&recent, credential)?;
        let (content, standing) = self.judge(&value, credential)?;
        let mut finality = Finality::Final;
        if let Some(provisional) = provisional {
            finality = self.await_final(&recent, credential, &provisional)?.into();
            if let (Finality::AwaitsUpdate(_), Some(update)) = (finality, update) {
                self.verify_update(&recent, credential, &provisional, update)?;
                finality = Finality::Final;
            }
            match finality {
                Finality::Final => self.store.remove_credential(self.url(), credential)?,
                _ => self.store.add_credential(
                    self.url(),
                    &Received {
                        credential: credential.to_vec(),
                        provisional,
                        update: update.map(<[u8]>::to_vec),
                    },
                )?,
            }
        }
        let fingerprint = &self.directory.fingerprint;
        Ok(Checked {
            seen_before: self.greatest_seen(value.label())?,
            code: VerificationCode::new(
                fingerprint,
                value.label(),
                value.version(),
                value.value(),
            )?,
            value,
            content,
            standing,
            finality,
        })
    }

    /// Verifies finally what can be. The directory is asked for an update only where the credential
    /// would expire before its sender's comes.
    pub(super) async fn finish_credentials(
        &self,
        events: &mut Vec<Event>,
    ) -> Result<(), ClientError> {
        let recent = self.recent()?;
        for received in self.store.credentials(self.url())? {
            let (label, version) = (
                received.provisional.label().to_vec(),
                received.provisional.version(),
            );
            match self.finish_credential(&recent, &received).await {
                Ok(finality) => {
                    if finality == Finality::Final {
                        self.store
                            .remove_credential(self.url(), &received.credential)?;
                    }
                    events.push(Event::Credential {
                        label,
                        version,
                        finality,
                    });
                }
                Err(error) => {
                    let is_false = error.is_misbehaviour();
                    let event = Event::Failed { label, error };
                    // Reported once, and not forgotten before that.
                    if let Some(alarm) = event.alarm(self.clock.now()).filter(|_| is_false) {
                        self.store.raise(self.url(), &alarm)?;
                        self.store
                            .remove_credential(self.url(), &received.credential)?;
                    }
                    events.push(event);
                }
            }
        }
        Ok(())
    }

    async fn finish_credential(
        &self,
        recent: &[TreeView],
        received: &Received,
    ) -> Result<Finality, ClientError> {
        let Received {
            credential,
            provisional,
            update,
        } = received;
        let Awaited::Update(distinguished) = self.await_final(recent, credential, provisional)?
        else {
            return Ok(self.await_final(recent, credential, provisional)?.into());
        };
        if let Some(update) = update
            && self
                .verifier
                .credential_update(recent, provisional, update)
                .is_ok()
        {
            return Ok(Finality::Final);
        }
        let base = Credential::from_bytes(credential, &self.directory.config)
            .map_or(0, |credential| credential.position);
        let Some(expired) = self.expiring(recent, base)? else {
            return Ok(Finality::AwaitsUpdate(distinguished));
        };
        let update = match self.fetch_update(provisional, distinguished).await {
            Err(error) if expired => {
                return Err(self.unproved_credential(received, error.to_string()));
            }
            update => update?,
        };
        self.verify_update(recent, credential, provisional, &update)?;
        Ok(Finality::Final)
    }

    /// Whether a credential that rests on the log entry at `base` has expired, if it has or is about
    /// to: with the next distinguished entry, or with the lifetime of `base`.
    fn expiring(&self, recent: &[TreeView], base: u64) -> Result<Option<bool>, ClientError> {
        let Some(view) = recent.iter().find(|view| view.position() == base) else {
            return Ok(Some(true));
        };
        let config = &self.directory.config;
        let timestamp = view.rightmost().map_or(0, |entry| entry.timestamp);
        let tree = self.tree()?;
        let rightmost = tree.as_ref().and_then(TreeState::rightmost);
        // What is left at the pass after the next one.
        let then = config.reasonable_monitoring_window.saturating_mul(2);
        let then = rightmost.map_or(0, |entry| entry.timestamp.saturating_add(then));
        let is_pushed_out =
            recent.len() >= MAX_RECENT && recent.first().map(TreeView::position) == Some(base);
        Ok((is_pushed_out || config.is_expired(timestamp, then)).then_some(false))
    }

    /// The log does not provide what it must (or nobody could ask it) until it is too late.
    fn unproved_credential(&self, received: &Received, says: String) -> ClientError {
        let version = received.provisional.version();
        let exchange = Exchange {
            operation: Some(Operation::Credential),
            label: received.provisional.label(),
            files: vec![("response.bin", received.credential.clone())],
            ..Exchange::default()
        };
        self.not_verified(Reason::CredentialUnproved { version, says }, exchange)
    }

    /// Asks for it as a stranger, lest the directory learns who got whose credential.
    async fn fetch_update(
        &self,
        provisional: &ProvisionalCredential,
        distinguished: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let request = provisional.request(distinguished).to_bytes()?;
        let endpoint = Operation::CredentialUpdate.endpoint();
        let path = self.directory.descriptor.path(endpoint).unwrap_or_default();
        Ok(self.transport.anonymous()?.post(path, request).await?)
    }

    fn verify_credential(
        &self,
        recent: &[TreeView],
        credential: &[u8],
    ) -> Result<(VerifiedValue, Option<ProvisionalCredential>), ClientError> {
        match self.verifier.credential(recent, credential) {
            Ok(verified) => Ok((verified.value, verified.provisional)),
            // Nothing is wrong with it, as far as can be told.
            Err(VerifyError::UnknownDistinguished(position)) => {
                let newest = newest(recent);
                Err(match newest.is_some_and(|newest| newest >= position) {
                    true => ClientError::CredentialExpired,
                    false => ClientError::CredentialTooNew,
                })
            }
            Err(error) => Err(self.false_credential(error, credential, None)),
        }
    }

    fn await_final(
        &self,
        recent: &[TreeView],
        credential: &[u8],
        provisional: &ProvisionalCredential,
    ) -> Result<Awaited, ClientError> {
        provisional
            .await_final(recent)
            .map_err(|error| self.false_credential(error, credential, Some(provisional)))
    }

    fn verify_update(
        &self,
        recent: &[TreeView],
        credential: &[u8],
        provisional: &ProvisionalCredential,
        update: &[u8],
    ) -> Result<(), ClientError> {
        self.verifier
            .credential_update(recent, provisional, update)
            .map_err(|error| self.false_credential(error, credential, Some(provisional)))
    }

    /// A credential that does not hold, with what it was judged by.
    fn false_credential(
        &self,
        error: VerifyError,
        credential: &[u8],
        provisional: Option<&ProvisionalCredential>,
    ) -> ClientError {
        let state = KeptState {
            tree: self.tree().ok().flatten(),
            recent: self.recent().unwrap_or_default(),
            credentials: provisional.cloned().into_iter().collect(),
            ..KeptState::default()
        };
        let exchange = Exchange {
            operation: Some(Operation::Credential),
            files: vec![
                ("response.bin", credential.to_vec()),
                ("state.bin", state.to_bytes().unwrap_or_default()),
            ],
            ..Exchange::default()
        };
        self.not_verified(error, exchange)
    }

    /// The content of a proved value, and by whose authority it stands.
    fn judge(
        &self,
        value: &VerifiedValue,
        credential: &[u8],
    ) -> Result<(Vec<u8>, Option<Standing>), ClientError> {
        let contact = self.store.contact(self.url(), value.label())?;
        let known = contact
            .as_ref()
            .and_then(|c| c.commitments.get(&value.version()));
        if known.is_some_and(|known| known != value.commitment()) {
            let error = VerifyError::CommitmentChanged(value.version());
            return Err(self.false_credential(error, credential, None));
        }
        if !self.requires_signed_value() {
            return Ok((value.value().to_vec(), Some(Standing::Unsigned)));
        }
        let version = value.version();
        let wrong = |error| {
            let exchange = Exchange {
                operation: Some(Operation::Credential),
                files: vec![("response.bin", credential.to_vec())],
                ..Exchange::default()
            };
            self.not_verified(Reason::SignedValue { version, error }, exchange)
        };
        let signed = SignedValue::decode(value.value()).map_err(wrong)?;
        let standing = match contact.and_then(|contact| contact.anchor) {
            _ if version == 0 => {
                signed.verify_first().map_err(wrong)?;
                Some(Standing::of(&signed))
            }
            Some((anchor, bytes)) if anchor == version && bytes == value.value() => {
                Some(Standing::of(&signed))
            }
            Some((anchor, bytes)) if version.checked_sub(1) == Some(anchor) => {
                signed
                    .verify_successor(&self.config_hash, value.label(), version, &bytes)
                    .map_err(wrong)?;
                Some(Standing::of(&signed))
            }
            _ => None,
        };
        Ok((signed.value, standing))
    }
}
