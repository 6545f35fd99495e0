//! The store on SQLite: one writer, in write-ahead mode and with full syncs.
//!
//! SQLite in write-ahead mode with `synchronous=NORMAL` forgets what it has acknowledged when power
//! is lost (its documentation, "Write-Ahead Logging"); so it is `FULL` here. SQLite does its own
//! input and output: this store is for production, and runs in no simulated world.

use super::error::{EventStoreError, OpenError, Refused};
use super::event::{
    Append, Appended, EventId, Expected, Filter, Metadata, RecordedEvent, SOFT_DELETED, Slice,
    StreamSlice, Streams, TOMBSTONE,
};
use super::expected::{At, Known, Stream, Verdict, judge};
use super::record::check;
use super::{EventStore, READ_BYTES_MAX};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use squall_env::platform::BoxFuture;
use squall_env::sync::{WatchReceiver, WatchSender, watch};
use squall_env::{Env, Position, WallTime};
use std::cell::RefCell;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS owner (cluster TEXT NOT NULL, node TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        id BLOB NOT NULL,
        kind TEXT NOT NULL,
        schema INTEGER NOT NULL,
        data BLOB NOT NULL,
        causation BLOB,
        correlation BLOB,
        wall INTEGER NOT NULL,
        UNIQUE (stream, version)
    );
    CREATE INDEX IF NOT EXISTS events_by_id ON events (stream, id);
";

const COLUMNS: &str =
    "position, stream, version, id, kind, schema, data, causation, correlation, wall";

/// The store in one SQLite database. Clones are the same store. Every id is remembered: an append
/// is known again however old it is, also without an exact version.
#[derive(Clone)]
pub struct SqliteStore {
    env: Env,
    writer: Arc<Mutex<Connection>>,
    reader: Arc<Mutex<Connection>>,
    told: Arc<WatchSender<Position>>,
    head: WatchReceiver<Position>,
}

impl From<rusqlite::Error> for EventStoreError {
    fn from(error: rusqlite::Error) -> EventStoreError {
        EventStoreError::Failed(error.to_string())
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SqliteStore {
    /// Opens the database at this path, or makes it. Nobody else may write to it meanwhile.
    ///
    /// # Errors
    /// If SQLite fails, or the database is another node's.
    pub async fn open(env: &Env, path: impl AsRef<Path>) -> Result<SqliteStore, OpenError> {
        let path = path.as_ref().to_owned();
        let owner = (env.roster().cluster().to_owned(), env.roster().name(env.me()));
        let opened = env.blocking(move || {
            let writer = connect(&path)?;
            writer.execute_batch(TABLES).map_err(database)?;
            own(&writer, &owner)?;
            let head = head(&writer).map_err(database)?;
            Ok((writer, connect(&path)?, head))
        });
        let opened: Result<_, OpenError> =
            opened.await.map_err(|gone| OpenError::Database(gone.to_string()))?;
        let (writer, reader, head) = opened?;
        let (told, head) = watch(env, "durable events", head);
        Ok(SqliteStore {
            env: env.clone(),
            writer: Arc::new(Mutex::new(writer)),
            reader: Arc::new(Mutex::new(reader)),
            told: Arc::new(told),
            head,
        })
    }

    async fn append_now(&self, appends: Vec<Append>) -> Result<Vec<Appended>, EventStoreError> {
        check(&appends)?;
        let (writer, told, wall) =
            (Arc::clone(&self.writer), Arc::clone(&self.told), self.env.wall());
        let done = self.env.blocking(move || {
            let mut connection = lock(&writer);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = append(&transaction, &appends, wall)?;
            let head = head(&transaction)?;
            transaction.commit()?;
            // Under the lock, so that nobody tells of less later on.
            told.set(head);
            Ok(done)
        });
        done.await.map_err(|_| EventStoreError::Stopped)?
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> Result<T, EventStoreError> + Send + 'static,
    ) -> Result<T, EventStoreError> {
        let reader = Arc::clone(&self.reader);
        let looked = self.env.blocking(move || {
            let mut connection = lock(&reader);
            look(&connection.transaction()?)
        });
        looked.await.map_err(|_| EventStoreError::Stopped)?
    }

    async fn wait(&self, after: Position, limit: Duration) -> Result<Position, EventStoreError> {
        let mut watched = self.head.clone();
        let now = watched.read(|head| *head);
        if after > now {
            return Err(Refused::Ahead { asked: after, head: now }.into());
        }
        let beyond = async {
            while watched.read(|head| *head <= after) {
                if watched.changed().await.is_err() {
                    return;
                }
            }
        };
        // Whether it came or not, the head says.
        let _ = self.env.timeout(limit, beyond).await;
        Ok(self.head.read(|head| *head))
    }
}

impl EventStore for SqliteStore {
    fn append_all(
        &self,
        appends: Vec<Append>,
    ) -> BoxFuture<'_, Result<Vec<Appended>, EventStoreError>> {
        Box::pin(self.append_now(appends))
    }

    fn read(
        &self,
        stream: &str,
        from: u64,
        max: usize,
    ) -> BoxFuture<'_, Result<StreamSlice, EventStoreError>> {
        let stream = stream.to_owned();
        Box::pin(self.look(move |transaction| read(transaction, stream, from, max)))
    }

