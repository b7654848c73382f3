//! What this project adds to the draft, by our own vectors (`tests/vectors/README.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "support/json.rs"]
mod json;

use std::collections::BTreeSet;

use json::{array, bytes, check_names, list, number, optional, text, vectors, version};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::receipt::{Broken, Receipt};
use overt_protocol::signed_value::{SignedValue, SignedValueError, Signer};
use overt_protocol::user::Verifier;
use overt_protocol::wire::{AbsenceRequest, Configuration, SearchRequest, UpdateRequest};
use serde_json::Value;

const FILE: &str = "overt/extensions.json";

fn configuration(vectors: &Value) -> Configuration {
    Configuration::from_bytes(&bytes(&vectors["configuration"]), &()).unwrap()
}

fn signed_value(hash: &[u8; 32], example: &Value) -> Result<&'static str, SignedValueError> {
    let value = SignedValue::decode(&bytes(&example["signed_value"]))?;
    let Some(previous) = optional(&example["previous"], bytes) else {
        return value.verify_first().map(|()| "none");
    };
    let (label, version) = (
        text(&example["label"]).as_bytes(),
        version(&example["version"]),
    );
    let signer = value.verify_successor(hash, label, version, &previous)?;
    Ok(match signer {
        Signer::UpdateKey => "update",
        Signer::RecoveryKey => "recovery",
    })
}

#[test]
fn signed_values() {
    let vectors = vectors(FILE);
    let hash = configuration(&vectors).hash().unwrap();
    let mut failed = BTreeSet::new();
    for example in list(&vectors["signed_values"]) {
        match signed_value(&hash, example) {
            Ok(signer) => assert_eq!(signer, example["signer"], "{example}"),
            Err(error) => {
                assert_eq!(error.check(), example["check"], "{example}");
                failed.insert(error.check().to_owned());
            }
        }
    }
    // What decodes encodes; who signs with a wrong key is told so at once.
    let never = ["signed-value-encoding-limits", "signed-value-wrong-signer"];
    failed.extend(never.map(str::to_owned));
    let source = include_str!("../src/signed_value.rs");
    assert_eq!(failed, check_names(source));
}

#[test]
fn receipts() {
    let vectors = vectors(FILE);
    let verifier = Verifier::new(configuration(&vectors)).unwrap();
    let mut failed = BTreeSet::new();
    for example in list(&vectors["receipts"]) {
        let request = UpdateRequest::from_bytes(&bytes(&example["request"]), &()).unwrap();
        let (response, now) = (bytes(&example["response"]), number(&example["now_ms"]));
        let error = verifier.receipts(&request, &response, now).err();
        let check = error.map(|error| error.check());
        assert_eq!(check, optional(&example["check"], text), "{example}");
        failed.extend(check.map(str::to_owned));
    }
    for example in list(&vectors["broken_promises"]) {
        let receipt = Receipt::from_bytes(&bytes(&example["receipt"]), &()).unwrap();
        let (request, response) = (bytes(&example["request"]), bytes(&example["response"]));
        let judged = match text(&example["op"]) {
            "absence" => {
                let request = AbsenceRequest::from_bytes(&request, &()).unwrap();
                verifier.promise_to_nobody(&receipt, &request, &response)
            }
            _ => {
                let request = SearchRequest::from_bytes(&request, &()).unwrap();
                verifier.broken_promise(&receipt, &request, &response)
            }
        };
        let check = judged.as_ref().err().map(|error| error.check());
        assert_eq!(check, optional(&example["check"], text), "{example}");
        failed.extend(check.map(str::to_owned));
        let broken = &example["broken"];
        match judged {
            Ok(Broken::Missing { greatest }) => {
                assert_eq!(greatest, optional(&broken["greatest"], version));
            }
            Ok(Broken::Other(commitment)) => {
                assert_eq!(commitment, array(&broken["commitment"]));
            }
            Err(_) => {}
        }
    }
    assert!(failed.remove("head-signature"));
    assert_eq!(failed, check_names(include_str!("../src/receipt.rs")));
}

#[test]
fn head_records() {
    for example in list(&vectors(FILE)["head_records"]) {
        let encoded = bytes(&example["head_record"]);
        let record = HeadRecord::from_bytes(&encoded, &()).unwrap();
        assert_eq!(record.to_bytes().unwrap(), encoded);
        assert_eq!(record.index().unwrap(), number(&example["index"]));
        assert_eq!(record.leaf_hash().unwrap(), array(&example["leaf_hash"]));
    }
}
