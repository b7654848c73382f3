//! The `overt-auditor` command.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use overt_auditor::config::Settings;
use overt_auditor::follow::{Follower, follow};
use overt_auditor::keys;
use overt_auditor::status::{Status, router};
use overt_auditor::store::Store;
use overt_protocol::suite::{CipherSuite, SigningKey};
use tracing_subscriber::EnvFilter;

/// Follows key directories, replays every log entry, and signs only heads whose whole content it
/// has seen to be correct.
///
/// The settings file names a data directory and the directories to follow:
///
///   data_dir = "/var/lib/overt-auditor"
///   listen = "127.0.0.1:8460"        # status page; may be left out
///
///   [[directory]]
///   url = "https://keys.example.org"
///   fingerprint = "aaaa-bbbb-..."    # without it, whatever answers first is followed
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
}

fn main() -> ExitCode {
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "overt-auditor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> anyhow::Result<()> {
    let path = cli.config.as_deref();
    let path = path.context("a settings file is needed: --config FILE (see --help)")?;
    let settings = Settings::load(path)?;
    match &cli.command {
        Some(Command::Key { suite }) => {
            let suite = CipherSuite::from_name(suite)
                .context("expected KT_128_SHA256_Ed25519 or KT_128_SHA256_P256")?;
            let seed = keys::load(&settings.data_dir)?;
            let key = SigningKey::from_bytes(suite, &seed)?;
            println!("{}", hex::encode(key.public_key()));
            Ok(())
        }
        _ => {
            let filter =
                EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
            tracing_subscriber::fmt()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .init();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(run(settings))
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let seed = keys::load(&settings.data_dir)?;
    let store = Arc::new(Store::open(&settings.data_dir)?);
    let mut work = Vec::new();
    for directory in &settings.directories {
        let follower = Follower::new(&store, directory.clone(), seed.clone())?;
        work.push(follow(follower, settings.poll));
    }
    let status = Arc::new(Status {
        settings: settings.clone(),
        store: Arc::clone(&store),
    });
    let serve = async {
        let Some(listen) = settings.listen else {
            return std::future::pending().await;
        };
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        tracing::info!(
            url = format!("http://{}", listener.local_addr()?),
            "status page"
        );
        axum::serve(listener, router(status)).await?;
        anyhow::Ok(())
    };
    tracing::info!(directories = settings.directories.len(), "following");
    tokio::select! {
        result = serve => result,
        _ = futures_util::future::join_all(work) => std::future::pending().await,
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
