//! Publishing: registering labels, changing their values and their keys.
//!
//! Many labels go together: owner states in one wave of requests, then lookups of what must be
//! known, then the updates. A key is on disk before its public half is sent, and a value that the
//! directory has already, from an attempt whose answer was lost, counts as published.

use overt_protocol::signed_value::{SignedValue, Signer};
use overt_protocol::user::{OwnerState, TreeState};

use crate::client::found::Standing;
use crate::client::lookup::Want;
use crate::client::owner::Holding;
use crate::client::{Client, Cost, Event};
use crate::code::VerificationCode;
use crate::error::ClientError;
use crate::failure::Kept;
use crate::keys::Seed;
use crate::store::{Change, Owned, OwnerChange, Pending};
use crate::transport::Transport;

/// One label to publish.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The label.
    pub label: Vec<u8>,
    /// The application's bytes; none to keep what is published.
    pub value: Option<Vec<u8>>,
    /// What is to be done.
    pub intent: Intent,
}

/// What to do with a label.
#[derive(Debug, Clone)]
pub enum Intent {
    /// Create version 0.
    Register,
    /// Create the next version, signed with the update key.
    Update,
    /// Like [`Intent::Update`], with a new update key.
    Rotate,
    /// Create the next version, signed with this recovery key, with a new update key and a new
    /// recovery key.
    Recover(Seed),
}

/// A version that is published and verified.
#[derive(Debug, Clone)]
pub struct Published {
    /// The label.
    pub label: Vec<u8>,
    /// The version that holds the value.
    pub version: u32,
    /// The log entry that created it; none if it was there before.
    pub position: Option<u64>,
    /// Number of entries of the log that shows it.
    pub tree_size: u64,
    /// By whose authority it stands.
    pub standing: Standing,
    /// What the proofs cost.
    pub cost: Cost,
    /// What people compare.
    pub code: VerificationCode,
    /// The recovery key in force, where there is one on this device.
    pub recovery: Option<Seed>,
    /// Versions that had been sent from here earlier, without an answer, and turned out to be in the
    /// log.
    pub adopted: Vec<u32>,
}

/// A label on its way.
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) kept: Option<Owned>,
    pub(super) state: OwnerState,
    /// The greatest version and its value as published, if they are known.
    pub(super) current: Option<(u32, Vec<u8>)>,
    /// What to publish; none if there is nothing left to do.
    pub(super) next: Option<Vec<u8>>,
    /// The recovery key in what is to be published.
    pub(super) recovery: Option<Seed>,
    /// The log entry of the published version.
    pub(super) position: Option<u64>,
    /// Versions that this device did not make.
    pub(super) foreign: Vec<(u32, Option<Signer>)>,
    /// What was sent from here earlier, without an answer.
    pub(super) sent: Vec<Pending>,
    /// Versions that this turned out to be.
    pub(super) adopted: Vec<u32>,
    pub(super) cost: Cost,
}

impl<T: Transport> Client<T> {
    /// Registers a label: publishes version 0.
    pub async fn register(&self, label: &str, value: &[u8]) -> Result<Published, ClientError> {
        self.publish(label, Some(value), Intent::Register).await
    }

    /// Publishes the next version of a label of one's own.
    pub async fn update(&self, label: &str, value: &[u8]) -> Result<Published, ClientError> {
        self.publish(label, Some(value), Intent::Update).await
    }

    /// Publishes the same value with a new update key.
    pub async fn rotate(&self, label: &str) -> Result<Published, ClientError> {
        self.publish(label, None, Intent::Rotate).await
    }

    /// Takes a label back with its recovery key. Contacts are told that this happened.
    pub async fn recover(
        &self,
        label: &str,
        recovery_key: Seed,
        value: Option<&[u8]>,
    ) -> Result<Published, ClientError> {
        let intent = Intent::Recover(recovery_key);
        self.publish(label, value, intent).await
    }

