//! What code in a sandbox may reach with S3 tools of its own, at `http://s3.internal`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{MountCredentials, Variables};

/// Grants a bucket, or a part of it, to a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantRequest {
    /// With an endpoint the bucket, else the name of a binding.
    pub bucket: String,
    /// URL of an S3 server; none: a binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// `r2`, `s3` or `gcs`; overrides what the endpoint says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Instead of those found in the environment. They never enter the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<MountCredentials>,
    /// Only keys below this; starts with `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Every change is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Seconds until it ends by itself; none: with the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// The caller's own variables, where credentials are looked for before the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Variables>,
}

/// What is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantInfo {
    /// To revoke it; that of a mount is its path and ends with it.
    pub id: String,
    /// The bucket by the name it has at `http://s3.internal`.
    pub bucket: String,
    /// As `/x/`; none: the whole bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Every change is refused.
    pub read_only: bool,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// Everything granted to a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantList {
    /// By id.
    pub grants: Vec<GrantInfo>,
}
