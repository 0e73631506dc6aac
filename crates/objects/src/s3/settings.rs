//! Which server, which account, which dialect.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{CredentialSource, Credentials};

/// Where the bucket's name goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressingStyle {
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    VirtualHost,
}

/// Providers whose quirks are known (`provider.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Cloudflare R2.
    R2,
    /// Amazon S3.
    S3,
    /// Google Cloud Storage, HMAC interoperability.
    Gcs,
}

/// How to reach an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Settings {
    /// Scheme, host and port; a path is an error.
    pub endpoint: Url,
    /// Region to sign for; none: by the endpoint (contract.md section 6), corrected by what the server says.
    pub region: Option<String>,
    /// None: by the provider.
    pub style: Option<AddressingStyle>,
    /// None: by the endpoint.
    pub provider: Option<Provider>,
    /// None: anonymous requests.
    pub credentials: Option<CredentialSource>,
}

impl S3Settings {
    /// An endpoint with everything else found out.
    pub fn new(endpoint: Url, credentials: Option<Credentials>) -> Self {
        let credentials = credentials.map(CredentialSource::Static);
        Self { endpoint, region: None, style: None, provider: None, credentials }
    }
}
