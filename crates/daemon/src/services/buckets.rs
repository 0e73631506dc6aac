//! Buckets, wherever they are.

use std::time::SystemTime;

use jiff::Timestamp;
use sandkeep_api::{
    BucketInfo, BucketLifecycle, BucketPlace, BucketRule, ErrorCode, InvalidInput, MigrationInfo,
    MigrationPhase, MigrationRequest, MigrationResult,
};
use sandkeep_objects::{
    self as objects, BucketName, LifecycleRule, ListRequest, MigrationOptions, MigrationOutcome,
    MigrationStatus, ObjectKey,
};

use super::Services;
use crate::error::ServiceError;
use crate::grants::BucketStatus;

/// Rules of a bucket at most, as on S3.
const MAX_RULES: usize = 1000;
/// Characters of a rule's id at most, as on S3.
const MAX_RULE_ID: usize = 255;

impl Services {
    /// All, by name.
    pub(crate) async fn buckets(&self) -> Result<Vec<BucketInfo>, ServiceError> {
        Ok(self.buckets.buckets().await?.iter().map(info).collect())
    }

    /// One of them.
    pub(crate) async fn bucket(&self, name: &str) -> Result<BucketInfo, ServiceError> {
        Ok(info(&self.buckets.bucket(&bucket_name(name)?).await?))
    }

    /// Makes one.
    pub(crate) async fn create_bucket(&self, name: &str) -> Result<BucketInfo, ServiceError> {
        let name = bucket_name(name)?;
        self.store.service.create_bucket(&name).await.map_err(ServiceError::Store)?;
        Ok(info(&self.buckets.bucket(&name).await?))
    }

    /// Removes one that is empty, or with `force` one with whatever is in it.
    pub(crate) async fn delete_bucket(&self, name: &str, force: bool) -> Result<(), ServiceError> {
        let name = bucket_name(name)?;
        loop {
            match self.store.service.delete_bucket(&name).await {
                // Somebody may write while it is emptied.
                Err(objects::Error::BucketNotEmpty { .. }) if force => self.empty(&name).await?,
                deleted => return deleted.map_err(ServiceError::Store),
            }
        }
    }

    async fn empty(&self, name: &BucketName) -> Result<(), ServiceError> {
        let store = self.store.service.bucket(name);
        let mut request = ListRequest::default();
        loop {
            let page = store.list(request.clone()).await.map_err(ServiceError::Store)?;
            let keys: Vec<ObjectKey> = page.objects.into_iter().map(|object| object.key).collect();
            if !keys.is_empty() {
                for outcome in store.delete_many(&keys).await.map_err(ServiceError::Store)? {
                    outcome.map_err(ServiceError::Store)?;
                }
            }
            request.continuation = page.next;
            if request.continuation.is_none() {
                return Ok(());
            }
        }
    }

    /// The rules by which it lets go of what is old.
    pub(crate) async fn bucket_lifecycle(&self, name: &str) -> Result<BucketLifecycle, ServiceError> {
        let name = bucket_name(name)?;
        let rules = self.store.service.lifecycle(&name).await.map_err(ServiceError::Store)?;
        Ok(BucketLifecycle { rules: rules.into_iter().map(shown).collect() })
    }

    /// Replaces them.
    pub(crate) async fn set_bucket_lifecycle(
        &self,
        name: &str,
        lifecycle: BucketLifecycle,
    ) -> Result<BucketLifecycle, ServiceError> {
        check_rules(&lifecycle.rules)?;
        let rules = lifecycle.rules.iter().map(kept).collect();
        let name = bucket_name(name)?;
        self.store.service.set_lifecycle(&name, rules).await.map_err(ServiceError::Store)?;
        Ok(lifecycle)
    }

    /// Begins to move it to the other store.
    pub(crate) async fn migrate_bucket(
        &self,
        name: &str,
        request: MigrationRequest,
    ) -> Result<MigrationInfo, ServiceError> {
        let MigrationRequest { delete_source, abort_uploads } = request;
        let options = MigrationOptions { delete_source, abort_uploads };
        Ok(migration(name, self.buckets.migrate(&bucket_name(name)?, options).await?))
    }

    /// How far that is.
    pub(crate) async fn bucket_migration(&self, name: &str) -> Result<MigrationInfo, ServiceError> {
        let status = self.buckets.migration(&bucket_name(name)?).await?;
        Ok(migration(name, status.ok_or_else(|| not_moved(name))?))
    }

