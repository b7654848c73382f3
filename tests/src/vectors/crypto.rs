//! `crypto.json`: VRF, signatures, commitments and configurations of both cipher suites.

use overt_protocol::codec::Encode;
use overt_protocol::suite::{self, CipherSuite, SigningKey, VrfSecretKey};
use overt_protocol::wire::{CommitmentValue, Configuration, UpdateValue, VrfInput};
use serde_json::{Value, json};

use super::setting::Setting;
use super::{DRAFT, hexed, seed};

/// The order of each group, big-endian.
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const ED25519_ORDER: &str = "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed";

/// The file.
pub(super) fn file() -> Value {
    let suites = CipherSuite::ALL.into_iter();
    json!({
        "format": "overt-crypto-1",
        "draft_commit": DRAFT,
        "vrf": suites.clone().map(vrf).collect::<Value>(),
        "signatures": suites.clone().map(signatures).collect::<Value>(),
        "public_keys": suites.flat_map(public_keys).collect::<Value>(),
        "commitments": commitments(),
        "configurations": configurations(),
    })
}

/// The group order in the byte order of the suite's scalars.
fn order(suite: CipherSuite) -> Vec<u8> {
    match suite {
        CipherSuite::Kt128Sha256P256 => hex::decode(P256_ORDER).unwrap(),
        CipherSuite::Kt128Sha256Ed25519 => {
            let mut order = hex::decode(ED25519_ORDER).unwrap();
            order.reverse();
            order
        }
    }
}

fn vrf(suite: CipherSuite) -> Value {
    let key = VrfSecretKey::from_bytes(suite, &seed("vrf")).unwrap();
    let longest = [0xa5; 255];
    let inputs = [
        (&b"alice"[..], 0),
        (b"alice", 1),
        (b"bob", 0),
        (b"", 0),
        (&[0, 0xff], 2),
        (&longest, u32::MAX),
    ];
    let alpha = |(label, version)| VrfInput { label, version }.to_bytes().unwrap();
    let outputs = inputs.map(|input| {
        let (output, proof) = key.prove(&alpha(input));
        json!({
            "label": hex::encode(input.0),
            "version": input.1,
            "vrf_input": hex::encode(alpha(input)),
            "vrf_output": hex::encode(output),
            "vrf_proof": hex::encode(proof),
        })
    });
    let honest = key.prove(&alpha(inputs[0])).1;
    // Gamma, c of 16 bytes, s of 32.
    let s = honest.len() - 32;
    let reject = |why: &str, error: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut proof = honest.clone();
        change(&mut proof);
        json!({
            "vrf_input": hex::encode(alpha(inputs[0])),
            "vrf_proof": hex::encode(proof),
            "error": error,
            "why": why,
        })
    };
    let rejected = [
        reject("the proof of another input", "rejected", &|proof| {
            *proof = key.prove(&alpha(inputs[1])).1;
        }),
        reject("a bit of c is flipped", "rejected", &|p| p[s - 1] ^= 1),
        reject("a bit of s is flipped", "rejected", &|p| p[s + 9] ^= 1),
        reject("one byte short", "length", &|p| p.truncate(s + 31)),
        reject("one byte too many", "length", &|p| p.push(0)),
        reject("Gamma is no point", "point-encoding", &|p| {
            p[..33].fill(0xff)
        }),
        reject("s is the group order", "scalar-range", &|p| {
            p[s..].copy_from_slice(&order(suite));
        }),
    ];
    json!({
        "cipher_suite": suite.to_u16(),
        "private_key": hex::encode(seed("vrf")),
        "public_key": hex::encode(key.public_key()),
        "outputs": outputs,
        "rejected": rejected,
    })
}

fn signatures(suite: CipherSuite) -> Value {
    let key = SigningKey::from_bytes(suite, &seed("signature")).unwrap();
    let messages = [Vec::new(), b"a message".to_vec(), vec![0xa5; 300]];
    let mut signed: Vec<Value> = messages
        .iter()
        .map(|message| {
            let (message, signature) = (hex::encode(message), hex::encode(key.sign(message)));
            json!({"message": message, "signature": signature})
        })
        .collect();
    let message = &messages[1];
    let honest = key.sign(message);
    if suite == CipherSuite::Kt128Sha256P256 {
        let mut twin = honest.clone();
        negate(&mut twin[32..], &order(suite));
        signed.push(json!({
            "message": hex::encode(message),
            "signature": hex::encode(twin),
            "why": "s is the negative of the other signature's: ECDSA verifies both",
        }));
    }
    let reject = |why: &str, error: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut signature = honest.clone();
        change(&mut signature);
        json!({
            "message": hex::encode(message),
            "signature": hex::encode(signature),
            "error": error,
            "why": why,
        })
    };
    let other = SigningKey::from_bytes(suite, &seed("auditor")).unwrap();
    let rejected = [
        reject("of another message", "rejected", &|s| {
            *s = key.sign(&messages[0])
        }),
        reject("by another key", "rejected", &|s| *s = other.sign(message)),
        reject("a bit is flipped", "rejected", &|s| s[40] ^= 1),
        reject("s is the group order", "rejected", &|s| {
            s[32..].copy_from_slice(&order(suite));
        }),
        reject("all zero", "rejected", &|s| s.fill(0)),
        reject("one byte short", "length", &|s| s.truncate(63)),
        reject("one byte too many", "length", &|s| s.push(0)),
        reject("empty", "length", &|s| s.clear()),
    ];
    json!({
        "cipher_suite": suite.to_u16(),
        "private_key": hex::encode(seed("signature")),
        "public_key": hex::encode(key.public_key()),
        "signed": signed,
        "rejected": rejected,
    })
}

