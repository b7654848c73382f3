//! `extensions.json`: what this project adds to the draft, and what must be refused of it.

use overt_protocol::codec::Encode;
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::receipt::{Promised, Receipt, commitment};
use overt_protocol::signed_value::{SignedValue, Signer};
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_protocol::wire::*;
use serde_json::{Value, json};

use super::script::Ask;
use super::setting::Setting;
use super::world::{SIZE, World};
use super::{DRAFT, hexed, seed};

const SUITE: CipherSuite = CipherSuite::Kt128Sha256Ed25519;

/// The file, which is about the log of `suite2-mode1.json`.
pub(super) fn file() -> Value {
    let world = World::new(Setting {
        suite: SUITE,
        mode: 1,
        lifetime: false,
    });
    json!({
        "format": "overt-extensions-1",
        "draft_commit": DRAFT,
        "configuration": hexed(&world.log.config),
        "signed_values": signed_values(&world),
        "receipts": receipts(&world),
        "broken_promises": broken_promises(&world),
        "head_records": head_records(&world),
    })
}

fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(SUITE, &seed(name)).unwrap()
}

fn public(name: &str) -> [u8; 32] {
    key(name).public_key().try_into().unwrap()
}

/// A label whose first three values are followed by an ordinary change, a recovery, and a change.
fn signed_values(w: &World) -> Value {
    let hash = w.log.config.hash().unwrap();
    let value = |n: u32, recovery: Option<&str>| {
        let update = public(&format!("update key {n}"));
        SignedValue::new(
            format!("value {n}").into_bytes(),
            update,
            recovery.map(public),
        )
    };
    let signed = |version: u32, mut next: SignedValue, previous: &SignedValue, with: &str| {
        let signer = match with.starts_with("recovery") {
            true => Signer::RecoveryKey,
            false => Signer::UpdateKey,
        };
        let previous = previous.encode().unwrap();
        next.sign(&hash, b"alice", version, &previous, signer, &key(with))
            .unwrap();
        next
    };
    let first = value(0, Some("recovery key"));
    let second = signed(1, value(1, Some("recovery key")), &first, "update key 0");
    let third = signed(2, value(2, None), &second, "recovery key");
    let fourth = signed(3, value(3, None), &third, "update key 2");
    let chain = [&first, &second, &third, &fourth];

    let mut out = Vec::new();
    let mut add =
        |why: &str, check: &str, version: u32, value: Vec<u8>, after: Option<&SignedValue>| {
            let mut entry = json!({
                "label": "alice",
                "version": version,
                "signed_value": hex::encode(value),
                "previous": after.map(|value| hex::encode(value.encode().unwrap())),
            });
            match check.is_empty() {
                true => entry["signer"] = json!(why),
                false => {
                    entry["check"] = json!(check);
                    entry["why"] = json!(why);
                }
            }
            out.push(entry);
        };
    let signers = ["none", "update", "recovery", "update"];
    for (version, signer) in (0..).zip(signers) {
        let value = chain[version].encode().unwrap();
        let after = version.checked_sub(1).map(|before| chain[before]);
        add(signer, "", version as u32, value, after);
    }
    let changed = |value: &SignedValue, change: &dyn Fn(&mut SignedValue)| {
        let mut value = value.clone();
        change(&mut value);
        value.to_bytes().unwrap()
    };
    let flipped =
        |value: &SignedValue| changed(value, &|v| v.signature.as_mut().unwrap().signature[0] ^= 1);
    let name = |check: &str| format!("signed-value-{check}");
    let short = first.encode().unwrap()[1..].to_vec();
    add("another type", &name("encoding"), 0, short, None);
    let same = changed(&first, &|v| v.recovery_key = Some(v.update_key));
    add("one key for both", &name("same-keys"), 0, same, None);
    let no_point = changed(&first, &|v| v.update_key = [0xff; 32]);
    add(
        "the update key is no point",
        &name("key"),
        0,
        no_point,
        None,
    );
    let why = "the first version carries a signature";
    add(
        why,
        &name("signature-surplus"),
        0,
        second.encode().unwrap(),
        None,
    );
    let why = "version 0 after another";
    add(
        why,
        &name("no-previous"),
        0,
        second.encode().unwrap(),
        Some(&first),
    );
    let unsigned = changed(&second, &|v| v.signature = None);
    add(
        "no signature",
        &name("signature-missing"),
        1,
        unsigned,
        Some(&first),
    );
    let why = "a bit of the signature is flipped";
    add(why, &name("signature"), 1, flipped(&second), Some(&first));
    let why = "signed as another version";
    add(
        why,
        &name("signature"),
        2,
        second.encode().unwrap(),
        Some(&first),
    );
    let why = "signed after another value";
    add(
        why,
        &name("signature"),
        3,
        fourth.encode().unwrap(),
        Some(&second),
    );
    let other = changed(&second, &|v| v.value.push(b'!'));
    add("another value", &name("signature"), 1, other, Some(&first));
    let recovered = changed(&fourth, &|v| {
        v.signature.as_mut().unwrap().signer = Signer::RecoveryKey;
    });
    let why = "by a recovery key, which the version before does not name";
    add(why, &name("no-recovery-key"), 3, recovered, Some(&third));
    out.into()
}

