//! Which backups to delete: a decision over a list, free of any bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::Summary;
use crate::BackupId;

/// What is to be deleted, and what of the rest is kept. Rules for keeping hold for each directory by itself; without
/// any, only what has expired goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrunePolicy {
    /// Delete what can no longer be restored, whatever the other rules say.
    pub expired: bool,
    /// Keep the newest so many.
    pub keep_last: Option<u64>,
    /// Keep the newest of each of the last so many days (UTC) that have one.
    pub keep_daily: Option<u64>,
    /// Keep the newest of each of the last so many ISO weeks that have one.
    pub keep_weekly: Option<u64>,
}

/// A backup that is to go, or is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// Which.
    pub id: BackupId,
    /// `expired`, or `superseded`: no rule keeps it.
    pub reason: String,
    /// Bytes of its archive.
    pub size_bytes: u64,
}

/// What a policy deletes of a list that is sorted newest first.
pub fn plan_prune(backups: &[Summary], policy: &PrunePolicy, now: SystemTime) -> Vec<Pruned> {
    let expired = |backup: &Summary| policy.expired && backup.is_expired(now);
    let mut by_directory: BTreeMap<&str, Vec<&Summary>> = BTreeMap::new();
    for backup in backups.iter().filter(|backup| !expired(backup)) {
        by_directory.entry(&backup.dir).or_default().push(backup);
    }
    let kept: BTreeSet<&BackupId> = by_directory.values().flat_map(|group| policy.kept(group)).collect();
    let reason = |backup: &Summary| match () {
        () if expired(backup) => Some("expired"),
        () if kept.contains(&backup.id) => None,
        () => Some("superseded"),
    };
    let pruned = |backup: &Summary| {
        let reason = reason(backup)?.to_owned();
        Some(Pruned { id: backup.id.clone(), reason, size_bytes: backup.size_bytes })
    };
    backups.iter().filter_map(pruned).collect()
}

impl PrunePolicy {
    fn kept<'a>(&self, newest_first: &[&'a Summary]) -> Vec<&'a BackupId> {
        if self.keep_last.is_none() && self.keep_daily.is_none() && self.keep_weekly.is_none() {
            return newest_first.iter().map(|backup| &backup.id).collect();
        }
        let last =
            newest_first.iter().take(self.keep_last.unwrap_or_default() as usize).map(|backup| &backup.id);
        // What cannot be dated is not deleted for its date.
        let undated =
            newest_first.iter().filter(|backup| backup.created().is_none()).map(|backup| &backup.id);
        let daily = newest_of_each(newest_first, self.keep_daily, |date| {
            (date.year(), i64::from(date.day_of_year()))
        });
        let weekly = newest_of_each(newest_first, self.keep_weekly, |date| {
            let week = date.iso_week_date();
            (week.year(), i64::from(week.week()))
        });
        last.chain(undated).chain(daily).chain(weekly).collect()
    }
}

fn newest_of_each<'a>(
    newest_first: &[&'a Summary],
    limit: Option<u64>,
    period: impl Fn(jiff::civil::Date) -> (i16, i64),
) -> Vec<&'a BackupId> {
    let mut periods = BTreeSet::new();
    let mut kept = Vec::new();
    for backup in newest_first {
        let Some(created) = backup.created() else { continue };
        let date = TimeZone::UTC.to_datetime(created).date();
        if (periods.len() as u64) < limit.unwrap_or_default() && periods.insert(period(date)) {
            kept.push(&backup.id);
        }
    }
    kept
}

impl Summary {
    fn created(&self) -> Option<Timestamp> {
        self.created_at.parse().ok()
    }

    /// When a restore starts to be refused; none if `createdAt` is unreadable.
    pub fn expires_at(&self) -> Option<Timestamp> {
        crate::manifest::expiry(&self.created_at, self.ttl)
    }

    /// Whether its time to live has passed.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX);
        self.expires_at().is_some_and(|expiry| expiry <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(number: u32, dir: &str, created: &str, ttl: f64) -> Summary {
        Summary {
            id: format!("00000000-0000-4000-8000-{number:012}").parse().unwrap(),
            dir: dir.into(),
            name: None,
            size_bytes: 1,
            ttl,
            created_at: created.into(),
            entries: 0,
            content_bytes: 0,
            excluded: 0,
            skipped_count: 0,
        }
    }

    fn numbers(policy: &PrunePolicy) -> Vec<String> {
        let year = 366.0 * 86_400.0;
        let list = [
            backup(9, "/a", "2024-05-20T20:00:00.000Z", year),
            backup(8, "/a", "2024-05-20T10:00:00.000Z", year),
            backup(7, "/b", "2024-05-19T10:00:00.000Z", year),
            backup(6, "/a", "2024-05-19T09:00:00.000Z", year),
            backup(5, "/a", "2024-05-18T09:00:00.000Z", 60.0),
            backup(4, "/a", "2024-05-11T09:00:00.000Z", year),
            backup(3, "/a", "not a date", year),
        ];
        let now = "2024-05-21T00:00:00Z".parse::<Timestamp>().unwrap().as_second() as u64;
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(now);
        let pruned = plan_prune(&list, policy, now);
        pruned.iter().map(|one| format!("{} {}", &one.id.as_str()[35..], one.reason)).collect()
    }

    #[test]
    fn rules_keep_what_they_say_and_nothing_else_of_that_directory() {
        let nothing = PrunePolicy::default();
        assert!(numbers(&nothing).is_empty());
        assert_eq!(numbers(&PrunePolicy { expired: true, ..nothing }), ["5 expired"]);
        let last = PrunePolicy { keep_last: Some(1), ..nothing };
        assert_eq!(numbers(&last), ["8 superseded", "6 superseded", "5 superseded", "4 superseded"]);
        let daily = PrunePolicy { keep_daily: Some(2), ..nothing };
        assert_eq!(numbers(&daily), ["8 superseded", "5 superseded", "4 superseded"]);
        let weekly = PrunePolicy { keep_weekly: Some(3), ..nothing };
        assert_eq!(numbers(&weekly), ["8 superseded", "5 superseded"]);
        let all =
            PrunePolicy { expired: true, keep_last: Some(2), keep_daily: Some(9), keep_weekly: Some(9) };
        assert_eq!(numbers(&all), ["5 expired"]);
    }
}
