//! What a daemon must remember to adopt its sandboxes after being killed: ids, mounts, restores, grants.
//!
//! One thread owns the database and takes the changes as messages. Grants hold credentials, so that nobody else may read
//! the file; it lies in a directory of ours besides.

mod records;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;

use rusqlite::{Connection, Result};
use sandkeep_api::SandboxId;
use tokio::sync::oneshot;

pub(crate) use records::{MountRecord, RestoreRecord, SandboxRecord};

use crate::error::ServiceError;
use crate::grants::GrantsById;

/// SQLite gives the files beside it the same mode.
const PRIVATE: u32 = 0o600;

type Change = Box<dyn FnOnce(&mut Connection) + Send>;

/// The database. Cheap to clone; the thread ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct State {
    changes: mpsc::Sender<Change>,
}

impl State {
    /// Opens or makes the database.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut connection = Connection::open(path)?;
        let private = std::fs::set_permissions(path, std::fs::Permissions::from_mode(PRIVATE));
        private.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A power cut ends the sandboxes too; only our own death must lose nothing.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.execute_batch(records::SCHEMA)?;
        let (changes, messages) = mpsc::channel::<Change>();
        std::thread::Builder::new()
            .name("state".into())
            .spawn(move || messages.into_iter().for_each(|change| change(&mut connection)))
            .map_err(|_| rusqlite::Error::InvalidQuery)?;
        Ok(Self { changes })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (answer, result) = oneshot::channel();
        let change = move |connection: &mut Connection| drop(answer.send(work(connection)));
        self.changes.send(Box::new(change)).map_err(|_| ServiceError::Task)?;
        result.await.map_err(|_| ServiceError::Task)?.map_err(ServiceError::State)
    }

    /// All sandboxes with what belongs to them.
    pub(crate) async fn sandboxes(&self) -> Result<Vec<SandboxRecord>, ServiceError> {
        self.run(|connection| records::sandboxes(connection)).await
    }

    /// Remembers a sandbox, or its changed labels.
    pub(crate) async fn put_sandbox(&self, record: SandboxRecord) -> Result<(), ServiceError> {
        self.run(move |connection| records::put_sandbox(connection, &record)).await
    }

    /// Forgets a sandbox with all that belongs to it.
    pub(crate) async fn remove_sandbox(&self, id: SandboxId) -> Result<(), ServiceError> {
        self.run(move |connection| records::remove_sandbox(connection, &id)).await
    }

    /// Remembers a mount.
    pub(crate) async fn put_mount(&self, id: SandboxId, record: MountRecord) -> Result<(), ServiceError> {
        self.run(move |connection| records::put_mount(connection, &id, &record)).await
    }

    /// Forgets a mount.
    pub(crate) async fn remove_mount(&self, id: SandboxId, path: String) -> Result<(), ServiceError> {
        self.run(move |connection| records::remove_mount(connection, &id, &path)).await
    }

    /// What a sandbox may reach at `s3.internal`.
    pub(crate) async fn grants(&self, id: SandboxId) -> Result<GrantsById, ServiceError> {
        self.run(move |connection| records::grants(connection, &id)).await
    }

    /// Remembers that, instead of what was before.
    pub(crate) async fn put_grants(&self, id: SandboxId, grants: GrantsById) -> Result<(), ServiceError> {
        self.run(move |connection| records::put_grants(connection, &id, &grants)).await
    }

    /// Remembers a restore, beside the one that it replaces.
    pub(crate) async fn put_restore(&self, id: SandboxId, record: RestoreRecord) -> Result<(), ServiceError> {
        self.run(move |connection| records::put_restore(connection, &id, &record)).await
    }

    /// Forgets a restore.
    pub(crate) async fn remove_restore(&self, id: SandboxId, overlay: String) -> Result<(), ServiceError> {
        self.run(move |connection| records::remove_restore(connection, &id, &overlay)).await
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use jiff::Timestamp;
    use sandkeep_api::MountInfo;
    use sandkeep_gateway::{Grant, Origin};
    use sandkeep_objects::{Credentials, S3Settings};
    use sandkeep_sandboxes::SandboxName;

    use super::*;
    use crate::volumes::VolumeId;

    fn id() -> SandboxId {
        SandboxId::from_sdk("data processor/ü").expect("a valid id")
    }

    fn sandbox() -> SandboxRecord {
        SandboxRecord {
            id: id(),
            name: SandboxName::new("data-processor-abc").expect("a valid name"),
            created_at: Timestamp::from_millisecond(1_700_000_000_123).expect("in range"),
            labels: BTreeMap::from([("a".into(), "b".into())]),
            mounts: Vec::new(),
            restores: Vec::new(),
            stateless: true,
        }
    }

    fn mount() -> MountRecord {
        let info = MountInfo {
            bucket: "b".into(),
            mount_path: "/data".into(),
            endpoint: Some("http://127.0.0.1:9000".into()),
            prefix: Some("/x/".into()),
            read_only: true,
        };
        MountRecord { info, volume: VolumeId("v1".into()), attached: true }
    }

    fn restore() -> RestoreRecord {
        let (dir, backup_id, overlay) = ("/workspace".into(), "uuid".into(), "key".into());
        RestoreRecord { dir, backup_id, overlay, volume: Some(VolumeId("v2".into())) }
    }

    fn grants() -> GrantsById {
        let s3 = S3Settings::new(
            "http://127.0.0.1:9".parse().expect("a URL"),
            Some(Credentials::new("id", "sEcret")),
        );
        let grant = Grant {
            bucket: "b".parse().expect("a name"),
            prefix: "x/y".into(),
            read_only: true,
            expires: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000)),
            origin: Origin::Remote(Box::new(s3)),
        };
        GrantsById::from([("one".into(), grant)])
    }

    #[tokio::test]
    async fn what_was_remembered_is_there_after_opening_again() {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let path = directory.path().join("state.db");
        let state = State::open(&path).expect("opens");
        state.put_sandbox(sandbox()).await.expect("remembered");
        state.put_mount(id(), mount()).await.expect("remembered");
        state.put_restore(id(), restore()).await.expect("remembered");
        state.put_grants(id(), grants()).await.expect("remembered");
        drop(state);
        let state = State::open(&path).expect("opens again");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(state.grants(id()).await.expect("read"), grants());
        assert!(!format!("{:?}", grants()).contains("sEcret"));
        let expected = SandboxRecord { mounts: vec![mount()], restores: vec![restore()], ..sandbox() };
        assert_eq!(state.sandboxes().await.expect("read"), [expected]);
        state.remove_mount(id(), "/data".into()).await.expect("forgotten");
        state.remove_sandbox(id()).await.expect("forgotten");
        assert_eq!(state.sandboxes().await.expect("read"), []);
        assert_eq!(state.grants(id()).await.expect("read"), GrantsById::new());
        state.put_mount(id(), mount()).await.expect_err("of no sandbox");
    }
}
