//! Secrets among the settings, as types that never print them.

use std::collections::BTreeMap;
use std::fmt;

use sandkeep_objects::{Credentials, SecretKey};
use subtle::ConstantTimeEq;

/// Both halves and the token that accompanies them.
const PAIRS: [[&str; 3]; 2] = [
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
    ["R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "R2_SESSION_TOKEN"],
];

/// What a request must show.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// Compares in a time that does not depend on where a difference is.
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The variables that concern storage, of the environment and of wrangler's files; empty ones do not count.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// All that anything here ever looks at.
    const NAMES: [&str; 11] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "BACKUP_BUCKET_ENDPOINT",
        "BACKUP_BUCKET_NAME",
        "CLOUDFLARE_ACCOUNT_ID",
        "CLOUDFLARE_R2_ACCOUNT_ID",
        "R2_ACCESS_KEY_ID",
        "R2_SECRET_ACCESS_KEY",
        "R2_SESSION_TOKEN",
        "WRANGLER_ACCOUNT_ID",
    ];

    /// Those of a file, overlaid by those of the environment.
    pub fn new(file: BTreeMap<String, String>, environment: &BTreeMap<String, String>) -> Self {
        Self(file).overlaid(environment)
    }

    /// These, overlaid by others.
    #[must_use]
    pub fn overlaid(&self, others: &BTreeMap<String, String>) -> Self {
        let both = self.0.iter().chain(others);
        let known = both.filter(|(name, value)| Self::NAMES.contains(&name.as_str()) && !value.is_empty());
        Self(known.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The first whole key pair, with its token: that of AWS, then that of R2.
    pub fn pair(&self) -> Option<Credentials> {
        PAIRS.into_iter().find_map(|[id, secret, token]| {
            let session_token = self.get(token).map(SecretKey::new);
            Some(Credentials { session_token, ..Credentials::new(self.get(id)?, self.get(secret)?) })
        })
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
