//! Buckets mounted in a sandbox.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Mounts a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountRequest {
    /// With an endpoint the bucket, else the name of a binding.
    pub bucket: String,
    /// Where; absolute.
    pub mount_path: String,
    /// How.
    #[serde(default)]
    pub options: MountOptions,
    /// The caller's own variables, where credentials are looked for before the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Variables>,
}

/// Variables that never show in logs.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variables(pub BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Options of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MountOptions {
    /// URL of an S3 server; none: a binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// `r2`, `s3` or `gcs`; overrides what the endpoint says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Instead of those found in the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<MountCredentials>,
    /// Accepted; credentials never enter a sandbox either way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_proxy: Option<bool>,
    /// Every change fails.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Only keys below this; starts with `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// As s3fs takes them; those that matter here are honoured, those that cannot be are refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub s3fs_options: Vec<String>,
    /// A binding, too: it is the same real filesystem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_bucket: Option<bool>,
}

impl MountOptions {
    /// Names of all options.
    pub const FIELDS: &[&str] = &[
        "endpoint",
        "provider",
        "credentials",
        "credentialProxy",
        "readOnly",
        "prefix",
        "s3fsOptions",
        "localBucket",
    ];
}

/// A key pair for an S3 server. Never shows in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountCredentials {
    /// Public half.
    pub access_key_id: String,
    /// Secret half.
    pub secret_access_key: String,
    /// Of temporary credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
}

impl fmt::Debug for MountCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// A mounted bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountInfo {
    /// The bucket, or the binding it was mounted by.
    pub bucket: String,
    /// Where.
    pub mount_path: String,
    /// The server; none: a binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// As `/x/`; none: the whole bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Every change fails.
    pub read_only: bool,
}

/// All buckets mounted in a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountList {
    /// By path.
    pub mounts: Vec<MountInfo>,
}
