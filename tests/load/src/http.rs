//! How much a whole server does over HTTP, and how long that lasts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use indicatif::{MultiProgress, ProgressBar};
use serde::Serialize;

use crate::bar;
use crate::clients::{Clients, Kind};
use crate::directory::{Directory, Server};
use crate::generator::{Failure, Measured, Pace, run, until};
use crate::process::{own_cpu, usage};
use crate::table::{mebibytes, table};

/// The rate that the search for the greatest begins with, in requests a second.
const FIRST: f64 = 50.0;
/// Times that the interval in which the greatest rate lies is halved.
const HALVED: usize = 4;
/// Of the greatest rate, what is kept up.
const SHARE: f64 = 0.8;
const MINUTE: usize = 60;

/// Finds the greatest rate that the server keeps up with, then stays at 80 % of it.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The release build of overt-server.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// Labels in the directory before anything is measured.
    #[arg(long, default_value_t = 1_000_000)]
    labels: u64,
    /// How long 80 % of the greatest rate is kept up.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Updates among the requests, half of them of new labels; the rest are lookups.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE", value_parser = share)]
    updates: f64,
    /// Milliseconds that a lookup may take, and an update beyond the batch interval: a rate at which
    /// the 99th percentile takes longer is not kept up with.
    #[arg(long, default_value_t = 100, value_name = "MS")]
    bound: u64,
    /// The server's batch interval in milliseconds.
    #[arg(long, default_value_t = 500, value_name = "MS")]
    batch_interval: u64,
    /// Seconds that a rate is tried for.
    #[arg(long, default_value_t = 10)]
    step: u64,
    /// Requests under way at most.
    #[arg(long, default_value_t = 1000)]
    in_flight: usize,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().map_err(|_| "expected a number")?;
    match (0.0..=1.0).contains(&number) {
        true => Ok(number),
        false => Err("expected 0 to 1".to_owned()),
    }
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    labels: u64,
    batch_interval_ms: u64,
    bound_ms: u64,
    updates: f64,
    /// The rates that were tried, in this order.
    steps: Vec<Step>,
    /// The greatest that was kept up with, in requests a second.
    maximum: f64,
    /// At 80 % of it.
    sustained: Sustained,
    /// Answers that were verified, of all.
    verified: u64,
}

/// A rate that was tried.
#[derive(Debug, Serialize)]
struct Step {
    rate: f64,
    /// Milliseconds.
    p99: BTreeMap<Kind, f64>,
    errors: u64,
    kept_up: bool,
}

#[derive(Debug, Serialize)]
struct Sustained {
    rate: f64,
    seconds: f64,
    latencies: Vec<Latency>,
    errors: BTreeMap<String, u64>,
    memory: Memory,
    /// CPU time of the server, in cores.
    server_cores: f64,
    /// CPU time of the generator, in cores.
    generator_cores: f64,
}

/// Milliseconds, from when requests were due.
#[derive(Debug, Serialize)]
struct Latency {
    kind: Kind,
    answered: u64,
    p50: f64,
    p99: f64,
    p999: f64,
}

/// Resident memory of the server in bytes, each second.
#[derive(Debug, Serialize)]
struct Memory {
    first_minute_median: u64,
    last_minute_median: u64,
    maximum: u64,
}

impl Memory {
    fn new(samples: &[u64]) -> Self {
        let minute = MINUTE.min(samples.len());
        Self {
            first_minute_median: median(&samples[..minute]),
            last_minute_median: median(&samples[samples.len() - minute..]),
            maximum: samples.iter().copied().max().unwrap_or_default(),
        }
    }
}

