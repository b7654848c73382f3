//! The Service Operator in front of a Third-Party Manager (section "Management"): lets updates
//! through that are allowed, signs their values, and never signs two values for one version.

mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use overt_protocol::codec::{Decode, Encode, Reader};
use overt_protocol::descriptor::{Descriptor, ENDPOINTS, EXTENSIONS};
use overt_protocol::suite::{SigningKey, sha256};
use overt_protocol::wire::{
    Configuration, DeploymentMode, FullTreeHead, HashValue, ManagerUpdateRequest, UpdateRequest,
    UpdateResponse, UpdateTbs, UpdateValue,
};
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

use crate::access::{Access, Proposed, Token};
use crate::config::Settings;
use crate::http::{Code, Problem};
use crate::keys;
use crate::run::{AbortOnDrop, serve};
use crate::startup;

use watch::Watch;

/// Bytes of an answer of the manager.
const MAX_ANSWER: usize = 16 << 20;
const CREDENTIAL_UPDATE: &str = "/v1/credential-update";
/// The manager skips at most so many version counters at once.
const MAX_SKIPPED: u32 = 128;
/// The manager's log is looked at no less often than this.
const LONGEST_WATCH: Duration = Duration::from_secs(60);
/// Heads that are remembered, to compare with.
const MAX_HEADS: usize = 4096;

/// The operator's key. It is made on the first use of the data directory.
pub fn leaf_key(settings: &Settings) -> anyhow::Result<SigningKey> {
    let file = settings.leaf_key_file();
    let is_new = !settings.data_dir.join("operator.sqlite3").exists();
    let seed = keys::load("OVERT_SERVER_LEAF_KEY", &file, is_new)?;
    SigningKey::from_bytes(settings.suite(), &seed).context("leaf key")
}

/// Runs until `stop` completes.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    std::fs::create_dir_all(&settings.data_dir)?;
    let _lock = startup::lock(&settings.data_dir)?;
    let key = leaf_key(&settings)?;
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(settings.request_timeout)
        .build()?;
    let manager = settings.manager_url.clone().unwrap_or_default();
    let manager = manager.trim_end_matches('/').to_owned();
    let json = http.get(format!("{manager}/v1/descriptor")).send().await;
    let json = json.and_then(reqwest::Response::error_for_status);
    let json = json.context("the manager does not answer")?.bytes().await?;
    let (descriptor, config) = Descriptor::parse(&json).context("the manager's descriptor")?;
    anyhow::ensure!(
        config.mode
            == DeploymentMode::ThirdPartyManagement {
                leaf_public_key: key.public_key()
            },
        "the manager's configuration does not name this operator's key as leaf_public_key"
    );
    let signed = Signed::open(&settings.data_dir.join("operator.sqlite3"))?;
    let operator = Arc::new(Operator {
        watch: Watch::open(&config, &signed)?,
        http,
        manager,
        descriptor,
        config,
        key,
        access: Token {
            token: Zeroizing::new(settings.token.clone().unwrap_or_default()),
        },
        signed,
        updating: tokio::sync::Mutex::new(()),
        heads: Mutex::new(BTreeMap::new()),
    });
    // Before the first update goes out.
    operator.look().await?;
    let watched = Arc::clone(&operator);
    let period = settings.heartbeat().min(LONGEST_WATCH);
    let _watching = AbortOnDrop(tokio::spawn(async move { watched.watch(period).await }));
    tracing::info!(fingerprint = %operator.descriptor.fingerprint()?, "operator ready");
    let mut app = Router::new();
    for (name, path) in ENDPOINTS.iter().chain(&EXTENSIONS) {
        app = match *name {
            "update" => app.route(path, post(update)),
            _ => app.route(path, post(forward)),
        };
    }
    let app = app
        .layer(DefaultBodyLimit::max(settings.max_body))
        .route("/v1/descriptor", get(descriptor_document))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(operator);
    serve(&settings, app, stop).await
}

struct Operator {
    http: reqwest::Client,
    manager: String,
    descriptor: Descriptor,
    config: Configuration,
    key: SigningKey,
    access: Token,
    signed: Signed,
    watch: Watch,
    /// Versions are signed and forwarded one update at a time.
    updating: tokio::sync::Mutex<()>,
    /// Signatures of heads by tree size: the manager must never sign two for one size.
    heads: Mutex<BTreeMap<u64, Vec<u8>>>,
}

type OperatorState = State<Arc<Operator>>;

async fn descriptor_document(State(operator): OperatorState) -> axum::Json<Descriptor> {
    axum::Json(operator.descriptor.clone())
}

