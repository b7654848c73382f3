//! Bulk load: registers labels from a file or standard input, as many at once as a batch takes.
//!
//! Rows that are in the directory already, with the same value, are passed over. So an import that was
//! interrupted, in whatever way, is resumed by running it again; nothing has to be remembered of it.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use futures_util::{StreamExt, stream};
use overt_protocol::wire::UpdateValue;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::error::DirectoryError;
use crate::sequencer::{Outcome, Submission, UpdateError, Updates};
use crate::store::{Store, greatest};

/// Rows that are read ahead.
const AHEAD: usize = 1024;
/// Bytes of a line: a value of a mebibyte in base64, and its label.
const MAX_LINE: usize = 2 << 20;
/// The pause before a row is tried again that came too early.
const PAUSE: Duration = Duration::from_millis(50);

/// A row of the input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// At most 255 bytes.
    label: String,
    /// In base64.
    value: String,
}

/// How the input is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line: `{"label": "…", "value": BASE64}`.
    JsonLines,
    /// Comma-separated, with the header `label,value`.
    Csv,
}

/// What becomes of labels that have another value already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The row is rejected.
    Reject,
    /// The value becomes the label's next version.
    Update,
}

/// What became of all rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Versions that were created.
    pub created: u64,
    /// Rows whose value was there already.
    pub present: u64,
    /// Rows that came to nothing.
    pub rejected: u64,
}

