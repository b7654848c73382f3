//! What is checked before the directory serves anything: that the stored tree, the stored head and
//! its signature agree with each other and with the configuration.

use std::path::Path;

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::log_tree::{Subtree, full_subtrees, leaf_value, root_of_full_subtrees};
use overt_protocol::provider::Tip;
use overt_protocol::suite::VerifyingKey;
use overt_protocol::wire::{Configuration, HashValue, TreeHeadTbs};
use thiserror::Error;

use crate::directory::stored_page;
use crate::guard::Guard;
use crate::publish::LogSigner;
use crate::store::{Reader, Store, StoreError, moved_to};

/// Why the directory refuses to start.
#[derive(Debug, Error)]
pub enum StartupError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another server has the data directory.
    #[error(
        "{0} is in use by another server; stop it first, or give this one another data directory"
    )]
    InUse(String),
    /// The lock file cannot be made.
    #[error("cannot lock {path}: {error}")]
    Lock {
        /// The lock file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The configuration differs from the one the log was created with.
    #[error(
        "this log was created with another {0}. A log's configuration never changes, since every \
         signed head contains it: restore the old setting or key, or start a new log in an empty \
         data directory"
    )]
    Configuration(String),
    /// The log goes on in another place.
    #[error(
        "this directory was moved to {0}, or is about to be: start it there, or run `overt-server move` \
         again if that was interrupted. Going on here too would fork the log"
    )]
    Moved(String),
    /// Stored data contradict each other.
    #[error(
        "refusing to start: {0}. Restore the data directory from a backup that is not older than the last published head"
    )]
    Inconsistent(String),
}

