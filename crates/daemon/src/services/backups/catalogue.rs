//! The backups that are there.

use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use sandkeep_api::{
    BackupInfo, BackupList, BackupQuery, BackupVerified, CopyBackupRequest, ErrorCode, InvalidInput,
    LeftOutRule, PruneRequest, PruneResult, PrunedBackup, SkippedName,
};
use sandkeep_backups::{self as backups, BackupId, LeftOut, Manifest, PrunePolicy, RestoreError, Summary};
use sandkeep_objects::{Error as StoreError, ObjectStore};

use super::place::Place;
use crate::error::ServiceError;
use crate::services::Services;
use crate::settings::Binding;
use crate::volumes::chain;

/// Of a page.
const MAX_LIMIT: usize = 1000;

impl Services {
    /// Those that a query asks for, newest first.
    pub(crate) async fn backups(&self, query: &BackupQuery) -> Result<BackupList, ServiceError> {
        if query.limit.is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit)) {
            let message = format!("limit must be from 1 to {MAX_LIMIT}");
            return Err(InvalidInput::new(ErrorCode::ValidationFailed, message).into());
        }
        let all = self.summaries().await?;
        let now = sandkeep_api::now();
        let mut wanted = all.into_iter().filter(|backup| is_wanted(backup, query, now)).peekable();
        if let Some(cursor) = &query.cursor {
            while wanted.next_if(|backup| !is_behind(backup, cursor)).is_some() {}
        }
        let page: Vec<Summary> = wanted.by_ref().take(query.limit.unwrap_or(usize::MAX)).collect();
        let next = wanted.peek().and(page.last()).map(cursor_of);
        Ok(BackupList { backups: page.into_iter().map(summary).collect(), next })
    }

    async fn summaries(&self) -> Result<Vec<Summary>, ServiceError> {
        let place = self.backup_place(false)?;
        match backups::list(self.open_place(&place)?, &place.prefix).await {
            Ok(summaries) => Ok(summaries),
            // Our own bucket is made by the first backup.
            Err(RestoreError::Store(StoreError::NoSuchBucket { .. })) if place.embedded => Ok(Vec::new()),
            Err(error) => Err(failed(error, "")),
        }
    }

    /// About one.
    pub(crate) async fn backup(&self, id: &str) -> Result<BackupInfo, ServiceError> {
        let (place, store) = self.place_and_store()?;
        let found = backups::inspect(store, &place.prefix, &backup_id(id)?).await;
        found.map(|manifest| info(&manifest)).map_err(|error| failed(error, id))
    }

    /// Removes one.
    pub(crate) async fn delete_backup(&self, id: &str) -> Result<(), ServiceError> {
        let (place, store) = self.place_and_store()?;
        let deleted = backups::delete(store, &place.prefix, &backup_id(id)?).await;
        deleted.map_err(|error| failed(error, id))
    }

    /// Reads one and compares it with what was written.
    pub(crate) async fn verify_backup(&self, id: &str) -> Result<BackupVerified, ServiceError> {
        let (place, store) = self.place_and_store()?;
        let verified = backups::verify(store, &place.prefix, &backup_id(id)?, Arc::new(|_| ())).await;
        let verified = verified.map_err(|error| failed(error, id))?;
        Ok(BackupVerified { id: id.to_owned(), bytes: verified.bytes, by_hashes: verified.by_hashes })
    }

    /// Copies one into an embedded bucket or a binding's.
    pub(crate) async fn copy_backup(
        &self,
        id: &str,
        request: &CopyBackupRequest,
    ) -> Result<BackupInfo, ServiceError> {
        let (place, store) = self.place_and_store()?;
        let target = self.copy_target(request)?;
        let (backup, to) = (backup_id(id)?, self.open_place(&target)?);
        let copied = backups::copy(store, &place.prefix, &backup, to, &target.prefix).await;
        copied.map(|manifest| info(&manifest)).map_err(|error| failed(error, id))
    }

    fn copy_target(&self, request: &CopyBackupRequest) -> Result<Place, ServiceError> {
        let invalid = |message: &str| InvalidInput::new(ErrorCode::InvalidBackupConfig, message);
        let prefix = request.prefix.clone().unwrap_or_default();
        if !prefix.is_empty() && (!prefix.ends_with('/') || prefix.starts_with('/')) {
            return Err(invalid("prefix must end with a slash and not start with one").into());
        }
        let binding = match self.settings.bindings.get(&request.bucket) {
            Some(binding) => binding.clone(),
            None => {
                let bucket = request.bucket.parse();
                let bucket =
                    bucket.map_err(|_| invalid("bucket is neither a binding nor a bucket's name"))?;
                Binding { bucket, remote: None }
            }
        };
        let embedded = binding.remote.is_none();
        Ok(Place { store: self.binding_store(&binding, &self.settings.variables)?, prefix, embedded })
    }

    /// Deletes by rules.
    pub(crate) async fn prune_backups(&self, request: &PruneRequest) -> Result<PruneResult, ServiceError> {
        let policy = PrunePolicy {
            expired: request.expired,
            keep_last: request.keep_last,
            keep_daily: request.keep_daily,
            keep_weekly: request.keep_weekly,
        };
        let planned = backups::plan_prune(&self.summaries().await?, &policy, SystemTime::now());
        let mut result = PruneResult { dry_run: request.dry_run, ..PruneResult::default() };
        let (place, store) = self.place_and_store()?;
        for one in planned {
            if !request.dry_run {
                match backups::delete(Arc::clone(&store), &place.prefix, &one.id).await {
                    // Somebody else was faster.
                    Ok(()) | Err(RestoreError::NotFound { .. }) => {}
                    Err(error) => return Err(failed(error, one.id.as_str())),
                }
            }
            let (id, reason, size_bytes) = (one.id.to_string(), one.reason, one.size_bytes);
            result.pruned.push(PrunedBackup { id, reason, size_bytes });
        }
        Ok(result)
    }

    pub(super) fn place_and_store(&self) -> Result<(Place, Arc<dyn ObjectStore>), ServiceError> {
        let place = self.backup_place(false)?;
        let store = self.open_place(&place)?;
        Ok((place, store))
    }
}

