//! How requests reach a directory. What comes back is untrusted bytes, whatever the transport.

use std::future::Future;
use std::time::Duration;

use overt_protocol::wire::Opening;
use serde::Deserialize;
use thiserror::Error;

/// No response of the protocol comes near this, in bytes.
const MAX_RESPONSE: usize = 16 << 20;
const MAX_PROBLEM: usize = 64 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An update waits for its batch and for cosignatures.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

const PREFER: &str = "prefer";
const OPENINGS: &str = "overt-openings";

/// Name and value of a request header.
type Header = (&'static str, String);

/// Carries bytes to a directory and back.
pub trait Transport: Send + Sync {
    /// Fetches a document.
    fn get(&self, path: &str) -> impl Future<Output = Result<Vec<u8>, TransportError>> + Send;

    /// Posts a request of the protocol.
    fn post(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, TransportError>> + Send;

    /// Posts a request about versions that were looked up once, as their commitment openings show
    /// (`Overt-Openings`, in `docs/extensions.md`); not all transports can say that.
    fn post_entitled(
        &self,
        path: &str,
        body: Vec<u8>,
        openings: &[Opening],
    ) -> impl Future<Output = Result<Vec<u8>, TransportError>> + Send {
        let _ = openings;
        self.post(path, body)
    }

    /// Posts an update, and would rather have a receipt than wait; not all transports and
    /// directories can do that.
    fn post_soon(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> impl Future<Output = Result<Posted, TransportError>> + Send {
        async { Ok(Posted::Done(self.post(path, body).await?)) }
    }

    /// Another server, such as an auditor's, as a stranger reaches it; not all transports lead there.
    fn elsewhere(&self, address: &str) -> Result<Self, TransportError>
    where
        Self: Sized,
    {
        Err(TransportError::Address(address.to_owned()))
    }

    /// The same directory as a stranger reaches it: with nothing that tells who asks, over
    /// connections that carry nothing else, and through an anonymous channel where there is one.
    fn anonymous(&self) -> Result<Self, TransportError>
    where
        Self: Sized;
}

/// What an update was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    /// The response.
    Done(Vec<u8>),
    /// Receipts.
    Promised(Vec<u8>),
}

impl Posted {
    fn into_body(self) -> Vec<u8> {
        match self {
            Self::Done(body) | Self::Promised(body) => body,
        }
    }
}

/// Why there is no response to verify.
#[derive(Debug, Clone, Error)]
pub enum TransportError {
    /// The address is not an http or https URL.
    #[error("not an http or https address: {0}")]
    Address(String),
    /// No connection, or it broke, or nothing came in time.
    #[error("the directory cannot be reached: {0}")]
    Unreachable(String),
    /// The directory declined.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The response is larger than any can be.
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
}

/// An RFC 9457 problem, from the directory or from something in front of it. Nothing in it is
/// proved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the directory answers {status} {code}: {title}{}{detail}", if detail.is_empty() { "" } else { ": " })]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code, such as `not-found`.
    pub code: String,
    /// For people.
    pub title: String,
    /// For people.
    pub detail: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProblemJson {
    code: String,
    title: String,
    detail: String,
}

impl Problem {
    fn new(status: u16, body: &[u8]) -> Self {
        let json: ProblemJson = serde_json::from_slice(body).unwrap_or_default();
        // Shown on terminals: no control characters, and not much of it.
        let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect();
        let code = match json.code.is_empty() {
            true => "no-code",
            false => &json.code,
        };
        Self {
            status,
            code: clean(code),
            title: clean(&json.title),
            detail: clean(&json.detail),
        }
    }
}

/// HTTP and HTTPS. Redirects are not followed: a directory has one address, which is pinned.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    base: String,
    http: reqwest::Client,
    token: Option<String>,
    /// For anonymous requests.
    proxy: Option<String>,
}

/// Brings an address to the one spelling that directories are remembered by.
pub fn normalize(address: &str) -> Result<String, TransportError> {
    let bad = || TransportError::Address(address.chars().take(200).collect());
    let url = reqwest::Url::parse(address).map_err(|_| bad())?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.host_str().is_some();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return Err(bad());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

impl HttpTransport {
    /// Talks to the directory at `address`, with a bearer `token` if it wants one.
    pub fn new(address: &str, token: Option<&str>) -> Result<Self, TransportError> {
        Self::build(address, token, None)
    }

    /// Like [`HttpTransport::new`], through a proxy such as `socks5h://127.0.0.1:9050`.
    pub fn proxied(
        address: &str,
        token: Option<&str>,
        proxy: &str,
    ) -> Result<Self, TransportError> {
        Self::build(address, token, Some(proxy))
    }

    /// Sends anonymous requests through this proxy, instead of the way that others take.
    pub fn with_anonymous_proxy(self, proxy: &str) -> Result<Self, TransportError> {
        through(proxy)?;
        Ok(Self {
            proxy: Some(proxy.to_owned()),
            ..self
        })
    }

    fn build(
        address: &str,
        token: Option<&str>,
        proxy: Option<&str>,
    ) -> Result<Self, TransportError> {
        let base = normalize(address)?;
        let mut builder = reqwest::Client::builder();
        if let Some(proxy) = proxy {
            builder = builder.proxy(through(proxy)?);
        }
        let http = builder
            .user_agent(concat!("overt/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .build()
            .map_err(|e| TransportError::Unreachable(reason(&e)))?;
        Ok(Self {
            base,
            http,
            token: token.map(str::to_owned),
            proxy: proxy.map(str::to_owned),
        })
    }

    /// Sends until there is an answer other than "try again later". Only requests that the
    /// directory cannot have acted on are repeated.
    async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Vec<u8>,
        header: Option<Header>,
    ) -> Result<Posted, TransportError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            let (error, wait) = match self
                .once(method.clone(), path, body.clone(), header.clone())
                .await
            {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            let Some(wait) = wait.filter(|_| attempt < ATTEMPTS) else {
                return Err(error);
            };
            tokio::time::sleep(wait.max(jitter(pause)).min(LONGEST_PAUSE)).await;
            pause *= 2;
            attempt += 1;
        }
    }

    /// The body, or why not, and in that case how long to wait at least before trying again, if
    /// that makes sense.
    async fn once(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Vec<u8>,
        header: Option<Header>,
    ) -> Result<Posted, (TransportError, Option<Duration>)> {
        let soon = header.as_ref().is_some_and(|(name, _)| *name == PREFER);
        let mut request = self.http.request(method.clone(), self.base.clone() + path);
        if method == reqwest::Method::POST {
            request = request
                .header("content-type", "application/octet-stream")
                .body(body);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|e| {
            let again = e.is_connect().then_some(Duration::ZERO);
            (TransportError::Unreachable(reason(&e)), again)
        })?;
        let status = response.status();
        let is_promise = soon && status.as_u16() == 202;
        if status.as_u16() == 200 || is_promise {
            let body = read(response, MAX_RESPONSE).await.map_err(|e| (e, None))?;
            return Ok(match is_promise {
                true => Posted::Promised(body),
                false => Posted::Done(body),
            });
        }
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs);
        let body = read(response, MAX_PROBLEM).await.unwrap_or_default();
        let problem = Problem::new(status.as_u16(), &body);
        let again = (status.as_u16() == 503).then_some(retry_after);
        Err((problem.into(), again))
    }
}

fn through(proxy: &str) -> Result<reqwest::Proxy, TransportError> {
    reqwest::Proxy::all(proxy)
        .map_err(|_| TransportError::Address(proxy.chars().take(200).collect()))
}

/// Half to all of `pause`, so that many clients do not come back at once.
fn jitter(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(0);
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

fn reason(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn read(mut response: reqwest::Response, limit: usize) -> Result<Vec<u8>, TransportError> {
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        match chunk.map_err(|e| TransportError::Unreachable(reason(&e)))? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > limit => {
                return Err(TransportError::TooLarge(limit));
            }
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}

impl Transport for HttpTransport {
    async fn get(&self, path: &str) -> Result<Vec<u8>, TransportError> {
        let done = self.send(reqwest::Method::GET, path, Vec::new(), None);
        done.await.map(Posted::into_body)
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let done = self.send(reqwest::Method::POST, path, body, None);
        done.await.map(Posted::into_body)
    }

    async fn post_entitled(
        &self,
        path: &str,
        body: Vec<u8>,
        openings: &[Opening],
    ) -> Result<Vec<u8>, TransportError> {
        let shown = hex::encode(openings.concat());
        let header = (!openings.is_empty()).then_some((OPENINGS, shown));
        let done = self.send(reqwest::Method::POST, path, body, header);
        done.await.map(Posted::into_body)
    }

    async fn post_soon(&self, path: &str, body: Vec<u8>) -> Result<Posted, TransportError> {
        let header = Some((PREFER, "respond-async".to_owned()));
        self.send(reqwest::Method::POST, path, body, header).await
    }

    fn elsewhere(&self, address: &str) -> Result<Self, TransportError> {
        Self::build(address, None, self.proxy.as_deref())
    }

    fn anonymous(&self) -> Result<Self, TransportError> {
        self.elsewhere(&self.base)
    }
}
