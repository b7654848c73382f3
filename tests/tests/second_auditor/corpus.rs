//! Logs of several shapes, and updates that are nearly theirs.

use std::collections::BTreeMap;

use overt_protocol::codec::{Decode, Encode};
use overt_protocol::prefix_tree::{modify, prove};
use overt_protocol::provider::auditor_update;
use overt_protocol::suite::{CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::{
    AuditorUpdate, Configuration, DeploymentMode, HashValue, PrefixLeaf, PrefixSearchResult,
};
use overt_tests::support::{MemoryLog, MemoryPages, NewVersion};
use rand::RngExt;
use rand::rngs::StdRng;

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;

/// What kind of log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Labels and versions.
    Log,
    /// The same, and old versions go in time.
    Removing,
    /// Trees of keys that begin alike.
    Crowded,
    /// The same, and leaves go or are replaced at any time.
    Shrinking,
}

impl Shape {
    /// A log's configuration and its updates.
    pub(crate) fn log(self, random: &mut StdRng) -> (Configuration, Vec<AuditorUpdate>) {
        match self {
            Self::Log | Self::Removing => real(self == Self::Removing, random),
            Self::Crowded | Self::Shrinking => crowded(self == Self::Shrinking, random),
        }
    }
}

fn real(removing: bool, random: &mut StdRng) -> (Configuration, Vec<AuditorUpdate>) {
    let lifetime = removing.then_some(60);
    let mut log = MemoryLog::new(SUITE, [1; 32], [2; 32], 30, lifetime);
    log.removes = removing;
    for n in 0..30 {
        let count = random.random_range(0..4);
        let version = |k: u32| NewVersion {
            label: format!("label {}", k % 3).into_bytes(),
            value: random.random::<[u8; 8]>().to_vec(),
            opening: [7; 16],
        };
        log.push(1_000 + 10 * n, (0..count).map(version).collect());
    }
    let updates = (0..log.tip.size)
        .map(|position| auditor_update(&log.published(), position).unwrap())
        .collect();
    (log.config.clone(), updates)
}

/// A key that shares many bits with others: a few of its bytes are random, and few of their bits.
fn key(random: &mut StdRng) -> HashValue {
    let mut key = [0; 32];
    for byte in [0, random.random_range(0..32), 31] {
        key[byte] = random.random::<u8>() & random.random::<u8>() & 0xa7;
    }
    key
}

fn crowded(shrinking: bool, random: &mut StdRng) -> (Configuration, Vec<AuditorUpdate>) {
    let mut pages = MemoryPages::default();
    let mut leaves: BTreeMap<HashValue, HashValue> = BTreeMap::new();
    let (mut root, mut id, mut updates) = (None, 0, Vec::new());
    for n in 0..12 {
        let mut removed = BTreeMap::new();
        let mut added = BTreeMap::new();
        for (key, commitment) in &leaves {
            if shrinking && random.random_ratio(1, 4) {
                removed.insert(*key, *commitment);
                if random.random_ratio(1, 3) {
                    added.insert(*key, random.random());
                }
            }
        }
        for _ in 0..random.random_range(0..6) {
            let key = key(random);
            if !leaves.contains_key(&key) {
                added.insert(key, random.random());
            }
        }
        leaves.retain(|key, _| !removed.contains_key(key));
        leaves.extend(&added);
        let list = |leaves: &BTreeMap<HashValue, HashValue>| -> Vec<PrefixLeaf> {
            let leaf = |(key, commitment): (&HashValue, &HashValue)| PrefixLeaf {
                vrf_output: *key,
                commitment: *commitment,
            };
            leaves.iter().map(leaf).collect()
        };
        let (added, removed) = (list(&added), list(&removed));
        let Ok(changed) = modify(&pages, root, &added, &removed, id) else {
            break;
        };
        let mut distinct: Vec<_> = added.iter().chain(&removed).map(|l| l.vrf_output).collect();
        let all = distinct.clone();
        distinct.sort();
        distinct.dedup();
        let mut proof = prove(&pages, root, &distinct).unwrap();
        let result = |key| proof.results[distinct.binary_search(key).unwrap()];
        proof.results = all.iter().map(result).collect();
        updates.push(AuditorUpdate {
            timestamp: 1_000 + n,
            added,
            removed,
            proof,
        });
        root = changed.root;
        id += changed.pages.len() as u64;
        pages.extend(changed.pages);
    }
    (config(shrinking), updates)
}

