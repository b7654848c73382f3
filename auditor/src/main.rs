//! The `overt-auditor` command.

mod ask;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use metrics_exporter_prometheus::PrometheusBuilder;
use overt_auditor::config::Settings;
use overt_auditor::cosign::Role;
use overt_auditor::keys;
use overt_auditor::transport::Http;
use overt_auditor::{Auditor, World};
use overt_protocol::clock::SystemClock;
use overt_protocol::suite::{CipherSuite, SigningKey};
use tracing_subscriber::EnvFilter;

/// Follows key directories, replays every log entry, and signs only heads whose whole content it
/// has seen to be correct.
///
/// The settings file names a data directory and the directories to follow:
///
///   data_dir = "/var/lib/overt-auditor"
///   name = "auditor.example.org"     # of its keys; may be left out
///   listen = "127.0.0.1:8460"        # cosigning, gossip, status page; may be left out
///
///   [[directory]]
///   url = "https://keys.example.org"
///   fingerprint = "aaaa-bbbb-..."    # without it, whatever answers first is followed
///
///   [[peer]]                         # another auditor to compare with
///   url = "https://auditor.example.net"
#[derive(Debug, Parser)]
#[command(name = "overt-auditor", version, verbatim_doc_comment)]
struct Cli {
    /// Settings file (TOML).
    #[arg(
        long,
        short,
        global = true,
        env = "OVERT_AUDITOR_CONFIG",
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow (the same as no command).
    Run,
    /// Print the public key, for a directory's `auditor_public_key`; makes the key if there is
    /// none yet.
    Key {
        /// The directory's cipher suite.
        #[arg(long, default_value = "KT_128_SHA256_Ed25519")]
        suite: String,
    },
    /// Print the lines that name this auditor in a tlog-policy; makes the keys if there are none yet.
    Policy,
    /// Ask the auditor that runs with these settings what it sees. Ends with 3 if a log is proved
    /// dishonest, with 4 if something is wrong that proves nothing, or is not reached.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the evidence that the auditor with these settings has into a folder, a file each.
    Evidence {
        /// The folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    match execute(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "overt-auditor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> anyhow::Result<ExitCode> {
    let path = cli.config.as_deref();
    let path = path.context("a settings file is needed: --config FILE (see --help)")?;
    let settings = Settings::load(path)?;
    match &cli.command {
        Some(Command::Key { suite }) => {
            let suite = CipherSuite::from_name(suite)
                .context("expected KT_128_SHA256_Ed25519 or KT_128_SHA256_P256")?;
            let seed = keys::load(&settings, keys::AUDITOR)?;
            let key = SigningKey::from_bytes(suite, &seed)?;
            println!("{}", hex::encode(key.public_key()));
        }
        Some(Command::Policy) => {
            print!("{}", policy(&settings)?);
        }
        Some(Command::Status { json }) => {
            return runtime()?.block_on(ask::status(&settings, *json));
        }
        Some(Command::Evidence { folder }) => {
            runtime()?.block_on(ask::evidence(&settings, folder))?;
        }
        None | Some(Command::Run) => {
            let filter =
                EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .init();
            runtime()?.block_on(run(settings))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

/// Both keys, so that what needs this auditor needs it whatever becomes of one algorithm. The group's
/// name is for a quorum.
fn policy(settings: &Settings) -> anyhow::Result<String> {
    let listen = settings.listen.context("a listen address is needed")?;
    let keys = keys::cosigner(settings, Role::Auditor)?;
    let name = keys::name(settings)?;
    let mut out = String::new();
    for (key, algorithm) in keys.iter().zip(["ed25519", "ml-dsa"]) {
        let key = key.verifier();
        writeln!(
            out,
            "witness {name}-{algorithm} {key} http://{listen}/auditor"
        )?;
    }
    writeln!(out, "group {name} all {name}-ed25519 {name}-ml-dsa")?;
    Ok(out)
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let world = World {
        clock: Arc::new(SystemClock),
        transport: Arc::new(Http::new(settings.proxy.as_deref()).context("proxy")?),
        metrics: PrometheusBuilder::new()
            .install_recorder()
            .context("metrics")?,
    };
    let auditor = Auditor::open(&settings, world)?;
    let app = auditor.router();
    let serve = async {
        let Some(listen) = settings.listen else {
            return std::future::pending().await;
        };
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        let url = format!("http://{}", listener.local_addr()?);
        tracing::info!(url, "status page, cosigning and gossip");
        axum::serve(listener, app).await?;
        anyhow::Ok(())
    };
    tracing::info!(directories = settings.directories.len(), "following");
    tokio::select! {
        result = serve => result,
        result = auditor.work() => result,
        () = stopped() => Ok(()),
    }
}

/// Completes on SIGTERM or SIGINT. Every look at a directory is durable or not begun.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
