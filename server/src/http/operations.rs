//! The draft's operations.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::distinguished::RECENT;
use overt_protocol::provider;
use overt_protocol::wire::{
    AbsenceRequest, ContactMonitorRequest, CredentialUpdateRequest, DistinguishedRequest,
    OwnerInitRequest, OwnerMonitorRequest, SearchRequest, UpdateRequest,
};
use zeroize::Zeroizing;

use crate::directory::Snapshot;
use crate::error::DirectoryError;
use crate::http::problem::join_error;
use crate::http::{Api, Code, Problem};
use crate::sequencer::Outcome;
use crate::store::Store;

type Body = Result<Bytes, BytesRejection>;
type ApiState<S> = State<Arc<Api<S>>>;
type Answer = Result<Response, Problem>;

pub(super) async fn search<S: Store>(State(api): ApiState<S>, body: Body) -> Answer {
    let request = decode::<SearchRequest>(body)?;
    answer("search", api, move |_, at| {
        encoded(provider::search(at, &request)?)
    })
    .await
}

pub(super) async fn absence<S: Store>(State(api): ApiState<S>, body: Body) -> Answer {
    if api.descriptor.path("absence").is_none() {
        return Err(crate::http::problem::not_found().await);
    }
    let request = decode::<AbsenceRequest>(body)?;
    let prove = move |_: &Api<S>, at: &Snapshot<'_, S>| encoded(provider::absence(at, &request)?);
    answer("absence", api, prove).await
}

pub(super) async fn contact_monitor<S: Store>(State(api): ApiState<S>, body: Body) -> Answer {
    let request = decode::<ContactMonitorRequest>(body)?;
    let prove =
        move |_: &Api<S>, at: &Snapshot<'_, S>| encoded(provider::contact_monitor(at, &request)?);
    answer("contact-monitor", api, prove).await
}

pub(super) async fn owner_init<S: Store>(State(api): ApiState<S>, body: Body) -> Answer {
    let request = decode::<OwnerInitRequest>(body)?;
    answer("owner-init", api, move |_, at| {
        encoded(provider::owner_init(at, &request)?)
    })
    .await
}

pub(super) async fn owner_monitor<S: Store>(State(api): ApiState<S>, body: Body) -> Answer {
    let request = decode::<OwnerMonitorRequest>(body)?;
    let prove = move |api: &Api<S>, at: &Snapshot<'_, S>| {
        encoded(provider::owner_monitor(
            at,
            &request,
            api.owner_monitor_limit,
        )?)
    };
    answer("owner-monitor", api, prove).await
}

pub(super) async fn distinguished<S: Store>(State(api): ApiState<S>, body: Body) -> Answer {
    let request = decode::<DistinguishedRequest>(body)?;
    let prove = move |_: &Api<S>, at: &Snapshot<'_, S>| {
        encoded(provider::distinguished(at, &request, RECENT)?)
    };
    answer("distinguished", api, prove).await
}

pub(super) async fn credential_update<S: Store>(State(api): ApiState<S>, body: Body) -> Answer {
    let request = decode::<CredentialUpdateRequest>(body)?;
    let prove =
        move |_: &Api<S>, at: &Snapshot<'_, S>| encoded(provider::credential_update(at, &request)?);
    answer("credential-update", api, prove).await
}

/// Several `UpdateResponse`s stand back to back in the answer.
pub(super) async fn update<S: Store>(
    State(api): ApiState<S>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let request = Arc::new(decode::<UpdateRequest>(body)?);
    let created = if request.values.is_empty() {
        None
    } else {
        let token = bearer(&headers);
        match api.updates.update(Arc::clone(&request), token).await? {
            Outcome::Created(position) => Some(position),
            Outcome::Behind => None,
        }
    };
    let prove = move |_: &Api<S>, at: &Snapshot<'_, S>| {
        let mut out = Vec::new();
        for response in provider::update(at, &request, created)? {
            out.extend(response.to_bytes()?);
        }
        Ok(out)
    };
    answer("update", api, prove).await
}

fn bearer(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = Zeroizing::new(token.trim().to_owned());
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn decode<T: Decode<()>>(body: Body) -> Result<T, Problem> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            Code::TooLarge,
            "the request body is larger than this directory takes",
        ),
        _ => Problem::new(
            Code::MalformedRequest,
            "the request body did not arrive whole",
        ),
    })?;
    Ok(T::from_bytes(&body, &())?)
}

fn encoded(response: impl Encode) -> Result<Vec<u8>, DirectoryError> {
    Ok(response.to_bytes()?)
}

/// Proves off the async threads, at the head published now.
async fn answer<S: Store>(
    operation: &'static str,
    api: Arc<Api<S>>,
    prove: impl FnOnce(&Api<S>, &Snapshot<'_, S>) -> Result<Vec<u8>, DirectoryError> + Send + 'static,
) -> Answer {
    let started = Instant::now();
    let proved = tokio::task::spawn_blocking(move || {
        let snapshot = api.shared.snapshot()?;
        prove(&api, &snapshot)
    });
    let bytes = proved.await.map_err(join_error)??;
    let seconds = started.elapsed().as_secs_f64();
    metrics::histogram!("overt_request_seconds", "operation" => operation).record(seconds);
    metrics::histogram!("overt_response_bytes", "operation" => operation)
        .record(bytes.len() as f64);
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
