//! `overt credential`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use overt_client::State;
use overt_client::client::{Checked, Finality};
use serde_json::json;

use crate::args::CredentialCommand;
use crate::labels::{name, standing};
use crate::recognise::recognise;
use crate::report::{Report, UsageError, qr, state_code};
use crate::session::{Session, read};

/// Text forms: upper case and base45, which the alphanumeric mode of QR codes holds.
const CREDENTIAL: &str = "OVERT-CREDENTIAL:";
const UPDATE: &str = "OVERT-CREDENTIAL-UPDATE:";

pub(crate) async fn run(
    command: &CredentialCommand,
    session: &Session,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let client = session.client(report).await?;
    match command {
        CredentialCommand::Make {
            label,
            output,
            qr: as_qr,
        } => {
            let credential = client.make_credential(label).await?;
            let text = format!("{CREDENTIAL}{}", base45::encode(&credential));
            let made = write(output.as_deref(), &credential, &text)?;
            let json = json!({
                "result": "verified",
                "label": label,
                "bytes": credential.len(),
                "text": text,
            });
            let shown = match as_qr {
                true => format!("{made}\n{}", qr(&text)),
                false => made,
            };
            report.result(&json, &shown);
        }
        CredentialCommand::Check { file, update } => {
            let credential = load(file, CREDENTIAL)?;
            let update = update
                .as_deref()
                .map(|file| load(file, UPDATE))
                .transpose()?;
            let checked = client.check_credential(&credential, update.as_deref())?;
            show(&checked, report);
            if checked.is_old() {
                return Ok(ExitCode::from(state_code(State::ContactKeyChanged)));
            }
        }
        CredentialCommand::Update { file, output } => {
            let credential = load(file, CREDENTIAL)?;
            match client.make_credential_update(&credential).await? {
                None => report.result(
                    &json!({"result": "verified", "update": null}),
                    "this credential needs no update, or not yet: try again after the next \
                     distinguished log entry",
                ),
                Some(update) => {
                    let text = format!("{UPDATE}{}", base45::encode(&update));
                    let made = write(output.as_deref(), &update, &text)?;
                    let json = json!({"result": "verified", "update": text, "bytes": update.len()});
                    report.result(&json, &made);
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to a file, or says the text form.
fn write(output: Option<&Path>, bytes: &[u8], text: &str) -> anyhow::Result<String> {
    match output {
        None => Ok(text.to_owned()),
        Some(path) => {
            std::fs::write(path, bytes)?;
            Ok(format!(
                "{} bytes written to {}",
                bytes.len(),
                path.display()
            ))
        }
    }
}

fn load(file: &Path, prefix: &str) -> anyhow::Result<Vec<u8>> {
    let bytes = read(file)?;
    let text = std::str::from_utf8(&bytes).map(str::trim_end);
    match text.ok().and_then(|text| text.strip_prefix(prefix)) {
        None => Ok(bytes),
        Some(coded) => base45::decode(coded).map_err(|_| {
            UsageError(format!(
                "{}: the text is cut off or mistyped",
                file.display()
            ))
            .into()
        }),
    }
}

fn show(checked: &Checked, report: &Report) {
    use base64::Engine as _;
    let value = &checked.value;
    let label = name(value.label());
    let finality = match checked.finality {
        Finality::Final => "final",
        Finality::AwaitsDistinguished => "awaits-distinguished",
        Finality::AwaitsUpdate(_) => "awaits-update",
    };
    let json = json!({
        "result": if checked.is_old() { "old" } else { "verified" },
        "label": label,
        "version": value.version(),
        "seen_before": checked.seen_before,
        "value": base64::engine::general_purpose::STANDARD.encode(&checked.content),
        "standing": checked.standing.map(|standing| standing.name()),
        "finality": finality,
        "code": checked.code.to_string(),
    });
    let mut text = format!("{label}, version {}\n", value.version());
    let recognised = recognise(&checked.content);
    let kind = recognised.as_ref().map_or("value", |key| key.kind);
    let _ = writeln!(text, "  value     {kind}, {} bytes", checked.content.len());
    if let Some(key) = &recognised {
        let _ = writeln!(text, "            {}", key.fingerprint);
    }
    let _ = writeln!(text, "  code      {}", checked.code);
    let authority = match checked.standing {
        Some(known) => standing(known),
        None => "the version before it is not known here, so its signature is not checked",
    };
    let _ = writeln!(text, "  standing  {authority}");
    let _ = match checked.seen_before {
        Some(seen) if checked.is_old() => writeln!(
            text,
            "  OLD       version {seen} was seen here: this is NOT the newest, do not use it"
        ),
        Some(seen) if seen < value.version() => {
            writeln!(
                text,
                "  CHANGED   version {seen} was the newest that was seen here"
            )
        }
        _ => Ok(()),
    };
    let _ = match checked.finality {
        Finality::Final => write!(text, "Checked finally, without asking the directory."),
        _ => write!(
            text,
            "Checked for now, without asking the directory; overt monitor checks it finally."
        ),
    };
    report.result(&json, &text);
}
