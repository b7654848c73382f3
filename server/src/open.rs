//! Making a directory ready: everything but the sockets.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use overt_protocol::clock::Clock;
use overt_protocol::codec::Decode;
use overt_protocol::descriptor::Descriptor;
use overt_protocol::head_log::key::{SignatureType, SignerKey, VerifierKey};
use overt_protocol::provider::Retention;
use overt_protocol::suite::{SigningKey, VrfSecretKey, sha256};
use overt_protocol::user::Verifier;
use overt_protocol::wire::{AuditorTreeHead, Configuration};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::access::{Access, Lookups, Open, OperatorSigned, Token};
use crate::config::{AccessPolicy, LookupPolicy, Role, Settings, WithoutQuorum};
use crate::directory::Shared;
use crate::guard::Guard;
use crate::head_log::{self, HeadLog};
use crate::http::{Api, Limits, router};
use crate::keys;
use crate::mirror::Mirror;
use crate::prune::{self, Pruning};
use crate::publish::transport::Transport;
use crate::publish::{LogSigner, Publisher, Quorum};
use crate::run::AbortOnDrop;
use crate::sequencer::{From, Pace, Sequencer, Updates};
use crate::startup;
use crate::store::{SqliteStore, Store};

/// What a directory needs of the world around it.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How witnesses are reached.
    pub transport: Arc<dyn Transport>,
    /// Where metrics are collected.
    pub metrics: PrometheusHandle,
}

/// A directory that works, and has yet to be served. Its background tasks end with it.
pub struct Ready {
    /// Answers requests.
    pub app: Router,
    /// The sequencer's queue.
    pub updates: Updates,
    /// Ends when `app`, `updates` and all requests are gone and what they asked for is done, or when the store
    /// fails.
    pub writer: JoinHandle<anyhow::Result<()>>,
    pub(crate) _background: Vec<AbortOnDrop>,
    pub(crate) _lock: Option<File>,
}

/// Opens or makes the directory in the data directory that the settings name, in its store.
pub async fn open(settings: &Settings, world: World) -> anyhow::Result<(Ready, SqliteStore)> {
    let data_dir = &settings.data_dir;
    make_private(data_dir)?;
    let lock = startup::lock(data_dir)?;
    let store = SqliteStore::open(&data_dir.join("overt.sqlite3"))?;
    let mut ready = open_in(settings, world, store.clone()).await?;
    ready._lock = Some(lock);
    Ok((ready, store))
}

/// The database holds openings, which privacy law wants erasable, and perhaps the keys.
fn make_private(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the data directory {}", folder.display()))
}

