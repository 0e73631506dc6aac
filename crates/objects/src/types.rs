//! Requests and answers of an [`crate::ObjectStore`], free of any wire format.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::time::SystemTime;

use bytes::Bytes;
use futures::Stream;
use serde::{Deserialize, Serialize};

use crate::{BucketName, Checksum, LateChecksum, ObjectKey, Result};

/// Bytes as they arrive.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// What is uploaded.
pub enum Body {
    /// All of it at hand; can be sent again by a retry.
    Bytes(Bytes),
    /// `length` bytes to come; a failure in the middle cannot be retried by the store.
    Stream {
        /// Exact number of bytes.
        length: u64,
        /// The bytes.
        stream: ByteStream,
    },
    /// As [`Self::Stream`], with a checksum to be stored with the content. The stream compares it, and fails if it is
    /// another one.
    Verified {
        /// Exact number of bytes.
        length: u64,
        /// The bytes.
        stream: ByteStream,
        /// Known when the stream has ended.
        checksum: LateChecksum,
    },
}

impl Body {
    /// Number of bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { length, .. } | Self::Verified { length, .. } => *length,
        }
    }

    /// What will be the checksum, when all bytes have been taken in.
    pub fn checksum(&self) -> LateChecksum {
        match self {
            Self::Bytes(_) | Self::Stream { .. } => LateChecksum::default(),
            Self::Verified { checksum, .. } => checksum.clone(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.length())
    }
}

/// An entity tag without its quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ETag(pub String);

/// Headers stored with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectMetadata {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, as sent.
    pub expires: Option<String>,
    /// `x-amz-meta-*`: names without the prefix and in lower case.
    pub user: BTreeMap<String, String>,
    /// Tags, which can be changed afterwards; told only by stores that keep them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// What HEAD tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Bytes of the whole object.
    pub size: u64,
    /// Changes with the content.
    pub etag: ETag,
    /// When it was written, in whole seconds on most servers.
    pub last_modified: SystemTime,
    /// Stored headers.
    pub metadata: ObjectMetadata,
    /// Checksum that was stored with it, from stores that keep one.
    pub checksum: Option<Checksum>,
}

/// One of the parts of which an object was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPart {
    /// 1 to 10,000.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// Its own checksum, if it came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
}

/// Conditions of a read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Only this version, else [`crate::Error::PreconditionFailed`].
    pub if_match: Option<ETag>,
    /// Only another version, else [`crate::Error::NotModified`]. `*` is given as `ETag("*")`.
    pub if_none_match: Option<ETag>,
    /// Only if written later.
    pub if_modified_since: Option<SystemTime>,
    /// Only if not written later.
    pub if_unmodified_since: Option<SystemTime>,
}

/// Conditions of a write, judged when it is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WriteConditions {
    /// Whatever is there.
    #[default]
    None,
    /// Only if no object has the key (`If-None-Match: *`).
    IfAbsent,
    /// Only if the object there has this ETag (`If-Match`).
    IfMatch(ETag),
    /// Only if no object with this ETag has the key (`If-None-Match`), which S3 itself does not offer.
    IfNoneMatch(ETag),
}

/// Conditions of a deletion, which say nothing about a key without an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteConditions {
    /// Only this version.
    pub if_match: Option<ETag>,
    /// Only if it has so many bytes.
    pub size: Option<u64>,
    /// Only if it was written in this second.
    pub last_modified: Option<SystemTime>,
}

/// Part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From `start` up to, not including, `end`; `end` may lie behind the object's end. Never empty.
    Bounded {
        /// First byte.
        start: u64,
        /// Byte after the last.
        end: u64,
    },
    /// From this byte to the end.
    From(u64),
    /// The last bytes.
    Last(u64),
}

/// A read.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// Which object.
    pub key: ObjectKey,
    /// Which part; none: all.
    pub range: Option<ByteRange>,
    /// On which conditions.
    pub conditions: Conditions,
}

