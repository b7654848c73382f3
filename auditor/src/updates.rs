//! `AuditorUpdate`s as they come over the network.

use futures_util::StreamExt;
use overt_protocol::codec::{Decode, DecodeError, Reader};
use overt_protocol::wire::AuditorUpdate;
use thiserror::Error;

use crate::transport::Pieces;

/// Why there is no next update.
#[derive(Debug, Error)]
pub enum UpdatesError {
    /// The answer does not come, or not to its end.
    #[error("{0:#}")]
    Unreachable(anyhow::Error),
    /// It is not what it should be.
    #[error("malformed AuditorUpdate: {0}")]
    Malformed(#[from] DecodeError),
}

/// Updates that stand back to back in an answer. Holds about one of them, which has less than 11 MB:
/// its vectors have at most 65,535 elements each.
pub struct Updates {
    pieces: Pieces,
    buffer: Vec<u8>,
    is_at_end: bool,
}

impl Updates {
    /// The updates in these pieces.
    pub fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            buffer: Vec::new(),
            is_at_end: false,
        }
    }

    /// The next update, with the number of its bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<(AuditorUpdate, usize)>, UpdatesError> {
        let mut wanted = 0;
        loop {
            self.fill(wanted).await?;
            if self.is_at_end && self.buffer.is_empty() {
                return Ok(None);
            }
            let mut reader = Reader::new(&self.buffer);
            match AuditorUpdate::decode(&mut reader, &()) {
                Ok(update) => {
                    let length = self.buffer.len().saturating_sub(reader.remaining());
                    self.buffer.drain(..length);
                    return Ok(Some((update, length)));
                }
                // Twice as much each time: else a long update would be decoded once for each piece.
                Err(DecodeError::UnexpectedEnd(_)) if !self.is_at_end => {
                    wanted = self.buffer.len().saturating_mul(2);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads until there are so many bytes, one at least, or no more to come.
    async fn fill(&mut self, wanted: usize) -> Result<(), UpdatesError> {
        while self.buffer.len() < wanted.max(1) && !self.is_at_end {
            match self.pieces.next().await {
                Some(piece) => self
                    .buffer
                    .extend(piece.map_err(UpdatesError::Unreachable)?),
                None => self.is_at_end = true,
            }
        }
        Ok(())
    }
}