/// Every entry is distinguished, so that every leaf may go at once.
fn config(expires: bool) -> Configuration {
    let signing = SigningKey::from_bytes(SUITE, &[1; 32]).unwrap();
    let vrf = VrfSecretKey::from_bytes(SUITE, &[2; 32]).unwrap();
    Configuration {
        ciphersuite: SUITE,
        mode: DeploymentMode::ContactMonitoring,
        signature_public_key: signing.public_key(),
        vrf_public_key: vrf.public_key(),
        max_ahead: 60_000,
        max_behind: 60_000,
        reasonable_monitoring_window: 0,
        maximum_lifetime: expires.then_some(1_000),
    }
}

/// An element of a list; none of an empty one.
fn pick<'l, T>(list: &'l mut [T], random: &mut StdRng) -> Option<&'l mut T> {
    let length = list.len();
    (length > 0).then(|| &mut list[random.random_range(0..length)])
}

/// An update with one to three changes, some of which make another honest one.
pub(crate) fn mutate(
    honest: &AuditorUpdate,
    other: &AuditorUpdate,
    random: &mut StdRng,
) -> AuditorUpdate {
    let mut update = honest.clone();
    for _ in 0..random.random_range(1..4) {
        change(&mut update, other, random);
    }
    update
}

fn change(update: &mut AuditorUpdate, other: &AuditorUpdate, random: &mut StdRng) {
    let any = random.random_range(0..18);
    match any {
        0 => flip(update, random),
        1 => update.timestamp = (update.timestamp + random.random_range(0..25)).saturating_sub(12),
        2 => {
            if let Some(leaf) = pick(&mut update.added, random) {
                leaf.commitment = random.random();
            }
        }
        3 => {
            if let Some(leaf) = pick(&mut update.removed, random) {
                leaf.commitment[0] ^= 1;
            }
        }
        4 => {
            if let Some(leaf) = pick(&mut update.added, random) {
                leaf.vrf_output[random.random_range(0..32)] ^= 1 << random.random_range(0..8);
            }
        }
        5 => {
            if let Some(result) = pick(&mut update.proof.results, random) {
                *result = deeper(*result, random);
            }
        }
        6 => {
            if let Some(result) = pick(&mut update.proof.results, random) {
                *result = another(result.depth(), other, random);
            }
        }
        7 => {
            if let Some(element) = pick(&mut update.proof.elements, random) {
                *element = match random.random() {
                    true => [0; 32],
                    false => random.random(),
                };
            }
        }
        8 => drop(update.proof.elements.pop()),
        9 => update.proof.elements.push([0; 32]),
        10 => update.proof = other.proof.clone(),
        11 => overwrite(update, other, random),
        12 => forget(update, random),
        13 => swap(update, random),
        14 => std::mem::swap(&mut update.added, &mut update.removed),
        15 => rewrite(update, other, random),
        16 => remove(update, other, random),
        _ => also_remove(update),
    }
}

/// One bit of the encoding, if that is still one.
fn flip(update: &mut AuditorUpdate, random: &mut StdRng) {
    let mut bytes = update.to_bytes().unwrap();
    let at = random.random_range(0..bytes.len());
    bytes[at] ^= 1 << random.random_range(0..8);
    if let Ok(flipped) = AuditorUpdate::from_bytes(&bytes, &()) {
        *update = flipped;
    }
}