/// Opens or makes the directory in a store, as its one sequencer.
pub async fn open_in<S: Store>(
    settings: &Settings,
    world: World,
    store: S,
) -> anyhow::Result<Ready> {
    let is_new = store.tip()?.is_none() && store.meta("configuration")?.is_none();
    let (config, signing, vrf) = configuration(settings, is_new)?;
    Verifier::new(config.clone())?;
    let access = access(settings, &config)?;
    let guard = Guard::new(settings.guard_file());
    if is_new || store.is_shared() {
        guard.prepare().context("guard_file")?;
    }
    let tip = startup::check(&store, &config, access.requires_signed_value(), &guard)?;
    let origin = match &settings.origin {
        Some(origin) => origin.clone(),
        None => default_origin(&store, &config)?,
    };
    let is_new_log = is_new || store.meta("head_log")?.is_none();
    let signer = log_signer(settings, &origin, is_new_log)?;
    startup::check_log(&store, &signer)?;
    let signed = access.requires_signed_value();
    let descriptor = describe(settings, &origin, &config, signed, signer.verifiers())?;
    let shared = Arc::new(Shared::new(
        store,
        config.clone(),
        vrf,
        world.clock,
        settings.cache_mib << 20,
    ));
    if let Some(head) = shared.store.auditor_head()? {
        let head = AuditorTreeHead::from_bytes(&head, &());
        shared.publish_auditor_head(head.context("the stored auditor's head is damaged")?);
    }
    let caught_up = head_log::catch_up(&shared.store, config.hash()?, tip.size)?;
    if caught_up > 0 {
        tracing::info!(hashes = caught_up, "the head log was completed");
    }
    let retention = Retention::of(&config);
    let retained = shared.store.retention()?;
    shared.drop_before(retained.dropped);
    let pace = Pace {
        interval: settings.batch_interval,
        max_updates: settings.batch_size,
        max_leaves_per_entry: settings.leaves_per_entry,
        heartbeat: settings.heartbeat(),
        padding: settings.padding,
        promise: settings.receipts.unwrap_or_default(),
    };
    let quorum = quorum(settings, &signer, world.transport)?;
    let (publisher, heads) = Publisher::new(Arc::clone(&shared), signer, quorum);
    let log = HeadLog::new(shared.store.reader()?, config.hash()?);
    let head_log = log.tree(tip.size)?;
    let (mut sequencer, updates) = Sequencer::new(
        Arc::clone(&shared),
        access,
        signing,
        pace,
        settings.queue,
        From {
            tip,
            guard,
            swept: retained.swept,
            head_log,
            heads: heads.clone(),
        },
    );
    let newest = match sequencer.sign_tip()? {
        Some(tip) => tip,
        None => {
            publisher.begin()?;
            // A log is never empty: its first entry is what owners begin at.
            sequencer.heartbeat()?
        }
    };
    publisher.resume(&newest)?;
    heads.send(newest).await.context("publishing")?;
    drop(heads);
    let mirror = settings.mirror.as_deref().map(Mirror::open).transpose()?;
    let mirror = mirror.map(|mirror| AbortOnDrop(tokio::spawn(mirror.run(Arc::clone(&shared)))));
    let pruning = retention.map(|retention| Pruning {
        retention,
        grace: milliseconds(settings.prune_grace),
        interval: settings.prune_interval,
    });
    let pruning =
        pruning.map(|pruning| AbortOnDrop(tokio::spawn(prune::run(Arc::clone(&shared), pruning))));
    let app = app(settings, world.metrics, shared, updates.clone(), descriptor)?;
    // The publisher ends when the sequencer has, or when it fails, which the sequencer notices.
    let writer = tokio::spawn(async {
        let (ended, published) = tokio::join!(sequencer.run(), publisher.run());
        published.context("publishing failed")?;
        anyhow::Ok(ended?)
    });
    Ok(Ready {
        app,
        updates,
        writer,
        _background: mirror.into_iter().chain(pruning).collect(),
        _lock: None,
    })
}

/// What a directory says of itself.
pub(crate) fn describe<'k>(
    settings: &Settings,
    origin: &str,
    config: &Configuration,
    requires_signed_value: bool,
    log_keys: impl IntoIterator<Item = &'k VerifierKey>,
) -> anyhow::Result<Descriptor> {
    let mut descriptor = Descriptor::new(origin, config, requires_signed_value)?;
    descriptor.sign_checkpoints_with(log_keys);
    if settings.prove_absence {
        descriptor.offer("absence");
    }
    Ok(descriptor)
}

/// What answers requests.
pub(crate) fn app<S: Store>(
    settings: &Settings,
    metrics: PrometheusHandle,
    shared: Arc<Shared<S>>,
    updates: Updates,
    descriptor: Descriptor,
) -> anyhow::Result<Router> {
    tracing::info!(
        tree_size = shared.published().map_or(0, |head| head.tree_size),
        fingerprint = %descriptor.fingerprint()?,
        origin = descriptor.origin,
        takes_updates = updates.are_taken(),
        "directory ready"
    );
    let api = Api {
        max_head_age: shared.config.max_behind,
        shared,
        updates,
        descriptor,
        metrics,
        owner_monitor_limit: settings.owner_monitor_limit,
        lookups: match settings.lookups {
            LookupPolicy::Open => Lookups::Open,
            LookupPolicy::Token => Lookups::Token(token(settings)),
        },
        gives_receipts: settings.receipts.is_some() && settings.role != Role::Manager,
    };
    let limits = Limits {
        max_body: settings.max_body,
        concurrency: settings.concurrency,
        timeout: settings.request_timeout,
    };
    Ok(router(Arc::new(api), limits))
}