/// The greatest rate that is kept up with, to a sixteenth or better: doubles it until it is too much,
/// then halves the interval in between.
async fn greatest(
    first: f64,
    mut keeps_up: impl AsyncFnMut(f64) -> anyhow::Result<bool>,
) -> anyhow::Result<f64> {
    let (mut enough, mut too_much) = (0.0, first);
    while keeps_up(too_much).await? {
        (enough, too_much) = (too_much, 2.0 * too_much);
    }
    for _ in 0..HALVED {
        let rate = f64::midpoint(enough, too_much);
        match keeps_up(rate).await? {
            true => enough = rate,
            false => too_much = rate,
        }
    }
    Ok(enough)
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Measures it all.
pub async fn measure(arguments: &Arguments, bars: &MultiProgress) -> anyhow::Result<Report> {
    let interval = Duration::from_millis(arguments.batch_interval);
    let directory = Directory::new(&arguments.server, interval)?;
    let bar = bar(bars, "import");
    bar.set_length(arguments.labels);
    directory.import(0..arguments.labels, &bar)?;
    let server = directory.serve()?;
    let load = Load {
        clients: Clients::new(&server.url, arguments.labels).await?,
        arguments,
        bar,
    };
    let (maximum, steps) = load.maximum().await?;
    let sustained = load.sustain(maximum * SHARE, &server).await?;
    load.bar.finish_and_clear();
    server.stop()?;
    Ok(Report {
        labels: arguments.labels,
        batch_interval_ms: arguments.batch_interval,
        bound_ms: arguments.bound,
        updates: arguments.updates,
        steps,
        maximum,
        sustained,
        verified: load.clients.verified(),
    })
}

struct Load<'a> {
    clients: Arc<Clients>,
    arguments: &'a Arguments,
    bar: ProgressBar,
}

impl Load<'_> {
    async fn run(&self, rate: f64, duration: Duration) -> anyhow::Result<Measured<Kind>> {
        let pace = Pace {
            rate,
            duration,
            in_flight: self.arguments.in_flight,
        };
        let ask = |_| self.clients.any(self.arguments.updates);
        let measured = run(&pace, until, ask, &self.bar).await?;
        let wrong = measured.errors.get(&Failure::NotVerified);
        ensure!(wrong.is_none(), "{wrong:?} answers do not verify");
        Ok(measured)
    }

    async fn maximum(&self) -> anyhow::Result<(f64, Vec<Step>)> {
        let mut steps = Vec::new();
        let keeps_up = async |rate| {
            let step = self.step(rate).await?;
            let kept_up = step.kept_up;
            steps.push(step);
            Ok(kept_up)
        };
        let maximum = greatest(FIRST, keeps_up).await?;
        ensure!(
            maximum > 0.0,
            "not even {FIRST} requests a second, nor less"
        );
        Ok((maximum, steps))
    }

    async fn step(&self, rate: f64) -> anyhow::Result<Step> {
        self.bar.set_message(format!("is {rate:.0}/s too much?"));
        let duration = Duration::from_secs(self.arguments.step);
        let measured = self.run(rate, duration).await?;
        let p99 = |kind: &Kind| (*kind, measured.milliseconds(kind, 0.99));
        let p99: BTreeMap<_, _> = measured.kinds().map(p99).collect();
        let is_soon = |(kind, p99): (&Kind, &f64)| *p99 <= self.bound(*kind);
        let kept_up = measured.errors.is_empty() && p99.iter().all(is_soon);
        Ok(Step {
            rate,
            p99,
            errors: measured.errors.values().sum(),
            kept_up,
        })
    }

    /// Milliseconds that 99 of 100 may take.
    fn bound(&self, kind: Kind) -> f64 {
        let waits = match kind {
            Kind::New | Kind::Changed => self.arguments.batch_interval,
            Kind::Lookup | Kind::OwnerInit | Kind::CatchUp => 0,
        };
        (self.arguments.bound + waits) as f64
    }

    async fn sustain(&self, rate: f64, server: &Server) -> anyhow::Result<Sustained> {
        self.bar.set_message(format!("{rate:.0}/s"));
        let duration = Duration::from_secs_f64(60.0 * self.arguments.minutes);
        let (began, pid) = (Instant::now(), server.pid());
        let (server_cpu, own) = (usage(pid)?.cpu, own_cpu()?);
        let running = self.run(rate, duration);
        let mut running = std::pin::pin!(running);
        let mut each_second = tokio::time::interval(Duration::from_secs(1));
        let mut samples = Vec::new();
        let measured = loop {
            tokio::select! {
                measured = &mut running => break measured?,
                _ = each_second.tick() => samples.push(usage(pid)?.rss),
            }
        };
        let seconds = began.elapsed().as_secs_f64();
        let cores = |cpu: Duration| cpu.as_secs_f64() / seconds;
        let latency = |kind: &Kind| Latency {
            kind: *kind,
            answered: measured.count(kind),
            p50: measured.milliseconds(kind, 0.5),
            p99: measured.milliseconds(kind, 0.99),
            p999: measured.milliseconds(kind, 0.999),
        };
        let error = |(failure, count): (&Failure, &u64)| (failure.to_string(), *count);
        Ok(Sustained {
            rate,
            seconds,
            latencies: measured.kinds().map(latency).collect(),
            errors: measured.errors.iter().map(error).collect(),
            memory: Memory::new(&samples),
            server_cores: cores(usage(pid)?.cpu.saturating_sub(server_cpu)),
            generator_cores: cores(own_cpu()?.saturating_sub(own)),
        })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let header = ["requests/s", "lookup p99, ms", "new label p99, ms"];
        let header = [&header[..], &["changed value p99, ms", "errors", "kept up"]].concat();
        writeln!(f, "{}", table(&header, self.steps.iter().map(Step::row)))?;
        writeln!(
            f,
            "{} labels, {:.0} % updates, batch interval {} ms: at most {:.0} requests/s within {} ms \
             (updates: and the batch interval) at the 99th percentile.\n",
            self.labels,
            100.0 * self.updates,
            self.batch_interval_ms,
            self.maximum,
            self.bound_ms,
        )?;
        let run = &self.sustained;
        let title = format!("{:.0} requests/s for {:.0} s", run.rate, run.seconds);
        let header = [&title, "answered", "p50, ms", "p99, ms", "p99.9, ms"];
        writeln!(
            f,
            "{}",
            table(&header, run.latencies.iter().map(Latency::row))
        )?;
        let errors: u64 = run.errors.values().sum();
        let number = |what: &str, number: String| vec![what.to_owned(), number];
        let memory = &run.memory;
        let mib = |bytes| format!("{:.1}", mebibytes(bytes));
        let mut rows = vec![
            number("errors", errors.to_string()),
            number(
                "answers verified, searching for the rate included",
                self.verified.to_string(),
            ),
            number(
                "server RSS, first minute's median, MiB",
                mib(memory.first_minute_median),
            ),
            number(
                "server RSS, last minute's median, MiB",
                mib(memory.last_minute_median),
            ),
            number("server RSS, most, MiB", mib(memory.maximum)),
            number("server CPU, cores", format!("{:.2}", run.server_cores)),
            number(
                "generator CPU, cores",
                format!("{:.2}", run.generator_cores),
            ),
        ];
        let error =
            |(what, count): (&String, &u64)| number(&format!("error: {what}"), count.to_string());
        rows.extend(run.errors.iter().map(error));
        write!(f, "{}", table(&["meanwhile", ""], rows))
    }
}

