//! Sending what is to be published, and taking note of what was.

use overt_protocol::user::{TreeState, UpdateVerified};

use crate::client::Client;
use crate::client::publish::Job;
use crate::client::wave::Told;
use crate::error::{ClientError, Reason};
use crate::operation::Operation;
use crate::store::Pending;
use crate::transport::Transport;

impl<T: Transport> Client<T> {
    /// Publishes what was decided on. It is remembered before it is sent: the answer may get lost.
    pub(super) async fn send(
        &self,
        tree: &mut Option<TreeState>,
        jobs: &mut [Result<Job, ClientError>],
    ) -> Result<(), ClientError> {
        let new: Vec<Option<Pending>> = jobs
            .iter()
            .map(|job| job.as_ref().ok()?.pending())
            .collect();
        let sending: Vec<Pending> = new.iter().flatten().cloned().collect();
        self.store.add_pending(self.url(), &sending)?;
        self.updates(tree, jobs, |job| job.next.clone().map(Some))
            .await?;
        let is_refused = |job: &Result<Job, ClientError>| {
            matches!(job, Err(ClientError::Refused(_) | ClientError::NotFound(_)))
        };
        let refused = new.into_iter().zip(jobs.iter());
        let refused = refused.filter_map(|(new, job)| new.filter(|_| is_refused(job)));
        let refused: Vec<Pending> = refused.collect();
        self.store.remove_pending(self.url(), &refused)?;
        Ok(())
    }

    /// Sends an update request for each job that `value` chooses.
    pub(super) async fn updates(
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
            match told.and_then(|told| self.take_update(job, told)) {
                Ok(()) => {}
                // There was no need to catch up, so says the directory.
                Err(ClientError::Refused(problem))
                    if problem.status == 409 && job.next.is_none() && !job.is_behind() => {}
                Err(error) => *slot = Err(error),
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
                let became = |sent: &Pending| sent.became(value, &told.outcome.owner);
                let is_adopted = !is_asked && job.sent.iter().any(became);
                let is_mine = is_asked || is_adopted;
                if is_mine {
                    job.position = Some(update.position);
                }
                if is_adopted {
                    job.adopted.push(version);
                }
                let is_known = job.current.as_ref().is_some_and(|(v, _)| *v >= version);
                if is_mine || is_known {
                    if !is_known {
                        job.current = Some((version, value.value().to_vec()));
                    }
                    // What was looked up before a first use of the label here is no surprise.
                    if update.requested || is_mine || job.kept.is_none() {
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
}
