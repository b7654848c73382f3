//! What a file proves, and of whom.

use std::fmt;

use serde::Serialize;

use crate::descriptor::to_hex;
use crate::wire::HashValue;

/// A key that signed, named as its reader knows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(tag = "role", content = "key", rename_all = "kebab-case")]
pub enum Accused {
    /// The verifier key of a log, which bears its origin as its name.
    Log(String),
    /// The verifier key of a log that states to be the head log of a directory. Of another log, whose
    /// leaves say whatever its users like, this proves nothing.
    HeadLog(String),
    /// The verifier key of a witness or auditor.
    Cosigner(String),
    /// The verifier key of a cosigner that states to have replayed what it cosigns: an auditor. A
    /// witness states no such thing: of a witness's key this proves nothing.
    ReplayingCosigner(String),
    /// The signature key of the directory whose configuration has this SHA-256, in hexadecimal.
    Directory(String),
    /// The key of the Third-Party Auditor that this configuration names.
    Auditor(String),
    /// The Service Operator's key that this configuration names.
    Operator(String),
}

impl Accused {
    pub(super) fn directory(config_hash: &HashValue) -> Self {
        Self::Directory(to_hex(config_hash))
    }

    pub(super) fn auditor(config_hash: &HashValue) -> Self {
        Self::Auditor(to_hex(config_hash))
    }

    pub(super) fn operator(config_hash: &HashValue) -> Self {
        Self::Operator(to_hex(config_hash))
    }

    /// The verifier key, or the hash of the configuration.
    pub fn key(&self) -> &str {
        match self {
            Self::Log(key)
            | Self::HeadLog(key)
            | Self::Cosigner(key)
            | Self::ReplayingCosigner(key)
            | Self::Directory(key)
            | Self::Auditor(key)
            | Self::Operator(key) => key,
        }
    }
}

impl fmt::Display for Accused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self {
            Self::Log(_) => "the log with the key",
            Self::HeadLog(_) => "the head log with the key",
            Self::Cosigner(_) => "the witness or auditor with the key",
            Self::ReplayingCosigner(_) => "the auditor with the key",
            Self::Directory(_) => "the directory whose configuration has the hash",
            Self::Auditor(_) => "the auditor named by the configuration with the hash",
            Self::Operator(_) => "the operator named by the configuration with the hash",
        };
        write!(f, "{role} {}", self.key())
    }
}

/// What a file proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable name of the contradiction.
    pub code: &'static str,
    /// Whoever holds *all* of these keys has signed statements that cannot all be true. Of one who
    /// holds only some of them nothing is proved.
    pub accused: Vec<Accused>,
    /// A paragraph for people.
    pub explanation: String,
}

impl Finding {
    pub(super) fn new(code: &'static str, mut accused: Vec<Accused>, explanation: String) -> Self {
        accused.sort();
        accused.dedup();
        Self {
            code,
            accused,
            explanation,
        }
    }

    /// Whether a party of whose keys this can tell is the one accused: only if it holds them all.
    pub fn is_against(&self, holds: impl Fn(&Accused) -> bool) -> bool {
        self.accused.iter().all(holds)
    }
}
