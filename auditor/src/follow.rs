//! Following one directory: fetch, replay, compare, remember, sign, deliver.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use overt_protocol::auditor::{AuditError, AuditorState};
use overt_protocol::codec::{Decode, DecodeError, Encode, Reader};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::suite::SigningKey;
use overt_protocol::wire::{AuditorUpdate, Configuration, DeploymentMode, TreeHead};
use thiserror::Error;

use crate::config::Followed;
use crate::store::{Recent, Record, Store};

/// Bytes of an answer: what the directory sends at once, with room for one large entry.
const MAX_ANSWER: usize = 32 << 20;
const TIMEOUT: Duration = Duration::from_secs(60);

/// What became of one look at a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is replayed; the newest head is signed if the directory wants that of us.
    UpToDate,
    /// There is more.
    Behind,
    /// The directory is refused.
    Refused(String),
}

/// What some updates lead to.
struct Replayed {
    state: AuditorState,
    recent: Recent,
}

/// Why updates lead to nothing.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    #[error(transparent)]
    Store(#[from] anyhow::Error),
}

/// Follows one directory.
pub struct Follower<'s> {
    http: reqwest::Client,
    store: &'s Store,
    followed: Followed,
    seed: zeroize::Zeroizing<[u8; 32]>,
}

impl<'s> Follower<'s> {
    /// A follower that signs with the key made of `seed`.
    pub fn new(
        store: &'s Store,
        followed: Followed,
        seed: zeroize::Zeroizing<[u8; 32]>,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("overt-auditor/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(TIMEOUT)
            .build()?;
        Ok(Self {
            http,
            store,
            followed,
            seed,
        })
    }

    /// Looks at the directory once. Errors are faults of the network or of this machine.
    pub async fn look(&self) -> anyhow::Result<Outcome> {
        let url = &self.followed.url;
        let json = self.get("/v1/descriptor").await?;
        let (descriptor, config) = Descriptor::parse(&json).context("descriptor")?;
        let found = descriptor.fingerprint()?.to_string();
        let mut record = match self.store.record(url)? {
            Some(record) => record,
            None => self.begin(&found)?,
        };
        if let Some(reason) = &record.refused {
            return Ok(Outcome::Refused(reason.clone()));
        }
        if let Some(expected) = self.followed.expected()?
            && expected.to_string() != record.fingerprint
        {
            bail!(
                "{} was followed until now, the settings say {expected}: not followed",
                record.fingerprint
            );
        }
        // Nothing in a descriptor is signed: it may be another server at the same address.
        if found != record.fingerprint {
            let expected = &record.fingerprint;
            bail!("its fingerprint is {found}, not {expected}: another log under its address");
        }
        record.seen_at = now();

        let path = format!("/v1/auditor-updates?from={}", record.state.size);
        let updates = self.get(&path).await?;
        let replayed = match self.replay(&config, &record.state, &updates) {
            Ok(replayed) => replayed,
            Err(Failure::Malformed(error)) => bail!("malformed AuditorUpdate: {error}"),
            Err(Failure::Store(error)) => return Err(error),
            Err(Failure::Audit(error)) => {
                let files = vec![
                    ("state.bin", record.state.to_bytes()?),
                    ("auditor-updates.bin", updates),
                    ("configuration.bin", config.to_bytes()?),
                ];
                return self.refuse(record, &error, files);
            }
        };
        record.state = replayed.state;
        self.store.put_replayed(url, &record, &replayed.recent)?;
        if !updates.is_empty() {
            tracing::debug!(url, size = record.state.size, "replayed");
        }

        let bytes = self.get("/v1/tree-head").await?;
        let head = match TreeHead::from_bytes(&bytes, &()) {
            Ok(head) => head,
            Err(error) => bail!("malformed tree head: {error}"),
        };
        if head.tree_size > record.state.size && !updates.is_empty() {
            return Ok(Outcome::Behind);
        }
        if head.tree_size > record.state.size {
            bail!(
                "the directory shows a head of {} entries and gives only {}",
                head.tree_size,
                record.state.size
            );
        }
        if head.tree_size < record.state.size {
            bail!(
                "the directory shows a head of {} entries after it gave {}: it may have been \
                 restored from a backup",
                head.tree_size,
                record.state.size
            );
        }
        if let Err(error) = record.state.check_head(&config, &head) {
            let files = vec![
                ("state.bin", record.state.to_bytes()?),
                ("tree-head.bin", bytes),
                ("configuration.bin", config.to_bytes()?),
            ];
            return self.refuse(record, &error, files);
        }
        if let Some(key) = self.key_for(&config)? {
            self.sign(&config, &key, record).await?;
        }
        Ok(Outcome::UpToDate)
    }

    /// Replays updates that stand back to back.
    fn replay(
        &self,
        config: &Configuration,
        state: &AuditorState,
        updates: &[u8],
    ) -> Result<Replayed, Failure> {
        let mut state = state.clone();
        let mut recent = Recent::default();
        let may_remove = config.maximum_lifetime.is_some();
        let mut reader = Reader::new(updates);
        while !reader.is_empty() {
            let update = AuditorUpdate::decode(&mut reader, &())?;
            let next = state.apply(config, &update, |key, distinguished| {
                let added = match recent.added.get(key) {
                    Some(position) => Some(*position),
                    None => self.store.added(&self.followed.url, key)?,
                };
                Ok::<_, Failure>(added > distinguished)
            })?;
            if may_remove {
                let keys = update
                    .added
                    .iter()
                    .map(|leaf| (leaf.vrf_output, state.size));
                recent.added.extend(keys);
                recent.distinguished = state.distinguished(config, update.timestamp);
            }
            state = next;
        }
        Ok(Replayed { state, recent })
    }

    fn begin(&self, found: &str) -> anyhow::Result<Record> {
        let url = &self.followed.url;
        match self.followed.expected()? {
            Some(expected) if expected.to_string() != found => {
                bail!("its fingerprint is {found}, the settings say {expected}: not followed")
            }
            Some(_) => {}
            None => tracing::warn!(
                url,
                fingerprint = found,
                "followed from now on because it answered first; compare its fingerprint"
            ),
        }
        Ok(Record {
            fingerprint: found.to_owned(),
            state: AuditorState::empty(),
            head: None,
            refused: None,
            seen_at: now(),
        })
    }

    /// The key, if this auditor is the one that the configuration names.
    fn key_for(&self, config: &Configuration) -> anyhow::Result<Option<SigningKey>> {
        let DeploymentMode::ThirdPartyAuditing {
            auditor_public_key, ..
        } = &config.mode
        else {
            return Ok(None);
        };
        let key = SigningKey::from_bytes(config.ciphersuite, &self.seed)?;
        Ok((key.public_key() == *auditor_public_key).then_some(key))
    }

    /// Signs what was replayed, remembers it, and only then gives it away.
    async fn sign(
        &self,
        config: &Configuration,
        key: &SigningKey,
        mut record: Record,
    ) -> anyhow::Result<()> {
        let is_new = record.head.as_ref().map(|head| head.tree_size) != Some(record.state.size);
        if is_new {
            record.head = Some(record.state.sign(config, key)?);
            self.store.put(&self.followed.url, &record)?;
        }
        let head = record.head.context("nothing was signed")?;
        let url = self.url("/v1/auditor-head");
        let answer = self.http.post(url).body(head.to_bytes()?).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    fn refuse(
        &self,
        mut record: Record,
        error: &AuditError,
        files: Vec<(&str, Vec<u8>)>,
    ) -> anyhow::Result<Outcome> {
        let name = format!("{}-{}", now(), record.state.size);
        let folder = self.store.keep_evidence(&name, &files)?;
        let reason = format!("{error}; evidence is in {}", folder.display());
        tracing::error!(url = self.followed.url, reason, "REFUSED");
        record.refused = Some(reason.clone());
        self.store.put(&self.followed.url, &record)?;
        Ok(Outcome::Refused(reason))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.followed.url.trim_end_matches('/'))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.http.get(self.url(path)).send().await?;
        let mut answer = answer.error_for_status()?;
        let mut out = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            out.extend_from_slice(&chunk);
            anyhow::ensure!(out.len() <= MAX_ANSWER, "{path}: the answer is too large");
        }
        Ok(out)
    }
}

/// Follows for ever.
pub async fn follow(follower: Follower<'_>, poll: Duration) {
    let url = follower.followed.url.clone();
    let mut pause = poll;
    loop {
        match follower.look().await {
            Ok(Outcome::Behind) => continue,
            Ok(Outcome::UpToDate) => pause = poll,
            Ok(Outcome::Refused(_)) => pause = poll.saturating_mul(30),
            Err(error) => {
                tracing::warn!(url, error = format!("{error:#}"), "not followed just now");
                pause = (pause * 2).min(poll.saturating_mul(30));
            }
        }
        // Auditors that started together drift apart.
        let spread = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
        tokio::time::sleep(pause.mul_f64(0.8 + 0.4 * spread)).await;
    }
}

/// Milliseconds since the Unix epoch.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
