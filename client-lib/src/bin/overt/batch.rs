//! `--batch`: many labels at once.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use base64::Engine as _;
use indicatif::{ProgressBar, ProgressStyle};
use overt_client::ClientError;
use overt_client::client::{Cost, Entry, Intent};
use serde::Deserialize;
use serde_json::json;

use crate::labels::name;
use crate::report::{FAILED, Report, UsageError, client_code};
use crate::session::Session;

/// Labels whose results are written together; an interruption loses no more than these, and they
/// are found again at the next attempt.
const CHUNK: usize = 128;

#[derive(Deserialize)]
struct Line {
    label: String,
    #[serde(default)]
    value: Option<String>,
}

pub(crate) async fn publish(
    file: &Path,
    session: &Session,
    report: &Report,
    register: bool,
) -> anyhow::Result<ExitCode> {
    let mut entries = Vec::new();
    for (number, line) in lines(file)? {
        let usage = |what: String| UsageError(format!("{}:{number}: {what}", file.display()));
        let line: Line = serde_json::from_str(&line).map_err(|e| usage(e.to_string()))?;
        let value = line.value.ok_or_else(|| usage("no value".into()))?;
        let value = base64::engine::general_purpose::STANDARD
            .decode(value)
            .map_err(|e| usage(e.to_string()))?;
        entries.push(Entry {
            label: line.label.into_bytes(),
            value: Some(value),
            intent: match register {
                true => Intent::Register,
                false => Intent::Update,
            },
        });
    }
    distinct(file, entries.iter().map(|entry| entry.label.as_slice()))?;
    let client = session.client(report).await?;
    let mut tally = Tally::new(entries.len(), report);
    for chunk in entries.chunks(CHUNK) {
        let results = client.publish_many(chunk.to_vec()).await?;
        for (entry, result) in chunk.iter().zip(results) {
            match result {
                Ok(done) if done.position.is_none() => tally.skipped(done.cost),
                Ok(done) => tally.done(done.cost),
                Err(error) => tally.failed(&entry.label, &error),
            }
        }
        if tally.misbehaviour() {
            break;
        }
    }
    let done = if register { "registered" } else { "updated" };
    if register && tally.done > 0 {
        report.notice("Recovery phrases: overt keys export LABEL --phrase");
    }
    Ok(tally.finish(done, report))
}

pub(crate) async fn lookup(
    file: &Path,
    session: &Session,
    report: &Report,
) -> anyhow::Result<ExitCode> {
    let mut labels = Vec::new();
    for (number, line) in lines(file)? {
        let label = match line.starts_with('{') {
            false => line,
            true => {
                let line: Result<Line, _> = serde_json::from_str(&line);
                let usage = |e| UsageError(format!("{}:{number}: {e}", file.display()));
                line.map_err(usage)?.label
            }
        };
        labels.push(label.into_bytes());
    }
    distinct(file, labels.iter().map(Vec::as_slice))?;
    let client = session.client(report).await?;
    let mut tally = Tally::new(labels.len(), report);
    for chunk in labels.chunks(CHUNK) {
        for (label, result) in chunk.iter().zip(client.lookup_many(chunk).await?) {
            match result {
                Ok(found) => tally.done(found.cost()),
                Err(error) => tally.failed(label, &error),
            }
        }
        if tally.misbehaviour() {
            break;
        }
    }
    Ok(tally.finish("verified", report))
}

/// Numbered lines that are not empty.
fn lines(file: &Path) -> anyhow::Result<Vec<(usize, String)>> {
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = text.map_err(|error| UsageError(format!("{}: {error}", file.display())))?;
    let numbered = text.lines().enumerate();
    Ok(numbered
        .map(|(i, line)| (i + 1, line.trim().to_owned()))
        .filter(|(_, line)| !line.is_empty())
        .collect())
}

/// Two lines about one label would depend on their order.
fn distinct<'a>(file: &Path, labels: impl Iterator<Item = &'a [u8]>) -> anyhow::Result<()> {
    let mut seen = HashMap::new();
    for (i, label) in labels.enumerate() {
        if let Some(first) = seen.insert(label, i) {
            let label = name(label);
            let what = format!("entries {} and {} are both about {label}", first + 1, i + 1);
            return Err(UsageError(format!("{}: {what}", file.display())).into());
        }
    }
    Ok(())
}

struct Tally {
    done: usize,
    skipped: usize,
    failed: Vec<(String, String)>,
    code: u8,
    bytes: usize,
    verify: Duration,
    start: Instant,
    bar: ProgressBar,
}

impl Tally {
    fn new(total: usize, report: &Report) -> Self {
        let bar = match report.shows_progress() {
            true => ProgressBar::new(total as u64),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {eta}")
            .context("template")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Self {
            done: 0,
            skipped: 0,
            failed: Vec::new(),
            code: 0,
            bytes: 0,
            verify: Duration::ZERO,
            start: Instant::now(),
            bar,
        }
    }

    fn cost(&mut self, cost: Cost) {
        self.bytes += cost.bytes;
        self.verify += cost.verify;
        self.bar.inc(1);
    }

    fn done(&mut self, cost: Cost) {
        self.done += 1;
        self.cost(cost);
    }

    fn skipped(&mut self, cost: Cost) {
        self.skipped += 1;
        self.cost(cost);
    }

    fn failed(&mut self, label: &[u8], error: &ClientError) {
        let line = (name(label), error.to_string());
        self.bar.println(format!("{}: {}", line.0, line.1));
        if let ClientError::NotVerified { kept, .. } = error {
            self.bar.println(format!("  {kept}"));
        }
        self.failed.push(line);
        self.code = self.code.max(client_code(error)).max(FAILED);
        self.bar.inc(1);
    }

    fn misbehaviour(&self) -> bool {
        self.code == crate::report::NOT_VERIFIED
    }

    fn finish(self, done: &str, report: &Report) -> ExitCode {
        self.bar.finish_and_clear();
        let answered = (self.done + self.skipped).max(1);
        let seconds = self.start.elapsed().as_secs_f64();
        let failed = self.failed.len();
        let per_label = self.verify.as_secs_f64() * 1000.0 / answered as f64;
        let failures: Vec<_> = self
            .failed
            .iter()
            .map(|(label, error)| json!({"label": label, "error": error}))
            .collect();
        let mut json = json!({
            "result": if failed == 0 { "verified" } else { "failed" },
            "skipped": self.skipped,
            "failed": failed,
            "failures": failures,
            "seconds": seconds,
            "response_bytes": self.bytes,
            "response_bytes_per_label": self.bytes / answered,
            "verify_ms_per_label": per_label,
        });
        json[done] = json!(self.done);
        let mut text = format!(
            "{done} {}, skipped {}, failed {failed}, in {seconds:.1} s\n\
             responses: {} bytes a label; verification: {per_label:.2} ms a label",
            self.done,
            self.skipped,
            self.bytes / answered,
        );
        for (label, error) in self.failed.iter().take(10) {
            text += &format!("\n  {label}: {error}");
        }
        report.result(&json, &text);
        ExitCode::from(self.code)
    }
}
