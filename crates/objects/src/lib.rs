//! Object storage: what a store is ([`ObjectStore`], [`ObjectService`]), and the stores there are.
//!
//! Owns the S3 client, the embedded store, the in-memory store, provider quirks and the decorators around
//! any store. Knows nothing of files, mounts, archives or HTTP serving.

mod checksum;
pub mod contract;
mod cors;
mod credentials;
pub mod directory;
mod error;
mod key;
mod lifecycle;
mod listing;
mod memory;
mod nested;
mod placed;
pub mod s3;
mod semantics;
mod service;
pub mod sigv2;
pub mod sigv4;
mod store;
mod types;

pub use checksum::{
    Checksum, ChecksumAlgorithm, ChecksumHasher, ChecksumKind, LateChecksum, PartsChecksum, UnknownChecksum,
};
pub use cors::CorsRule;
pub use credentials::{AccessKeyId, CredentialSource, Credentials, SecretKey};
pub use directory::{Damage, DamagedObject, DirectoryService, FsckReport};
pub use error::{Error, KeyError, Result};
pub use key::{BucketName, MAX_KEY_BYTES, ObjectKey};
pub use lifecycle::{Expired, LifecycleRule};
pub use listing::MAX_PAGE;
pub use memory::{MemoryService, MemorySettings};
pub use nested::NestedService;
pub use placed::{
    MigrationError, MigrationOptions, MigrationOutcome, MigrationPhase, MigrationStatus, PlacedService,
    Placement, StoredBucket,
};
pub use s3::{AddressingStyle, Provider, S3Client, S3Settings};
pub use semantics::exact_length;
pub use service::{BucketInfo, EXISTED, MAX_COUNTED, ObjectService, Usage};
pub use store::ObjectStore;
pub use types::{
    Body, ByteRange, ByteStream, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload,
    DeleteConditions, DeleteOutcome, ETag, GetRequest, GetResponse, ListPage, ListRequest, ListedObject,
    MetadataDirective, ObjectInfo, ObjectMetadata, ObjectPart, PartInfo, PutRequest, PutResponse, Upload,
    UploadId, UploadInfo, WriteConditions,
};
