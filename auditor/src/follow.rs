//! Following one directory: fetch, replay, compare, remember, sign, deliver.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::http::StatusCode;
use indicatif::{ProgressBar, ProgressStyle};
use overt_protocol::auditor::AuditError;
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::evidence::Evidence;
use overt_protocol::suite::SigningKey;
use overt_protocol::wire::{AuditorUpdate, Configuration, DeploymentMode, TreeHead};
use tokio::sync::watch;

use crate::config::Followed;
use crate::fetch::Declined;
use crate::gossip::Gossip;
use crate::replay::{replay, skip_to};
use crate::store::{Record, Replay, Store};
use crate::updates::Updates;

/// Bytes of a descriptor.
const MAX_DESCRIPTOR: usize = 1 << 18;

/// How often it is logged how far a long replay is.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// What became of one look at a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is replayed; the newest head is signed if the directory wants that of us.
    UpToDate,
    /// There is more.
    Behind {
        /// Log entries replayed.
        replayed: u64,
        /// Log entries that the directory shows.
        of: u64,
    },
    /// Something is wrong that proves nothing.
    Suspicious,
    /// The directory is refused.
    Refused,
}

/// Tells followers that there is something to look at, and others how far they are.
#[derive(Debug)]
pub struct Progress {
    wanted: watch::Sender<u64>,
    moved: watch::Sender<u64>,
}

impl Default for Progress {
    fn default() -> Self {
        let (wanted, moved) = (watch::channel(0).0, watch::channel(0).0);
        Self { wanted, moved }
    }
}

impl Progress {
    /// Has all followers look now.
    pub fn wake(&self) {
        self.wanted.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Changes whenever a follower has replayed something.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }
}

/// Follows one directory.
pub struct Follower {
    store: Arc<Store>,
    gossip: Arc<Gossip>,
    progress: Arc<Progress>,
    followed: Followed,
    seed: zeroize::Zeroizing<[u8; 32]>,
}

impl Follower {
    /// A follower that signs with the key made of `seed`.
    pub fn new(
        gossip: &Arc<Gossip>,
        progress: &Arc<Progress>,
        followed: Followed,
        seed: zeroize::Zeroizing<[u8; 32]>,
    ) -> Self {
        Self {
            store: Arc::clone(&gossip.store),
            gossip: Arc::clone(gossip),
            progress: Arc::clone(progress),
            followed,
            seed,
        }
    }

