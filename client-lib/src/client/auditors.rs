//! Asking the auditors and witnesses of one's own policy what they were shown, and telling them what
//! is shown here: whoever is shown another log learns it from the first honest one.

use std::collections::{BTreeMap, BTreeSet};

use overt_protocol::evidence::{Accused, Evidence, Finding, MAX_EVIDENCE_LEN};
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::head_log::policy::Policy;
use overt_protocol::head_log::proof::{TlogProof, TlogProofError};
use overt_protocol::head_log::tile::{FULL_WIDTH, HashTile, Tile, TilePath};
use overt_protocol::head_log::tiled_tree::{is_grown, tiles_between};
use overt_protocol::head_log::tree::SizedRoot;
use overt_protocol::head_log::witness::monitoring_path;
use overt_protocol::user::TreeState;
use overt_protocol::wire::HashValue;
use serde::Deserialize;

use crate::alarm::State;
use crate::client::Client;
use crate::client::event::Event;
use crate::error::{ClientError, Reason};
use crate::failure::Exchange;
use crate::transport::{Transport, TransportError};
use crate::trust::TrustError;

/// Evidence files that are fetched from one auditor.
const MAX_FETCHED: usize = 8;

/// What this user was shown: a head that was verified, and where the log has it.
struct Own {
    proof: TlogProof,
    leaf: HashValue,
    log_keys: Vec<VerifierKey>,
}

/// A leaf of the head log as an auditor replayed it.
#[derive(Deserialize)]
struct LeafProof {
    leaf_hash: String,
    proof: String,
}

impl<T: Transport> Client<T> {
    /// Asks each auditor and witness of the user's policy for the checkpoint that it cosigned last,
    /// compares it with what is shown here, and tells it what that is. None without a policy. What
    /// proves that the log is forked is kept, and raises the alarm.
    pub async fn ask_auditors(&self) -> Option<Event> {
        let event = match self.store.policy(self.url()) {
            Ok(Some(policy)) => match self.compare_with_auditors(&policy).await {
                Ok((agreed, silent)) => return Some(Event::Audited { agreed, silent }),
                Err(error) => self.about_directory(error),
            },
            Ok(None) => return None,
            Err(error) => self.about_directory(error.into()),
        };
        if event.state() > State::NotCheckable
            && let Some(alarm) = event.alarm(self.clock.now())
            && let Err(error) = self.store.raise(self.url(), &alarm)
        {
            return Some(self.about_directory(error.into()));
        }
        Some(event)
    }

    fn about_directory(&self, error: ClientError) -> Event {
        let label = Vec::new();
        Event::Failed { label, error }
    }

    /// Who agreed, and who was not to be reached.
    async fn compare_with_auditors(
        &self,
        policy: &Policy,
    ) -> Result<(Vec<String>, Vec<String>), ClientError> {
        let tree = self.refresh().await?;
        let own = self.own_view(&tree).await?;
        let mut keys: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for witness in policy.witnesses() {
            if let Some(url) = &witness.url {
                let url = String::from_utf8_lossy(url)
                    .trim_end_matches('/')
                    .to_owned();
                keys.entry(url).or_default().push(witness.key.clone());
            }
        }
        let (mut agreed, mut silent) = (Vec::new(), Vec::new());
        for (url, keys) in keys {
            match self.compare_with(&url, &keys, &own).await {
                Ok(()) => agreed.push(url),
                Err(error) if State::of(&error) > State::NotCheckable => return Err(error),
                Err(_) => silent.push(url),
            }
        }
        match agreed.is_empty() && !silent.is_empty() {
            true => Err(TransportError::Unreachable("no auditor answers".to_owned()).into()),
            false => Ok((agreed, silent)),
        }
    }