    fn read_all(
        &self,
        after: Position,
        max: usize,
        filter: &Filter,
    ) -> BoxFuture<'_, Result<Slice, EventStoreError>> {
        let filter = filter.clone();
        Box::pin(self.look(move |transaction| read_all(transaction, after, max, &filter)))
    }

    fn wait_beyond(
        &self,
        after: Position,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Position, EventStoreError>> {
        Box::pin(self.wait(after, limit))
    }
}

fn database(error: rusqlite::Error) -> OpenError {
    OpenError::Database(error.to_string())
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open(path).map_err(database)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(database)?;
    let mode = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get::<_, String>(0));
    let mode = mode.map_err(database)?;
    if mode != "wal" {
        return Err(OpenError::Database(format!("its journal is in the mode {mode:?}")));
    }
    connection.execute_batch("PRAGMA synchronous=FULL").map_err(database)?;
    Ok(connection)
}

/// Writes down whose the database is, or refuses that of somebody else.
fn own(connection: &Connection, owner: &(String, String)) -> Result<(), OpenError> {
    let found = connection.query_row("SELECT cluster, node FROM owner", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    });
    match found.optional().map_err(database)? {
        Some(found) if found == *owner => Ok(()),
        Some(found) => Err(OpenError::Database(format!("it is that of {found:?}"))),
        None => connection
            .execute("INSERT INTO owner VALUES (?1, ?2)", params![owner.0, owner.1])
            .map(drop)
            .map_err(database),
    }
}

fn head(connection: &Connection) -> Result<Position, rusqlite::Error> {
    let sql = "SELECT coalesce(max(position), 0) FROM events";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|head| Position(head as u64))
}

fn blob(id: EventId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

fn id(bytes: &[u8]) -> EventId {
    EventId(bytes.try_into().map_or(0, u128::from_be_bytes))
}

/// The event with this number of a stream: its id and type.
fn at(
    connection: &Connection,
    stream: &str,
    version: u64,
) -> Result<Option<(EventId, String)>, rusqlite::Error> {
    let sql = "SELECT id, kind FROM events WHERE stream = ?1 AND version = ?2";
    let mut statement = connection.prepare(sql)?;
    let row = |row: &Row<'_>| Ok((id(&row.get::<_, Vec<u8>>(0)?), row.get(1)?));
    statement.query_row(params![stream, version as i64], row).optional()
}

fn last(connection: &Connection, stream: &str) -> Result<Option<u64>, rusqlite::Error> {
    let sql = "SELECT max(version) FROM events WHERE stream = ?1";
    let mut statement = connection.prepare(sql)?;
    let last = statement.query_row([stream], |row| row.get::<_, Option<i64>>(0))?;
    Ok(last.map(|last| last as u64))
}

fn stream(connection: &Connection, name: &str) -> Result<Stream, rusqlite::Error> {
    let has_metadata = last(connection, &["$$", name].concat())?.is_some();
    let last = last(connection, name)?;
    let newest = match last {
        None => None,
        Some(last) => at(connection, name, last)?,
    };
    let (mut tombstone, mut is_soft_deleted) = (None, false);
    match newest {
        Some((id, kind)) if kind == TOMBSTONE => tombstone = Some(id),
        Some((_, kind)) => is_soft_deleted = kind == SOFT_DELETED,
        None => {}
    }
    Ok(Stream { last, tombstone, is_soft_deleted, has_metadata })
}

/// What the rules ask for, from the database.
struct Found<'a> {
    connection: &'a Connection,
    stream: &'a str,
    failed: RefCell<Option<rusqlite::Error>>,
}

