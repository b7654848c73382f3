//! `overt exchange verify`: how other implementations are compared with this one.

use std::path::Path;
use std::process::ExitCode;

use overt_client::exchange::{self, ExchangeError};
use overt_client::kept::KeptState;
use overt_client::{Clock, Operation, SystemClock};
use overt_protocol::codec::{Decode, DecodeError};
use overt_protocol::receipt::Receipt;
use overt_protocol::user::Verifier;
use overt_protocol::wire::{AbsenceRequest, Configuration, SearchRequest};
use serde_json::json;

use crate::args::ExchangeVerify;
use crate::report::{NOT_VERIFIED, Report, UsageError};
use crate::session::read;

pub(crate) fn verify(args: &ExchangeVerify, report: &Report) -> anyhow::Result<ExitCode> {
    let named = |path: &Path, error: String| UsageError(format!("{}: {error}", path.display()));
    let config = Configuration::from_bytes(&read(&args.config)?, &())
        .map_err(|e| named(&args.config, e.to_string()))?;
    let verifier = Verifier::new(config).map_err(|e| named(&args.config, e.to_string()))?;
    let state = match &args.state {
        None => KeptState::default(),
        Some(path) => {
            KeptState::from_bytes(&read(path)?).map_err(|e| named(path, e.to_string()))?
        }
    };
    let request = match &args.request {
        Some(path) => read(path)?,
        None => Vec::new(),
    };
    let mut response = Vec::new();
    for path in &args.response {
        response.extend(read(path)?);
    }
    if let Some(path) = &args.receipt {
        return broken_promise(args, (&verifier, path), (&request, &response), report);
    }
    let now = args.now.unwrap_or_else(|| SystemClock.now());
    match exchange::verify(&verifier, &state, args.op, &request, &response, now) {
        Ok(new) => {
            if let Some(path) = &args.new_state {
                let bytes = new.to_bytes().map_err(|e| named(path, e.to_string()))?;
                std::fs::write(path, bytes).map_err(|e| named(path, e.to_string()))?;
            }
            let size = new.tree.map_or(0, |tree| tree.tree_size());
            report.result(
                &json!({"result": "verified", "operation": args.op.to_string(), "tree_size": size}),
                &format!("verified: {} in a log of {size} entries", args.op),
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(ExchangeError::Request(error)) => {
            let path = args.request.as_deref().unwrap_or(Path::new("request"));
            Err(named(path, error.to_string()).into())
        }
        Err(ExchangeError::Response(error)) => {
            report.result(
                &json!({
                    "result": "not-verified",
                    "operation": args.op.to_string(),
                    "check": error.check(),
                    "message": error.to_string(),
                }),
                &format!("NOT VERIFIED: {}: {error}", error.check()),
            );
            Ok(ExitCode::from(NOT_VERIFIED))
        }
    }
}

/// Whether the response proves that a promise was broken.
fn broken_promise(
    args: &ExchangeVerify,
    (verifier, path): (&Verifier, &Path),
    (request, response): (&[u8], &[u8]),
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let malformed = |e: DecodeError| UsageError(format!("request: {e}"));
    let receipt = Receipt::from_bytes(&read(path)?, &())
        .map_err(|e| UsageError(format!("{}: {e}", path.display())))?;
    let judged = match args.op {
        Operation::Search => {
            let request = SearchRequest::from_bytes(request, &()).map_err(malformed)?;
            verifier.broken_promise(&receipt, &request, response)
        }
        Operation::Absence => {
            let request = AbsenceRequest::from_bytes(request, &()).map_err(malformed)?;
            verifier.promise_to_nobody(&receipt, &request, response)
        }
        _ => return Err(UsageError("--receipt goes with search or absence".into()).into()),
    };
    match judged {
        Ok(_) => {
            let version = receipt.version;
            report.result(
                &json!({"result": "verified", "broken_promise": version}),
                &format!("verified: the promise of version {version} was BROKEN"),
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            report.result(
                &json!({
                    "result": "not-verified",
                    "check": error.check(),
                    "message": error.to_string(),
                }),
                &format!("NOT VERIFIED: {}: {error}", error.check()),
            );
            Ok(ExitCode::from(NOT_VERIFIED))
        }
    }
}
