//! Where the auditor answers: cosigning, gossip, and status.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use overt_protocol::evidence::MAX_EVIDENCE_LEN;
use overt_protocol::head_log::checkpoint::SignedCheckpoint;
use overt_protocol::head_log::note::MAX_NOTE_LEN;
use overt_protocol::head_log::witness::monitoring_path;
use serde_json::json;

use crate::cosign::{Cosigner, Role};
use crate::gossip::{Brought, Gossip, Verdict};
use crate::status::Status;
use crate::store::{Record, Store};

/// What the handlers share.
pub struct Api {
    /// Cosigns what was replayed.
    pub auditor: Cosigner,
    /// Cosigns what is consistent.
    pub witness: Cosigner,
    /// Compares.
    pub gossip: Arc<Gossip>,
    /// The memory.
    pub store: Arc<Store>,
    /// The pages.
    pub status: Status,
    /// For `GET /metrics`.
    pub metrics: PrometheusHandle,
}

type Shared = State<Arc<Api>>;

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/{role}/add-checkpoint", post(add_checkpoint))
        .route("/{role}/{hash}/checkpoint", get(latest))
        .route("/keys", get(keys))
        .route("/gossip/checkpoint", post(bring_checkpoint))
        .route("/gossip/leaf/{hash}/{size}", get(leaf))
        .route("/gossip/evidence", get(evidence_list).post(bring_evidence))
        .route("/gossip/evidence/{id}", get(evidence))
        .route("/", get(page))
        .route("/status.json", get(document))
        .route("/feed.atom", get(feed))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .layer(DefaultBodyLimit::max(MAX_EVIDENCE_LEN.max(MAX_NOTE_LEN)))
        .with_state(api)
}

/// An error of this machine.
struct Failed(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        tracing::error!(error = format!("{:#}", self.0), "a request failed");
        let said = "an internal error; whoever runs this auditor can see it in the log\n";
        (StatusCode::INTERNAL_SERVER_ERROR, said).into_response()
    }
}

type Answer = Result<Response, Failed>;

impl Api {
    fn cosigner(&self, role: &str) -> Option<&Cosigner> {
        [&self.auditor, &self.witness]
            .into_iter()
            .find(|cosigner| cosigner.role.name() == role)
    }

    /// The directory whose origin has this hash.
    fn by_hash(&self, hash: &str) -> anyhow::Result<Option<Record>> {
        let path = format!("{hash}/checkpoint");
        let mut records = self.store.records()?.into_iter();
        Ok(records.find(|record| monitoring_path(&record.descriptor.origin) == path))
    }
}

fn not_found(what: &str) -> Response {
    (StatusCode::NOT_FOUND, format!("{what}\n")).into_response()
}

fn too_many() -> Response {
    let again = [(header::RETRY_AFTER, "1")];
    (StatusCode::TOO_MANY_REQUESTS, again, "too many at once\n").into_response()
}

