//! Contradictions between answers of the directory, or between one and what it promised.

use serde::{Deserialize, Serialize};

use crate::codec::{Decode, Encode};
use crate::evidence::heads::configuration;
use crate::evidence::{Accused, Evidence, EvidenceError, Finding, Hex};
use crate::receipt::{Broken, Receipt};
use crate::user::Verifier;
use crate::wire::{AbsenceRequest, Configuration, HashValue, SearchRequest};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A search.
    Search,
    /// Proof that a label does not exist.
    Absence,
}

/// A request of one who knew nothing of the log before, and the answer. It holds the label in the
/// clear, and where the label exists also its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// What was asked.
    pub operation: Operation,
    /// The encoded `SearchRequest` or `AbsenceRequest`.
    pub request: Hex<Vec<u8>>,
    /// The response, byte for byte.
    pub response: Hex<Vec<u8>>,
}

/// A receipt, and an answer that shows that its promise was not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokenPromise {
    /// The encoded `Configuration`.
    pub configuration: Hex<Vec<u8>>,
    /// The encoded [`Receipt`].
    pub receipt: Hex<Vec<u8>>,
    /// The answer.
    pub answer: Exchange,
}

/// A version of a label that was in the log, and an answer for a log that is no smaller, in which the
/// version is another or is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The encoded `Configuration` of a log without maximum lifetime.
    pub configuration: Hex<Vec<u8>>,
    /// The search that found it.
    pub first: Exchange,
    /// The search or proof of absence that did not.
    pub second: Exchange,
}

fn verifier(config: &Hex<Vec<u8>>) -> Result<Verifier, EvidenceError> {
    Ok(Verifier::new(configuration(config)?)?.at_any_time())
}

fn decode<T: Decode<()>>(what: &'static str, bytes: &Hex<Vec<u8>>) -> Result<T, EvidenceError> {
    T::from_bytes(&bytes.0, &()).map_err(|error| EvidenceError::Decode { what, error })
}

impl Exchange {
    /// What was asked, and the answer.
    pub fn new(operation: Operation, request: Vec<u8>, response: Vec<u8>) -> Self {
        Self {
            operation,
            request: Hex(request),
            response: Hex(response),
        }
    }

    fn shown(&self, verifier: &Verifier) -> Result<Shown, EvidenceError> {
        Ok(match self.operation {
            Operation::Search => {
                let request: SearchRequest = decode("SearchRequest", &self.request)?;
                let found = verifier.search(None, &request, &self.response.0, 0)?;
                let is_greatest = request.version.is_none();
                Shown {
                    label: request.label,
                    size: found.state.tree_size(),
                    version: Some((found.value.version(), *found.value.commitment())),
                    is_greatest,
                }
            }
            Operation::Absence => {
                let request: AbsenceRequest = decode("AbsenceRequest", &self.request)?;
                let state = verifier.absence(None, &request, &self.response.0, 0)?;
                Shown {
                    label: request.label,
                    size: state.tree_size(),
                    version: None,
                    is_greatest: true,
                }
            }
        })
    }
}

/// What an answer shows of a label.
struct Shown {
    label: Vec<u8>,
    size: u64,
    /// A version and its commitment; none if there is no version.
    version: Option<(u32, HashValue)>,
    /// Whether there is no greater version.
    is_greatest: bool,
}

impl BrokenPromise {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let verifier = verifier(&self.configuration)?;
        let receipt: Receipt = decode("Receipt", &self.receipt)?;
        let (request, response) = (&self.answer.request, &self.answer.response.0);
        let broken = match self.answer.operation {
            Operation::Search => {
                let request = decode("SearchRequest", request)?;
                verifier.broken_promise(&receipt, &request, response)?
            }
            Operation::Absence => {
                let request = decode("AbsenceRequest", request)?;
                verifier.promise_to_nobody(&receipt, &request, response)?
            }
        };
        let instead = match broken {
            Broken::Missing { greatest } => newest(greatest),
            Broken::Other(_) => "that version is another one".to_owned(),
        };
        let explanation = format!(
            "The directory promised in writing that an update would be version {} of its label by a \
             deadline. In a log of a later time {instead}.",
            receipt.version
        );
        let accused = vec![Accused::directory(&receipt.config_hash)];
        Ok(Finding::new("broken-promise", accused, explanation))
    }
}

fn newest(version: Option<u32>) -> String {
    version.map_or_else(
        || "the label does not exist".to_owned(),
        |version| format!("version {version} is the newest"),
    )
}

impl Versions {
    pub(super) fn verify(&self) -> Result<Finding, EvidenceError> {
        let verifier = verifier(&self.configuration)?;
        let first = self.first.shown(&verifier)?;
        let second = self.second.shown(&verifier)?;
        let none = EvidenceError::NoContradiction;
        if first.label != second.label {
            return Err(EvidenceError::Subject("two labels"));
        }
        if verifier.config().maximum_lifetime.is_some() {
            return Err(none("versions may expire"));
        }
        let (version, commitment) = first.version.ok_or(none("there is no version yet"))?;
        let instead = match second.version {
            Some((same, other)) if same == version => match commitment == other {
                true => return Err(none("the version is the same")),
                false => "it is another one".to_owned(),
            },
            less if second.is_greatest && less.is_none_or(|(less, _)| less < version) => {
                if second.size < first.size {
                    return Err(none("the second log is smaller"));
                }
                newest(less.map(|(less, _)| less))
            }
            _ => return Err(none("both versions can exist")),
        };
        let explanation = format!(
            "In the directory's log of {} entries a label has version {version}; in its log of {} \
             entries {instead}. Versions only grow, and none ever changes.",
            first.size, second.size,
        );
        let accused = vec![Accused::directory(&verifier.config().hash()?)];
        Ok(Finding::new("version-altered", accused, explanation))
    }
}

impl Evidence {
    /// A receipt, and an answer to one who knew nothing of the log before.
    pub fn broken_promise(
        config: &Configuration,
        receipt: &Receipt,
        answer: Exchange,
    ) -> Result<Self, EvidenceError> {
        Self::BrokenPromise(BrokenPromise {
            configuration: Hex(config.to_bytes()?),
            receipt: Hex(receipt.to_bytes()?),
            answer,
        })
        .verified()
    }

    /// Two answers to one who knew nothing of the log before: the first shows a version that in the
    /// second is another; or is none, although that is of a log that is no smaller.
    pub fn versions(
        config: &Configuration,
        first: Exchange,
        second: Exchange,
    ) -> Result<Self, EvidenceError> {
        let configuration = Hex(config.to_bytes()?);
        Self::Versions(Versions {
            configuration,
            first,
            second,
        })
        .verified()
    }
}
