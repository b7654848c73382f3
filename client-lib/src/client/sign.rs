//! What to publish next for a label, and by which key.

use overt_protocol::signed_value::{SignedValue, SignedValueError, Signer};

use crate::client::Client;
use crate::client::publish::{Intent, Job, greatest};
use crate::error::{ClientError, Reason};
use crate::failure::Exchange;
use crate::keys::{self, KeyRing, KeysError, LabelKeys, Seed};
use crate::transport::Transport;

impl<T: Transport> Client<T> {
    pub(super) fn has_keys(&self, job: &Job) -> Result<bool, ClientError> {
        match &self.keys {
            Some(ring) => Ok(ring.load(&job.entry.label)?.is_some()),
            None => Ok(false),
        }
    }

    /// Whether what is wanted is what is published.
    pub(super) fn is_repeat(&self, job: &Job, published: &[u8]) -> bool {
        let wanted = job.entry.value.as_deref();
        match job.entry.intent {
            Intent::Rotate | Intent::Recover(_) => false,
            _ if !self.requires_signed_value() => wanted == Some(published),
            _ => SignedValue::decode(published).is_ok_and(|v| wanted == Some(&v.value)),
        }
    }

    /// Decides what to publish, given what is published and what is wanted.
    pub(super) fn decide(&self, job: &mut Job) -> Result<(), ClientError> {
        if job.kept.is_some() && !job.foreign.is_empty() {
            // People must see this before anything else happens.
            return Ok(());
        }
        let register = matches!(job.entry.intent, Intent::Register);
        let Some((version, published)) = job.current.clone() else {
            return match greatest(&job.state) {
                Some(version) => Err(ClientError::Taken { version }),
                None if register => self.first(job),
                None => Err(ClientError::NotRegistered),
            };
        };
        let Some(previous) = self.open(version, &published)? else {
            // A directory of plain values.
            if register && job.kept.is_none() && job.adopted.is_empty() {
                return Err(ClientError::Taken { version });
            }
            let value = job.entry.value.clone().unwrap_or_default();
            return match value == published {
                true => Ok(()),
                false if register => Err(ClientError::Registered { version }),
                false => {
                    job.next = Some(value);
                    Ok(())
                }
            };
        };
        let keys = self.label_keys(job)?;
        let seed = keys.update_with(&previous.update_key);
        let value = job.entry.value.clone();
        let same = value.as_ref().is_none_or(|value| *value == previous.value);
        match &job.entry.intent {
            Intent::Register if seed.is_none() => Err(ClientError::Taken { version }),
            Intent::Register if !same => Err(ClientError::Registered { version }),
            Intent::Register => {
                job.recovery = recovery_of(&keys, &previous);
                Ok(())
            }
            Intent::Update if same => Ok(()),
            Intent::Recover(_)
                if same
                    && job.adopted.last() == Some(&version)
                    && self.signer_of(&published) == Some(Signer::RecoveryKey) =>
            {
                // It was sent before, and its answer got lost.
                job.recovery = recovery_of(&keys, &previous);
                Ok(())
            }
            Intent::Recover(recovery) => {
                let recovery = recovery.clone();
                if previous.recovery_key != Some(keys::public_key(&recovery)) {
                    return Err(match previous.recovery_key {
                        None => ClientError::NoRecoveryKey,
                        Some(_) => ClientError::NoKey("recovery key"),
                    });
                }
                let (update, new_recovery) = (keys::generate()?, keys::generate()?);
                self.add_keys(job, [&update], [&recovery, &new_recovery])?;
                let next = SignedValue::new(
                    value.unwrap_or_else(|| previous.value.clone()),
                    keys::public_key(&update),
                    Some(keys::public_key(&new_recovery)),
                );
                job.recovery = Some(new_recovery);
                self.sign(
                    job,
                    next,
                    version,
                    &published,
                    Signer::RecoveryKey,
                    &recovery,
                )
            }
            intent => {
                let rotate = matches!(intent, Intent::Rotate);
                let seed = seed.ok_or(ClientError::NoKey("update key"))?.clone();
                let mut update_key = previous.update_key;
                if rotate {
                    let update = keys::generate()?;
                    update_key = keys::public_key(&update);
                    self.add_keys(job, [&update], [])?;
                }
                let value = value.unwrap_or_else(|| previous.value.clone());
                let next = SignedValue::new(value, update_key, previous.recovery_key);
                self.sign(job, next, version, &published, Signer::UpdateKey, &seed)
            }
        }
    }

