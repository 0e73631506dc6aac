//! The index's tables and the settings of its connections.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::failure::io_failure;
use crate::Result;

/// The layout below; a store of another version is refused.
const VERSION: i64 = 4;

/// From layout 1, which did not keep the MD5 of body files.
const FROM_1: &str = "ALTER TABLE files ADD COLUMN md5 BLOB";

/// From layout 2, whose buckets had no lifecycle.
const FROM_2: &str = "CREATE TABLE lifecycles (bucket INTEGER PRIMARY KEY, rules TEXT NOT NULL) STRICT";

/// From layout 3, which kept no checksums, parts of finished objects, and CORS rules.
const FROM_3: &str = "ALTER TABLE objects ADD COLUMN checksum TEXT;
ALTER TABLE objects ADD COLUMN parts TEXT;
ALTER TABLE uploads ADD COLUMN checksum TEXT;
ALTER TABLE parts ADD COLUMN checksum TEXT;
CREATE TABLE cors (bucket INTEGER PRIMARY KEY, rules TEXT NOT NULL) STRICT";

/// Columns that a listing needs stand before those that may be long: SQLite reads a row only as far as asked.
///
/// `files.uses` counts the extents (of objects and parts) that name the file. `pending` holds the ids whose
/// files may exist although nothing names them.
const SCHEMA: &str = "
CREATE TABLE buckets (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL) STRICT;
CREATE TABLE lifecycles (bucket INTEGER PRIMARY KEY, rules TEXT NOT NULL) STRICT;
CREATE TABLE cors (bucket INTEGER PRIMARY KEY, rules TEXT NOT NULL) STRICT;
CREATE TABLE objects (
    bucket INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified INTEGER NOT NULL, metadata TEXT, upload TEXT, inline_body INTEGER, extents BLOB,
    checksum TEXT, parts TEXT,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE inline_bodies (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE files (
    id INTEGER PRIMARY KEY, size INTEGER NOT NULL, uses INTEGER NOT NULL, md5 BLOB
) STRICT;
CREATE TABLE pending (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, bucket INTEGER NOT NULL, key BLOB NOT NULL, started INTEGER NOT NULL, metadata TEXT,
    checksum TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (bucket, key, started);
CREATE TABLE parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified INTEGER NOT NULL, extents BLOB NOT NULL, checksum TEXT,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
";

/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;

/// Opens the index for its one writer, and makes the tables at the first start.
pub(super) fn open_writer(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    configure(&connection)?;
    // FULL: a commit is durable when it returns. Checkpoints are made by `checkpoints`; SQLite itself makes them only
    // where the log grows to 64 MiB all the same, while somebody reads for long.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16384;
         PRAGMA cache_size = -8192;",
    )?;
    match connection.query_row("PRAGMA user_version", [], |row| row.get(0))? {
        0 => create_tables(&connection)?,
        1 => upgrade(&connection, &[FROM_1, FROM_2, FROM_3])?,
        2 => upgrade(&connection, &[FROM_2, FROM_3])?,
        3 => upgrade(&connection, &[FROM_3])?,
        VERSION => {}
        other => return Err(unknown_version(other)),
    }
    Ok(connection)
}

/// Opens the index for reading.
pub(super) fn open_reader(path: &Path) -> Result<Connection> {
    // Not SQLITE_OPEN_READ_ONLY: a reader of a WAL database writes to its shared memory.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2048;")?;
    Ok(connection)
}

fn configure(connection: &Connection) -> Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Makes the tables; either all of them or none.
pub(super) fn create_tables(connection: &Connection) -> Result<()> {
    connection.execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"))?;
    Ok(())
}

/// Goes through all layouts in between; either to the end or not at all.
fn upgrade(connection: &Connection, steps: &[&str]) -> Result<()> {
    let steps = steps.join("; ");
    connection.execute_batch(&format!("BEGIN; {steps}; PRAGMA user_version = {VERSION}; COMMIT;"))?;
    Ok(())
}

fn unknown_version(found: i64) -> crate::Error {
    let text = format!("the index has layout {found}, this program knows layout {VERSION}");
    io_failure(std::io::Error::other(text))
}
