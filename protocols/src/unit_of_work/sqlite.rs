//! The store on SQLite.

use super::store::{
    Batch, Change, CommitError, Found, Lookup, Message, REMEMBERED_MAX, Rows, StoreError, Stored,
    TableStore, Waiting, Write,
};
use crate::specification::{Field, Kind, Row, Sql, Table, Value, quoted};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use rusqlite::{params_from_iter, types::FromSql};
use squall_env::Env;
use squall_env::platform::BoxFuture;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SqliteError {
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// Tables in a database of SQLite, which does its own I/O: this store never runs in the simulated
/// world. Each table has the columns of its fields, and two more,
/// `row_key` and `row_version`.
///
/// A commit is durable when it is answered: SQLite syncs its log at every commit
/// (`synchronous = FULL`), since with less a loss of power takes commits back.
#[derive(Clone)]
pub struct SqliteTables {
    env: Env,
    schema: &'static [Table],
    connection: Arc<Mutex<Connection>>,
}

/// What SQLite makes of something.
type Done<T> = rusqlite::Result<T>;

impl SqliteTables {
    /// Opens the database in a file, or makes it.
    ///
    /// # Errors
    /// If SQLite does not open it or the node has stopped.
    pub async fn open(
        env: &Env,
        file: &Path,
        schema: &'static [Table],
    ) -> Result<SqliteTables, SqliteError> {
        let file = file.to_owned();
        let opened = env.blocking(move || {
            let connection = Connection::open(file)?;
            prepare(&connection, schema)?;
            Done::Ok(connection)
        });
        let connection = opened.await.map_err(|_| SqliteError::Stopped)??;
        Ok(SqliteTables { env: env.clone(), schema, connection: Arc::new(Mutex::new(connection)) })
    }

    /// Does something with the database, beside the node's tasks.
    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> T + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let connection = Arc::clone(&self.connection);
        Box::pin(async move {
            let worked = self.env.blocking(move || {
                work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
            });
            worked.await.map_err(|gone| StoreError::Unanswered(gone.to_string()))
        })
    }
}

fn prepare(connection: &Connection, schema: &[Table]) -> Done<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    for table in schema {
        let column = |field: &Field| {
            let kind = match field.kind {
                Kind::Integer => "INTEGER",
                Kind::Text => "TEXT",
            };
            format!(", {} {kind}", quoted(field.name))
        };
        let columns: String = table.fields.iter().map(column).collect();
        connection.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {} (
                row_key TEXT PRIMARY KEY, row_version INTEGER NOT NULL{columns}
            ) WITHOUT ROWID",
            quoted(table.name)
        ))?;
    }
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS \"squall outbox\" (
            position INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, body BLOB NOT NULL
        );
        CREATE TABLE IF NOT EXISTS \"squall batches\" (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, refused BLOB
        );",
    )
}

fn columns(table: &Table) -> String {
    table.fields.iter().map(|field| format!(", {}", quoted(field.name))).collect()
}

/// The number of the last batch that was taken.
fn last_number(connection: &Connection) -> Done<u64> {
    let sql = "SELECT coalesce(max(number), 0) FROM \"squall batches\"";
    connection.query_row(sql, [], |row| number(row, 0))
}

