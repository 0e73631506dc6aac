//! Tables and their rows.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, Result, Row, params};
use sandkeep_api::{MountInfo, SandboxId};
use sandkeep_sandboxes::SandboxName;

use crate::grants::GrantsById;
use crate::volumes::VolumeId;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sandboxes (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    labels TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS mounts (
    sandbox TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    volume TEXT NOT NULL,
    bucket TEXT NOT NULL,
    endpoint TEXT,
    prefix TEXT,
    read_only INTEGER NOT NULL,
    attached INTEGER NOT NULL,
    PRIMARY KEY (sandbox, path)
) STRICT;
CREATE TABLE IF NOT EXISTS restores (
    sandbox TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    dir TEXT NOT NULL,
    volume TEXT NOT NULL,
    backup TEXT NOT NULL,
    overlay TEXT NOT NULL,
    PRIMARY KEY (sandbox, overlay)
) STRICT;
CREATE TABLE IF NOT EXISTS grants (
    sandbox TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (sandbox, id)
) STRICT;
CREATE TABLE IF NOT EXISTS stateless (
    sandbox TEXT PRIMARY KEY REFERENCES sandboxes (id) ON DELETE CASCADE
) STRICT;
";

/// A sandbox that was started.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SandboxRecord {
    /// What its users call it.
    pub(crate) id: SandboxId,
    /// What the runtime calls it; another one each time.
    pub(crate) name: SandboxName,
    /// When.
    pub(crate) created_at: Timestamp,
    /// As given.
    pub(crate) labels: BTreeMap<String, String>,
    /// By path; not written with the sandbox.
    pub(crate) mounts: Vec<MountRecord>,
    /// By directory; not written with the sandbox.
    pub(crate) restores: Vec<RestoreRecord>,
    /// Commands without a session get a fresh shell each.
    pub(crate) stateless: bool,
}

/// A bucket mounted in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountRecord {
    /// What and where.
    pub(crate) info: MountInfo,
    /// Serves it.
    pub(crate) volume: VolumeId,
    /// False between making the volume and attaching it: a daemon that finds that takes it away.
    pub(crate) attached: bool,
}

/// A backup that a directory shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RestoreRecord {
    /// Where, normalised.
    pub(crate) dir: String,
    /// Which backup.
    pub(crate) backup_id: String,
    /// Serves the backup; none: its files were written.
    pub(crate) volume: Option<VolumeId>,
    /// Names the upper layer; another one each time.
    pub(crate) overlay: String,
}

pub(super) fn sandboxes(connection: &Connection) -> Result<Vec<SandboxRecord>> {
    let mut statement =
        connection.prepare(
        "SELECT id, name, created_at, labels, id IN (SELECT sandbox FROM stateless) FROM sandboxes ORDER BY id",
    )?;
    let mut records = statement.query_map([], sandbox)?.collect::<Result<Vec<_>>>()?;
    for record in &mut records {
        record.mounts = mounts(connection, &record.id)?;
        record.restores = restores(connection, &record.id)?;
    }
    Ok(records)
}

fn sandbox(row: &Row<'_>) -> Result<SandboxRecord> {
    let damaged = |column, kind| Error::InvalidColumnType(column, "sandboxes".into(), kind);
    Ok(SandboxRecord {
        id: SandboxId::from_record(row.get(0)?),
        name: SandboxName::new(row.get::<_, String>(1)?).ok_or_else(|| damaged(1, Type::Text))?,
        created_at: Timestamp::from_millisecond(row.get(2)?).map_err(|_| damaged(2, Type::Integer))?,
        labels: serde_json::from_str(&row.get::<_, String>(3)?).map_err(|_| damaged(3, Type::Text))?,
        mounts: Vec::new(),
        restores: Vec::new(),
        stateless: row.get(4)?,
    })
}

fn mounts(connection: &Connection, id: &SandboxId) -> Result<Vec<MountRecord>> {
    let mut statement = connection.prepare(
        "SELECT path, volume, bucket, endpoint, prefix, read_only, attached FROM mounts WHERE sandbox = ? ORDER BY path",
    )?;
    let record = |row: &Row<'_>| {
        Ok(MountRecord {
            info: MountInfo {
                mount_path: row.get(0)?,
                bucket: row.get(2)?,
                endpoint: row.get(3)?,
                prefix: row.get(4)?,
                read_only: row.get(5)?,
            },
            volume: VolumeId(row.get(1)?),
            attached: row.get(6)?,
        })
    };
    statement.query_map([id.as_str()], record)?.collect()
}

