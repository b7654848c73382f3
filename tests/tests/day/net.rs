//! A network in virtual time: answers take a while, links break, hosts go away.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use overt_auditor::transport::{Pieces, Transport};
use overt_client::transport::{Problem, TransportError};
use overt_server::publish::transport as publishing;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long one waits for an answer, or for a connection to a host that is cut off.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer to a client or to the server.
const MAX_ANSWER: usize = 16 << 20;

/// Hosts and the links between them.
pub(crate) struct Net {
    inner: Mutex<Inner>,
}

struct Inner {
    hosts: HashMap<String, Host>,
    /// Hosts of which only those in the same group reach each other; the others reach all others.
    groups: Vec<HashSet<String>>,
    /// Seconds that everything to and from a host takes longer, at most.
    slow: HashMap<String, f64>,
    /// Whom these hosts reach under the name of another.
    disguised: HashMap<(String, String), String>,
    rng: StdRng,
    carried: u64,
    failed: u64,
}

struct Host {
    app: Router,
    /// Closed when the host goes away.
    alive: watch::Sender<()>,
}

impl Net {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        let inner = Inner {
            hosts: HashMap::new(),
            groups: Vec::new(),
            slow: HashMap::new(),
            disguised: HashMap::new(),
            rng: StdRng::seed_from_u64(seed),
            carried: 0,
            failed: 0,
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// A host answers from now on.
    pub(crate) fn up(&self, name: &str, app: Router) {
        let alive = watch::channel(()).0;
        self.lock()
            .hosts
            .insert(name.to_owned(), Host { app, alive });
    }

    /// A host is gone, and with it all that it was just answering.
    pub(crate) fn down(&self, name: &str) {
        self.lock().hosts.remove(name);
    }

    /// Only those within the group reach each other; nobody, if it is empty, is cut off.
    pub(crate) fn cut_off(&self, group: HashSet<String>) {
        self.lock().groups = vec![group];
    }

    pub(crate) fn slow_down(&self, name: &str, seconds: f64) {
        self.lock().slow.insert(name.to_owned(), seconds);
    }

    pub(crate) fn disguise(&self, from: &str, name: &str, instead: &str) {
        let (who, whom) = (from.to_owned(), name.to_owned());
        self.lock()
            .disguised
            .insert((who, whom), instead.to_owned());
    }

    /// All links work again.
    pub(crate) fn heal(&self) {
        let mut inner = self.lock();
        inner.groups.clear();
        inner.slow.clear();
    }

    /// How many messages arrived, and how many did not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.carried, inner.failed)
    }

    /// Carries one message; fails if the link is cut, or by chance.
    async fn carry(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let (delay, is_lost, is_cut) = {
            let mut inner = self.lock();
            let slow = [from, to].map(|name| inner.slow.get(name).copied().unwrap_or(0.0));
            let slow = slow.iter().sum::<f64>();
            let delay = inner.rng.random_range(0.005..0.2) + inner.rng.random_range(0.0..=slow);
            let is_lost = inner.rng.random_bool(0.003);
            let mut groups = inner.groups.iter();
            let is_cut = groups.any(|group| group.contains(from) != group.contains(to));
            match is_lost || is_cut {
                true => inner.failed += 1,
                false => inner.carried += 1,
            }
            (delay, is_lost, is_cut)
        };
        if is_cut {
            sleep(PATIENCE).await;
            bail!("no connection from {from} to {to}");
        }
        sleep(Duration::from_secs_f64(delay)).await;
        match is_lost {
            true => bail!("the connection from {from} to {to} broke"),
            false => Ok(()),
        }
    }

    /// The host of a name as another one sees it.
    fn find(&self, from: &str, name: &str) -> anyhow::Result<(Router, watch::Receiver<()>)> {
        let inner = self.lock();
        let pair = (from.to_owned(), name.to_owned());
        let name = inner.disguised.get(&pair).map_or(name, String::as_str);
        let host = inner
            .hosts
            .get(name)
            .with_context(|| format!("{name} is down"))?;
        Ok((host.app.clone(), host.alive.subscribe()))
    }
}

/// The network as one host has it.
#[derive(Clone)]
pub(crate) struct Link {
    net: Arc<Net>,
    from: String,
}