async fn forward(
    State(operator): OperatorState,
    uri: Uri,
    body: Bytes,
) -> Result<Response, Problem> {
    let answer = operator.ask(uri.path(), body.to_vec()).await?;
    // A credential's update has no head.
    if answer.status.is_success() && uri.path() != CREDENTIAL_UPDATE {
        operator.check_head(&answer.body)?;
    }
    Ok(answer.into_response())
}

async fn update(
    State(operator): OperatorState,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let request = UpdateRequest::from_bytes(&body, &())?;
    operator.watch.check()?;
    let _one_at_a_time = operator.updating.lock().await;
    let label = request.label.clone();
    let (forwarded, signed) = operator.authorize(&request, &headers)?;
    let bytes = forwarded.to_bytes().map_err(|e| internal(&e))?;
    let answer = operator.ask(uri.path(), bytes).await?;
    if answer.status.is_success() {
        operator.check_head(&answer.body)?;
        if let Some(range) = signed
            && operator.is_created(&answer.body)
        {
            operator
                .signed
                .set_created(&label, range.last)
                .map_err(|e| internal(&e))?;
        }
    }
    Ok(answer.into_response())
}

fn internal(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the operator failed");
    Problem::new(Code::Unavailable, "an internal error of the operator")
}

struct Answer {
    status: StatusCode,
    content_type: String,
    body: Vec<u8>,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let content_type = [(header::CONTENT_TYPE, self.content_type)];
        (self.status, content_type, self.body).into_response()
    }
}

/// Versions that were signed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u32,
    last: u32,
}

impl Operator {
    async fn ask(&self, path: &str, body: Vec<u8>) -> Result<Answer, Problem> {
        let unreachable = |error: reqwest::Error| {
            tracing::warn!(%error, "the manager cannot be reached");
            Problem::new(Code::Unavailable, "the manager cannot be reached")
        };
        let url = format!("{}{path}", self.manager);
        let mut answer = self
            .http
            .post(url)
            .body(body)
            .send()
            .await
            .map_err(unreachable)?;
        let status = StatusCode::from_u16(answer.status().as_u16());
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        let content_type = answer.headers().get(header::CONTENT_TYPE.as_str());
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let content_type = content_type
            .unwrap_or("application/octet-stream")
            .to_owned();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER {
                return Err(Problem::new(
                    Code::Unavailable,
                    "the manager's answer is too large",
                ));
            }
        }
        Ok(Answer {
            status,
            content_type,
            body,
        })
    }

    /// Signs the values of an update that is allowed.
    fn authorize(
        &self,
        request: &UpdateRequest,
        headers: &HeaderMap,
    ) -> Result<(ManagerUpdateRequest, Option<Range>), Problem> {
        let mut forwarded = ManagerUpdateRequest {
            last: request.last,
            label: request.label.clone(),
            greatest_version: request.greatest_version,
            values: Vec::new(),
            signed_version: 0,
        };
        let kept = self.signed.get(&request.label).map_err(|e| internal(&e))?;
        let is_behind = kept.is_some_and(|kept| request.greatest_version < kept.created);
        if request.values.is_empty() || is_behind {
            // Values are disregarded where the user does not know the greatest version.
            return Ok((forwarded, None));
        }
        let next = request
            .greatest_version
            .map_or(Some(0), |v| v.checked_add(1));
        // Nobody but this operator makes versions.
        let known = kept.map(|kept| kept.range.last);
        if request.greatest_version > known {
            let detail = "greatest_version is beyond every version that was signed";
            return Err(Problem::new(Code::VersionConflict, detail));
        }
        let exhausted = || Problem::new(Code::VersionConflict, "version numbers are exhausted");
        let next = next.ok_or_else(exhausted)?;
        let token = crate::http::bearer(headers);
        let proposed = Proposed {
            label: &request.label,
            version: next,
            previous: None,
            values: request.values.iter().map(Vec::as_slice).collect(),
            token: token.as_ref().map(|token| token.as_str()),
        };
        let allowed = self.access.check(&proposed);
        allowed.map_err(|error| Problem::new(Code::Unauthorized, error.to_string()))?;

        let digest = digest(&request.values);
        let first = match kept {
            None => next,
            // The same request again, whose answer was lost: the same signatures.
            Some(kept) if kept.created < Some(kept.range.last) && kept.digest == digest => {
                kept.range.first
            }
            Some(kept) if kept.digest == digest && kept.created == Some(kept.range.last) => {
                let detail = "the value is the current one already; repeats make no new version";
                return Err(Problem::new(Code::Unchanged, detail));
            }
            Some(kept) => next.max(kept.range.last.checked_add(1).ok_or_else(exhausted)?),
        };
        if first.saturating_sub(next) > MAX_SKIPPED {
            let detail = "too many versions were signed that the manager never created";
            return Err(Problem::new(Code::Unavailable, detail));
        }
        let count = u32::try_from(request.values.len()).map_err(|_| exhausted())?;
        let last = first
            .checked_add(count.saturating_sub(1))
            .ok_or_else(exhausted)?;
        let range = Range { first, last };
        // Durable before a signature exists.
        self.signed
            .put(&request.label, range, &digest)
            .map_err(|e| internal(&e))?;
        for (version, value) in (first..=last).zip(&request.values) {
            let tbs = UpdateTbs {
                config: &self.config,
                label: &request.label,
                version,
                value,
            };
            let signature = self.key.sign(&tbs.to_bytes().map_err(|e| internal(&e))?);
            forwarded.values.push(UpdateValue {
                value: value.clone(),
                signature: Some(signature),
            });
        }
        forwarded.signed_version = first;
        Ok((forwarded, Some(range)))
    }

    /// Whether the last response says that the request's values were created.
    fn is_created(&self, body: &[u8]) -> bool {
        let mut reader = Reader::new(body);
        let mut created = false;
        while !reader.is_empty() {
            match UpdateResponse::decode(&mut reader, &self.config) {
                Ok(response) => created = response.values.is_empty(),
                Err(_) => return false,
            }
        }
        created
    }

    /// Refuses to pass on a second head for a size: the manager forked the log.
    fn check_head(&self, body: &[u8]) -> Result<(), Problem> {
        let head = FullTreeHead::decode(&mut Reader::new(body), &self.config);
        let head = head.map_err(|error| {
            Problem::new(Code::Unavailable, format!("the manager's answer: {error}"))
        })?;
        let FullTreeHead::Updated { tree_head, .. } = head else {
            return Ok(());
        };
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let known = heads
            .entry(tree_head.tree_size)
            .or_insert_with(|| tree_head.signature.clone());
        if *known != tree_head.signature {
            tracing::error!(
                tree_size = tree_head.tree_size,
                "THE MANAGER SIGNED TWO HEADS OF ONE SIZE"
            );
            let detail = "the manager signed two different heads of one size";
            return Err(Problem::new(Code::Forked, detail));
        }
        while heads.len() > MAX_HEADS {
            heads.pop_first();
        }
        Ok(())
    }
}

