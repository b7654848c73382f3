//! `overt-auditor` as a process.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::binary;

/// A running auditor of one directory. Killed when dropped.
#[derive(Debug)]
pub struct Auditor {
    child: Child,
    /// Where it answers.
    pub status: String,
}

/// Where an auditor keeps its data, where it listens, and what it does besides following.
#[derive(Debug, Clone)]
pub struct AuditorPlace {
    /// Its name.
    pub name: String,
    /// Holds its settings and its data.
    pub folder: PathBuf,
    /// Its address.
    pub listen: String,
    /// Other lines of its settings.
    pub more: String,
    /// Other lines about the directory.
    pub of_directory: String,
}

impl AuditorPlace {
    /// A place on a free loopback port.
    pub fn new(name: &str, folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            listen: TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string(),
            more: String::new(),
            of_directory: String::new(),
        })
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The lines that name it in a tlog-policy.
    pub fn policy_lines(&self) -> anyhow::Result<String> {
        self.write("http://127.0.0.1:1")?;
        let output = command(&self.folder)?.arg("policy").output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Asks it with the command of the same settings.
    pub fn ask(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        Ok(command(&self.folder)?.args(arguments).output()?)
    }

    /// Starts it.
    pub fn start(&self, directory: &str) -> anyhow::Result<Auditor> {
        self.write(directory)?;
        let child = command(&self.folder)?.stderr(Stdio::null()).spawn()?;
        let status = self.url();
        Ok(Auditor { child, status })
    }

    fn write(&self, directory: &str) -> anyhow::Result<()> {
        let text = format!(
            "data_dir = {:?}\nname = {:?}\nlisten = \"{}\"\npoll = \"50ms\"\n{}\n\
             [[directory]]\nurl = \"{directory}\"\n{}",
            self.folder.join("auditor"),
            self.name,
            self.listen,
            self.more,
            self.of_directory
        );
        Ok(std::fs::write(self.folder.join("auditor.toml"), text)?)
    }
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
        AuditorPlace::new("auditor.example.org", folder)?.write("http://127.0.0.1:1")?;
        let output = command(folder)?.arg("key").output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts one that keeps its data below `folder`.
    pub fn start(folder: &Path, directory: &str) -> anyhow::Result<Self> {
        AuditorPlace::new("auditor.example.org", folder)?.start(directory)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
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

fn command(folder: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(binary("overt-auditor")?);
    command
        .arg("--config")
        .arg(folder.join("auditor.toml"))
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null());
    Ok(command)
}
