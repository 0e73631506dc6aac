//! Sets of byte ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of a file, as few ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeSet {
    /// Start to end; neither overlapping nor touching.
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Adds bytes.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&other_start, &other_end)) = self.ranges.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            start = start.min(other_start);
            end = end.max(other_end);
            self.ranges.remove(&other_start);
        }
        self.ranges.insert(start, end);
    }

    /// Takes bytes away.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        let touched: Vec<(u64, u64)> = self.overlapping(&range).collect();
        for (start, end) in touched {
            self.ranges.remove(&start);
            if start < range.start {
                self.ranges.insert(start, range.start);
            }
            if end > range.end {
                self.ranges.insert(range.end, end);
            }
        }
    }

    /// Takes all bytes from `size` on away.
    pub(crate) fn truncate(&mut self, size: u64) {
        self.remove(size..u64::MAX);
    }

    /// Whether any byte of `range` is in the set.
    pub(crate) fn intersects(&self, range: &Range<u64>) -> bool {
        self.overlapping(range).next().is_some()
    }

    /// The end of the range that starts at 0; 0 if there is none.
    pub(crate) fn prefix_end(&self) -> u64 {
        self.ranges.get(&0).copied().unwrap_or(0)
    }

    /// How many bytes there are.
    pub(crate) fn total(&self) -> u64 {
        self.ranges.iter().map(|(start, end)| end - start).sum()
    }

    /// Splits `range` where membership changes: pieces in order, each with whether it is in the set.
    pub(crate) fn split(&self, range: Range<u64>) -> Vec<(Range<u64>, bool)> {
        let mut pieces = Vec::new();
        let mut position = range.start;
        for (start, end) in self.overlapping(&range) {
            let inside = start.max(range.start)..end.min(range.end);
            if position < inside.start {
                pieces.push((position..inside.start, false));
            }
            position = inside.end;
            pieces.push((inside, true));
        }
        if position < range.end {
            pieces.push((position..range.end, false));
        }
        pieces
    }

    fn overlapping(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, u64)> + use<> {
        let before = self.ranges.range(..range.start).next_back().filter(|&(_, &end)| end > range.start);
        let first = before.map_or(range.start, |(&start, _)| start);
        let found: Vec<(u64, u64)> = if range.is_empty() {
            Vec::new()
        } else {
            self.ranges.range(first..range.end).map(|(&start, &end)| (start, end)).collect()
        };
        found.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Change {
        Insert(u64, u64),
        Remove(u64, u64),
        Truncate(u64),
    }

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0u64..64, 0u64..20).prop_map(|(start, length)| Change::Insert(start, length)),
            (0u64..64, 0u64..20).prop_map(|(start, length)| Change::Remove(start, length)),
            (0u64..80).prop_map(Change::Truncate),
        ]
    }

    fn apply(set: &mut RangeSet, model: &mut [bool], change: &Change) {
        let (range, value) = match *change {
            Change::Insert(start, length) => (start..start + length, true),
            Change::Remove(start, length) => (start..start + length, false),
            Change::Truncate(size) => (size..100, false),
        };
        model[range.start as usize..range.end as usize].fill(value);
        match change {
            Change::Insert(..) => set.insert(range),
            Change::Remove(..) => set.remove(range),
            Change::Truncate(size) => set.truncate(*size),
        }
    }

    proptest! {
        #[test]
        fn a_set_is_what_a_row_of_flags_is(changes in proptest::collection::vec(any_change(), 0..30), from in 0u64..90) {
            let (mut set, mut model) = (RangeSet::default(), vec![false; 100]);
            for change in &changes {
                apply(&mut set, &mut model, change);
            }
            prop_assert_eq!(set.total(), model.iter().filter(|&&inside| inside).count() as u64);
            prop_assert_eq!(set.prefix_end(), model.iter().take_while(|&&inside| inside).count() as u64);
            prop_assert_eq!(set.intersects(&(from..from + 7)), model[from as usize..from as usize + 7].contains(&true));
            let mut position = from;
            for (piece, inside) in set.split(from..100) {
                prop_assert_eq!(piece.start, position);
                prop_assert!(model[piece.start as usize..piece.end as usize].iter().all(|&flag| flag == inside));
                position = piece.end;
            }
            prop_assert_eq!(position, 100);
        }
    }
}
