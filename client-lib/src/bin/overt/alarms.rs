//! `overt alarms`, and what becomes of a new alarm.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use overt_client::store::{Alarm, Store, StoredAlarm};
use overt_client::{Clock, State, SystemClock};
use serde_json::{Value, json};

use crate::args::{AlarmsCommand, MonitorArgs};
use crate::labels::name;
use crate::report::{Report, UsageError};
use crate::session::Session;

pub(crate) async fn run(
    command: &AlarmsCommand,
    session: &Session,
    report: &Report,
) -> anyhow::Result<()> {
    let store = session.store()?;
    let directory = session.directory(&store, report).await?;
    match command {
        AlarmsCommand::List { all } => {
            let alarms = store.alarms(&directory.url)?;
            let shown: Vec<_> = alarms
                .iter()
                .filter(|a| *all || a.accepted_at.is_none())
                .collect();
            let json: Vec<_> = shown.iter().map(|a| listed(&directory.url, a)).collect();
            let lines: Vec<_> = shown.iter().map(|a| text(a)).collect();
            let text = match lines.is_empty() {
                true => "no alarms".to_owned(),
                false => lines.join("\n\n"),
            };
            report.result(&json!(json), &text);
        }
        AlarmsCommand::Accept { id } => {
            if !store.accept(&directory.url, *id, SystemClock.now())? {
                return Err(UsageError(format!("there is no open alarm {id}")).into());
            }
            let json = json!({"result": "accepted", "id": id});
            report.result(&json, &format!("alarm {id} is accepted"));
        }
    }
    Ok(())
}

/// Alarms that nobody has accepted, gravest first.
pub(crate) fn open(store: &Store, url: &str) -> anyhow::Result<Vec<StoredAlarm>> {
    let mut alarms = store.alarms(url)?;
    alarms.retain(|alarm| alarm.accepted_at.is_none());
    alarms.sort_by_key(|stored| std::cmp::Reverse(state_of(&stored.alarm.code)));
    Ok(alarms)
}

/// The state that an alarm's code stands for.
pub(crate) fn state_of(code: &str) -> State {
    [
        State::Overdue,
        State::Clock,
        State::ContactKeyChanged,
        State::OwnKeyChanged,
        State::InvalidProof,
        State::Lied,
        State::StateLost,
    ]
    .into_iter()
    .find(|state| code.split('/').next() == Some(state.name()))
    .unwrap_or(State::NotCheckable)
}

fn text(stored: &StoredAlarm) -> String {
    let Alarm {
        code,
        label,
        detail,
        evidence,
        ..
    } = &stored.alarm;
    let mut out = format!("ALARM {} ({code})", stored.id);
    if !label.is_empty() {
        out += &format!(" about {}", name(label));
    }
    out += &format!("\n  {detail}\n  {}", state_of(code).explanation());
    if let Some(evidence) = evidence {
        out += &format!("\n  Evidence: {evidence}");
    }
    if stored.accepted_at.is_some() {
        out += "\n  Accepted.";
    }
    out
}

/// What programs are told.
fn listed(url: &str, stored: &StoredAlarm) -> Value {
    let alarm = &stored.alarm;
    json!({
        "format": "overt.alarm/v1",
        "id": stored.id,
        "code": alarm.code,
        "directory": url,
        "label": name(&alarm.label),
        "detail": alarm.detail,
        "meaning": state_of(&alarm.code).explanation(),
        "evidence": alarm.evidence,
        "raised_at_ms": alarm.raised_at,
        "accepted_at_ms": stored.accepted_at,
    })
}

/// Tells people of a new alarm in every way that they asked for. That one way fails does not stop
/// the others.
pub(crate) async fn deliver(url: &str, stored: &StoredAlarm, args: &MonitorArgs, report: &Report) {
    let alarm = &stored.alarm;
    report.notice(&text(stored));
    let mut json = listed(url, stored);
    if let Some(files) = alarm.evidence.as_deref().map(|dir| files(Path::new(dir))) {
        json["evidence_files"] = files;
    }
    if let Some(address) = &args.webhook
        && let Err(error) = post(address, &json).await
    {
        report.notice(&format!("overt: the webhook failed: {error:#}"));
    }
    if let Some(program) = &args.exec
        && let Err(error) = execute(program, &json)
    {
        report.notice(&format!("overt: {}: {error:#}", program.display()));
    }
    if args.notify {
        let about = match alarm.label.is_empty() {
            true => url.to_owned(),
            false => name(&alarm.label),
        };
        let shown = Command::new("notify-send")
            .args(["--urgency=critical", "--app-name=overt", "--"])
            .arg(format!("overt: {} ({about})", alarm.code))
            .arg(state_of(&alarm.code).explanation())
            .status();
        if !shown.as_ref().is_ok_and(std::process::ExitStatus::success) {
            report.notice("overt: notify-send could not show the alarm");
        }
    }
}

/// The kept files in base64, so that whoever gets the alarm can replay them.
fn files(dir: &Path) -> Value {
    use base64::Engine as _;
    let mut out = serde_json::Map::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if let Ok(bytes) = std::fs::read(entry.path()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            out.insert(name, text.into());
        }
    }
    Value::Object(out)
}

async fn post(address: &str, json: &Value) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .timeout(std::time::Duration::from_secs(20))
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let answer = client
        .post(address)
        .header("content-type", "application/json")
        .body(json.to_string())
        .send()
        .await?;
    answer.error_for_status()?;
    Ok(())
}

fn execute(program: &Path, json: &Value) -> anyhow::Result<()> {
    let mut child = Command::new(program).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    writeln!(input, "{json}")?;
    drop(input);
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "{status}");
    Ok(())
}
