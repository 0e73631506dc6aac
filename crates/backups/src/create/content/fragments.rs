//! Packing small files and tails together, equal ones once.

use std::collections::{HashMap, VecDeque};

use super::buffers::Buffers;
use crate::squashfs::format::BLOCK_BYTES;

/// Where bytes are: which fragment, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) fragment: u32,
    pub(super) offset: u32,
}

/// Collects small contents into blocks.
#[derive(Debug, Default)]
pub(super) struct Packer {
    open: Vec<u8>,
    /// Fragments that were closed, the open one's number.
    closed: u32,
    full: VecDeque<Vec<u8>>,
    places: HashMap<(u128, u32), Place>,
}

impl Packer {
    /// A packer whose first fragment has that number.
    pub(super) fn starting_at(first: u32) -> Self {
        Self { closed: first, ..Self::default() }
    }

    /// Places fewer bytes than a block has. `hash` stands for them.
    pub(super) fn pack(&mut self, bytes: &[u8], hash: u128, buffers: &Buffers) -> Place {
        let key = (hash, bytes.len() as u32);
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        if self.open.len() + bytes.len() > BLOCK_BYTES {
            self.close();
        }
        if self.open.capacity() == 0 {
            self.open = buffers.take(0);
        }
        let place = Place { fragment: self.closed, offset: self.open.len() as u32 };
        self.open.extend_from_slice(bytes);
        self.places.insert(key, place);
        place
    }

    /// The next fragment to compress, in the order of their numbers.
    pub(super) fn take_full(&mut self) -> Option<Vec<u8>> {
        self.full.pop_front()
    }

    /// Closes the open fragment, unless it is empty.
    pub(super) fn close(&mut self) {
        if !self.open.is_empty() {
            self.full.push_back(std::mem::take(&mut self.open));
            self.closed += 1;
        }
    }
}
