//! Databases of a PostgreSQL server that `tests/with-postgres` started.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use overt_protocol::suite::sha256;
use tokio_postgres::NoTls;

/// The URL of the database that goes with a data directory; made when it is first asked for.
///
/// # Errors
/// If there is no server.
pub fn database(data_dir: &Path) -> anyhow::Result<String> {
    let server = std::env::var("OVERT_TEST_POSTGRES");
    let server = server.context("PostgreSQL is needed: run this with tests/with-postgres")?;
    let hash = sha256(&[data_dir.as_os_str().as_encoded_bytes()]);
    let (short, _) = hash.split_at(12);
    let name = format!("overt_{}", hex::encode(short));
    let url = format!("{server}/{name}");
    // A thread of its own, since callers may be async.
    let made = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        runtime.block_on(make(&format!("{server}/postgres"), &name))
    });
    made.join().ok().context("a panic")??;
    Ok(url)
}

async fn make(server: &str, name: &str) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await?;
    let connection = tokio::spawn(connection);
    let known = client
        .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
        .await?;
    if known.is_none() {
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await?;
    }
    drop(client);
    Ok(connection.await??)
}

/// Restarts the PostgreSQL server, without letting anybody finish.
pub fn restart_database() -> anyhow::Result<()> {
    let command = std::env::var("OVERT_TEST_PG_CTL");
    let command = command.context("PostgreSQL is needed: run this with tests/with-postgres")?;
    let mut words = command.split_whitespace();
    let restarted = Command::new(words.next().context("no command")?)
        .args(words)
        .args(["-m", "immediate", "restart"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(restarted.success(), "{restarted}");
    Ok(())
}