fn number(row: &rusqlite::Row<'_>, column: usize) -> Done<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

/// The version and the fields, from this column on.
fn stored(row: &rusqlite::Row<'_>, table: &Table, from: usize) -> Done<Stored> {
    let field = |at: usize| row.get::<_, Option<Value>>(from + 1 + at);
    let fields: Done<Row> = (0..table.fields.len()).map(field).collect();
    Ok(Stored { version: number(row, from)?, row: fields? })
}

fn select(connection: &Connection, table: &Table, key: &str) -> Done<Option<Stored>> {
    let (columns, name) = (columns(table), quoted(table.name));
    let sql = format!("SELECT row_version{columns} FROM {name} WHERE row_key = ?");
    let mut statement = connection.prepare(&sql)?;
    statement.query_row([key], |row| stored(row, table, 0)).optional()
}

/// Takes a batch, and says why not if it must not take effect. An error of SQLite undoes all of it.
fn commit(
    connection: &mut Connection,
    schema: &[Table],
    batch: &Batch,
) -> Done<Result<u64, CommitError>> {
    // Whoever reads first and writes then would have to give up if another has written meanwhile.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let id = batch.id.to_be_bytes();
    let known = "SELECT number, refused FROM \"squall batches\" WHERE id = ?";
    let known = transaction.query_row(known, [&id[..]], |row| Ok((number(row, 0)?, get(row, 1)?)));
    if let Some((number, refused)) = known.optional()? {
        let refused: Option<Vec<u8>> = refused;
        let why = refused.map(|bytes| postcard::from_bytes(&bytes));
        return Ok(why.map_or(Ok(number), |why| Err(why.unwrap_or(CommitError::Forgotten))));
    }
    if batch.since < last_number(&transaction)?.saturating_sub(REMEMBERED_MAX) {
        return Ok(Err(CommitError::Forgotten));
    }
    if let Err(why) = check(&transaction, schema, batch)? {
        if why.is_to_be_kept() {
            remember(&transaction, &id, postcard::to_stdvec(&why).ok())?;
            transaction.commit()?;
        }
        return Ok(Err(why));
    }
    let version = remember(&transaction, &id, None)?;
    for one in &batch.writes {
        if let Some(table) = schema.iter().find(|table| table.name == one.table) {
            write(&transaction, table, one, version)?;
        }
    }
    for Message { topic, body } in &batch.messages {
        let sql = "INSERT INTO \"squall outbox\" (topic, body) VALUES (?, ?)";
        transaction.execute(sql, params![topic, body])?;
    }
    transaction.commit()?;
    Ok(Ok(version))
}

fn get<T: FromSql>(row: &rusqlite::Row<'_>, column: usize) -> Done<T> {
    row.get(column)
}

fn check(
    transaction: &Transaction<'_>,
    schema: &[Table],
    batch: &Batch,
) -> Done<Result<(), CommitError>> {
    for (at, write) in batch.writes.iter().enumerate() {
        let twice = |before: &Write| before.table == write.table && before.key == write.key;
        let table = schema.iter().find(|table| table.name == write.table);
        let Some(table) = table.filter(|_| !batch.writes[..at].iter().any(twice)) else {
            return Ok(Err(write.malformed()));
        };
        if let Change::Insert { row } | Change::Update { row, .. } = &write.change
            && !table.fits(row)
        {
            return Ok(Err(write.malformed()));
        }
        let found = select(transaction, table, &write.key)?.map(|stored| stored.version);
        if let Err(why) = write.check(found) {
            return Ok(Err(why));
        }
    }
    Ok(Ok(()))
}

/// Gives the batch its number, and forgets the oldest.
fn remember(transaction: &Transaction<'_>, id: &[u8], refused: Option<Vec<u8>>) -> Done<u64> {
    let sql = "INSERT INTO \"squall batches\" (id, refused) VALUES (?, ?)";
    transaction.execute(sql, params![id, refused])?;
    let number = transaction.last_insert_rowid();
    let oldest = number - REMEMBERED_MAX.cast_signed();
    transaction.execute("DELETE FROM \"squall batches\" WHERE number <= ?", [oldest])?;
    Ok(number.cast_unsigned())
}

fn write(transaction: &Transaction<'_>, table: &Table, write: &Write, version: u64) -> Done<()> {
    let name = quoted(table.name);
    match &write.change {
        Change::Insert { row } | Change::Update { row, .. } => {
            let (columns, marks) = (columns(table), ", ?".repeat(table.fields.len()));
            let sql = format!(
                "INSERT OR REPLACE INTO {name} (row_key, row_version{columns}) VALUES (?, ?{marks})"
            );
            let head = [Some(write.key.as_str().into()), Some(version.cast_signed().into())];
            let values = head.iter().chain(row).cloned();
            transaction.prepare(&sql)?.execute(params_from_iter(values))?;
        }
        Change::Delete { .. } => {
            transaction.execute(&format!("DELETE FROM {name} WHERE row_key = ?"), [&write.key])?;
        }
        Change::Check { .. } => {}
    }
    Ok(())
}

/// All that is looked for, as of one moment.
fn read(
    connection: &Connection,
    schema: &[Table],
    lookups: &[Lookup],
) -> Result<Found<Vec<Rows>>, StoreError> {
    let moment = connection.unchecked_transaction().map_err(unread)?;
    let mut all = Vec::new();
    for lookup in lookups {
        let (Lookup::Get { table: name, .. } | Lookup::Find { table: name, .. }) = lookup;
        let table = schema.iter().find(|table| table.name == name);
        let table = table.ok_or_else(|| StoreError::UnknownTable(name.clone()))?;
        all.push(match lookup {
            Lookup::Get { key, .. } => {
                let row = select(&moment, table, key).map_err(unread)?;
                row.into_iter().map(|stored| (key.clone(), stored)).collect()
            }
            Lookup::Find { specification, .. } => {
                let condition = specification.bind(table)?.to_sql();
                find(&moment, table, &condition).map_err(unread)?
            }
        });
    }
    Ok(Found { sequence: last_number(&moment).map_err(unread)?, found: all })
}

fn find(connection: &Connection, table: &Table, sql: &Sql) -> Done<Rows> {
    let (columns, name, condition) = (columns(table), quoted(table.name), &sql.condition);
    let mut statement = connection.prepare(&format!(
        "SELECT row_key, row_version{columns} FROM {name} WHERE {condition} ORDER BY row_key"
    ))?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, stored(row, table, 1)?));
    let found = statement.query_map(params_from_iter(&sql.parameters), row)?;
    found.collect()
}

