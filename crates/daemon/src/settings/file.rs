//! `sandkeep.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use sandkeep_objects::{BucketName, CredentialSource, Credentials, SecretKey};
use serde::Deserialize;
use url::Url;

use super::default_store::DefaultTable;
use super::{ApiKey, BackupLocation, Binding, PartialSettings, Remote};
use crate::error::SettingsError;

/// The file, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SettingsFile {
    listen: Option<SocketAddr>,
    s3_listen: Option<SocketAddr>,
    s3_tls_certificate: Option<PathBuf>,
    s3_tls_key: Option<PathBuf>,
    s3_requests: Option<NonZeroUsize>,
    s3_all_requests: Option<NonZeroUsize>,
    s3_bandwidth: Option<NonZeroU64>,
    pub(super) s3_public: Vec<Url>,
    data: Option<PathBuf>,
    run: Option<PathBuf>,
    wrangler: Option<PathBuf>,
    env: Option<String>,
    api_key: Option<String>,
    expose: Vec<PathBuf>,
    bucket: Vec<BucketTable>,
    buckets: BucketsTable,
    bindings: BTreeMap<String, BindingTable>,
    backups: BackupsTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BucketsTable {
    default: DefaultTable,
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
    Remote(Box<RemoteBinding>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoteBinding {
    bucket: BucketName,
    endpoint: Option<Url>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    credentials_file: Option<PathBuf>,
    credentials_command: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BackupsTable {
    store: Option<String>,
    endpoint: Option<Url>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    credentials_file: Option<PathBuf>,
    credentials_command: Option<String>,
    #[serde(default)]
    prune_expired: bool,
}

/// The ways in which a table gives credentials; at most one may be used.
pub(super) struct Keys<'k> {
    pub(super) id: Option<&'k str>,
    pub(super) secret: Option<&'k str>,
    pub(super) token: Option<&'k str>,
    pub(super) file: Option<&'k Path>,
    pub(super) command: Option<&'k str>,
}

impl Keys<'_> {
    /// The one that is used.
    pub(super) fn source(&self, table: &str) -> Result<Option<CredentialSource>, SettingsError> {
        let half = || SettingsError::HalfKeyPair { table: table.to_owned() };
        let pair = match (self.id, self.secret) {
            (Some(id), Some(secret)) => {
                let session_token = self.token.map(SecretKey::new);
                Some(CredentialSource::Static(Credentials { session_token, ..Credentials::new(id, secret) }))
            }
            (None, None) if self.token.is_none() => None,
            _ => return Err(half()),
        };
        let file = self.file.map(|file| CredentialSource::File(file.to_owned()));
        let command = self.command.map(|line| CredentialSource::Command(line.to_owned()));
        let mut given = [pair, file, command].into_iter().flatten();
        match (given.next(), given.next()) {
            (one, None) => Ok(one),
            _ => Err(SettingsError::TwoCredentials { table: table.to_owned() }),
        }
    }
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
            s3_tls_certificate: self.s3_tls_certificate.clone(),
            s3_tls_key: self.s3_tls_key.clone(),
            s3_requests: self.s3_requests,
            s3_all_requests: self.s3_all_requests,
            s3_bandwidth: self.s3_bandwidth,
            data: self.data.clone(),
            run: self.run.clone(),
            wrangler: self.wrangler.clone(),
            env: self.env.clone(),
            api_key: self.api_key.as_ref().map(ApiKey::new),
            expose: self.expose.clone(),
            ..PartialSettings::default()
        }
    }

    pub(super) fn default_store(&self) -> &DefaultTable {
        &self.buckets.default
    }

    pub(super) fn bucket_names(&self) -> Vec<BucketName> {
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
        let keys = Keys {
            id: table.access_key_id.as_deref(),
            secret: table.secret_access_key.as_deref(),
            token: table.session_token.as_deref(),
            file: table.credentials_file.as_deref(),
            command: table.credentials_command.as_deref(),
        };
        let remote = remote(table.endpoint.as_ref(), table.region.as_ref(), keys.source("backups")?);
        Ok(Some(BackupLocation { bucket, prefix, remote }))
    }
}

fn binding(name: &str, table: &BindingTable) -> Result<Binding, SettingsError> {
    match table {
        BindingTable::Embedded(bucket) => Ok(Binding { bucket: bucket.clone(), remote: None }),
        BindingTable::Remote(table) => {
            let keys = Keys {
                id: table.access_key_id.as_deref(),
                secret: table.secret_access_key.as_deref(),
                token: table.session_token.as_deref(),
                file: table.credentials_file.as_deref(),
                command: table.credentials_command.as_deref(),
            };
            let remote = remote(table.endpoint.as_ref(), table.region.as_ref(), keys.source(name)?);
            Ok(Binding { bucket: table.bucket.clone(), remote })
        }
    }
}

fn remote(
    endpoint: Option<&Url>,
    region: Option<&String>,
    credentials: Option<CredentialSource>,
) -> Option<Remote> {
    endpoint.map(|endpoint| Remote { endpoint: endpoint.clone(), region: region.cloned(), credentials })
}

/// The start of all keys: empty, or with a slash at its end.
pub(super) fn prefix(text: &str) -> String {
    match text.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

fn location(store: &str) -> Result<(BucketName, String), SettingsError> {
    let invalid =
        || SettingsError::InvalidValue { name: "backups.store".to_owned(), value: store.to_owned() };
    let rest = store.strip_prefix("s3://").ok_or_else(invalid)?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let bucket = bucket.parse().map_err(|_| invalid())?;
    Ok((bucket, self::prefix(prefix)))
}

pub(super) fn read(path: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(path)
        .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })
}

pub(super) fn invalid(path: &Path, error: &dyn std::fmt::Display) -> SettingsError {
    SettingsError::InvalidFile { path: path.to_owned(), what: error.to_string() }
}
