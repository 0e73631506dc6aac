//! What a filesystem is ([`FileSystem`]), and how the kernel reaches one.
//!
//! Owns the trait, inodes, attributes and errno, the adapter from FUSE requests to the trait, the reference
//! implementation `MemoryFs` and the conformance suite. The only crate that uses `sandkeep-fuse`; others mount and
//! serve through [`mount`] and [`Server`]. Knows nothing of buckets, archives or sandboxes.

mod adapter;
pub mod conformance;
mod connections;
mod error;
mod filesystem;
mod memory;
mod mount;
mod server;
mod types;

pub use connections::{abort_connection, connection_id};
pub use error::{Errno, MountError};
pub use filesystem::{FileSystem, KernelCache};
pub use memory::MemoryFs;
pub use mount::{Connection, MountOptions, Mounted, Negotiated, abort, attach, mount, request_memory};
pub use server::{Server, Session, Takeover};
pub use types::{
    Attributes, AttributesReply, Caller, DirectoryEntry, Entry, FileHandle, FileKind, Inode, LockOwner,
    OpenFlags, Opened, RenameFlags, SetAttributes, SetTime, SetXattrFlags, StatFs, Timestamp, Whence,
};
