//! What people and programs are told, and exit codes.

use std::fmt;
use std::process::ExitCode;

use overt_client::store::StoreError;
use overt_client::transport::TransportError;
use overt_client::trust::TrustError;
use overt_client::{ClientError, State};
use serde_json::{Value, json};

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NOT_FOUND: u8 = 3;
pub(crate) const UNREACHABLE: u8 = 4;
pub(crate) const NOT_VERIFIED: u8 = 5;

/// The exit code of each state.
pub(crate) fn state_code(state: State) -> u8 {
    match state {
        State::Verified => 0,
        State::NotCheckable => UNREACHABLE,
        State::InvalidProof => NOT_VERIFIED,
        State::Overdue => 6,
        State::Clock => 7,
        State::OwnKeyChanged => 8,
        State::ContactKeyChanged => 9,
        State::Lied => 10,
        State::StateLost => 11,
    }
}

/// An error that the person at the keyboard can mend.
#[derive(Debug)]
pub(crate) struct UsageError(pub(crate) String);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// There are keys here, and no memory of what was verified.
#[derive(Debug)]
pub(crate) struct StateLost(pub(crate) std::path::PathBuf);

impl fmt::Display for StateLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there are keys of labels here, but {} has no memory of the directory: it was lost or \
             moved. Restore it from a backup. To begin anew, knowing that the directory could now \
             show another history, pin it again: overt trust add URL --fingerprint ...",
            self.0.display()
        )
    }
}

impl std::error::Error for StateLost {}

pub(crate) struct Report {
    json: bool,
    quiet: bool,
}

impl Report {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether a progress bar is welcome.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && !self.json
    }

    /// The result, in one of two forms.
    pub(crate) fn result(&self, json: &Value, text: &str) {
        if self.json {
            println!("{json}");
        } else {
            println!("{}", text.trim_end());
        }
    }

    /// Something that people should know besides.
    pub(crate) fn notice(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Something that must not get lost, however quiet the command is to be.
    pub(crate) fn warning(&self, text: &str) {
        eprintln!("overt: {text}");
    }

    /// The end of a command that failed.
    pub(crate) fn failure(&self, error: &anyhow::Error) -> ExitCode {
        let code = exit_code(error);
        let client = error.downcast_ref::<ClientError>();
        let check = client.and_then(ClientError::check);
        let kept = match client {
            Some(ClientError::NotVerified { kept, .. }) => Some(kept.to_string()),
            _ => None,
        };
        if self.json {
            let report = json!({
                "result": name(code),
                "check": check.or_else(|| trust_check(error)),
                "message": format!("{error:#}"),
                "kept": kept,
            });
            println!("{report}");
        }
        eprintln!("overt: {error:#}");
        if let Some(kept) = kept {
            eprintln!("Nothing was learnt from this answer and what is remembered is unchanged.");
            eprintln!("The {kept}.");
        }
        if code == state_code(State::StateLost) && !error.is::<StateLost>() {
            eprintln!("{}", State::StateLost.explanation());
        }
        if code == NOT_VERIFIED {
            eprintln!(
                "This may be a fault, or an attack by the directory or on the way to it. \
                 Do not use the key."
            );
        }
        ExitCode::from(code)
    }
}

fn name(code: u8) -> &'static str {
    match code {
        0 => "verified",
        USAGE => "usage",
        NOT_FOUND => "not-found",
        UNREACHABLE => "unreachable",
        NOT_VERIFIED => "not-verified",
        11 => "state-lost",
        _ => "failed",
    }
}

fn trust_check(error: &anyhow::Error) -> Option<&'static str> {
    match error.downcast_ref::<TrustError>()? {
        TrustError::Changed { .. } => Some("directory-changed"),
        TrustError::Fingerprint { .. } => Some("directory-fingerprint"),
        _ => None,
    }
}

pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<UsageError>() {
        return USAGE;
    }
    let stored = error.downcast_ref::<StoreError>();
    if error.is::<StateLost>() || stored.is_some_and(StoreError::is_lost) {
        return state_code(State::StateLost);
    }
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return client_code(error);
    }
    if let Some(error) = error.downcast_ref::<TrustError>() {
        return trust_code(error);
    }
    match error.downcast_ref::<TransportError>() {
        Some(TransportError::Address(_)) => USAGE,
        Some(_) => UNREACHABLE,
        None => FAILED,
    }
}

pub(crate) fn client_code(error: &ClientError) -> u8 {
    match error {
        error if error.is_misbehaviour() => NOT_VERIFIED,
        ClientError::NotFound(_) | ClientError::Absent { .. } | ClientError::NotRegistered => {
            NOT_FOUND
        }
        ClientError::Refused(problem) if problem.status == 410 => NOT_FOUND,
        ClientError::Unreachable(_) | ClientError::Unsettled | ClientError::NotWitnessed { .. } => {
            UNREACHABLE
        }
        ClientError::LabelLength => USAGE,
        ClientError::Store(error) if error.is_lost() => state_code(State::StateLost),
        ClientError::Trust(error) => trust_code(error),
        _ => FAILED,
    }
}

fn trust_code(error: &TrustError) -> u8 {
    match error {
        TrustError::Transport(_) => UNREACHABLE,
        _ => NOT_VERIFIED,
    }
}

/// A QR code for a terminal of either colouring.
pub(crate) fn qr(text: &str) -> String {
    use qrcode::render::unicode::Dense1x2;
    match qrcode::QrCode::new(text) {
        Ok(code) => code.render::<Dense1x2>().build(),
        Err(error) => format!("(no QR code: {error})"),
    }
}
