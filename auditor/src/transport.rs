//! How others are reached. Handed in, so that days of an auditor can pass within a test.

use std::time::Duration;

use axum::http::{Request, Response};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};

/// The pieces of an answer's body, as they come.
pub type Pieces = BoxStream<'static, anyhow::Result<Vec<u8>>>;

/// Carries a request to its address, and the answer back. What comes is untrusted.
pub trait Transport: Send + Sync {
    /// Sends a request.
    fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> BoxFuture<'static, anyhow::Result<Response<Pieces>>>;
}

/// Over HTTP, bounded in time; redirections are not followed.
#[derive(Debug, Clone)]
pub struct Http(reqwest::Client);

impl Http {
    /// With connections of its own, through a proxy if there is one.
    pub fn new(proxy: Option<&str>) -> reqwest::Result<Self> {
        let mut builder = reqwest::Client::builder();
        if let Some(proxy) = proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy)?);
        }
        let http = builder
            .user_agent(concat!("overt-auditor/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self(http))
    }
}

impl Transport for Http {
    fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> BoxFuture<'static, anyhow::Result<Response<Pieces>>> {
        let http = self.0.clone();
        Box::pin(async move {
            let answer = http.execute(request.try_into()?).await?;
            let status = answer.status();
            let pieces = stream::try_unfold(answer, async |mut answer| {
                let piece = answer.chunk().await?;
                Ok(piece.map(|piece| (piece.to_vec(), answer)))
            });
            Ok(Response::builder().status(status).body(pieces.boxed())?)
        })
    }
}
