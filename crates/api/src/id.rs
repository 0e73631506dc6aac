//! Names of sandboxes.

use std::fmt;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Serialize};

use crate::{InvalidInput, checks};

/// Names a sandbox for its users. The same id may be used again after the sandbox's end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SandboxId(String);

impl SandboxId {
    /// By the SDK's rules (`conformance/sdk_sandbox_id.json`).
    pub fn from_sdk(text: &str) -> Result<Self, InvalidInput> {
        checks::sdk_sandbox_id(text)?;
        Ok(Self(text.to_owned()))
    }

    /// By the bridge's rules (`conformance/bridge_sandbox_id.json`).
    pub fn from_bridge(text: &str) -> Result<Self, InvalidInput> {
        checks::bridge_sandbox_id(text)?;
        Ok(Self(text.to_owned()))
    }

    /// An id that was checked when it was stored.
    pub fn from_record(text: String) -> Self {
        Self(text)
    }

    /// A new id from 16 random bytes: 26 characters, valid under both rules.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(base32(&bytes))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 4648 base32 in lower case without padding, as the bridge writes ids.
pub fn base32(bytes: &[u8]) -> String {
    lower_case_base32().encode(bytes)
}

fn lower_case_base32() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("32 distinct symbols")
}
