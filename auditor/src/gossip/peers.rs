//! Asking logs and peers.

use std::collections::BTreeSet;

use overt_protocol::evidence::MAX_EVIDENCE_LEN;
use overt_protocol::head_log::witness::monitoring_path;

use super::{Agreement, Brought, Gossip, Log, Verdict, lock};
use crate::config::Peer;
use crate::cosign::Role;
use crate::store::Record;

/// Files fetched from a peer at one look.
const MAX_FETCHED: usize = 8;
/// IDs of files that proved nothing.
const MAX_REJECTED: usize = 1_024;

/// A log that is known here.
#[derive(Clone, Copy)]
enum Known<'a> {
    /// It is replayed.
    Directory(&'a Record),
    /// It is only witnessed.
    Other(&'a Log),
}

impl Gossip {
    /// Compares checkpoints that were brought before their entries were replayed.
    pub async fn compare_early(&self, record: &Record) -> anyhow::Result<()> {
        let origin = &record.descriptor.origin;
        let from = lock(&self.compared).get(origin).copied().unwrap_or(0);
        let to = record.replay.size();
        let sizes = from.saturating_add(1)..=to;
        for signed in self.store.differing(&record.fingerprint, origin, sizes)? {
            // It is news now.
            self.store.forget(&signed)?;
            let compared = self.compare(record, &signed, "earlier", None).await;
            if compared.is_err() {
                self.store.remember(&signed)?;
            }
            compared?;
        }
        lock(&self.compared).insert(origin.clone(), to);
        Ok(())
    }

    /// Compares with every log's own checkpoint and with all peers, once.
    pub async fn look(&self, records: &[Record]) {
        for record in records.iter().filter(|record| record.refused.is_none()) {
            if let Err(error) = self.compare_early(record).await {
                tracing::warn!(url = record.url, "not compared: {error:#}");
            }
            let known = Known::Directory(record);
            if let Err(error) = self.ask(known, &record.url, "/checkpoint", None).await {
                tracing::debug!(url = record.url, "no checkpoint: {error:#}");
            }
        }
        for log in &self.logs {
            let Some(url) = &log.url else { continue };
            if let Err(error) = self.ask(Known::Other(log), url, "/checkpoint", None).await {
                tracing::debug!(url, "no checkpoint: {error:#}");
            }
        }
        for peer in &self.peers {
            let directories = records.iter().map(Known::Directory);
            for known in directories.chain(self.logs.iter().map(Known::Other)) {
                self.compare_with(peer, known).await;
            }
            if let Err(error) = self.collect(peer, records).await {
                tracing::debug!(peer = peer.url, "no evidence list: {error:#}");
            }
        }
    }

    /// Compares the checkpoint at an address, the log's own or that of a peer.
    async fn ask(
        &self,
        known: Known<'_>,
        url: &str,
        path: &str,
        peer: Option<&str>,
    ) -> anyhow::Result<(u64, Verdict)> {
        let signed = self.fetch.checkpoint(url, path).await?;
        let source = peer.unwrap_or("log");
        let verdict = match known {
            Known::Directory(record) => self.compare(record, &signed, source, peer).await?,
            Known::Other(log) => self.compare_witnessed(log, &signed, source).await?,
        };
        Ok((signed.checkpoint().tree().size, verdict))
    }

    async fn compare_with(&self, peer: &Peer, known: Known<'_>) {
        let (role, origin) = match known {
            Known::Directory(record) => (Role::Auditor, &record.descriptor.origin),
            Known::Other(log) => (Role::Witness, &log.origin),
        };
        let path = format!("/{}/{}", role.name(), monitoring_path(origin));
        let asked = self.ask(known, &peer.url, &path, Some(&peer.url)).await;
        let asked = asked.inspect_err(|e| tracing::debug!(peer = peer.url, "not compared: {e:#}"));
        let (tree_size, verdict) = asked.ok().unzip();
        let agreement = Agreement {
            tree_size,
            verdict,
            at: self.clock.now(),
        };
        lock(&self.agreements).insert((peer.url.clone(), origin.clone()), agreement);
    }

    /// Fetches evidence that a peer has.
    async fn collect(&self, peer: &Peer, records: &[Record]) -> anyhow::Result<()> {
        let list = self
            .fetch
            .get(&peer.url, "/gossip/evidence", 1 << 20)
            .await?;
        let list: Vec<String> = serde_json::from_slice(&list)?;
        let known: BTreeSet<String> = self.store.evidence()?.into_iter().map(|e| e.id).collect();
        let is_id = |id: &String| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let wanted = list
            .into_iter()
            .filter(|id| is_id(id) && !known.contains(id) && !lock(&self.rejected).contains(id));
        for id in wanted.take(MAX_FETCHED) {
            let path = format!("/gossip/evidence/{id}");
            let file = self.fetch.get(&peer.url, &path, MAX_EVIDENCE_LEN).await?;
            let kept = matches!(self.take(records, &file, &peer.url)?, Ok(Brought::Kept(_)));
            if !kept {
                let mut rejected = lock(&self.rejected);
                if rejected.len() >= MAX_REJECTED {
                    rejected.pop_first();
                }
                rejected.insert(id);
            }
        }
        Ok(())
    }
}
