//! Looking up labels: the draft's search, then the rules of signed values, then what was seen
//! before.

use std::collections::BTreeMap;

use overt_protocol::codec::Encode;
use overt_protocol::provider::SKIPPED;
use overt_protocol::signed_value::SignedValue;
use overt_protocol::user::{SearchVerified, TreeState, VerifiedValue};
use overt_protocol::wire::SearchRequest;

use crate::client::found::{History, Lookup, Standing};
use crate::client::wave::{Ask, Told};
use crate::client::{Client, Cost};
use crate::code::VerificationCode;
use crate::error::{ClientError, Reason};
use crate::failure::Exchange;
use crate::kept::Contact;
use crate::operation::Operation;
use crate::store::Change;
use crate::transport::Transport;

/// What to look up.
pub(super) struct Want {
    pub(super) label: Vec<u8>,
    pub(super) version: Option<u32>,
    /// Return every version up to that one.
    pub(super) all: bool,
}

/// A label on its way.
struct Job {
    want: Want,
    contact: Contact,
    seen_before: Option<u32>,
    /// Searches verified so far, by version.
    found: BTreeMap<u32, Told<SearchVerified>>,
    /// Expired versions below those found.
    expired_below: Option<u32>,
    /// Versions that are said to be skipped, ascending.
    skipped: Vec<u32>,
}

impl<T: Transport> Client<T> {
    /// The greatest version of a label.
    pub async fn lookup(&self, label: &str) -> Result<Lookup, ClientError> {
        self.lookup_one(label, None).await
    }

    /// A given version of a label.
    pub async fn lookup_version(&self, label: &str, version: u32) -> Result<Lookup, ClientError> {
        self.lookup_one(label, Some(version)).await
    }

    async fn lookup_one(&self, label: &str, version: Option<u32>) -> Result<Lookup, ClientError> {
        let mut found = match self.versions(label, version, false).await {
            Err(ClientError::NotFound(problem)) if version.is_none() => {
                return Err(self
                    .prove_absence(label, ClientError::NotFound(problem))
                    .await);
            }
            found => found?,
        };
        found.versions.pop().ok_or(ClientError::Unsettled)
    }

    /// Every version of a label.
    pub async fn history(&self, label: &str) -> Result<History, ClientError> {
        self.versions(label, None, true).await
    }

    /// The greatest versions of many labels at once.
    pub async fn lookup_many(
        &self,
        labels: &[Vec<u8>],
    ) -> Result<Vec<Result<Lookup, ClientError>>, ClientError> {
        let want = |label: &Vec<u8>| Want {
            label: label.clone(),
            version: None,
            all: false,
        };
        let found = self.search_many(labels.iter().map(want).collect()).await?;
        let last = |mut found: History| found.versions.pop().ok_or(ClientError::Unsettled);
        Ok(found
            .into_iter()
            .map(|found| found.and_then(last))
            .collect())
    }

    async fn versions(
        &self,
        label: &str,
        version: Option<u32>,
        all: bool,
    ) -> Result<History, ClientError> {
        let label = label.as_bytes().to_vec();
        let want = Want {
            label,
            version,
            all,
        };
        let mut found = self.search_many(vec![want]).await?;
        found.pop().unwrap_or(Err(ClientError::Unsettled))
    }

    /// Looks up all that is wanted and keeps what was learnt.
    pub(super) async fn search_many(
        &self,
        wants: Vec<Want>,
    ) -> Result<Vec<Result<History, ClientError>>, ClientError> {
        let (found, learnt) = self.find_many(wants).await?;
        // An answer that contradicts an earlier one teaches nothing, not even its head.
        if !learnt.contacts.is_empty() {
            self.settle(learnt).await?;
        }
        Ok(found)
    }

    /// Looks up all that is wanted. Nothing is kept yet of what was learnt.
    pub(super) async fn find_many(
        &self,
        wants: Vec<Want>,
    ) -> Result<(Vec<Result<History, ClientError>>, Change), ClientError> {
        let from = self.tree()?;
        let mut tree = from.clone();
        let asks = wants
            .iter()
            .map(|want| self.search(tree.as_ref(), &want.label, want.version))
            .collect::<Result<Vec<_>, _>>()?;
        let told = self.ask_all(&mut tree, asks).await?;
        let mut jobs = Vec::with_capacity(wants.len());
        for (want, told) in wants.into_iter().zip(told) {
            jobs.push(told.and_then(|told| self.begin(want, told)));
        }
        self.fetch_predecessors(&mut tree, &mut jobs).await?;

        let mut contacts = Vec::new();
        let mut out = Vec::new();
        for job in jobs {
            let checked = job.and_then(|mut job| {
                self.check_skipped(&job)?;
                let versions = self.check_values(&mut job)?;
                contacts.push((job.want.label, job.contact));
                let skipped = job.skipped;
                Ok(History { versions, skipped })
            });
            out.push(checked);
        }
        let learnt = Change {
            from,
            to: tree,
            contacts,
            ..Change::default()
        };
        Ok((out, learnt))
    }