/// What is promised about a version of a label, and what opens the commitment.
fn promise(
    w: &World,
    (label, version): (&str, u32),
    value: &[u8],
    (timestamp, deadline): (u64, u64),
) -> Promised {
    let opening: Opening = *seed("opening of a promise").first_chunk().unwrap();
    let label = label.as_bytes();
    let receipt = Receipt {
        config_hash: w.log.config.hash().unwrap(),
        label: label.to_vec(),
        version,
        commitment: commitment(label, version, &opening, value).unwrap(),
        timestamp,
        deadline,
        signature: Vec::new(),
    };
    let receipt = receipt.sign(&w.log.signing).unwrap();
    Promised { receipt, opening }
}

/// Receipts that answer an update.
fn receipts(w: &World) -> Value {
    let now = w.now(SIZE);
    let request = UpdateRequest {
        last: None,
        label: b"alice".to_vec(),
        greatest_version: Some(9),
        values: vec![b"ten".to_vec(), b"eleven".to_vec()],
    };
    let times = (now - 500, now + 10_000);
    let honest = [
        promise(w, ("alice", 10), b"ten", times),
        promise(w, ("alice", 11), b"eleven", times),
    ];
    let entry = |response: Vec<u8>, now: u64| json!({"request": hexed(&request), "response": hex::encode(response), "now_ms": now});
    let encoded = |promised: &[Promised]| -> Vec<u8> {
        let bytes = promised.iter().map(|promised| promised.to_bytes().unwrap());
        bytes.flatten().collect()
    };
    let mut out = vec![entry(encoded(&honest), now)];
    let mut reject = |why: &str, check: &str, response: Vec<u8>, now: u64| {
        let mut entry = entry(response, now);
        entry["check"] = json!(format!("receipt-{check}"));
        entry["why"] = json!(why);
        out.push(entry);
    };
    let changed = |change: &dyn Fn(&mut Promised)| {
        let mut promised = honest.clone();
        change(&mut promised[1]);
        // Signed again: it is the log that is wrong.
        promised[1].receipt = promised[1].receipt.clone().sign(&w.log.signing).unwrap();
        encoded(&promised)
    };
    let whole = encoded(&honest);
    reject("one byte short", "malformed", whole[1..].to_vec(), now);
    reject(
        "one receipt for two values",
        "count",
        encoded(&honest[..1]),
        now,
    );
    reject("no receipt", "count", Vec::new(), now);
    let label = changed(&|p| p.receipt.label = b"bob".to_vec());
    reject("about another label", "about", label, now);
    let version = changed(&|p| p.receipt.version = 12);
    reject("about another version", "about", version, now);
    let log = changed(&|p| p.receipt.config_hash[0] ^= 1);
    reject("about another log", "about", log, now);
    let value = changed(&|p| p.receipt.commitment[0] ^= 1);
    reject("the commitment to another value", "commitment", value, now);
    let deadline = changed(&|p| p.receipt.deadline = p.receipt.timestamp - 1);
    reject("the deadline is before the promise", "times", deadline, now);
    let late = now + w.log.config.max_behind;
    reject("long ago by the user's clock", "times", whole, late);
    let mut unsigned = honest.clone();
    unsigned[1].receipt.signature[9] ^= 1;
    reject(
        "a bit of the signature is flipped",
        "signature",
        encoded(&unsigned),
        now,
    );
    out.into()
}