    /// Looks at the directory once. Errors are faults of the network or of this machine.
    pub async fn look(&self) -> anyhow::Result<Outcome> {
        let url = &self.followed.url;
        let json = self
            .gossip
            .fetch
            .get(url, "/v1/descriptor", MAX_DESCRIPTOR)
            .await?;
        let (descriptor, config) = Descriptor::parse(&json).context("descriptor")?;
        let found = descriptor.fingerprint()?.to_string();
        let expected = self.followed.expected()?.map(|one| one.to_string());
        let mut record = match self.store.record(expected.as_deref(), url)? {
            Some(record) => record,
            None => self.begin(expected.as_deref(), &found, descriptor, config)?,
        };
        // Nothing in a descriptor is signed: it may be another server at the same address.
        if found != record.fingerprint {
            let expected = &record.fingerprint;
            bail!("its fingerprint is {found}, not {expected}: another log under its address");
        }
        if record.refused.is_some() {
            return Ok(Outcome::Refused);
        }
        record.url.clone_from(url);
        record.seen_at = self.gossip.clock.now();

        let start = self.start(&record.config)?;
        skip_to(&self.gossip.fetch, &self.store, &mut record, start).await?;
        let begun = record.replay.size();
        let path = format!("/v1/auditor-updates?from={begun}");
        let pieces = match self.gossip.fetch.pieces(url, &path).await {
            Err(error) if is_gone(&error) => {
                let text = format!(
                    "Log entry {begun} has expired, and the directory does not have it in full any \
                     more; it was not replayed here in time. Nothing after it is signed. To go on \
                     from a later one, whoever runs this auditor can set `start` for this directory \
                     to its size of today; what happened between the two stays unchecked."
                );
                return self.suspect(record, "entries-expired", &text);
            }
            pieces => pieces?,
        };
        let mut updates = Updates::new(pieces);
        loop {
            let replayed = replay(&self.store, &record, &mut updates).await?;
            record.replay = replayed.replay;
            self.store
                .put_replayed(&record, &replayed.recent, &replayed.heads)?;
            if !replayed.heads.is_empty() {
                self.progress.moved.send_modify(|n| *n = n.wrapping_add(1));
            }
            if let Some((update, error)) = replayed.wrong {
                return self.accuse(record, &update, &error).await;
            }
            if replayed.is_all {
                break;
            }
        }
        let is_new = record.replay.size() > begun;
        if is_new {
            tracing::debug!(url, size = record.replay.size(), "replayed");
        }

        let bytes = self
            .gossip
            .fetch
            .get(url, "/v1/tree-head", MAX_DESCRIPTOR)
            .await?;
        let head = TreeHead::from_bytes(&bytes, &()).context("malformed tree head")?;
        let size = record.replay.size();
        if head.tree_size > size && is_new {
            let (replayed, of) = (size, head.tree_size);
            return Ok(Outcome::Behind { replayed, of });
        }
        let lag = self
            .gossip
            .clock
            .now()
            .saturating_sub(record.replay.state.timestamp);
        if is_new {
            self.store
                .note_lag(&record.fingerprint, self.gossip.clock.now(), lag)?;
        }
        if head.tree_size > size {
            bail!(
                "it shows a head of {} entries and gives only {size}",
                head.tree_size
            );
        }
        if head.tree_size < size {
            let text = format!(
                "The directory shows a head of {} log entries after it gave {size}. It may have been \
                 restored from a backup, which it must not be.",
                head.tree_size
            );
            return self.suspect(record, "head-went-back", &text);
        }
        if let Err(error) = record.replay.state.check_head(&record.config, &head) {
            let text = format!(
                "The head that the directory shows is not that of the log entries that it gave \
                 ({error}). Either may have been altered on the way."
            );
            return self.suspect(record, error.check(), &text);
        }
        record.tree_head = Some(head);
        record.confirmed = record.replay.clone();
        record.suspicion = None;
        self.store.put(&record)?;
        if let Some(key) = self.key_for(&record.config)? {
            self.sign(&key, record).await?;
        }
        Ok(Outcome::UpToDate)
    }

    /// Says what is wrong and no proof.
    fn suspect(&self, mut record: Record, code: &str, text: &str) -> anyhow::Result<Outcome> {
        let now = self.gossip.clock.now();
        self.store.suspect(&mut record, code, text, now)?;
        Ok(Outcome::Suspicious)
    }

    /// Where replaying begins: as the settings say, else where the configuration does if it names
    /// this auditor, else at the beginning.
    fn start(&self, config: &Configuration) -> anyhow::Result<u64> {
        Ok(match (self.followed.start, &config.mode) {
            (Some(start), _) => start,
            (
                None,
                DeploymentMode::ThirdPartyAuditing {
                    auditor_start_pos, ..
                },
            ) if self.key_for(config)?.is_some() => *auditor_start_pos,
            _ => 0,
        })
    }

