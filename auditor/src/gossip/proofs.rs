//! What a log proves of itself, when it is asked.

use std::collections::BTreeMap;

use overt_protocol::evidence::{Evidence, Head};
use overt_protocol::head_log::proof::{MAX_PROOF_LEN, TlogProof};
use overt_protocol::head_log::tile::{HashTile, TilePath};
use overt_protocol::head_log::tiled_tree::{is_grown, tiles_between};
use overt_protocol::head_log::tree::SizedRoot;
use overt_protocol::head_log::witness::monitoring_path;
use overt_protocol::wire::HashValue;
use serde::{Deserialize, Serialize};

use super::{Gossip, Log};
use crate::store::Record;

/// Bytes of a tile of hashes.
const MAX_HASHES: usize = 256 * 32;

/// A leaf as a peer gives it.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeafProof {
    /// In hexadecimal.
    pub leaf_hash: String,
    /// The tlog-proof that the directory gave.
    pub proof: String,
}

impl Gossip {
    /// Whether the tiles of a log show that its tree `new` begins with its tree `old`. None if they
    /// are not to be had.
    pub(super) async fn is_grown(
        &self,
        log: &Log,
        old: &SizedRoot,
        new: &SizedRoot,
    ) -> Option<bool> {
        if old.size == new.size || old.size == 0 {
            return Some(old.size == 0 || old.root == new.root);
        }
        let url = log.url.as_deref()?;
        match self.consistency(url, old, new).await {
            Ok(is_grown) => Some(is_grown),
            Err(error) => {
                tracing::debug!(url, "consistency is not proved: {error:#}");
                None
            }
        }
    }

    async fn consistency(
        &self,
        url: &str,
        old: &SizedRoot,
        new: &SizedRoot,
    ) -> anyhow::Result<bool> {
        let mut tiles = BTreeMap::new();
        for at in tiles_between(old.size, new.size)? {
            let path = format!("/{}", TilePath::Hashes(at));
            let bytes = self.fetch.get(url, &path, MAX_HASHES).await?;
            tiles.insert(at, HashTile::from_bytes(at, &bytes)?.hashes);
        }
        Ok(is_grown(old, new, tiles)?)
    }

    /// Looks for two signed statements about one head.
    pub(super) async fn prove(
        &self,
        record: &Record,
        size: u64,
        mine: Option<(TlogProof, HashValue)>,
        peer: Option<&str>,
    ) -> Vec<Evidence> {
        let keys = &record.log_keys;
        let theirs = match peer {
            Some(peer) => self.leaf_of(peer, record, size).await.ok(),
            None => None,
        };
        if let (Some(mine), Some(theirs)) = (&mine, &theirs)
            && let Ok(evidence) = Evidence::leaves(mine, theirs, keys)
        {
            return evidence;
        }
        // The directory's own signature on what it gave, and what its head log says of that.
        let (Some(head), Some(root)) = (&record.tree_head, record.confirmed.state.root()) else {
            return Vec::new();
        };
        let leaf = self.fetch.proven_record(&record.url, head.tree_size).await;
        let Ok((proof, leaf)) = leaf else {
            return Vec::new();
        };
        let head = Head::of_directory(head, root);
        let proved = keys.iter().map(|key| {
            Evidence::head_and_record(&record.config, head.clone(), (&proof, &leaf), key)
        });
        proved.filter_map(Result::ok).take(1).collect()
    }

    /// The leaf of a size as a peer sees it.
    async fn leaf_of(
        &self,
        peer: &str,
        record: &Record,
        size: u64,
    ) -> anyhow::Result<(TlogProof, HashValue)> {
        let hash = monitoring_path(&record.descriptor.origin).replace("/checkpoint", "");
        let path = format!("/gossip/leaf/{hash}/{size}");
        let limit = MAX_PROOF_LEN.saturating_mul(2);
        let leaf: LeafProof = serde_json::from_slice(&self.fetch.get(peer, &path, limit).await?)?;
        let mut hash = HashValue::default();
        hex::decode_to_slice(&leaf.leaf_hash, &mut hash)?;
        Ok((TlogProof::parse(leaf.proof.as_bytes())?, hash))
    }

    /// The leaf of a size as it was replayed here, with the directory's proof of it.
    pub async fn own_leaf(&self, record: &Record, size: u64) -> anyhow::Result<Option<LeafProof>> {
        let Some(known) = self.store.replayed(&record.fingerprint, size)? else {
            return Ok(None);
        };
        let proof = self.fetch.proof(&record.url, size).await?;
        Ok(Some(LeafProof {
            leaf_hash: hex::encode(known.leaf),
            proof: proof.to_string(),
        }))
    }
}
