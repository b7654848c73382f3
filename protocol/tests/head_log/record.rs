//! Leaves of the head log.

use overt_protocol::codec::{Decode, DecodeError, Encode, EncodeError};
use overt_protocol::head_log::record::HeadRecord;
use overt_protocol::head_log::tree::leaf_hash;
use overt_protocol::wire::LogEntry;
use proptest::prelude::*;

fn record(tree_size: u64) -> HeadRecord {
    HeadRecord {
        config_hash: [0xc0; 32],
        tree_size,
        entry: LogEntry {
            timestamp: 0x0102_0304_0506_0708,
            prefix_tree: [0x9e; 32],
        },
        root: [0x40; 32],
    }
}

/// The encoding, written out by hand from the structure.
#[test]
fn the_encoding() {
    let by_hand = [
        b"\x0dovert.head/v1".to_vec(),
        vec![0xc0; 32],
        vec![0, 0, 0, 0, 0, 0, 1, 0],
        vec![1, 2, 3, 4, 5, 6, 7, 8],
        vec![0x9e; 32],
        vec![0x40; 32],
    ]
    .concat();
    let record = record(256);
    assert_eq!(record.to_bytes(), Ok(by_hand.clone()));
    assert_eq!(HeadRecord::from_bytes(&by_hand, &()), Ok(record));
    assert_eq!(record.index(), Ok(255));
    assert_eq!(record.leaf_hash(), Ok(leaf_hash(&by_hand)));

    for cut in 0..by_hand.len() {
        assert!(HeadRecord::from_bytes(&by_hand[..cut], &()).is_err());
    }
    let longer = [&by_hand[..], &[0]].concat();
    assert_eq!(
        HeadRecord::from_bytes(&longer, &()),
        Err(DecodeError::TrailingBytes(1))
    );
    for i in 0..14 {
        let mut other_type = by_hand.clone();
        other_type[i] ^= 1;
        assert!(HeadRecord::from_bytes(&other_type, &()).is_err());
    }
}

#[test]
fn the_empty_directory_has_no_record() {
    let mut bytes = record(1).to_bytes().unwrap();
    bytes[53] = 0;
    let refused = HeadRecord::from_bytes(&bytes, &());
    let what = "HeadRecord tree_size";
    assert_eq!(refused, Err(DecodeError::Enumeration { what, value: 0 }));
    let refused = EncodeError("tree_size");
    assert_eq!(record(0).to_bytes(), Err(refused));
    assert_eq!(record(0).leaf_hash(), Err(refused));
    assert_eq!(record(0).index(), Err(refused));
}

proptest! {
    #[test]
    fn records_are_read_back(
        config_hash: [u8; 32], tree_size in 1u64.., timestamp: u64,
        prefix_tree: [u8; 32], root: [u8; 32],
    ) {
        let entry = LogEntry { timestamp, prefix_tree };
        let record = HeadRecord { config_hash, tree_size, entry, root };
        let bytes = record.to_bytes().unwrap();
        prop_assert_eq!(bytes.len(), 126);
        prop_assert_eq!(HeadRecord::from_bytes(&bytes, &()), Ok(record));
    }
}
