//! akd: the configuration that WhatsApp uses, everything in memory.

use akd::append_only_zks::AzksParallelismConfig;
use akd::directory::Directory;
use akd::ecvrf::HardCodedAkdVRF;
use akd::proto::specs::types as proto;
use akd::storage::StorageManager;
use akd::storage::memory::AsyncInMemoryDatabase;
use akd::verify::history::HistoryVerificationParams;
use akd::{
    AkdLabel, AkdValue, AppendOnlyProof, Digest, EpochHash, HistoryParams, HistoryProof,
    LookupProof, WhatsAppV1Configuration,
};
use anyhow::Context;
use protobuf::Message;
use tokio::runtime::Runtime;

use crate::Change;

type Configuration = WhatsAppV1Configuration;

/// A directory.
pub struct Akd<'r> {
    runtime: &'r Runtime,
    directory: Directory<Configuration, AsyncInMemoryDatabase, HardCodedAkdVRF>,
    key: Vec<u8>,
    /// Its epochs' root hashes, from the first on.
    pub hashes: Vec<Digest>,
}

impl<'r> Akd<'r> {
    /// A new directory.
    pub fn new(runtime: &'r Runtime) -> anyhow::Result<Self> {
        let storage = StorageManager::new_no_cache(AsyncInMemoryDatabase::new());
        let parallel = AzksParallelismConfig::default();
        let directory = runtime.block_on(Directory::new(storage, HardCodedAkdVRF {}, parallel))?;
        let key = runtime.block_on(directory.get_public_key())?;
        let EpochHash(_, first) = runtime.block_on(directory.get_epoch_hash())?;
        Ok(Self {
            runtime,
            directory,
            key: key.as_bytes().to_vec(),
            hashes: vec![first],
        })
    }

    /// Makes the changes in one epoch.
    pub fn publish(&mut self, changes: &[Change]) -> anyhow::Result<()> {
        let changes = changes
            .iter()
            .map(|(label, value)| (AkdLabel(label.clone()), AkdValue(value.clone())))
            .collect();
        let EpochHash(_, hash) = self.runtime.block_on(self.directory.publish(changes))?;
        self.hashes.push(hash);
        Ok(())
    }

    /// Proves a label's greatest version.
    pub fn lookup(&self, label: &[u8]) -> anyhow::Result<(LookupProof, EpochHash)> {
        let label = AkdLabel(label.to_vec());
        Ok(self.runtime.block_on(self.directory.lookup(label))?)
    }

    /// Verifies such a proof.
    pub fn verify(
        &self,
        label: &[u8],
        (proof, hash): (LookupProof, EpochHash),
    ) -> anyhow::Result<()> {
        let EpochHash(epoch, hash) = hash;
        let label = AkdLabel(label.to_vec());
        akd::client::lookup_verify::<Configuration>(&self.key, hash, epoch, label, proof)
            .map(drop)
            .map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    /// A proof in its own encoding.
    pub fn bytes(proof: &LookupProof) -> anyhow::Result<Vec<u8>> {
        Ok(proto::LookupProof::from(proof).write_to_bytes()?)
    }

    /// Proves all versions of a label.
    pub fn history(&self, label: &[u8]) -> anyhow::Result<(HistoryProof, EpochHash)> {
        let label = AkdLabel(label.to_vec());
        let proof = self.directory.key_history(&label, HistoryParams::Complete);
        Ok(self.runtime.block_on(proof)?)
    }

    /// Verifies such a proof; how many versions it proves.
    pub fn verify_history(
        &self,
        label: &[u8],
        (proof, hash): (HistoryProof, EpochHash),
    ) -> anyhow::Result<usize> {
        let EpochHash(epoch, hash) = hash;
        let label = AkdLabel(label.to_vec());
        let params = HistoryVerificationParams::default();
        akd::client::key_history_verify::<Configuration>(
            &self.key, hash, epoch, label, proof, params,
        )
        .map(|versions| versions.len())
        .map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    /// Bytes of a history in its own encoding.
    pub fn history_size(proof: &HistoryProof) -> anyhow::Result<usize> {
        Ok(proto::HistoryProof::from(proof).write_to_bytes()?.len())
    }

    /// Proves to auditors what the last epoch added.
    pub fn audit(&self) -> anyhow::Result<AppendOnlyProof> {
        let last = self.hashes.len() as u64 - 1;
        Ok(self
            .runtime
            .block_on(self.directory.audit(last - 1, last))?)
    }

    /// Verifies such a proof.
    pub fn verify_audit(&self, proof: AppendOnlyProof) -> anyhow::Result<()> {
        let hashes = self.hashes.last_chunk::<2>().context("no epoch")?.to_vec();
        let verified = akd::auditor::audit_verify::<Configuration>(hashes, proof);
        Ok(self.runtime.block_on(verified)?)
    }

    /// Bytes of such a proof in its own encoding.
    pub fn audit_size(proof: &AppendOnlyProof) -> anyhow::Result<usize> {
        Ok(proto::AppendOnlyProof::from(proof).write_to_bytes()?.len())
    }
}
