//! Promises, kept and broken.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use overt_protocol::codec::Encode;
use overt_protocol::provider::{absence, search};
use overt_protocol::receipt::{Broken, Promised, Receipt, ReceiptError, commitment};
use overt_protocol::suite::{CipherSuite, SigningKey};
use overt_protocol::user::Verifier;
use overt_protocol::wire::*;
use support::{MemoryLog, NewVersion};

const NOW: u64 = 10_000_000;
const WITHIN: u64 = 1_000;

fn log(suite: CipherSuite) -> MemoryLog {
    let mut log = MemoryLog::new(suite, [1; 32], [2; 32], 500, None);
    push(&mut log, NOW, b"first", [3; 16]);
    log
}

fn push(log: &mut MemoryLog, timestamp: u64, value: &[u8], opening: Opening) {
    let new = NewVersion {
        label: b"alice".to_vec(),
        value: value.to_vec(),
        opening,
    };
    log.push(timestamp, vec![new]);
}

fn request() -> UpdateRequest {
    UpdateRequest {
        last: None,
        label: b"alice".to_vec(),
        greatest_version: Some(0),
        values: vec![b"second".to_vec(), b"third".to_vec()],
    }
}

/// What an honest log would promise.
fn promised(log: &MemoryLog) -> Vec<Promised> {
    let values = request().values;
    let promise = |(version, value): (u32, &Vec<u8>)| {
        let opening = [version as u8; 16];
        let receipt = Receipt {
            config_hash: log.config.hash().unwrap(),
            label: b"alice".to_vec(),
            version,
            commitment: commitment(b"alice", version, &opening, value).unwrap(),
            timestamp: NOW,
            deadline: NOW + WITHIN,
            signature: Vec::new(),
        };
        let receipt = receipt.sign(&log.signing).unwrap();
        Promised { receipt, opening }
    };
    (1..).zip(&values).map(promise).collect()
}

fn encoded(all: &[Promised]) -> Vec<u8> {
    all.iter().flat_map(|p| p.to_bytes().unwrap()).collect()
}

#[test]
fn each_rule_has_a_check() {
    for suite in [
        CipherSuite::Kt128Sha256Ed25519,
        CipherSuite::Kt128Sha256P256,
    ] {
        let log = log(suite);
        let verifier = Verifier::new(log.config.clone()).unwrap();
        let honest = promised(&log);
        let check = |all: &[Promised], now: u64| {
            let result = verifier.receipts(&request(), &encoded(all), now);
            result.err().map_or("accepted", |error| error.check())
        };
        assert_eq!(check(&honest, NOW), "accepted");
        assert_eq!(
            verifier
                .receipts(&request(), &encoded(&honest), NOW)
                .unwrap(),
            honest
        );
        assert_eq!(check(&honest[..1], NOW), "receipt-count");
        let three = [honest[0].clone(), honest[1].clone(), honest[1].clone()];
        assert_eq!(check(&three, NOW), "receipt-count");
        let swapped = [honest[1].clone(), honest[0].clone()];
        assert_eq!(check(&swapped, NOW), "receipt-about");
        assert_eq!(check(&honest, NOW - 60_001), "receipt-times");
        assert_eq!(
            check(&honest, NOW + log.config.max_behind + 1),
            "receipt-times"
        );
        // Signed by the log, and still wrong.
        let resigned = |change: &dyn Fn(&mut Promised)| {
            let mut all = honest.clone();
            change(&mut all[0]);
            all[0].receipt = all[0].receipt.clone().sign(&log.signing).unwrap();
            check(&all, NOW)
        };
        assert_eq!(resigned(&|_| ()), "accepted");
        assert_eq!(
            resigned(&|p| p.receipt.config_hash[0] ^= 1),
            "receipt-about"
        );
        assert_eq!(
            resigned(&|p| p.receipt.label = b"bob".to_vec()),
            "receipt-about"
        );
        assert_eq!(resigned(&|p| p.receipt.version = 7), "receipt-about");
        assert_eq!(resigned(&|p| p.opening[0] ^= 1), "receipt-commitment");
        assert_eq!(
            resigned(&|p| p.receipt.commitment[0] ^= 1),
            "receipt-commitment"
        );
        assert_eq!(resigned(&|p| p.receipt.deadline = NOW - 1), "receipt-times");
        // Signed by someone else.
        let mut foreign = honest.clone();
        let key = SigningKey::from_bytes(suite, &[9; 32]).unwrap();
        foreign[1].receipt = foreign[1].receipt.clone().sign(&key).unwrap();
        assert_eq!(check(&foreign, NOW), "receipt-signature");
        // Any byte.
        let bytes = encoded(&honest);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            verifier.receipts(&request(), &wrong, NOW).unwrap_err();
        }
    }
}