    /// Ends it, unless the bucket was switched over already.
    pub(crate) async fn cancel_migration(&self, name: &str) -> Result<MigrationInfo, ServiceError> {
        let status = self.buckets.cancel_migration(&bucket_name(name)?).await?;
        Ok(migration(name, status.ok_or_else(|| not_moved(name))?))
    }
}

fn bucket_name(name: &str) -> Result<BucketName, InvalidInput> {
    name.parse().map_err(|error: objects::KeyError| {
        InvalidInput::new(ErrorCode::ValidationFailed, error.to_string()).with("field", "name")
    })
}

fn not_moved(name: &str) -> InvalidInput {
    let message = format!("the bucket {name:?} was not moved since the S3 endpoint was started");
    InvalidInput::new(ErrorCode::BucketNotFound, message)
}

fn info(bucket: &BucketStatus) -> BucketInfo {
    BucketInfo {
        name: bucket.name.as_str().to_owned(),
        created_at: timestamp(bucket.created),
        place: if bucket.embedded { BucketPlace::Embedded } else { BucketPlace::Remote },
        objects: bucket.usage.objects,
        bytes: bucket.usage.bytes,
        more: bucket.usage.more,
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn check_rules(rules: &[BucketRule]) -> Result<(), InvalidInput> {
    let refuse =
        |message: String| Err(InvalidInput::new(ErrorCode::ValidationFailed, message).with("field", "rules"));
    if rules.len() > MAX_RULES {
        return refuse(format!("a bucket has at most {MAX_RULES} rules"));
    }
    for (number, rule) in rules.iter().enumerate() {
        let days = [rule.expire_after_days, rule.abort_incomplete_after_days];
        if rule.id.is_empty() || rule.id.chars().count() > MAX_RULE_ID {
            return refuse(format!("the id of rule {number} must have 1 to {MAX_RULE_ID} characters"));
        }
        if rules[..number].iter().any(|earlier| earlier.id == rule.id) {
            return refuse(format!("two rules have the id {:?}", rule.id));
        }
        if days.contains(&Some(0)) {
            return refuse(format!("the days of rule {:?} must be at least 1", rule.id));
        }
        if days == [None, None] {
            return refuse(format!("rule {:?} needs expireAfterDays or abortIncompleteAfterDays", rule.id));
        }
    }
    Ok(())
}

fn kept(rule: &BucketRule) -> LifecycleRule {
    LifecycleRule {
        id: rule.id.clone(),
        prefix: rule.prefix.clone(),
        plain_prefix: false,
        enabled: rule.enabled,
        expire_after_days: rule.expire_after_days,
        abort_uploads_after_days: rule.abort_incomplete_after_days,
    }
}

fn shown(rule: LifecycleRule) -> BucketRule {
    BucketRule {
        id: rule.id,
        prefix: rule.prefix,
        enabled: rule.enabled,
        expire_after_days: rule.expire_after_days,
        abort_incomplete_after_days: rule.abort_uploads_after_days,
    }
}

fn migration(bucket: &str, status: MigrationStatus) -> MigrationInfo {
    let (result, reason, kept) = match status.outcome {
        None => (None, None, None),
        Some(MigrationOutcome::Switched { kept }) => (Some(MigrationResult::Switched), None, kept),
        Some(MigrationOutcome::Failed { reason }) => (Some(MigrationResult::Failed), Some(reason), None),
        Some(MigrationOutcome::Cancelled) => (Some(MigrationResult::Cancelled), None, None),
    };
    MigrationInfo {
        bucket: bucket.to_owned(),
        phase: phase(status.phase),
        target: status.target,
        total_objects: status.total_objects,
        total_bytes: status.total_bytes,
        done_objects: status.done_objects,
        done_bytes: status.done_bytes,
        found_objects: status.found_objects,
        changed_objects: status.changed_objects,
        result,
        reason,
        kept,
    }
}

fn phase(phase: objects::MigrationPhase) -> MigrationPhase {
    match phase {
        objects::MigrationPhase::Copying => MigrationPhase::Copying,
        objects::MigrationPhase::Comparing => MigrationPhase::Comparing,
        objects::MigrationPhase::Waiting => MigrationPhase::Waiting,
        objects::MigrationPhase::Switching => MigrationPhase::Switching,
        objects::MigrationPhase::Deleting => MigrationPhase::Deleting,
        objects::MigrationPhase::Ended => MigrationPhase::Ended,
    }
}
