//! `overt gossip`: comparing the recent distinguished roots with a friend (section "Detecting
//! Forks").

use std::path::Path;
use std::process::ExitCode;

use overt_client::roots::overlap;
use overt_client::{Client, Event, HttpTransport, State};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::user::TreeView;
use overt_protocol::wire::{DistinguishedHead, HashValue};
use serde_json::json;

use crate::args::GossipCommand;
use crate::monitor::{describe, to_json};
use crate::report::{Report, UsageError, qr, state_code};
use crate::session::{Session, read};

const PREFIX: &str = "OVERT-ROOTS:";

pub(crate) async fn run(
    command: &GossipCommand,
    session: &Session,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let client = session.client(report).await?;
    match command {
        GossipCommand::Show { qr: as_qr } => show(&client, *as_qr, report).await,
        GossipCommand::Compare { file } => compare(&client, file, report).await,
        GossipCommand::Auditors => auditors(&client, report).await,
        GossipCommand::Stranger => Ok(stranger(&client, report).await),
    }
}

/// The recent distinguished log entries, now.
async fn recent(client: &Client<HttpTransport>) -> anyhow::Result<Vec<TreeView>> {
    client.refresh().await?;
    Ok(client.recent()?)
}

fn roots(recent: &[TreeView]) -> Vec<HashValue> {
    recent.iter().map(|view| view.root).collect()
}

async fn show(
    client: &Client<HttpTransport>,
    as_qr: bool,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let (recent, directory) = (recent(client).await?, client.directory());
    let heads = roots(&recent);
    let mine = DistinguishedHead { heads };
    let text = format!(
        "{PREFIX}{}:{}",
        directory.fingerprint,
        hex::encode(mine.to_bytes()?)
    );
    let positions: Vec<u64> = recent.iter().map(TreeView::position).collect();
    let json = json!({
        "result": "verified",
        "directory": directory.url,
        "positions": positions,
        "roots": mine.heads.iter().map(hex::encode).collect::<Vec<_>>(),
        "text": text,
    });
    let shown = match as_qr {
        true => format!("{text}\n{}", qr(&text)),
        false => text,
    };
    report.result(&json, &shown);
    Ok(ExitCode::SUCCESS)
}

async fn compare(
    client: &Client<HttpTransport>,
    file: &Path,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let (recent, directory) = (recent(client).await?, client.directory());
    let theirs = parse(&read(file)?, &directory.fingerprint.to_string())?;
    let common = overlap(&roots(&recent), &theirs);
    let state = match common {
        0 => State::InvalidProof,
        _ => State::Verified,
    };
    let json = json!({
        "result": state.name(),
        "directory": directory.url,
        "compared": common,
    });
    let text = match common {
        0 => {
            "NOT THE SAME LOG, or one of you is far behind: no roots in common.\n\
             Both of you: run this again now. If it stays so, the directory shows you \
             different logs. Do not rely on keys from it, and keep both texts."
        }
        1 => {
            "the same root; but it is only one, which shows little. Compare again after the \
             next distinguished log entry."
        }
        _ => "the same log: your friend's roots and yours belong together",
    };
    report.result(&json, text);
    Ok(ExitCode::from(state_code(state)))
}

async fn stranger(client: &Client<HttpTransport>, report: &Report) -> ExitCode {
    tell(&client.compare_as_stranger().await, report)
}

async fn auditors(client: &Client<HttpTransport>, report: &Report) -> anyhow::Result<ExitCode> {
    let url = &client.directory().url;
    let asked = client.ask_auditors().await.ok_or_else(|| {
        UsageError(format!(
            "no auditors are chosen: overt trust policy {url} FILE"
        ))
    })?;
    Ok(tell(&asked, report))
}

fn tell(event: &Event, report: &Report) -> ExitCode {
    let state = event.state();
    let mut json = to_json(event);
    json["result"] = json!(state.name());
    let text = format!("{}\n{}", describe(event), state.explanation());
    report.result(&json, &text);
    ExitCode::from(state_code(state))
}

fn parse(bytes: &[u8], fingerprint: &str) -> anyhow::Result<Vec<HashValue>> {
    let bad = || UsageError("this is not what overt gossip show prints".into());
    let text = std::str::from_utf8(bytes).map_err(|_| bad())?;
    let rest = text.trim().strip_prefix(PREFIX).ok_or_else(bad)?;
    let (theirs, roots) = rest.split_once(':').ok_or_else(bad)?;
    if theirs != fingerprint {
        return Err(UsageError(format!(
            "your friend's text is about another directory ({theirs}), or the same address shows \
             each of you another directory"
        ))
        .into());
    }
    let bytes = hex::decode(roots).map_err(|_| bad())?;
    Ok(DistinguishedHead::from_bytes(&bytes, &())
        .map_err(|_| bad())?
        .heads)
}
