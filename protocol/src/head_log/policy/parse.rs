//! The text of a policy (tlog-policy, "Policy file syntax and structure").

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Party, Policy, Quorum};
use crate::head_log::key::{NoteKeyError, VerifierKey};
use crate::head_log::text::parse_decimal;

/// Bytes of a policy at most.
pub const MAX_POLICY_LEN: usize = 1 << 20;
/// Logs, witnesses and groups in a policy at most, of each; the specification asks for 32 or more.
pub const MAX_DEFINITIONS: usize = 128;

/// Why a text is not a policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("policy, line {line}: {problem}")]
pub struct PolicyError {
    /// From 1. What is missing from the whole is reported after its last line.
    pub line: usize,
    /// What is wrong there.
    pub problem: PolicyProblem,
}

/// What is wrong with a line of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyProblem {
    /// More than [`MAX_POLICY_LEN`] bytes.
    #[error("the policy has more than {MAX_POLICY_LEN} bytes")]
    TooLong,
    /// A control character other than tab and newline.
    #[error("control character {0:#04x}")]
    Character(u8),
    /// The last line does not end in a newline. It may have been cut, and mean something else.
    #[error("no newline at the end: the policy may be cut off")]
    Cut,
    /// Not a line that the specification knows.
    #[error("expected {0}")]
    Syntax(&'static str),
    /// A vkey that cannot be used.
    #[error(transparent)]
    Key(#[from] NoteKeyError),
    /// The key of a witness that makes no cosignatures.
    #[error("a witness needs a key for cosignatures (signature type 0x04 or 0x06)")]
    KeyType,
    /// The same public key as on an earlier line.
    #[error("this key is already listed")]
    DuplicateKey,
    /// The name of a witness or group is taken, if only by the predefined `none`.
    #[error("the name {0} is taken")]
    NameTaken(String),
    /// No line before defines the name.
    #[error("the name {0} is not defined above")]
    UnknownName(String),
    /// A name that is already a member of a group.
    #[error("{0} is already a member of a group")]
    MemberTwice(String),
    /// Not `any`, `all` or a number from 1 to the number of members.
    #[error("a group of {0} needs `any`, `all` or a number from 1 to {0}")]
    Threshold(usize),
    /// A second quorum.
    #[error("there is a quorum already")]
    SecondQuorum,
    /// No quorum.
    #[error("there is no quorum line")]
    NoQuorum,
    /// More than [`MAX_DEFINITIONS`] of a kind.
    #[error("more than {MAX_DEFINITIONS} logs, witnesses or groups")]
    TooMany,
}

impl PolicyProblem {
    /// A stable name of the check that failed.
    pub fn check(&self) -> &'static str {
        match self {
            Self::TooLong => "policy-length",
            Self::Character(_) => "policy-character",
            Self::Cut => "policy-cut",
            Self::Syntax(_) => "policy-syntax",
            Self::Key(error) => error.check(),
            Self::KeyType => "policy-key-type",
            Self::DuplicateKey => "policy-duplicate-key",
            Self::NameTaken(_) => "policy-name-taken",
            Self::UnknownName(_) => "policy-unknown-name",
            Self::MemberTwice(_) => "policy-member-twice",
            Self::Threshold(_) => "policy-threshold",
            Self::SecondQuorum => "policy-second-quorum",
            Self::NoQuorum => "policy-no-quorum",
            Self::TooMany => "policy-definitions",
        }
    }
}

impl Policy {
    /// Reads a policy. Names, URLs and comments may have bytes above 0x7f; names are compared byte by
    /// byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let at = |line: usize| move |problem| PolicyError { line, problem };
        if bytes.len() > MAX_POLICY_LEN {
            return Err(at(1)(PolicyProblem::TooLong));
        }
        let mut parser = Parser::default();
        let mut last = 0;
        for (line, n) in bytes.split_inclusive(|b| *b == b'\n').zip(1..) {
            parser.line(line).map_err(at(n))?;
            last = n;
        }
        let missing = at(last.saturating_add(1))(PolicyProblem::NoQuorum);
        Ok(Self {
            logs: parser.logs,
            witnesses: parser.witnesses,
            quorum: parser.quorum.ok_or(missing)?,
        })
    }

    /// Adds a log that is known from elsewhere.
    ///
    /// # Errors
    /// [`PolicyProblem::DuplicateKey`], [`PolicyProblem::TooMany`].
    pub fn add_log(&mut self, log: Party) -> Result<(), PolicyProblem> {
        add_party(&mut self.logs, log)
    }
}

/// What the lines so far have defined.
#[derive(Default)]
struct Parser {
    logs: Vec<Party>,
    witnesses: Vec<Party>,
    names: BTreeMap<Vec<u8>, Defined>,
    groups: usize,
    quorum: Option<Option<Quorum>>,
}

struct Defined {
    quorum: Quorum,
    is_member: bool,
}

