//! `overt status`.

use std::fmt::Write as _;

use overt_client::bounds::Times;
use overt_client::{Client, HttpTransport};
use serde_json::{Value, json};

use crate::labels::{add_witnesses, name, time};
use crate::report::Report;
use crate::session::Session;
use crate::trust;

pub(crate) async fn status(session: &Session, report: &Report) -> anyhow::Result<()> {
    let client = session.client(report).await?;
    let tree = client.refresh().await?;
    let (store, directory) = (client.store(), client.directory());
    let timestamp = tree.rightmost().map_or(0, |entry| entry.timestamp);
    let mut text = trust::text(directory);
    let _ = write!(
        text,
        "\n  verified     log of {} entries, last changed {}\n  kept in      {}\n",
        tree.tree_size(),
        time(timestamp),
        session.state_dir().display(),
    );
    let mut owned = Vec::new();
    for label in store.owned_labels(&directory.url)? {
        let Some(kept) = store.owned(&directory.url, &label)? else {
            continue;
        };
        let progress = &kept.state.progress;
        let version = progress.greatest_version();
        if owned.len() < 20 {
            let version = version.map_or("none".to_owned(), |v| v.to_string());
            let _ = writeln!(text, "  owned        {}, version {version}", name(&label));
        }
        owned.push(json!({
            "label": name(&label),
            "version": version,
            "monitored_to": progress.start,
        }));
    }
    if owned.len() > 20 {
        let _ = writeln!(text, "  owned        … {} labels in all", owned.len());
    }
    let mut contacts = Vec::new();
    for label in store.contact_labels(&directory.url)? {
        let contact = store.contact(&directory.url, &label)?.unwrap_or_default();
        contacts.push(json!({
            "label": name(&label),
            "version": contact.greatest,
            "to_monitor": contact.map.len(),
        }));
    }
    let due = contacts.iter().filter(|c| c["to_monitor"] != 0).count();
    let _ = writeln!(
        text,
        "  contacts     {} looked up, {due} of them with versions still to be monitored",
        contacts.len()
    );
    let mut json = json!({
        "result": "verified",
        "directory": trust::describe(directory),
        "tree_size": tree.tree_size(),
        "timestamp_ms": timestamp,
        "root": hex::encode(tree.view.root),
        "owned": owned,
        "contacts": contacts,
    });
    add_witnesses(client.witnessed()?, &mut json, &mut text);
    add_bounds(&client, &mut json, &mut text)?;
    report.result(&json, &text);
    Ok(())
}

/// What could go unnoticed, and for how long.
fn add_bounds(
    client: &Client<HttpTransport>,
    json: &mut Value,
    text: &mut String,
) -> anyhow::Result<()> {
    let policy = client.store().policy(&client.directory().url)?;
    let bounds = Times::of(&client.directory().config).bounds(policy.as_ref(), 0);
    text.push_str("\nNoticed within, if you monitor and auditors look every minute:\n");
    for bound in &bounds {
        let within = match bound.milliseconds {
            Some(0) => "refused at once".to_owned(),
            Some(time) => span(time),
            None if bound.formula.contains('C') => "when anybody compares".to_owned(),
            None => "by the terms of the promise".to_owned(),
        };
        let _ = writeln!(text, "  {:52} {within:16} {}", bound.what, bound.formula);
    }
    let bounds = bounds.iter().map(|bound| {
        json!({"what": bound.what, "formula": bound.formula, "within_ms": bound.milliseconds})
    });
    json["noticed_within"] = bounds.collect();
    Ok(())
}

fn span(milliseconds: u64) -> String {
    match milliseconds / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