#[test]
fn broken_promises_are_proved() {
    let mut log = log(CipherSuite::Kt128Sha256Ed25519);
    let verifier = Verifier::new(log.config.clone()).unwrap();
    let receipt = promised(&log)[0].receipt.clone();
    let ask = |log: &MemoryLog, version: Option<u32>| {
        let request = SearchRequest {
            last: None,
            label: b"alice".to_vec(),
            version,
        };
        let response = search(&log.published(), &request).unwrap();
        (request, response.to_bytes().unwrap())
    };
    let judge = |log: &MemoryLog, receipt: &Receipt, version: Option<u32>| {
        let (request, response) = ask(log, version);
        verifier.broken_promise(receipt, &request, &response)
    };
    let early = |rightmost| {
        let deadline = NOW + WITHIN;
        Err(ReceiptError::Early {
            rightmost,
            deadline,
        })
    };
    assert_eq!(judge(&log, &receipt, None), early(NOW));
    log.push(NOW + WITHIN, Vec::new());
    assert_eq!(judge(&log, &receipt, None), early(NOW + WITHIN));

    // Kept: with the value that was promised, whatever came later.
    let mut kept = MemoryLog::new(CipherSuite::Kt128Sha256Ed25519, [1; 32], [2; 32], 500, None);
    push(&mut kept, NOW, b"first", [3; 16]);
    push(&mut kept, NOW + WITHIN + 1, b"second", [1; 16]);
    assert_eq!(judge(&kept, &receipt, None), Err(ReceiptError::NotBroken));
    assert_eq!(
        judge(&kept, &receipt, Some(1)),
        Err(ReceiptError::NotBroken)
    );
    push(&mut kept, NOW + WITHIN + 2, b"third", [2; 16]);
    assert_eq!(judge(&kept, &receipt, None), Err(ReceiptError::NotBroken));
    assert_eq!(
        judge(&kept, &receipt, Some(0)),
        Err(ReceiptError::About("version"))
    );

    // Broken: by nothing, or by something else.
    log.push(NOW + WITHIN + 1, Vec::new());
    let missing = Broken::Missing { greatest: Some(0) };
    assert_eq!(judge(&log, &receipt, None), Ok(missing));
    let (mut request, mut response) = ask(&log, None);
    request.label = b"bob".to_vec();
    let other = verifier.broken_promise(&receipt, &request, &response);
    assert_eq!(other, Err(ReceiptError::About("label")));
    request.label = b"alice".to_vec();
    response[9] ^= 1;
    let forged = verifier.broken_promise(&receipt, &request, &response);
    assert!(matches!(forged, Err(ReceiptError::Response(_))));
    let mut unsigned = receipt.clone();
    unsigned.deadline -= 1;
    assert_eq!(
        judge(&log, &unsigned, None).unwrap_err().check(),
        "receipt-signature"
    );
    let nobody = AbsenceRequest {
        last: None,
        label: b"bob".to_vec(),
    };
    let absent = |log: &MemoryLog, receipt: &Receipt| {
        let response = absence(&log.published(), &nobody)
            .unwrap()
            .to_bytes()
            .unwrap();
        verifier.promise_to_nobody(receipt, &nobody, &response)
    };
    assert_eq!(absent(&log, &receipt), Err(ReceiptError::About("label")));
    let mut to_bob = receipt.clone();
    to_bob.label = b"bob".to_vec();
    assert_eq!(
        absent(&log, &to_bob).unwrap_err().check(),
        "receipt-signature"
    );
    let mut to_bob = to_bob.sign(&log.signing).unwrap();
    let missing = Broken::Missing { greatest: None };
    assert_eq!(absent(&log, &to_bob), Ok(missing));
    to_bob.deadline += 1;
    let to_bob = to_bob.sign(&log.signing).unwrap();
    assert_eq!(absent(&log, &to_bob).unwrap_err().check(), "receipt-early");
    push(&mut log, NOW + WITHIN + 2, b"second", [7; 16]);
    let other = judge(&log, &receipt, None).unwrap();
    assert!(matches!(other, Broken::Other(found) if found != receipt.commitment));
}
