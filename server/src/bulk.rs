//! `overt-server import`.

use std::fs::File;
use std::io::{BufRead, BufReader, Write, stderr, stdin};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use metrics_exporter_prometheus::PrometheusBuilder;
use overt_protocol::clock::SystemClock;
use overt_server::config::Settings;
use overt_server::import::{Existing, Format, Import, Summary};
use overt_server::open::{Ready, World, open, open_in};
use overt_server::publish::transport::Http;
use overt_server::sequencer::Updates;
use overt_server::store::{Lease, PostgresStore, Store};
use zeroize::Zeroizing;

/// Exit code if rows were rejected.
const REJECTED: u8 = 3;

/// What to import, and how.
pub(crate) struct What<'a> {
    pub(crate) file: &'a Path,
    pub(crate) format: Format,
    pub(crate) existing: Existing,
    pub(crate) rejects: Option<&'a Path>,
    pub(crate) json: bool,
}

pub(crate) async fn import(settings: &Settings, what: &What<'_>) -> anyhow::Result<ExitCode> {
    let world = World {
        clock: Arc::new(SystemClock),
        transport: Arc::new(Http::new(settings.witness_timeout)?),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
    };
    let Some(url) = &settings.database_url else {
        let (ready, store) = open(settings, world).await?;
        return load(settings, what, ready, store).await;
    };
    let store = PostgresStore::open(url)?;
    let lease = Lease::take(&store, "overt-server import", settings.lease).await?;
    let lease = lease.context("a process of this directory runs, or ran a moment ago: stop all")?;
    let ready = open_in(settings, world, store.clone()).await?;
    let loaded = tokio::select! {
        loaded = load(settings, what, ready, store) => loaded,
        () = lease.keep() => anyhow::bail!("another process was elected meanwhile: run this again"),
    };
    lease.give_back().await?;
    loaded
}

async fn load<S: Store>(
    settings: &Settings,
    what: &What<'_>,
    ready: Ready,
    store: S,
) -> anyhow::Result<ExitCode> {
    let Ready {
        app,
        updates,
        writer,
        ..
    } = ready;
    drop(app);
    let (input, total) = input(what.file)?;
    let rejects: Box<dyn Write> = match what.rejects {
        Some(path) => Box::new(File::create(path).with_context(|| path.display().to_string())?),
        None => Box::new(stderr()),
    };
    let bar = bar(total);
    let done = run(settings, what, updates, store, (input, rejects), &bar).await;
    bar.finish_and_clear();
    // The queue is gone, which ends the sequencer.
    writer.await??;
    let summary = done?;
    let Summary {
        created,
        present,
        rejected,
    } = summary;
    match what.json {
        true => println!("{}", serde_json::to_string(&summary)?),
        false => println!(
            "{created} versions created, {present} values were there already, {rejected} rows rejected"
        ),
    }
    Ok(match rejected {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(REJECTED),
    })
}

async fn run<S: Store>(
    settings: &Settings,
    what: &What<'_>,
    updates: Updates,
    store: S,
    (input, rejects): (Box<dyn BufRead + Send>, Box<dyn Write>),
    bar: &ProgressBar,
) -> anyhow::Result<Summary> {
    let import = Import {
        updates,
        store: Arc::new(store),
        token: settings.token.clone().map(Zeroizing::new),
        existing: what.existing,
        // One batch is collected while another is written.
        at_once: settings.batch_size.saturating_mul(2).min(settings.queue),
    };
    let mut said = std::time::Instant::now();
    let progress = |so_far: &Summary| {
        bar.inc(1);
        if bar.is_hidden() && said.elapsed() >= std::time::Duration::from_secs(10) {
            said = std::time::Instant::now();
            tracing::info!(so_far.created, so_far.present, so_far.rejected, "importing");
        }
    };
    Ok(import.run(input, what.format, rejects, progress).await?)
}

/// The input, and how many rows it has if that is known.
fn input(file: &Path) -> anyhow::Result<(Box<dyn BufRead + Send>, Option<u64>)> {
    if file == Path::new("-") {
        return Ok((Box::new(BufReader::new(stdin())), None));
    }
    let open = || File::open(file).with_context(|| file.display().to_string());
    let rows = BufReader::new(open()?).split(b'\n').count();
    Ok((Box::new(BufReader::new(open()?)), u64::try_from(rows).ok()))
}

fn bar(total: Option<u64>) -> ProgressBar {
    let (bar, style) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {human_pos} rows, {per_sec}, {elapsed}",
        ),
    };
    bar.with_style(
        ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}
