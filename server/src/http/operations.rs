//! The draft's operations.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::distinguished::RECENT;
use overt_protocol::provider::{self, Directory, Refusal};
use overt_protocol::receipt::Promised;
use overt_protocol::wire::{
    AbsenceRequest, Configuration, ContactMonitorRequest, CredentialUpdateRequest, DeploymentMode,
    DistinguishedRequest, ManagerUpdateRequest, OwnerInitRequest, OwnerMonitorRequest,
    SearchRequest, UpdateRequest, UpdateValue,
};
use zeroize::Zeroizing;

use crate::access::are_openings;
use crate::directory::Snapshot;
use crate::error::DirectoryError;
use crate::http::problem::join_error;
use crate::http::{Api, Code, Problem};
use crate::sequencer::{Acknowledged, Outcome, Submission, UpdateError};
use crate::store::Store;

/// Shows that its sender looked versions up before: their commitment openings in hexadecimal, in the
/// order of the request's `entries`, then that of `greatest_version`.
const OPENINGS: HeaderName = HeaderName::from_static("overt-openings");

type Body = Result<Bytes, BytesRejection>;
type ApiState<S> = State<Arc<Api<S>>>;
type Answer = Result<Response, Problem>;

/// What a request carries to show that it is allowed.
pub(super) struct Caller {
    token: Option<Zeroizing<String>>,
    /// Commitment openings of versions that were looked up before, back to back.
    openings: Vec<u8>,
}

impl<T: Sync> FromRequestParts<T> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Result<Self, Infallible> {
        let openings = parts.headers.get(OPENINGS).and_then(|value| {
            let text = value.to_str().ok()?;
            hex::decode(text).ok()
        });
        Ok(Self {
            token: bearer(&parts.headers),
            openings: openings.unwrap_or_default(),
        })
    }
}

impl Caller {
    fn may_look_up<S: Store>(&self, api: &Api<S>) -> Result<(), DirectoryError> {
        let token = self.token.as_ref().map(|token| token.as_str());
        match api.lookups.allows(token) {
            true => Ok(()),
            false => Err(DirectoryError::NotAllowed),
        }
    }

    /// Whoever looked up these versions once may go on monitoring them.
    fn may_monitor<S: Store>(
        &self,
        (api, at): (&Api<S>, &Snapshot<'_, S>),
        label: &[u8],
        versions: impl Iterator<Item = u32>,
    ) -> Result<(), DirectoryError> {
        self.may_look_up(api).or_else(|refused| {
            let openings = versions.map(|version| Ok(at.value(label, version)?.0));
            match openings.collect::<Result<Vec<_>, DirectoryError>>() {
                Ok(openings) if are_openings(&self.openings, &openings) => Ok(()),
                // What does not exist, or is deleted, is refused like anything else.
                _ => Err(refused),
            }
        })
    }
}

pub(super) async fn search<S: Store>(
    State(api): ApiState<S>,
    caller: Caller,
    body: Body,
) -> Answer {
    caller.may_look_up(&api)?;
    let request = decode::<SearchRequest>(body)?;
    answer("search", api, move |_, at| {
        encoded(provider::search(at, &request)?)
    })
    .await
}

pub(super) async fn absence<S: Store>(
    State(api): ApiState<S>,
    caller: Caller,
    body: Body,
) -> Answer {
    caller.may_look_up(&api)?;
    if api.descriptor.path("absence").is_none() {
        return Err(crate::http::problem::not_found().await);
    }
    let request = decode::<AbsenceRequest>(body)?;
    let prove = move |_: &Api<S>, at: &Snapshot<'_, S>| encoded(provider::absence(at, &request)?);
    answer("absence", api, prove).await
}

pub(super) async fn contact_monitor<S: Store>(
    State(api): ApiState<S>,
    caller: Caller,
    body: Body,
) -> Answer {
    let request = decode::<ContactMonitorRequest>(body)?;
    let prove = move |api: &Api<S>, at: &Snapshot<'_, S>| {
        let versions = request.entries.iter().map(|entry| entry.version);
        caller.may_monitor((api, at), &request.label, versions)?;
        encoded(provider::contact_monitor(at, &request)?)
    };
    answer("contact-monitor", api, prove).await
}

pub(super) async fn owner_init<S: Store>(
    State(api): ApiState<S>,
    caller: Caller,
    body: Body,
) -> Answer {
    caller.may_look_up(&api)?;
    let request = decode::<OwnerInitRequest>(body)?;
    answer("owner-init", api, move |_, at| {
        encoded(provider::owner_init(at, &request)?)
    })
    .await
}

pub(super) async fn owner_monitor<S: Store>(
    State(api): ApiState<S>,
    caller: Caller,
    body: Body,
) -> Answer {
    let request = decode::<OwnerMonitorRequest>(body)?;
    let prove = move |api: &Api<S>, at: &Snapshot<'_, S>| {
        let versions = request.entries.iter().map(|entry| entry.version);
        let versions = versions.chain(request.greatest_version);
        caller.may_monitor((api, at), &request.label, versions)?;
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

pub(super) async fn credential_update<S: Store>(
    State(api): ApiState<S>,
    caller: Caller,
    body: Body,
) -> Answer {
    let request = decode::<CredentialUpdateRequest>(body)?;
    let prove = move |api: &Api<S>, at: &Snapshot<'_, S>| {
        let version = std::iter::once(request.entry.version);
        caller.may_monitor((api, at), &request.label, version)?;
        encoded(provider::credential_update(at, &request)?)
    };
    answer("credential-update", api, prove).await
}

