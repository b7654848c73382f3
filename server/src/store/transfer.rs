//! Moving a directory from one engine to the other, row by row. Both have the same tables; what is
//! moved is all or nothing, and compared at the end. The old place is marked before the new one exists,
//! and refuses to start from then on: a log that went on in two places would be forked.

use futures_util::{TryStreamExt, pin_mut};
use overt_protocol::log_tree::{append_leaf, leaf_value, root_of_full_subtrees};
use overt_protocol::wire::HashValue;
use rusqlite::types::Value;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{IsolationLevel, Row};

use super::{PostgresStore, Reader, SqliteStore, Store, StoreError};

/// What a column holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Bytes,
}

use Kind::{Bytes, Integer, Text};

/// A table that both engines have.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
}

const TABLES: [Table; 12] = [
    Table {
        name: "meta",
        columns: &[("key", Text), ("value", Bytes)],
    },
    Table {
        name: "head",
        columns: &[("one", Integer), ("tree_size", Integer), ("tip", Bytes)],
    },
    Table {
        name: "signed_head",
        columns: &[
            ("one", Integer),
            ("tree_size", Integer),
            ("signature", Bytes),
        ],
    },
    Table {
        name: "published",
        columns: &[
            ("one", Integer),
            ("tree_size", Integer),
            ("signature", Bytes),
            ("checkpoint", Bytes),
        ],
    },
    Table {
        name: "auditor_head",
        columns: &[("one", Integer), ("head", Bytes)],
    },
    Table {
        name: "log_entry",
        columns: &[
            ("position", Integer),
            ("entry", Bytes),
            ("prefix_root", Integer),
            ("next_leaf", Integer),
            ("removed", Bytes),
        ],
    },
    Table {
        name: "log_node",
        columns: &[("number", Integer), ("value", Bytes)],
    },
    Table {
        name: "page",
        columns: &[("first", Integer), ("records", Bytes)],
    },
    Table {
        name: "leaf",
        columns: &[
            ("id", Integer),
            ("position", Integer),
            ("leaf", Bytes),
            ("label", Bytes),
            ("version", Integer),
            ("removed", Integer),
            ("opening", Bytes),
            ("value", Bytes),
            ("signature", Bytes),
        ],
    },
    Table {
        name: "head_node",
        columns: &[("level", Integer), ("number", Integer), ("hash", Bytes)],
    },
    Table {
        name: "promise",
        columns: &[
            ("number", Integer),
            ("label", Bytes),
            ("version", Integer),
            ("opening", Bytes),
            ("value", Bytes),
        ],
    },
    Table {
        name: "deleted",
        columns: &[("leaf", Integer), ("at", Integer)],
    },
];

impl Table {
    fn select(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let rows = match self.name {
            // What SQLite knows labels by stays there.
            "meta" => format!(" WHERE key NOT IN ('{MOVED}', 'label_key', 'label_turn')"),
            _ => String::new(),
        };
        format!("SELECT {} FROM {}{rows}", columns.join(", "), self.name)
    }

    fn count(&self) -> String {
        format!("SELECT count(*) FROM {}", self.name)
    }

    fn insert(&self) -> String {
        let places: Vec<_> = (1..=self.columns.len()).map(|n| format!("?{n}")).collect();
        format!("INSERT INTO {} VALUES ({})", self.name, places.join(", "))
    }

    fn types(&self) -> Vec<Type> {
        let kinds = self.columns.iter().map(|(_, kind)| match kind {
            Text => Type::TEXT,
            Integer => Type::INT8,
            Bytes => Type::BYTEA,
        });
        kinds.collect()
    }
}

/// Marks a directory that was moved, or was about to be.
const MOVED: &str = "moved";

/// Where a directory was moved to, if it was.
pub fn moved_to(store: &impl Store) -> Result<Option<String>, StoreError> {
    let mark = store.meta(MOVED)?;
    Ok(mark.map(|place| String::from_utf8_lossy(&place).into_owned()))
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
    /// Log entries.
    pub tree_size: u64,
    /// The root of the log tree, computed anew from what was stored in the new place.
    pub root: HashValue,
}