impl Found<'_> {
    fn or<T>(&self, result: Result<T, rusqlite::Error>, instead: T) -> T {
        result.unwrap_or_else(|error| {
            *self.failed.borrow_mut() = Some(error);
            instead
        })
    }
}

impl Known for Found<'_> {
    fn at(&self, version: u64) -> At {
        let found = self.or(at(self.connection, self.stream, version), None);
        found.map_or(At::Nothing, |(id, _)| At::Event(id))
    }

    fn recent(&self, id: EventId) -> Option<u64> {
        let sql = "SELECT max(version) FROM events WHERE stream = ?1 AND id = ?2";
        let found = self
            .connection
            .query_row(sql, params![self.stream, blob(id)], |row| row.get::<_, Option<i64>>(0));
        self.or(found, None).map(|version| version as u64)
    }

    fn condition(&self, expected: &Expected) -> Option<Position> {
        let Expected::Condition(filter, after) = expected else { return None };
        let (sql, mut values) = clause(filter);
        values.insert(0, Value::Integer(after.0 as i64));
        let sql = format!("SELECT min(position) FROM events WHERE position > ?{sql}");
        let values = rusqlite::params_from_iter(values);
        let found = self.connection.query_row(&sql, values, |row| row.get::<_, Option<i64>>(0));
        self.or(found, None).map(|position| Position(position as u64))
    }
}

/// What a filter lets through, as the end of a condition.
fn clause(filter: &Filter) -> (String, Vec<Value>) {
    let (mut sql, mut values) = (String::new(), Vec::new());
    let mut any = |conditions: Vec<(&str, String)>, sql: &mut String| {
        if conditions.is_empty() {
            return;
        }
        let texts: Vec<&str> = conditions.iter().map(|(text, _)| *text).collect();
        sql.push_str(&format!(" AND ({})", texts.join(" OR ")));
        for (text, value) in conditions {
            let value = Value::Text(value);
            // A prefix is compared with as many characters as it has.
            values.extend(std::iter::repeat_n(value, text.matches('?').count()));
        }
    };
    let stream = |streams: &Streams| match streams {
        Streams::One(one) => ("stream = ?", one.clone()),
        Streams::Prefix(prefix) => ("substr(stream, 1, length(?)) = ?", prefix.clone()),
    };
    any(filter.streams.iter().map(stream).collect(), &mut sql);
    any(filter.kinds.iter().map(|kind| ("kind = ?", kind.clone())).collect(), &mut sql);
    (sql, values)
}

fn append(
    transaction: &Transaction<'_>,
    appends: &[Append],
    wall: WallTime,
) -> Result<Vec<Appended>, EventStoreError> {
    let mut verdicts = Vec::new();
    for append in appends {
        let failed = RefCell::new(None);
        let found = Found { connection: transaction, stream: &append.stream, failed };
        let state = stream(transaction, &append.stream)?;
        let verdict = judge(append, &state, &found);
        if let Some(error) = found.failed.into_inner() {
            return Err(error.into());
        }
        match verdict {
            Verdict::Refuse(refused) => return Err(refused.into()),
            Verdict::Repeated(versions) => verdicts.push((Some(versions), state)),
            Verdict::Append | Verdict::Read(_) => verdicts.push((None, state)),
        }
    }
    let with_events =
        || appends.iter().zip(&verdicts).filter(|(append, _)| !append.events.is_empty());
    let is_new = with_events().any(|(_, (repeated, _))| repeated.is_none());
    let torn = with_events().find(|(_, (repeated, _))| repeated.is_some()).filter(|_| is_new);
    if let Some((append, _)) = torn {
        return Err(Refused::CorruptedIdempotency { stream: append.stream.clone() }.into());
    }
    let (mut done, mut position) = (Vec::new(), head(transaction)?.0);
    for (append, (repeated, state)) in appends.iter().zip(verdicts) {
        if let Some(versions) = repeated {
            let sql = "SELECT position FROM events WHERE stream = ?1 AND version = ?2";
            let last = params![append.stream, (versions.end - 1) as i64];
            let position: i64 = transaction.query_row(sql, last, |row| row.get(0))?;
            let position = Position(position as u64);
            done.push(Appended { versions, position, repeated: true });
            continue;
        }
        let first = state.last.map_or(0, |last| last + 1);
        let sql = format!("INSERT INTO events ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)");
        let mut statement = transaction.prepare(&sql)?;
        for (version, event) in (first..).zip(&append.events) {
            position += 1;
            statement.execute(params![
                position as i64,
                append.stream,
                version as i64,
                blob(event.id),
                event.kind,
                event.schema,
                event.data,
                event.causation.map(blob),
                event.correlation.map(blob),
                wall.as_unix_nanos(),
            ])?;
        }
        let versions = first..first + append.events.len() as u64;
        done.push(Appended { versions, position: Position(position), repeated: false });
    }
    Ok(done)
}