/// `order - scalar`, big-endian.
fn negate(scalar: &mut [u8], order: &[u8]) {
    let mut borrow = 0;
    for (digit, order) in scalar.iter_mut().zip(order).rev() {
        let difference = i16::from(*order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = difference.rem_euclid(256) as u8;
    }
}

/// Keys that the suite refuses.
fn public_keys(suite: CipherSuite) -> Vec<Value> {
    let signing = SigningKey::from_bytes(suite, &seed("signature")).unwrap();
    let vrf = VrfSecretKey::from_bytes(suite, &seed("vrf")).unwrap();
    let mut out = Vec::new();
    for (purpose, key) in [
        ("signature", signing.public_key()),
        ("vrf", vrf.public_key()),
    ] {
        let mut reject = |why: &str, error: &str, key: Vec<u8>| {
            out.push(json!({
                "cipher_suite": suite.to_u16(),
                "for": purpose,
                "public_key": hex::encode(key),
                "error": error,
                "why": why,
            }));
        };
        reject("one byte short", "length", key[1..].to_vec());
        let mut no_point = key.clone();
        // The first byte of a P-256 key says how it is encoded.
        let tag = usize::from(suite == CipherSuite::Kt128Sha256P256);
        no_point[tag..].fill(0xff);
        reject("no point", "point-encoding", no_point);
        if suite == CipherSuite::Kt128Sha256Ed25519 {
            let mut identity = vec![0; 32];
            identity[0] = 1;
            reject("the neutral element", "small-order", identity);
        }
    }
    out
}

fn commitments() -> Value {
    let operator = Setting {
        suite: CipherSuite::Kt128Sha256Ed25519,
        mode: 2,
        lifetime: false,
    };
    let signature = operator.leaf_key().map(|key| key.sign(b"a value"));
    let longest = [0xa5; 255];
    [
        (&b"alice"[..], 0, &b"a value"[..], None),
        (b"alice", 1, b"a value", signature),
        (b"", u32::MAX, b"", None),
        (&longest, 7, &[0; 300], None),
    ]
    .into_iter()
    .map(|(label, version, value, signature)| {
        let opening = seed(&format!("opening of version {version}"));
        let opening = opening.first_chunk().unwrap();
        let update = UpdateValue {
            value: value.to_vec(),
            signature,
        };
        let committed = CommitmentValue {
            opening,
            label,
            version,
            update: &update,
        };
        json!({
            "opening": hex::encode(opening),
            "label": hex::encode(label),
            "version": version,
            "value": hex::encode(value),
            "signature": update.signature.as_ref().map(hex::encode),
            "commitment_value": hexed(&committed),
            "commitment": hex::encode(suite::commitment(&[&committed.to_bytes().unwrap()])),
        })
    })
    .collect()
}

/// Configurations that are well encoded: what every log of the vectors has, and some that no client
/// may use.
fn configurations() -> Value {
    let accepted = Setting::all().into_iter().map(|setting| {
        let config = setting.configuration();
        let hash = hex::encode(config.hash().unwrap());
        json!({"configuration": hexed(&config), "hash": hash})
    });
    let mut out: Vec<Value> = accepted.collect();
    let mut reject = |why: &str, error: &str, mode: u8, change: &dyn Fn(&mut Configuration)| {
        let suite = CipherSuite::Kt128Sha256Ed25519;
        let setting = Setting {
            suite,
            mode,
            lifetime: true,
        };
        let mut config = setting.configuration();
        change(&mut config);
        let config = hexed(&config);
        out.push(json!({"configuration": config, "error": error, "why": why}));
    };
    use overt_protocol::wire::DeploymentMode::*;
    let window = Setting::all()[0]
        .configuration()
        .reasonable_monitoring_window;
    for lifetime in [0, window - 1, window] {
        let why = format!("a lifetime of {lifetime} ms, which is not more than the window");
        reject(&why, "lifetime", 1, &|c| {
            c.maximum_lifetime = Some(lifetime)
        });
    }
    reject("no signature key", "key", 1, &|c| {
        c.signature_public_key.clear()
    });
    reject("the VRF key is no point", "key", 1, &|c| {
        c.vrf_public_key.fill(0xff)
    });
    reject("no operator's key", "key", 2, &|c| {
        c.mode = ThirdPartyManagement {
            leaf_public_key: Vec::new(),
        };
    });
    reject("the auditor's key has small order", "key", 3, &|c| {
        if let ThirdPartyAuditing {
            auditor_public_key, ..
        } = &mut c.mode
        {
            auditor_public_key.fill(0);
        }
    });
    out.into()
}
