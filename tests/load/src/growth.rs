//! One directory that grows by powers of ten, and what it costs at each size.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use indicatif::{MultiProgress, ProgressBar};
use rand::RngExt;
use serde::Serialize;

use crate::bar;
use crate::clients::{Clients, Kind};
use crate::directory::{Directory, Imported};
use crate::generator::{Pace, run, until};
use crate::process::usage;
use crate::table::mebibytes;

/// The first size.
const FIRST: u64 = 10_000;
/// The server's default. Nothing is updated but by imports, which fill batches sooner.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);
/// How often the server's memory is looked at.
const LOOK: Duration = Duration::from_millis(200);
const IN_FLIGHT: usize = 1000;

/// Grows a directory by powers of ten, and measures it at each size.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The release build of overt-server.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// The last size, in label-versions; the first is 10,000.
    #[arg(long, default_value_t = 10_000_000)]
    to: u64,
    /// Lookups a second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// Seconds of lookups, of labels that were not looked up before; then the same ones again.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Lookups a second.
    rate: f64,
    /// By size, from the smallest.
    pub sizes: Vec<Size>,
}

/// A size.
#[derive(Debug, Serialize)]
pub struct Size {
    /// Label-versions.
    pub label_versions: u64,
    /// On disk, write-ahead log included, when no process runs.
    pub bytes: u64,
    /// Resident memory of the import at most, in bytes, since the size before.
    pub import_rss: u64,
    /// Resident memory of the server at most, in bytes, while it answers lookups.
    pub serving_rss: u64,
    /// Label-versions that the last stretch of the import had.
    pub stretch: u64,
    /// How many of them in a second.
    pub inserted_per_second: f64,
    /// CPU time of the import for 1,000 of them, in seconds.
    pub cpu_per_1000: f64,
    /// Lookups of labels that were not looked up before, after a start.
    pub first: Quantiles,
    /// Lookups of the same labels again.
    pub again: Quantiles,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// What the cells of [`Size::row`] are.
pub const HEADER: [&str; 10] = [
    "label-versions",
    "bytes each on disk",
    "import RSS, MiB",
    "serving RSS, MiB",
    "inserted/s",
    "CPU s/1,000 inserted",
    "first lookup p50, ms",
    "p99, ms",
    "again p50, ms",
    "p99, ms",
];

impl Size {
    /// Bytes on disk.
    pub fn bytes_per_version(&self) -> f64 {
        self.bytes as f64 / self.label_versions as f64
    }

