//! Receipts: an update may be acknowledged before it is in the log, with a promise that the
//! directory signs. An extension of the project; the draft knows only of updates that were made.
//!
//! A receipt says that a commitment will be that of a version of a label in every log entry that is
//! dated after a deadline. A verified search response that says otherwise is proof that the promise
//! was broken ([`Verifier::broken_promise`]): both are signed by the log.

use thiserror::Error;

use crate::codec::{Decode, DecodeError, Encode, EncodeError, Reader, Width, Writer};
use crate::error::VerifyError;
use crate::suite::{self, SignatureError, SigningKey};
use crate::user::{TreeState, Verifier};
use crate::wire::{
    AbsenceRequest, CommitmentValue, HashValue, Opening, SearchRequest, UpdateRequest, UpdateValue,
    decode_label, encode_label,
};

/// Tells a receipt from all else that the log signs.
const TYPE: &[u8] = b"overt.receipt/v1";

/// A promise about one version of a label. At most 430 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Of the log's [`Configuration`](crate::wire::Configuration).
    pub config_hash: HashValue,
    /// At most 255 bytes.
    pub label: Vec<u8>,
    /// The version that the update makes.
    pub version: u32,
    /// The commitment to its value.
    pub commitment: HashValue,
    /// When the promise was given, in milliseconds since the Unix epoch.
    pub timestamp: u64,
    /// Log entries dated after this have the version.
    pub deadline: u64,
    /// By the log's signature key, over everything above.
    pub signature: Vec<u8>,
}

/// A receipt, and what opens its commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promised {
    /// The promise.
    pub receipt: Receipt,
    /// The opening that the log chose.
    pub opening: Opening,
}

/// Why a receipt is worthless, or not broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Bytes that are no receipts.
    #[error("malformed receipt: {0}")]
    Malformed(#[from] DecodeError),
    /// Too large to encode.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// There is not one receipt for each value.
    #[error("there are {found} receipts for {expected} values")]
    Count {
        /// Received.
        found: usize,
        /// Values in the request.
        expected: usize,
    },
    /// The receipt is about another log, label or version.
    #[error("the receipt is about another {0}")]
    About(&'static str),
    /// The commitment is not one to the value that was sent.
    #[error("the receipt's commitment does not open to the value that was sent")]
    Commitment,
    /// The deadline is before the time of the promise, or the time is far from the user's clock.
    #[error("the receipt's times make no sense")]
    Times,
    /// The log did not sign it.
    #[error("the receipt's signature does not verify")]
    Signature(#[source] SignatureError),
    /// The response does not verify.
    #[error("the response does not verify: {0}")]
    Response(#[from] VerifyError),
    /// The response is dated before the deadline: it may be kept yet.
    #[error("the response is dated {rightmost}, not after the deadline {deadline}")]
    Early {
        /// Timestamp of the rightmost log entry.
        rightmost: u64,
        /// Of the receipt.
        deadline: u64,
    },
    /// The response does not say anything against the receipt.
    #[error("the response does not contradict the receipt")]
    NotBroken,
}

impl ReceiptError {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Encode(_) => "receipt-malformed",
            Self::Count { .. } => "receipt-count",
            Self::About(_) => "receipt-about",
            Self::Commitment => "receipt-commitment",
            Self::Times => "receipt-times",
            Self::Signature(_) => "receipt-signature",
            Self::Response(error) => error.check(),
            Self::Early { .. } => "receipt-early",
            Self::NotBroken => "receipt-not-broken",
        }
    }
}

/// How a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The version does not exist after the deadline; the greatest is this one, if there is any.
    Missing {
        /// The greatest version of the label.
        greatest: Option<u32>,
    },
    /// The version has another commitment.
    Other(HashValue),
}

impl Receipt {
    /// Signs a promise; `signature` is made, whatever it is in `self`.
    pub fn sign(mut self, key: &SigningKey) -> Result<Self, EncodeError> {
        self.signature = key.sign(&self.tbs()?);
        Ok(self)
    }

    fn tbs(&self) -> Result<Vec<u8>, EncodeError> {
        let mut w = Writer::default();
        w.opaque(Width::One, TYPE, "type");
        self.encode_unsigned(&mut w);
        w.finish()
    }

    fn encode_unsigned(&self, w: &mut Writer) {
        w.bytes(&self.config_hash);
        encode_label(w, &self.label);
        w.u32(self.version);
        w.bytes(&self.commitment);
        w.u64(self.timestamp);
        w.u64(self.deadline);
    }
}

/// Whether all that a view shows comes after the deadline.
fn check_late(receipt: &Receipt, state: &TreeState) -> Result<(), ReceiptError> {
    let rightmost = state.rightmost().map_or(0, |entry| entry.timestamp);
    let deadline = receipt.deadline;
    match rightmost > deadline {
        true => Ok(()),
        false => Err(ReceiptError::Early {
            rightmost,
            deadline,
        }),
    }
}