/// Why rows cannot be read any further, or an import cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The input breaks off.
    #[error("the input cannot be read: {0}")]
    Input(#[from] std::io::Error),
    /// The rejects cannot be written.
    #[error("the rejected rows cannot be written: {0}")]
    Rejects(#[source] std::io::Error),
    /// The directory failed. What was created before is durable; run the import again.
    #[error("the directory failed: {0}")]
    Directory(#[from] UpdateError),
}

/// Where rows go.
pub struct Import<S> {
    /// The sequencer's queue.
    pub updates: Updates,
    /// The same directory, to look labels up.
    pub store: Arc<S>,
    /// The operator's token, if `access` is `token`.
    pub token: Option<Zeroizing<String>>,
    /// What becomes of labels that have another value.
    pub existing: Existing,
    /// Rows under way at once.
    pub at_once: usize,
}

/// A line's number, from 1, and what is in it.
type Line = (u64, Result<Row, String>);
/// A label's greatest version, and its value unless that was deleted.
type Current = (u32, Option<Vec<u8>>);
/// What became of a row.
type Done = Result<Became, ImportError>;

enum Became {
    Created,
    Present,
    Rejected(u64, String),
}

impl<S: Store> Import<S> {
    /// Imports all rows. Those that are rejected are written to `rejects`, a JSON object a line;
    /// `progress` is told after each row.
    pub async fn run(
        &self,
        input: impl BufRead + Send + 'static,
        format: Format,
        mut rejects: impl Write,
        mut progress: impl FnMut(&Summary),
    ) -> Result<Summary, ImportError> {
        let (sender, lines) = mpsc::channel(AHEAD);
        let reading = tokio::task::spawn_blocking(move || read(input, format, &sender));
        let lines = stream::unfold(lines, async |mut lines| Some((lines.recv().await?, lines)));
        let done = lines.map(|line| self.row(line)).buffered(self.at_once);
        let mut done = std::pin::pin!(done);
        let mut summary = Summary::default();
        while let Some(row) = done.next().await {
            match row? {
                Became::Created => summary.created = summary.created.saturating_add(1),
                Became::Present => summary.present = summary.present.saturating_add(1),
                Became::Rejected(line, why) => {
                    summary.rejected = summary.rejected.saturating_add(1);
                    let row = serde_json::json!({"line": line, "problem": why});
                    writeln!(rejects, "{row}").map_err(ImportError::Rejects)?;
                }
            }
            progress(&summary);
        }
        rejects.flush().map_err(ImportError::Rejects)?;
        reading.await.map_err(std::io::Error::other)??;
        Ok(summary)
    }

    async fn row(&self, (line, row): Line) -> Done {
        let read = row.and_then(|row| {
            let value = BASE64_STANDARD.decode(&row.value);
            let value = value.map_err(|error| format!("value: expected base64: {error}"))?;
            match row.label.len() {
                0..=255 => Ok((row.label, value)),
                long => Err(format!("label: {long} bytes, expected 255 at most")),
            }
        });
        let (label, value) = match read {
            Ok(read) => read,
            Err(why) => return Ok(Became::Rejected(line, why)),
        };
        loop {
            let current = self.current(label.as_bytes());
            let greatest_version = match current.map_err(UpdateError::from)? {
                None => None,
                Some((_, known)) if known.as_ref() == Some(&value) => return Ok(Became::Present),
                Some((version, _)) if self.existing == Existing::Update => Some(version),
                Some((version, _)) => {
                    let why = format!("label: it has another value already, as version {version}");
                    return Ok(Became::Rejected(line, why));
                }
            };
            let submission = Submission {
                label: label.clone().into_bytes(),
                greatest_version,
                values: vec![UpdateValue {
                    value: value.clone(),
                    signature: None,
                }],
                signed_version: None,
            };
            match self.updates.update(submission, self.token.clone()).await {
                Ok(Outcome::Created(_)) => return Ok(Became::Created),
                Err(UpdateError::Unchanged) => return Ok(Became::Present),
                // Another row of the same label was first.
                Ok(Outcome::Behind) => {}
                Err(UpdateError::OnItsWay | UpdateError::QueueFull | UpdateError::Held) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error @ (UpdateError::Directory(_) | UpdateError::Stopping)) => {
                    return Err(error.into());
                }
                Err(error) => return Ok(Became::Rejected(line, error.to_string())),
            }
        }
    }

    /// The greatest version of a label, and its value unless that was deleted.
    fn current(&self, label: &[u8]) -> Result<Option<Current>, DirectoryError> {
        let reader = self.store.reader()?;
        let newest = greatest(&reader, label, u64::MAX)?;
        let current = newest.and_then(|(_, row)| row.created);
        Ok(current.map(|current| {
            let value = current.opened.map(|(_, update)| update.value);
            (current.version, value)
        }))
    }
}

fn read(
    input: impl BufRead,
    format: Format,
    lines: &mpsc::Sender<Line>,
) -> Result<(), std::io::Error> {
    match format {
        Format::JsonLines => read_json(input, lines),
        Format::Csv => read_csv(input, lines),
    }
}

fn read_csv(input: impl BufRead, lines: &mpsc::Sender<Line>) -> Result<(), std::io::Error> {
    let mut rows = csv::Reader::from_reader(input);
    let header = rows.headers().map_err(std::io::Error::other)?.clone();
    if header.iter().ne(["label", "value"]) {
        return Err(std::io::Error::other("expected the header label,value"));
    }
    for row in rows.records() {
        let line = match row {
            Ok(row) => {
                let number = row.position().map_or(0, csv::Position::line);
                let read = row.deserialize(Some(&header));
                (number, read.map_err(|error| error.to_string()))
            }
            Err(error) if error.is_io_error() => return Err(std::io::Error::other(error)),
            Err(error) => {
                let number = error.position().map_or(0, csv::Position::line);
                (number, Err(error.to_string()))
            }
        };
        if lines.blocking_send(line).is_err() {
            break;
        }
    }
    Ok(())
}

fn read_json(mut input: impl BufRead, lines: &mpsc::Sender<Line>) -> Result<(), std::io::Error> {
    let mut number = 0u64;
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let length = std::io::Read::take(&mut input, limit).read_until(b'\n', &mut line)?;
        number = number.saturating_add(1);
        if length == 0 {
            return Ok(());
        }
        if length >= MAX_LINE {
            let why = format!("line {number} has more than {MAX_LINE} bytes");
            return Err(std::io::Error::other(why));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row = serde_json::from_slice(&line);
        let row = row.map_err(|error| format!("expected {{\"label\": …, \"value\": …}}: {error}"));
        if lines.blocking_send((number, row)).is_err() {
            return Ok(());
        }
    }
}
