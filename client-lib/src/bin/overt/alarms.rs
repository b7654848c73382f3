//! `overt alarms`, and what becomes of a new alarm.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use overt_client::store::{Alarm, Store, StoredAlarm};
use overt_client::{Clock, State, SystemClock};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::args::{AlarmsCommand, MonitorArgs};
use crate::labels::name;
use crate::report::{Report, UsageError};
use crate::session::Session;

const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(20);
const NOTIFY_TIMEOUT: Duration = Duration::from_secs(20);

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

/// Delivers every open alarm that was not delivered yet: by an earlier run that could not, or that
/// another command raised. Says whether none is left.
pub(crate) async fn deliver_open(
    store: &Store,
    url: &str,
    args: &MonitorArgs,
    report: &Report,
) -> anyhow::Result<bool> {
    let mut is_done = true;
    for stored in open(store, url)? {
        if stored.delivered_at.is_none() {
            match deliver(url, &stored, args, report).await {
                true => store.set_delivered(stored.id, SystemClock.now())?,
                false => is_done = false,
            }
        }
    }
    Ok(is_done)
}

/// Tells people of a new alarm in every way that they asked for. That one way fails does not stop
/// the others. Says whether all went well.
async fn deliver(url: &str, stored: &StoredAlarm, args: &MonitorArgs, report: &Report) -> bool {
    let alarm = &stored.alarm;
    report.notice(&text(stored));
    let mut json = listed(url, stored);
    if let Some(files) = alarm.evidence.as_deref().map(|dir| files(Path::new(dir))) {
        json["evidence_files"] = files;
    }
    let mut failed = Vec::new();
    if let Some(address) = &args.webhook
        && let Err(error) = post(address, &json).await
    {
        failed.push(format!("the webhook failed: {error:#}"));
    }
    if let Some(program) = &args.exec
        && let Err(error) = execute(program, &json, args.exec_timeout).await
    {
        failed.push(format!("{}: {error:#}", program.display()));
    }
    if args.notify
        && let Err(error) = notify(url, alarm).await
    {
        failed.push(format!("notify-send: {error:#}"));
    }
    for failure in &failed {
        let id = stored.id;
        report.warning(&format!(
            "alarm {id} is not delivered, to be tried again: {failure}"
        ));
    }
    failed.is_empty()
}

async fn notify(url: &str, alarm: &Alarm) -> anyhow::Result<()> {
    let about = match alarm.label.is_empty() {
        true => url.to_owned(),
        false => name(&alarm.label),
    };
    let shown = Command::new("notify-send")
        .args(["--urgency=critical", "--app-name=overt", "--"])
        .arg(format!("overt: {} ({about})", alarm.code))
        .arg(state_of(&alarm.code).explanation())
        .kill_on_drop(true)
        .status();
    let status = tokio::time::timeout(NOTIFY_TIMEOUT, shown).await;
    let status = status.context("it does not come back")??;
    anyhow::ensure!(status.success(), "{status}");
    Ok(())
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
        .timeout(WEBHOOK_TIMEOUT)
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

/// Runs a program with the alarm on its standard input. What it prints goes to the log.
async fn execute(program: &Path, json: &Value, limit: Duration) -> anyhow::Result<()> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(std::io::stderr())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    let alarm = format!("{json}\n");
    let run = async {
        // Whether it reads what it is told is its own affair.
        let _ = input.write_all(alarm.as_bytes()).await;
        drop(input);
        child.wait().await
    };
    let Ok(status) = tokio::time::timeout(limit, run).await else {
        child.kill().await?;
        anyhow::bail!("killed, because it took longer than {limit:?}");
    };
    let status = status?;
    anyhow::ensure!(status.success(), "{status}");
    Ok(())
}