/// Moves a directory into a database, which must be empty and whose lease this process has. `progress`
/// is told how many rows of how many are there.
pub fn to_postgres(
    from: &SqliteStore,
    to: &PostgresStore,
    mut progress: impl FnMut(u64, u64),
) -> Result<Moved, StoreError> {
    begin(from, to, "a database")?;
    let source = from.writer();
    let mut total = 0u64;
    for table in &TABLES {
        let rows: i64 = source.query_row(&table.count(), [], |row| row.get(0))?;
        total = total.saturating_add(rows.unsigned_abs());
    }
    let mut done = 0;
    to.write(async |tx| {
        for table in &TABLES {
            let sql = format!("COPY {} FROM STDIN BINARY", table.name);
            let types = table.types();
            let writer = BinaryCopyInWriter::new(tx.copy_in(&sql).await?, &types);
            pin_mut!(writer);
            let mut select = source.prepare(&table.select())?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let values = (0..types.len()).map(|n| Ok(cell(row.get(n)?, types.get(n))));
                let values: Vec<Box<dyn ToSql + Sync + Send>> =
                    values.collect::<Result<_, rusqlite::Error>>()?;
                let values = values.iter().map(|value| &**value as &(dyn ToSql + Sync));
                writer.as_mut().write_raw(values).await?;
                done += 1;
                progress(done, total);
            }
            writer.finish().await?;
        }
        Ok(())
    })?;
    drop(source);
    compare(from, to, done)
}

/// A cell as PostgreSQL takes it.
fn cell(value: Value, kind: Option<&Type>) -> Box<dyn ToSql + Sync + Send> {
    match value {
        Value::Integer(value) => Box::new(value),
        Value::Text(value) => Box::new(value),
        Value::Blob(value) => Box::new(value),
        Value::Real(_) | Value::Null => match kind {
            Some(&Type::INT8) => Box::new(None::<i64>),
            Some(&Type::TEXT) => Box::new(None::<String>),
            _ => Box::new(None::<Vec<u8>>),
        },
    }
}

/// Moves a directory out of a database, whose lease this process has, into a new file.
pub fn to_sqlite(
    from: &PostgresStore,
    to: &SqliteStore,
    mut progress: impl FnMut(u64, u64),
) -> Result<Moved, StoreError> {
    begin(from, to, "a file")?;
    let mut target = to.writer();
    let mut done = 0;
    from.wait(async {
        let mut client = from.client().await?;
        let tx = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let mut total = 0u64;
        for table in &TABLES {
            let rows: i64 = tx.query_one(&table.count(), &[]).await?.get(0);
            total = total.saturating_add(rows.unsigned_abs());
        }
        let written = target.transaction()?;
        for table in &TABLES {
            let mut insert = written.prepare(&table.insert())?;
            let none: [&(dyn ToSql + Sync); 0] = [];
            let rows = tx.query_raw(&table.select(), none).await?;
            pin_mut!(rows);
            while let Some(row) = rows.try_next().await? {
                let values = table.columns.iter().enumerate();
                let values = values.map(|(n, (_, kind))| value(&row, n, *kind));
                insert.execute(rusqlite::params_from_iter(values))?;
                done += 1;
                progress(done, total);
            }
        }
        to.index_labels(&written)?;
        Ok::<_, StoreError>(written.commit()?)
    })?;
    drop(target);
    compare(from, to, done)
}

/// A cell as SQLite takes it.
fn value(row: &Row, column: usize, kind: Kind) -> Value {
    let value = match kind {
        Text => row.get::<_, Option<String>>(column).map(Value::Text),
        Integer => row.get::<_, Option<i64>>(column).map(Value::Integer),
        Bytes => row.get::<_, Option<Vec<u8>>>(column).map(Value::Blob),
    };
    value.unwrap_or(Value::Null)
}

/// Checks that there is something to move and that nothing is overwritten, and marks the old place.
fn begin(from: &impl Store, to: &impl Store, place: &str) -> Result<(), StoreError> {
    let wrong = |what: &str| Err(StoreError::Damaged(what.to_owned()));
    if from.tip()?.is_none() {
        return wrong("there is no directory to move");
    }
    if to.tip()?.is_some() || to.meta("configuration")?.is_some() {
        return wrong("there is a directory already where this one should go; it is left as it is");
    }
    from.put_meta(MOVED, place.as_bytes())
}

/// That both hold one log: the same head, whose root follows from the log entries in the new place.
fn compare(from: &impl Store, to: &impl Store, rows: u64) -> Result<Moved, StoreError> {
    let differs = |what: &str| StoreError::Damaged(format!("{what} differs after the move"));
    let (old, new) = (from.tip()?, to.tip()?);
    if old != new || from.signed_head()? != to.signed_head()? {
        return Err(differs("the head"));
    }
    let tip = new.ok_or_else(|| differs("the head"))?;
    let (old, new) = (from.reader()?, to.reader()?);
    let mut heads = Vec::new();
    for position in 0..tip.size {
        let entry = new.log_entry(position)?;
        if entry != old.log_entry(position)? {
            return Err(differs("a log entry"));
        }
        let (entry, _) = entry.ok_or_else(|| differs("a log entry"))?;
        (heads, _) = append_leaf(position, &heads, leaf_value(&entry));
    }
    let root = root_of_full_subtrees(tip.size, &heads);
    match root {
        Some(root) if Some(root) == tip.root() => Ok(Moved {
            rows,
            tree_size: tip.size,
            root,
        }),
        _ => Err(differs("the root of the log tree")),
    }
}
