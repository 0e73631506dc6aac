//! Keys for a store, as types that never print their secret.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// The public half of a key pair; safe to log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccessKeyId(pub String);

/// A secret that is wiped when dropped and shows as `[redacted]`.
///
/// It serializes in clear, because workers receive their configuration over an inherited descriptor.
/// Never put it in a type that is logged through serde.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretKey(String);

impl SecretKey {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for signing only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What signs requests to a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// Public half.
    pub access_key_id: AccessKeyId,
    /// Secret half.
    pub secret_access_key: SecretKey,
    /// Accompanies temporary credentials (AWS STS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretKey>,
}

impl Credentials {
    /// Long-lived credentials without a session token.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self {
            access_key_id: AccessKeyId(access_key_id.into()),
            secret_access_key: SecretKey::new(secret_access_key),
            session_token: None,
        }
    }
}

/// Where the credentials of a store come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialSource {
    /// They are these.
    Static(Credentials),
    /// They stand in a file, which is read again when it changes: as AWS's tools write it (section `default`, or the
    /// first one), or the JSON of [`Self::Command`].
    File(PathBuf),
    /// A line for `sh` prints them as JSON: `AccessKeyId`, `SecretAccessKey`, and perhaps `SessionToken` and
    /// `Expiration`, before which it is run again.
    /// <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-sourcing-external.html>
    Command(String),
}

impl From<Credentials> for CredentialSource {
    fn from(credentials: Credentials) -> Self {
        Self::Static(credentials)
    }
}