impl Link {
    pub(crate) fn new(net: &Arc<Net>, from: &str) -> Self {
        let (net, from) = (Arc::clone(net), from.to_owned());
        Self { net, from }
    }

    async fn exchange(self, request: Request<Vec<u8>>) -> anyhow::Result<Response<Pieces>> {
        let to = request.uri().host().context("no host")?.to_owned();
        self.net.carry(&self.from, &to).await?;
        let (app, mut alive) = self.net.find(&self.from, &to)?;
        let answered = tower::ServiceExt::oneshot(app, request.map(Body::from));
        let response = tokio::select! {
            response = answered => response?,
            _ = alive.changed() => bail!("{to} went away"),
        };
        self.net.carry(&to, &self.from).await?;
        Ok(response.map(|body| {
            let pieces = body.into_data_stream();
            pieces.map(|piece| Ok(piece?.to_vec())).boxed()
        }))
    }

    async fn whole(self, request: Request<Vec<u8>>) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let (head, pieces) = self.exchange(request).await?.into_parts();
        let body = to_bytes(Body::from_stream(pieces), MAX_ANSWER).await?;
        Ok((head.status, body.to_vec()))
    }
}

impl Transport for Link {
    fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> BoxFuture<'static, anyhow::Result<Response<Pieces>>> {
        let exchange = self.clone().exchange(request);
        Box::pin(async { timeout(PATIENCE, exchange).await? })
    }
}

impl publishing::Transport for Link {
    fn post(
        &self,
        url: &reqwest::Url,
        body: String,
    ) -> BoxFuture<'static, Result<(StatusCode, Vec<u8>), publishing::TransportError>> {
        let request = Request::post(url.as_str()).body(body.into_bytes());
        let link = self.clone();
        Box::pin(async move {
            let answer = async { timeout(PATIENCE, link.whole(request?)).await? };
            let unreachable =
                |e: anyhow::Error| publishing::TransportError::Unreachable(e.to_string());
            answer.await.map_err(unreachable)
        })
    }
}

/// A directory as a client reaches it.
pub(crate) struct Phone {
    pub(crate) link: Link,
    pub(crate) url: String,
}

impl Phone {
    async fn ask(&self, request: Request<Vec<u8>>) -> Result<Vec<u8>, TransportError> {
        let answer = timeout(PATIENCE * 2, self.link.clone().whole(request)).await;
        let answer = answer.map_err(anyhow::Error::from).flatten();
        match answer {
            Ok((StatusCode::OK, body)) => Ok(body),
            Ok((status, body)) => Err(TransportError::Problem(Problem {
                status: status.as_u16(),
                code: code(&body),
                title: String::new(),
                detail: String::new(),
            })),
            Err(error) => Err(TransportError::Unreachable(error.to_string())),
        }
    }
}

fn code(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    json["code"].as_str().unwrap_or("no-code").to_owned()
}

impl overt_client::transport::Transport for Phone {
    async fn get(&self, path: &str) -> Result<Vec<u8>, TransportError> {
        let request = Request::get(format!("{}{path}", self.url));
        self.ask(request.body(Vec::new()).unwrap()).await
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let request = Request::post(format!("{}{path}", self.url));
        let request = request.header("content-type", "application/octet-stream");
        self.ask(request.body(body).unwrap()).await
    }

    fn elsewhere(&self, address: &str) -> Result<Self, TransportError> {
        let (link, url) = (self.link.clone(), address.to_owned());
        Ok(Self { link, url })
    }

    fn anonymous(&self) -> Result<Self, TransportError> {
        self.elsewhere(&self.url)
    }
}

/// A clock that is wrong by a constant, in virtual time.
#[derive(Clone, Copy)]
pub(crate) struct Skewed {
    /// What it shows when virtual time begins, in milliseconds since the Unix epoch.
    begin: u64,
    began: Instant,
}

impl Skewed {
    /// Wrong by so many milliseconds, a day ahead of all others at most.
    pub(crate) fn by(began: Instant, milliseconds: i64) -> Self {
        let begin = 1_800_000_000_000_u64.saturating_add_signed(milliseconds);
        Self { begin, began }
    }
}

impl overt_protocol::clock::Clock for Skewed {
    fn now(&self) -> u64 {
        let elapsed = self.began.elapsed().as_millis();
        self.begin + u64::try_from(elapsed).unwrap()
    }
}
