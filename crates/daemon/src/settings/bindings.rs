//! Names for buckets: embedded ones, and those on other servers.

use sandkeep_objects::{BucketName, CredentialSource, S3Settings};
use url::Url;

/// A bucket under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The bucket.
    pub bucket: BucketName,
    /// Its server; none: embedded, and made on demand.
    pub remote: Option<Remote>,
}

/// Another S3 server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its endpoint.
    pub endpoint: Url,
    /// Region to sign for; none: found out.
    pub region: Option<String>,
    /// None: those of the environment.
    pub credentials: Option<CredentialSource>,
}

/// Where backups go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupLocation {
    /// The bucket.
    pub bucket: BucketName,
    /// Empty, or ends with `/`.
    pub prefix: String,
    /// Its server; none: embedded.
    pub remote: Option<Remote>,
}

/// Where buckets are that are not embedded: below a prefix of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultStore {
    /// The bucket that holds them all.
    pub bucket: BucketName,
    /// Empty, or ends with `/`.
    pub prefix: String,
    /// How to reach it.
    pub s3: S3Settings,
}
