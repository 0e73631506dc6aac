//! How a file is cut into the parts of a multipart upload. Pure.

use std::ops::Range;

use sandkeep_vfs::Errno;

use crate::errno::Result;
use crate::write::draft::Shape;

/// S3 takes at most this many parts.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
pub(crate) const MAX_PARTS: usize = 10_000;

/// After so many parts their size doubles, where the provider lets it.
const PARTS_OF_A_SIZE: u64 = 700;

/// Parts stop growing here: from 8 MiB on, 10,000 of them hold the largest object.
const MAX_PART_SIZE: u64 = 1 << 30;

/// Largest object.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
const MAX_OBJECT_SIZE: u64 = 5 << 40;

/// Smallest part where all must be equal: R2 takes 10,000 parts too, and smaller ones end large files early.
const MIN_EQUAL_PART: u64 = 16 << 20;

/// Most that one part copies on the server: S3 takes 5 GiB, but smaller ones run side by side.
const MAX_COPY: u64 = 512 << 20;

/// The boundaries of the parts of any file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Size of the first parts.
    pub(crate) part_size: u64,
    /// Never grow.
    pub(crate) equal: bool,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedPart {
    /// Which bytes of the file.
    pub(crate) range: Range<u64>,
    /// The bucket's version has the same bytes at the same place.
    pub(crate) copy: bool,
}

impl Grid {
    /// Parts that grow from `part_size` on.
    pub(crate) fn growing(part_size: u64) -> Self {
        Self { part_size, equal: false }
    }

    /// Parts of one size, and not a small one.
    pub(crate) fn equal(part_size: u64) -> Self {
        Self { part_size: part_size.max(MIN_EQUAL_PART), equal: true }
    }

    /// Largest file.
    fn max_size(self) -> u64 {
        self.part(MAX_PARTS - 1).end.min(MAX_OBJECT_SIZE)
    }

    /// The bytes of the part at `index`, from 0 on.
    pub(crate) fn part(self, index: usize) -> Range<u64> {
        let (mut start, mut size, mut left) = (0, self.part_size, index as u64);
        while !self.equal && left >= PARTS_OF_A_SIZE && size * 2 <= MAX_PART_SIZE {
            start += PARTS_OF_A_SIZE * size;
            size *= 2;
            left -= PARTS_OF_A_SIZE;
        }
        start += left * size;
        start..start + size
    }

    /// The parts of a file of `size` bytes; EFBIG if it takes too many.
    pub(crate) fn parts(self, size: u64) -> Result<Vec<Range<u64>>> {
        self.parts_fit(size)?;
        let ranges = (0..).map(|index| self.part(index)).take_while(|range| range.start < size);
        Ok(ranges.map(|range| range.start..range.end.min(size)).collect())
    }

    /// EFBIG if a file of `size` bytes takes too many parts or is larger than an object can be.
    pub(crate) fn parts_fit(self, size: u64) -> Result<()> {
        if size > self.max_size() { Err(Errno::EFBIG) } else { Ok(()) }
    }

    /// The parts of a draft; neighbours that are copied are one part where the provider lets them.
    pub(crate) fn plan(self, shape: &Shape) -> Result<Vec<PlannedPart>> {
        let mut plan: Vec<PlannedPart> = Vec::new();
        for range in self.parts(shape.size)? {
            let copy = range.end <= shape.base && !shape.changed.intersects(&range);
            match plan.last_mut() {
                Some(last)
                    if !self.equal && copy && last.copy && range.end - last.range.start <= MAX_COPY =>
                {
                    last.range.end = range.end;
                }
                _ => plan.push(PlannedPart { range, copy }),
            }
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn parts_grow_only_where_they_may() {
        let growing = Grid::growing(8 * MIB);
        assert_eq!(growing.part(699).end, 5600 * MIB);
        assert_eq!(growing.part(700), 5600 * MIB..5616 * MIB);
        assert_eq!(growing.part(9999).end - growing.part(9999).start, MAX_PART_SIZE);
        let equal = Grid::equal(8 * MIB);
        assert_eq!(equal.part(9999).end, 160_000 * MIB);
        assert_eq!(equal.parts(160_001 * MIB), Err(Errno::EFBIG));
    }

    #[test]
    fn the_largest_object_fits_ten_thousand_parts() {
        for part_size in [8 * MIB, 16 * MIB, 100 * MIB] {
            let parts = Grid::growing(part_size).parts(MAX_OBJECT_SIZE).unwrap();
            assert!(parts.len() <= MAX_PARTS, "{} parts", parts.len());
            assert_eq!(Grid::growing(part_size).parts_fit(MAX_OBJECT_SIZE + 1), Err(Errno::EFBIG));
        }
    }

    #[test]
    fn a_change_in_the_middle_sends_one_part() {
        let mut shape = Shape { size: 64 * MIB, base: 64 * MIB, ..Shape::default() };
        shape.written(30 * MIB..30 * MIB + 4096);
        let plan = Grid { part_size: 8 * MIB, equal: false }.plan(&shape).unwrap();
        let parts: Vec<_> = plan.iter().map(|part| (part.range.end / MIB, part.copy)).collect();
        assert_eq!(parts, [(24, true), (32, false), (64, true)]);
    }

    proptest! {
        #[test]
        fn plans_cover_the_file_and_copy_only_what_is_the_same(
            base in 0u64..100, writes in proptest::collection::vec((0u64..120, 1u64..30), 0..5),
            cut in proptest::option::of(0u64..150), part_size in 1u64..20, equal: bool,
        ) {
            let mut shape = Shape { size: base, base, ..Shape::default() };
            for (offset, length) in writes {
                shape.written(offset..offset + length);
            }
            if let Some(size) = cut {
                shape.resize(size);
            }
            let plan = Grid { part_size, equal }.plan(&shape).unwrap();
            let mut position = 0;
            for (index, part) in plan.iter().enumerate() {
                prop_assert_eq!(part.range.start, position);
                position = part.range.end;
                let length = part.range.end - part.range.start;
                prop_assert!(length >= part_size || index + 1 == plan.len());
                prop_assert!(!equal || length == part_size || index + 1 == plan.len());
                prop_assert!(!part.copy || (part.range.end <= base && !shape.changed.intersects(&part.range)));
            }
            prop_assert_eq!(position, shape.size);
        }
    }
}
