//! Keys, proofs, signatures and commitments of our own vectors (`tests/vectors/README.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "support/json.rs"]
mod json;

use json::{array, bytes, list, number, optional, text, vectors, version};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::suite::{
    self, CipherSuite, KeyError, SignatureError, SigningKey, VerifyingKey, VrfError, VrfPublicKey,
    VrfSecretKey,
};
use overt_protocol::user::Verifier;
use overt_protocol::wire::{
    CommitmentValue, Configuration, ConfigurationError, UpdateValue, VrfInput,
};
use serde_json::Value;

const FILE: &str = "overt/crypto.json";

fn cipher_suite(value: &Value) -> CipherSuite {
    let number = u16::try_from(number(&value["cipher_suite"])).unwrap();
    CipherSuite::from_u16(number).unwrap()
}

#[test]
fn vrf() {
    for suite in list(&vectors(FILE)["vrf"]) {
        let public = bytes(&suite["public_key"]);
        let key = VrfPublicKey::from_bytes(cipher_suite(suite), &public).unwrap();
        let secret = array(&suite["private_key"]);
        let secret = VrfSecretKey::from_bytes(cipher_suite(suite), &secret).unwrap();
        assert_eq!(secret.public_key(), public);
        for example in list(&suite["outputs"]) {
            let input = VrfInput {
                label: &bytes(&example["label"]),
                version: version(&example["version"]),
            };
            let alpha = bytes(&example["vrf_input"]);
            assert_eq!(input.to_bytes().unwrap(), alpha);
            let (output, proof) = (array(&example["vrf_output"]), bytes(&example["vrf_proof"]));
            assert_eq!(key.verify(&alpha, &proof), Ok(output));
            assert_eq!(secret.prove(&alpha), (output, proof));
        }
        for example in list(&suite["rejected"]) {
            let (alpha, proof) = (bytes(&example["vrf_input"]), bytes(&example["vrf_proof"]));
            let error = match key.verify(&alpha, &proof).unwrap_err() {
                VrfError::Length { .. } => "length",
                VrfError::PointEncoding => "point-encoding",
                VrfError::ScalarRange => "scalar-range",
                VrfError::Rejected => "rejected",
            };
            assert_eq!(error, example["error"], "{example}");
        }
    }
}

#[test]
fn signatures() {
    for suite in list(&vectors(FILE)["signatures"]) {
        let public = bytes(&suite["public_key"]);
        let key = VerifyingKey::from_bytes(cipher_suite(suite), &public).unwrap();
        let secret = array(&suite["private_key"]);
        let secret = SigningKey::from_bytes(cipher_suite(suite), &secret).unwrap();
        assert_eq!(secret.public_key(), public);
        for example in list(&suite["signed"]) {
            let (message, signature) = (bytes(&example["message"]), bytes(&example["signature"]));
            key.verify(&message, &signature).unwrap();
            if example.get("why").is_none() {
                assert_eq!(secret.sign(&message), signature);
            }
        }
        for example in list(&suite["rejected"]) {
            let (message, signature) = (bytes(&example["message"]), bytes(&example["signature"]));
            let error = match key.verify(&message, &signature).unwrap_err() {
                SignatureError::Length { .. } => "length",
                SignatureError::Rejected => "rejected",
            };
            assert_eq!(error, example["error"], "{example}");
        }
    }
}

#[test]
fn public_keys() {
    for example in list(&vectors(FILE)["public_keys"]) {
        let (suite, key) = (cipher_suite(example), bytes(&example["public_key"]));
        let error = match text(&example["for"]) {
            "vrf" => VrfPublicKey::from_bytes(suite, &key).unwrap_err(),
            _ => VerifyingKey::from_bytes(suite, &key).unwrap_err(),
        };
        let error = match error {
            KeyError::Length { .. } => "length",
            KeyError::PointEncoding => "point-encoding",
            KeyError::SmallOrder => "small-order",
            KeyError::SecretRange => "secret-range",
        };
        assert_eq!(error, example["error"], "{example}");
    }
}

#[test]
fn commitments() {
    for example in list(&vectors(FILE)["commitments"]) {
        let committed = CommitmentValue {
            opening: &array(&example["opening"]),
            label: &bytes(&example["label"]),
            version: version(&example["version"]),
            update: &UpdateValue {
                value: bytes(&example["value"]),
                signature: optional(&example["signature"], bytes),
            },
        };
        let encoded = committed.to_bytes().unwrap();
        assert_eq!(encoded, bytes(&example["commitment_value"]));
        assert_eq!(
            suite::commitment(&[&encoded]),
            array(&example["commitment"])
        );
    }
}

#[test]
fn configurations() {
    for example in list(&vectors(FILE)["configurations"]) {
        let config = Configuration::from_bytes(&bytes(&example["configuration"]), &()).unwrap();
        let hash = config.hash().unwrap();
        let error = Verifier::new(config).err().map(|error| match error {
            ConfigurationError::Lifetime { .. } => "lifetime",
            ConfigurationError::Key(_) => "key",
        });
        assert_eq!(error, optional(&example["error"], text), "{example}");
        if error.is_none() {
            assert_eq!(hash, array(&example["hash"]));
        }
    }
}
