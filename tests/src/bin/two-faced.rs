//! A directory with two faces: behind it stand two with the same keys, and who asks decides which
//! of them answers.
//!
//! `two-faced URL-OF-ONE URL-OF-THE-OTHER RULE`; the rule is `by-token` (strangers, who have none,
//! see the other), `by-address` (all but 127.0.0.1 see the other), `by-time` (everybody sees the
//! other after a `POST /turn`, and the one after the next) or `by-path` (the head log is the other's).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

#[derive(Clone, Copy)]
enum Rule {
    Token,
    Address,
    Time,
    Path,
}

struct TwoFaced {
    faces: [String; 2],
    rule: Rule,
    turned: AtomicBool,
    http: reqwest::Client,
}

impl TwoFaced {
    fn face(&self, peer: SocketAddr, headers: &HeaderMap, path: &str) -> &str {
        let shows_other = match self.rule {
            Rule::Token => !headers.contains_key(header::AUTHORIZATION),
            Rule::Address => peer.ip() != std::net::Ipv4Addr::LOCALHOST,
            Rule::Path => ["/checkpoint", "/tile/", "/tlog-proof/"]
                .iter()
                .any(|of_head_log| path.starts_with(of_head_log)),
            Rule::Time => self.turned.load(Ordering::SeqCst),
        };
        let [one, other] = &self.faces;
        if shows_other { other } else { one }
    }
}

async fn forward(
    State(directory): State<Arc<TwoFaced>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    (method, uri, headers): (Method, Uri, HeaderMap),
    body: Bytes,
) -> Response {
    let url = format!("{}{uri}", directory.face(peer, &headers, uri.path()));
    let mut request = directory.http.request(method, url).body(body);
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    match answer(request).await {
        Ok((status, kind, body)) => (status, [(header::CONTENT_TYPE, kind)], body).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, String, Bytes)> {
    let answer = request.send().await?;
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("application/octet-stream").to_owned();
    Ok((answer.status(), kind, answer.bytes().await?))
}

async fn turn(State(directory): State<Arc<TwoFaced>>) {
    directory.turned.fetch_xor(true, Ordering::SeqCst);
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [one, other, rule] = arguments.as_slice() else {
        bail!("expected two addresses and a rule");
    };
    let rule = match rule.as_str() {
        "by-token" => Rule::Token,
        "by-address" => Rule::Address,
        "by-time" => Rule::Time,
        "by-path" => Rule::Path,
        _ => bail!("no such rule"),
    };
    let directory = Arc::new(TwoFaced {
        faces: [one.clone(), other.clone()],
        rule,
        turned: AtomicBool::new(false),
        http: reqwest::Client::builder().no_proxy().build()?,
    });
    let app = Router::new()
        .route("/turn", post(turn))
        .fallback(forward)
        .with_state(directory)
        .into_make_service_with_connect_info::<SocketAddr>();
    // All of 127.0.0.0/8, so that there are addresses to tell apart.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await.context("serving")
}
