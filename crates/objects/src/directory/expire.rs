//! Lifecycle rules: kept with the bucket, and run when somebody says so.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::damaged;
use super::rows::{BucketId, find_bucket, find_object, time_to_sql};
use super::service::Inner;
use super::{multipart, mutations};
use crate::listing::successor;
use crate::{BucketName, Expired, LifecycleRule, ObjectKey, Result};

/// Keys looked at between two pauses in which the index can go on.
const BATCH: i64 = 1000;

/// The rules of a bucket.
pub(super) fn rules(connection: &Connection, bucket: BucketId) -> Result<Vec<LifecycleRule>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT rules FROM lifecycles WHERE bucket = ?1")?
        .query_row([bucket.0], |row| row.get(0))
        .optional()?;
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(&text).map_err(|_| damaged("lifecycle rules"))
}

/// Replaces the rules of a bucket.
pub(super) fn set_rules(connection: &Connection, bucket: BucketId, rules: &[LifecycleRule]) -> Result<()> {
    connection.prepare_cached("DELETE FROM lifecycles WHERE bucket = ?1")?.execute([bucket.0])?;
    if !rules.is_empty() {
        let text = serde_json::to_string(rules).expect("rules always become JSON");
        connection
            .prepare_cached("INSERT INTO lifecycles (bucket, rules) VALUES (?1, ?2)")?
            .execute(params![bucket.0, text])?;
    }
    Ok(())
}

/// Runs all rules of a bucket as of `now`.
pub(super) async fn expire(inner: &Inner, bucket: &BucketName, now: SystemTime) -> Result<Expired> {
    let name = bucket.clone();
    let found = inner
        .readers
        .read(move |connection| {
            let bucket = find_bucket(connection, &name)?;
            Ok((bucket, rules(connection, bucket)?))
        })
        .await;
    let (bucket, rules) = found?;
    let mut expired = Expired::default();
    for rule in rules.into_iter().filter(|rule| rule.enabled) {
        if let Some(before) = days_ago(now, rule.expire_after_days) {
            expired.objects += expire_objects(inner, bucket, rule.prefix.as_bytes(), before).await?;
        }
        if let Some(before) = days_ago(now, rule.abort_uploads_after_days) {
            expired.uploads += abort_uploads(inner, bucket, rule.prefix.clone(), before).await?;
        }
    }
    Ok(expired)
}

fn days_ago(now: SystemTime, days: Option<u32>) -> Option<SystemTime> {
    now.checked_sub(Duration::from_secs(u64::from(days?) * 24 * 60 * 60))
}

async fn expire_objects(inner: &Inner, bucket: BucketId, prefix: &[u8], before: SystemTime) -> Result<u64> {
    let (mut from, end) = (prefix.to_vec(), successor(prefix));
    let mut count = 0;
    loop {
        let (start, end) = (from, end.clone());
        let read =
            move |connection: &Connection| old_keys(connection, bucket, &start, end.as_deref(), before);
        let (old, last) = inner.readers.read(read).await?;
        if !old.is_empty() {
            let delete =
                move |change: &mut super::change::Change<'_>| delete_old(change, bucket, &old, before);
            count += inner.writer.apply(delete).await?;
        }
        let Some(last) = last else { return Ok(count) };
        from = [&last[..], &[0]].concat();
    }
}

/// The keys of a batch that are old, and the last one looked at if there may be more.
fn old_keys(
    connection: &Connection,
    bucket: BucketId,
    from: &[u8],
    end: Option<&[u8]>,
    before: SystemTime,
) -> Result<(Vec<ObjectKey>, Option<Vec<u8>>)> {
    let mut select = connection.prepare_cached(
        "SELECT key, modified FROM objects
         WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key LIMIT ?4",
    )?;
    let mut rows = select.query(params![bucket.0, from, end, BATCH])?;
    let (mut old, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let key: Vec<u8> = row.get(0)?;
        if row.get::<_, i64>(1)? <= time_to_sql(before) {
            old.push(ObjectKey::new(key.clone())?);
        }
        last = Some(key);
    }
    Ok((old, last))
}

/// Judges again: an object may have been overwritten since it was found old.
fn delete_old(
    change: &mut super::change::Change<'_>,
    bucket: BucketId,
    keys: &[ObjectKey],
    before: SystemTime,
) -> Result<u64> {
    let mut count = 0;
    for key in keys {
        if find_object(change, bucket, key)?.is_some_and(|object| object.info.last_modified <= before) {
            mutations::delete(change, bucket, key)?;
            count += 1;
        }
    }
    Ok(count)
}

async fn abort_uploads(inner: &Inner, bucket: BucketId, prefix: String, before: SystemTime) -> Result<u64> {
    let abort = move |change: &mut super::change::Change<'_>| {
        let uploads = multipart::list_uploads(change, bucket, prefix.as_bytes())?;
        let mut count = 0;
        for info in uploads.iter().filter(|info| info.started <= before) {
            multipart::abort(change, bucket, &info.upload)?;
            count += 1;
        }
        Ok(count)
    };
    inner.writer.apply(abort).await
}