fn restores(connection: &Connection, id: &SandboxId) -> Result<Vec<RestoreRecord>> {
    let mut statement = connection
        .prepare("SELECT dir, volume, backup, overlay FROM restores WHERE sandbox = ? ORDER BY dir")?;
    let record = |row: &Row<'_>| {
        Ok(RestoreRecord {
            dir: row.get(0)?,
            volume: Some(row.get(1)?).filter(|id: &String| !id.is_empty()).map(VolumeId),
            backup_id: row.get(2)?,
            overlay: row.get(3)?,
        })
    };
    statement.query_map([id.as_str()], record)?.collect()
}

pub(super) fn put_sandbox(connection: &Connection, record: &SandboxRecord) -> Result<()> {
    let labels = serde_json::to_string(&record.labels).expect("a map of texts");
    let created_at = record.created_at.as_millisecond();
    connection.execute(
        "INSERT INTO sandboxes (id, name, created_at, labels) VALUES (?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, created_at = excluded.created_at, labels = excluded.labels",
        params![record.id.as_str(), record.name.as_str(), created_at, labels],
    )?;
    let change = match record.stateless {
        true => "INSERT OR IGNORE INTO stateless (sandbox) VALUES (?)",
        false => "DELETE FROM stateless WHERE sandbox = ?",
    };
    connection.execute(change, [record.id.as_str()]).map(drop)
}

pub(super) fn remove_sandbox(connection: &Connection, id: &SandboxId) -> Result<()> {
    connection.execute("DELETE FROM sandboxes WHERE id = ?", [id.as_str()]).map(drop)
}

pub(super) fn put_mount(connection: &Connection, id: &SandboxId, record: &MountRecord) -> Result<()> {
    let MountRecord { info, volume, attached } = record;
    connection.execute(
        "INSERT OR REPLACE INTO mounts (sandbox, path, volume, bucket, endpoint, prefix, read_only, attached)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            id.as_str(),
            info.mount_path,
            volume.0,
            info.bucket,
            info.endpoint,
            info.prefix,
            info.read_only,
            attached
        ],
    )?;
    Ok(())
}

pub(super) fn remove_mount(connection: &Connection, id: &SandboxId, path: &str) -> Result<()> {
    connection.execute("DELETE FROM mounts WHERE sandbox = ? AND path = ?", [id.as_str(), path]).map(drop)
}

pub(super) fn grants(connection: &Connection, id: &SandboxId) -> Result<GrantsById> {
    let mut statement = connection.prepare("SELECT id, value FROM grants WHERE sandbox = ?")?;
    let damaged = |_| Error::InvalidColumnType(1, "grants".into(), Type::Text);
    let mut rows = statement.query([id.as_str()])?;
    let mut grants = GrantsById::new();
    while let Some(row) = rows.next()? {
        let grant = serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(damaged)?;
        grants.insert(row.get(0)?, grant);
    }
    Ok(grants)
}

/// Replaces all of a sandbox.
pub(super) fn put_grants(connection: &mut Connection, id: &SandboxId, grants: &GrantsById) -> Result<()> {
    let change = connection.transaction()?;
    change.execute("DELETE FROM grants WHERE sandbox = ?", [id.as_str()])?;
    for (grant, value) in grants {
        let value = serde_json::to_string(value).expect("grants always become JSON");
        change.execute(
            "INSERT INTO grants (sandbox, id, value) VALUES (?, ?, ?)",
            params![id.as_str(), grant, value],
        )?;
    }
    change.commit()
}

pub(super) fn put_restore(connection: &Connection, id: &SandboxId, record: &RestoreRecord) -> Result<()> {
    let volume = record.volume.as_ref().map_or("", |volume| &volume.0);
    connection.execute(
        "INSERT INTO restores (sandbox, dir, volume, backup, overlay) VALUES (?, ?, ?, ?, ?)",
        params![id.as_str(), record.dir, volume, record.backup_id, record.overlay],
    )?;
    Ok(())
}

pub(super) fn remove_restore(connection: &Connection, id: &SandboxId, overlay: &str) -> Result<()> {
    connection
        .execute("DELETE FROM restores WHERE sandbox = ? AND overlay = ?", [id.as_str(), overlay])
        .map(drop)
}
