//! Whether a head of the log is fixed in front of the witnesses that the user chose.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::head_log::policy::{Policy, TrustError};
use overt_protocol::head_log::proof::{TlogProof, TlogProofError};
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::user::TreeState;

use crate::client::Client;
use crate::error::ClientError;
use crate::failure::Exchange;
use crate::transport::Transport;

/// A policy of one's own may ask for more cosignatures than the operator waits for.
const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Who vouches for a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// The size of the log.
    pub tree_size: u64,
    /// Names of those who cosigned.
    pub cosigned: Vec<String>,
    /// Names of the others whom the policy knows.
    pub missing: Vec<String>,
}

impl<T: Transport> Client<T> {
    /// Fetches the proof that a verified head is in a checkpoint that satisfies the user's policy;
    /// none if there is no policy. Waits for cosignatures for a while.
    pub(super) async fn check_witnessed(
        &self,
        head: &TreeState,
    ) -> Result<Option<Witnessed>, ClientError> {
        let Some(policy) = self.store.policy(self.url())? else {
            return Ok(None);
        };
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            match self.ask_proof(&policy, head).await {
                Err(
                    ClientError::NotWitnessed { .. }
                    | ClientError::NotFound(_)
                    | ClientError::Unreachable(_),
                ) if attempt < ATTEMPTS => {}
                done => return done.map(Some),
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        Ok(None)
    }

    async fn ask_proof(&self, policy: &Policy, head: &TreeState) -> Result<Witnessed, ClientError> {
        let tree_size = head.tree_size();
        let path = format!("/tlog-proof/{tree_size}");
        let bytes = self.transport.get(&path).await?;
        let config = &self.directory.config;
        let now = self.clock.now();
        // Seconds. A cosignature is as fresh as a head has to be.
        let in_time: RangeInclusive<u64> = now.saturating_sub(config.max_behind) / 1000
            ..=now.saturating_add(config.max_ahead) / 1000;
        let verified = self.verify_proof(policy, head, &bytes, &in_time);
        verified.map_err(|error| match error {
            Unwitnessed::Few(cosigned) => {
                let witnessed = split(policy, tree_size, cosigned);
                ClientError::NotWitnessed {
                    cosigned: witnessed.cosigned,
                    missing: witnessed.missing,
                }
            }
            Unwitnessed::Wrong(error) => self.not_verified(
                error,
                Exchange {
                    files: vec![("tlog-proof.txt", bytes)],
                    ..Exchange::default()
                },
            ),
        })
    }

    /// What the head log must have of a head.
    pub(super) fn head_record(&self, head: &TreeState) -> Result<HeadRecord, ClientError> {
        Ok(HeadRecord {
            config_hash: self.config_hash,
            tree_size: head.tree_size(),
            entry: *head.rightmost().ok_or(ClientError::Unsettled)?,
            root: head.view.root,
        })
    }

    fn verify_proof(
        &self,
        policy: &Policy,
        head: &TreeState,
        bytes: &[u8],
        in_time: &RangeInclusive<u64>,
    ) -> Result<Witnessed, Unwitnessed> {
        let proof = TlogProof::parse(bytes)?;
        let record = self.head_record(head);
        let record = record.map_err(|_| Unwitnessed::Few(BTreeSet::new()))?;
        match proof.verify_head(&record, policy, in_time) {
            Ok(trusted) => {
                let keys = trusted.cosignatures.iter().map(|one| one.key);
                Ok(split(policy, record.tree_size, names(keys)))
            }
            Err(TlogProofError::Trust(TrustError::Quorum { .. })) => {
                let keys = policy.witnesses().iter().map(|witness| &witness.key);
                let signed = proof.checkpoint().verify(keys).unwrap_or_default();
                let in_time = signed.iter().filter(|s| in_time.contains(&s.timestamp));
                Err(Unwitnessed::Few(names(in_time.map(|one| one.key))))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Why a head is not witnessed.
enum Unwitnessed {
    /// Only these cosigned.
    Few(BTreeSet<String>),
    /// The proof does not hold.
    Wrong(TlogProofError),
}

impl From<TlogProofError> for Unwitnessed {
    fn from(error: TlogProofError) -> Self {
        Self::Wrong(error)
    }
}

fn names<'k>(keys: impl Iterator<Item = &'k VerifierKey>) -> BTreeSet<String> {
    keys.map(|key| key.name().to_owned()).collect()
}

fn split(policy: &Policy, tree_size: u64, cosigned: BTreeSet<String>) -> Witnessed {
    let all = names(policy.witnesses().iter().map(|witness| &witness.key));
    Witnessed {
        tree_size,
        missing: all.difference(&cosigned).cloned().collect(),
        cosigned: cosigned.into_iter().collect(),
    }
}
