//! What a disk holds: what survives a cut, and what does not.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sandkeep_vfs::Errno;

/// Bytes that a disk writes as a whole or not at all.
const BLOCK: usize = 4096;

/// Which of the blocks that were not flushed a cut drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All of them.
    All,
    /// About half; the same seed chooses the same. A disk may write in any order.
    Some(u64),
}

type Block = Box<[u8]>;

/// A disk in memory.
#[derive(Debug)]
pub(super) struct Medium {
    size: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    durable: HashMap<u64, Block>,
    /// Written, and not flushed since.
    pending: BTreeMap<u64, Block>,
    off: bool,
    /// How often the power has come back.
    generation: u64,
    /// Acknowledges flushes without doing them.
    lying: bool,
    flushes: u64,
}

impl Medium {
    pub(super) fn new(size: u64) -> Self {
        Self { size, state: Mutex::default() }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn read(&self, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        let state = self.powered()?;
        let mut bytes = vec![0; u64::from(size).min(self.size.saturating_sub(offset)) as usize];
        for (at, index, within) in pieces(offset, bytes.len()) {
            if let Some(block) = state.block(index) {
                let length = within.len();
                bytes[at..at + length].copy_from_slice(&block[within]);
            }
        }
        Ok(bytes)
    }

    pub(super) fn write(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        let mut state = self.powered()?;
        if offset + data.len() as u64 > self.size {
            return Err(Errno::ENOSPC);
        }
        for (at, index, within) in pieces(offset, data.len()) {
            let mut block = state.block(index).map_or_else(|| vec![0; BLOCK].into_boxed_slice(), Into::into);
            let length = within.len();
            block[within].copy_from_slice(&data[at..at + length]);
            state.pending.insert(index, block);
        }
        Ok(())
    }

    pub(super) fn flush(&self) -> Result<(), Errno> {
        let mut state = self.powered()?;
        state.flushes += 1;
        if !state.lying {
            let State { durable, pending, .. } = &mut *state;
            durable.extend(std::mem::take(pending));
        }
        Ok(())
    }

    /// Ends everything: from now on all reads, writes and flushes fail.
    pub(super) fn cut(&self, loss: Loss) {
        let mut state = self.lock();
        let State { durable, pending, off, .. } = &mut *state;
        *off = true;
        let pending = std::mem::take(pending).into_iter();
        durable.extend(pending.filter(|(index, _)| match loss {
            Loss::All => false,
            Loss::Some(seed) => mixed(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15)) & 1 == 1,
        }));
    }

    pub(super) fn power_on(&self) {
        let mut state = self.lock();
        state.off = false;
        state.generation += 1;
    }

    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    pub(super) fn set_lying(&self, lying: bool) {
        self.lock().lying = lying;
    }

    pub(super) fn flushes(&self) -> u64 {
        self.lock().flushes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powered(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.lock();
        if state.off { Err(Errno::EIO) } else { Ok(state) }
    }
}

impl State {
    fn block(&self, index: u64) -> Option<&[u8]> {
        self.pending.get(&index).or_else(|| self.durable.get(&index)).map(|block| &**block)
    }
}

/// The blocks that a range touches: where each lies in the range, its index, and which bytes of it are meant.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (usize, u64, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let position = offset + at as u64;
        let start = (position % BLOCK as u64) as usize;
        let piece = (BLOCK - start).min(length - at);
        let found = (piece > 0).then_some((at, position / BLOCK as u64, start..start + piece));
        at += piece;
        found
    })
}

/// The end of SplitMix64.
pub(crate) fn mixed(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_flushed_survives_a_cut() {
        let medium = Medium::new(1 << 20);
        medium.write(100, &[1; 9000]).expect("it is on");
        medium.flush().expect("it is on");
        medium.write(4000, &[2; 200]).expect("it is on");
        assert_eq!(medium.read(4000, 200).expect("it is on"), [2; 200]);
        medium.cut(Loss::All);
        assert_eq!(medium.read(0, 1), Err(Errno::EIO));
        assert_eq!(medium.flush(), Err(Errno::EIO));
        medium.power_on();
        assert_eq!(medium.read(99, 3).expect("it is on"), [0, 1, 1]);
        assert_eq!(medium.read(4000, 200).expect("it is on"), [1; 200]);
        assert_eq!(medium.read(9099, 2).expect("it is on"), [1, 0]);
    }

    #[test]
    fn a_seed_chooses_what_is_lost_and_a_lie_loses_what_was_flushed() {
        let survivors = |seed| {
            let medium = Medium::new(1 << 20);
            (0..200).for_each(|block| medium.write(block * BLOCK as u64, &[7; BLOCK]).expect("it is on"));
            medium.set_lying(true);
            medium.flush().expect("it lies");
            medium.cut(Loss::Some(seed));
            medium.power_on();
            let there = |block: &u64| medium.read(block * BLOCK as u64, 1).expect("it is on") == [7];
            (0..200).filter(there).collect::<Vec<u64>>()
        };
        assert_eq!(survivors(1), survivors(1));
        assert_ne!(survivors(1), survivors(2));
        assert!((50..150).contains(&survivors(3).len()));
    }
}