    async fn publish(
        &self,
        label: &str,
        value: Option<&[u8]>,
        intent: Intent,
    ) -> Result<Published, ClientError> {
        let entry = Entry {
            label: label.as_bytes().to_vec(),
            value: value.map(<[u8]>::to_vec),
            intent,
        };
        let mut published = self.publish_many(vec![entry]).await?;
        published.pop().unwrap_or(Err(ClientError::Unsettled))
    }

    /// Publishes many labels, which must differ, at once.
    pub async fn publish_many(
        &self,
        entries: Vec<Entry>,
    ) -> Result<Vec<Result<Published, ClientError>>, ClientError> {
        let mut jobs = self.begin_jobs(entries).await?;
        self.look_up_current(&mut jobs).await?;
        let from = self.tree()?;
        let mut tree = from.clone();
        self.catch_up(&mut tree, &mut jobs).await?;
        update_each(&mut jobs, |job| self.decide(job));
        self.send(&mut tree, &mut jobs).await?;

        for job in jobs.iter().flatten() {
            if job.kept.is_some() && !job.foreign.is_empty() {
                let event = Event::Foreign {
                    label: job.entry.label.clone(),
                    versions: job.foreign.clone(),
                    evidence: Kept::Nowhere,
                };
                if let Some(alarm) = event.alarm(self.clock.now()) {
                    self.store.raise(self.url(), &alarm)?;
                }
            }
        }
        let owned = jobs.iter().flatten().filter_map(owner_change).collect();
        let to = tree;
        let change = Change {
            from,
            to,
            owned,
            ..Change::default()
        };
        // An answer that breaks the rules for values teaches nothing, not even its head.
        let view = match jobs.iter().any(Result::is_ok) && change.to.is_some() {
            false => None,
            true => Some(self.settle(change).await?),
        };
        let size = view.map_or(0, |view| view.tree_size());
        let done = |job: Result<Job, ClientError>| job.and_then(|job| self.published(job, size));
        Ok(jobs.into_iter().map(done).collect())
    }

    /// Owner states.
    async fn begin_jobs(
        &self,
        entries: Vec<Entry>,
    ) -> Result<Vec<Result<Job, ClientError>>, ClientError> {
        let labels: Vec<Vec<u8>> = entries.iter().map(|entry| entry.label.clone()).collect();
        let from = self.tree()?;
        let mut tree = from.clone();
        let held = self.hold(&mut tree, &labels).await?;
        if tree != from {
            let to = tree;
            let change = Change {
                from,
                to,
                ..Change::default()
            };
            self.settle(change).await?;
        }
        let job = |(entry, held): (Entry, Result<Holding, ClientError>)| {
            let Holding { kept, state, cost } = held?;
            let value = kept.as_ref().and_then(|kept| kept.value.clone());
            Ok(Job {
                current: greatest(&state).zip(value),
                sent: self.store.pending(self.url(), &entry.label)?,
                adopted: Vec::new(),
                entry,
                kept,
                state,
                next: None,
                recovery: None,
                position: None,
                foreign: Vec::new(),
                cost,
            })
        };
        Ok(entries.into_iter().zip(held).map(job).collect())
    }

