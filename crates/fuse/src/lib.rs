//! The kernel's FUSE protocol over `/dev/fuse`, and nothing else.
//!
//! Owns the layout of requests and answers, mounting by descriptor, the agreement of FUSE_INIT, the threads that read
//! requests, interrupts, notifications, and handing a connection to another process. Knows no filesystem: whoever
//! implements [`Handler`] does. The layouts are those of Linux' `include/uapi/linux/fuse.h`, protocol 7.31 to 7.45.

pub mod abi;
mod buffers;
mod channel;
mod connection;
mod decode;
mod error;
mod event;
mod inflight;
mod init;
mod mapping;
mod mount;
mod notify;
mod pool;
mod readers;
mod reply;
mod request;
mod slots;

pub use buffers::Data;
pub use connection::{Connection, MountOptions, Mounted, Negotiated};
pub use decode::{DecodeError, Forgotten, Operation, TimeChange, decode};
pub use error::Error;
pub use event::Event;
pub use init::{MAX_REQUEST, negotiate};
pub use mapping::SharedMapping;
pub use mount::{attach, mount};
pub use notify::Notifier;
pub use pool::{Pool, Session, Takeover};
pub use reply::Reply;
pub use request::{Handler, Header, Request};
pub use slots::request_memory;