fn is_wanted(backup: &Summary, query: &BackupQuery, now: Timestamp) -> bool {
    let age =
        backup.created_at.parse::<Timestamp>().ok().map(|created| now.as_second() - created.as_second());
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.is_none() || wanted.as_deref() == found;
    let bound = |limit: Option<u64>| limit.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    is(&query.name, backup.name.as_deref())
        && is(&query.dir, Some(&backup.dir))
        && bound(query.older_than).is_none_or(|limit| age.is_some_and(|age| age >= limit))
        && bound(query.newer_than).is_none_or(|limit| age.is_some_and(|age| age <= limit))
}

/// A place in the list that stays when backups come and go.
fn cursor_of(backup: &Summary) -> String {
    format!("{}_{}", backup.created_at, backup.id)
}

fn is_behind(backup: &Summary, cursor: &str) -> bool {
    cursor_of(backup).as_str() < cursor
}

pub(super) fn backup_id(id: &str) -> Result<BackupId, ServiceError> {
    id.parse().map_err(|_| ServiceError::BackupNotFound { id: id.to_owned() })
}

pub(super) fn failed(error: RestoreError, id: &str) -> ServiceError {
    match error {
        RestoreError::NotFound { id } => ServiceError::BackupNotFound { id },
        RestoreError::Expired { id, expired_at } => ServiceError::BackupExpired { id, expired_at },
        RestoreError::Store(StoreError::NoSuchBucket { .. } | StoreError::NoSuchKey { .. }) => {
            ServiceError::BackupNotFound { id: id.to_owned() }
        }
        RestoreError::Store(error) => ServiceError::Store(error),
        error => ServiceError::BackupRestore { id: id.to_owned(), reason: chain(&error) },
    }
}

fn summary(summary: Summary) -> BackupInfo {
    let expires_at = summary.expires_at();
    BackupInfo {
        id: summary.id.to_string(),
        dir: summary.dir,
        name: summary.name,
        size_bytes: summary.size_bytes,
        ttl: summary.ttl,
        created_at: summary.created_at,
        expires_at,
        entries: summary.entries,
        content_bytes: summary.content_bytes,
        excluded: summary.excluded,
        left_out: Vec::new(),
        skipped: Vec::new(),
        skipped_count: summary.skipped_count,
        base: None,
        copied_bytes: 0,
        consistency: None,
    }
}

pub(super) fn info(manifest: &Manifest) -> BackupInfo {
    let skipped = |one: backups::Skipped| SkippedName { path: one.path, reason: one.reason };
    BackupInfo {
        base: manifest.base.as_ref().map(BackupId::to_string),
        copied_bytes: manifest.copied_bytes,
        consistency: manifest.consistency.clone(),
        left_out: manifest.left_out.iter().cloned().map(left_out).collect(),
        skipped: manifest.skipped.iter().cloned().map(skipped).collect(),
        ..summary(Summary::of(manifest))
    }
}

pub(super) fn left_out(rule: LeftOut) -> LeftOutRule {
    let LeftOut { by, pattern, source, names, files, bytes } = rule;
    LeftOutRule { by, pattern, source, names, files, bytes }
}
