//! The HTTP API: one path for each operation of the draft, with the draft's structures as bodies.

mod audit;
mod head_log;
mod operations;
mod problem;
mod status;

pub(crate) use head_log::{CHECKPOINT_HEADERS, TILE_HEADERS};
pub(crate) use operations::bearer;
pub use problem::{Code, Problem};

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use overt_protocol::descriptor::Descriptor;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::compression::{CompressionLayer, CompressionLevel};

use crate::access::Lookups;
use crate::directory::Shared;
use crate::sequencer::Updates;
use crate::store::Store;

/// Bytes below which a response is sent as it is.
const MIN_COMPRESSED: u64 = 1_024;

/// What the handlers share.
pub struct Api<S> {
    /// The directory.
    pub shared: Arc<Shared<S>>,
    /// The sequencer's queue.
    pub updates: Updates,
    /// For `GET /v1/descriptor`.
    pub descriptor: Descriptor,
    /// For `GET /metrics`.
    pub metrics: PrometheusHandle,
    /// Distinguished log entries in one owner monitoring response.
    pub owner_monitor_limit: usize,
    /// Who may look labels up.
    pub lookups: Lookups,
    /// Whether updates may be acknowledged with receipts, to whoever asks for that.
    pub gives_receipts: bool,
    /// How old, in milliseconds, the published head may be for `GET /readyz` to succeed.
    pub max_head_age: u64,
}

/// Limits on requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a body.
    pub max_body: usize,
    /// Requests answered at a time; more get 503 at once.
    pub concurrency: usize,
    /// Time to answer, reading the body included.
    pub timeout: Duration,
}

/// The routes.
pub fn router<S: Store>(api: Arc<Api<S>>, limits: Limits) -> Router {
    let operations = Router::new()
        .route("/v1/search", post(operations::search::<S>))
        .route("/v1/update", post(operations::update::<S>))
        .route(
            "/v1/contact-monitor",
            post(operations::contact_monitor::<S>),
        )
        .route("/v1/owner-init", post(operations::owner_init::<S>))
        .route("/v1/owner-monitor", post(operations::owner_monitor::<S>))
        .route("/v1/distinguished", post(operations::distinguished::<S>))
        .route(
            "/v1/credential-update",
            post(operations::credential_update::<S>),
        )
        .route("/v1/absence", post(operations::absence::<S>))
        .route("/checkpoint", get(head_log::checkpoint::<S>))
        .route("/tlog-proof/{size}", get(head_log::proof::<S>))
        .route("/tile/{*path}", get(head_log::tile::<S>))
        .route("/v1/auditor-updates", get(audit::updates::<S>))
        .route("/v1/tree-head", get(audit::tree_head::<S>))
        .route("/v1/auditor-head", post(audit::put_head::<S>))
        .layer(compression())
        .layer(DefaultBodyLimit::max(limits.max_body))
        .layer(
            ServiceBuilder::new()
                .layer(HandleErrorLayer::new(problem::overload))
                .load_shed()
                .concurrency_limit(limits.concurrency)
                .timeout(limits.timeout),
        );
    Router::new()
        .merge(operations)
        .route("/v1/descriptor", get(status::descriptor::<S>))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz::<S>))
        .route("/readyz/updates", get(status::updatesz::<S>))
        .route("/metrics", get(status::metrics::<S>))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .with_state(api)
}

/// Proofs for several log entries repeat most of each other's hashes: `Content-Encoding: zstd` leaves
/// out what is repeated, for clients that accept it.
fn compression() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(MIN_COMPRESSED))
}