    /// Version 0. Keys from an earlier attempt are used again, so that this attempt sends the same
    /// bytes.
    fn first(&self, job: &mut Job) -> Result<(), ClientError> {
        let value = job.entry.value.clone().unwrap_or_default();
        if !self.requires_signed_value() {
            job.next = Some(value);
            return Ok(());
        }
        let keys = self.ring()?.change(&job.entry.label, |keys| {
            if keys.update.is_empty() || keys.recovery.is_empty() {
                keys.merge(&LabelKeys::generate()?);
            }
            Ok::<_, KeysError>(())
        })?;
        let (Some(update), Some(recovery)) = (keys.update.last(), keys.recovery.last()) else {
            return Err(ClientError::NoKey("update key"));
        };
        let first = SignedValue::new(
            value,
            keys::public_key(update),
            Some(keys::public_key(recovery)),
        );
        job.next = Some(first.encode().map_err(ClientError::Sign)?);
        job.recovery = Some(recovery.clone());
        Ok(())
    }

    fn sign(
        &self,
        job: &mut Job,
        mut next: SignedValue,
        version: u32,
        published: &[u8],
        signer: Signer,
        seed: &Seed,
    ) -> Result<(), ClientError> {
        let key = keys::signing_key(seed).ok_or(ClientError::NoKey("update key"))?;
        let version = version.checked_add(1);
        let version = version.ok_or(ClientError::Sign(SignedValueError::NoPrevious))?;
        let label = &job.entry.label;
        next.sign(&self.config_hash, label, version, published, signer, &key)
            .map_err(ClientError::Sign)?;
        job.next = Some(next.encode().map_err(ClientError::Sign)?);
        Ok(())
    }

    /// The envelope, if the directory requires one.
    fn open(&self, version: u32, published: &[u8]) -> Result<Option<SignedValue>, ClientError> {
        if !self.requires_signed_value() {
            return Ok(None);
        }
        SignedValue::decode(published).map(Some).map_err(|error| {
            let reason = Reason::SignedValue { version, error };
            self.not_verified(reason, Exchange::default())
        })
    }

    /// Checks a version that somebody else made against the one before it.
    pub(super) fn check_successor(
        &self,
        label: &[u8],
        version: u32,
        value: &[u8],
        previous: Option<&[u8]>,
    ) -> Result<Option<Signer>, SignedValueError> {
        let value = SignedValue::decode(value)?;
        match previous {
            _ if version == 0 => value.verify_first().map(|()| None),
            None => Err(SignedValueError::NoPrevious),
            Some(previous) => value
                .verify_successor(&self.config_hash, label, version, previous)
                .map(Some),
        }
    }

    /// Which key signed a value that was checked before.
    pub(super) fn signer_of(&self, value: &[u8]) -> Option<Signer> {
        let value = SignedValue::decode(value).ok()?;
        value.signature.map(|signature| signature.signer)
    }

    fn ring(&self) -> Result<&KeyRing, ClientError> {
        self.keys.as_ref().ok_or(ClientError::NoKeyRing)
    }

    fn label_keys(&self, job: &Job) -> Result<LabelKeys, ClientError> {
        Ok(self.ring()?.load(&job.entry.label)?.unwrap_or_default())
    }

    fn add_keys<const U: usize, const R: usize>(
        &self,
        job: &Job,
        update: [&Seed; U],
        recovery: [&Seed; R],
    ) -> Result<(), ClientError> {
        let new = LabelKeys {
            update: update.into_iter().cloned().collect(),
            recovery: recovery.into_iter().cloned().collect(),
        };
        self.ring()?.change(&job.entry.label, |keys| {
            keys.merge(&new);
            Ok::<_, KeysError>(())
        })?;
        Ok(())
    }
}

fn recovery_of(keys: &LabelKeys, published: &SignedValue) -> Option<Seed> {
    let public = published.recovery_key?;
    keys.recovery_with(&public).cloned()
}
