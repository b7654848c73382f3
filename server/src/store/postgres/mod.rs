//! The engine for several machines: PostgreSQL, or a database compatible with it.
//!
//! One sequencer writes. It is elected by a lease, and fenced: every transaction that writes first
//! locks the row with the epoch of its election, so that one who was paused while another took over
//! can never commit again, whatever its clock says. Readers need no lease.

mod lease;
mod reader;
mod write;

pub use lease::Lease;
pub use reader::PostgresReader;

use std::future::poll_fn;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Transaction};
use overt_protocol::prefix_tree::Dropped;
use overt_protocol::provider::{LeafId, Tip};
use overt_protocol::wire::TreeHead;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, IsolationLevel, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::head_log::HeadNode;
use crate::store::rows::{damaged, decode_tip, integer};
use crate::store::{Batch, Promise, Published, Retained, Store, StoreError};

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: i64 = 2;
/// Connections of one process.
const CONNECTIONS: usize = 16;
/// How long a connection may take to be made, or to become free.
const PATIENCE: Duration = Duration::from_secs(10);
/// The channel on which readers hear of new heads.
const CHANNEL: &str = "overt_head";

/// A store in PostgreSQL. Clones share connections and the lease.
#[derive(Clone)]
pub struct PostgresStore {
    config: Config,
    tls: MakeRustlsConnect,
    pool: Pool,
    runtime: Waiting,
    /// The epoch of this process's lease; 0 without one.
    epoch: Arc<AtomicI64>,
}

/// Where a caller waits for the database.
#[derive(Clone)]
enum Waiting {
    Shared(Handle),
    Own(Arc<Runtime>),
}

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

impl PostgresStore {
    /// Connects to a database, such as `postgres://overt@127.0.0.1/overt`, and makes its tables if it
    /// has none.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let mut config = Config::from_str(url)?;
        config.connect_timeout(PATIENCE);
        let manager = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let tls = tls()?;
        let manager = Manager::from_config(config.clone(), tls.clone(), manager);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .build()
            .map_err(pool_error)?;
        let runtime = match Handle::try_current() {
            Ok(handle) => Waiting::Shared(handle),
            Err(_) => Waiting::Own(Arc::new(Runtime::new().map_err(pool_error)?)),
        };
        let store = Self {
            config,
            tls,
            pool,
            runtime,
            epoch: Arc::new(AtomicI64::new(0)),
        };
        store.wait(store.prepare())?;
        Ok(store)
    }

    /// Makes the tables, once, whoever comes first.
    async fn prepare(&self) -> Result<(), StoreError> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        tx.execute("SELECT pg_advisory_xact_lock(1330672740)", &[])
            .await?;
        let known: Option<String> = tx
            .query_one("SELECT to_regclass('schema_version')::text", &[])
            .await?
            .get(0);
        if known.is_none() {
            tx.batch_execute(SCHEMA).await?;
        }
        let version: i64 = tx
            .query_one("SELECT max(version) FROM schema_version", &[])
            .await?
            .get(0);
        if version != SCHEMA_VERSION {
            return Err(StoreError::Damaged(format!(
                "the database has schema version {version}, this program knows {SCHEMA_VERSION}"
            )));
        }
        Ok(tx.commit().await?)
    }

    /// Waits for the database, on whatever thread.
    pub(super) fn wait<T>(&self, done: impl Future<Output = T>) -> T {
        let handle = match &self.runtime {
            Waiting::Shared(handle) => handle,
            Waiting::Own(runtime) => runtime.handle(),
        };
        match Handle::try_current() {
            Ok(_) => tokio::task::block_in_place(|| handle.block_on(done)),
            Err(_) => handle.block_on(done),
        }
    }

    pub(super) async fn client(&self) -> Result<Object, StoreError> {
        self.pool.get().await.map_err(pool_error)
    }

    /// One row at most.
    fn one(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, StoreError> {
        self.wait(async {
            let client = self.client().await?;
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query_opt(&statement, params).await?)
        })
    }

    fn all(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, StoreError> {
        self.wait(async {
            let client = self.client().await?;
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query(&statement, params).await?)
        })
    }

    /// Writes with one statement.
    fn execute(&self, sql: &str, params: Params<'_>) -> Result<(), StoreError> {
        self.write(async |tx| {
            let statement = tx.prepare_cached(sql).await?;
            tx.execute(&statement, params).await?;
            Ok(())
        })
    }

    /// Writes, if this process is the sequencer, and all or nothing.
    pub(super) fn write<T>(
        &self,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(async |tx| {
            self.fence(tx).await?;
            work(tx).await
        })
    }

    /// All or nothing.
    fn transaction<T>(
        &self,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.wait(async {
            let mut client = self.client().await?;
            let tx = client.build_transaction();
            let tx = tx.isolation_level(IsolationLevel::ReadCommitted);
            let tx = tx.start().await?;
            let done = work(&tx).await?;
            tx.commit().await?;
            Ok(done)
        })
    }

    /// The versions of a label whose values are there, or whether one is.
    pub fn values_of(&self, label: &[u8], version: Option<u32>) -> Result<Vec<u32>, StoreError> {
        let found = self.wait(async {
            let client = self.client().await?;
            write::values_of(&client, label, version).await
        })?;
        Ok(found.into_iter().map(|(version, _)| version).collect())
    }

    /// Holds the lease's row until the end of the transaction: nobody takes over meanwhile.
    async fn fence(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let sql = "SELECT 1 FROM lease WHERE epoch = $1 FOR SHARE";
        let statement = tx.prepare_cached(sql).await?;
        match tx.query_opt(&statement, &[&epoch]).await? {
            Some(_) if epoch > 0 => Ok(()),
            _ => Err(StoreError::Fenced),
        }
    }

    /// Hears of published heads.
    pub async fn heads(&self) -> Result<Heads, StoreError> {
        let (client, mut connection) = self.config.connect(self.tls.clone()).await?;
        let (sender, changed) = watch::channel(0);
        tokio::spawn(async move {
            while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {
                sender.send_modify(|n: &mut u64| *n = n.wrapping_add(1));
            }
        });
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(Heads {
            changed,
            _client: client,
        })
    }
}

