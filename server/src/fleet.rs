//! One directory in several processes that share a database: one of them writes, all answer.
//!
//! A process that may be elected answers lookups like any reader while another one writes. When the
//! lease is free it opens the log as a single process would, with all checks of a start, and goes on.
//! It goes back to reading when it lost the lease, or when writing failed: what was paused, cut off or
//! overtaken cannot write, as the store sees to it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::config::{Role, Settings};
use crate::follow::follow;
use crate::open::{Ready, World, open_in};
use crate::run::serve;
use crate::store::{Lease, PostgresStore};

/// The pause after something failed.
const PAUSE: Duration = Duration::from_millis(500);

/// What answers now; none before there is anything to show.
type Current = Arc<ArcSwapOption<Router>>;

/// Runs until `stop` completes; everything accepted by then is durable and answered.
pub(crate) async fn run(
    settings: Settings,
    url: &str,
    world: World,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let process = Process {
        store: PostgresStore::open(url).context("database_url")?,
        settings: settings.clone(),
        world,
        current: Current::default(),
    };
    let app = Router::new()
        .fallback(answer)
        .with_state(Arc::clone(&process.current));
    let (stopping, stopped) = watch::channel(false);
    let mut work = tokio::spawn(process.work(stopped));
    let ended = serve(&settings, app, async {
        tokio::select! {
            () = stop => None,
            ended = &mut work => Some(ended),
        }
    });
    match ended.await? {
        Some(ended) => ended?,
        None => {
            let _ = stopping.send(true);
            work.await?
        }
    }
}

async fn answer(State(current): State<Current>, request: Request) -> Response {
    match current.load_full() {
        Some(app) => match Router::clone(&app).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None => {
            let what = "the directory has nothing to show yet\n";
            (StatusCode::SERVICE_UNAVAILABLE, what).into_response()
        }
    }
}

struct Process {
    store: PostgresStore,
    settings: Settings,
    world: World,
    current: Current,
}

impl Process {
    async fn work(self, mut stopped: watch::Receiver<bool>) -> anyhow::Result<()> {
        loop {
            // Whoever wrote until now writes nothing more, and reads on.
            let following = self.follow();
            let lease = tokio::select! {
                lease = self.wait(following) => lease,
                _ = stopped.changed() => return Ok(()),
            };
            match self.lead(&lease, &mut stopped).await {
                Ok(true) => return Ok(lease.give_back().await?),
                Ok(false) => {}
                // The database answers and nobody else was elected: the fault is here, and stays.
                Err(error) if matches!(lease.renew().await, Ok(true)) => {
                    lease.give_back().await?;
                    return Err(error);
                }
                Err(error) => tracing::error!("writing ended: {error:#}"),
            }
            drop(lease);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Answers lookups, and waits for the lease; for ever, if this process is never to write.
    async fn wait(&self, following: impl Future<Output = Ready>) -> Lease {
        let follow = async {
            let _ready = following.await;
            std::future::pending().await
        };
        let lease = async {
            if self.settings.role == Role::Reader {
                return std::future::pending().await;
            }
            let holder = format!("{}, process {}", self.settings.listen, std::process::id());
            loop {
                match Lease::take(&self.store, &holder, self.settings.lease).await {
                    Ok(Some(lease)) => return lease,
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "no lease to be had"),
                }
                tokio::time::sleep(self.settings.lease / 5).await;
            }
        };
        tokio::select! {
            lease = lease => lease,
            lease = follow => lease,
        }
    }

    /// Begins to answer lookups, as soon as there is something to show.
    async fn follow(&self) -> Ready {
        loop {
            let (world, store) = (self.world.clone(), self.store.clone());
            match follow(&self.settings, world, store).await {
                Ok(Some(ready)) => {
                    self.current.store(Some(Arc::new(ready.app.clone())));
                    return ready;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!("nothing to show yet: {error:#}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes until the lease is lost or something fails, or until it is to stop (true).
    async fn lead(
        &self,
        lease: &Lease,
        stopped: &mut watch::Receiver<bool>,
    ) -> anyhow::Result<bool> {
        tracing::info!(epoch = lease.epoch(), "elected: this process writes now");
        let (world, store) = (self.world.clone(), self.store.clone());
        let opened = tokio::select! {
            opened = open_in(&self.settings, world, store) => opened?,
            () = lease.keep() => anyhow::bail!("the lease was lost during the start"),
        };
        let Ready {
            app,
            updates,
            mut writer,
            _background,
            ..
        } = opened;
        drop(updates);
        self.current.store(Some(Arc::new(app)));
        tokio::select! {
            ended = &mut writer => {
                ended??;
                Ok(false)
            }
            () = lease.keep() => {
                tracing::warn!("another process was elected");
                writer.abort();
                Ok(false)
            }
            _ = stopped.changed() => {
                // Requests under way are answered; this ends the queue, which ends the sequencer.
                self.current.store(None);
                writer.await??;
                Ok(true)
            }
        }
    }
}
