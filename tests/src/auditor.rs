//! `overt-auditor` as a process.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::binary;

/// A running auditor of one directory. Killed when dropped.
#[derive(Debug)]
pub struct Auditor {
    child: Child,
    /// Where its status page is.
    pub status: String,
}

impl Drop for Auditor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Auditor {
    /// The public key, in hexadecimal, of the auditor that keeps its data below `folder`.
    pub fn public_key(folder: &Path) -> anyhow::Result<String> {
        settings(folder, "http://127.0.0.1:1", "127.0.0.1:1")?;
        let output = command(folder)?.arg("key").output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts it.
    pub fn start(folder: &Path, directory: &str) -> anyhow::Result<Self> {
        let status = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        settings(folder, directory, &status)?;
        let child = command(folder)?.stderr(Stdio::null()).spawn()?;
        Ok(Self {
            child,
            status: format!("http://{status}"),
        })
    }

    /// Waits until what it says of the directory is as wanted.
    pub async fn status(&self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut last = Value::Null;
        while Instant::now() < deadline {
            if let Ok(answer) = reqwest::get(format!("{}/status.json", self.status)).await {
                last = serde_json::from_slice(&answer.bytes().await?)?;
                let first = last.get(0).context("no directory is followed")?;
                if wanted(first) {
                    return Ok(first.clone());
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the auditor says {last}")
    }
}

fn settings(folder: &Path, directory: &str, status: &str) -> anyhow::Result<()> {
    let text = format!(
        "data_dir = {:?}\nlisten = \"{status}\"\npoll = \"50ms\"\n\n[[directory]]\nurl = \"{directory}\"\n",
        folder.join("auditor")
    );
    Ok(std::fs::write(folder.join("auditor.toml"), text)?)
}

fn command(folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(binary("overt-auditor")?);
    command
        .arg("--config")
        .arg(folder.join("auditor.toml"))
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null());
    Ok(command)
}
