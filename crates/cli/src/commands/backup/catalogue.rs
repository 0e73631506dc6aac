//! Listing, showing, checking, deleting and copying backups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use jiff::Timestamp;
use sandkeep_api::{BackupInfo, BackupQuery, CopyBackupRequest, PruneRequest};
use sandkeep_daemon::standalone::{self, Location, PrunePolicy, Summary};
use serde_json::json;

use super::text::Shown;
use super::{Result, backup_id, locate, service};
use crate::arguments::{
    BackupArguments, BackupCopyArguments, BackupListArguments, BackupPruneArguments, PlaceArguments,
};
use crate::error::Error;
use crate::output::Output;
use crate::progress::Bar;

const HEADER: [&str; 5] = ["id", "created", "directory", "bytes", "name"];

fn row(id: &str, created: &str, dir: &str, bytes: u64, name: Option<&str>) -> Vec<String> {
    vec![id.into(), created.into(), dir.into(), bytes.to_string(), name.unwrap_or_default().into()]
}

fn place(arguments: &PlaceArguments) -> Result<Option<Location>> {
    arguments.from.as_ref().map(|from| locate(from, &arguments.store)).transpose()
}

pub(super) async fn list(arguments: BackupListArguments, output: Output) -> Result<()> {
    let query = BackupQuery {
        name: arguments.name,
        dir: arguments.dir,
        older_than: arguments.older_than,
        newer_than: arguments.newer_than,
        limit: None,
        cursor: None,
    };
    if let Some(place) = place(&arguments.place)? {
        let now = Timestamp::now();
        let mut found = standalone::list_backups(place).await?;
        found.retain(|backup| is_wanted(backup, &query, now));
        output.list(&found, &HEADER, |one| {
            row(one.id.as_str(), &one.created_at, &one.dir, one.size_bytes, one.name.as_deref())
        });
        return Ok(());
    }
    let list = service::client(&arguments.place.service)?.backups(&query).await?;
    output.list(&list.backups, &HEADER, |one: &BackupInfo| {
        row(&one.id, &one.created_at, &one.dir, one.size_bytes, one.name.as_deref())
    });
    Ok(())
}

fn is_wanted(backup: &Summary, query: &BackupQuery, now: Timestamp) -> bool {
    let created = backup.created_at.parse::<Timestamp>().ok();
    let age = created.and_then(|created| u64::try_from(now.as_second() - created.as_second()).ok());
    query.name.as_ref().is_none_or(|name| backup.name.as_ref() == Some(name))
        && query.dir.as_ref().is_none_or(|dir| backup.dir == *dir)
        && query.older_than.is_none_or(|limit| age.is_some_and(|age| age >= limit))
        && query.newer_than.is_none_or(|limit| age.is_some_and(|age| age <= limit))
}

pub(super) async fn show(arguments: BackupArguments, output: Output) -> Result<()> {
    if let Some(place) = place(&arguments.place)? {
        let manifest = standalone::show_backup(place, &backup_id(&arguments.id)?).await?;
        output.result(&manifest, || Shown::of_host(&manifest).text());
        return Ok(());
    }
    let backup = service::client(&arguments.place.service)?.backup(&arguments.id).await?;
    output.result(&backup, || Shown::of_service(&backup).text());
    Ok(())
}

pub(super) async fn verify(arguments: BackupArguments, output: Output) -> Result<()> {
    let (id, bytes, by_hashes) = match place(&arguments.place)? {
        Some(place) => {
            let id = backup_id(&arguments.id)?;
            let total = standalone::show_backup(place.clone(), &id).await?.size_bytes;
            let (bar, done) = (Bar::new(), AtomicU64::new(0));
            let read = move |bytes| bar.show(done.fetch_add(bytes, Ordering::Relaxed) + bytes, total);
            let verified = standalone::verify_backup(place, &id, Arc::new(read)).await?;
            (id.to_string(), verified.bytes, verified.by_hashes)
        }
        None => {
            let verified = service::client(&arguments.place.service)?.verify_backup(&arguments.id).await?;
            (verified.id, verified.bytes, verified.by_hashes)
        }
    };
    output.result(&json!({ "id": id, "bytes": bytes, "byHashes": by_hashes }), || {
        let how = if by_hashes {
            "have the hashes that were taken"
        } else {
            "can all be unpacked; there are no hashes"
        };
        format!("{id} is intact: its {bytes} bytes {how}")
    });
    Ok(())
}

pub(super) async fn remove(ids: &[String], arguments: PlaceArguments, output: Output) -> Result<()> {
    let place = place(&arguments)?;
    for id in ids {
        match &place {
            Some(place) => standalone::delete_backup(place.clone(), &backup_id(id)?).await?,
            None => service::client(&arguments.service)?.delete_backup(id).await?,
        }
        output.result(&json!({ "id": id, "deleted": true }), || format!("deleted {id}"));
    }
    Ok(())
}

pub(super) async fn prune(arguments: BackupPruneArguments, output: Output) -> Result<()> {
    let BackupPruneArguments { expired, keep_last, keep_daily, keep_weekly, dry_run, .. } = arguments;
    if !expired && keep_last.is_none() && keep_daily.is_none() && keep_weekly.is_none() {
        return Err(Error::new("no rule says what to delete")
            .hint("give --expired, or what to keep with --keep-last, --keep-daily, --keep-weekly"));
    }
    let pruned = match place(&arguments.place)? {
        Some(place) => {
            let policy = PrunePolicy { expired, keep_last, keep_daily, keep_weekly };
            let list = standalone::list_backups(place.clone()).await?;
            let planned = standalone::plan_prune(&list, &policy, SystemTime::now());
            for one in planned.iter().filter(|_| !dry_run) {
                standalone::delete_backup(place.clone(), &one.id).await?;
            }
            planned.into_iter().map(|one| (one.id.to_string(), one.reason, one.size_bytes)).collect()
        }
        None => {
            let request = PruneRequest { expired, keep_last, keep_daily, keep_weekly, dry_run };
            let result = service::client(&arguments.place.service)?.prune_backups(&request).await?;
            let pruned = result.pruned.into_iter().map(|one| (one.id, one.reason, one.size_bytes));
            pruned.collect::<Vec<_>>()
        }
    };
    let rows: Vec<_> = pruned
        .iter()
        .map(|(id, reason, bytes)| json!({ "id": id, "reason": reason, "sizeBytes": bytes, "dryRun": dry_run }))
        .collect();
    let header = [if dry_run { "would delete" } else { "deleted" }, "because", "bytes"];
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    output.list(&rows, &header, |row| vec![text(&row["id"]), text(&row["reason"]), text(&row["sizeBytes"])]);
    Ok(())
}

pub(super) async fn copy(arguments: BackupCopyArguments, output: Output) -> Result<()> {
    let BackupCopyArguments { id, bucket, prefix, to, place: from } = arguments;
    if let (Some(to), Some(source)) = (&to, place(&from)?) {
        let target = locate(to, &from.store)?;
        let manifest = standalone::copy_backup(source, &backup_id(&id)?, target).await?;
        output.result(&manifest, || format!("copied {id} to {to}"));
        return Ok(());
    }
    let bucket = bucket.ok_or_else(|| Error::new("--bucket is missing"))?;
    let request = CopyBackupRequest { bucket: bucket.clone(), prefix };
    let info = service::client(&from.service)?.copy_backup(&id, &request).await?;
    output.result(&info, || format!("copied {id} to {bucket}"));
    Ok(())
}
