//! Lifecycle rules over any store, by its listings.

use std::time::{Duration, SystemTime};

use crate::{Expired, LifecycleRule, ListRequest, ObjectKey, ObjectStore, Result};

/// Lets go of what the rules no longer keep.
pub(super) async fn expire(
    store: &dyn ObjectStore,
    rules: &[LifecycleRule],
    now: SystemTime,
) -> Result<Expired> {
    let mut expired = Expired::default();
    for rule in rules.iter().filter(|rule| rule.enabled) {
        if let Some(before) = days_ago(now, rule.expire_after_days) {
            expired.objects += expire_objects(store, rule.prefix.as_bytes(), before).await?;
        }
        if let Some(before) = days_ago(now, rule.abort_uploads_after_days) {
            for found in store.list_uploads(rule.prefix.as_bytes()).await? {
                if found.started <= before {
                    store.abort_upload(&found.upload).await?;
                    expired.uploads += 1;
                }
            }
        }
    }
    Ok(expired)
}

fn days_ago(now: SystemTime, days: Option<u32>) -> Option<SystemTime> {
    now.checked_sub(Duration::from_secs(u64::from(days?) * 24 * 60 * 60))
}

async fn expire_objects(store: &dyn ObjectStore, prefix: &[u8], before: SystemTime) -> Result<u64> {
    let mut request = ListRequest { prefix: prefix.to_owned(), ..ListRequest::default() };
    let mut count = 0;
    loop {
        let page = store.list(request.clone()).await?;
        let old = page.objects.iter().filter(|object| object.last_modified <= before);
        let old: Vec<ObjectKey> = old.map(|object| object.key.clone()).collect();
        if !old.is_empty() {
            let outcomes = store.delete_many(&old).await?;
            count += outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        }
        request.continuation = page.next;
        if request.continuation.is_none() {
            return Ok(count);
        }
    }
}
