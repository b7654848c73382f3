//! Signed notes: a text and the signatures of those who stand by it (signed-note).

use std::fmt;

use thiserror::Error;

use crate::head_log::key::{VerifierKey, is_key_name};
use crate::head_log::text::{from_base64, to_base64};

/// Bytes of a note at most: room for [`MAX_SIGNATURES`] of ML-DSA-44.
pub const MAX_NOTE_LEN: usize = 1 << 19;
/// Signatures on a note at most; the specification asks for 16 or more.
pub const MAX_SIGNATURES: usize = 128;

/// Why a note is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteError {
    /// The note is longer than [`MAX_NOTE_LEN`].
    #[error("the note has {0} bytes, at most {MAX_NOTE_LEN} are allowed")]
    TooLong(usize),
    /// Not UTF-8, or control characters other than newlines.
    #[error("the note is not UTF-8 text without control characters")]
    Characters,
    /// No text that ends in a newline, no blank line after it, or no newline at the end.
    #[error("not a text, an empty line and signatures, each line ended by a newline")]
    Format,
    /// A line after the last empty one is not a signature.
    #[error("signature line {0} is malformed")]
    SignatureLine(usize),
    /// More than [`MAX_SIGNATURES`].
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// A line names a known key, whose holder did not sign this text.
    #[error("the signature of {name} does not verify")]
    Signature {
        /// The key's name.
        name: String,
        /// The key ID.
        id: u32,
    },
    /// No signature is by a known key.
    #[error("no known key signed the note")]
    Unsigned,
}

impl NoteError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "note-length",
            Self::Characters => "note-characters",
            Self::Format => "note-format",
            Self::SignatureLine(_) => "note-signature-line",
            Self::TooManySignatures => "note-signatures",
            Self::Signature { .. } => "note-signature",
            Self::Unsigned => "note-unsigned",
        }
    }
}

/// A signature line. [`Display`](fmt::Display) gives the line with its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: u32,
    signature: Vec<u8>,
}

impl NoteSignature {
    /// The line of a signature that `key` verifies.
    pub(super) fn new(key: &VerifierKey, signature: Vec<u8>) -> Self {
        Self {
            name: key.name().to_owned(),
            id: key.id(),
            signature,
        }
    }

    /// Reads one or more lines, each with its newline: the end of a note, or what a witness answers.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, NoteError> {
        let lines = text.strip_suffix('\n').ok_or(NoteError::Format)?;
        let signatures: Vec<_> = lines
            .split('\n')
            .take(MAX_SIGNATURES.saturating_add(1))
            .zip(1..)
            .map(|(line, n)| Self::parse(line).ok_or(NoteError::SignatureLine(n)))
            .collect::<Result<_, _>>()?;
        match signatures.len() <= MAX_SIGNATURES {
            true => Ok(signatures),
            false => Err(NoteError::TooManySignatures),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = from_base64(base64)?;
        let (id, signature) = bytes.split_first_chunk()?;
        // An ID alone signs nothing; the specification leaves open that n may be 0.
        (is_key_name(name) && !signature.is_empty()).then(|| Self {
            name: name.to_owned(),
            id: u32::from_be_bytes(*id),
            signature: signature.to_vec(),
        })
    }

    /// Whether the line says that it is by this key.
    fn is_by(&self, key: &VerifierKey) -> bool {
        self.id == key.id() && self.name == key.name()
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id.to_be_bytes(), self.signature.as_slice()].concat();
        writeln!(f, "\u{2014} {} {}", self.name, to_base64(&bytes))
    }
}

/// A signature that a known key's holder made.
#[derive(Debug, Clone)]
pub struct VerifiedSignature<'k> {
    /// Whose.
    pub key: &'k VerifierKey,
    /// When, by the cosigner's clock, in seconds since the Unix epoch. 0 if the signature makes no
    /// statement about time, as those of logs.
    pub timestamp: u64,
    /// The line.
    pub line: NoteSignature,
}

/// A text with signatures, not yet verified. [`Display`](fmt::Display) gives the note, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Puts signatures under a text, which ends in a newline.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        check_characters(&text)?;
        match () {
            () if !text.ends_with('\n') => Err(NoteError::Format),
            () if signatures.is_empty() => Err(NoteError::Unsigned),
            () if signatures.len() > MAX_SIGNATURES => Err(NoteError::TooManySignatures),
            () => Ok(Self { text, signatures }),
        }
    }

    /// Reads a note.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > MAX_NOTE_LEN {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::Characters)?;
        check_characters(note)?;
        let end = note.rfind("\n\n").ok_or(NoteError::Format)?;
        let (text, rest) = note.split_at(end.saturating_add(1));
        let lines = rest.strip_prefix('\n').ok_or(NoteError::Format)?;
        Ok(Self {
            text: text.to_owned(),
            signatures: NoteSignature::parse_lines(lines)?,
        })
    }

    /// What is signed, with its final newline. Not to be used before a signature was verified.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, known or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The same text with more signatures.
    pub fn with(&self, more: &[NoteSignature]) -> Result<Self, NoteError> {
        self.with_only([&self.signatures, more].concat())
    }

    /// The same text with other signatures.
    pub(super) fn with_only(&self, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        Self::new(self.text.clone(), signatures)
    }

    /// Verifies every signature by these keys and ignores all others (signed-note, "Signatures").
    ///
    /// # Errors
    /// [`NoteError::Signature`] if one of them does not verify: then the note is malformed.
    /// [`NoteError::Unsigned`] if there is none.
    pub fn verify<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<VerifiedSignature<'k>>, NoteError> {
        let verified = self.verify_known(keys)?;
        match verified.is_empty() {
            true => Err(NoteError::Unsigned),
            false => Ok(verified),
        }
    }

    /// As [`Note::verify`], but content without any signature by these keys.
    pub(super) fn verify_known<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<VerifiedSignature<'k>>, NoteError> {
        let mut verified = Vec::new();
        for key in keys {
            for line in self.signatures.iter().filter(|line| line.is_by(key)) {
                let timestamp = key.verify(&self.text, &line.signature);
                let timestamp = timestamp.ok_or_else(|| NoteError::Signature {
                    name: line.name.clone(),
                    id: line.id,
                })?;
                verified.push(VerifiedSignature {
                    key,
                    timestamp,
                    line: line.clone(),
                });
            }
        }
        Ok(verified)
    }
}

fn check_characters(note: &str) -> Result<(), NoteError> {
    let refused = |c: char| c < ' ' && c != '\n';
    match note.contains(refused) {
        true => Err(NoteError::Characters),
        false => Ok(()),
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| line.fmt(f))
    }
}