async fn add_checkpoint(State(api): Shared, Path(role): Path<String>, body: Bytes) -> Response {
    let Some(cosigner) = api.cosigner(&role) else {
        return not_found("expected /auditor or /witness");
    };
    match cosigner.add_checkpoint(&body).await {
        Ok(lines) => {
            metrics::counter!("overt_auditor_cosigned_total", "role" => cosigner.role.name())
                .increment(1);
            lines.into_response()
        }
        Err(denied) => {
            tracing::info!(role, %denied, "not cosigned");
            let status = StatusCode::from_u16(denied.status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let size = [(header::CONTENT_TYPE, "text/x.tlog.size")];
            match status {
                StatusCode::CONFLICT => (status, size, denied.body()).into_response(),
                _ => (status, denied.body()).into_response(),
            }
        }
    }
}

/// The checkpoint that was cosigned last (tlog-witness, "Monitor Retrieval Mechanism").
async fn latest(State(api): Shared, Path((role, hash)): Path<(String, String)>) -> Answer {
    let Some(cosigner) = api.cosigner(&role) else {
        return Ok(not_found("expected /auditor or /witness"));
    };
    let path = format!("{hash}/checkpoint");
    let directories = api.store.records()?;
    let origins = directories.iter().map(|record| &record.descriptor.origin);
    let origin = origins
        .chain(api.gossip.logs.iter().map(|log| &log.origin))
        .find(|origin| monitoring_path(origin) == path);
    let Some(origin) = origin else {
        return Ok(not_found("no log with an origin of this hash"));
    };
    Ok(match api.store.cosigned(cosigner.role.name(), origin)? {
        Some(signed) => text(signed.to_string()),
        None => not_found("nothing of this log was cosigned yet"),
    })
}

fn text(body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

/// The public keys, a vkey a line.
async fn keys(State(api): Shared) -> Response {
    let keys = api.auditor.keys.iter().chain(&api.witness.keys);
    text(keys.map(|key| format!("{}\n", key.verifier())).collect())
}

/// Takes a checkpoint that someone was shown, and says how it compares.
async fn bring_checkpoint(State(api): Shared, body: Bytes) -> Answer {
    if api.gossip.limit.check().is_err() {
        return Ok(too_many());
    }
    let signed = match SignedCheckpoint::parse(&body) {
        Ok(signed) => signed,
        Err(error) => return Ok((StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()),
    };
    let origin = signed.checkpoint().origin();
    let Some(log) = api.gossip.log(origin)? else {
        return Ok(not_found("no log of this origin is followed here"));
    };
    if let Err(error) = signed.verify(&log.keys) {
        return Ok((StatusCode::FORBIDDEN, format!("{error}\n")).into_response());
    }
    let (gossip, source) = (&api.gossip, "a visitor");
    let verdict = match api.store.by_origin(origin)? {
        Some(record) => gossip.compare(&record, &signed, source, None).await?,
        None => gossip.compare_witnessed(&log, &signed, source).await?,
    };
    let status = match &verdict {
        Verdict::Agrees | Verdict::TooOld => StatusCode::OK,
        Verdict::Later => StatusCode::ACCEPTED,
        Verdict::Contradicts { .. } | Verdict::Differs => StatusCode::CONFLICT,
    };
    Ok((status, axum::Json(verdict)).into_response())
}

/// A leaf of a log as it was replayed here, and the log's proof of it: for comparison.
async fn leaf(State(api): Shared, Path((hash, size)): Path<(String, u64)>) -> Answer {
    if api.gossip.limit.check().is_err() {
        return Ok(too_many());
    }
    let Some(record) = api.by_hash(&hash)? else {
        return Ok(not_found("no log with an origin of this hash"));
    };
    Ok(match api.gossip.own_leaf(&record, size).await {
        Ok(Some(leaf)) => axum::Json(leaf).into_response(),
        Ok(None) => not_found("a head of this size is not remembered here"),
        Err(error) => {
            let said = format!("the log does not prove it: {error:#}\n");
            (StatusCode::BAD_GATEWAY, said).into_response()
        }
    })
}

async fn evidence_list(State(api): Shared) -> Answer {
    let ids: Vec<String> = api.store.evidence()?.into_iter().map(|e| e.id).collect();
    Ok(axum::Json(ids).into_response())
}

async fn evidence(State(api): Shared, Path(id): Path<String>) -> Answer {
    let kept = api.store.evidence()?.into_iter().find(|kept| kept.id == id);
    Ok(match kept {
        Some(kept) => ([(header::CONTENT_TYPE, "application/json")], kept.json).into_response(),
        None => not_found("no such evidence"),
    })
}

async fn bring_evidence(State(api): Shared, body: Bytes) -> Answer {
    if api.gossip.limit.check().is_err() {
        return Ok(too_many());
    }
    let taken = api.gossip.take(&api.store.records()?, &body, "a visitor")?;
    let (status, said) = match taken {
        Ok(Brought::Kept(id)) => (StatusCode::CREATED, json!({"kept": id})),
        Ok(Brought::Known(id)) => (StatusCode::OK, json!({"known": id})),
        Ok(Brought::Unrelated) => (
            StatusCode::NOT_FOUND,
            json!({"error": "it is about nobody that is followed here"}),
        ),
        Err(error) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            json!({"error": error.to_string(), "check": error.check()}),
        ),
    };
    Ok((status, axum::Json(said)).into_response())
}

async fn page(State(api): Shared) -> Answer {
    Ok(axum::response::Html(api.status.html()?).into_response())
}

async fn document(State(api): Shared) -> Answer {
    Ok(axum::Json(api.status.json()?).into_response())
}

async fn feed(State(api): Shared) -> Answer {
    let content_type = [(header::CONTENT_TYPE, "application/atom+xml; charset=utf-8")];
    Ok((content_type, api.status.feed()?).into_response())
}

async fn metrics(State(api): Shared) -> Answer {
    for record in api.store.records()? {
        let origin = record.descriptor.origin;
        let gauge = |name: &'static str, value: f64| {
            metrics::gauge!(name, "origin" => origin.clone()).set(value);
        };
        gauge("overt_auditor_tree_size", record.replay.size() as f64);
        gauge(
            "overt_auditor_timestamp_seconds",
            record.replay.state.timestamp as f64 / 1000.0,
        );
        gauge("overt_auditor_seen_seconds", record.seen_at as f64 / 1000.0);
        gauge("overt_auditor_refused", f64::from(record.refused.is_some()));
        gauge(
            "overt_auditor_suspicious",
            f64::from(record.suspicion.is_some()),
        );
        let cosigned = api.store.cosigned(Role::Auditor.name(), &origin)?;
        let size = cosigned.map_or(0, |signed| signed.checkpoint().tree().size);
        gauge("overt_auditor_cosigned_size", size as f64);
    }
    metrics::gauge!("overt_auditor_evidence_files").set(api.store.evidence()?.len() as f64);
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((content_type, api.metrics.render()).into_response())
}
