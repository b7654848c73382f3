//! Deciding about updates, and computing what they add to the prefix tree, on all cores.

use overt_protocol::codec::{Encode, EncodeError};
use overt_protocol::provider::{Refusal, SKIPPED};
use overt_protocol::suite::{self, VerifyingKey};
use overt_protocol::update::NewVersions;
use overt_protocol::wire::{
    CommitmentValue, DeploymentMode, Opening, PrefixLeaf, UpdateTbs, UpdateValue, VrfInput,
};
use rayon::prelude::*;

use crate::access::Proposed;
use crate::error::DirectoryError;
use crate::sequencer::{Answer, Outcome, Sequencer, Submission, UpdateError, Waiting};
use crate::store::{Created, Store, greatest};

/// What an update comes to.
pub(super) type Evaluated = Result<Vec<(Created, PrefixLeaf)>, Decided>;
/// An update that creates nothing.
pub(super) type Decided = Result<Outcome, UpdateError>;

/// A `binary_ladder` holds so many steps: VRF proofs of all new versions and of the new ladder.
const MAX_STEPS: usize = 255;
/// At most so many version counters are skipped at once.
const MAX_SKIPPED: u32 = 128;

/// Where the new versions of an update go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The first new version, which may be a skipped one.
    pub(super) first: u32,
    /// How many are skipped.
    skipped: u32,
}

impl<S: Store> Sequencer<S> {
    /// Decides about each update and computes its VRF outputs and commitments.
    pub(super) fn evaluate(&self, batch: Vec<Waiting>) -> Vec<(Waiting, Evaluated)> {
        let chunk = batch
            .len()
            .div_ceil(rayon::current_num_threads() * 4)
            .clamp(1, 256);
        let chunks: Vec<Vec<Waiting>> = {
            let mut rest = batch.into_iter().peekable();
            let mut chunks = Vec::new();
            while rest.peek().is_some() {
                chunks.push(rest.by_ref().take(chunk).collect());
            }
            chunks
        };
        chunks
            .into_par_iter()
            .flat_map_iter(|chunk| {
                let mut reader = None;
                let checked: Vec<_> = chunk
                    .into_iter()
                    .map(|waiting| {
                        let checked = self.check(&mut reader, &waiting);
                        (waiting, checked)
                    })
                    .collect();
                drop(reader);
                self.commit_values(checked)
            })
            .collect()
    }

