//! Rebuilding a log from a vectors file, to compare answers byte for byte.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use overt_protocol::clock::SystemClock;
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::distinguished::RECENT;
use overt_protocol::provider::{self, Directory, Tip, append};
use overt_protocol::suite::{self, SigningKey, VrfSecretKey};
use overt_protocol::wire::*;
use serde_json::Value;

use crate::directory::{Shared, Snapshot};
use crate::store::{Batch, Created, SqliteStore, Store, version as find};

/// Rebuilds the log of the vectors file in a scratch store, then answers each line of `input`,
/// `OPERATION HEX [TREE_SIZE [LADDERS]]`, with a line of the responses in hex, separated by spaces,
/// or `error: …`. Without a tree size the whole log answers. For an update that creates values, the
/// tree is the one right after: its last log entry holds them. `LADDERS` limits owner monitoring.
///
/// The file says everything that the log did not decide alone: the Service Operator's signatures in
/// Third-Party Management mode, the auditor's heads in Third-Party Auditing mode.
pub fn replay(file: &Path, input: impl BufRead, mut output: impl Write) -> anyhow::Result<()> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let vectors: Value = serde_json::from_slice(&text).context("the vectors file is not JSON")?;
    let scratch = Scratch::new()?;
    let log = rebuild(&vectors, &scratch)?;
    for line in input.lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        match log.answer(&line) {
            Ok(responses) => writeln!(output, "{}", responses.join(" "))?,
            Err(error) => writeln!(output, "error: {error:#}")?,
        }
        output.flush()?;
    }
    Ok(())
}

/// A folder that goes away with its owner.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| anyhow::anyhow!("{e}"))?;
        let path = std::env::temp_dir().join(format!("overt-replay-{}", hex::encode(random)));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Replayed {
    shared: Arc<Shared<SqliteStore>>,
    heads: Vec<(TreeHead, Option<AuditorTreeHead>)>,
}

fn bytes(value: &Value, what: &str) -> anyhow::Result<Vec<u8>> {
    let text = value
        .as_str()
        .with_context(|| format!("{what} is not a string"))?;
    hex::decode(text).with_context(|| format!("{what} is not hexadecimal"))
}

fn array<const N: usize>(value: &Value, what: &str) -> anyhow::Result<[u8; N]> {
    let bytes = bytes(value, what)?;
    bytes
        .try_into()
        .map_err(|_| anyhow::anyhow!("{what} is not {N} bytes long"))
}

/// A label is text, or hexadecimal under `label_hex`.
fn label(value: &Value) -> anyhow::Result<Vec<u8>> {
    match value.get("label").and_then(Value::as_str) {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => bytes(value.get("label_hex").unwrap_or(&Value::Null), "label"),
    }
}

fn version(value: &Value) -> anyhow::Result<u32> {
    Ok(u32::try_from(
        value["version"].as_u64().context("`version`")?,
    )?)
}

fn rebuild(vectors: &Value, scratch: &Scratch) -> anyhow::Result<Replayed> {
    let config =
        Configuration::from_bytes(&bytes(&vectors["configuration"], "configuration")?, &())?;
    let key = |name: &str| {
        let key = vectors.get("private_keys").and_then(|keys| keys.get(name));
        array::<32>(key.unwrap_or(&Value::Null), name)
    };
    let cipher_suite = config.ciphersuite;
    let signing = SigningKey::from_bytes(cipher_suite, &key("signature")?)?;
    let vrf = VrfSecretKey::from_bytes(cipher_suite, &key("vrf")?)?;
    if signing.public_key() != config.signature_public_key
        || vrf.public_key() != config.vrf_public_key
    {
        bail!("private_keys are not those of the configuration");
    }
    let store = SqliteStore::open(&scratch.0.join("overt.sqlite3"))?;
    let shared = Arc::new(Shared::new(
        store,
        config,
        vrf,
        Arc::new(SystemClock),
        64 << 20,
    ));
    let mut tip = Tip::empty();
    let mut heads = Vec::new();
    let log = vectors["log"].as_array().context("`log` is not a list")?;
    for entry in log {
        let mut new = Vec::new();
        for added in entry["added"].as_array().map_or(&[][..], Vec::as_slice) {
            let created = created(added, &shared.config)?;
            let leaf = prefix_leaf(&shared.vrf, &created)?;
            new.push((leaf, Some(created)));
        }
        let records = shared.records()?;
        let mut gone = Vec::new();
        for removed in entry["removed"].as_array().map_or(&[][..], Vec::as_slice) {
            let found = find(&records.reader, &label(removed)?, version(removed)?)?;
            gone.push(found.context("what was never added cannot be removed")?);
        }
        let timestamp = entry["timestamp"].as_u64().context("`timestamp`")?;
        let leaves: Vec<_> = new.iter().map(|(leaf, _)| *leaf).collect();
        let removed: Vec<_> = gone.iter().map(|(_, row)| row.leaf).collect();
        let appended = append(&records, &tip, timestamp, &leaves, &removed)?;
        drop(records);
        let mut batch = Batch::after(tip.clone());
        batch.push(appended, new, gone.into_iter().map(|(id, _)| id).collect());
        shared.store.commit(&tip, &batch)?;
        tip = batch.tip;
        heads.push(head(entry, &shared.config, &signing, &tip)?);
    }
    Ok(Replayed { shared, heads })
}

