//! Calls about backups.

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use http::Method;
use http_body_util::BodyExt;
use url::form_urlencoded;

use super::connection::Call;
use super::{Client, EventStream};
use crate::{
    BackupEvent, BackupInfo, BackupList, BackupMade, BackupPreview, BackupQuery, BackupRequest,
    BackupVerified, ClientError, CopyBackupRequest, PruneRequest, PruneResult, RestoreRequest, RestoreResult,
    routes,
};

const EVENTS: &str = "text/event-stream";

impl Client {
    /// Makes a backup of a directory of a sandbox.
    pub async fn create_backup(&self, id: &str, request: &BackupRequest) -> Result<BackupMade, ClientError> {
        self.connection
            .send_for(Call::new(Method::POST, routes::of_sandbox(id, "backups")).json(request))
            .await
    }

    /// Says what a backup would hold and leave out.
    pub async fn preview_backup(
        &self,
        id: &str,
        request: &BackupRequest,
    ) -> Result<BackupPreview, ClientError> {
        let request = BackupRequest { dry_run: Some(true), ..request.clone() };
        self.connection
            .send_for(Call::new(Method::POST, routes::of_sandbox(id, "backups")).json(&request))
            .await
    }

    /// [`Self::create_backup`] with progress. Dropping the stream cancels the backup.
    pub async fn create_backup_stream(
        &self,
        id: &str,
        request: &BackupRequest,
    ) -> Result<EventStream<BackupEvent>, ClientError> {
        let call = Call::new(Method::POST, routes::of_sandbox(id, "backups")).json(request).accepting(EVENTS);
        Ok(EventStream::new(self.connection.send(call).await?.into_body()))
    }

    /// Restores a backup in a directory of a sandbox.
    pub async fn restore_backup(
        &self,
        id: &str,
        request: &RestoreRequest,
    ) -> Result<RestoreResult, ClientError> {
        self.connection
            .send_for(Call::new(Method::POST, routes::of_sandbox(id, "restore")).json(request))
            .await
    }

    /// Backups, newest first.
    pub async fn backups(&self, query: &BackupQuery) -> Result<BackupList, ClientError> {
        let fields = serde_json::to_value(query).unwrap_or_default();
        let mut path = form_urlencoded::Serializer::new(format!("{}?", routes::BACKUPS));
        for (name, value) in fields.as_object().into_iter().flatten() {
            path.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        self.connection.send_for(Call::new(Method::GET, path.finish())).await
    }

    /// About one.
    pub async fn backup(&self, backup_id: &str) -> Result<BackupInfo, ClientError> {
        self.connection.send_for(Call::new(Method::GET, routes::backup(backup_id))).await
    }

    /// Removes one.
    pub async fn delete_backup(&self, backup_id: &str) -> Result<(), ClientError> {
        self.connection.send(Call::new(Method::DELETE, routes::backup(backup_id))).await.map(drop)
    }

    /// Reads one's archive and compares it with what was written.
    pub async fn verify_backup(&self, backup_id: &str) -> Result<BackupVerified, ClientError> {
        self.connection.send_for(Call::new(Method::POST, routes::of_backup(backup_id, "verify"))).await
    }

    /// Copies one into another bucket.
    pub async fn copy_backup(
        &self,
        backup_id: &str,
        request: &CopyBackupRequest,
    ) -> Result<BackupInfo, ClientError> {
        let call = Call::new(Method::POST, routes::of_backup(backup_id, "copy")).json(request);
        self.connection.send_for(call).await
    }

    /// One's archive, as it is (`sqsh`) or as `tar`.
    pub async fn export_backup(
        &self,
        backup_id: &str,
        format: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, ClientError>>, ClientError> {
        let path = format!("{}?format={format}", routes::of_backup(backup_id, "export"));
        let body = self.connection.send(Call::new(Method::GET, path)).await?.into_body();
        let connection = self.connection.clone();
        Ok(body.into_data_stream().map_err(move |error| connection.unreachable(error)).boxed())
    }

    /// Deletes backups by rules.
    pub async fn prune_backups(&self, request: &PruneRequest) -> Result<PruneResult, ClientError> {
        self.connection.send_for(Call::new(Method::POST, routes::PRUNE).json(request)).await
    }
}
