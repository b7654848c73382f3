//! A C2SP witness that behaves as it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::key::{SignatureType, SignerKey, VerifierKey};
use overt_protocol::head_log::tree::SizedRoot;
use overt_protocol::head_log::witness::AddCheckpoint;

/// How a witness behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As the specification asks.
    Honest,
    /// It does not know the log: 404.
    Unknown,
    /// It says that it cosigned another size, a greater one each time: 409.
    Conflict,
    /// It says so and does not say which.
    ConflictWithoutSize,
    /// It fails: 500.
    Broken,
    /// It sends megabytes of what is no signature.
    Garbage,
    /// It never answers.
    Silent,
    /// It returns a cosignature of something else.
    Forger,
    /// It cosigns whatever it is asked to.
    Careless,
}

#[derive(Debug)]
struct Inner {
    mood: Mood,
    log: Vec<VerifierKey>,
    latest: BTreeMap<String, SizedRoot>,
    signed: Vec<SignedCheckpoint>,
}

/// The keys of the witness of this name, one of each type.
pub fn witness_keys(name: &str) -> anyhow::Result<Vec<SignerKey>> {
    let mut seed = [0; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    let kinds = [
        SignatureType::Ed25519Cosignature,
        SignatureType::MlDsa44Cosignature,
    ];
    let key = |kind| Ok(SignerKey::from_seed(name, kind, &seed)?);
    kinds.into_iter().map(key).collect()
}

/// A running witness.
#[derive(Debug)]
pub struct Witness {
    /// Its submission prefix.
    pub url: String,
    keys: Vec<SignerKey>,
    inner: Arc<Mutex<Inner>>,
    task: tokio::task::JoinHandle<()>,
}

impl Witness {
    /// Starts a witness of this name on a free loopback port, with a key of each type.
    pub async fn start(name: &str) -> anyhow::Result<Self> {
        let keys = witness_keys(name)?;
        let inner = Arc::new(Mutex::new(Inner {
            mood: Mood::Honest,
            log: Vec::new(),
            latest: BTreeMap::new(),
            signed: Vec::new(),
        }));
        let app = Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .with_state((Arc::clone(&inner), keys.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            url,
            keys,
            inner,
            task,
        })
    }

    /// The lines of a tlog-policy that define it: `<name>-0` and `<name>-1`.
    pub fn policy_lines(&self) -> String {
        let lines = self.keys.iter().enumerate().map(|(n, key)| {
            let key = key.verifier();
            format!("witness {}-{n} {key} {}\n", key.name(), self.url)
        });
        lines.collect()
    }

    /// Its public keys: Ed25519, and ML-DSA-44.
    pub fn keys(&self) -> Vec<&VerifierKey> {
        self.keys.iter().map(SignerKey::verifier).collect()
    }

    /// Trusts these keys for any log from now on.
    pub fn trust(&self, log: Vec<VerifierKey>) {
        lock(&self.inner).log = log;
    }

    /// Changes how it behaves.
    pub fn set_mood(&self, mood: Mood) {
        lock(&self.inner).mood = mood;
    }

    /// Everything that it cosigned, in order.
    pub fn signed(&self) -> Vec<SignedCheckpoint> {
        lock(&self.inner).signed.clone()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn add_checkpoint(
    State((inner, keys)): State<(Arc<Mutex<Inner>>, Vec<SignerKey>)>,
    body: Bytes,
) -> Response {
    let mood = lock(&inner).mood;
    match mood {
        Mood::Careless => cosign_blindly(&keys, &body),
        Mood::Honest | Mood::Forger => cosign(&mut lock(&inner), &keys, &body),
        Mood::Unknown => StatusCode::NOT_FOUND.into_response(),
        Mood::Conflict => {
            let inner = lock(&inner);
            let greatest = inner.latest.values().map(|tree| tree.size).max();
            let size = greatest.unwrap_or(0) + 1_000_000;
            (StatusCode::CONFLICT, format!("{size}\n")).into_response()
        }
        Mood::ConflictWithoutSize => StatusCode::CONFLICT.into_response(),
        Mood::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Garbage => vec![b'x'; 4 << 20].into_response(),
        Mood::Silent => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            StatusCode::REQUEST_TIMEOUT.into_response()
        }
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs())
}

fn cosign_blindly(keys: &[SignerKey], body: &[u8]) -> Response {
    let Ok(request) = AddCheckpoint::parse(body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let sign = |key: &SignerKey| request.checkpoint.cosign(key, now());
    match keys.iter().map(sign).collect::<Result<Vec<_>, _>>() {
        Ok(lines) => {
            let lines = lines.iter().map(ToString::to_string);
            lines.collect::<String>().into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn cosign(inner: &mut Inner, keys: &[SignerKey], body: &[u8]) -> Response {
    let done = AddCheckpoint::parse(body).and_then(|request| {
        let origin = request.checkpoint.checkpoint().origin().to_owned();
        let latest = inner.latest.get(&origin).copied();
        let accepted = request.decide(&inner.log, &latest.unwrap_or(SizedRoot::empty()))?;
        Ok((origin, accepted))
    });
    match done {
        Ok((origin, accepted)) => {
            let Ok((lines, signed)) = accepted.cosign(keys, now()) else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            if inner.mood == Mood::Forger {
                let last = inner.signed.last().map(|signed| signed.note().signatures());
                let others = last.unwrap_or_default().iter().map(ToString::to_string);
                return others.collect::<String>().into_response();
            }
            inner.latest.insert(origin, accepted.tree());
            inner.signed.push(signed);
            lines.into_response()
        }
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, refusal.body().unwrap_or_default()).into_response()
        }
    }
}
