//! What files of SQLite have in common: who has them, what a commit means, and of which format
//! they are.

use rusqlite::{Connection, Result, Transaction, ffi};
use std::path::Path;

/// Opens the file, or makes it, for this process alone until it closes it. The journal is a
/// write-ahead log, and each commit is synced.
pub(crate) fn open(file: &Path) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Brings the tables to the format of this build: each of the steps makes one format of the one
/// before, and the first one makes them of nothing. The file says how many are done. One of which
/// more are done than this build knows is refused, and stays as it is.
pub(crate) fn upgrade(tables: &Transaction<'_>, steps: &[&str]) -> Result<()> {
    let read = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    let done = tables.query_row("PRAGMA user_version", [], read)?;
    let todo = usize::try_from(done).ok().and_then(|done| steps.get(done..));
    let Some(todo) = todo else {
        let error = ffi::Error::new(ffi::SQLITE_SCHEMA);
        let why =
            format!("the file has the format {done}, and the latest known is {}", steps.len());
        return Err(rusqlite::Error::SqliteFailure(error, Some(why)));
    };
    for step in todo {
        tables.execute_batch(step)?;
    }
    tables.pragma_update(None, "user_version", steps.len() as i64)
}

/// Fails unless what is committed through this connection is on the disk when that is said.
#[cfg(test)]
pub(crate) fn assert_durable(connection: &Connection) {
    let mode = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    assert_eq!(connection.query_row("PRAGMA journal_mode", [], mode).as_deref(), Ok("wal"));
    let full = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    assert_eq!(connection.query_row("PRAGMA synchronous", [], full), Ok(2), "it is not FULL");
}

#[test]
fn every_commit_is_synced() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    assert_durable(&open(&directory.path().join("file")).expect("it opens"));
}
