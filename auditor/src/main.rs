//! The `overt-auditor` command.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use metrics_exporter_prometheus::PrometheusBuilder;
use overt_auditor::config::Settings;
use overt_auditor::cosign::{Cosigner, Role};
use overt_auditor::fetch::Fetch;
use overt_auditor::follow::{Follower, Progress, follow, jittered};
use overt_auditor::gossip::Gossip;
use overt_auditor::http::{Api, router};
use overt_auditor::keys;
use overt_auditor::status::Status;
use overt_auditor::store::Store;
use overt_protocol::suite::{CipherSuite, SigningKey};
use tracing_subscriber::EnvFilter;

/// Follows key directories, replays every log entry, and signs only heads whose whole content it
/// has seen to be correct.
///
/// The settings file names a data directory and the directories to follow:
///
///   data_dir = "/var/lib/overt-auditor"
///   name = "auditor.example.org"     # of its keys
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
            let seed = keys::load(&settings.data_dir, keys::AUDITOR)?;
            let key = SigningKey::from_bytes(suite, &seed)?;
            println!("{}", hex::encode(key.public_key()));
            Ok(())
        }
        Some(Command::Policy) => {
            print!("{}", policy(&settings)?);
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

/// Both keys, so that what needs this auditor needs it whatever becomes of one algorithm. The group's
/// name is for a quorum.
fn policy(settings: &Settings) -> anyhow::Result<String> {
    let listen = settings.listen.context("a listen address is needed")?;
    let keys = keys::cosigner(&settings.data_dir, &settings.name, Role::Auditor.name())?;
    let name = &settings.name;
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
    let seed = keys::load(&settings.data_dir, keys::AUDITOR)?;
    let store = Arc::new(Store::open(&settings.data_dir)?);
    let gossip = Arc::new(Gossip::new(Arc::clone(&store), settings.peers.clone())?);
    let progress = Arc::new(Progress::default());
    let mut logs = HashMap::new();
    for log in &settings.logs {
        let keys = log.verifier_keys()?;
        let origin = keys.first().map_or("", |key| key.name()).to_owned();
        logs.insert(origin, keys);
    }
    let cosigner = |role: Role, logs: HashMap<_, _>| {
        anyhow::Ok(Cosigner {
            role,
            keys: keys::cosigner(&settings.data_dir, &settings.name, role.name())?,
            logs,
            catch_up: settings.catch_up,
            store: Arc::clone(&store),
            gossip: Arc::clone(&gossip),
            progress: Arc::clone(&progress),
        })
    };
    let api = Arc::new(Api {
        auditor: cosigner(Role::Auditor, HashMap::new())?,
        witness: cosigner(Role::Witness, logs)?,
        gossip: Arc::clone(&gossip),
        store: Arc::clone(&store),
        status: Status {
            name: settings.name.clone(),
            urls: settings.directories.iter().map(|d| d.url.clone()).collect(),
            gossip: Arc::clone(&gossip),
            store: Arc::clone(&store),
        },
        metrics: PrometheusBuilder::new()
            .install_recorder()
            .context("metrics")?,
    });
    let mut work = Vec::new();
    for directory in &settings.directories {
        let follower = Follower::new(&gossip, &progress, directory.clone(), seed.clone())?;
        work.push(follow(follower, settings.poll));
    }
    let serve = async {
        let Some(listen) = settings.listen else {
            return std::future::pending().await;
        };
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen}"))?;
        let url = format!("http://{}", listener.local_addr()?);
        tracing::info!(url, "status page, cosigning and gossip");
        axum::serve(listener, router(api)).await?;
        anyhow::Ok(())
    };
    tracing::info!(directories = settings.directories.len(), "following");
    tokio::select! {
        result = serve => result,
        _ = futures_util::future::join_all(work) => std::future::pending().await,
        result = compare(&store, &gossip, settings.poll) => result,
        result = deliver(&store, settings.webhook.clone(), settings.poll) => result,
        () = stopped() => Ok(()),
    }
}

/// Compares for ever.
async fn compare(store: &Store, gossip: &Gossip, poll: Duration) -> anyhow::Result<()> {
    loop {
        gossip.look(&store.records()?).await;
        tokio::time::sleep(jittered(poll)).await;
    }
}

/// Delivers alarms for ever, each until it has arrived.
async fn deliver(store: &Store, webhook: Option<String>, poll: Duration) -> anyhow::Result<()> {
    let Some(webhook) = webhook else {
        return std::future::pending().await;
    };
    let fetch = Fetch::new()?;
    loop {
        for alarm in store.alarms(true)?.iter().rev() {
            let body = serde_json::json!({
                "number": alarm.number,
                "fingerprint": alarm.fingerprint,
                "at_ms": alarm.at,
                "code": alarm.code,
                "text": alarm.text,
            });
            match fetch.post_json(&webhook, body.to_string()).await {
                Ok(()) => store.delivered(alarm.number)?,
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "an alarm did not arrive");
                    break;
                }
            }
        }
        tokio::time::sleep(jittered(poll)).await;
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
