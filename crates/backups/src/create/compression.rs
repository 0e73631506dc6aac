//! Codecs of archives, as they are named.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::InvalidCompression;

/// How blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// zlib, level 6: what every squashfs reader knows.
    Gzip,
    /// lz4: least work.
    Lz4,
    /// zstd: at level 1 as cheap as lz4 and a third smaller.
    Zstd(ZstdLevel),
    /// Stored as it is.
    None,
}

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(ZstdLevel::default())
    }
}

impl FromStr for Compression {
    type Err = InvalidCompression;

    /// `gzip`, `lz4`, `zstd`, `zstd:1` to `zstd:22`, or `none`.
    fn from_str(text: &str) -> Result<Self, InvalidCompression> {
        let invalid = || InvalidCompression { text: text.to_owned() };
        Ok(match text {
            "gzip" => Self::Gzip,
            "lz4" => Self::Lz4,
            "zstd" => Self::default(),
            "none" => Self::None,
            _ => {
                let level = text.strip_prefix("zstd:").and_then(|level| level.parse().ok());
                Self::Zstd(level.and_then(ZstdLevel::new).ok_or_else(invalid)?)
            }
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip => f.write_str("gzip"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Zstd(level) => write!(f, "zstd:{}", level.0),
            Self::None => f.write_str("none"),
        }
    }
}

/// How hard zstd tries, 1 to 22.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ZstdLevel(u8);

impl ZstdLevel {
    /// None: there is no such level.
    pub fn new(level: u8) -> Option<Self> {
        (1..=22).contains(&level).then_some(Self(level))
    }

    pub(crate) fn number(self) -> i32 {
        self.0.into()
    }
}

impl Default for ZstdLevel {
    fn default() -> Self {
        Self(1)
    }
}
