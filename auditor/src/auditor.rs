//! The auditor as a whole.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use overt_protocol::clock::Clock;

use crate::config::Settings;
use crate::cosign::{Cosigner, Role};
use crate::fetch::Fetch;
use crate::follow::{Follower, Progress, follow, jittered};
use crate::gossip::{Gossip, Log};
use crate::http::{Api, router};
use crate::keys;
use crate::status::Status;
use crate::store::Store;
use crate::transport::Transport;

/// What an auditor needs of the world around it.
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How others are reached.
    pub transport: Arc<dyn Transport>,
    /// Where metrics are collected.
    pub metrics: PrometheusHandle,
}

/// Everything that an auditor does, but for the sockets.
pub struct Auditor {
    api: Arc<Api>,
    followers: Vec<Follower>,
    poll: Duration,
    webhook: Option<String>,
}

impl Auditor {
    /// Opens the data directory, which has the state and the keys; makes what is missing.
    pub fn open(settings: &Settings, world: World) -> anyhow::Result<Self> {
        let seed = keys::load(settings, keys::AUDITOR)?;
        let store = Arc::new(Store::open(&settings.data_dir)?);
        let fetch = Fetch(world.transport);
        let peers = settings.peers.clone();
        let logs = settings.logs.iter().map(Log::witnessed);
        let logs = logs.collect::<anyhow::Result<_>>()?;
        let gossip = Gossip::new(Arc::clone(&store), fetch, world.clock, logs, peers);
        let gossip = Arc::new(gossip);
        let progress = Arc::new(Progress::default());
        let cosigner = |role: Role| {
            anyhow::Ok(Cosigner {
                role,
                keys: keys::cosigner(settings, role)?,
                catch_up: settings.catch_up,
                store: Arc::clone(&store),
                gossip: Arc::clone(&gossip),
                progress: Arc::clone(&progress),
            })
        };
        let api = Api {
            auditor: cosigner(Role::Auditor)?,
            witness: cosigner(Role::Witness)?,
            gossip: Arc::clone(&gossip),
            store: Arc::clone(&store),
            status: Status {
                name: keys::name(settings)?,
                urls: settings.directories.iter().map(|d| d.url.clone()).collect(),
                gossip: Arc::clone(&gossip),
                store: Arc::clone(&store),
            },
            metrics: world.metrics,
        };
        let directories = settings.directories.iter().cloned();
        let followers = directories.map(|one| Follower::new(&gossip, &progress, one, seed.clone()));
        Ok(Self {
            api: Arc::new(api),
            followers: followers.collect(),
            poll: settings.poll,
            webhook: settings.webhook.clone(),
        })
    }

    /// What it answers.
    pub fn router(&self) -> Router {
        router(Arc::clone(&self.api))
    }

    /// What compares.
    pub fn gossip(&self) -> &Gossip {
        &self.api.gossip
    }

    /// Compares once with all logs and peers.
    pub async fn look(&self) -> anyhow::Result<()> {
        look(&self.api).await
    }

    /// Follows, compares and delivers alarms until something fails on this machine. May be dropped at
    /// any time: what was looked at is durable, or as if it had not been.
    pub async fn work(self) -> anyhow::Result<()> {
        let Api { store, gossip, .. } = &*self.api;
        let follow = self.followers.into_iter().map(|one| follow(one, self.poll));
        tokio::select! {
            _ = futures_util::future::join_all(follow) => std::future::pending().await,
            result = compare(&self.api, self.poll) => result,
            result = deliver(store, &gossip.fetch, self.webhook, self.poll) => result,
        }
    }
}

/// Compares for ever.
async fn compare(api: &Api, poll: Duration) -> anyhow::Result<()> {
    loop {
        look(api).await?;
        tokio::time::sleep(jittered(poll)).await;
    }
}

async fn look(api: &Api) -> anyhow::Result<()> {
    api.gossip.look(&api.store.records()?).await;
    Ok(())
}

/// Delivers alarms for ever, each until it has arrived.
async fn deliver(
    store: &Store,
    fetch: &Fetch,
    webhook: Option<String>,
    poll: Duration,
) -> anyhow::Result<()> {
    let Some(webhook) = webhook else {
        return std::future::pending().await;
    };
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
