//! Who may write.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::PostgresStore;
use crate::store::StoreError;

/// The right to write, for a while. The database's clock counts, and the epoch decides.
pub struct Lease {
    store: PostgresStore,
    epoch: i64,
    term: Duration,
}

impl Lease {
    /// Takes the lease if nobody has it; `holder` is for people.
    pub async fn take(
        store: &PostgresStore,
        holder: &str,
        term: Duration,
    ) -> Result<Option<Self>, StoreError> {
        let client = store.client().await?;
        let row = client
            .query_opt(
                "UPDATE lease SET epoch = epoch + 1, holder = $1,
                     until = now() + $2::float8 * interval '1 second'
                 WHERE until < now() RETURNING epoch",
                &[&holder, &term.as_secs_f64()],
            )
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let epoch = row.get(0);
        store.epoch.store(epoch, Ordering::Release);
        let store = store.clone();
        Ok(Some(Self { store, epoch, term }))
    }

    /// Which election this was.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Renews the lease for as long as it can; completes when another process took it.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(self.term / 3).await;
            match self.renew().await {
                Ok(true) => {}
                Ok(false) => return,
                // Nobody else can take it from a database that nobody reaches. If somebody can, the
                // epoch tells.
                Err(error) => tracing::warn!(%error, "the lease is not renewed just now"),
            }
        }
    }

    /// Renews it now; false if another process took it.
    pub async fn renew(&self) -> Result<bool, StoreError> {
        let client = self.store.client().await?;
        let renewed = client
            .execute(
                "UPDATE lease SET until = now() + $2::float8 * interval '1 second'
                 WHERE epoch = $1",
                &[&self.epoch, &self.term.as_secs_f64()],
            )
            .await?;
        Ok(renewed == 1)
    }

    /// Gives the lease back, so that nobody has to wait for its end.
    pub async fn give_back(&self) -> Result<(), StoreError> {
        let client = self.store.client().await?;
        let sql = "UPDATE lease SET until = now() - interval '1 second' WHERE epoch = $1";
        client.execute(sql, &[&self.epoch]).await?;
        Ok(())
    }
}

impl Drop for Lease {
    /// Nothing is written without a lease, even if nobody else has taken it.
    fn drop(&mut self) {
        self.store.epoch.store(0, Ordering::Release);
    }
}
