//! The `overt-server` command.

mod bulk;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use overt_protocol::clock::{Clock, SystemClock};
use overt_server::config::{AccessPolicy, LogFormat, Role, Settings};
use overt_server::import::{Existing, Format};
use overt_server::operator;
use overt_server::startup;
use overt_server::store::{
    Lease, Moved, PostgresStore, SqliteStore, Store, to_postgres, to_sqlite,
};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A Key Transparency directory: publishes every user's public keys in an append-only log and
/// answers every query with a proof.
///
/// Without any setting it listens on http://127.0.0.1:8443, keeps its log in the state directory,
/// makes its keys on the first start, and lets anyone register a label first come, first served.
///
/// Settings come from a file (--config), then the environment (OVERT_SERVER_ and the setting's name, such
/// as OVERT_SERVER_DATA_DIR), then flags; the later override the earlier.
#[derive(Debug, Parser)]
#[command(name = "overt-server", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Settings file (TOML).
    #[arg(
        long,
        short,
        global = true,
        env = "OVERT_SERVER_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Settings that have a flag.
#[derive(Debug, clap::Args, Serialize)]
struct Flags {
    /// Address to listen on [default: 127.0.0.1:8443].
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<std::net::SocketAddr>,
    /// Where the log and its keys are kept [default: $XDG_STATE_HOME/overt-server].
    #[arg(long, global = true, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// What this process is: `all`; of several that share a database, `sequencer` or `reader`; of
    /// third-party management, `manager` or `operator` [default: all].
    #[arg(long, global = true, value_parser = parse_role, value_name = "ROLE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    /// Name of the directory: a URL without its schema [default: one that no other has].
    #[arg(long, global = true, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    /// Who may write: `open` (first come, every value signed by its label's own key) or `token`
    /// (whoever has the operator's token, which OVERT_SERVER_TOKEN sets) [default: open].
    #[arg(long, global = true, value_parser = parse_access, value_name = "POLICY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    access: Option<AccessPolicy>,
    /// How long a batch of updates waits for company [default: 500ms].
    #[arg(long, global = true, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_interval: Option<String>,
    /// How often label owners are expected to monitor; fixed when the log is created [default: 1day].
    #[arg(long, global = true, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    reasonable_monitoring_window: Option<String>,
    /// How far behind a user's clock a head may be; fixed when the log is created [default: 1day].
    #[arg(long, global = true, value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_behind: Option<String>,
    /// Certificate chain (PEM); with --tls-key, serves HTTPS.
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_certificate: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(long, global = true, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_key: Option<PathBuf>,
    /// How logs are written: `text` or `json` [default: text].
    #[arg(long, global = true, value_parser = parse_log_format, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the directory (the same as no command).
    Run,
    /// Print the Service Operator's public key, for the manager's `leaf_public_key`; makes the key if
    /// there is none yet.
    LeafKey,
    /// Look at settings without running.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Move the directory from SQLite to PostgreSQL or back, while no process of it runs.
    ///
    /// The SQLite file is that of the data directory, the database that of `database_url`; where it
    /// goes must be empty. Everything is compared at the end. Clients and auditors notice nothing.
    /// The keys stay where they are.
    Move {
        /// Where to: `postgres` or `sqlite`.
        #[arg(long, value_name = "ENGINE")]
        to: Engine,
    },
    /// Register many labels at once, while no process of the directory runs.
    ///
    /// Rows that are there already are passed over, so an import that was interrupted is resumed by
    /// running it again. Ends with 3 if rows were rejected.
    Import {
        /// JSON Lines {"label": "...", "value": BASE64}, or CSV with the header `label,value` if its
        /// name ends with .csv; - for standard input. Where `access` is `open`, values are
        /// `SignedValue`s.
        file: PathBuf,
        /// The input is CSV, whatever its name.
        #[arg(long)]
        csv: bool,
        /// Labels that have another value get this one as their next version, instead of being
        /// rejected.
        #[arg(long)]
        update: bool,
        /// Where to write which rows were rejected, and why; otherwise that goes to standard error.
        #[arg(long, value_name = "FILE")]
        rejects: Option<PathBuf>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove people's data.
    Label {
        #[command(subcommand)]
        command: LabelCommand,
    },
    /// Rebuild the log of a test vectors file in a scratch store and answer requests.
    ///
    /// Each line of standard input is `OPERATION HEX [TREE_SIZE [LADDERS]]`, the request in the
    /// draft's encoding; each line of standard output is the responses in hex, separated by spaces.
    Replay {
        /// The vectors file (JSON; see tests/vectors/README.md).
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum LabelCommand {
    /// Delete the values and openings of a label, for good. The directory may go on running.
    ///
    /// What the log holds of them cannot be opened any more; everybody else's proofs still verify.
    /// The label's versions still count, so that it cannot begin anew unnoticed. Copies of the
    /// database, such as backups, are not reached.
    Delete {
        label: String,
        /// Only this version.
        #[arg(long)]
        version: Option<u32>,
        /// Do it; without this it is only said what would be deleted.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Engine {
    Postgres,
    Sqlite,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the settings and print them as a settings file.
    Check,
}

fn parse_access(text: &str) -> Result<AccessPolicy, String> {
    match text {
        "open" => Ok(AccessPolicy::Open),
        "token" => Ok(AccessPolicy::Token),
        _ => Err("expected `open` or `token`".to_owned()),
    }
}

fn parse_role(text: &str) -> Result<Role, String> {
    match text {
        "all" => Ok(Role::All),
        "sequencer" => Ok(Role::Sequencer),
        "reader" => Ok(Role::Reader),
        "manager" => Ok(Role::Manager),
        "operator" => Ok(Role::Operator),
        _ => Err("expected `all`, `sequencer`, `reader`, `manager` or `operator`".to_owned()),
    }
}

fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected `text` or `json`".to_owned()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "overt-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Some(Command::Replay { file }) = &cli.command {
        let (input, output) = (std::io::stdin().lock(), std::io::stdout().lock());
        overt_server::replay::replay(file, input, output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let settings = Settings::load(cli.options.config.as_deref(), &cli.options.flags)?;
    match cli.command {
        Some(Command::LeafKey) => {
            println!(
                "{}",
                hex::encode(operator::leaf_key(&settings)?.public_key())
            );
        }
        Some(Command::Label {
            command:
                LabelCommand::Delete {
                    label,
                    version,
                    yes,
                },
        }) => delete(&settings, &label, version, yes)?,
        Some(Command::Move { to }) => {
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.enable_all().build()?;
            runtime.block_on(relocate(&settings, to))?;
        }
        Some(Command::Import {
            file,
            csv,
            update,
            rejects,
            json,
        }) => {
            log(settings.log_format);
            let what = bulk::What {
                file: &file,
                format: match csv || file.extension().is_some_and(|name| name == "csv") {
                    true => Format::Csv,
                    false => Format::JsonLines,
                },
                existing: match update {
                    true => Existing::Update,
                    false => Existing::Reject,
                },
                rejects: rejects.as_deref(),
                json,
            };
            let runtime = tokio::runtime::Builder::new_multi_thread();
            let runtime = { runtime }.enable_all().build()?;
            return runtime.block_on(bulk::import(&settings, &what));
        }
        Some(Command::Config { .. }) => {
            let mut shown = settings;
            shown.token = shown.token.map(|_| "(set)".to_owned());
            shown.database_url = shown.database_url.map(|_| "(set)".to_owned());
            print!("{}", toml::to_string(&shown)?);
        }
        _ => {
            log(settings.log_format);
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            match settings.role {
                Role::Operator => runtime.block_on(operator::run(settings, stopped()))?,
                Role::All | Role::Manager | Role::Sequencer | Role::Reader => {
                    runtime.block_on(overt_server::run::run(settings, stopped()))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn relocate(settings: &Settings, to: Engine) -> anyhow::Result<()> {
    let url = settings.database_url.as_deref();
    let url = url.context("database_url is needed")?;
    std::fs::create_dir_all(&settings.data_dir)?;
    let _lock = startup::lock(&settings.data_dir)?;
    let file = SqliteStore::open(&settings.data_dir.join("overt.sqlite3"))?;
    let database = PostgresStore::open(url)?;
    let lease = Lease::take(&database, "overt-server move", settings.lease).await?;
    let lease = lease.context("a process of this directory runs, or ran a moment ago: stop all")?;
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} rows, {per_sec}, {eta} left")?;
    let bar = ProgressBar::new(0).with_style(style);
    let progress = |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let moved = match to {
        Engine::Postgres => to_postgres(&file, &database, progress),
        Engine::Sqlite => to_sqlite(&database, &file, progress),
    };
    bar.finish_and_clear();
    lease.give_back().await?;
    let Moved {
        rows,
        tree_size,
        root,
    } = moved?;
    println!(
        "moved {rows} rows: {tree_size} log entries, root {}, the same in both places",
        hex::encode(root)
    );
    Ok(())
}

fn delete(settings: &Settings, label: &str, version: Option<u32>, yes: bool) -> anyhow::Result<()> {
    let (label, now) = (label.as_bytes(), SystemClock.now());
    let versions = if let Some(url) = &settings.database_url {
        let store = PostgresStore::open(url)?;
        match yes {
            true => store.delete(label, version, now)?,
            false => store.values_of(label, version)?,
        }
    } else {
        let path = settings.data_dir.join("overt.sqlite3");
        anyhow::ensure!(path.exists(), "there is no directory at {}", path.display());
        let store = SqliteStore::open(&path)?;
        match yes {
            true => store.delete(label, version, now)?,
            false => store.values_of(label, version)?,
        }
    };
    let what = match yes {
        true => "deleted",
        false => "would be deleted (--yes does it)",
    };
    println!("{} values {what}: versions {versions:?}", versions.len());
    Ok(())
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Completes on SIGTERM or SIGINT.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupt.await;
        }
    }
    tracing::info!("stopping: no new requests, waiting for those under way");
}