fn recorded(row: &Row<'_>) -> Result<RecordedEvent, rusqlite::Error> {
    let optional =
        |at: usize| row.get::<_, Option<Vec<u8>>>(at).map(|bytes| bytes.map(|bytes| id(&bytes)));
    Ok(RecordedEvent {
        position: Position(row.get::<_, i64>(0)? as u64),
        stream: row.get(1)?,
        version: row.get::<_, i64>(2)? as u64,
        id: id(&row.get::<_, Vec<u8>>(3)?),
        kind: row.get(4)?,
        schema: row.get(5)?,
        data: row.get(6)?,
        metadata: Metadata {
            causation: optional(7)?,
            correlation: optional(8)?,
            wall: WallTime::from_unix_nanos(row.get(9)?),
        },
    })
}

/// The first of these events, as many as one read may give, and whether that was all.
fn events(
    transaction: &Transaction<'_>,
    sql: &str,
    values: Vec<Value>,
    max: usize,
) -> Result<(Vec<RecordedEvent>, bool), rusqlite::Error> {
    let mut statement = transaction.prepare(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if events.len() >= max || bytes >= READ_BYTES_MAX {
            return Ok((events, false));
        }
        let event = recorded(row)?;
        bytes += event.data.len() + event.kind.len() + event.stream.len();
        events.push(event);
    }
    Ok((events, true))
}

fn read(
    transaction: &Transaction<'_>,
    name: String,
    from: u64,
    max: usize,
) -> Result<StreamSlice, EventStoreError> {
    let state = stream(transaction, &name)?;
    if state.tombstone.is_some() {
        return Err(Refused::StreamDeleted { stream: name, for_ever: true }.into());
    }
    let sql = "SELECT max(version) FROM events WHERE stream = ?1 AND kind = ?2";
    let hidden: Option<i64> =
        transaction.query_row(sql, params![name, SOFT_DELETED], |row| row.get(0))?;
    let start = from.max(hidden.map_or(0, |version| version as u64 + 1));
    let sql =
        format!("SELECT {COLUMNS} FROM events WHERE stream = ? AND version >= ? ORDER BY version");
    let values = vec![Value::Text(name), Value::Integer(start as i64)];
    let (events, is_end) = events(transaction, &sql, values, max)?;
    let next = match (events.last(), state.last) {
        (Some(event), _) => event.version + 1,
        (None, Some(last)) => from.max(start.min(last + 1)),
        (None, None) => from,
    };
    let last = state.last.filter(|_| !state.is_soft_deleted);
    Ok(StreamSlice { events, next, last, is_end })
}

fn read_all(
    transaction: &Transaction<'_>,
    after: Position,
    max: usize,
    filter: &Filter,
) -> Result<Slice, EventStoreError> {
    let head = head(transaction)?;
    if after > head {
        return Err(Refused::Ahead { asked: after, head }.into());
    }
    let (sql, mut values) = clause(filter);
    values.insert(0, Value::Integer(after.0 as i64));
    let sql = format!("SELECT {COLUMNS} FROM events WHERE position > ?{sql} ORDER BY position");
    let (events, is_all) = events(transaction, &sql, values, max)?;
    let upto = match events.last() {
        Some(event) if !is_all => event.position,
        _ if is_all => head,
        _ => after,
    };
    Ok(Slice { events, upto, head })
}

#[test]
fn every_commit_is_synced() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let connection = connect(&directory.path().join("file")).expect("it opens");
    crate::sqlite::assert_durable(&connection);
}