/// The commitment to a value without a Service Operator's signature.
pub fn commitment(
    label: &[u8],
    version: u32,
    opening: &Opening,
    value: &[u8],
) -> Result<HashValue, EncodeError> {
    let update = UpdateValue {
        value: value.to_vec(),
        signature: None,
    };
    let committed = CommitmentValue {
        opening,
        label,
        version,
        update: &update,
    };
    Ok(suite::commitment(&[&committed.to_bytes()?]))
}

impl Verifier {
    /// Checks that the log gave this promise.
    pub fn receipt(&self, receipt: &Receipt) -> Result<(), ReceiptError> {
        if receipt.config_hash != self.config().hash()? {
            return Err(ReceiptError::About("log"));
        }
        if receipt.deadline < receipt.timestamp {
            return Err(ReceiptError::Times);
        }
        self.check_signed(&receipt.tbs()?, &receipt.signature)
            .map_err(ReceiptError::Signature)
    }

    /// Verifies the receipts that answer an update, which stand back to back, one for each value.
    /// `now` is the user's clock in milliseconds since the Unix epoch.
    pub fn receipts(
        &self,
        request: &UpdateRequest,
        response: &[u8],
        now: u64,
    ) -> Result<Vec<Promised>, ReceiptError> {
        let mut reader = Reader::new(response);
        let mut out: Vec<Promised> = Vec::new();
        let expected = request.values.len();
        while !reader.is_empty() {
            out.push(Promised::decode(&mut reader, &())?);
            if out.len() > expected {
                break;
            }
        }
        if out.len() != expected {
            let found = out.len();
            return Err(ReceiptError::Count { found, expected });
        }
        let first = request
            .greatest_version
            .map_or(0, |v| u64::from(v).saturating_add(1));
        for ((version, value), promised) in (first..).zip(&request.values).zip(&out) {
            let receipt = &promised.receipt;
            if receipt.label != request.label {
                return Err(ReceiptError::About("label"));
            }
            if u64::from(receipt.version) != version {
                return Err(ReceiptError::About("version"));
            }
            let (label, version) = (&receipt.label, receipt.version);
            if commitment(label, version, &promised.opening, value)? != receipt.commitment {
                return Err(ReceiptError::Commitment);
            }
            let config = self.config();
            let ahead = receipt.timestamp.saturating_sub(now);
            let behind = now.saturating_sub(receipt.timestamp);
            if ahead > config.max_ahead || behind > config.max_behind {
                return Err(ReceiptError::Times);
            }
            self.receipt(receipt)?;
        }
        Ok(out)
    }

    /// The same with proof that the label does not exist at all.
    pub fn promise_to_nobody(
        &self,
        receipt: &Receipt,
        request: &AbsenceRequest,
        response: &[u8],
    ) -> Result<Broken, ReceiptError> {
        self.receipt(receipt)?;
        if request.label != receipt.label {
            return Err(ReceiptError::About("label"));
        }
        let state = self.at_any_time().absence(None, request, response, 0)?;
        check_late(receipt, &state)?;
        Ok(Broken::Missing { greatest: None })
    }

    /// Checks that the response to a search shows a promise to be broken. Anyone can, at any time,
    /// with the log's configuration alone: the search must be one of a new user, whose clock is
    /// taken to agree with the log's.
    pub fn broken_promise(
        &self,
        receipt: &Receipt,
        request: &SearchRequest,
        response: &[u8],
    ) -> Result<Broken, ReceiptError> {
        self.receipt(receipt)?;
        if request.label != receipt.label {
            return Err(ReceiptError::About("label"));
        }
        if request
            .version
            .is_some_and(|version| version != receipt.version)
        {
            return Err(ReceiptError::About("version"));
        }
        let found = self.at_any_time().search(None, request, response, 0)?;
        check_late(receipt, &found.state)?;
        let version = found.value.version();
        let commitment = *found.value.commitment();
        match version.cmp(&receipt.version) {
            std::cmp::Ordering::Less => Ok(Broken::Missing {
                greatest: Some(version),
            }),
            std::cmp::Ordering::Equal if commitment != receipt.commitment => {
                Ok(Broken::Other(commitment))
            }
            _ => Err(ReceiptError::NotBroken),
        }
    }
}

impl Encode for Receipt {
    fn encode(&self, w: &mut Writer) {
        self.encode_unsigned(w);
        w.opaque(Width::Two, &self.signature, "signature");
    }
}

impl Decode<()> for Receipt {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            config_hash: r.array("config_hash")?,
            label: decode_label(r)?,
            version: r.u32("version")?,
            commitment: r.array("commitment")?,
            timestamp: r.u64("timestamp")?,
            deadline: r.u64("deadline")?,
            signature: r.opaque(Width::Two, "signature")?,
        })
    }
}

impl Encode for Promised {
    fn encode(&self, w: &mut Writer) {
        self.receipt.encode(w);
        w.bytes(&self.opening);
    }
}

impl Decode<()> for Promised {
    fn decode(r: &mut Reader<'_>, _: &()) -> Result<Self, DecodeError> {
        Ok(Self {
            receipt: Receipt::decode(r, &())?,
            opening: r.array("opening")?,
        })
    }
}