/// Receipts, and what a new user is answered that contradicts them or does not.
fn broken_promises(w: &World) -> Value {
    let rightmost = w.log.entries[SIZE as usize - 1].timestamp;
    let times = (rightmost - 2_000, rightmost - 1_000);
    let there = w.log.labels[&b"zoe"[..]][0].0.leaf.commitment;
    let missing = promise(w, ("zoe", 1), b"one", times).receipt;
    let other = promise(w, ("zoe", 0), b"other", times).receipt;
    let mut kept = other.clone();
    kept.commitment = there;
    let kept = kept.sign(&w.log.signing).unwrap();
    let request = |version| SearchRequest {
        last: None,
        label: b"zoe".to_vec(),
        version,
    };
    let mut out = Vec::new();
    let mut add = |receipt: &Receipt, request: &SearchRequest, change: bool, more: Value| {
        let mut response = request.answer(&w.at(SIZE)).unwrap();
        if change {
            response.opening[0] ^= 1;
        }
        out.push(evidence(receipt, request, &response, more));
    };
    let greatest = request(None);
    let broken = json!({"broken": {"greatest": 0}});
    add(&missing, &greatest, false, broken);
    let named = request(Some(0));
    let broken = json!({"broken": {"commitment": hex::encode(there)}});
    add(&other, &named, false, broken);
    let refused = |why: &str, check: &str| json!({"check": check, "why": why});
    let why = "the promise was kept";
    add(&kept, &named, false, refused(why, "receipt-not-broken"));
    let early = promise(w, ("zoe", 1), b"one", (rightmost, rightmost)).receipt;
    let why = "the response is not dated after the deadline";
    add(&early, &greatest, false, refused(why, "receipt-early"));
    let why = "a search for another version";
    add(&missing, &named, false, refused(why, "receipt-about"));
    let mut bob = request(None);
    bob.label = b"bob".to_vec();
    let why = "a search for another label";
    add(&missing, &bob, false, refused(why, "receipt-about"));
    let why = "the response does not verify";
    add(&missing, &greatest, true, refused(why, "head-signature"));
    let mut unsigned = missing.clone();
    unsigned.signature[9] ^= 1;
    let why = "the log never gave this promise";
    add(
        &unsigned,
        &greatest,
        false,
        refused(why, "receipt-signature"),
    );
    let nobody = AbsenceRequest {
        last: None,
        label: b"nobody".to_vec(),
    };
    let response = nobody.answer(&w.at(SIZE)).unwrap();
    for (label, more) in [
        ("nobody", json!({"broken": {"greatest": null}})),
        (
            "zoe",
            refused("proof that another label does not exist", "receipt-about"),
        ),
    ] {
        let receipt = promise(w, (label, 0), b"zero", times).receipt;
        out.push(evidence(&receipt, &nobody, &response, more));
    }
    out.into()
}

/// A receipt, an exchange, and what comes of them.
fn evidence<A: Ask>(receipt: &Receipt, request: &A, response: &A::Answer, more: Value) -> Value {
    let mut evidence = json!({
        "receipt": hexed(receipt),
        "op": A::OP,
        "request": hexed(request),
        "response": hex::encode(A::responses(response).concat()),
    });
    let more = more.as_object().unwrap().clone();
    evidence.as_object_mut().unwrap().extend(more);
    evidence
}

/// What the head log says of the first entries.
fn head_records(w: &World) -> Value {
    let record = |position: usize| {
        let record = HeadRecord {
            config_hash: w.log.config.hash().unwrap(),
            tree_size: position as u64 + 1,
            entry: w.log.entries[position],
            root: w.log.log_roots[position],
        };
        let hash = hex::encode(record.leaf_hash().unwrap());
        json!({"index": position, "head_record": hexed(&record), "leaf_hash": hash})
    };
    (0..5).map(record).collect()
}
