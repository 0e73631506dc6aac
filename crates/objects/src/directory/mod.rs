//! The embedded store: an index in SQLite, bodies in files, under one directory that one process owns.
//!
//! ```text
//! DIRECTORY/            mode 0700
//!   lock                flock held by the owner, whose pid it contains
//!   index.sqlite{,-wal,-shm}
//!   reserve             room that deletions need on a full disk
//!   bodies/2f/07a3…     one file per body above 16 KiB, named by a random id, never by a key
//! ```
//!
//! A write puts its body into a file under an id that the index has reserved before, syncs file and directory,
//! and becomes visible by the commit of the index, which is synced as well. Commits that wait for each other
//! share one transaction. What a crash leaves behind are reserved ids that nothing uses; the next start deletes
//! their files, however many objects there are.

mod body;
mod buffers;
mod change;
mod checkpoints;
mod copy_part;
mod cors;
mod expire;
mod extents;
mod failure;
mod files;
mod fsck;
mod index;
mod list;
mod lock;
mod multipart;
mod mutations;
mod pins;
mod read;
mod readers;
mod receive;
mod reserve;
mod rows;
mod service;
mod store;
mod writer;

pub use fsck::{Damage, DamagedObject, FsckReport};
pub use service::DirectoryService;
