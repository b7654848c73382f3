//! Asking the auditor that runs.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use overt_auditor::config::Settings;
use overt_auditor::fetch::Fetch;
use overt_auditor::transport::Http;
use overt_protocol::evidence::{Evidence, MAX_EVIDENCE_LEN};
use serde_json::Value;

/// Bytes of the status.
const MAX_STATUS: usize = 16 << 20;

/// How the worst of what an auditor sees ends the command.
const REFUSED: u8 = 3;
const WRONG: u8 = 4;

struct Running {
    fetch: Fetch,
    url: String,
}

impl Running {
    fn of(settings: &Settings) -> anyhow::Result<Self> {
        let listen = settings.listen.context("a listen address is needed")?;
        Ok(Self {
            fetch: Fetch(Arc::new(Http::new(None)?)),
            url: format!("http://{listen}"),
        })
    }

    async fn get(&self, path: &str, limit: usize) -> anyhow::Result<Vec<u8>> {
        let answer = self.fetch.get(&self.url, path, limit).await;
        answer.with_context(|| format!("no auditor answers at {}: is it running?", self.url))
    }
}

/// Prints what it sees.
pub(crate) async fn status(settings: &Settings, json: bool) -> anyhow::Result<ExitCode> {
    let bytes = Running::of(settings)?
        .get("/status.json", MAX_STATUS)
        .await?;
    let logs: Vec<Value> = serde_json::from_slice(&bytes)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&logs)?);
    }
    let mut worst = 0;
    for log in &logs {
        let text = |name: &str| log[name].as_str().unwrap_or_default().to_owned();
        let state = text("state");
        let code = match &state[..] {
            "followed" | "witnessed" => 0,
            "refused" => REFUSED,
            _ => WRONG,
        };
        worst = match (worst, code) {
            (REFUSED, _) | (_, REFUSED) => REFUSED,
            (worst, code) => worst.max(code),
        };
        if json {
            continue;
        }
        let name = [text("origin"), text("url")];
        let name = name.iter().find(|name| !name.is_empty());
        let size = |name: &str| log[name].as_u64().map_or("-".to_owned(), |n| n.to_string());
        println!(
            "{}: {}",
            name.map_or("", String::as_str),
            state.to_uppercase()
        );
        println!(
            "  replayed {} log entries, cosigned {} as auditor and {} as witness",
            size("tree_size"),
            size("cosigned_size"),
            size("witnessed_size")
        );
        for why in ["refused", "suspicion"].map(text) {
            if !why.is_empty() {
                println!("  {why}");
            }
        }
        for (peer, agreement) in log["peers"].as_object().into_iter().flatten() {
            let result = agreement["result"].as_str().unwrap_or("not reached");
            println!("  {peer}: {result}");
        }
    }
    Ok(ExitCode::from(worst))
}

/// Writes all evidence, each file once it was verified.
pub(crate) async fn evidence(settings: &Settings, folder: &Path) -> anyhow::Result<()> {
    let running = Running::of(settings)?;
    let ids: Vec<String> =
        serde_json::from_slice(&running.get("/gossip/evidence", MAX_STATUS).await?)?;
    for id in &ids {
        let path = format!("/gossip/evidence/{id}");
        let evidence = Evidence::parse(&running.get(&path, MAX_EVIDENCE_LEN).await?)?;
        let finding = evidence.verify()?;
        let file = folder.join(format!("evidence-{}.json", evidence.id()));
        std::fs::write(&file, evidence.to_json())
            .with_context(|| format!("cannot write {}", file.display()))?;
        println!("{}: {}", file.display(), finding.explanation);
    }
    if ids.is_empty() {
        println!("there is no evidence against anybody");
    }
    Ok(())
}
