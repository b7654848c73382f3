//! `overt witness`.

use std::fmt::Write;
use std::process::ExitCode;

use overt_client::Transport;
use overt_protocol::evidence::Evidence;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::VerifierKey;
use overt_protocol::head_log::policy::Party;
use overt_protocol::head_log::tree::SizedRoot;
use overt_protocol::head_log::witness::monitoring_path;
use serde_json::json;

use crate::report::{NOT_VERIFIED, Report, UsageError};
use crate::session::Session;

/// What a witness cosigned last, beside what the directory shows.
enum Seen {
    Same,
    Earlier(u64),
    Later(u64),
    /// Of one size, with another root, and both signed by the log.
    Fork(Vec<Evidence>),
    Nothing(String),
}

pub(crate) async fn list(session: &Session, report: &Report) -> anyhow::Result<ExitCode> {
    let client = session.client(report).await?;
    let directory = client.directory();
    let policy = client.store().policy(&directory.url)?;
    let policy = policy.ok_or_else(|| {
        UsageError(format!(
            "no witnesses are chosen: overt trust policy {} FILE",
            directory.url
        ))
    })?;
    let log_keys = directory.descriptor.verifier_keys()?;
    let shown = session
        .transport(&directory.url)?
        .get("/checkpoint")
        .await?;
    let shown = SignedCheckpoint::parse(&shown)?;
    shown.verify(&log_keys)?;
    let path = monitoring_path(&directory.descriptor.origin);
    let mut text = String::new();
    let mut rows = Vec::new();
    let mut is_forked = false;
    for witness in policy.witnesses() {
        let seen = match latest(session, witness, &path).await {
            Ok(signed) => compare(&shown, &signed, &log_keys)?,
            Err(error) => Seen::Nothing(format!("{error:#}")),
        };
        let (result, words) = match &seen {
            Seen::Same => ("same", "the same log, at the same size".to_owned()),
            Seen::Earlier(size) => ("earlier", format!("size {size}, which is earlier")),
            Seen::Later(size) => ("later", format!("size {size}, which is later")),
            Seen::Nothing(why) => ("unreachable", format!("no answer ({why})")),
            Seen::Fork(evidence) => {
                is_forked = true;
                let kept = keep(session, evidence)?;
                (
                    "forked",
                    format!("ANOTHER LOG of the same size: proof is in {kept}"),
                )
            }
        };
        let name = witness.key.name();
        let _ = writeln!(
            text,
            "{name:<32} {:<12} {words}",
            format!("{:08x}", witness.key.id())
        );
        rows.push(json!({"name": name, "key": witness.key.to_string(), "result": result}));
    }
    let SizedRoot { size, .. } = shown.checkpoint().tree();
    let _ = writeln!(text, "The directory shows a checkpoint of size {size}.");
    report.result(&json!({"tree_size": size, "witnesses": rows}), &text);
    Ok(match is_forked {
        true => ExitCode::from(NOT_VERIFIED),
        false => ExitCode::SUCCESS,
    })
}

/// What a witness serves as the checkpoint that it cosigned last, with its signature verified.
async fn latest(
    session: &Session,
    witness: &Party,
    path: &str,
) -> anyhow::Result<SignedCheckpoint> {
    let url = witness.url.as_deref().map(String::from_utf8_lossy);
    let url = url.ok_or_else(|| anyhow::anyhow!("the policy has no address"))?;
    let bytes = session
        .transport_to_others(&url)?
        .get(&format!("/{path}"))
        .await?;
    let signed = SignedCheckpoint::parse(&bytes)?;
    signed.verify([&witness.key])?;
    Ok(signed)
}

fn compare(
    shown: &SignedCheckpoint,
    signed: &SignedCheckpoint,
    log_keys: &[VerifierKey],
) -> anyhow::Result<Seen> {
    let (mine, theirs) = (shown.checkpoint().tree(), signed.checkpoint().tree());
    if mine == theirs {
        return Ok(Seen::Same);
    }
    Ok(match theirs.size.cmp(&mine.size) {
        std::cmp::Ordering::Less => Seen::Earlier(theirs.size),
        std::cmp::Ordering::Greater => Seen::Later(theirs.size),
        std::cmp::Ordering::Equal => Seen::Fork(Evidence::checkpoints(shown, signed, log_keys)?),
    })
}

fn keep(session: &Session, evidence: &[Evidence]) -> anyhow::Result<String> {
    let folder = session.state_dir().join("evidence");
    std::fs::create_dir_all(&folder)?;
    let mut out = Vec::new();
    for one in evidence {
        let path = folder.join(format!("{}.json", one.id()));
        std::fs::write(&path, one.to_json())?;
        out.push(path.display().to_string());
    }
    Ok(out.join(", "))
}