    /// The directory's proof that the verified head is in its head log, in whatever checkpoint.
    async fn own_view(&self, tree: &TreeState) -> Result<Own, ClientError> {
        let tree_size = tree.tree_size();
        let bytes = self
            .transport
            .get(&format!("/tlog-proof/{tree_size}"))
            .await?;
        let log_keys = self.directory.descriptor.verifier_keys();
        let log_keys = log_keys.map_err(TrustError::from)?;
        let record = self.head_record(tree)?;
        let read = || {
            let proof = TlogProof::parse(&bytes)?;
            let leaf = proof.check_head(&record)?;
            proof.checkpoint().verify(&log_keys)?;
            Ok((proof, leaf))
        };
        let (proof, leaf) = read().map_err(|error: TlogProofError| {
            let files = vec![("tlog-proof.txt", bytes.clone())];
            self.not_verified(
                error,
                Exchange {
                    files,
                    ..Exchange::default()
                },
            )
        })?;
        Ok(Own {
            proof,
            leaf,
            log_keys,
        })
    }

    async fn compare_with(
        &self,
        url: &str,
        keys: &[VerifierKey],
        own: &Own,
    ) -> Result<(), ClientError> {
        let origin = &self.directory.descriptor.origin;
        let path = monitoring_path(origin);
        let note = self.transport.elsewhere(url)?;
        let note = note.get(&format!("/{path}")).await?;
        let unusable = |error: &dyn std::fmt::Display| {
            ClientError::Unreachable(TransportError::Unreachable(format!("{url}: {error}")))
        };
        let theirs = SignedCheckpoint::parse(&note).map_err(|error| unusable(&error))?;
        theirs.verify(keys).map_err(|error| unusable(&error))?;
        theirs
            .verify(&own.log_keys)
            .map_err(|error| unusable(&error))?;
        // Where an auditor of ours answers besides cosigning.
        let base = url.rsplit_once('/').map_or(url, |(base, _)| base);
        let base = self.transport.elsewhere(base)?;

        let mine = own.proof.checkpoint();
        let (a, b) = (mine.checkpoint().tree(), theirs.checkpoint().tree());
        if a.size == b.size && a.root != b.root {
            let evidence = Evidence::checkpoints(mine, &theirs, &own.log_keys);
            return Err(self.differs(evidence.unwrap_or_default(), &note));
        }
        let (old, new) = if a.size < b.size { (a, b) } else { (b, a) };
        if !self.is_grown(&old, &new).await? {
            // Every leaf behind the fork states a root, and so differs. One such index is enough.
            let size = tree_size(&own.proof).min(old.size);
            let (mine, theirs) = (self.own_leaf(own, size).await?, leaf_at(&base, &path, size));
            let evidence = match (mine, theirs.await) {
                (Some(mine), Some(theirs)) => Evidence::leaves(&mine, &theirs, &own.log_keys).ok(),
                _ => None,
            };
            return Err(self.differs(evidence.unwrap_or_default(), &note));
        }
        self.tell(&base, mine).await
    }

    /// The leaf of the head of a size, as it is shown here.
    async fn own_leaf(
        &self,
        own: &Own,
        size: u64,
    ) -> Result<Option<(TlogProof, HashValue)>, ClientError> {
        if size == tree_size(&own.proof) {
            return Ok(Some((own.proof.clone(), own.leaf)));
        }
        let bytes = self.transport.get(&format!("/tlog-proof/{size}")).await?;
        let Ok(proof) = TlogProof::parse(&bytes) else {
            return Ok(None);
        };
        let width = u64::from(FULL_WIDTH);
        let (number, place) = (proof.index() / width, proof.index() % width);
        let within = proof.checkpoint().checkpoint().tree().size;
        let Some(at) = Tile::in_log(0, number, within) else {
            return Ok(None);
        };
        let path = format!("/{}", TilePath::Hashes(at));
        let tile = HashTile::from_bytes(at, &self.transport.get(&path).await?).ok();
        let leaf = usize::try_from(place)
            .ok()
            .and_then(|place| tile?.hashes.get(place).copied());
        Ok(leaf.map(|leaf| (proof, leaf)))
    }

