//! `overt keys`.

use overt_client::keys::{from_phrase, public_key, to_phrase};
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::KeysCommand;
use crate::labels::{name, show_published};
use crate::report::{Report, UsageError, qr};
use crate::session::{Session, read};

pub(crate) async fn run(
    command: &KeysCommand,
    session: &Session,
    report: &Report,
) -> anyhow::Result<()> {
    match command {
        KeysCommand::Rotate { label } => {
            let client = session.client(report).await?;
            let done = client.rotate(label).await?;
            show_published(&done, "new update key", report, false)?;
            return Ok(());
        }
        KeysCommand::Recover {
            label,
            phrase,
            value,
        } => {
            let client = session.client(report).await?;
            let value = value.as_ref().map(|path| read(path)).transpose()?;
            let seed = match phrase {
                Some(path) => {
                    let text = Zeroizing::new(read(path)?);
                    let text = std::str::from_utf8(&text);
                    let text = text.map_err(|e| UsageError(e.to_string()))?;
                    from_phrase(text).map_err(|e| UsageError(e.to_string()))?
                }
                None => {
                    let keys = session.keys(client.directory())?.load(label.as_bytes())?;
                    let seed = keys.and_then(|keys| keys.recovery.last().cloned());
                    let missing = "no recovery key of this label is here; use --phrase FILE";
                    seed.ok_or_else(|| UsageError(missing.into()))?
                }
            };
            let done = client.recover(label, seed, value.as_deref()).await?;
            show_published(&done, "recovered", report, false)?;
            return Ok(());
        }
        _ => {}
    }
    let store = session.store()?;
    let directory = session.directory(&store, report).await?;
    let ring = session.keys(&directory)?;
    match command {
        KeysCommand::List => {
            let mut list = Vec::new();
            let mut lines = Vec::new();
            for label in ring.labels()? {
                let keys = ring.load(&label)?.unwrap_or_default();
                let update: Vec<_> = keys
                    .update
                    .iter()
                    .map(|k| hex::encode(public_key(k)))
                    .collect();
                lines.push(format!(
                    "{}: {} update and {} recovery key(s), newest {}",
                    name(&label),
                    keys.update.len(),
                    keys.recovery.len(),
                    update.last().map_or("none", String::as_str),
                ));
                list.push(json!({
                    "label": name(&label),
                    "update_keys": update,
                    "recovery_keys": keys.recovery.iter().map(|k| hex::encode(public_key(k))).collect::<Vec<_>>(),
                    "file": ring.path(&label),
                }));
            }
            if lines.is_empty() {
                lines.push("no keys".into());
            }
            report.result(&json!(list), &lines.join("\n"));
        }
        KeysCommand::Export {
            label,
            phrase,
            qr: as_qr,
        } => {
            let keys = ring.load(label.as_bytes())?;
            let keys = keys.ok_or_else(|| UsageError(format!("no keys of {label} are here")))?;
            if *phrase {
                let newest = keys.recovery.last();
                let newest = newest.ok_or_else(|| UsageError("there is no recovery key".into()))?;
                let words = to_phrase(newest)?;
                let code = if *as_qr { qr(&words) } else { String::new() };
                let text = Zeroizing::new(format!("{}\n{code}", *words));
                report.result(&json!({"label": label, "phrase": *words}), &text);
            } else {
                // A key file is JSON in any case.
                print!("{}", *ring.export(label.as_bytes(), &keys));
            }
        }
        KeysCommand::Import { file } => {
            let label = ring.import(file)?;
            report.result(
                &json!({"imported": name(&label)}),
                &format!("the keys of {} are here now", name(&label)),
            );
        }
        KeysCommand::Rotate { .. } | KeysCommand::Recover { .. } => {}
    }
    Ok(())
}
