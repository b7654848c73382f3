//! Publishing: registering labels, changing their values and their keys.
//!
//! Many labels go together: owner states in one wave of requests, then lookups of what must be
//! known, then the updates. A key is on disk before its public half is sent, and a value that the
//! directory has already, from an attempt whose answer was lost, counts as published.

use overt_protocol::signed_value::{SignedValue, Signer};
use overt_protocol::user::{OwnerState, TreeState, UpdateVerified};

use crate::client::lookup::{Standing, Want};
use crate::client::owner::Holding;
use crate::client::wave::Told;
use crate::client::{Client, Cost, Event};
use crate::code::VerificationCode;
use crate::error::{ClientError, Reason};
use crate::failure::Kept;
use crate::keys::Seed;
use crate::operation::Operation;
use crate::store::{Change, Owned, OwnerChange};
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
    position: Option<u64>,
    /// Versions that this device did not make.
    pub(super) foreign: Vec<(u32, Option<Signer>)>,
    cost: Cost,
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
            match found.map(|mut versions| versions.pop()) {
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

    /// Brings owner states up to versions that this device did not make.
    async fn catch_up(
        &self,
        tree: &mut Option<TreeState>,
        jobs: &mut [Result<Job, ClientError>],
    ) -> Result<(), ClientError> {
        let is_behind = |job: &Job| {
            let published = job.current.as_ref().map(|(version, _)| *version);
            published > greatest(&job.state)
        };
        self.updates(tree, jobs, |job| is_behind(job).then_some(None))
            .await
    }

    /// Publishes what was decided on.
    async fn send(
        &self,
        tree: &mut Option<TreeState>,
        jobs: &mut [Result<Job, ClientError>],
    ) -> Result<(), ClientError> {
        self.updates(tree, jobs, |job| job.next.clone().map(Some))
            .await
    }

    /// Sends an update request for each job that `value` chooses.
    async fn updates(
        &self,
        tree: &mut Option<TreeState>,
        jobs: &mut [Result<Job, ClientError>],
        value: impl Fn(&Job) -> Option<Option<Vec<u8>>>,
    ) -> Result<(), ClientError> {
        let mut asks = Vec::new();
        let mut whose = Vec::new();
        for (i, job) in jobs.iter().enumerate() {
            let Ok(job) = job else { continue };
            if let Some(value) = value(job) {
                let label = &job.entry.label;
                asks.push(self.update_request(
                    tree.as_ref(),
                    label,
                    &job.state,
                    value.as_deref(),
                )?);
                whose.push(i);
            }
        }
        if asks.is_empty() {
            return Ok(());
        }
        let told = self.ask_all(tree, asks).await?;
        let mut unproved = Vec::new();
        for (i, told) in whose.into_iter().zip(told) {
            let Some(slot) = jobs.get_mut(i) else {
                continue;
            };
            let Ok(job) = slot else { continue };
            let is_proved =
                |told: &Told<UpdateVerified>| told.outcome.updates.iter().all(|u| u.proved);
            if told.as_ref().is_ok_and(|told| !is_proved(told)) {
                unproved.push(i);
            }
            if let Err(error) = told.and_then(|told| self.take_update(job, told)) {
                *slot = Err(error);
            }
        }
        self.prove_by_monitoring(tree, jobs, unproved).await
    }

    /// An update in a distinguished log entry leaves its greatest version to owner monitoring:
    /// does that before anyone relies on the values.
    async fn prove_by_monitoring(
        &self,
        tree: &mut Option<TreeState>,
        jobs: &mut [Result<Job, ClientError>],
        mut unproved: Vec<usize>,
    ) -> Result<(), ClientError> {
        while !unproved.is_empty() {
            let mut asks = Vec::new();
            let mut whose = Vec::new();
            for i in std::mem::take(&mut unproved) {
                if let Some(Ok(job)) = jobs.get(i) {
                    let label = &job.entry.label;
                    asks.push(self.owner_monitor_request(tree.as_ref(), label, &job.state)?);
                    whose.push(i);
                }
            }
            let told = self.ask_all(tree, asks).await?;
            for (i, told) in whose.into_iter().zip(told) {
                let Some(slot) = jobs.get_mut(i) else {
                    continue;
                };
                let Ok(job) = slot else { continue };
                match told {
                    // The log must get on, or it could keep us asking for ever.
                    Ok(told) if !told.outcome.complete && told.outcome.verified.is_empty() => {
                        *slot = Err(ClientError::Unsettled);
                    }
                    Ok(told) => {
                        if !told.outcome.complete {
                            unproved.push(i);
                        }
                        job.cost.add(told.cost);
                        job.state = told.outcome.owner;
                    }
                    Err(error) => *slot = Err(error),
                }
            }
        }
        Ok(())
    }

    /// Takes note of a verified update: of the version that was asked for, and of any others.
    fn take_update(&self, job: &mut Job, told: Told<UpdateVerified>) -> Result<(), ClientError> {
        job.cost.add(told.cost);
        for update in &told.outcome.updates {
            for value in &update.values {
                let version = value.version();
                let is_asked = job.next.as_deref() == Some(value.value());
                if is_asked {
                    job.position = Some(update.position);
                }
                let is_known = job.current.as_ref().is_some_and(|(v, _)| *v >= version);
                if is_asked || is_known {
                    if !is_known {
                        job.current = Some((version, value.value().to_vec()));
                    }
                    // What was looked up before a first use of the label here is no surprise.
                    if update.requested || is_asked || job.kept.is_none() {
                        continue;
                    }
                }
                let previous = job.current.as_ref().map(|(_, value)| value.as_slice());
                let signer = match (self.requires_signed_value(), is_known) {
                    (false, _) => None,
                    (true, true) => self.signer_of(value.value()),
                    (true, false) => self
                        .check_successor(&job.entry.label, version, value.value(), previous)
                        .map_err(|error| {
                            let reason = Reason::SignedValue { version, error };
                            let label = &job.entry.label;
                            self.reject_told(reason, Operation::Update, label, &told)
                        })?,
                };
                job.foreign.push((version, signer));
                if !is_known {
                    job.current = Some((version, value.value().to_vec()));
                }
            }
        }
        job.state = told.outcome.owner;
        Ok(())
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
        })
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
    })
}

pub(super) fn greatest(state: &OwnerState) -> Option<u32> {
    state.progress.greatest_version()
}
