//! Access keys of the endpoint, kept in a file of mode 0600.

use std::path::Path;

use sandkeep_objects::Credentials;

use crate::Error;

/// A key pair the endpoint accepts.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// What a person calls it: `default`, or `internal` for the daemon's own grant.
    pub name: String,
    /// The pair.
    pub credentials: Credentials,
}

/// All key pairs of an endpoint.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {}

impl KeyRing {
    /// Reads the key file, or makes it at the first start with two random pairs, `default` and `internal`.
    /// `given` (from SANDKEEP_S3_ACCESS_KEY_ID / SANDKEEP_S3_SECRET_ACCESS_KEY) replaces the pair `default`.
    pub fn load_or_create(path: &Path, given: Option<Credentials>) -> Result<Self, Error> {
        todo!()
    }

    /// The pairs.
    pub fn keys(&self) -> &[AccessKey] {
        todo!()
    }

    /// The pair of that name.
    pub fn named(&self, name: &str) -> Option<&AccessKey> {
        todo!()
    }
}
