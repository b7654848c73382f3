//! A head log read from wherever it is served, as anyone can.

use overt_protocol::head_log::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use overt_protocol::head_log::key::{NoteKeyError, SignatureType, SignerKey};
use overt_protocol::head_log::tile::{FULL_WIDTH, Tile, TilePath, parse_bundle};
use overt_protocol::head_log::tree::{
    CompactRange, HashReader, SizedRoot, TreeError, leaf_hash, node_hash,
};
use overt_protocol::log_tree::Subtree;
use overt_protocol::wire::HashValue;

/// All entries of a head log: enough to compute everything else.
#[derive(Debug, Clone, Default)]
pub struct HeadLog {
    /// The encoded records.
    pub entries: Vec<Vec<u8>>,
}

impl HeadLog {
    /// Fetches the first `size` entries from a server.
    pub async fn read(http: &reqwest::Client, url: &str, size: u64) -> anyhow::Result<Self> {
        let mut entries = Vec::new();
        for index in 0..size.div_ceil(FULL_WIDTH.into()) {
            let left = size - index * u64::from(FULL_WIDTH);
            let width = u16::try_from(left).unwrap_or(FULL_WIDTH).min(FULL_WIDTH);
            let at = Tile::new(0, index, width)?;
            let path = format!("{url}/{}", TilePath::Entries(at));
            let answer = http.get(path).send().await?.error_for_status()?;
            entries.extend(parse_bundle(at, &answer.bytes().await?)?);
        }
        Ok(Self { entries })
    }

    /// Its tree when it had so many leaves.
    #[must_use]
    pub fn at(&self, size: usize) -> SizedRoot {
        let mut range = CompactRange::default();
        let leaves = self.entries.iter().take(size);
        leaves.for_each(|entry| range.push(leaf_hash(entry)));
        range.sized_root()
    }

    /// A checkpoint of that tree, signed with these keys.
    pub fn checkpoint(
        &self,
        origin: &str,
        size: usize,
        keys: &[SignerKey],
    ) -> Result<SignedCheckpoint, CheckpointError> {
        SignedCheckpoint::sign(Checkpoint::new(origin, self.at(size))?, keys)
    }
}

/// The keys of a head log, one of each type, that are made of a seed.
pub fn log_keys(origin: &str, seed: u8) -> Result<[SignerKey; 2], NoteKeyError> {
    let key = |kind| SignerKey::from_seed(origin, kind, &[seed; 32]);
    Ok([
        key(SignatureType::Ed25519)?,
        key(SignatureType::MlDsa44Cosignature)?,
    ])
}

/// The settings of a directory whose head log has these keys.
#[must_use]
pub fn log_settings(origin: &str, seed: u8) -> [(&'static str, String); 3] {
    let seed = hex::encode([seed; 32]);
    [
        ("OVERT_SERVER_ORIGIN", origin.to_owned()),
        ("OVERT_SERVER_HEAD_LOG_KEY", seed.clone()),
        ("OVERT_SERVER_HEAD_LOG_ML_DSA_KEY", seed),
    ]
}

impl HashReader for HeadLog {
    type Error = anyhow::Error;

    fn hash(&mut self, subtree: Subtree) -> anyhow::Result<HashValue> {
        if let Some((left, right)) = subtree.children() {
            return Ok(node_hash(&self.hash(left)?, &self.hash(right)?));
        }
        let index = subtree.start();
        let entry = self.entries.get(usize::try_from(index)?);
        let size = self.entries.len().try_into()?;
        let entry = entry.ok_or(TreeError::Index { index, size })?;
        Ok(leaf_hash(entry))
    }
}