/// A connection on which the database says that a head was published.
pub struct Heads {
    changed: watch::Receiver<u64>,
    _client: Client,
}

impl Heads {
    /// Waits for the next one; an error means that there will be none over this connection.
    pub async fn next(&mut self) -> Result<(), watch::error::RecvError> {
        self.changed.changed().await
    }
}

/// TLS with the machine's roots; whether it is used, and must be, is for `sslmode` in the URL. A
/// certificate that does not verify is never accepted.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(pool_error)?
        .with_platform_verifier()
        .map_err(pool_error)?
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn pool_error(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unreachable(error.to_string())
}

impl Store for PostgresStore {
    type Reader<'s> = PostgresReader<'s>;

    fn reader(&self) -> Result<PostgresReader<'_>, StoreError> {
        let client = self.wait(self.client())?;
        Ok(PostgresReader::new(self, client))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn tip(&self) -> Result<Option<Tip>, StoreError> {
        let row = self.one("SELECT tip FROM head", &[])?;
        row.map(|row| decode_tip(row.get(0)).map_err(damaged("head")))
            .transpose()
    }

    fn commit(&self, before: &Tip, batch: &Batch) -> Result<(), StoreError> {
        self.write(async |tx| write::commit(tx, before, batch).await)
    }

    fn signed_head(&self) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let row = self.one("SELECT tree_size, signature FROM signed_head", &[])?;
        Ok(row.map(|row| (row.get::<_, i64>(0).unsigned_abs(), row.get(1))))
    }

    fn put_signed_head(&self, size: u64, signature: &[u8]) -> Result<(), StoreError> {
        let size = integer(size)?;
        self.execute(
            "INSERT INTO signed_head VALUES (1, $1, $2) ON CONFLICT (one) DO UPDATE
             SET tree_size = excluded.tree_size, signature = excluded.signature
             WHERE excluded.tree_size > signed_head.tree_size",
            &[&size, &signature],
        )
    }

    fn published(&self) -> Result<Option<Published>, StoreError> {
        let row = self.one(
            "SELECT tree_size, signature, checkpoint FROM published",
            &[],
        )?;
        Ok(row.map(|row| Published {
            head: TreeHead {
                tree_size: row.get::<_, i64>(0).unsigned_abs(),
                signature: row.get(1),
            },
            checkpoint: row.get(2),
        }))
    }

    fn put_published(&self, published: Option<&Published>) -> Result<(), StoreError> {
        let Some(Published { head, checkpoint }) = published else {
            return self.execute("DELETE FROM published", &[]);
        };
        let size = integer(head.tree_size)?;
        self.write(async |tx| {
            tx.execute(
                "INSERT INTO published VALUES (1, $1, $2, $3) ON CONFLICT (one) DO UPDATE
                 SET tree_size = excluded.tree_size, signature = excluded.signature,
                     checkpoint = excluded.checkpoint
                 WHERE excluded.tree_size > published.tree_size",
                &[&size, &head.signature, checkpoint],
            )
            .await?;
            tx.batch_execute(&format!("NOTIFY {CHANNEL}")).await?;
            Ok(())
        })
    }

    fn delete(&self, label: &[u8], version: Option<u32>, now: u64) -> Result<Vec<u32>, StoreError> {
        let now = integer(now)?;
        // No head depends on it, so it needs no lease, while a sequencer runs or not.
        self.transaction(async |tx| write::delete(tx, label, version, now).await)
    }

    fn auditor_head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.one("SELECT head FROM auditor_head", &[])?;
        Ok(row.map(|row| row.get(0)))
    }

    fn put_auditor_head(&self, head: &[u8]) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO auditor_head VALUES (1, $1)
             ON CONFLICT (one) DO UPDATE SET head = excluded.head",
            &[&head],
        )
    }

    fn put_head_nodes(&self, nodes: &[HeadNode]) -> Result<(), StoreError> {
        self.write(async |tx| write::put_head_nodes(tx, nodes).await)
    }

    fn promise(&self, promises: &[Promise]) -> Result<(), StoreError> {
        self.write(async |tx| write::promise(tx, promises).await)
    }

    fn promises(&self) -> Result<Vec<Promise>, StoreError> {
        let sql = "SELECT label, version, opening, value FROM promise ORDER BY number";
        let rows = self.all(sql, &[])?;
        rows.iter()
            .map(|row| {
                Ok(Promise {
                    label: row.get(0),
                    version: version(row.get(1))?,
                    opening: array(row.get(2))?,
                    value: row.get(3),
                })
            })
            .collect()
    }

    fn retention(&self) -> Result<Retained, StoreError> {
        let number = |key: &str| {
            let stored = self.meta(key)?;
            let stored = stored.map(|bytes| array(&bytes)).transpose()?;
            Ok::<_, StoreError>(stored.map_or(0, u64::from_be_bytes))
        };
        Ok(Retained {
            swept: number("swept")?,
            dropped: number("dropped")?,
        })
    }

    fn drop_versions(
        &self,
        dropped: u64,
        pages: &Dropped,
        leaves: &[LeafId],
    ) -> Result<(), StoreError> {
        self.write(async |tx| write::drop_versions(tx, dropped, pages, leaves).await)
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.one("SELECT value FROM meta WHERE key = $1", &[&key])?;
        Ok(row.map(|row| row.get(0)))
    }

    fn put_meta(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
            &[&key, &value],
        )
    }
}

/// A stored value of fixed length.
fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes
        .try_into()
        .map_err(damaged("a value of another length"))
}

fn version(stored: i64) -> Result<u32, StoreError> {
    u32::try_from(stored).map_err(damaged("version"))
}