    fn begin(
        &self,
        expected: Option<&str>,
        found: &str,
        descriptor: Descriptor,
        config: Configuration,
    ) -> anyhow::Result<Record> {
        let url = &self.followed.url;
        match expected {
            Some(expected) if expected != found => {
                bail!("its fingerprint is {found}, the settings say {expected}: not followed")
            }
            Some(_) => {}
            None => tracing::warn!(
                url,
                fingerprint = found,
                "followed from now on because it answered first; compare its fingerprint"
            ),
        }
        if let Some(other) = self.store.by_origin(&descriptor.origin)? {
            bail!(
                "its origin {} is that of another directory, {}: not followed",
                descriptor.origin,
                other.url
            );
        }
        Ok(Record {
            fingerprint: found.to_owned(),
            url: url.clone(),
            log_keys: descriptor.verifier_keys()?,
            descriptor,
            config,
            replay: Replay::empty(),
            confirmed: Replay::empty(),
            head: None,
            tree_head: None,
            refused: None,
            suspicion: None,
            seen_at: self.gossip.clock.now(),
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
    async fn sign(&self, key: &SigningKey, mut record: Record) -> anyhow::Result<()> {
        let is_new = record.head.as_ref().map(|head| head.tree_size) != Some(record.replay.size());
        if is_new {
            record.head = Some(record.replay.state.sign(&record.config, key)?);
            self.store.put(&record)?;
        }
        let head = record.head.context("nothing was signed")?;
        let body = head.to_bytes()?;
        self.gossip
            .fetch
            .post(&record.url, "/v1/auditor-head", body)
            .await
    }

    /// An update that no honest log gives. It is not signed, so that by itself it proves nothing: the
    /// directory's head log may, which has a record from before it and one from after it.
    async fn accuse(
        &self,
        record: Record,
        update: &AuditorUpdate,
        error: &AuditError,
    ) -> anyhow::Result<Outcome> {
        match self.contradiction(&record, update).await {
            Ok(evidence) if !evidence.is_empty() => {
                for one in &evidence {
                    self.gossip.keep(&record.fingerprint, one, "replay")?;
                }
                Ok(Outcome::Refused)
            }
            unproved => {
                let why = unproved
                    .err()
                    .map_or(String::new(), |e| format!(" ({e:#})"));
                let text = format!(
                    "The directory gave a log entry that no honest log has ({error}). Nothing after \
                     it is signed. Its head log does not prove that it holds this entry{why}, so it \
                     may have been altered on the way."
                );
                self.suspect(record, error.check(), &text)
            }
        }
    }

    async fn contradiction(
        &self,
        record: &Record,
        update: &AuditorUpdate,
    ) -> anyhow::Result<Vec<Evidence>> {
        let size = record.replay.size();
        let first = self.gossip.fetch.proven_record(&record.url, size).await?;
        let second = self
            .gossip
            .fetch
            .proven_record(&record.url, size.saturating_add(1))
            .await?;
        let (first, second) = ((&first.0, &first.1[..]), (&second.0, &second.1[..]));
        let (config, keys) = (&record.config, &record.log_keys);
        let subtrees = &record.replay.state.full_subtrees;
        let altered = Evidence::update(config, first, second, update, keys);
        let followed = || Evidence::records(first, second, subtrees, keys);
        Ok(altered.or_else(|_| followed())?)
    }
}

/// Whether there was something, once.
fn is_gone(error: &anyhow::Error) -> bool {
    let declined = error.downcast_ref::<Declined>();
    declined.is_some_and(|declined| declined.status == StatusCode::GONE)
}

/// Follows for ever.
pub async fn follow(follower: Follower, poll: Duration) {
    let url = follower.followed.url.clone();
    let mut wanted = follower.progress.wanted.subscribe();
    let mut pause = poll;
    let mut catching_up = CatchingUp::default();
    loop {
        let looked = follower.look().await;
        catching_up.show(&url, &looked);
        match looked {
            Ok(Outcome::Behind { .. }) => continue,
            Ok(Outcome::UpToDate) => pause = poll,
            Ok(Outcome::Suspicious | Outcome::Refused) => pause = poll.saturating_mul(10),
            Err(error) => {
                tracing::warn!(url, error = format!("{error:#}"), "not followed just now");
                pause = (pause * 2).min(poll.saturating_mul(30));
            }
        }
        // A directory that asks for a cosignature is looked at now.
        let _ = tokio::time::timeout(jittered(pause), wanted.changed()).await;
    }
}

/// Shows how far a replay is that takes a while: as a bar to people at a terminal, else in the log.
#[derive(Default)]
struct CatchingUp {
    bar: Option<ProgressBar>,
    said: Option<Instant>,
}

impl CatchingUp {
    fn show(&mut self, url: &str, looked: &anyhow::Result<Outcome>) {
        let Ok(Outcome::Behind { replayed, of }) = *looked else {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            return;
        };
        let bar = self.bar.get_or_insert_with(|| {
            let style = "{msg} {wide_bar} {pos}/{len} log entries, {per_sec}, {eta} left";
            let style = ProgressStyle::with_template(style);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(of).with_style(style);
            bar.with_message(url.to_owned()).with_position(replayed)
        });
        bar.set_length(of);
        bar.set_position(replayed);
        if bar.is_hidden() && self.said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            tracing::info!(url, replayed, of, "catching up");
            self.said = Some(Instant::now());
        }
    }
}

/// Auditors that started together drift apart.
pub fn jittered(pause: Duration) -> Duration {
    let spread = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
    pause.mul_f64(0.8 + 0.4 * spread)
}