    fn search(
        &self,
        tree: Option<&TreeState>,
        label: &[u8],
        version: Option<u32>,
    ) -> Result<Ask<'_, SearchVerified>, ClientError> {
        if label.len() > 255 {
            return Err(ClientError::LabelLength);
        }
        let request = SearchRequest {
            last: tree.map(TreeState::tree_size),
            label: label.to_vec(),
            version,
        };
        Ok(Ask {
            operation: Operation::Search,
            openings: Vec::new(),
            label: label.to_vec(),
            owner: None,
            request: request.to_bytes()?,
            verify: Box::new(move |tree, response, now| {
                let done = self.verifier.search(tree, &request, response, now)?;
                Ok((done.state.clone(), done))
            }),
        })
    }

    fn begin(&self, want: Want, told: Told<SearchVerified>) -> Result<Job, ClientError> {
        let mut contact = self
            .store
            .contact(self.url(), &want.label)?
            .unwrap_or_default();
        let seen_before = contact.greatest;
        // An owner knows its own label too.
        if let Some(owned) = self.store.owned(self.url(), &want.label)? {
            contact.greatest = contact
                .greatest
                .max(owned.state.progress.greatest_version());
        }
        let mut job = Job {
            want,
            contact,
            seen_before,
            found: BTreeMap::new(),
            expired_below: None,
            skipped: Vec::new(),
        };
        self.take(&mut job, told)?;
        Ok(job)
    }

    /// Takes note of a verified search, unless it contradicts an earlier one.
    fn take(&self, job: &mut Job, told: Told<SearchVerified>) -> Result<(), ClientError> {
        let greatest = job.contact.greatest;
        let monitored = self.verifier.config().is_contact_monitoring();
        if let Err(error) = job.contact.note(&told.outcome, monitored) {
            return Err(self.contradiction(&job.want.label, &told, error.into()));
        }
        let version = told.outcome.value.version();
        if let Some(seen) = greatest.filter(|seen| job.want.version.is_none() && *seen > version)
            && job.found.is_empty()
        {
            let reason = Reason::Regressed { seen, now: version };
            return Err(self.contradiction(&job.want.label, &told, reason));
        }
        job.found.insert(version, told);
        Ok(())
    }

    /// Asks for the versions that must be seen to judge those found.
    async fn fetch_predecessors(
        &self,
        tree: &mut Option<TreeState>,
        jobs: &mut [Result<Job, ClientError>],
    ) -> Result<(), ClientError> {
        let mut asks = Vec::new();
        let mut whose = Vec::new();
        for (i, job) in jobs.iter().enumerate() {
            let Ok(job) = job else { continue };
            for version in self.predecessors(job) {
                asks.push(self.search(tree.as_ref(), &job.want.label, Some(version))?);
                whose.push((i, version));
            }
        }
        let told = self.ask_all(tree, asks).await?;
        for ((i, version), told) in whose.into_iter().zip(told) {
            let Some(slot) = jobs.get_mut(i) else {
                continue;
            };
            let Ok(job) = slot else { continue };
            let taken = match told {
                Ok(told) => self.take(job, told),
                Err(error) => self.not_shown(job, version, error),
            };
            if let Err(error) = taken {
                *slot = Err(error);
            }
        }
        Ok(())
    }

    /// Versions to fetch besides the one that was wanted: all of them for a history; where values
    /// are signed, those since the last version whose value was checked.
    fn predecessors(&self, job: &Job) -> std::ops::Range<u32> {
        let Some(top) = job.found.keys().next_back().copied() else {
            return 0..0;
        };
        let checked = job.contact.anchor.as_ref().map(|(version, _)| *version);
        let start = match checked.filter(|version| *version <= top) {
            _ if job.want.all => 0,
            _ if !self.requires_signed_value() => top,
            None => 0,
            Some(version) => version.saturating_add(1).min(top),
        };
        start..top
    }

    /// A version that must exist was not shown. With a lifetime, old ones are.
    fn not_shown(
        &self,
        job: &mut Job,
        version: u32,
        error: ClientError,
    ) -> Result<(), ClientError> {
        let (ClientError::NotFound(problem) | ClientError::Refused(problem)) = error else {
            return Err(error);
        };
        let lifetime = self.directory.config.maximum_lifetime.is_some();
        // What was deleted cannot be checked either; people are told from where on it was.
        let is_deleted = problem.code == "deleted";
        if is_deleted || (lifetime && matches!(problem.status, 404 | 410)) {
            let below = version.saturating_add(1);
            job.expired_below = job.expired_below.max(Some(below));
            return Ok(());
        }
        let is_managed = self.directory.config.is_third_party_management();
        if is_managed && problem.status == 404 {
            job.skipped.push(version);
            return Ok(());
        }
        Err(self.withheld(job, version, problem.to_string()))
    }

    /// A version that was skipped has the commitment that says so, wherever that was shown.
    fn check_skipped(&self, job: &Job) -> Result<(), ClientError> {
        let has_value = |version: &&u32| {
            let shown = job.contact.commitments.get(version);
            shown.is_some_and(|commitment| *commitment != SKIPPED)
        };
        match job.skipped.iter().find(has_value) {
            None => Ok(()),
            Some(version) => {
                let says = "it says that there is none".to_owned();
                Err(self.withheld(job, *version, says))
            }
        }
    }

    fn withheld(&self, job: &Job, version: u32, says: String) -> ClientError {
        let reason = Reason::Withheld { version, says };
        match job.found.values().next_back() {
            Some(told) => self.contradiction(&job.want.label, told, reason),
            None => self.not_verified(reason, Exchange::default()),
        }
    }

    /// Checks each value against its predecessor, and moves the anchor.
    fn check_values(&self, job: &mut Job) -> Result<Vec<Lookup>, ClientError> {
        let mut out = Vec::new();
        let mut recoveries = Vec::new();
        let mut unchecked_below = None;
        let mut is_broken = false;
        let mut previous = job.contact.anchor.clone();
        for (version, told) in &job.found {
            let value = &told.outcome.value;
            if let Some((anchor, bytes)) = &job.contact.anchor
                && anchor == version
                && bytes != value.value()
            {
                let reason = Reason::ValueChanged(*version);
                return Err(self.contradiction(&job.want.label, told, reason));
            }
            let (content, standing) = match self.requires_signed_value() {
                false => (value.value().to_vec(), Standing::Unsigned),
                true => {
                    let expired = job.expired_below == Some(*version);
                    let (signed, standing) = self
                        .check_value(*version, value, previous.as_ref(), expired)
                        .map_err(|reason| self.contradiction(&job.want.label, told, reason))?;
                    (signed.value, standing)
                }
            };
            // What was checked before stays the ground to stand on.
            is_broken |= standing == Standing::Unchecked && job.contact.anchor.is_some();
            if standing == Standing::Recovered {
                recoveries.push(*version);
            }
            if job.expired_below == Some(*version) {
                unchecked_below = Some(*version);
            }
            previous = Some((*version, value.value().to_vec()));
            let head = &told.head;
            let label = value.label();
            out.push(Lookup {
                proved: value.clone(),
                content,
                standing,
                unchecked_below,
                recoveries: recoveries.clone(),
                seen_before: job.seen_before,
                tree_size: head.tree_size(),
                timestamp: head.rightmost().map_or(0, |entry| entry.timestamp),
                cost: told.cost,
                code: VerificationCode::new(
                    &self.directory.fingerprint,
                    label,
                    *version,
                    value.value(),
                )?,
            });
        }
        let newest = |(version, _): &(u32, Vec<u8>)| {
            job.contact
                .anchor
                .as_ref()
                .is_none_or(|(anchor, _)| anchor < version)
        };
        if let Some(anchor) = previous.filter(newest).filter(|_| !is_broken) {
            job.contact.anchor = Some(anchor);
        }
        if !job.want.all {
            let mut cost = Cost::default();
            out.iter().for_each(|lookup| cost.add(lookup.cost));
            out.drain(..out.len().saturating_sub(1));
            out.iter_mut().for_each(|lookup| lookup.cost = cost);
        }
        Ok(out)
    }

    /// `previous` is the value checked last: that of the version before, or of this version or a
    /// later one if it was checked on an earlier occasion.
    fn check_value(
        &self,
        version: u32,
        value: &VerifiedValue,
        previous: Option<&(u32, Vec<u8>)>,
        predecessor_expired: bool,
    ) -> Result<(SignedValue, Standing), Reason> {
        let wrong = |error| Reason::SignedValue { version, error };
        let signed = SignedValue::decode(value.value()).map_err(wrong)?;
        match previous {
            // The same value was checked on an earlier occasion.
            Some((same, _)) if *same == version => {}
            Some((before, bytes)) if version.checked_sub(1) == Some(*before) => {
                signed
                    .verify_successor(&self.config_hash, value.label(), version, bytes)
                    .map_err(wrong)?;
            }
            _ if version == 0 => signed.verify_first().map_err(wrong)?,
            _ if predecessor_expired => return Ok((signed, Standing::Unchecked)),
            _ => {
                let says = "its predecessor was not shown".to_owned();
                return Err(Reason::Withheld { version, says });
            }
        }
        let standing = Standing::of(&signed);
        Ok((signed, standing))
    }

    /// A proved answer that contradicts an earlier one, or the rules for values.
    fn contradiction(
        &self,
        label: &[u8],
        told: &Told<SearchVerified>,
        reason: Reason,
    ) -> ClientError {
        self.reject_told(reason, Operation::Search, label, told)
    }
}