impl Parser {
    fn line(&mut self, line: &[u8]) -> Result<(), PolicyProblem> {
        let line = line.strip_suffix(b"\n").ok_or(PolicyProblem::Cut)?;
        // Tab and 0x20 to 0x7e, 0x80 to 0xff ("Character set").
        let refused = |b: &&u8| b.is_ascii_control() && **b != b'\t';
        if let Some(control) = line.iter().find(refused) {
            return Err(PolicyProblem::Character(*control));
        }
        let items = line.split(|b| matches!(b, b' ' | b'\t'));
        let items: Vec<&[u8]> = items.filter(|item| !item.is_empty()).collect();
        match items.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", rest @ ..] => self.log(rest),
            [b"witness", rest @ ..] => self.witness(rest),
            [b"group", rest @ ..] => self.group(rest),
            [b"quorum", rest @ ..] => self.quorum(rest),
            _ => Err(PolicyProblem::Syntax("log, witness, group, quorum or #")),
        }
    }

    /// A log may sign with every type of key ("MAY use any note signature algorithm",
    /// tlog-checkpoint), a witness makes cosignatures.
    fn log(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let log = party(items).ok_or(PolicyProblem::Syntax("log <vkey> [<url>]"))??;
        add_party(&mut self.logs, log)
    }

    fn witness(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let syntax = PolicyProblem::Syntax("witness <name> <vkey> [<url>]");
        let Some((name, rest)) = items.split_first() else {
            return Err(syntax);
        };
        let witness = party(rest).ok_or(syntax)??;
        if !witness.key.kind().is_cosignature() {
            return Err(PolicyProblem::KeyType);
        }
        let place = self.witnesses.len();
        add_party(&mut self.witnesses, witness)?;
        self.define(name, Quorum::Witness(place))
    }

    fn group(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let [name, threshold, members @ ..] = items else {
            return Err(PolicyProblem::Syntax("group <name> any|all|<k> <name>..."));
        };
        let n = members.len();
        // The specification does not say whether a number may have leading zeroes: it may not.
        let threshold = match *threshold {
            b"any" => Some(1),
            b"all" => u64::try_from(n).ok(),
            k => str::from_utf8(k).ok().and_then(parse_decimal),
        };
        let threshold = threshold.and_then(|k| usize::try_from(k).ok());
        let threshold = threshold.filter(|k| (1..=n).contains(k));
        let threshold = threshold.ok_or(PolicyProblem::Threshold(n))?;
        self.groups = self.groups.saturating_add(1);
        if self.groups > MAX_DEFINITIONS {
            return Err(PolicyProblem::TooMany);
        }
        let members = members.iter().map(|name| self.member(name));
        let members = members.collect::<Result<_, _>>()?;
        self.define(name, Quorum::Group { threshold, members })
    }

    fn quorum(&mut self, items: &[&[u8]]) -> Result<(), PolicyProblem> {
        let [name] = items else {
            return Err(PolicyProblem::Syntax("quorum <name>"));
        };
        if self.quorum.is_some() {
            return Err(PolicyProblem::SecondQuorum);
        }
        self.quorum = Some(match *name {
            NONE => None,
            name => Some(self.defined(name)?.quorum.clone()),
        });
        Ok(())
    }

    fn define(&mut self, name: &[u8], quorum: Quorum) -> Result<(), PolicyProblem> {
        if name == NONE || self.names.contains_key(name) {
            return Err(PolicyProblem::NameTaken(shown(name)));
        }
        let is_member = false;
        self.names
            .insert(name.to_vec(), Defined { quorum, is_member });
        Ok(())
    }

    fn defined(&mut self, name: &[u8]) -> Result<&mut Defined, PolicyProblem> {
        let unknown = || PolicyProblem::UnknownName(shown(name));
        self.names.get_mut(name).ok_or_else(unknown)
    }

    fn member(&mut self, name: &[u8]) -> Result<Quorum, PolicyProblem> {
        let defined = self.defined(name)?;
        match std::mem::replace(&mut defined.is_member, true) {
            true => Err(PolicyProblem::MemberTwice(shown(name))),
            false => Ok(defined.quorum.clone()),
        }
    }
}

/// The quorum that needs nobody; no name for anybody.
const NONE: &[u8] = b"none";

/// `<vkey> [<url>]`
fn party(items: &[&[u8]]) -> Option<Result<Party, PolicyProblem>> {
    let (vkey, url) = match items {
        [vkey] => (vkey, None),
        [vkey, url] => (vkey, Some(url.to_vec())),
        _ => return None,
    };
    let vkey = str::from_utf8(vkey).map_err(|_| NoteKeyError::Format);
    let key = vkey.and_then(str::parse::<VerifierKey>);
    Some(key.map(|key| Party { key, url }).map_err(Into::into))
}

fn add_party(parties: &mut Vec<Party>, party: Party) -> Result<(), PolicyProblem> {
    let public = party.key.public();
    if parties.iter().any(|known| known.key.public() == public) {
        return Err(PolicyProblem::DuplicateKey);
    }
    if parties.len() >= MAX_DEFINITIONS {
        return Err(PolicyProblem::TooMany);
    }
    parties.push(party);
    Ok(())
}

/// A name as a message may show it.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(80).collect()
}