impl Step {
    fn row(&self) -> Vec<String> {
        let p99 = |kind| match self.p99.get(&kind) {
            Some(p99) => format!("{p99:.1}"),
            None => "–".to_owned(),
        };
        let kept_up = if self.kept_up { "yes" } else { "no" };
        vec![
            format!("{:.0}", self.rate),
            p99(Kind::Lookup),
            p99(Kind::New),
            p99(Kind::Changed),
            self.errors.to_string(),
            kept_up.to_owned(),
        ]
    }
}

impl Latency {
    fn row(&self) -> Vec<String> {
        let numbers = [self.p50, self.p99, self.p999];
        let mut row = vec![self.kind.to_string(), self.answered.to_string()];
        row.extend(numbers.map(|ms| format!("{ms:.1}")));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_greatest_rate_is_found_and_never_one_that_is_too_much() {
        for limit in [51.0, 120.0, 3_333.0, 40_000.0] {
            let found = greatest(FIRST, async |rate| Ok(rate <= limit))
                .await
                .unwrap();
            assert!(
                (limit * 15.0 / 16.0..=limit).contains(&found),
                "{found} of {limit}"
            );
        }
        // Below the first, it is found too.
        let found = greatest(FIRST, async |rate| Ok(rate <= 30.0))
            .await
            .unwrap();
        assert!((25.0..=30.0).contains(&found), "{found}");
        assert_eq!(greatest(FIRST, async |_| Ok(false)).await.unwrap(), 0.0);
    }

    #[test]
    fn memory_that_grows_shows_between_first_and_last_minute() {
        let samples: Vec<u64> = (0..600).collect();
        let memory = Memory::new(&samples);
        let found = (memory.first_minute_median, memory.last_minute_median);
        assert_eq!((found, memory.maximum), ((30, 570), 599));
        // Less than a minute.
        let memory = Memory::new(&[3, 1, 2]);
        assert_eq!(
            (memory.first_minute_median, memory.last_minute_median),
            (2, 2)
        );
    }
}