    /// Whether the directory's tiles show that its tree `new` begins with its tree `old`.
    async fn is_grown(&self, old: &SizedRoot, new: &SizedRoot) -> Result<bool, ClientError> {
        if old.size == new.size || old.size == 0 {
            return Ok(true);
        }
        let mut tiles = BTreeMap::new();
        for at in tiles_between(old.size, new.size).unwrap_or_default() {
            let path = format!("/{}", TilePath::Hashes(at));
            if let Ok(tile) = HashTile::from_bytes(at, &self.transport.get(&path).await?) {
                tiles.insert(at, tile.hashes);
            }
        }
        // Tiles that are not what they should be show nothing.
        Ok(is_grown(old, new, tiles).unwrap_or(false))
    }

    /// Gives an auditor the checkpoint that is shown here. One that knows better has evidence.
    async fn tell(&self, base: &T, mine: &SignedCheckpoint) -> Result<(), ClientError> {
        let body = mine.to_string().into_bytes();
        match base.post("/gossip/checkpoint", body.clone()).await {
            Err(TransportError::Problem(problem)) if problem.status == 409 => {
                let evidence = self.evidence_of(base).await?;
                match evidence.is_empty() {
                    // It differs, and proves nothing: somebody may be lying, the auditor too.
                    true => Err(TransportError::Problem(problem).into()),
                    false => Err(self.differs(evidence, &body)),
                }
            }
            // Not every witness takes checkpoints from anybody.
            _ => Ok(()),
        }
    }

    /// What an auditor has against this directory, as far as it holds.
    async fn evidence_of(&self, base: &T) -> Result<Vec<Evidence>, ClientError> {
        let list = base.get("/gossip/evidence").await?;
        let ids: BTreeSet<String> = serde_json::from_slice(&list).unwrap_or_default();
        let is_id = |id: &String| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let mut out = Vec::new();
        for id in ids.into_iter().filter(is_id).take(MAX_FETCHED) {
            let file = base.get(&format!("/gossip/evidence/{id}")).await?;
            if file.len() <= MAX_EVIDENCE_LEN
                && let Ok(evidence) = Evidence::parse(&file)
                && evidence
                    .verify()
                    .is_ok_and(|finding| self.is_accused(&finding))
            {
                out.push(evidence);
            }
        }
        Ok(out)
    }

    /// Whether a finding is about this directory.
    fn is_accused(&self, finding: &Finding) -> bool {
        let descriptor = &self.directory.descriptor;
        finding.is_against(|accused| match accused {
            Accused::Log(vkey) | Accused::HeadLog(vkey) => descriptor.log_keys.contains(vkey),
            Accused::Directory(hash) => *hash == hex::encode(self.config_hash),
            _ => false,
        })
    }

    /// Another log than an auditor was shown: proved, or else only seen.
    fn differs(&self, evidence: Vec<Evidence>, note: &[u8]) -> ClientError {
        let mut files = vec![("auditor-checkpoint.txt", note.to_vec())];
        let reason = match evidence.first() {
            Some(evidence) => {
                files.push(("evidence.json", evidence.to_json().into_bytes()));
                Reason::Evidence(evidence.id())
            }
            None => Reason::AuditorDiffers,
        };
        let exchange = Exchange {
            files,
            ..Exchange::default()
        };
        self.not_verified(reason, exchange)
    }
}

/// The size of the head that a leaf of the head log is about.
fn tree_size(proof: &TlogProof) -> u64 {
    proof.index().saturating_add(1)
}

/// The leaf of the head of a size, as an auditor replayed it.
async fn leaf_at<T: Transport>(base: &T, path: &str, size: u64) -> Option<(TlogProof, HashValue)> {
    let hash = path.trim_end_matches("/checkpoint");
    let answer = base
        .get(&format!("/gossip/leaf/{hash}/{size}"))
        .await
        .ok()?;
    let leaf: LeafProof = serde_json::from_slice(&answer).ok()?;
    let mut value = HashValue::default();
    hex::decode_to_slice(&leaf.leaf_hash, &mut value).ok()?;
    Some((TlogProof::parse(leaf.proof.as_bytes()).ok()?, value))
}
