//! The service itself.

use serde::{Deserialize, Serialize};

/// It worked, and there is nothing more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Always true.
    pub ok: bool,
}

/// About the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInfo {
    /// Of this program.
    pub version: String,
    /// The embedded store's endpoint, for S3 clients.
    pub s3_endpoint: String,
    /// Region to sign for.
    pub s3_region: String,
    /// Names that binding mounts may use.
    pub bindings: Vec<BindingInfo>,
    /// Sandboxes that run.
    pub sandboxes: usize,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingInfo {
    /// The name that mounts use.
    pub binding: String,
    /// The bucket.
    pub bucket: String,
    /// The server; none: the embedded store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}
