//! What people and programs see of the auditor.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::config::Settings;
use crate::follow::now;
use crate::store::Store;

/// What the pages are made of.
#[derive(Debug)]
pub struct Status {
    /// The settings.
    pub settings: Settings,
    /// The memory.
    pub store: Arc<Store>,
}

impl Status {
    /// One object for each directory.
    pub fn json(&self) -> anyhow::Result<Value> {
        let mut out = Vec::new();
        for directory in &self.settings.directories {
            let record = self.store.record(&directory.url)?;
            out.push(match record {
                None => json!({"url": directory.url, "state": "not reached yet"}),
                Some(record) => json!({
                    "url": directory.url,
                    "state": match &record.refused {
                        Some(_) => "refused",
                        None => "followed",
                    },
                    "fingerprint": record.fingerprint,
                    "tree_size": record.state.size,
                    "timestamp_ms": record.state.timestamp,
                    "signed_size": record.head.as_ref().map(|head| head.tree_size),
                    "refused": record.refused,
                    "seen_ms_ago": now().saturating_sub(record.seen_at),
                }),
            });
        }
        Ok(Value::Array(out))
    }

    /// The same for people, without scripts.
    fn html(&self) -> anyhow::Result<String> {
        let mut rows = String::new();
        for directory in self.json()?.as_array().into_iter().flatten() {
            let text = |name: &str| match &directory[name] {
                Value::Null => "–".to_owned(),
                Value::String(text) => escape(text),
                other => other.to_string(),
            };
            let class = text("state");
            write!(
                rows,
                "<section class=\"{}\"><h2>{}</h2><dl><dt>state<dd>{}<dt>log entries replayed<dd>{}\
                 <dt>largest head signed<dd>{}<dt>answered<dd>{} ms ago<dt>fingerprint<dd>{}",
                class.split(' ').next().unwrap_or_default(),
                text("url"),
                text("state"),
                text("tree_size"),
                text("signed_size"),
                text("seen_ms_ago"),
                text("fingerprint"),
            )?;
            if !directory["refused"].is_null() {
                write!(
                    rows,
                    "<dt>REFUSED<dd>{}. This directory gave this auditor something that no honest \
                     log produces. Nothing more of it is signed.",
                    text("refused")
                )?;
            }
            rows.push_str("</dl></section>");
        }
        Ok(format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>Overt auditor</title>\
             <meta name=viewport content=\"width=device-width\"><style>body{{font-family:sans-serif;\
             max-width:50em;margin:auto;padding:1em}}dt{{font-weight:bold}}dd{{overflow-wrap:\
             anywhere}}.refused{{border-left:.5em solid #b00;padding-left:1em}}</style>\
             <h1>Overt auditor</h1>{rows}"
        ))
    }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// The pages.
pub fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/status.json", get(document))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(status)
}

async fn page(State(status): State<Arc<Status>>) -> Response {
    match status.html() {
        Ok(html) => Html(html).into_response(),
        Err(error) => failed(&error),
    }
}

async fn document(State(status): State<Arc<Status>>) -> Response {
    match status.json() {
        Ok(json) => (
            [(header::CONTENT_TYPE, "application/json")],
            json.to_string(),
        )
            .into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> Response {
    tracing::error!(error = format!("{error:#}"), "the status cannot be read");
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "the status cannot be read\n",
    )
        .into_response()
}
