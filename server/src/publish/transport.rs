//! How witnesses are reached. Handed in, so that days of a directory can pass within a test.

use std::time::Duration;

use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use overt_protocol::head_log::note::MAX_NOTE_LEN;
use reqwest::Url;
use thiserror::Error;

/// Why a witness gave no answer.
#[derive(Debug, Error)]
pub enum TransportError {
    /// It was not reached, or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// Whatever a witness sends, memory is bounded.
    #[error("its answer has more than {MAX_NOTE_LEN} bytes")]
    TooLong,
}

/// Carries a request to a witness, and its answer back.
pub trait Transport: Send + Sync {
    /// Posts a body. The body of the answer has at most [`MAX_NOTE_LEN`] bytes.
    fn post(
        &self,
        url: &Url,
        body: String,
    ) -> BoxFuture<'static, Result<(StatusCode, Vec<u8>), TransportError>>;
}

/// Over HTTP, with connections that are kept and redirections that are not followed.
#[derive(Debug, Clone)]
pub struct Http(reqwest::Client);

impl Http {
    /// Waits for an answer so long.
    pub fn new(timeout: Duration) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("overt-server/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .build()?;
        Ok(Self(http))
    }
}

impl Transport for Http {
    fn post(
        &self,
        url: &Url,
        body: String,
    ) -> BoxFuture<'static, Result<(StatusCode, Vec<u8>), TransportError>> {
        let request = self.0.post(url.clone()).body(body);
        Box::pin(async {
            let mut answer = request.send().await.map_err(unreachable)?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_NOTE_LEN {
                    return Err(TransportError::TooLong);
                }
            }
            Ok((answer.status(), body))
        })
    }
}

/// With its causes, which say more than the error itself.
fn unreachable(error: reqwest::Error) -> TransportError {
    TransportError::Unreachable(format!("{:#}", anyhow::Error::from(error)))
}
