//! What a write may do to the index while it has its turn.

use std::ops::Deref;

use rusqlite::{Connection, OptionalExtension, params};

use super::extents::Extent;
use super::files::{FileId, NewFile};
use super::receive::NewBody;
use super::rows::{ObjectRow, StoredBody};
use crate::Result;

/// A transaction in progress, shared by all writes of one commit; dereferences to its connection.
pub(super) struct Change<'c> {
    connection: &'c Connection,
    /// Files that nothing names any more once this is committed.
    pub(super) released: Vec<FileId>,
    /// Files that the index names once this is committed.
    pub(super) published: Vec<NewFile>,
}

impl Deref for Change<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl<'c> Change<'c> {
    pub(super) fn new(connection: &'c Connection) -> Self {
        Self { connection, released: Vec::new(), published: Vec::new() }
    }

    /// Stores a body that was received.
    pub(super) fn publish(&mut self, body: NewBody) -> Result<StoredBody> {
        match body {
            NewBody::Inline(bytes) if bytes.is_empty() => Ok(StoredBody::Extents(Vec::new())),
            NewBody::Inline(bytes) => {
                let mut insert = self.prepare_cached("INSERT INTO inline_bodies (bytes) VALUES (?1)")?;
                Ok(StoredBody::Inline(insert.insert([&bytes[..]])?))
            }
            NewBody::File(file) => Ok(StoredBody::Extents(self.publish_file(file)?)),
        }
    }

    /// Stores a body file.
    pub(super) fn publish_file(&mut self, file: NewFile) -> Result<Vec<Extent>> {
        let (id, size, md5) = (file.id, file.size, file.md5);
        self.prepare_cached("DELETE FROM pending WHERE id = ?1")?.execute([id.to_sql()])?;
        self.prepare_cached("INSERT INTO files (id, size, uses, md5) VALUES (?1, ?2, 1, ?3)")?
            .execute(params![id.to_sql(), size.cast_signed(), md5])?;
        self.published.push(file);
        Ok(vec![Extent { file: id, offset: 0, length: size }])
    }

    /// Lets another object or part use the same files; false if one of them is gone.
    pub(super) fn share(&mut self, extents: &[Extent]) -> Result<bool> {
        let mut find = self.prepare_cached("SELECT 1 FROM files WHERE id = ?1")?;
        for extent in extents {
            if !find.exists([extent.file.to_sql()])? {
                return Ok(false);
            }
        }
        let mut count = self.prepare_cached("UPDATE files SET uses = uses + 1 WHERE id = ?1")?;
        for extent in extents {
            count.execute([extent.file.to_sql()])?;
        }
        Ok(true)
    }

    /// Lets go of files that an object or part used.
    pub(super) fn release(&mut self, extents: &[Extent]) -> Result<()> {
        for extent in extents {
            let id = extent.file.to_sql();
            let uses: Option<i64> = self
                .prepare_cached("UPDATE files SET uses = uses - 1 WHERE id = ?1 RETURNING uses")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            if uses == Some(0) {
                self.prepare_cached("DELETE FROM files WHERE id = ?1")?.execute([id])?;
                self.prepare_cached("INSERT OR IGNORE INTO pending (id) VALUES (?1)")?.execute([id])?;
                self.released.push(extent.file);
            }
        }
        Ok(())
    }

    /// Lets go of everything an object that goes away used.
    pub(super) fn release_body(&mut self, body: &StoredBody) -> Result<()> {
        match body {
            StoredBody::Extents(extents) => self.release(extents),
            StoredBody::Inline(id) => {
                self.prepare_cached("DELETE FROM inline_bodies WHERE id = ?1")?.execute([id])?;
                Ok(())
            }
        }
    }

    /// A second object with the same body.
    pub(super) fn copy_body(&mut self, body: &StoredBody) -> Result<StoredBody> {
        match body {
            StoredBody::Extents(extents) => {
                self.share(extents)?;
                Ok(StoredBody::Extents(extents.clone()))
            }
            StoredBody::Inline(id) => {
                let sql = "INSERT INTO inline_bodies (bytes) SELECT bytes FROM inline_bodies WHERE id = ?1";
                Ok(StoredBody::Inline(self.prepare_cached(sql)?.insert([id])?))
            }
        }
    }

    /// Puts an object in place of the one that is there.
    pub(super) fn put_object(&mut self, object: &ObjectRow, existing: Option<&ObjectRow>) -> Result<()> {
        object.store(self)?;
        match existing {
            Some(old) => self.release_body(&old.body),
            None => Ok(()),
        }
    }
}