/// The log's configuration and private keys. Keys are made only for a new log.
pub fn configuration(
    settings: &Settings,
    is_new: bool,
) -> anyhow::Result<(Configuration, SigningKey, VrfSecretKey)> {
    let suite = settings.suite();
    let signature = keys::load(
        "OVERT_SERVER_SIGNATURE_KEY",
        &settings.signature_key_file(),
        is_new,
    )?;
    let vrf = keys::load("OVERT_SERVER_VRF_KEY", &settings.vrf_key_file(), is_new)?;
    let signing = SigningKey::from_bytes(suite, &signature).context("signature key")?;
    let vrf = VrfSecretKey::from_bytes(suite, &vrf).context("VRF key")?;
    let config = Configuration {
        ciphersuite: suite,
        mode: settings.deployment(),
        signature_public_key: signing.public_key(),
        vrf_public_key: vrf.public_key(),
        max_ahead: milliseconds(settings.max_ahead),
        max_behind: milliseconds(settings.max_behind),
        reasonable_monitoring_window: milliseconds(settings.reasonable_monitoring_window),
        maximum_lifetime: settings.maximum_lifetime.map(milliseconds),
    };
    Ok((config, signing, vrf))
}

/// The name that an old log has, or one for a new log that no other has.
fn default_origin<S: Store>(store: &S, config: &Configuration) -> anyhow::Result<String> {
    let named = startup::origin(store)?;
    let key = sha256(&[&config.signature_public_key]);
    Ok(named.unwrap_or_else(|| {
        let (short, _) = key.split_at(8);
        format!("localhost/overt/{}", hex::encode(short))
    }))
}

/// The head log's name and keys. Keys are made only for a new head log.
fn log_signer(settings: &Settings, origin: &str, is_new: bool) -> anyhow::Result<LogSigner> {
    let key = |variable, path: &Path, kind| {
        let seed = keys::load(variable, path, is_new)?;
        anyhow::Ok(SignerKey::from_seed(origin, kind, &seed)?)
    };
    Ok(LogSigner {
        origin: origin.to_owned(),
        keys: vec![
            key(
                "OVERT_SERVER_HEAD_LOG_KEY",
                &settings.head_log_key_file(),
                SignatureType::Ed25519,
            )?,
            key(
                "OVERT_SERVER_HEAD_LOG_ML_DSA_KEY",
                &settings.head_log_ml_dsa_key_file(),
                SignatureType::MlDsa44Cosignature,
            )?,
        ],
    })
}

/// What heads need before users see them.
fn quorum(
    settings: &Settings,
    signer: &LogSigner,
    transport: Arc<dyn Transport>,
) -> anyhow::Result<Option<Quorum>> {
    let Some(path) = &settings.witness_policy else {
        return Ok(None);
    };
    let quorum = Quorum::load(
        path,
        signer.verifiers(),
        transport,
        settings.quorum_timeout,
        settings.without_quorum == WithoutQuorum::Degrade,
    );
    let quorum = quorum.with_context(|| format!("witness_policy {}", path.display()))?;
    Ok(Some(quorum))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn access(settings: &Settings, config: &Configuration) -> anyhow::Result<Arc<dyn Access>> {
    if settings.role == Role::Manager {
        return Ok(Arc::new(OperatorSigned));
    }
    Ok(match settings.access {
        AccessPolicy::Open => Arc::new(Open {
            config_hash: config.hash()?,
        }),
        AccessPolicy::Token => Arc::new(Token {
            token: token(settings),
        }),
    })
}

fn token(settings: &Settings) -> Zeroizing<String> {
    Zeroizing::new(settings.token.clone().unwrap_or_default())
}
