//! What auditors need: log entries to replay, the head to compare with, and a place for their own.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use overt_protocol::codec::{Decode, Encode};
use overt_protocol::log_tree::{full_subtrees, root_of_full_subtrees};
use overt_protocol::provider::{Directory, auditor_update};
use overt_protocol::suite::VerifyingKey;
use overt_protocol::wire::{AuditorTreeHead, AuditorTreeHeadTbs, DeploymentMode};
use serde::Deserialize;

use crate::directory::Snapshot;
use crate::error::DirectoryError;
use crate::http::problem::join_error;
use crate::http::{Api, Code, Problem};
use crate::store::Store;

/// At most so many log entries, and about so many bytes, in one answer.
const MAX_UPDATES: u64 = 1024;
const MAX_BYTES: usize = 4 << 20;

/// Where to go on.
#[derive(Debug, Deserialize)]
pub(super) struct From {
    from: u64,
}

/// `AuditorUpdate`s back to back, of the log entries from a position on; none if there are no more.
pub(super) async fn updates<S: Store>(
    State(api): State<Arc<Api<S>>>,
    Query(From { from }): Query<From>,
) -> Result<Response, Problem> {
    let made = tokio::task::spawn_blocking(move || {
        let at = api.shared.unaudited()?;
        let size = at.tree_head().tree_size;
        let mut out = Vec::new();
        for position in from..size.min(from.saturating_add(MAX_UPDATES)) {
            out.extend(auditor_update(&at, position)?.to_bytes()?);
            if out.len() > MAX_BYTES {
                break;
            }
        }
        Ok::<_, DirectoryError>(out)
    });
    let bytes = made.await.map_err(join_error)??;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// The newest `TreeHead`, which need not be published yet.
pub(super) async fn tree_head<S: Store>(
    State(api): State<Arc<Api<S>>>,
) -> Result<Response, Problem> {
    let head = api.shared.durable();
    let head = head.ok_or_else(|| Problem::new(Code::Unavailable, "the log is empty"))?;
    let bytes = head.to_bytes().map_err(DirectoryError::from)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// Takes the auditor's head, if it is the auditor's and of this log.
pub(super) async fn put_head<S: Store>(
    State(api): State<Arc<Api<S>>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let head = AuditorTreeHead::from_bytes(&body, &())?;
    let stored = tokio::task::spawn_blocking(move || {
        let at = api.shared.unaudited()?;
        check(&at, &head)?;
        let known = api.shared.auditor_head().map_or(0, |known| known.tree_size);
        let published = api.shared.published().map_or(0, |head| head.tree_size);
        // Late answers to earlier entries change nothing.
        if head.tree_size > published {
            api.shared.await_publication(head);
        } else if head.tree_size > known {
            let bytes = head.to_bytes().map_err(DirectoryError::from)?;
            let stored = api.shared.store.put_auditor_head(&bytes);
            stored.map_err(DirectoryError::from)?;
            metrics::gauge!("overt_auditor_tree_size").set(head.tree_size as f64);
            api.shared.publish_auditor_head(head);
        }
        Ok::<_, Problem>(())
    });
    stored.await.map_err(join_error)??;
    Ok(axum::http::StatusCode::NO_CONTENT.into_response())
}

fn check<S: Store>(at: &Snapshot<'_, S>, head: &AuditorTreeHead) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(Code::InvalidHead, detail));
    let config = at.config();
    let DeploymentMode::ThirdPartyAuditing {
        auditor_public_key, ..
    } = &config.mode
    else {
        return refuse("this directory is not deployed with a third-party auditor");
    };
    let size = head.tree_size;
    if size == 0 || size > at.tree_head().tree_size {
        return refuse("the log has no such tree size");
    }
    if at.log_entry(size.saturating_sub(1))?.timestamp != head.timestamp {
        return refuse("the timestamp is not that of the log entry");
    }
    let subtrees = full_subtrees(size)
        .into_iter()
        .map(|subtree| at.log_subtree(subtree))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(root) = root_of_full_subtrees(size, &subtrees) else {
        return refuse("the log has no such tree size");
    };
    let tbs = AuditorTreeHeadTbs {
        config,
        timestamp: head.timestamp,
        tree_size: size,
        root,
    };
    let tbs = tbs.to_bytes().map_err(DirectoryError::from)?;
    let key = VerifyingKey::from_bytes(config.ciphersuite, auditor_public_key);
    match key.map(|key| key.verify(&tbs, &head.signature)) {
        Ok(Ok(())) => Ok(()),
        _ => refuse("the signature is not the auditor's over the log of this size"),
    }
}
