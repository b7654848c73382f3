//! Settings: one file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use overt_protocol::descriptor::Fingerprint;
use overt_protocol::head_log::key::VerifierKey;
use serde::Deserialize;

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where keys, state and evidence are kept.
    pub data_dir: PathBuf,
    /// Where this auditor answers: witnessing, gossip, status; absent: nowhere.
    pub listen: Option<SocketAddr>,
    /// The name of its keys, such as `auditor.example.org`; default one that no other auditor has.
    pub name: Option<String>,
    /// A program and its arguments: it gets the name of a key as one more argument and prints the
    /// key's 32 bytes in hexadecimal. For secret managers; absent: keys are files in `data_dir`.
    pub key_command: Option<Vec<String>>,
    /// Time between looks at a directory that has nothing new, and at peers.
    #[serde(with = "humantime_serde", default = "poll")]
    pub poll: Duration,
    /// How long a log that asks for a cosignature waits until its entries are replayed.
    #[serde(with = "humantime_serde", default = "catch_up")]
    pub catch_up: Duration,
    /// The way to directories, logs, peers and the webhook, such as `socks5h://127.0.0.1:9050` for Tor.
    pub proxy: Option<String>,
    /// Gets a `POST` with a JSON document for each alarm.
    pub webhook: Option<String>,
    /// The directories to follow.
    #[serde(default, rename = "directory")]
    pub directories: Vec<Followed>,
    /// Other logs, to witness.
    #[serde(default, rename = "log")]
    pub logs: Vec<Witnessed>,
    /// Other auditors, to compare with.
    #[serde(default, rename = "peer")]
    pub peers: Vec<Peer>,
}

/// A directory to follow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    /// Its address.
    pub url: String,
    /// Its fingerprint. Without one, whatever answers first is followed from then on.
    pub fingerprint: Option<String>,
    /// The first log entry to replay; what is before is taken as the head log states it. Absent:
    /// `auditor_start_pos` where the directory names this auditor, else 0.
    pub start: Option<u64>,
}

/// A log to witness without looking at what is in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witnessed {
    /// Its keys as vkeys, all of one name: its origin.
    pub keys: Vec<String>,
    /// Where its checkpoint and tiles are (tlog-tiles). Without one, what others were shown of it is
    /// compared only where sizes are equal.
    pub url: Option<String>,
}

/// Another auditor.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its address.
    pub url: String,
}

fn poll() -> Duration {
    Duration::from_secs(2)
}

fn catch_up() -> Duration {
    Duration::from_secs(4)
}

impl Settings {
    /// Reads and checks a settings file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("settings in {}", path.display()))
    }

    /// Checks settings in TOML.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let settings: Self = toml::from_str(text)?;
        let directories = settings.directories.iter().map(|one| &one.url);
        let peers = settings.peers.iter().map(|one| &one.url);
        let logs = settings.logs.iter().filter_map(|one| one.url.as_ref());
        for url in directories
            .chain(peers)
            .chain(logs)
            .chain(&settings.webhook)
        {
            let parsed = reqwest::Url::parse(url).with_context(|| format!("url {url:?}"))?;
            ensure!(
                matches!(parsed.scheme(), "http" | "https"),
                "url {url:?}: expected http or https"
            );
        }
        for directory in &settings.directories {
            directory.expected()?;
        }
        for log in &settings.logs {
            log.verifier_keys()?;
        }
        ensure!(!settings.poll.is_zero(), "poll: must be longer than zero");
        Ok(settings)
    }
}

impl Followed {
    /// The fingerprint that the directory must have.
    pub fn expected(&self) -> anyhow::Result<Option<Fingerprint>> {
        let parsed = self.fingerprint.as_ref().map(|text| text.parse());
        parsed
            .transpose()
            .with_context(|| format!("fingerprint of {}", self.url))
    }
}

impl Witnessed {
    /// The log's keys.
    pub fn verifier_keys(&self) -> anyhow::Result<Vec<VerifierKey>> {
        let parse = |vkey: &String| {
            let key: VerifierKey = vkey.parse().with_context(|| format!("log key {vkey:?}"))?;
            anyhow::Ok(key)
        };
        let keys: Vec<_> = self.keys.iter().map(parse).collect::<Result<_, _>>()?;
        let name = keys.first().context("a log has at least one key")?.name();
        ensure!(
            keys.iter().all(|key| key.name() == name),
            "the keys of one log have one name, its origin"
        );
        Ok(keys)
    }
}