fn unread(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

fn unanswered(error: rusqlite::Error) -> StoreError {
    StoreError::Unanswered(error.to_string())
}

impl TableStore for SqliteTables {
    fn read<'a>(
        &'a self,
        lookups: &'a [Lookup],
    ) -> BoxFuture<'a, Result<Found<Vec<Rows>>, StoreError>> {
        Box::pin(async move {
            let (schema, lookups) = (self.schema, lookups.to_vec());
            self.with(move |connection| read(connection, schema, &lookups)).await?
        })
    }

    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<u64, CommitError>> {
        Box::pin(async move {
            let (schema, batch) = (self.schema, batch.clone());
            let work = self.with(move |connection| commit(connection, schema, &batch));
            // If SQLite fails in the midst of a commit, nobody knows whether it is durable.
            work.await?.map_err(unanswered)?
        })
    }

    fn outbox(&self, after: u64, most: usize) -> BoxFuture<'_, Result<Vec<Waiting>, StoreError>> {
        let work = move |connection: &mut Connection| -> Done<Vec<Waiting>> {
            let sql = "SELECT position, topic, body FROM \"squall outbox\"
                WHERE position > ? ORDER BY position LIMIT ?";
            let mut statement = connection.prepare(sql)?;
            let waiting = |row: &rusqlite::Row<'_>| {
                let message = Message { topic: row.get(1)?, body: row.get(2)? };
                Ok(Waiting { position: number(row, 0)?, message })
            };
            let found = statement.query_map(params![after.cast_signed(), most as i64], waiting)?;
            found.collect()
        };
        Box::pin(async move { self.with(work).await?.map_err(unread) })
    }

    fn relayed(&self, upto: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        let work = move |connection: &mut Connection| {
            let sql = "DELETE FROM \"squall outbox\" WHERE position <= ?";
            connection.execute(sql, [upto.cast_signed()])
        };
        Box::pin(async move { self.with(work).await?.map(drop).map_err(unanswered) })
    }
}

#[test]
fn every_commit_is_synced() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let connection = Connection::open(directory.path().join("file")).expect("it opens");
    prepare(&connection, &[]).expect("it has no tables yet");
    crate::sqlite::assert_durable(&connection);
}
