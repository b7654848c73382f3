//! `overt-server` as a process.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use overt_protocol::descriptor::Descriptor;
use overt_protocol::head_log::key::VerifierKey;

use crate::postgres::database;

/// The variable that names the database.
const DATABASE: &str = "OVERT_SERVER_DATABASE_URL";

/// A program of the workspace, built beside the running test.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test
        .parent()
        .and_then(Path::parent)
        .context("no target folder")?;
    let path = folder.join(name);
    if !path.is_file() {
        bail!(
            "{} is not built: run `cargo build --workspace --bins` first",
            path.display()
        );
    }
    Ok(path)
}

/// The answer to a request for the descriptor, read as it comes.
fn descriptor(address: &str) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(b"GET /v1/descriptor HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A running directory. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl Server {
    /// Starts a directory on a free loopback port and waits until it is ready.
    pub fn start(
        data_dir: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Self::start_at(
            &format!("127.0.0.1:{port}"),
            data_dir,
            arguments,
            environment,
        )
    }

    /// Starts a directory at an address, such as that of one that was stopped.
    pub fn start_at(
        address: &str,
        data_dir: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut is_shared = environment.iter().any(|(name, _)| *name == DATABASE);
        let mut command = Command::new(binary("overt-server")?);
        // The Service Operator keeps no log.
        let keeps_log = !arguments.contains(&"operator");
        if keeps_log
            && !is_shared
            && std::env::var("OVERT_TEST_STORE").is_ok_and(|store| store == "postgres")
        {
            let url = database(data_dir)?;
            command.env(DATABASE, url).env("OVERT_SERVER_LEASE", "1s");
            is_shared = true;
        }
        let child = command
            .args([
                "--data-dir",
                &data_dir.display().to_string(),
                "--listen",
                address,
            ])
            .args(arguments)
            .envs(environment.iter().copied())
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut server = Self {
            child,
            url: format!("http://{address}"),
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("overt-server ended at once ({status}): {}", server.errors());
            }
            if Instant::now() > deadline {
                bail!("overt-server is not ready after 30 s");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if is_shared {
            server.wait_until_it_answers(address, deadline)?;
        }
        Ok(server)
    }

    /// A process that shares a database listens before it has anything to show.
    fn wait_until_it_answers(&mut self, address: &str, deadline: Instant) -> anyhow::Result<()> {
        loop {
            let answer = descriptor(address).unwrap_or_default();
            if answer.starts_with("HTTP/1.0 200") {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("overt-server ended ({status}): {}", self.errors());
            }
            if Instant::now() > deadline {
                bail!("overt-server has nothing to show after 30 s: {answer}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut text);
        }
        text
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

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        anyhow::ensure!(sent.success(), "kill -TERM {pid} failed");
        let status = self.child.wait()?;
        anyhow::ensure!(
            status.success(),
            "overt-server ended with {status}: {}",
            self.errors()
        );
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is at a path: status and body.
pub async fn get(url: &str, path: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let answer = reqwest::get(format!("{url}{path}")).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.bytes().await?.to_vec()))
}

/// Waits until a path is answered with 200.
pub async fn wait_for(url: &str, path: &str) -> anyhow::Result<()> {
    for _ in 0..600 {
        if get(url, path).await?.0 == 200 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{path} is never there");
}

/// The keys that a directory says it signs checkpoints with.
pub async fn published_keys(url: &str) -> anyhow::Result<Vec<VerifierKey>> {
    let (_, json) = get(url, "/v1/descriptor").await?;
    Ok(Descriptor::parse(&json)?.0.verifier_keys()?)
}
