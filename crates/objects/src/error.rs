//! What can go wrong with a store, as far as a caller would act differently.

use std::sync::Arc;

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// A name that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Keys have at least one byte.
    #[error("the key is empty")]
    Empty,
    /// Keys have at most [`crate::MAX_KEY_BYTES`] bytes.
    #[error("the key has {length} bytes, at most 1024 are allowed")]
    TooLong {
        /// Bytes given.
        length: usize,
    },
    /// See [`crate::BucketName`].
    #[error("{name:?} is not a bucket name: 1 to 63 lower-case letters, digits, dots and hyphens")]
    InvalidBucketName {
        /// Name given.
        name: String,
    },
}

/// A store operation that did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The object does not exist (`NoSuchKey`, or 404 to a HEAD).
    #[error("object {key:?} does not exist")]
    NoSuchKey {
        /// The key asked for, lossy.
        key: String,
    },
    /// The bucket does not exist.
    #[error("bucket {bucket:?} does not exist")]
    NoSuchBucket {
        /// The bucket asked for.
        bucket: String,
    },
    /// A bucket of this name exists already.
    #[error("bucket {bucket:?} exists already")]
    BucketExists {
        /// The bucket.
        bucket: String,
    },
    /// Only empty buckets can be deleted.
    #[error("bucket {bucket:?} is not empty")]
    BucketNotEmpty {
        /// The bucket.
        bucket: String,
    },
    /// The bucket is being moved or changed by someone else: the same request may succeed later.
    #[error("bucket {bucket:?} is being changed by another operation")]
    BucketBusy {
        /// The bucket.
        bucket: String,
    },
    /// The multipart upload does not exist, was completed or aborted.
    #[error("multipart upload {upload:?} does not exist")]
    NoSuchUpload {
        /// The upload id.
        upload: String,
    },
    /// The part list of a completion does not match what was uploaded.
    #[error("part {number} of the multipart upload is missing, out of order, or has another ETag")]
    InvalidPart {
        /// Part number, 1 to 10,000.
        number: u32,
    },
    /// A part that is not the last is smaller than the provider's minimum (5 MiB on S3).
    #[error("part {number} of the multipart upload is too small")]
    PartTooSmall {
        /// Part number, 1 to 10,000.
        number: u32,
    },
    /// `If-Match`, `If-None-Match: *` or another condition did not hold (412).
    #[error("the object's state does not satisfy the condition of the request")]
    PreconditionFailed,
    /// A conditional read found nothing newer (304).
    #[error("the object was not modified")]
    NotModified,
    /// The range starts behind the end of the object (416).
    #[error("the range is outside of the object, which has {size:?} bytes")]
    InvalidRange {
        /// Size of the object where the server said it.
        size: Option<u64>,
    },
    /// The continuation of a listing is not one that this store gave.
    #[error("the continuation token of the listing is not valid")]
    InvalidContinuation,
    /// The key pair is unknown to the server, or the signature does not match.
    #[error("the server refuses the credentials: {code}")]
    InvalidCredentials {
        /// S3 error code, such as `SignatureDoesNotMatch` or `InvalidAccessKeyId`.
        code: String,
    },
    /// The file or command that gives the credentials does not.
    #[error("cannot get credentials: {what}")]
    NoCredentials {
        /// Which one, and why; never what it said.
        what: String,
    },
    /// The key pair is known, but may not do this.
    #[error("access denied")]
    AccessDenied,
    /// The server wants requests signed for another region.
    #[error("the bucket is in region {region:?}")]
    WrongRegion {
        /// The region to use.
        region: String,
    },
    /// A key, or part of a request, that cannot be one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The object is larger than the store takes.
    #[error("the object is too large")]
    TooLarge,
    /// No space is left where the store keeps its data.
    #[error("no space left in the store")]
    NoSpace,
    /// What was sent or received does not have the promised length or checksum.
    #[error("data damaged on the way: {what}")]
    Corrupt {
        /// Which check failed.
        what: String,
    },
    /// The provider cannot do this.
    #[error("the store does not support {what}")]
    Unsupported {
        /// The operation or header.
        what: &'static str,
    },
    /// No connection, or none that answers in time, after all retries.
    #[error("cannot reach {endpoint}")]
    Unreachable {
        /// Scheme, host and port.
        endpoint: String,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The server answered with an error of its own, after all retries.
    #[error("the server answered {status} {code}: {message}")]
    Server {
        /// HTTP status.
        status: u16,
        /// S3 error code, or empty.
        code: String,
        /// The server's text.
        message: String,
    },
    /// The store's own files or database fail.
    #[error("the store's data directory fails")]
    Io {
        /// The system's error.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}
