//! CORS rules, kept with the bucket.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::damaged;
use super::rows::BucketId;
use crate::{CorsRule, Result};

/// The rules of a bucket.
pub(super) fn rules(connection: &Connection, bucket: BucketId) -> Result<Vec<CorsRule>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT rules FROM cors WHERE bucket = ?1")?
        .query_row([bucket.0], |row| row.get(0))
        .optional()?;
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(&text).map_err(|_| damaged("CORS rules"))
}

/// Replaces the rules of a bucket.
pub(super) fn set_rules(connection: &Connection, bucket: BucketId, rules: &[CorsRule]) -> Result<()> {
    connection.prepare_cached("DELETE FROM cors WHERE bucket = ?1")?.execute([bucket.0])?;
    if !rules.is_empty() {
        let text = serde_json::to_string(rules).expect("rules always become JSON");
        connection
            .prepare_cached("INSERT INTO cors (bucket, rules) VALUES (?1, ?2)")?
            .execute(params![bucket.0, text])?;
    }
    Ok(())
}