/// Several `UpdateResponse`s stand back to back in the answer.
pub(super) async fn update<S: Store>(
    State(api): ApiState<S>,
    headers: HeaderMap,
    caller: Caller,
    body: Body,
) -> Answer {
    let (request, submission) = match api.shared.config.mode {
        DeploymentMode::ThirdPartyManagement { .. } => {
            from_operator(whole(body)?.as_ref(), &api.shared.config)?
        }
        _ => from_user(decode::<UpdateRequest>(body)?),
    };
    // Whoever learns of others' versions looks them up.
    let is_reader = caller.may_look_up(&api);
    let created = if request.values.is_empty() {
        None
    } else if api.gives_receipts && prefers_receipt(&headers) {
        let acknowledged = api.updates.promise(submission, caller.token).await?;
        if let Acknowledged::Promised(receipts) = acknowledged {
            return promised(&receipts);
        }
        None
    } else {
        let outcome = tokio::select! {
            biased;
            outcome = api.updates.update(submission, caller.token) => outcome?,
            () = api.shared.until_held() => return Err(UpdateError::Held.into()),
        };
        match outcome {
            Outcome::Created(position) => Some(position),
            Outcome::Behind => None,
        }
    };
    if created.is_none() {
        is_reader?;
    }
    let prove = move |_: &Api<S>, at: &Snapshot<'_, S>| {
        let mut out = Vec::new();
        for response in provider::update(at, &request, created)? {
            out.extend(response.to_bytes()?);
        }
        Ok(out)
    };
    answer("update", api, prove).await
}

/// RFC 7240, section 4.1: the client would rather not wait.
fn prefers_receipt(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter();
    let mut preferences = values
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','));
    preferences.any(|p| p.trim().eq_ignore_ascii_case("respond-async"))
}

/// Receipts back to back, one for each value.
fn promised(receipts: &[Promised]) -> Answer {
    let mut bytes = Vec::new();
    for receipt in receipts {
        bytes.extend(receipt.to_bytes().map_err(DirectoryError::from)?);
    }
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (
            HeaderName::from_static("preference-applied"),
            "respond-async",
        ),
    ];
    Ok((StatusCode::ACCEPTED, headers, bytes).into_response())
}

fn from_user(request: UpdateRequest) -> (UpdateRequest, Submission) {
    let unsigned = |value: &Vec<u8>| UpdateValue {
        value: value.clone(),
        signature: None,
    };
    let submission = Submission {
        label: request.label.clone(),
        greatest_version: request.greatest_version,
        values: request.values.iter().map(unsigned).collect(),
        signed_version: None,
    };
    (request, submission)
}

/// Section "Management": what the Service Operator forwards.
fn from_operator(
    body: &[u8],
    config: &Configuration,
) -> Result<(UpdateRequest, Submission), Problem> {
    let request = ManagerUpdateRequest::from_bytes(body, config)?;
    if request.values.is_empty() && request.signed_version != 0 {
        let detail = "signed_version must be zero without values";
        return Err(Problem::new(Code::MalformedRequest, detail));
    }
    let values = request.values.iter().map(|update| update.value.clone());
    let user = UpdateRequest {
        last: request.last,
        label: request.label.clone(),
        greatest_version: request.greatest_version,
        values: values.collect(),
    };
    let submission = Submission {
        label: request.label,
        greatest_version: request.greatest_version,
        values: request.values,
        signed_version: Some(request.signed_version),
    };
    Ok((user, submission))
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<Zeroizing<String>> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = Zeroizing::new(token.trim().to_owned());
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn decode<T: Decode<()>>(body: Body) -> Result<T, Problem> {
    Ok(T::from_bytes(&whole(body)?, &())?)
}

fn whole(body: Body) -> Result<Bytes, Problem> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            Code::TooLarge,
            "the request body is larger than this directory takes",
        ),
        _ => Problem::new(
            Code::MalformedRequest,
            "the request body did not arrive whole",
        ),
    })
}

fn encoded(response: impl Encode) -> Result<Vec<u8>, DirectoryError> {
    Ok(response.to_bytes()?)
}

/// Proves off the async threads, at the head published now.
async fn answer<S: Store>(
    operation: &'static str,
    api: Arc<Api<S>>,
    prove: impl Fn(&Api<S>, &Snapshot<'_, S>) -> Result<Vec<u8>, DirectoryError> + Send + Sync + 'static,
) -> Answer {
    let started = Instant::now();
    let prove = Arc::new(prove);
    let once = || {
        let (api, prove) = (Arc::clone(&api), Arc::clone(&prove));
        tokio::task::spawn_blocking(move || {
            let snapshot = api.shared.snapshot()?;
            prove(&api, &snapshot)
        })
    };
    let bytes = match once().await.map_err(join_error)? {
        Err(DirectoryError::Refusal(Refusal::LastAhead { last, .. }))
            if api.shared.reaches(last).await =>
        {
            once().await.map_err(join_error)??
        }
        proved => proved?,
    };
    let seconds = started.elapsed().as_secs_f64();
    metrics::histogram!("overt_request_seconds", "operation" => operation).record(seconds);
    metrics::histogram!("overt_response_bytes", "operation" => operation)
        .record(bytes.len() as f64);
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
