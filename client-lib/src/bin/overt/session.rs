//! Where things are kept, and which directory is meant.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use overt_client::store::StoreError;
use overt_client::transport::normalize;
use overt_client::{Client, Clock, Directory, HttpTransport, KeyRing, Store, SystemClock};

use crate::args::Global;
use crate::report::{Report, StateLost, UsageError};

const MAX_VALUE: u64 = 16 << 20;

pub(crate) struct Session {
    state_dir: PathBuf,
    keys_dir: PathBuf,
    directory: Option<String>,
    token: Option<String>,
    proxy: Option<String>,
    anonymous_proxy: Option<String>,
}

impl Session {
    pub(crate) fn new(global: &Global) -> anyhow::Result<Self> {
        let state_dir = match &global.state_dir {
            Some(dir) => dir.clone(),
            None => base("XDG_STATE_HOME", ".local/state")?.join("overt"),
        };
        let keys_dir = match &global.keys_dir {
            Some(dir) => dir.clone(),
            None => base("XDG_DATA_HOME", ".local/share")?.join("overt/keys"),
        };
        Ok(Self {
            state_dir,
            keys_dir,
            directory: global.directory.clone(),
            token: global.token.clone(),
            proxy: global.proxy.clone(),
            anonymous_proxy: global.anonymous_proxy.clone(),
        })
    }

    /// What is remembered. Where there are keys of labels there must be something: it is not
    /// started anew in silence.
    pub(crate) fn store(&self) -> anyhow::Result<Store> {
        if !self.has_keys() {
            return self.store_anew();
        }
        match Store::open_existing(&self.state_file()) {
            Err(StoreError::Missing(_)) => Err(StateLost(self.state_dir.clone()).into()),
            opened => Ok(opened?),
        }
    }

    /// What is remembered, or a new memory.
    pub(crate) fn store_anew(&self) -> anyhow::Result<Store> {
        Ok(Store::open(&self.state_file())?)
    }

    fn has_keys(&self) -> bool {
        std::fs::read_dir(&self.keys_dir).is_ok_and(|mut dir| dir.next().is_some())
    }

    fn state_file(&self) -> PathBuf {
        self.state_dir.join("state.sqlite")
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    pub(crate) fn transport(&self, url: &str) -> anyhow::Result<HttpTransport> {
        let token = self.token.as_deref();
        let transport = match &self.proxy {
            None => HttpTransport::new(url, token)?,
            Some(proxy) => HttpTransport::proxied(url, token, proxy)?,
        };
        Ok(match &self.anonymous_proxy {
            None => transport,
            Some(proxy) => transport.with_anonymous_proxy(proxy)?,
        })
    }

    /// To somebody who is not the directory: the token is not for them.
    pub(crate) fn transport_to_others(&self, url: &str) -> anyhow::Result<HttpTransport> {
        Ok(match &self.proxy {
            None => HttpTransport::new(url, None)?,
            Some(proxy) => HttpTransport::proxied(url, None, proxy)?,
        })
    }

    pub(crate) fn keys(&self, directory: &Directory) -> anyhow::Result<KeyRing> {
        Ok(KeyRing::open(&self.keys_dir, directory.fingerprint)?)
    }

    /// The directory that is meant, pinned already or now.
    pub(crate) async fn directory(
        &self,
        store: &Store,
        report: &Report,
    ) -> anyhow::Result<Directory> {
        let Some(url) = &self.directory else {
            let mut all = store.directories()?;
            return match (all.pop(), all.len()) {
                (Some(only), 0) => Ok(only),
                (None, _) => Err(UsageError(
                    "no directory is trusted yet: overt trust add URL, or --directory URL".into(),
                )
                .into()),
                _ => Err(
                    UsageError("several directories are trusted: --directory URL".into()).into(),
                ),
            };
        };
        let url = normalize(url)?;
        if let Some(known) = store.directory(&url)? {
            return Ok(known);
        }
        let now = SystemClock.now();
        let transport = self.transport(&url)?;
        let directory = Directory::fetch(&transport, &url, None, now).await?;
        store.pin(&directory)?;
        report.notice(&first_use(&directory));
        Ok(directory)
    }

    pub(crate) async fn client(&self, report: &Report) -> anyhow::Result<Client<HttpTransport>> {
        let store = self.store()?;
        let directory = self.directory(&store, report).await?;
        if is_exposed(&directory.url) {
            report.notice(
                "NOTICE: plain HTTP beyond this machine. Proofs protect what you see, but others on \
                 the way can see what you ask.",
            );
        }
        let transport = self.transport(&directory.url)?;
        let keys = self.keys(&directory)?;
        Ok(Client::new(transport, store, directory, SystemClock)?
            .with_keys(keys)
            .with_failures(self.state_dir.join("failures")))
    }
}

/// Whether requests go unencrypted to another machine.
fn is_exposed(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost"
        || host
            .parse()
            .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        || host.ends_with(".onion");
    url.scheme() == "http" && !is_local
}

/// What trust on first use means.
pub(crate) fn first_use(directory: &Directory) -> String {
    format!(
        "NOTICE: {} is trusted from now on because it is the first that answered there.\n\
         Compare its fingerprint with one that its operator publishes elsewhere:\n  {}",
        directory.url, directory.fingerprint
    )
}

/// A directory of the XDG base directory specification; relative ones are to be ignored.
fn base(variable: &str, below_home: &str) -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| {
        let dir = PathBuf::from(std::env::var_os(name)?);
        dir.is_absolute().then_some(dir)
    };
    absolute(variable)
        .or_else(|| Some(absolute("HOME")?.join(below_home)))
        .context("neither HOME nor the XDG directories are set; use --state-dir and --keys-dir")
}

/// A file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => std::io::stdin().take(MAX_VALUE + 1).read_to_end(&mut out),
        false => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_VALUE + 1).read_to_end(&mut out)),
    };
    read.map_err(|error| UsageError(format!("{}: {error}", path.display())))?;
    if out.len() as u64 > MAX_VALUE {
        return Err(UsageError(format!("{}: larger than 16 MiB", path.display())).into());
    }
    Ok(out)
}
