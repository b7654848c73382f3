//! Updates are read as they come, whatever the pieces.
#![allow(clippy::unwrap_used, missing_docs)]

use futures_util::stream::{self, StreamExt};
use overt_auditor::updates::{Updates, UpdatesError};
use overt_protocol::codec::{DecodeError, Encode};
use overt_protocol::wire::{AuditorUpdate, PrefixLeaf, PrefixProof};

fn update(n: u8) -> AuditorUpdate {
    let leaf = PrefixLeaf {
        vrf_output: [n; 32],
        commitment: [0; 32],
    };
    AuditorUpdate {
        timestamp: n.into(),
        added: vec![leaf; n.into()],
        removed: Vec::new(),
        proof: PrefixProof {
            results: Vec::new(),
            elements: vec![[n; 32]],
        },
    }
}

fn answer(bytes: &[u8], piece: usize) -> Updates {
    let pieces: Vec<_> = bytes.chunks(piece).map(|p| Ok(p.to_vec())).collect();
    Updates::new(stream::iter(pieces).boxed())
}

async fn all(mut updates: Updates) -> Result<Vec<(AuditorUpdate, usize)>, UpdatesError> {
    let mut out = Vec::new();
    while let Some(next) = updates.next().await? {
        out.push(next);
    }
    Ok(out)
}

#[tokio::test]
async fn pieces_of_any_length_give_the_same_updates() {
    let updates: Vec<_> = (0..40).map(update).collect();
    let encoded: Vec<_> = updates.iter().map(|u| u.to_bytes().unwrap()).collect();
    let bytes = encoded.concat();
    for piece in [1, 7, 100, 4096, bytes.len()] {
        let found = all(answer(&bytes, piece)).await.unwrap();
        let (read, lengths): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        assert_eq!(read, updates);
        assert_eq!(lengths, encoded.iter().map(Vec::len).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_answer_that_ends_within_an_update_is_malformed() {
    let bytes = update(3).to_bytes().unwrap();
    let error = all(answer(&bytes[..bytes.len() - 1], 10))
        .await
        .unwrap_err();
    let end = matches!(
        error,
        UpdatesError::Malformed(DecodeError::UnexpectedEnd(_))
    );
    assert!(end, "{error}");
}
