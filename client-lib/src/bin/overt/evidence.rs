//! `overt evidence`: what a file proves, to whoever reads it.

use std::path::Path;
use std::process::ExitCode;

use overt_protocol::evidence::{Evidence, Finding};
use serde_json::json;

use crate::report::{NOT_VERIFIED, Report};
use crate::session::read;

pub(crate) fn verify(file: &Path, report: &Report) -> anyhow::Result<ExitCode> {
    let bytes = read(file)?;
    let proved = Evidence::parse(&bytes).and_then(|e| Ok((e.id(), e.verify()?)));
    match proved {
        Ok((id, finding)) => {
            let json = json!({
                "result": "verified",
                "id": id,
                "code": finding.code,
                "accused": finding.accused,
                "explanation": finding.explanation,
            });
            report.result(&json, &describe(&id, &finding));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let json = json!({
                "result": "not-verified",
                "check": error.check(),
                "message": error.to_string(),
            });
            let text = format!("PROVES NOTHING: {}: {error}", error.check());
            report.result(&json, &text);
            Ok(ExitCode::from(NOT_VERIFIED))
        }
    }
}

fn describe(id: &str, finding: &Finding) -> String {
    let accused: String = finding.accused.iter().map(|a| format!("  {a}\n")).collect();
    let holder = match finding.accused.len() {
        1 => "This is proved of",
        _ => "This is proved of whoever holds all of these keys, and of nobody who holds one",
    };
    format!(
        "PROVED ({}): {}\n\n{holder}:\n{accused}\nWhose key it is, the file cannot say: compare it \
         with what you trust.\nEvidence {id}",
        finding.code, finding.explanation,
    )
}
