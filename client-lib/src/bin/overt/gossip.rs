//! `overt gossip`: comparing the recent distinguished roots with a friend (section "Detecting
//! Forks").

use std::process::ExitCode;

use overt_client::State;
use overt_protocol::codec::{Decode, Encode};
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
            let common = overlap(&heads, &theirs);
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
    }
}

/// How many roots two lists have in common where they lie over each other, if they agree on all of
/// them: the comparison of section "Detecting Forks", for lists of any lengths, since a young log
/// has shown different people different numbers of entries.
fn overlap(a: &[HashValue], b: &[HashValue]) -> usize {
    let ends_at = |earlier: &[HashValue], later: &[HashValue]| {
        (0..earlier.len())
            .map(|skipped| {
                let common = earlier.len().saturating_sub(skipped).min(later.len());
                let agree = earlier
                    .iter()
                    .skip(skipped)
                    .zip(later)
                    .all(|(mine, theirs)| mine == theirs);
                if agree { common } else { 0 }
            })
            .max()
            .unwrap_or(0)
    };
    ends_at(a, b).max(ends_at(b, a))
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
