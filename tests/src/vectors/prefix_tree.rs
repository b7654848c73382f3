//! The prefix trees of `trees.json`.

use overt_protocol::prefix_tree::{Lookup, PrefixProofError, evaluate, leaf_value, prove};
use overt_protocol::suite::CipherSuite;
use overt_protocol::wire::{HashValue, PrefixLeaf, PrefixProof, PrefixSearchResult};
use serde_json::{Value, json};

use super::fields::Fields;
use super::{hexed, seed};
use crate::support::MemoryLog;

/// Trees of few keys, with proofs that hold and that do not.
pub(super) fn trees() -> Value {
    let several = ["000", "001", "01", "1011", "10100", "1010100", "1010101"];
    // No proof can tell keys apart that differ in their last bit only; these differ before it.
    let mut deep = [key("0"), key("0")];
    deep[1][31] ^= 2;
    json!([
        tree(&[], false),
        tree(&[key("1")], false),
        tree(&several.map(key), false),
        tree(&deep, true),
    ])
}

/// A key that begins with these bits.
fn key(bits: &str) -> HashValue {
    let mut key = seed(&format!("key {bits}"));
    for (at, bit) in bits.bytes().enumerate() {
        let mask = 0x80 >> (at % 8);
        match bit {
            b'1' => key[at / 8] |= mask,
            _ => key[at / 8] &= !mask,
        }
    }
    key
}

fn leaf(key: &HashValue) -> PrefixLeaf {
    PrefixLeaf {
        vrf_output: *key,
        commitment: seed(&format!("commitment of {}", hex::encode(key))),
    }
}

/// A lookup by somebody who knows the commitment of what is there.
fn lookup(keys: &[HashValue], key: HashValue) -> Lookup {
    Lookup {
        vrf_output: key,
        commitment: keys.contains(&key).then(|| leaf(&key).commitment),
    }
}

/// A tree with proofs of one, none and all lookups; of a deep one only the last, for it is long.
fn tree(keys: &[HashValue], deep: bool) -> Value {
    let leaves: Vec<PrefixLeaf> = keys.iter().map(leaf).collect();
    let mut log = MemoryLog::new(CipherSuite::Kt128Sha256Ed25519, [1; 32], [2; 32], 0, None);
    log.push_leaves(0, &leaves);
    let absent = [key("11"), key("0100"), key("10101")];
    let all: Vec<HashValue> = keys.iter().rev().copied().chain(absent).collect();
    let asked = all.chunks(1).chain([&[][..], &all]);
    let asked = asked.filter(|asked| !deep || asked.len() > 1);
    let proofs = asked.map(|asked| {
        let proof = prove(&log.pages, log.tip.prefix_root, asked).unwrap();
        let lookups: Vec<Lookup> = asked.iter().map(|key| lookup(keys, *key)).collect();
        assert_eq!(evaluate(&lookups, &proof), Ok(log.entries[0].prefix_tree));
        let mut out = example(&lookups, &proof);
        if asked.len() != 1 && !deep {
            out["rejected"] = rejected(&lookups, &proof);
        }
        out
    });
    let shown = leaves.iter().map(|leaf| {
        let mut fields = leaf.fields();
        fields["value"] = json!(hex::encode(leaf_value(leaf)));
        fields
    });
    json!({
        "leaves": shown.collect::<Value>(),
        "root": hex::encode(log.entries[0].prefix_tree),
        "proofs": proofs.collect::<Value>(),
    })
}

fn example(lookups: &[Lookup], proof: &PrefixProof) -> Value {
    let lookup = |lookup: &Lookup| {
        json!({
            "vrf_output": hex::encode(lookup.vrf_output),
            "commitment": lookup.commitment.map(hex::encode),
        })
    };
    json!({"lookups": lookups.iter().map(lookup).collect::<Value>(), "proof": hexed(proof)})
}

/// Changes after which a proof shows no tree at all, or another one.
fn rejected(lookups: &[Lookup], honest: &PrefixProof) -> Value {
    let mut out: Vec<Value> = Vec::new();
    let root = evaluate(lookups, honest);
    let mut reject = |why: &str, lookups: &[Lookup], proof: &PrefixProof| {
        let error = match evaluate(lookups, proof) {
            Err(error) => name(&error),
            Ok(_) => "root",
        };
        assert_ne!(evaluate(lookups, proof), root, "{why}");
        if out.iter().any(|e| e["error"] == error && e["why"] == why) {
            return;
        }
        let mut example = example(lookups, proof);
        example["error"] = json!(error);
        example["why"] = json!(why);
        out.push(example);
    };
    let changed = |change: &dyn Fn(&mut PrefixProof)| {
        let mut proof = honest.clone();
        change(&mut proof);
        proof
    };
    let many = changed(&|p| p.elements.push([0; 32]));
    reject("one element too many", lookups, &many);
    if !honest.elements.is_empty() {
        let few = changed(&|p| p.elements.truncate(p.elements.len() - 1));
        reject("one element short", lookups, &few);
        let other = changed(&|p| p.elements[0][0] ^= 1);
        reject("another element", lookups, &other);
    }
    let few = changed(&|p| p.results.truncate(p.results.len().saturating_sub(1)));
    let more = changed(&|p| p.results.push(PrefixSearchResult::Inclusion { depth: 0 }));
    let wrong = if lookups.is_empty() { more } else { few };
    reject("not one result for each lookup", lookups, &wrong);
    for (at, result) in honest.results.iter().enumerate() {
        let (why, proof) = match result {
            PrefixSearchResult::Inclusion { .. } => {
                let mut other = lookups.to_vec();
                other[at].commitment = None;
                reject("a commitment that is not known", &other, honest);
                other[at].commitment = Some([7; 32]);
                reject("another commitment", &other, honest);
                let absent = changed(&|p| {
                    let depth = p.results[at].depth();
                    p.results[at] = PrefixSearchResult::NonInclusionParent { depth };
                });
                ("inclusion denied", absent)
            }
            PrefixSearchResult::NonInclusionLeaf { depth, .. } => {
                let (depth, leaf) = (*depth, leaf(&lookups[at].vrf_output));
                let result = PrefixSearchResult::NonInclusionLeaf { leaf, depth };
                let found = changed(&|p| p.results[at] = result);
                ("absent, but its own leaf is there", found)
            }
            PrefixSearchResult::NonInclusionParent { .. } => {
                let higher = changed(&|p| {
                    let depth = p.results[at].depth().saturating_sub(1);
                    p.results[at] = PrefixSearchResult::NonInclusionParent { depth };
                });
                ("absent further up", higher)
            }
        };
        if proof != *honest {
            reject(why, lookups, &proof);
        }
    }
    if lookups.len() > 1 {
        let mut twice = lookups.to_vec();
        twice[1] = twice[0];
        let proof = changed(&|p| p.results[1] = p.results[0]);
        reject("one key looked up twice", &twice, &proof);
    }
    out.into()
}

fn name(error: &PrefixProofError) -> &'static str {
    match error {
        PrefixProofError::Results { .. } => "results",
        PrefixProofError::Elements(_) => "elements",
        PrefixProofError::AlreadyIncluded => "already-included",
        PrefixProofError::NotIncluded => "not-included",
        PrefixProofError::DuplicateKey => "duplicate-key",
        PrefixProofError::NoCommitment => "no-commitment",
        PrefixProofError::UnrelatedLeaf => "unrelated-leaf",
        PrefixProofError::Contradiction => "contradiction",
    }
}
