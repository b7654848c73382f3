//! Commitments: the log binds itself to a value before it reveals it (draft, "Commitment").

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{KC, NH};

/// `HMAC-SHA256(Kc, CommitmentValue)`, where the parts are the pieces of the encoded
/// `CommitmentValue` in order: a 16-byte opening, the label, the version and the value.
pub fn commitment(parts: &[&[u8]]) -> [u8; NH] {
    // HMAC pads a key shorter than the hash's block with zeros (RFC 2104, section 2), so the
    // padded block is the same key, and its fixed length is what makes this call infallible.
    let mut key = [0; 64];
    for (padded, byte) in key.iter_mut().zip(KC) {
        *padded = byte;
    }
    let mut mac = Hmac::<Sha256>::new(&key.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three commitments of a log written by another implementation.
    const KNOWN: [(&str, &str); 3] = [
        (
            "e7a86eaa0b7fa67e1572e79d4f77f7e705616c6963650000000000000008616c696365207630",
            "f699b8b5247ac516adb5ade3b4aeeced77fec384e529f04b70f190daea596d8b",
        ),
        (
            "0b825f463e5d9e2140bb0e6efdbf360403626f620000000000000006626f62207630",
            "2ccd1cd9247017c165daff09fa46258e1f1f9d74c7a94033092d13a329f59c3f",
        ),
        (
            "b2d0f746b54012bb9af8c319231fa94c046f6c676100000000000000076f6c6761207630",
            "36c1f51420e9082b5f1faa533de7f720e428021a63387ecd751cdd15d5504c97",
        ),
    ];

    #[test]
    fn known_answers() {
        for (value, expected) in KNOWN {
            let value = hex::decode(value).unwrap();
            assert_eq!(hex::encode(commitment(&[&value])), expected);
        }
    }

    #[test]
    fn parts_are_concatenated() {
        let value = hex::decode(KNOWN[0].0).unwrap();
        let (opening, rest) = value.split_at(super::super::NC);
        assert_eq!(commitment(&[opening, rest, b""]), commitment(&[&value]));
        assert_ne!(commitment(&[rest, opening]), commitment(&[&value]));
    }
}
