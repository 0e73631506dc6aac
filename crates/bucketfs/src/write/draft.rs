//! The content of a file that differs, or may soon, from the bucket's.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::errno::{Result, spool_failed};
use crate::ranges::RangeSet;
use crate::write::spool::Spool;

/// Where bytes of a draft are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the spool.
    Spool,
    /// In the version of the bucket.
    Base,
    /// Nowhere: they are zeros.
    Zeros,
    /// Already sent and let go.
    Gone,
}

/// A file under construction.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) spool: Spool,
    shape: Mutex<Shape>,
}

/// Which bytes are where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// Bytes of the file.
    pub(crate) size: u64,
    /// How many of its first bytes come from the bucket's version, unless written since.
    pub(crate) base: u64,
    /// What the spool has.
    pub(crate) present: RangeSet,
    /// What the spool had, until it was uploaded and let go.
    pub(crate) gone: RangeSet,
    /// What differs from the bucket's version.
    pub(crate) changed: RangeSet,
    /// Must be uploaded.
    pub(crate) dirty: bool,
}

impl Draft {
    /// Starts from `base` bytes of the bucket's version.
    pub(crate) fn new(base: u64, spool: Spool) -> Self {
        let shape = Shape { size: base, base, ..Shape::default() };
        Self { spool, shape: Mutex::new(shape) }
    }

    /// The shape, for a moment.
    pub(crate) fn shape(&self) -> MutexGuard<'_, Shape> {
        self.shape.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.shape().size
    }

    /// Whether it must be uploaded.
    pub(crate) fn dirty(&self) -> bool {
        self.shape().dirty
    }

    /// Takes in what a program wrote.
    pub(crate) async fn write(&self, offset: u64, data: Bytes) -> Result<()> {
        let range = offset..offset + data.len() as u64;
        self.spool.write(offset, data).await.map_err(|error| spool_failed(&error))?;
        self.shape().written(range);
        Ok(())
    }

    /// Takes in zeros.
    pub(crate) async fn zero(&self, range: Range<u64>) -> Result<()> {
        self.spool.zero(range.clone()).await.map_err(|error| spool_failed(&error))?;
        self.shape().written(range);
        Ok(())
    }

    /// Takes in what the bucket has, so that it is not needed any more.
    pub(crate) async fn keep(&self, offset: u64, data: Bytes) -> Result<()> {
        let range = offset..offset + data.len() as u64;
        self.spool.write(offset, data).await.map_err(|error| spool_failed(&error))?;
        self.shape().present.insert(range);
        Ok(())
    }

    /// Puts what was written over `base` bytes that the bucket has, `shift` bytes further on. For small files.
    pub(crate) async fn rebase(&self, base: u64, shift: u64) -> Result<()> {
        let Shape { size, present, .. } = self.shape().clone();
        let mut moved = Shape { size: base.max(size + shift), base, dirty: true, ..Shape::default() };
        let written = present.split(0..size).into_iter().filter(|(_, present)| *present);
        // The last first, so that nothing is overwritten before it is moved.
        for (range, _) in written.rev() {
            let to = range.start + shift..range.end + shift;
            if shift > 0 {
                let bytes = self.spool.read(range).await.map_err(|error| spool_failed(&error))?;
                self.spool.write(to.start, bytes).await.map_err(|error| spool_failed(&error))?;
            }
            moved.present.insert(to.clone());
            moved.changed.insert(to);
        }
        *self.shape() = moved;
        Ok(())
    }
}

impl Shape {
    /// Notes written bytes.
    pub(crate) fn written(&mut self, range: Range<u64>) {
        // What is written behind the end leaves zeros before it, and those differ from the bucket too.
        let changed = self.size.min(range.start)..range.end;
        self.changed.insert(changed);
        self.size = self.size.max(range.end);
        self.gone.remove(range.clone());
        self.present.insert(range);
        self.dirty = true;
    }

    /// Cuts or extends with zeros.
    pub(crate) fn resize(&mut self, size: u64) {
        self.present.truncate(size);
        self.gone.truncate(size);
        self.changed.truncate(size);
        self.changed.insert(self.size.min(size)..size);
        self.base = self.base.min(size);
        self.size = size;
        self.dirty = true;
    }

    /// Notes that all of it is in the bucket.
    pub(crate) fn published(&mut self) {
        self.base = self.size;
        self.changed = RangeSet::default();
        self.gone = RangeSet::default();
        self.dirty = false;
    }

    /// Where the bytes of a range are, in order.
    pub(crate) fn sources(&self, range: Range<u64>) -> Vec<(Range<u64>, Source)> {
        let range = range.start..range.end.min(self.size);
        let mut sources = Vec::new();
        if range.start >= range.end {
            return sources;
        }
        for (piece, present) in self.present.split(range) {
            match present {
                true => sources.push((piece, Source::Spool)),
                false => sources.extend(self.sources_outside(piece)),
            }
        }
        sources
    }

    fn sources_outside(&self, range: Range<u64>) -> Vec<(Range<u64>, Source)> {
        let mut sources = Vec::new();
        for (piece, gone) in self.gone.split(range) {
            let middle = self.base.clamp(piece.start, piece.end);
            match gone {
                true => sources.push((piece, Source::Gone)),
                false => {
                    sources.extend([(piece.start..middle, Source::Base), (middle..piece.end, Source::Zeros)]);
                }
            }
        }
        sources.retain(|(piece, _)| !piece.is_empty());
        sources
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Change {
        Write(u64, u64),
        Resize(u64),
        Publish,
    }

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => (0u64..60, 1u64..20).prop_map(|(offset, length)| Change::Write(offset, length)),
            2 => (0u64..90).prop_map(Change::Resize),
            1 => Just(Change::Publish),
        ]
    }

    /// What every byte is made of: its source, and whether it differs from the bucket.
    fn apply(shape: &mut Shape, model: &mut Vec<(Source, bool)>, change: &Change) {
        match *change {
            Change::Write(offset, length) => {
                shape.written(offset..offset + length);
                model.resize(model.len().max((offset + length) as usize), (Source::Zeros, true));
                model[offset as usize..(offset + length) as usize].fill((Source::Spool, true));
            }
            Change::Resize(size) => {
                shape.resize(size);
                model.resize(size as usize, (Source::Zeros, true));
            }
            Change::Publish => {
                shape.published();
                for byte in model.iter_mut() {
                    *byte = (if byte.0 == Source::Spool { Source::Spool } else { Source::Base }, false);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_byte_comes_from_where_it_was_put_last(
            base in 0u64..50, changes in proptest::collection::vec(any_change(), 0..20),
        ) {
            let mut shape = Shape { size: base, base, ..Shape::default() };
            let mut model = vec![(Source::Base, false); base as usize];
            for change in &changes {
                apply(&mut shape, &mut model, change);
            }
            prop_assert_eq!(shape.size, model.len() as u64);
            let mut position = 0;
            for (range, source) in shape.sources(0..200) {
                prop_assert_eq!(range.start, position);
                let bytes = &model[range.start as usize..range.end as usize];
                prop_assert!(bytes.iter().all(|byte| byte.0 == source), "{:?} {:?}", range, source);
                position = range.end;
            }
            prop_assert_eq!(position, shape.size);
            for (index, byte) in model.iter().enumerate() {
                let index = index as u64;
                prop_assert_eq!(shape.changed.intersects(&(index..index + 1)), byte.1);
            }
        }
    }
}
