//! Starting and stopping the directory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use overt_protocol::clock::SystemClock;

use crate::config::Settings;
use crate::fleet;
use crate::open::{Ready, World, open};
use crate::publish::transport::Http;

/// Runs until `stop` completes; everything accepted by then is durable and answered.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let world = World {
        metrics: recorder()?,
        clock: Arc::new(SystemClock),
        transport: Arc::new(Http::new(settings.witness_timeout)?),
    };
    if let Some(url) = settings.database_url.clone() {
        return fleet::run(settings, &url, world, stop).await;
    }
    let Ready {
        app,
        updates,
        mut writer,
        _background,
        _lock,
    } = open(&settings, world).await?.0;
    drop(updates);
    let failed = serve(&settings, app, async {
        tokio::select! {
            () = stop => None,
            ended = &mut writer => Some(ended),
        }
    })
    .await?;
    match failed {
        Some(ended) => {
            ended?.context("the sequencer failed; no update was acknowledged that is not stored")?
        }
        // Requests under way were answered, which ended the queue, which ends the sequencer.
        None => writer.await??,
    }
    tracing::info!("stopped");
    Ok(())
}

/// A background task that ends with whoever holds this.
pub(crate) struct AbortOnDrop(pub(crate) tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Collects metrics. Samples of histograms are folded in every few seconds, scraped or not, so that
/// memory stays bounded.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    const SECONDS: [f64; 12] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
    ];
    const COUNTS: [f64; 9] = [
        1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0,
    ];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets(&COUNTS)?
        .install_recorder()
        .context("metrics")?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_secs(5));
        loop {
            every.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// Serves until `stop` completes and everything under way is answered.
pub(crate) async fn serve<T>(
    settings: &Settings,
    app: axum::Router,
    stop: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let listen = settings.listen;
    let listener = std::net::TcpListener::bind(listen)
        .with_context(|| format!("cannot listen on {listen}"))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let handle = Handle::<SocketAddr>::new();
    let header_timeout = settings.header_timeout;
    let service = app.into_make_service();
    let http: std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>> = match (
        &settings.tls_certificate,
        &settings.tls_key,
    ) {
        (Some(certificate), Some(key)) => {
            let tls = RustlsConfig::from_pem_file(certificate, key)
                .await
                .context("cannot use tls_certificate and tls_key")?;
            let mut server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle.clone());
            limit_headers(server.http_builder(), header_timeout);
            tracing::info!(url = %format!("https://{address}"), "listening");
            Box::pin(server.serve(service))
        }
        _ => {
            if !address.ip().is_loopback() {
                tracing::warn!(%address, "serving plain HTTP beyond this machine: set tls_certificate and tls_key, or put a TLS proxy in front");
            }
            let mut server = axum_server::from_tcp(listener)?.handle(handle.clone());
            limit_headers(server.http_builder(), header_timeout);
            tracing::info!(url = %format!("http://{address}"), "listening");
            Box::pin(server.serve(service))
        }
    };
    let http = tokio::spawn(http);
    let stopped = stop.await;
    handle.graceful_shutdown(Some(settings.request_timeout));
    http.await??;
    Ok(stopped)
}

fn limit_headers(
    builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>,
    timeout: Duration,
) {
    builder
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(timeout);
    builder
        .http2()
        .timer(hyper_util::rt::TokioTimer::new())
        .keep_alive_interval(timeout);
}