    /// Where the update's versions go, if it is allowed. `reader` is one for many updates.
    pub(super) fn check<'s>(
        &'s self,
        reader: &mut Option<S::Reader<'s>>,
        waiting: &Waiting,
    ) -> Result<Place, Decided> {
        // What was promised was allowed then.
        if let Answer::Given(first, _) = waiting.answer {
            let skipped = 0;
            return Ok(Place { first, skipped });
        }
        let fail = |error: DirectoryError| Err(UpdateError::Directory(error));
        let Submission {
            label,
            greatest_version,
            values,
            ..
        } = &waiting.submission;
        let reader = match reader {
            Some(open) => open,
            None => {
                let open = self.shared.store.reader().map_err(|e| fail(e.into()))?;
                reader.insert(open)
            }
        };
        let created_below = |size| {
            let found = greatest(reader, label, size).map_err(|e| fail(e.into()))?;
            Ok::<_, Decided>(found.and_then(|(_, row)| row.created))
        };
        let current = created_below(self.tip.size)?;
        let greatest = current.as_ref().map(|created| created.version);
        if *greatest_version < greatest {
            let published = self.shared.published().map_or(0, |head| head.tree_size);
            let shown = created_below(published)?.map(|created| created.version);
            return match shown {
                shown if *greatest_version < shown => Err(Ok(Outcome::Behind)),
                _ => Err(Err(UpdateError::OnItsWay)),
            };
        }
        let conflict = || fail(Refusal::VersionConflict.into());
        if *greatest_version > greatest || values.is_empty() {
            return Err(conflict());
        }
        let next = greatest
            .map_or(Some(0), |v| v.checked_add(1))
            .ok_or_else(conflict)?;
        let place = self.check_signed(&waiting.submission, next).map_err(Err)?;
        let count = u64::try_from(values.len()).unwrap_or(u64::MAX);
        let count = count.saturating_add(place.skipped.into());
        let new = NewVersions::after(greatest, count, self.tip.size).map_err(|_| conflict())?;
        if new.ladder_versions(greatest).len() > MAX_STEPS {
            let detail = "more new versions at once than one response can prove";
            return Err(fail(Refusal::Invalid(detail).into()));
        }
        let previous = match current {
            None => None,
            Some(current) => {
                // Nobody can show to be the owner of what was deleted.
                let opened = current
                    .opened
                    .ok_or_else(|| fail(Refusal::Deleted.into()))?;
                Some(opened.1.value)
            }
        };
        let proposed = Proposed {
            label,
            version: next,
            previous: previous.as_deref(),
            values: values.iter().map(|value| value.value.as_slice()).collect(),
            token: waiting.token.as_ref().map(|token| token.as_str()),
        };
        self.access.check(&proposed).map_err(|e| Err(e.into()))?;
        if let (Some(current), [value]) = (&previous, values.as_slice())
            && self.access.is_repeat(current, &value.value)
        {
            return Err(Err(UpdateError::Unchanged));
        }
        Ok(place)
    }

    /// Section "Management": the Service Operator's signatures, and the version counters that are
    /// skipped to get to the one that it signed.
    fn check_signed(&self, submission: &Submission, next: u32) -> Result<Place, UpdateError> {
        let config = &self.shared.config;
        let (DeploymentMode::ThirdPartyManagement { leaf_public_key }, Some(signed)) =
            (&config.mode, submission.signed_version)
        else {
            let (first, skipped) = (next, 0);
            return Ok(Place { first, skipped });
        };
        let skipped = signed
            .checked_sub(next)
            .ok_or(UpdateError::SignedVersion { signed, next })?;
        if skipped > MAX_SKIPPED {
            return Err(UpdateError::Skipped(skipped));
        }
        let key = VerifyingKey::from_bytes(config.ciphersuite, leaf_public_key)
            .map_err(|_| UpdateError::LeafSignature(signed))?;
        for (version, update) in (signed..).zip(&submission.values) {
            let tbs = UpdateTbs {
                config,
                label: &submission.label,
                version,
                value: &update.value,
            };
            let tbs = tbs.to_bytes().map_err(DirectoryError::from)?;
            let signature = update.signature.as_deref().unwrap_or_default();
            key.verify(&tbs, signature)
                .map_err(|_| UpdateError::LeafSignature(version))?;
        }
        let first = next;
        Ok(Place { first, skipped })
    }

    fn commit_values(
        &self,
        checked: Vec<(Waiting, Result<Place, Decided>)>,
    ) -> Vec<(Waiting, Evaluated)> {
        // One batch of VRF evaluations shares its inversions.
        let mut inputs = Vec::new();
        for (waiting, place) in &checked {
            let Ok(place) = place else { continue };
            for (version, _) in (place.first..).zip(values(place, &waiting.submission)) {
                let label = &waiting.submission.label;
                inputs.push(VrfInput { label, version }.to_bytes().unwrap_or_default());
            }
        }
        let alphas: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
        let mut outputs = self.shared.vrf.outputs(&alphas).into_iter();
        // One look at the operating system for all, which costs as much as a hash or two.
        let mut openings = random_openings(inputs.len()).map(Vec::into_iter);
        checked
            .into_iter()
            .map(|(waiting, place)| {
                let result = place.and_then(|place| {
                    let fail = |error| Err(UpdateError::Directory(error));
                    let openings = openings
                        .as_mut()
                        .map_err(|refusal| fail((*refusal).into()))?;
                    let mut versions = Vec::new();
                    let submission = &waiting.submission;
                    let mut promised = match &waiting.answer {
                        Answer::Given(_, openings) => openings.iter().copied(),
                        _ => [].iter().copied(),
                    };
                    for (version, value) in (place.first..).zip(values(&place, submission)) {
                        let vrf_output = outputs.next().unwrap_or_default();
                        let random = openings.next().unwrap_or_default();
                        let opening = promised.next().unwrap_or(random);
                        let (new, commitment) =
                            new_version(&submission.label, version, value, opening)
                                .map_err(|error| fail(error.into()))?;
                        let leaf = PrefixLeaf {
                            vrf_output,
                            commitment,
                        };
                        versions.push((new, leaf));
                    }
                    Ok(versions)
                });
                (waiting, result)
            })
            .collect()
    }
}

/// The new versions' values in order; skipped ones have none.
fn values<'a>(
    place: &Place,
    submission: &'a Submission,
) -> impl Iterator<Item = Option<&'a UpdateValue>> {
    let skipped = std::iter::repeat_n(None, usize::try_from(place.skipped).unwrap_or(0));
    skipped.chain(submission.values.iter().map(Some))
}

fn new_version(
    label: &[u8],
    version: u32,
    update: Option<&UpdateValue>,
    opening: Opening,
) -> Result<(Created, [u8; suite::NH]), EncodeError> {
    let new = |opened: Option<(Opening, UpdateValue)>| Created {
        label: label.to_vec(),
        version,
        opened,
    };
    let Some(update) = update else {
        return Ok((new(None), SKIPPED));
    };
    let committed = CommitmentValue {
        opening: &opening,
        label,
        version,
        update,
    };
    let commitment = suite::commitment(&[&committed.to_bytes()?]);
    Ok((new(Some((opening, update.clone()))), commitment))
}

/// The openings of new commitments. None is derivable from anything that lives on.
pub(super) fn random_openings(count: usize) -> Result<Vec<Opening>, Refusal> {
    let mut openings = vec![Opening::default(); count];
    getrandom::fill(openings.as_flattened_mut())
        .map_err(|_| Refusal::Damaged("the operating system gives no randomness"))?;
    Ok(openings)
}
