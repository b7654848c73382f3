//! `overt gossip`: comparing the recent distinguished roots with a friend (section "Detecting
//! Forks").

use std::process::ExitCode;

use overt_client::State;
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::distinguished::{RootsError, compare_roots};
use overt_protocol::user::TreeView;
use overt_protocol::wire::{DistinguishedHead, HashValue};
use serde_json::json;

use crate::args::GossipCommand;
use crate::report::{Report, UsageError, qr, state_code};
use crate::session::{Session, read};

const PREFIX: &str = "OVERT-ROOTS:";

pub(crate) async fn run(
    command: &GossipCommand,
    session: &Session,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let client = session.client(report).await?;
    client.refresh().await?;
    let recent = client.recent()?;
    let heads: Vec<HashValue> = recent.iter().map(|view| view.root).collect();
    let directory = client.directory();
    match command {
        GossipCommand::Show { qr: as_qr } => {
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
        GossipCommand::Compare { file } => {
            let theirs = parse(&read(file)?, &directory.fingerprint.to_string())?;
            // Logs that differ in age show different numbers of entries.
            let common = heads.len().min(theirs.len());
            let newest = |roots: &[HashValue]| roots.get(roots.len() - common..).map(<[_]>::to_vec);
            let (mine, theirs) = (newest(&heads), newest(&theirs));
            let compared = compare_roots(&mine.unwrap_or_default(), &theirs.unwrap_or_default());
            let state = match compared {
                Ok(()) => State::Verified,
                Err(RootsError::Length(..) | RootsError::NoOverlap) => State::InvalidProof,
            };
            let json = json!({
                "result": state.name(),
                "directory": directory.url,
                "compared": common,
            });
            let text = match compared {
                Ok(()) if common < 2 => {
                    "the same root; but it is only one, which shows little. Compare again after the \
                     next distinguished log entry."
                        .to_owned()
                }
                Ok(()) => "the same log: your friend's roots and yours belong together".to_owned(),
                Err(error) => format!(
                    "NOT THE SAME LOG, or one of you is far behind: {error}.\n\
                     Both of you: run this again now. If it stays so, the directory shows you \
                     different logs. Do not rely on keys from it, and keep both texts."
                ),
            };
            report.result(&json, &text);
            Ok(ExitCode::from(state_code(state)))
        }
    }
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
