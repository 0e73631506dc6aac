//! What a sandbox is to be.

use serde::{Deserialize, Serialize};

/// A name that is safe as a directory: 1 to 128 of `a-z A-Z 0-9 _ -`. The daemon maps ids to names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SandboxName(String);

impl SandboxName {
    /// None if it is not such a name.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        ((1..=128).contains(&name.len()) && name.bytes().all(safe)).then_some(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Reach of a sandbox's network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Its own loopback only.
    #[default]
    None,
}

/// Bounds; none: the runtime's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads; never above 4,000.
    pub processes: Option<u64>,
    /// Thousandths of a CPU.
    pub cpu_millis: Option<u64>,
}

/// A sandbox to create.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Host name inside.
    pub hostname: String,
    /// Network.
    pub network: Network,
    /// Bounds.
    pub limits: Limits,
    /// Host paths shown inside at the same place, read-only, beside the base's.
    pub expose: Vec<std::path::PathBuf>,
}