fn digest(values: &[Vec<u8>]) -> HashValue {
    let hashes: Vec<HashValue> = values.iter().map(|value| sha256(&[value])).collect();
    let parts: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_slice()).collect();
    sha256(&parts)
}

/// What was signed for a label last.
#[derive(Debug, Clone, Copy)]
struct Kept {
    range: Range,
    digest: HashValue,
    /// The greatest version that the manager is known to have created.
    created: Option<u32>,
}

/// Which versions were signed, in SQLite.
struct Signed(Mutex<Connection>);

impl Signed {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS signed (
                label BLOB PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
                digest BLOB NOT NULL, created INTEGER) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS view (
                one INTEGER PRIMARY KEY CHECK (one = 1), state BLOB NOT NULL);",
        )?;
        Ok(Self(Mutex::new(connection)))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last verified view of the manager's log.
    fn view(&self) -> rusqlite::Result<Option<Vec<u8>>> {
        self.lock()
            .query_row("SELECT state FROM view", [], |row| row.get(0))
            .optional()
    }

    fn put_view(&self, state: &[u8]) -> rusqlite::Result<()> {
        self.lock().execute(
            "INSERT INTO view VALUES (1, ?1)
             ON CONFLICT (one) DO UPDATE SET state = excluded.state",
            [state],
        )?;
        Ok(())
    }

    fn get(&self, label: &[u8]) -> rusqlite::Result<Option<Kept>> {
        self.lock()
            .query_row(
                "SELECT first, last, digest, created FROM signed WHERE label = ?1",
                [label],
                |row| {
                    Ok(Kept {
                        range: Range {
                            first: row.get(0)?,
                            last: row.get(1)?,
                        },
                        digest: row.get(2)?,
                        created: row.get(3)?,
                    })
                },
            )
            .optional()
    }

    fn put(&self, label: &[u8], range: Range, digest: &HashValue) -> rusqlite::Result<()> {
        self.lock().execute(
            "INSERT INTO signed VALUES (?1, ?2, ?3, ?4, NULL) ON CONFLICT (label) DO UPDATE
             SET first = excluded.first, last = excluded.last, digest = excluded.digest",
            params![label, range.first, range.last, digest],
        )?;
        Ok(())
    }

    fn set_created(&self, label: &[u8], version: u32) -> rusqlite::Result<()> {
        self.lock().execute(
            "UPDATE signed SET created = max(coalesce(created, 0), ?2) WHERE label = ?1",
            params![label, version],
        )?;
        Ok(())
    }
}
