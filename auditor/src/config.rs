//! Settings: one file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use overt_protocol::descriptor::Fingerprint;
use serde::Deserialize;

/// All settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where keys, state and evidence are kept.
    pub data_dir: PathBuf,
    /// Where the status page is served; absent: nowhere.
    pub listen: Option<SocketAddr>,
    /// Time between looks at a directory that has nothing new.
    #[serde(with = "humantime_serde", default = "poll")]
    pub poll: Duration,
    /// The directories to follow.
    #[serde(default, rename = "directory")]
    pub directories: Vec<Followed>,
}

/// A directory to follow.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    /// Its address.
    pub url: String,
    /// Its fingerprint. Without one, whatever answers first is followed from then on.
    pub fingerprint: Option<String>,
}

fn poll() -> Duration {
    Duration::from_secs(2)
}

impl Settings {
    /// Reads and checks a settings file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let settings: Self =
            toml::from_str(&text).with_context(|| format!("settings in {}", path.display()))?;
        for directory in &settings.directories {
            directory.expected()?;
            let url = reqwest::Url::parse(&directory.url)
                .with_context(|| format!("directory url {:?}", directory.url))?;
            anyhow::ensure!(
                matches!(url.scheme(), "http" | "https"),
                "directory url {:?}: expected http or https",
                directory.url
            );
        }
        anyhow::ensure!(!settings.poll.is_zero(), "poll: must be longer than zero");
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
