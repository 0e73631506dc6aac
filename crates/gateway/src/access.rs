//! What a key may do: data, and the judgement of one bucket and key. Requests are judged in `authorize`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sandkeep_objects::{BucketName, KeyError};
use serde::{Deserialize, Serialize};

/// What a key may do. The default is everything, for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Where; none: everywhere, buckets themselves included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<Vec<Place>>,
    /// Only reads.
    pub mode: AccessMode,
    /// Seconds since 1970 after which the key is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// Whether a key may change what it sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMode {
    /// It may.
    #[default]
    ReadWrite,
    /// It may not.
    ReadOnly,
}

/// A bucket, or what lies below a prefix in it; written `BUCKET` or `BUCKET/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place {
    bucket: BucketName,
    /// Without a slash at the end; empty: the whole bucket.
    prefix: String,
}

impl Access {
    /// Whether the key has come to its end.
    pub fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|seconds| now >= UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// Whether anything in the bucket may be seen.
    pub(crate) fn reaches_bucket(&self, bucket: &BucketName) -> bool {
        self.any_place(|place| place.bucket == *bucket)
    }

    /// Whether a key of the bucket may be touched.
    pub(crate) fn reaches_key(&self, bucket: &BucketName, key: &[u8]) -> bool {
        self.any_place(|place| place.contains(bucket, key))
    }

    /// Whether all keys of the bucket that start with `prefix` may be seen.
    pub(crate) fn reaches_all_below(&self, bucket: &BucketName, prefix: &[u8]) -> bool {
        self.any_place(|place| place.contains_all_below(bucket, prefix))
    }

    fn any_place(&self, test: impl FnMut(&Place) -> bool) -> bool {
        self.places.as_ref().is_none_or(|places| places.iter().any(test))
    }
}

impl Place {
    /// Everything in a bucket.
    pub fn bucket(bucket: BucketName) -> Self {
        Self { bucket, prefix: String::new() }
    }

    /// The key `prefix` and what is below it; empty: everything in the bucket.
    pub(crate) fn below(bucket: BucketName, prefix: &str) -> Self {
        Self { bucket, prefix: prefix.to_owned() }
    }

    /// The key `prefix` itself and those below `prefix/`; siblings such as `prefix2` are outside.
    fn contains(&self, bucket: &BucketName, key: &[u8]) -> bool {
        self.contains_all_below(bucket, key) || (self.bucket == *bucket && key == self.prefix.as_bytes())
    }

    fn contains_all_below(&self, bucket: &BucketName, prefix: &[u8]) -> bool {
        let inside =
            || prefix.strip_prefix(self.prefix.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
        self.bucket == *bucket && (self.prefix.is_empty() || inside())
    }
}

impl FromStr for Place {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
        Ok(Self { bucket: bucket.parse()?, prefix })
    }
}

impl TryFrom<String> for Place {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix.is_empty() {
            write!(f, "{}", self.bucket)
        } else {
            write!(f, "{}/{}", self.bucket, self.prefix)
        }
    }
}
