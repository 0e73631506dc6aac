//! Reads everything that is stored and compares it with what the index says. Changes nothing.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use rusqlite::{Connection, OptionalExtension, params};

use super::extents::{self, Extent};
use super::failure::io_failure;
use super::files::{FileId, Files};
use super::readers::blocking;
use super::service::Inner;
use crate::Result;

/// Rows looked at between two pauses in which the index can go on.
const BATCH: i64 = 1000;

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// Objects looked at.
    pub objects: u64,
    /// Body files read.
    pub files: u64,
    /// Bytes read and compared.
    pub bytes: u64,
    /// Objects that cannot be read as they were written, by bucket and key.
    pub damaged: Vec<DamagedObject>,
}

/// An object that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedObject {
    /// Its bucket.
    pub bucket: String,
    /// Its key, lossy.
    pub key: String,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A body file is gone, too short or too long, or its bytes have changed.
    Body,
    /// The index contradicts itself about it.
    Index,
}

/// Verifies every body file, then every object that uses one.
pub(super) async fn fsck(inner: &Inner) -> Result<FsckReport> {
    let mut report = FsckReport::default();
    let bad = verify_files(inner, &mut report).await?;
    let bad = Arc::new(bad);
    let mut after: Option<Position> = None;
    loop {
        let (from, bad) = (after.take(), Arc::clone(&bad));
        let batch = inner.readers.read(move |connection| check_objects(connection, from, &bad)).await?;
        report.objects += batch.objects;
        report.bytes += batch.inline_bytes;
        report.damaged.extend(batch.damaged);
        match batch.last {
            Some(last) => after = Some(last),
            None => return Ok(report),
        }
    }
}

/// A body file as the index knows it.
#[derive(Clone, Copy, Debug)]
struct KnownFile {
    id: FileId,
    size: u64,
    /// Stores of layout 1 did not keep it.
    md5: Option<[u8; 16]>,
}

async fn verify_files(inner: &Inner, report: &mut FsckReport) -> Result<HashSet<FileId>> {
    let mut bad = HashSet::new();
    let mut after = -1;
    loop {
        let batch = inner.readers.read(move |connection| known_files(connection, after)).await?;
        let Some(last) = batch.last() else { return Ok(bad) };
        after = last.id.to_sql();
        for known in batch {
            let files = Arc::clone(&inner.files);
            let intact = blocking(move || is_intact(&files, known)).await?;
            report.files += 1;
            report.bytes += known.size;
            // A file that was deleted meanwhile is no damage.
            if !intact && inner.readers.read(move |connection| is_known(connection, known.id)).await? {
                bad.insert(known.id);
            }
        }
    }
}

fn known_files(connection: &Connection, after: i64) -> Result<Vec<KnownFile>> {
    let mut select =
        connection.prepare_cached("SELECT id, size, md5 FROM files WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let rows = select.query_map([after, BATCH], |row| {
        Ok(KnownFile {
            id: FileId::from_sql(row.get(0)?),
            size: row.get::<_, i64>(1)?.cast_unsigned(),
            md5: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn is_known(connection: &Connection, id: FileId) -> Result<bool> {
    Ok(connection.prepare_cached("SELECT 1 FROM files WHERE id = ?1")?.exists([id.to_sql()])?)
}

fn is_intact(files: &Files, known: KnownFile) -> Result<bool> {
    let mut file = match files.open_for_check(known.id) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(io_failure)?,
    };
    let (mut md5, mut size, mut buffer) = (Md5::new(), 0, vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                md5.update(&buffer[..read]);
                size += read as u64;
            }
            // A disk that cannot read it has damaged it.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                return Ok(false);
            }
            Err(error) => return Err(io_failure(error)),
        }
    }
    let found: [u8; 16] = md5.finalize().into();
    Ok(size == known.size && known.md5.is_none_or(|md5| md5 == found))
}

/// Bucket and key of the object looked at last.
type Position = (i64, Vec<u8>);

#[derive(Default)]
struct Batch {
    objects: u64,
    inline_bytes: u64,
    damaged: Vec<DamagedObject>,
    last: Option<Position>,
}

fn check_objects(connection: &Connection, after: Option<Position>, bad: &HashSet<FileId>) -> Result<Batch> {
    let (bucket, key) = after.unwrap_or_default();
    let mut select = connection.prepare_cached(
        "SELECT o.bucket, o.key, o.size, o.etag, o.inline_body, o.extents, b.name
         FROM objects AS o LEFT JOIN buckets AS b ON b.id = o.bucket
         WHERE (o.bucket, o.key) > (?1, ?2) ORDER BY o.bucket, o.key LIMIT ?3",
    )?;
    let mut rows = select.query(params![bucket, key, BATCH])?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next()? {
        let (bucket, key): Position = (row.get(0)?, row.get(1)?);
        let size = row.get::<_, i64>(2)?.cast_unsigned();
        let damage = match (row.get::<_, Option<i64>>(4)?, row.get::<_, Option<Vec<u8>>>(5)?) {
            (Some(inline), None) => {
                batch.inline_bytes += size;
                check_inline(connection, inline, size, &row.get::<_, String>(3)?)?
            }
            (None, extents) => check_extents(connection, &extents.unwrap_or_default(), size, bad)?,
            (Some(_), Some(_)) => Some(Damage::Index),
        };
        let name: Option<String> = row.get(6)?;
        let damage = damage.or(name.is_none().then_some(Damage::Index));
        batch.objects += 1;
        batch.damaged.extend(damage.map(|damage| DamagedObject {
            bucket: name.unwrap_or_else(|| bucket.to_string()),
            key: String::from_utf8_lossy(&key).into_owned(),
            damage,
        }));
        batch.last = Some((bucket, key));
    }
    Ok(batch)
}

/// Bodies in the index were each written by one PUT, whose ETag is the MD5.
fn check_inline(connection: &Connection, id: i64, size: u64, etag: &str) -> Result<Option<Damage>> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT bytes FROM inline_bodies WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let Some(bytes) = bytes else { return Ok(Some(Damage::Index)) };
    let intact = bytes.len() as u64 == size && HEXLOWER.encode(&Md5::digest(&bytes)) == etag;
    Ok((!intact).then_some(Damage::Body))
}

fn check_extents(
    connection: &Connection,
    encoded: &[u8],
    size: u64,
    bad: &HashSet<FileId>,
) -> Result<Option<Damage>> {
    let Ok(extents) = extents::decode(encoded) else { return Ok(Some(Damage::Index)) };
    if extents.iter().any(|extent| bad.contains(&extent.file)) {
        return Ok(Some(Damage::Body));
    }
    let total = extents.iter().try_fold(0_u64, |total, extent| total.checked_add(extent.length));
    for extent in &extents {
        if !lies_in_its_file(connection, extent)? {
            return Ok(Some(Damage::Index));
        }
    }
    Ok((total != Some(size)).then_some(Damage::Index))
}

fn lies_in_its_file(connection: &Connection, extent: &Extent) -> Result<bool> {
    let size: Option<i64> = connection
        .prepare_cached("SELECT size FROM files WHERE id = ?1")?
        .query_row([extent.file.to_sql()], |row| row.get(0))
        .optional()?;
    let end = extent.offset.checked_add(extent.length);
    Ok(size.zip(end).is_some_and(|(size, end)| end <= size.cast_unsigned()))
}
