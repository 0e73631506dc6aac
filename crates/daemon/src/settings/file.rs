//! `sandkeep.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use sandkeep_objects::{BucketName, Credentials};
use serde::Deserialize;
use url::Url;

use super::{ApiKey, BackupLocation, Binding, PartialSettings, Remote};
use crate::error::SettingsError;

/// The file, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettingsFile {
    listen: Option<SocketAddr>,
    s3_listen: Option<SocketAddr>,
    s3_requests: Option<NonZeroUsize>,
    pub(super) s3_public: Vec<Url>,
    data: Option<PathBuf>,
    run: Option<PathBuf>,
    wrangler: Option<PathBuf>,
    env: Option<String>,
    api_key: Option<String>,
    expose: Vec<PathBuf>,
    bucket: Vec<BucketTable>,
    bindings: BTreeMap<String, BindingTable>,
    backups: BackupsTable,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketTable {
    name: BucketName,
}

/// `NAME = "bucket"`, or a table for a bucket on another server.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum BindingTable {
    Embedded(BucketName),
    Remote(RemoteBinding),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoteBinding {
    bucket: BucketName,
    endpoint: Option<Url>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BackupsTable {
    store: Option<String>,
    endpoint: Option<Url>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    prune_expired: bool,
}

impl SettingsFile {
    /// Reads the file; no path: an empty one.
    pub(super) fn load(path: &Option<PathBuf>) -> Result<Self, SettingsError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = read(path)?;
        toml::from_str(&text).map_err(|error| invalid(path, &error))
    }

    pub(super) fn partial(&self) -> PartialSettings {
        PartialSettings {
            listen: self.listen,
            s3_listen: self.s3_listen,
            s3_requests: self.s3_requests,
            data: self.data.clone(),
            run: self.run.clone(),
            wrangler: self.wrangler.clone(),
            env: self.env.clone(),
            api_key: self.api_key.as_ref().map(ApiKey::new),
            expose: self.expose.clone(),
            ..PartialSettings::default()
        }
    }

    pub(super) fn buckets(&self) -> Vec<BucketName> {
        self.bucket.iter().map(|table| table.name.clone()).collect()
    }

    pub(super) fn bindings(&self) -> Result<BTreeMap<String, Binding>, SettingsError> {
        self.bindings.iter().map(|(name, table)| Ok((name.clone(), binding(name, table)?))).collect()
    }

    /// Whether backups that have expired are to be deleted.
    pub(super) fn prunes_expired(&self) -> bool {
        self.backups.prune_expired
    }

    /// `[backups]`, with the store that a stronger source named.
    pub(super) fn backups(&self, stronger: Option<&str>) -> Result<Option<BackupLocation>, SettingsError> {
        let table = &self.backups;
        let Some(store) = stronger.or(table.store.as_deref()) else { return Ok(None) };
        let (bucket, prefix) = location(store)?;
        let keys = keys("backups", table.access_key_id.as_ref(), table.secret_access_key.as_ref())?;
        let remote = remote(table.endpoint.as_ref(), table.region.as_ref(), keys);
        Ok(Some(BackupLocation { bucket, prefix, remote }))
    }
}

fn binding(name: &str, table: &BindingTable) -> Result<Binding, SettingsError> {
    match table {
        BindingTable::Embedded(bucket) => Ok(Binding { bucket: bucket.clone(), remote: None }),
        BindingTable::Remote(table) => {
            let keys = keys(name, table.access_key_id.as_ref(), table.secret_access_key.as_ref())?;
            let remote = remote(table.endpoint.as_ref(), table.region.as_ref(), keys);
            Ok(Binding { bucket: table.bucket.clone(), remote })
        }
    }
}

fn remote(
    endpoint: Option<&Url>,
    region: Option<&String>,
    credentials: Option<Credentials>,
) -> Option<Remote> {
    endpoint.map(|endpoint| Remote { endpoint: endpoint.clone(), region: region.cloned(), credentials })
}

fn keys(
    table: &str,
    id: Option<&String>,
    secret: Option<&String>,
) -> Result<Option<Credentials>, SettingsError> {
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(Credentials::new(id, secret))),
        (None, None) => Ok(None),
        _ => Err(SettingsError::HalfKeyPair { table: table.to_owned() }),
    }
}

fn location(store: &str) -> Result<(BucketName, String), SettingsError> {
    let invalid =
        || SettingsError::InvalidValue { name: "backups.store".to_owned(), value: store.to_owned() };
    let rest = store.strip_prefix("s3://").ok_or_else(invalid)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let bucket = bucket.parse().map_err(|_| invalid())?;
    let prefix = prefix.trim_matches('/');
    Ok((bucket, if prefix.is_empty() { String::new() } else { format!("{prefix}/") }))
}

pub(super) fn read(path: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })
}

pub(super) fn invalid(path: &Path, error: &dyn std::fmt::Display) -> SettingsError {
    SettingsError::InvalidFile { path: path.to_owned(), what: error.to_string() }
}
