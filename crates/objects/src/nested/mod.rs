//! Buckets that lie in one bucket of another store, each below a prefix of its own.
//!
//! ```text
//! PREFIX.sandkeep/buckets/NAME    says that the bucket exists: JSON, with its creation and its rules
//! PREFIXNAME/KEY                  object KEY of bucket NAME
//! ```
//!
//! No bucket's name starts with a dot, so records and objects never meet. The store behind may be used by several
//! machines at once: what one of them says of a bucket, the others know within [`records::AGE`].

mod expire;
mod records;
mod service;
mod store;

pub use service::NestedService;
