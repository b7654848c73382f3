//! `overt trust`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use overt_client::transport::normalize;
use overt_client::trust::TrustError;
use overt_client::{Clock, Directory, PinnedBy, SystemClock};
use overt_protocol::descriptor::Fingerprint;
use overt_protocol::head_log::policy::Policy;
use serde_json::{Value, json};

use crate::args::TrustCommand;
use crate::report::{Report, StateLost, UsageError};
use crate::session::{Session, first_use};

pub(crate) async fn run(
    command: &TrustCommand,
    session: &Session,
    report: &Report,
) -> anyhow::Result<()> {
    let store = match (session.store(), command) {
        (Err(lost), TrustCommand::Add { fingerprint, .. })
            if fingerprint.is_some() && lost.is::<StateLost>() =>
        {
            report.warning("what was remembered is lost; a new memory begins");
            session.store_anew()?
        }
        (store, _) => store?,
    };
    match command {
        TrustCommand::Add { url, fingerprint } => {
            let expected = fingerprint
                .as_ref()
                .map(|text| text.parse::<Fingerprint>())
                .transpose()
                .map_err(|error| UsageError(error.to_string()))?;
            let url = normalize(url)?;
            let transport = session.transport(&url)?;
            let now = SystemClock.now();
            let found = Directory::fetch(&transport, &url, expected, now).await?;
            match store.directory(&url)? {
                None => store.pin(&found)?,
                Some(pinned) if pinned.fingerprint == found.fingerprint => {
                    if expected.is_some() {
                        store.confirm(&url)?;
                    }
                }
                Some(pinned) => {
                    return Err(TrustError::Changed {
                        pinned: pinned.fingerprint,
                        found: found.fingerprint,
                    }
                    .into());
                }
            }
            if expected.is_none() {
                report.notice(&first_use(&found));
            }
            report.result(&describe(&found), &text(&found));
        }
        TrustCommand::Policy {
            url,
            file,
            dishonest,
            ..
        } => {
            let url = normalize(url)?;
            let directory = store.directory(&url)?;
            let directory =
                directory.ok_or_else(|| UsageError(format!("{url} is not a trusted directory")))?;
            match file {
                None => {
                    store.set_policy(&url, None)?;
                    let text = format!("{url}: no cosignatures are asked for");
                    report.result(&json!({"policy": null}), &text);
                }
                Some(file) => {
                    let policy = read_policy(file, &directory, *dishonest, report)?;
                    store.set_policy(&url, Some(&policy))?;
                }
            }
        }
        TrustCommand::List => {
            let all = store.directories()?;
            let list: Vec<_> = all.iter().map(describe).collect();
            let lines: Vec<_> = all.iter().map(text).collect();
            let none = "no directory is trusted yet".to_owned();
            let lines = match lines.is_empty() {
                true => none,
                false => lines.join("\n\n"),
            };
            report.result(&json!(list), &lines);
        }
        TrustCommand::Remove { url } => {
            let url = normalize(url)?;
            if store.directory(&url)?.is_none() {
                return Err(UsageError(format!("{url} is not a trusted directory")).into());
            }
            store.unpin(&url)?;
            report.result(
                &json!({"removed": url}),
                &format!("{url} and all that was verified about it is forgotten; keys are kept"),
            );
        }
    }
    Ok(())
}

/// Reads a policy and says how strong it is.
fn read_policy(
    file: &Path,
    directory: &Directory,
    dishonest: usize,
    report: &Report,
) -> anyhow::Result<Vec<u8>> {
    if directory.descriptor.log_keys.is_empty() {
        let why = "the directory publishes no head log that witnesses could cosign";
        return Err(UsageError(why.to_owned()).into());
    }
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    let policy = Policy::parse(&bytes);
    let policy = policy.map_err(|e| UsageError(format!("{}: {e}", file.display())))?;
    let mut keys: BTreeMap<&str, usize> = BTreeMap::new();
    for witness in policy.witnesses() {
        *keys.entry(witness.key.name()).or_default() += 1;
    }
    // Whoever is dishonest has all keys of one name.
    let most = keys.values().copied().max().unwrap_or(0);
    let excludes = policy.excludes_fork(dishonest.saturating_mul(most));
    if !excludes {
        report.warning(&format!(
            "this policy does not prevent a fork: the directory and {dishonest} dishonest of the {} \
             witnesses could show two people two logs. With k of n, 2k - n must be greater than the \
             number of dishonest ones.",
            keys.len()
        ));
    }
    let names: Vec<_> = keys.keys().collect();
    let json = json!({"witnesses": names, "dishonest": dishonest, "excludes_fork": excludes});
    let text = format!(
        "{}: heads are believed once a quorum of these has cosigned: {}",
        directory.url,
        keys.keys().copied().collect::<Vec<_>>().join(", ")
    );
    report.result(&json, &text);
    Ok(bytes)
}

pub(crate) fn describe(directory: &Directory) -> Value {
    json!({
        "url": directory.url,
        "origin": directory.descriptor.origin,
        "fingerprint": directory.fingerprint.to_string(),
        "pinned_by": directory.pinned_by.name(),
        "pinned_at_ms": directory.pinned_at,
        "requires_signed_value": directory.descriptor.requires_signed_value,
        "parameters": directory.descriptor.parameters,
    })
}

pub(crate) fn text(directory: &Directory) -> String {
    let parameters = &directory.descriptor.parameters;
    let how = match directory.pinned_by {
        PinnedBy::Fingerprint => "its fingerprint was given",
        PinnedBy::FirstUse => "it was the first that answered",
    };
    let signed = match directory.descriptor.requires_signed_value {
        true => "every change must be signed by the label's own key",
        false => "the directory's operator alone decides who may change a label",
    };
    format!(
        "{} ({})\n  fingerprint  {}\n  trusted      because {how}\n  log          {}, {}\n  values       {signed}",
        directory.url,
        directory.descriptor.origin,
        directory.fingerprint,
        parameters.suite,
        parameters.mode,
    )
}
