//! A request as a handler sees it.

use std::ops::Range;
use std::sync::Arc;

use crate::abi::{self, Field};
use crate::buffers::{Data, Stock};
use crate::decode::{DecodeError, Operation, decode};
use crate::reply::Reply;
use crate::slots::Slot;

/// Serves the requests of a connection. Methods run in the reading threads, concurrently, and must not wait;
/// a panic answers EIO.
pub trait Handler: Send + Sync + 'static {
    /// Answers at once, or keeps `reply` and answers later from anywhere.
    fn request(&self, request: Request<'_>, reply: Reply);

    /// The kernel drops `count` references to a node.
    fn forget(&self, node: u64, count: u64);
}

/// Who asks for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Opcode.
    pub opcode: u32,
    /// Number of the request, repeated in its answer.
    pub unique: u64,
    /// The file or directory it is about.
    pub node: u64,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Thread; 0 for the kernel.
    pub pid: u32,
}

/// A request as it was read.
#[derive(Debug)]
pub struct Request<'a> {
    header: Header,
    end: usize,
    stored: Stored<'a>,
}

/// Where a request is.
#[derive(Debug)]
pub(crate) enum Stored<'a> {
    /// In the buffer of its reading thread.
    Thread { buffer: &'a mut Vec<u8>, stock: &'a Arc<Stock> },
    /// In memory that outlives us.
    Slot(Arc<Slot>),
}

impl Stored<'_> {
    fn header(&self, length: usize) -> Option<abi::InHeader> {
        match self {
            Self::Thread { buffer, .. } => {
                Some(abi::InHeader::load(buffer.get(..length)?.get(..abi::InHeader::SIZE)?))
            }
            Self::Slot(slot) => (length >= abi::InHeader::SIZE).then(|| slot.header()),
        }
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        match self {
            Self::Thread { buffer, .. } => &buffer[range],
            Self::Slot(slot) => slot.bytes(range),
        }
    }
}

impl<'a> Request<'a> {
    /// The request in the first `length` bytes; none if they are not even a header.
    pub(crate) fn new(stored: Stored<'a>, length: usize) -> Option<Self> {
        let header = stored.header(length)?;
        // Extensions, counted in units of 8 bytes, follow the operation. We agreed on none; should one come, skip it.
        let end = length.saturating_sub(usize::from(header.total_extlen) * 8).max(abi::InHeader::SIZE);
        let abi::InHeader { opcode, unique, nodeid: node, uid, gid, pid, .. } = header;
        Some(Self { header: Header { opcode, unique, node, uid, gid, pid }, end, stored })
    }

    /// Who asks.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// For what.
    ///
    /// # Errors
    /// The request is malformed.
    pub fn operation(&self) -> Result<Operation<'_>, DecodeError> {
        decode(self.header.opcode, self.stored.bytes(abi::InHeader::SIZE..self.end))
    }

    /// The data of a write, to keep.
    pub fn into_data(self) -> Data {
        let start = (abi::InHeader::SIZE + abi::WriteIn::SIZE).min(self.end);
        match self.stored {
            Stored::Thread { buffer, stock } => Data::take(buffer, start..self.end, stock),
            Stored::Slot(slot) => Data::copied(slot.bytes(start..self.end)),
        }
    }
}
