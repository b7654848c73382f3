//! Encodings of our own vectors: what decodes encodes to the same bytes, and the rest is refused
//! (`tests/vectors/README.md`).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

#[path = "support/json.rs"]
mod json;

use json::{bytes, list, optional, text, vectors};
use overt_protocol::codec::{Decode, DecodeError, Encode};
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::receipt::{Promised, Receipt};
use overt_protocol::signed_value::SignedValue;
use overt_protocol::wire::*;
use serde_json::Value;

/// Decodes a structure by its name and encodes it again.
fn again(example: &Value, encoding: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let config = optional(&example["configuration"], |config| {
        Configuration::from_bytes(&bytes(config), &()).unwrap()
    });
    let request = optional(&example["request"], |request| {
        SearchRequest::from_bytes(&bytes(request), &()).unwrap()
    });
    macro_rules! structure {
        ($($alone:ident)+; $($with_config:ident $(= $name:literal)*),+) => {
            match text(&example["structure"]) {
                $(stringify!($alone) => {
                    $alone::from_bytes(encoding, &()).map(|s| Encode::to_bytes(&s))
                })+
                $(stringify!($with_config) $(| $name)* => {
                    $with_config::from_bytes(encoding, config.as_ref().unwrap())
                        .map(|s| Encode::to_bytes(&s))
                })+
                "SearchResponse" => {
                    let context = (config.as_ref().unwrap(), request.as_ref().unwrap());
                    SearchResponse::from_bytes(encoding, &context).map(|s| Encode::to_bytes(&s))
                }
                "SignedValue" => Decode::from_bytes(encoding, &())
                    .map(|s: SignedValue| Encode::to_bytes(&s)),
                unknown => panic!("unknown structure {unknown}"),
            }
        };
    }
    let encoded = structure!(
        Configuration TreeHead AuditorTreeHead LogEntry PrefixLeaf PrefixSearchResult PrefixProof
        InclusionProof CombinedTreeProof SearchRequest UpdateRequest ContactMonitorRequest
        OwnerInitRequest OwnerMonitorRequest DistinguishedRequest DistinguishedHead
        CredentialUpdate CredentialUpdateRequest AuditorUpdate AbsenceRequest Receipt Promised
        HeadRecord;
        FullTreeHead, UpdateValue, UpdateInfo, BinaryLadderStep, UpdateResponse, OwnerInitResponse,
        MonitorResponse = "ContactMonitorResponse" = "OwnerMonitorResponse"
            = "DistinguishedResponse",
        AbsenceResponse, Credential, ManagerUpdateRequest
    );
    encoded.map(|encoded| encoded.unwrap())
}

#[test]
fn encodings() {
    let (mut accepted, mut rejected) = (0, 0);
    for example in list(&vectors("overt/structures.json")["structures"]) {
        // Hashed or signed, never decoded; made by the one command that makes all files.
        if example["decoded"] == false {
            continue;
        }
        let encoding = bytes(&example["encoding"]);
        assert_eq!(
            again(example, &encoding).as_ref(),
            Ok(&encoding),
            "{example}"
        );
        accepted += 1;
        for wrong in example["rejected"].as_array().into_iter().flatten() {
            let error = match again(example, &bytes(&wrong["encoding"])).unwrap_err() {
                DecodeError::UnexpectedEnd(_) => "unexpected-end",
                DecodeError::TrailingBytes(_) => "trailing-bytes",
                DecodeError::Presence(_) => "presence",
                DecodeError::Enumeration { .. } => "enumeration",
                DecodeError::Bounds { .. } => "bounds",
            };
            assert_eq!(error, wrong["error"], "{wrong}");
            rejected += 1;
        }
    }
    assert!(accepted > 80 && rejected > 80, "{accepted} {rejected}");
}
