//! Evidence: kept, and taken from anyone.

use overt_protocol::evidence::{Accused, Evidence, EvidenceError, Finding};
use overt_protocol::head_log::key::VerifierKey;

use super::Gossip;
use crate::store::Record;

/// What became of evidence that someone brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Brought {
    /// It is kept.
    Kept(String),
    /// It was known, or there is more than enough.
    Known(String),
    /// It is about nobody that is followed here.
    Unrelated,
}

impl Gossip {
    /// Keeps evidence against a log ([`Log::subject`](super::Log::subject)).
    pub fn keep(&self, subject: &str, evidence: &Evidence, source: &str) -> anyhow::Result<bool> {
        let finding = evidence.verify()?;
        let now = self.clock.now();
        let is_new = self
            .store
            .keep_evidence(subject, evidence, &finding, source, now)?;
        if is_new {
            tracing::error!(
                subject,
                code = finding.code,
                evidence = evidence.id(),
                "REFUSED: {}",
                finding.explanation
            );
        }
        Ok(is_new)
    }

    /// Takes evidence from anyone.
    pub fn take(
        &self,
        records: &[Record],
        file: &[u8],
        source: &str,
    ) -> anyhow::Result<Result<Brought, EvidenceError>> {
        let read = Evidence::parse(file).and_then(|evidence| Ok((evidence.verify()?, evidence)));
        let (finding, evidence) = match read {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        let directories = records.iter().filter(|record| is_against(&finding, record));
        let subjects = directories.map(|record| &record.fingerprint);
        let logs = self.logs.iter();
        let logs = logs.filter(|log| is_against_log(&finding, &log.keys));
        let Some(subject) = subjects.chain(logs.map(|log| &log.subject)).next() else {
            return Ok(Ok(Brought::Unrelated));
        };
        let id = evidence.id();
        Ok(Ok(match self.keep(subject, &evidence, source)? {
            true => Brought::Kept(id),
            false => Brought::Known(id),
        }))
    }
}

/// Whether a directory holds all keys that are accused.
fn is_against(finding: &Finding, record: &Record) -> bool {
    let config_hash = record.config.hash().map(hex::encode).unwrap_or_default();
    finding.is_against(|accused| match accused {
        Accused::Log(vkey) | Accused::HeadLog(vkey) => record.descriptor.log_keys.contains(vkey),
        Accused::Directory(hash) => *hash == config_hash,
        _ => false,
    })
}

/// Whether a log holds all keys that are accused.
fn is_against_log(finding: &Finding, keys: &[VerifierKey]) -> bool {
    finding.is_against(|accused| match accused {
        Accused::Log(vkey) | Accused::HeadLog(vkey) => {
            keys.iter().any(|key| key.to_string() == *vkey)
        }
        _ => false,
    })
}