fn deeper(result: PrefixSearchResult, random: &mut StdRng) -> PrefixSearchResult {
    let by = [1, 255, 2, 254, random.random()][random.random_range(0..5)];
    let depth = result.depth().wrapping_add(by);
    match result {
        PrefixSearchResult::Inclusion { .. } => PrefixSearchResult::Inclusion { depth },
        PrefixSearchResult::NonInclusionLeaf { leaf, .. } => {
            PrefixSearchResult::NonInclusionLeaf { leaf, depth }
        }
        PrefixSearchResult::NonInclusionParent { .. } => {
            PrefixSearchResult::NonInclusionParent { depth }
        }
    }
}

fn another(depth: u8, other: &AuditorUpdate, random: &mut StdRng) -> PrefixSearchResult {
    match (random.random_range(0..3), other.added.first()) {
        (0, Some(leaf)) => PrefixSearchResult::NonInclusionLeaf { leaf: *leaf, depth },
        (1, _) => PrefixSearchResult::Inclusion { depth },
        _ => PrefixSearchResult::NonInclusionParent { depth },
    }
}

/// Adds a leaf that an earlier update, or this one, has already, with whatever proof there is.
fn overwrite(update: &mut AuditorUpdate, other: &AuditorUpdate, random: &mut StdRng) {
    let Some(leaf) = other.added.first() else {
        return;
    };
    let mut leaf = *leaf;
    if random.random() {
        leaf.commitment = random.random();
    }
    let at = update
        .added
        .partition_point(|added| added.vrf_output < leaf.vrf_output);
    update.added.insert(at, leaf);
    let depth = random.random_range(0..5);
    let result = another(depth, other, random);
    let results = &mut update.proof.results;
    results.insert(at.min(results.len()), result);
}

/// Adds a key that is there, with the leaf that is there as proof that another is: the fault of the
/// auditor that is told of above.
fn rewrite(update: &mut AuditorUpdate, other: &AuditorUpdate, random: &mut StdRng) {
    let Some(leaf) = pick(&mut other.added.clone(), random).copied() else {
        return;
    };
    let depth = random.random_range(0..4);
    update.added = vec![PrefixLeaf {
        commitment: random.random(),
        ..leaf
    }];
    update.removed.clear();
    update.proof.results = vec![PrefixSearchResult::NonInclusionLeaf { leaf, depth }];
    update.proof.elements.resize(depth.into(), [9; 32]);
}

/// Removes a leaf of an earlier update, or of this one.
fn remove(update: &mut AuditorUpdate, other: &AuditorUpdate, random: &mut StdRng) {
    let Some(leaf) = pick(&mut other.added.clone(), random).copied() else {
        return;
    };
    let depth = random.random_range(0..4);
    update.added.clear();
    update.removed = vec![leaf];
    update.proof.results = vec![PrefixSearchResult::Inclusion { depth }];
    update.proof.elements.resize(depth.into(), [9; 32]);
}

/// One leaf less, with its result or without.
fn forget(update: &mut AuditorUpdate, random: &mut StdRng) {
    if update.added.is_empty() {
        return;
    }
    let at = random.random_range(0..update.added.len());
    update.added.remove(at);
    if random.random() && at < update.proof.results.len() {
        update.proof.results.remove(at);
    }
}

fn swap(update: &mut AuditorUpdate, random: &mut StdRng) {
    match random.random_range(0..3) {
        0 => update.added.reverse(),
        1 => update.proof.results.reverse(),
        _ => update.proof.elements.reverse(),
    }
}

/// Removes again what it adds.
fn also_remove(update: &mut AuditorUpdate) {
    if let (Some(leaf), Some(result)) = (update.added.first(), update.proof.results.first()) {
        let (leaf, result) = (*leaf, *result);
        update.removed.insert(0, leaf);
        let results = &mut update.proof.results;
        results.insert(update.added.len().min(results.len()), result);
    }
}