    /// What a table says of it.
    pub fn row(&self) -> Vec<String> {
        vec![
            self.label_versions.to_string(),
            format!("{:.0}", self.bytes_per_version()),
            format!("{:.1}", mebibytes(self.import_rss)),
            format!("{:.1}", mebibytes(self.serving_rss)),
            format!("{:.0}", self.inserted_per_second),
            format!("{:.3}", self.cpu_per_1000),
            format!("{:.2}", self.first.p50),
            format!("{:.2}", self.first.p99),
            format!("{:.2}", self.again.p50),
            format!("{:.2}", self.again.p99),
        ]
    }
}

/// Measures all sizes, telling `so_far` after each.
pub async fn measure(
    arguments: &Arguments,
    bars: &MultiProgress,
    so_far: impl Fn(&Report) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    ensure!(arguments.to >= FIRST, "--to: {FIRST} at least");
    let growing = Growing {
        directory: Directory::new(&arguments.server, BATCH_INTERVAL)?,
        pace: Pace {
            rate: arguments.rate,
            duration: Duration::from_secs(arguments.seconds),
            in_flight: IN_FLIGHT,
        },
        bar: bar(bars, ""),
    };
    let mut report = Report {
        rate: arguments.rate,
        sizes: Vec::new(),
    };
    let mut before = 0;
    for size in sizes(arguments.to) {
        report.sizes.push(growing.measure(before, size).await?);
        so_far(&report)?;
        before = size;
    }
    growing.bar.finish_and_clear();
    Ok(report)
}

/// Powers of ten, and what is asked for in the end.
fn sizes(to: u64) -> impl Iterator<Item = u64> {
    let powers = std::iter::successors(Some(FIRST), |size| size.checked_mul(10));
    powers.take_while(move |size| *size < to).chain([to])
}

/// Where the last stretch before a size begins: a tenth of it, and enough to be timed.
fn last_stretch(before: u64, size: u64) -> u64 {
    size.saturating_sub(FIRST.max(size / 10)).max(before)
}

struct Growing {
    directory: Directory,
    pace: Pace,
    bar: ProgressBar,
}

impl Growing {
    async fn measure(&self, before: u64, size: u64) -> anyhow::Result<Size> {
        self.bar.set_message(format!("growing to {size}"));
        self.bar.set_length(size);
        self.bar.set_position(before);
        let middle = last_stretch(before, size);
        let mut import_rss = 0;
        if middle > before {
            import_rss = self.directory.import(before..middle, &self.bar)?.rss;
        }
        let Imported { took, cpu, rss } = self.directory.import(middle..size, &self.bar)?;
        let bytes = self.directory.bytes()?;
        let (serving_rss, first, again) = self.look_up(size).await?;
        let stretch = size - middle;
        Ok(Size {
            label_versions: size,
            bytes,
            import_rss: import_rss.max(rss),
            serving_rss,
            stretch,
            inserted_per_second: stretch as f64 / took.as_secs_f64(),
            cpu_per_1000: cpu.as_secs_f64() * 1000.0 / stretch as f64,
            first,
            again,
        })
    }

    /// The server's memory, and how long lookups take: of random labels, then of the same again.
    async fn look_up(&self, size: u64) -> anyhow::Result<(u64, Quantiles, Quantiles)> {
        self.bar.set_message(format!("lookups at {size}"));
        let server = self.directory.serve()?;
        let clients = Clients::new(&server.url, size).await?;
        let mut rng = rand::rng();
        let count = (self.pace.rate * self.pace.duration.as_secs_f64()) as u64;
        let labels: Vec<u64> = (0..count).map(|_| rng.random_range(0..size)).collect();
        let passes = async {
            let first = self.pass(&labels, &clients).await?;
            anyhow::Ok((first, self.pass(&labels, &clients).await?))
        };
        let mut passes = std::pin::pin!(passes);
        let mut often = tokio::time::interval(LOOK);
        let mut rss = 0;
        let (first, again) = loop {
            tokio::select! {
                done = &mut passes => break done?,
                _ = often.tick() => rss = rss.max(usage(server.pid())?.rss),
            }
        };
        server.stop()?;
        Ok((rss, first, again))
    }

    async fn pass(
        &self,
        labels: &[u64],
        clients: &std::sync::Arc<Clients>,
    ) -> anyhow::Result<Quantiles> {
        let ask = |number: u64| clients.lookup(labels[number as usize]);
        let measured = run(&self.pace, until, ask, &self.bar).await?;
        let errors = &measured.errors;
        ensure!(errors.is_empty(), "lookups failed: {errors:?}");
        let quantile = |q| measured.milliseconds(&Kind::Lookup, q);
        Ok(Quantiles {
            p50: quantile(0.5),
            p99: quantile(0.99),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_up_to_what_is_asked_for() {
        let all = |to| sizes(to).collect::<Vec<_>>();
        assert_eq!(all(10_000), [10_000]);
        assert_eq!(all(25_000), [10_000, 25_000]);
        assert_eq!(all(1_000_000), [10_000, 100_000, 1_000_000]);
    }

    #[test]
    fn the_last_stretch_is_long_enough_and_not_older_than_the_size_before() {
        assert_eq!(last_stretch(0, 10_000), 0);
        assert_eq!(last_stretch(10_000, 12_000), 10_000);
        assert_eq!(last_stretch(10_000, 100_000), 90_000);
        assert_eq!(last_stretch(1_000_000, 10_000_000), 9_000_000);
    }
}
