//! Output that nobody reads any more, of programs that go on: it is read and thrown away, so that they do not stop.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes of one turn and drain: others have their turns, too.
const CHUNK: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct Drains {
    table: BTreeMap<u64, OwnedFd>,
    next_number: u64,
}

impl Drains {
    pub(super) fn add(&mut self, pipes: impl IntoIterator<Item = OwnedFd>) {
        for pipe in pipes {
            self.next_number += 1;
            self.table.insert(self.next_number, pipe);
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        self.table.iter().map(|(number, pipe)| (*number, pipe.as_fd()))
    }

    pub(super) fn pump(&mut self, number: u64) {
        let Some(pipe) = self.table.get(&number) else { return };
        match rustix::io::read(pipe, &mut [0; CHUNK][..]) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Ok(length) if length > 0 => {}
            Ok(_) | Err(_) => drop(self.table.remove(&number)),
        }
    }
}