/// A version that a log entry added. One that was skipped has no value.
fn created(added: &Value, config: &Configuration) -> anyhow::Result<Created> {
    let opened = match added["skipped"] == true {
        true => None,
        false => {
            let signature = added.get("signature").filter(|s| !s.is_null());
            let is_managed = matches!(config.mode, DeploymentMode::ThirdPartyManagement { .. });
            if is_managed != signature.is_some() {
                bail!("the Service Operator signs every value, and only in its mode");
            }
            let update = UpdateValue {
                value: bytes(&added["value"], "value")?,
                signature: signature.map(|s| bytes(s, "signature")).transpose()?,
            };
            Some((array(&added["opening"], "opening")?, update))
        }
    };
    Ok(Created {
        label: label(added)?,
        version: version(added)?,
        opened,
    })
}

fn prefix_leaf(vrf: &VrfSecretKey, new: &Created) -> anyhow::Result<PrefixLeaf> {
    let (label, version) = (new.label.as_slice(), new.version);
    let commitment = match &new.opened {
        None => provider::SKIPPED,
        Some((opening, update)) => {
            let committed = CommitmentValue {
                opening,
                label,
                version,
                update,
            };
            suite::commitment(&[&committed.to_bytes()?])
        }
    };
    Ok(PrefixLeaf {
        vrf_output: vrf.output(&VrfInput { label, version }.to_bytes()?),
        commitment,
    })
}

/// The head that the vectors hold (P-256 signatures are not deterministic everywhere), else our own.
fn head(
    entry: &Value,
    config: &Configuration,
    signing: &SigningKey,
    tip: &Tip,
) -> anyhow::Result<(TreeHead, Option<AuditorTreeHead>)> {
    let root = tip.root().context("the log is empty")?;
    if let Some(theirs) = entry.get("root").filter(|r| !r.is_null())
        && bytes(theirs, "root")? != root
    {
        bail!(
            "log entry {}: our root is {}, not the one of the file",
            tip.size - 1,
            hex::encode(root)
        );
    }
    let tbs = TreeHeadTbs {
        config,
        tree_size: tip.size,
        root,
    };
    let tree_head = match entry.get("tree_head").filter(|h| !h.is_null()) {
        Some(head) => TreeHead::from_bytes(&bytes(head, "tree_head")?, &())?,
        None => TreeHead {
            tree_size: tip.size,
            signature: signing.sign(&tbs.to_bytes()?),
        },
    };
    let auditor = entry.get("auditor_tree_head").filter(|h| !h.is_null());
    let auditor = auditor
        .map(|head| {
            anyhow::Ok(AuditorTreeHead::from_bytes(
                &bytes(head, "auditor_tree_head")?,
                &(),
            )?)
        })
        .transpose()?;
    let is_audited = matches!(config.mode, DeploymentMode::ThirdPartyAuditing { .. });
    if is_audited != auditor.is_some() {
        bail!("the auditor's head stands beside every head, and only in its mode");
    }
    Ok((tree_head, auditor))
}

impl Replayed {
    fn answer(&self, line: &str) -> anyhow::Result<Vec<String>> {
        let mut words = line.split_whitespace();
        let operation = words.next().unwrap_or_default().replace('_', "-");
        let request = hex::decode(words.next().unwrap_or_default())
            .context("the request is not hexadecimal")?;
        let mut number = |what: &str| {
            let word = words.next().map(str::parse).transpose();
            word.with_context(|| format!("{what} is not a number"))
        };
        let size = number("the tree size")?.unwrap_or(self.heads.len());
        let ladders = number("the number of ladders")?.unwrap_or(usize::MAX);
        let (head, auditor) = size
            .checked_sub(1)
            .and_then(|i| self.heads.get(i))
            .with_context(|| format!("the log has {} entries, not {size}", self.heads.len()))?;
        let at = self.shared.at(head.clone(), auditor.clone())?;
        let responses = respond(&operation, &request, ladders, &at)?;
        Ok(responses.into_iter().map(hex::encode).collect())
    }
}

fn respond(
    operation: &str,
    request: &[u8],
    ladders: usize,
    at: &Snapshot<'_, SqliteStore>,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let one = |response: &dyn Encode| anyhow::Ok(vec![response.to_bytes()?]);
    match operation {
        "search" | "make-credential" => one(&provider::search(
            at,
            &SearchRequest::from_bytes(request, &())?,
        )?),
        "contact-monitor" => one(&provider::contact_monitor(
            at,
            &ContactMonitorRequest::from_bytes(request, &())?,
        )?),
        "owner-init" => one(&provider::owner_init(
            at,
            &OwnerInitRequest::from_bytes(request, &())?,
        )?),
        "owner-monitor" => {
            let request = OwnerMonitorRequest::from_bytes(request, &())?;
            one(&provider::owner_monitor(at, &request, ladders)?)
        }
        "distinguished" => one(&provider::distinguished(
            at,
            &DistinguishedRequest::from_bytes(request, &())?,
            RECENT,
        )?),
        "credential-update" => one(&provider::credential_update(
            at,
            &CredentialUpdateRequest::from_bytes(request, &())?,
        )?),
        "absence" => one(&provider::absence(
            at,
            &AbsenceRequest::from_bytes(request, &())?,
        )?),
        "audit" => {
            let position = request.try_into().map(u64::from_be_bytes);
            let position = position.context("the position has not 8 bytes")?;
            let update = provider::auditor_update(at, position)?;
            Ok(vec![update.to_bytes()?, at.tree_head().to_bytes()?])
        }
        "update" => {
            let request = UpdateRequest::from_bytes(request, &())?;
            let created = (!request.values.is_empty()).then(|| at.tree_head().tree_size - 1);
            let responses = provider::update(at, &request, created)?;
            responses
                .iter()
                .map(|response| Ok(response.to_bytes()?))
                .collect()
        }
        other => bail!(
            "unknown operation {other}; expected search, make-credential, update, \
             contact-monitor, owner-init, owner-monitor, distinguished, credential-update, absence \
             or audit"
        ),
    }
}