impl GetRequest {
    /// Reads the whole object.
    pub fn whole(key: ObjectKey) -> Self {
        Self { key, range: None, conditions: Conditions::default() }
    }
}

/// An object being read.
pub struct GetResponse {
    /// About the whole object.
    pub info: ObjectInfo,
    /// Which bytes follow.
    pub range: Range<u64>,
    /// The bytes.
    pub body: ByteStream,
}

impl fmt::Debug for GetResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetResponse")
            .field("info", &self.info)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// A write of a whole object.
#[derive(Clone, Debug)]
pub struct PutRequest {
    /// Where to.
    pub key: ObjectKey,
    /// Headers to store.
    pub metadata: ObjectMetadata,
    /// On which conditions.
    pub conditions: WriteConditions,
}

/// What a write made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutResponse {
    /// Of the new object.
    pub etag: ETag,
    /// When it was written, where the answer says so (copies do, PUT does not).
    pub last_modified: Option<SystemTime>,
}

/// The origin of a server-side copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// Another bucket of the same service; none: the same bucket.
    pub bucket: Option<BucketName>,
    /// Which object.
    pub key: ObjectKey,
    /// On which conditions of the source.
    pub conditions: Conditions,
}

/// Where a copy's metadata come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MetadataDirective {
    /// The source's.
    #[default]
    Copy,
    /// These.
    Replace(ObjectMetadata),
}

/// A server-side copy.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// From where.
    pub source: CopySource,
    /// Where to.
    pub key: ObjectKey,
    /// With which headers.
    pub metadata: MetadataDirective,
    /// On which conditions of the target.
    pub conditions: WriteConditions,
    /// The checksum that the copy gets instead of its source's. Whoever gives it must have pinned the source by its
    /// ETag in [`CopySource::conditions`].
    pub checksum: Option<Checksum>,
}

/// Asks for a page of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that start with this.
    pub prefix: Vec<u8>,
    /// Groups keys up to the first occurrence of this behind the prefix; empty: no grouping.
    pub delimiter: Vec<u8>,
    /// Only keys (and common prefixes) after this one; empty: from the start.
    pub start_after: Vec<u8>,
    /// Continues a listing: [`ListPage::next`].
    pub continuation: Option<String>,
    /// At most this many keys and common prefixes together, 1 to 1,000; 0 means 1,000.
    pub limit: u32,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: ObjectKey,
    /// Bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: ETag,
    /// When it was written.
    pub last_modified: SystemTime,
    /// Stored headers, from servers that list them (MinIO's `metadata=true`, our own); none elsewhere.
    pub metadata: Option<ObjectMetadata>,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects in byte order of their keys.
    pub objects: Vec<ListedObject>,
    /// Groups made by the delimiter, ending with it, in byte order.
    pub common_prefixes: Vec<Vec<u8>>,
    /// How to go on; none: this was the last page.
    pub next: Option<String>,
}

/// Names an upload within its bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub String);

/// A multipart upload in progress.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upload {
    /// The key it will write.
    pub key: ObjectKey,
    /// Its id.
    pub id: UploadId,
}

/// Starts a multipart upload.
#[derive(Clone, Debug)]
pub struct CreateUpload {
    /// Where to.
    pub key: ObjectKey,
    /// Headers to store.
    pub metadata: ObjectMetadata,
}

/// A part named by a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// 1 to 10,000, ascending.
    pub number: u32,
    /// As its upload returned it.
    pub etag: ETag,
}

/// A part in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartInfo {
    /// 1 to 10,000.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: ETag,
    /// When it was uploaded.
    pub last_modified: SystemTime,
    /// Its checksum, from stores that keep one.
    pub checksum: Option<Checksum>,
}

/// An upload in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadInfo {
    /// Key and id.
    pub upload: Upload,
    /// When it was started.
    pub started: SystemTime,
}

/// The outcome of one key of a bulk deletion.
pub type DeleteOutcome = Result<()>;
