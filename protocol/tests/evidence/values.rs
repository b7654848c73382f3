//! Two values by a Service Operator.

use overt_protocol::codec::Encode;
use overt_protocol::evidence::{Accused, Evidence, EvidenceError};
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_protocol::wire::{Configuration, DeploymentMode, UpdateTbs, UpdateValue};

use crate::file::check;
use crate::world::empty;

fn key() -> SigningKey {
    SigningKey::from_bytes(CipherSuite::Kt128Sha256Ed25519, &[4; 32]).unwrap()
}

fn managed() -> Configuration {
    let mut config = empty(CipherSuite::Kt128Sha256Ed25519, None).config;
    config.mode = DeploymentMode::ThirdPartyManagement {
        leaf_public_key: key().public_key(),
    };
    config
}

fn signed(version: u32, value: &str) -> UpdateValue {
    let config = managed();
    let value = value.as_bytes().to_vec();
    let tbs = UpdateTbs {
        config: &config,
        label: b"alice",
        version,
        value: &value,
    };
    let signature = Some(key().sign(&tbs.to_bytes().unwrap()));
    UpdateValue { value, signature }
}

fn judge(first: &UpdateValue, second: &UpdateValue) -> Result<Evidence, EvidenceError> {
    Evidence::values(&managed(), (b"alice", 1), first, second)
}

#[test]
fn two_values_for_one_version() {
    let (a, b) = (signed(1, "a"), signed(1, "b"));
    let expected = Accused::Operator(hex::encode(managed().hash().unwrap()));
    let finding = judge(&a, &b).unwrap().verify().unwrap();
    assert_eq!(
        (finding.code, finding.accused),
        ("two-values", vec![expected])
    );
    assert_eq!(check(judge(&a, &a)), "evidence-no-contradiction");
    // Of another version, and by nobody.
    let later = signed(2, "b");
    assert_eq!(check(judge(&a, &later)), "evidence-value-signature");
    assert_eq!(check(judge(&later, &a)), "evidence-value-signature");
    let mut unsigned = b.clone();
    unsigned.signature = None;
    assert_eq!(check(judge(&a, &unsigned)), "evidence-parties");
    let bob = Evidence::values(&managed(), (b"bob", 1), &a, &b);
    assert_eq!(check(bob), "evidence-value-signature");
    let nobody = empty(CipherSuite::Kt128Sha256Ed25519, None).config;
    let nobody = Evidence::values(&nobody, (b"alice", 1), &a, &b);
    assert_eq!(check(nobody), "evidence-parties");
}

pub(crate) fn samples() -> Vec<(&'static str, Evidence)> {
    vec![("values", judge(&signed(1, "a"), &signed(1, "b")).unwrap())]
}
