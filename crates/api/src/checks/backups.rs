//! Options of `createBackup` and the handle of `restoreBackup`.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{ErrorCode, InvalidInput};

/// Three days.
pub const DEFAULT_TTL_SECONDS: f64 = 259_200.0;
/// Fields of the options.
pub const BACKUP_FIELDS: &[&str] = &[
    "dir",
    "name",
    "ttl",
    "gitignore",
    "useGitignore",
    "excludes",
    "compression",
    "multipart",
    "localBucket",
    "dryRun",
    "full",
    "freeze",
];
/// Fields of a handle, as `createBackup` answers it, and what a restore takes beside them.
pub const HANDLE_FIELDS: &[&str] = &["id", "dir", "localBucket", "info", "eager"];

const ROOTS: [&str; 5] = ["/workspace", "/home", "/tmp", "/var/tmp", "/app"];
const MAX_NAME_UNITS: usize = 256;
const DEFAULT_THREADS: u64 = 8;
const UUID_TEXT_LENGTH: usize = 36;

/// Checked options.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupOptions {
    /// The directory, as given.
    pub dir: String,
    /// The caller's name; an empty one is none.
    pub name: Option<String>,
    /// Seconds, positive.
    pub ttl: f64,
    /// Leave out what git ignores.
    pub gitignore: bool,
    /// Patterns, as given.
    pub excludes: Vec<String>,
    /// How to compress.
    pub compression: CompressionOptions,
    /// Upload in parts.
    pub multipart: bool,
    /// Use the binding's bucket directly.
    pub local_bucket: bool,
    /// Only say what would be left out.
    pub dry_run: bool,
    /// Read everything again.
    pub full: bool,
    /// Freeze the sandbox while its files are taken.
    pub freeze: bool,
}

/// Checked `compression`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionOptions {
    /// None: the server's default.
    pub format: Option<CompressionFormat>,
    /// At least 1.
    pub threads: u64,
}

/// Codecs that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionFormat {
    /// zlib.
    Gzip,
    /// lz4.
    Lz4,
    /// zstd, at the default level.
    Zstd,
    /// zstd, at a level from 1 to 22.
    ZstdLevel(u8),
    /// Stored as it is.
    None,
}

/// A checked handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreHandle {
    /// A UUID, as given.
    pub id: String,
    /// The directory, as given.
    pub dir: String,
    /// The backup was made through the binding.
    pub local_bucket: bool,
    /// Write the files instead of showing the archive.
    pub eager: bool,
}

fn invalid(message: impl Into<String>) -> InvalidInput {
    let message = message.into();
    InvalidInput::new(ErrorCode::InvalidBackupConfig, message.clone()).with("reason", message)
}

fn require(condition: bool, message: &str) -> Result<(), InvalidInput> {
    if condition { Ok(()) } else { Err(invalid(message)) }
}

/// Checks options in the order of the contract.
pub fn backup_options(options: &Map<String, Value>) -> Result<BackupOptions, InvalidInput> {
    let dir = options.get("dir").and_then(Value::as_str).unwrap_or_default();
    directory(dir, "BackupOptions.dir")?;
    Ok(BackupOptions {
        dir: dir.to_owned(),
        name: name(options)?,
        ttl: ttl(options)?,
        gitignore: gitignore(options)?,
        excludes: excludes(options)?,
        compression: compression(options)?,
        multipart: boolean(options, "multipart", true)?,
        local_bucket: boolean(options, "localBucket", false)?,
        dry_run: boolean(options, "dryRun", false)?,
        full: boolean(options, "full", false)?,
        freeze: boolean(options, "freeze", true)?,
    })
}

/// Checks a handle: id, then directory.
pub fn restore_handle(handle: &Map<String, Value>) -> Result<RestoreHandle, InvalidInput> {
    let id = handle.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| invalid("Invalid backup: missing or invalid id"))?;
    let is_uuid = id.len() == UUID_TEXT_LENGTH && Uuid::try_parse(id).is_ok();
    require(is_uuid, "Invalid backup: id must be a UUID (a backup's id as createBackup returned it)")?;
    let dir = handle.get("dir").and_then(Value::as_str).filter(|dir| !dir.is_empty());
    let dir = dir.ok_or_else(|| invalid("Invalid backup: missing or invalid dir"))?;
    directory(dir, "Invalid backup: dir")?;
    let flag = |name: &str| match handle.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(given)) => Ok(Some(*given)),
        Some(_) => Err(invalid(format!("Invalid backup: {name} must be a boolean"))),
    };
    let local_bucket = flag("localBucket")?.unwrap_or(false);
    // The seeds: a local restore extracts the archive.
    let eager = flag("eager")?.unwrap_or(local_bucket);
    Ok(RestoreHandle { id: id.to_owned(), dir: dir.to_owned(), local_bucket, eager })
}