/// Takes the data directory for this process; released when the file is dropped.
pub fn lock(data_dir: &Path) -> Result<std::fs::File, StartupError> {
    let path = data_dir.join("lock");
    let failed = |error| StartupError::Lock {
        path: path.display().to_string(),
        error,
    };
    let file = std::fs::File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(StartupError::InUse(data_dir.display().to_string()))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Checks the store against the configuration and itself. Returns the tip to go on from.
pub fn check<S: Store>(
    store: &S,
    config: &Configuration,
    requires_signed_value: bool,
    guard: &Guard,
) -> Result<Tip, StartupError> {
    if let Some(place) = moved_to(store)? {
        return Err(StartupError::Moved(place));
    }
    check_configuration(store, config, requires_signed_value)?;
    let signed = store.signed_head()?;
    let guarded = guard.read().map_err(StoreError::Guard)?;
    let Some(tip) = store.tip()? else {
        let size = signed
            .map(|(size, _)| size)
            .or(guarded.map(|(size, _)| size));
        return match size {
            None => Ok(Tip::empty()),
            Some(size) => Err(inconsistent(format!(
                "a head of {size} entries was signed, but the log is empty"
            ))),
        };
    };
    let reader = store.reader()?;
    check_tip(&reader, &tip)?;
    if let Some((size, root)) = guarded
        && root_at(&reader, &tip, size)? != root
    {
        return Err(inconsistent(format!(
            "the head of {size} entries that was signed last has another root than the stored tree"
        )));
    }
    if let Some((size, signature)) = signed {
        check_signed(&reader, config, &tip, size, &signature)?;
    }
    Ok(tip)
}

/// Checks that the head log still has its name and keys; keeps them at the first start.
pub fn check_log<S: Store>(store: &S, signer: &LogSigner) -> Result<(), StartupError> {
    let vkeys = signer.verifiers().map(ToString::to_string);
    let lines: Vec<String> = std::iter::once(signer.origin.clone())
        .chain(vkeys)
        .collect();
    let named = lines.join("\n").into_bytes();
    match store.meta("head_log")? {
        None => Ok(store.put_meta("head_log", &named)?),
        Some(stored) if stored == named => Ok(()),
        Some(_) => Err(StartupError::Configuration(
            "origin, or a key that signs checkpoints".to_owned(),
        )),
    }
}

/// The head log's name, once it has one.
pub fn origin<S: Store>(store: &S) -> Result<Option<String>, StoreError> {
    let Some(stored) = store.meta("head_log")? else {
        return Ok(None);
    };
    let damaged = || StoreError::Damaged("the head log's name".to_owned());
    let stored = String::from_utf8(stored).map_err(|_| damaged())?;
    Ok(stored.lines().next().map(str::to_owned))
}

fn inconsistent(what: String) -> StartupError {
    StartupError::Inconsistent(what)
}

fn check_configuration<S: Store>(
    store: &S,
    config: &Configuration,
    requires_signed_value: bool,
) -> Result<(), StartupError> {
    let encoded = config.to_bytes().map_err(|e| inconsistent(e.to_string()))?;
    let signed_value = vec![u8::from(requires_signed_value)];
    let Some(stored) = store.meta("configuration")? else {
        store.put_meta("configuration", &encoded)?;
        store.put_meta("requires_signed_value", &signed_value)?;
        return Ok(());
    };
    if stored != encoded {
        let old = Configuration::from_bytes(&stored, &())
            .map_err(|e| inconsistent(format!("the stored configuration is damaged: {e}")))?;
        return Err(StartupError::Configuration(difference(&old, config)));
    }
    if store
        .meta("requires_signed_value")?
        .is_some_and(|stored| stored != signed_value)
    {
        return Err(StartupError::Configuration(
            "access policy (`SignedValue`s required or not)".to_owned(),
        ));
    }
    Ok(())
}

/// Names what differs.
fn difference(old: &Configuration, new: &Configuration) -> String {
    let fields = [
        ("cipher suite", old.ciphersuite == new.ciphersuite),
        ("deployment mode", old.mode == new.mode),
        (
            "signature key",
            old.signature_public_key == new.signature_public_key,
        ),
        ("VRF key", old.vrf_public_key == new.vrf_public_key),
        ("max_ahead", old.max_ahead == new.max_ahead),
        ("max_behind", old.max_behind == new.max_behind),
        (
            "reasonable_monitoring_window",
            old.reasonable_monitoring_window == new.reasonable_monitoring_window,
        ),
        (
            "maximum_lifetime",
            old.maximum_lifetime == new.maximum_lifetime,
        ),
    ];
    let names: Vec<&str> = fields
        .iter()
        .filter(|(_, same)| !same)
        .map(|(name, _)| *name)
        .collect();
    names.join(", ")
}

fn check_tip(reader: &impl Reader, tip: &Tip) -> Result<(), StartupError> {
    let rightmost = tip.size.checked_sub(1);
    let rightmost = rightmost.ok_or_else(|| inconsistent("the stored head is empty".to_owned()))?;
    let (entry, root) = reader
        .log_entry(rightmost)?
        .ok_or_else(|| inconsistent(format!("log entry {rightmost} is missing")))?;
    if reader.log_entry(tip.size)?.is_some() {
        return Err(inconsistent(format!(
            "there are log entries beyond the stored head of {}",
            tip.size
        )));
    }
    if entry.timestamp != tip.timestamp || root != tip.prefix_root {
        return Err(inconsistent(format!(
            "log entry {rightmost} is not the one of the stored head"
        )));
    }
    let subtrees = stored_subtrees(reader, tip.size)?;
    if subtrees != tip.full_subtrees {
        return Err(inconsistent(format!(
            "the stored head of {} entries has another root than the stored tree",
            tip.size
        )));
    }
    let leaf = reader.log_subtree(Subtree::leaf(rightmost))?;
    if leaf != Some(leaf_value(&entry)) {
        return Err(inconsistent(format!(
            "log entry {rightmost} does not hash to its leaf in the log tree"
        )));
    }
    let last = reader.last_leaf()?;
    // The last ones may have been dropped, if they were removed.
    if last >= tip.next_leaf {
        return Err(inconsistent(format!(
            "the prefix tree has leaves up to {last}, the stored head expects {} next",
            tip.next_leaf
        )));
    }
    if let Some(root) = tip.prefix_root {
        let page = stored_page(reader, root.id, |_| None);
        if page
            .map_err(|error| inconsistent(error.to_string()))?
            .value()
            != root.value
        {
            return Err(inconsistent(
                "the prefix tree has another root than the stored head".to_owned(),
            ));
        }
    }
    Ok(())
}

fn stored_subtrees(reader: &impl Reader, size: u64) -> Result<Vec<HashValue>, StartupError> {
    full_subtrees(size)
        .into_iter()
        .map(|subtree| {
            reader.log_subtree(subtree)?.ok_or_else(|| {
                inconsistent(format!(
                    "the head of the log's subtree at leaf {} is missing",
                    subtree.start()
                ))
            })
        })
        .collect()
}

/// Root of the stored log tree when it had `size` leaves.
fn root_at(reader: &impl Reader, tip: &Tip, size: u64) -> Result<HashValue, StartupError> {
    if size > tip.size {
        return Err(inconsistent(format!(
            "a head of {size} entries was signed, but the store holds only {}: it is an older copy. \
             Going on would sign a second head for the same sizes",
            tip.size
        )));
    }
    root_of_full_subtrees(size, &stored_subtrees(reader, size)?)
        .ok_or_else(|| inconsistent("the signed head is empty".to_owned()))
}

fn check_signed(
    reader: &impl Reader,
    config: &Configuration,
    tip: &Tip,
    size: u64,
    signature: &[u8],
) -> Result<(), StartupError> {
    let root = root_at(reader, tip, size)?;
    let tbs = TreeHeadTbs {
        config,
        tree_size: size,
        root,
    };
    let tbs = tbs.to_bytes().map_err(|e| inconsistent(e.to_string()))?;
    let key = VerifyingKey::from_bytes(config.ciphersuite, &config.signature_public_key)
        .map_err(|e| inconsistent(format!("signature key: {e}")))?;
    key.verify(&tbs, signature).map_err(|_| {
        inconsistent(format!(
            "the stored signature is not one over the stored tree of {size} entries"
        ))
    })
}