    /// What is published now, where that is not known.
    async fn look_up_current(
        &self,
        jobs: &mut [Result<Job, ClientError>],
    ) -> Result<(), ClientError> {
        let mut wants = Vec::new();
        let mut whose = Vec::new();
        for (i, job) in jobs.iter().enumerate() {
            let Ok(job) = job else { continue };
            let unknown = match (&job.current, &job.entry.intent) {
                // There may be an attempt whose answer was lost.
                (None, Intent::Register) => greatest(&job.state).is_some() || self.has_keys(job)?,
                (None, _) => true,
                // Nothing would be sent, and versions by others would go unnoticed.
                (Some((_, published)), _) => self.is_repeat(job, published),
            };
            if unknown {
                whose.push(i);
                wants.push(Want {
                    label: job.entry.label.clone(),
                    version: None,
                    all: false,
                });
            }
        }
        if wants.is_empty() {
            return Ok(());
        }
        for (i, found) in whose.into_iter().zip(self.search_many(wants).await?) {
            let Some(slot) = jobs.get_mut(i) else {
                continue;
            };
            let Ok(job) = slot else { continue };
            match found.map(|mut found| found.versions.pop()) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    job.current = Some((found.version(), found.published().to_vec()));
                    job.cost.add(found.cost());
                }
                // Then `decide` finds it missing.
                Err(ClientError::NotFound(_)) if greatest(&job.state).is_none() => {}
                Err(error) => *slot = Err(error),
            }
        }
        Ok(())
    }

    /// Brings owner states up to versions that this device did not make, or does not know to be in
    /// the log.
    async fn catch_up(
        &self,
        tree: &mut Option<TreeState>,
        jobs: &mut [Result<Job, ClientError>],
    ) -> Result<(), ClientError> {
        let may_be_behind = |job: &Job| job.is_behind() || !job.sent.is_empty();
        self.updates(tree, jobs, |job| may_be_behind(job).then_some(None))
            .await
    }

    /// The result of a job whose state is kept.
    fn published(&self, job: Job, tree_size: u64) -> Result<Published, ClientError> {
        let (version, value) = job.current.ok_or(ClientError::NotRegistered)?;
        if !job.foreign.is_empty() {
            let versions = job.foreign;
            let is_new = job.kept.is_none() && matches!(job.entry.intent, Intent::Register);
            return Err(match is_new {
                true => ClientError::Taken { version },
                false => ClientError::Foreign { versions },
            });
        }
        if job.next.is_some_and(|next| next != value) {
            return Err(ClientError::Earlier { version });
        }
        let standing = match self.requires_signed_value() {
            false => Standing::Unsigned,
            true => SignedValue::decode(&value).map_or(Standing::Unsigned, |v| Standing::of(&v)),
        };
        let fingerprint = &self.directory.fingerprint;
        Ok(Published {
            code: VerificationCode::new(fingerprint, &job.entry.label, version, &value)?,
            label: job.entry.label,
            version,
            position: job.position,
            tree_size,
            standing,
            cost: job.cost,
            recovery: job.recovery,
            adopted: job.adopted,
        })
    }
}

impl Job {
    /// Whether versions are in the log that the owner state does not know of.
    pub(super) fn is_behind(&self) -> bool {
        let published = self.current.as_ref().map(|(version, _)| *version);
        published > greatest(&self.state)
    }

    /// What is to be remembered before it is sent, if it is not already.
    pub(super) fn pending(&self) -> Option<Pending> {
        let next = Pending {
            label: self.entry.label.clone(),
            version: greatest(&self.state).map_or(0, |version| version.saturating_add(1)),
            value: self.next.clone()?,
            owner: self.state.clone(),
        };
        let is_same = |sent: &Pending| sent.version == next.version && sent.value == next.value;
        (!self.sent.iter().any(is_same)).then_some(next)
    }
}

fn update_each(
    jobs: &mut [Result<Job, ClientError>],
    mut step: impl FnMut(&mut Job) -> Result<(), ClientError>,
) {
    for slot in jobs {
        if let Ok(job) = slot
            && let Err(error) = step(job)
        {
            *slot = Err(error);
        }
    }
}

/// What to keep of a job. A label that turned out to be somebody else's is not owned here.
fn owner_change(job: &Job) -> Option<OwnerChange> {
    if job.kept.is_none() && !job.foreign.is_empty() {
        return None;
    }
    let to = Owned {
        state: job.state.clone(),
        value: job.current.as_ref().map(|(_, value)| value.clone()),
    };
    (job.kept.as_ref() != Some(&to)).then(|| OwnerChange {
        label: job.entry.label.clone(),
        from: job.kept.as_ref().map(|kept| kept.state.clone()),
        to,
        is_proved: false,
    })
}

pub(super) fn greatest(state: &OwnerState) -> Option<u32> {
    state.progress.greatest_version()
}
