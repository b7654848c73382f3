//! The descriptor, health, readiness and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use overt_protocol::descriptor::Descriptor;
use serde_json::json;

use crate::http::{Api, Code, Problem};
use crate::sequencer::UpdateError;
use crate::store::{Reader, Store};

pub(super) async fn descriptor<S: Store>(State(api): State<Arc<Api<S>>>) -> Json<Descriptor> {
    Json(api.descriptor.clone())
}

/// The process runs.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The directory answers with a head that clients accept.
pub(super) async fn readyz<S: Store>(State(api): State<Arc<Api<S>>>) -> Result<Response, Problem> {
    let unavailable = |detail: String| Problem::new(Code::Unavailable, detail);
    let head = api.shared.published();
    let head = head.ok_or_else(|| unavailable("no head is published yet".to_owned()))?;
    let shared = Arc::clone(&api.shared);
    let rightmost = head.tree_size.saturating_sub(1);
    let read = tokio::task::spawn_blocking(move || shared.store.reader()?.log_entry(rightmost));
    let Ok(Ok(Some((entry, _)))) = read.await else {
        return Err(unavailable("the store does not answer".to_owned()));
    };
    let age = api.shared.clock.now().saturating_sub(entry.timestamp);
    if age > api.max_head_age {
        let limit = api.max_head_age;
        return Err(unavailable(format!(
            "the published head is {age} ms old, clients accept {limit} ms"
        )));
    }
    let body = json!({
        "tree_size": head.tree_size,
        "head_age_ms": age,
        "takes_updates": api.updates.are_taken(),
        "updates_waiting": api.updates.waiting(),
        "waits_for_witnesses": api.shared.is_held(),
    });
    Ok(Json(body).into_response())
}

/// It also takes updates: for whatever shares them out among the processes of one directory.
pub(super) async fn updatesz<S: Store>(api: State<Arc<Api<S>>>) -> Result<Response, Problem> {
    match api.updates.are_taken() {
        true => readyz(api).await,
        false => Err(UpdateError::Elsewhere.into()),
    }
}

pub(super) async fn metrics<S: Store>(State(api): State<Arc<Api<S>>>) -> Response {
    metrics::gauge!("overt_updates_waiting").set(api.updates.waiting() as f64);
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (content_type, api.metrics.render()).into_response()
}
