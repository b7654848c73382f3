//! Replaying what a directory gives, from the first log entry or from a position on.

use overt_protocol::auditor::AuditError;
use overt_protocol::codec::{Decode, EncodeError};
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tile::{FULL_WIDTH, Tile, TilePath, parse_bundle};
use overt_protocol::wire::AuditorUpdate;
use thiserror::Error;

use crate::fetch::{Fetch, MAX_TILE};
use crate::store::{Recent, Record, Replay, ReplayedHead, Store};
use crate::updates::{Updates, UpdatesError};

/// Bytes of updates that are replayed before the result is stored, or one more update.
const BATCH_BYTES: usize = 1 << 20;
/// Updates, if they are small.
const BATCH_UPDATES: usize = 1024;

/// What some updates lead to.
pub(crate) struct Replayed {
    pub(crate) replay: Replay,
    pub(crate) recent: Recent,
    pub(crate) heads: Vec<ReplayedHead>,
    /// Whether the answer has no more.
    pub(crate) is_all: bool,
    /// The first update that no honest log gives, and why.
    pub(crate) wrong: Option<(AuditorUpdate, AuditError)>,
}

/// Why updates lead to nothing.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Updates(#[from] UpdatesError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Store(#[from] anyhow::Error),
}

/// Replays some of the updates, up to the first that is wrong.
pub(crate) async fn replay(
    store: &Store,
    record: &Record,
    updates: &mut Updates,
) -> Result<Replayed, Failure> {
    let config = &record.config;
    let config_hash = config.hash()?;
    let mut done = Replayed {
        replay: record.replay.clone(),
        recent: Recent::default(),
        heads: Vec::new(),
        is_all: false,
        wrong: None,
    };
    let mut bytes: usize = 0;
    while bytes < BATCH_BYTES && done.heads.len() < BATCH_UPDATES {
        let Some((update, length)) = updates.next().await? else {
            done.is_all = true;
            break;
        };
        bytes = bytes.saturating_add(length);
        let state = &done.replay.state;
        let next = state.apply(config, &update, |key, distinguished| {
            let added = match done.recent.added.get(key) {
                Some(position) => Some(*position),
                None => store.added(&record.fingerprint, key)?,
            };
            Ok::<_, Failure>(added > distinguished)
        });
        let next = match next {
            Ok(next) => next,
            Err(Failure::Audit(error)) => {
                done.wrong = Some((update, error));
                break;
            }
            Err(other) => return Err(other),
        };
        if config.maximum_lifetime.is_some() {
            let keys = update.added.iter();
            let keys = keys.map(|leaf| (leaf.vrf_output, state.size));
            done.recent.added.extend(keys);
            done.recent.distinguished = state.distinguished(config, update.timestamp);
        }
        let leaf = next.head_record(config_hash).ok_or(AuditError::Empty)?;
        let leaf = leaf.leaf_hash()?;
        done.replay.head_log.push(leaf);
        let tree = done.replay.head_log.sized_root();
        done.heads.push(ReplayedHead { tree, leaf });
        done.replay.state = next;
    }
    Ok(done)
}

/// Passes over the log entries to the left of `start`. They are taken from the head log, where each
/// leaf states the directory at one size. That these leaves follow from one another is checked; what
/// became of the prefix tree between them is not. Stored now and then, so that it can be interrupted.
pub(crate) async fn skip_to(
    fetch: &Fetch,
    store: &Store,
    record: &mut Record,
    start: u64,
) -> anyhow::Result<()> {
    let width = u64::from(FULL_WIDTH);
    while record.replay.size() < start {
        let size = record.replay.size();
        let number = size / width;
        let rest = start.saturating_sub(number.saturating_mul(width));
        let at = Tile::new(0, number, u16::try_from(rest.min(width))?)?;
        let path = format!("/{}", TilePath::Entries(at));
        let bundle = fetch.get(&record.url, &path, MAX_TILE).await?;
        let known = usize::try_from(size % width)?;
        for entry in parse_bundle(at, &bundle)?.iter().skip(known) {
            skip(record, &HeadRecord::from_bytes(entry, &())?)?;
        }
        store.put_replayed(record, &Recent::default(), &[])?;
    }
    Ok(())
}

fn skip(record: &mut Record, stated: &HeadRecord) -> anyhow::Result<()> {
    let Replay { state, head_log } = &mut record.replay;
    let next = state.append(&stated.entry)?;
    let due = next.head_record(record.config.hash()?);
    anyhow::ensure!(
        due == Some(*stated),
        "leaf {} of the head log does not follow from those before",
        state.size
    );
    head_log.push(stated.leaf_hash()?);
    *state = next;
    Ok(())
}