fn directory(dir: &str, label: &str) -> Result<(), InvalidInput> {
    require(dir.starts_with('/'), &format!("{label} must be an absolute path"))?;
    require(!dir.contains('\0'), &format!("{label} must not contain null bytes"))?;
    require(dir.split('/').all(|s| s != ".."), &format!("{label} must not contain \"..\" path segments"))?;
    let below = |root: &str| dir == root || dir.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    let message = format!("{label} must be inside one of the supported directories: {}", ROOTS.join(", "));
    require(ROOTS.iter().any(|root| below(root)), &message)
}

fn name(options: &Map<String, Value>) -> Result<Option<String>, InvalidInput> {
    let Some(value) = options.get("name") else { return Ok(None) };
    let fits = |name: &&str| name.encode_utf16().count() <= MAX_NAME_UNITS;
    let name = value.as_str().filter(fits);
    let name =
        name.ok_or_else(|| invalid("BackupOptions.name must be a string of at most 256 characters"))?;
    let clean = name.chars().all(|c| !c.is_ascii_control());
    require(clean, "BackupOptions.name must not contain control characters")?;
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn ttl(options: &Map<String, Value>) -> Result<f64, InvalidInput> {
    let Some(value) = options.get("ttl") else { return Ok(DEFAULT_TTL_SECONDS) };
    let positive = value.as_f64().filter(|ttl| ttl.is_finite() && *ttl > 0.0);
    positive.ok_or_else(|| invalid("BackupOptions.ttl must be a positive number of seconds"))
}

fn gitignore(options: &Map<String, Value>) -> Result<bool, InvalidInput> {
    let alias = boolean(options, "useGitignore", false)?;
    Ok(boolean(options, "gitignore", false)? || alias)
}

fn boolean(options: &Map<String, Value>, field: &str, default: bool) -> Result<bool, InvalidInput> {
    let Some(value) = options.get(field) else { return Ok(default) };
    value.as_bool().ok_or_else(|| invalid(format!("BackupOptions.{field} must be a boolean")))
}

fn excludes(options: &Map<String, Value>) -> Result<Vec<String>, InvalidInput> {
    let Some(value) = options.get("excludes") else { return Ok(Vec::new()) };
    let strings = |list: &Vec<Value>| list.iter().map(|item| item.as_str().map(str::to_owned)).collect();
    let patterns: Option<Vec<String>> = value.as_array().and_then(strings);
    patterns.ok_or_else(|| invalid("BackupOptions.excludes must be an array of strings"))
}

fn compression(options: &Map<String, Value>) -> Result<CompressionOptions, InvalidInput> {
    let empty = Map::new();
    let compression = match options.get("compression") {
        None => &empty,
        Some(Value::Object(compression)) => compression,
        Some(_) => return Err(invalid("BackupOptions.compression must be an object")),
    };
    Ok(CompressionOptions {
        format: format(compression.get("format"))?,
        threads: threads(compression.get("threads"))?,
    })
}

fn format(value: Option<&Value>) -> Result<Option<CompressionFormat>, InvalidInput> {
    match value.map(|value| value.as_str().unwrap_or_default()) {
        None => Ok(None),
        Some("gzip") => Ok(Some(CompressionFormat::Gzip)),
        Some("lz4") => Ok(Some(CompressionFormat::Lz4)),
        Some("zstd") => Ok(Some(CompressionFormat::Zstd)),
        Some("none") => Ok(Some(CompressionFormat::None)),
        Some(other) if level(other).is_some() => Ok(level(other).map(CompressionFormat::ZstdLevel)),
        Some(_) => Err(invalid("BackupOptions.compression.format must be one of: gzip, lz4, zstd")),
    }
}

/// The level in `zstd:LEVEL`.
fn level(format: &str) -> Option<u8> {
    let level = format.strip_prefix("zstd:")?.parse().ok()?;
    (1..=22).contains(&level).then_some(level)
}

fn threads(value: Option<&Value>) -> Result<u64, InvalidInput> {
    let Some(value) = value else { return Ok(DEFAULT_THREADS) };
    let positive = value.as_u64().filter(|threads| *threads > 0);
    positive.ok_or_else(|| invalid("BackupOptions.compression.threads must be a positive integer"))
}
