//! A directory with its processes: `overt-server`, and `overt-server import`.

use std::io::{BufWriter, Read, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use indicatif::ProgressBar;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::process::usage;

/// Who has it may write any label.
pub const TOKEN: &str = "the token of a directory that only serves to be measured";
/// How often an import is looked at.
const LOOK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(120);

/// The name of a label. In the order of their numbers, names are all over the place, as those of
/// people are who register.
pub fn label(number: u64) -> Vec<u8> {
    // The golden ratio's: odd, so that no name comes twice, and far from the one before.
    let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("person-{scattered:016x}@example.org").into_bytes()
}

/// 32 bytes, as a public key has.
pub fn value(number: u64, version: u32) -> Vec<u8> {
    format!("{number:016}{version:016}").into_bytes()
}

fn row(number: u64) -> String {
    let label = String::from_utf8_lossy(&label(number)).into_owned();
    let value = BASE64_STANDARD.encode(value(number, 0));
    format!("{{\"label\": \"{label}\", \"value\": \"{value}\"}}\n")
}

/// What an import took.
#[derive(Debug, Clone, Copy)]
pub struct Imported {
    /// From its start to its end.
    pub took: Duration,
    /// CPU time of all its threads.
    pub cpu: Duration,
    /// Resident memory in bytes, at most.
    pub rss: u64,
}

/// A directory on SQLite, in a folder of its own. Gone when dropped.
#[derive(Debug)]
pub struct Directory {
    server: PathBuf,
    folder: TempDir,
    batch_interval: Duration,
}

impl Directory {
    /// A new directory of this `overt-server`.
    pub fn new(server: &Path, batch_interval: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            server: server.canonicalize().context("--server")?,
            folder: tempfile::Builder::new().prefix("overt-load").tempdir()?,
            batch_interval,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.server);
        let interval = format!("{}ms", self.batch_interval.as_millis());
        command
            .args(["--access", "token", "--batch-interval", &interval])
            .arg("--data-dir")
            .arg(self.folder.path())
            .env("OVERT_SERVER_TOKEN", TOKEN)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null());
        command
    }

    /// Registers these labels, while the directory does not run.
    pub fn import(&self, numbers: Range<u64>, bar: &ProgressBar) -> anyhow::Result<Imported> {
        let began = Instant::now();
        let mut command = self.command();
        let child = command.args(["import", "--json", "-"]);
        let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut child = Ended(child);
        let input = child.0.stdin.take().context("no standard input")?;
        let (count, bar) = (numbers.end - numbers.start, bar.clone());
        let feeding = std::thread::spawn(move || feed(input, numbers, &bar));
        let mut rss = 0;
        let cpu = loop {
            let now = usage(child.0.id())?;
            rss = rss.max(now.rss);
            if now.ended {
                break now.cpu;
            }
            std::thread::sleep(LOOK);
        };
        let took = began.elapsed();
        let status = child.0.wait()?;
        let mut summary = String::new();
        let output = child.0.stdout.take().context("no standard output")?;
        { output }.read_to_string(&mut summary)?;
        ensure!(status.success(), "the import ended with {status}");
        let fed = feeding.join().map_err(|_| anyhow::anyhow!("feeding"))?;
        fed.context("the import did not read everything")?;
        let summary: serde_json::Value = serde_json::from_str(&summary)?;
        ensure!(
            summary["created"] == count,
            "{count} rows, and of these: {summary}"
        );
        Ok(Imported { took, cpu, rss })
    }

    /// Runs the directory on a free loopback port.
    pub fn serve(&self) -> anyhow::Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let child = self.command().args(["--listen", &address]).spawn()?;
        let mut child = Ended(child);
        let began = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            if let Some(status) = child.0.try_wait()? {
                bail!("overt-server ended at once: {status}");
            }
            ensure!(began.elapsed() < PATIENCE, "overt-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        let url = format!("http://{address}");
        Ok(Server { child, url })
    }

    /// Bytes on disk, everything that it keeps, once the write-ahead log is in the database: a process
    /// may end before it comes to that. Not while the directory runs.
    pub fn bytes(&self) -> anyhow::Result<u64> {
        let database = Connection::open(self.folder.path().join("overt.sqlite3"))?;
        database.pragma_update(None, "wal_checkpoint", "TRUNCATE")?;
        drop(database);
        bytes(self.folder.path())
    }
}

fn bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += match metadata.is_dir() {
            true => bytes(&entry.path())?,
            false => metadata.len(),
        };
    }
    Ok(sum)
}

fn feed(input: ChildStdin, numbers: Range<u64>, bar: &ProgressBar) -> std::io::Result<()> {
    let mut input = BufWriter::new(input);
    for number in numbers {
        input.write_all(row(number).as_bytes())?;
        bar.inc(1);
    }
    input.flush()
}

/// A process that ends with whoever holds this.
#[derive(Debug)]
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that runs. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Ended,
    /// Where it listens.
    pub url: String,
}

impl Server {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(sent.success(), "kill -TERM {pid} failed");
        let status = self.child.0.wait()?;
        ensure!(status.success(), "overt-server ended with {status}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The write-ahead log of a process that did not close its database counts as what it comes to.
    #[test]
    fn pages_are_not_counted_twice() {
        let directory = Directory::new(Path::new("/"), Duration::ZERO).unwrap();
        let file = directory.folder.path().join("overt.sqlite3");
        let open = Connection::open(&file).unwrap();
        open.pragma_update(None, "journal_mode", "wal").unwrap();
        open.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000));")
            .unwrap();
        let log = file.with_extension("sqlite3-wal");
        assert!(log.metadata().unwrap().len() > 100_000);
        let bytes = directory.bytes().unwrap();
        assert_eq!(log.metadata().unwrap().len(), 0);
        assert!((100_000..150_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn names_differ_and_values_have_32_bytes() {
        let names: std::collections::BTreeSet<_> = (0..10_000).map(label).collect();
        assert_eq!(names.len(), 10_000);
        assert_eq!(value(9_999_999, u32::MAX).len(), 32);
    }
}
