//! Who reads in order, and how far ahead of them to fetch. Pure.

use std::ops::Range;

/// Readers of one file that are told apart.
const MAX_STREAMS: usize = 8;

/// First window of a reader that goes on where it stopped.
const FIRST_WINDOW: u64 = 1 << 20;

/// The kernel sends the requests of its own read-ahead side by side: they arrive a few request sizes out of order.
const DISORDER: u64 = 4;

/// What is kept behind a reader, for requests that arrive late.
const BEHIND: u64 = 4 << 20;

/// The readers of one file.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// Least recently used first.
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    /// Where it is expected to go on.
    next: u64,
    /// Up to where fetching was asked for.
    planned: u64,
    /// How far ahead to be; 0 until it has gone on once.
    window: u64,
}

impl Windows {
    /// Notes a read and tells what to fetch beyond it now; empty: nothing.
    pub(crate) fn note(&mut self, read: &Range<u64>, size: u64, limit: u64) -> Range<u64> {
        let slack = (read.end - read.start).saturating_mul(DISORDER);
        let known = self.streams.iter().position(|stream| read.start.abs_diff(stream.next) <= slack);
        let mut stream = match known {
            Some(index) => self.streams.remove(index),
            None => Stream { next: read.end, planned: read.end, window: 0 },
        };
        let ahead = if known.is_some() { stream.advance(read, size, limit) } else { 0..0 };
        if self.streams.len() == MAX_STREAMS {
            self.streams.remove(0);
        }
        self.streams.push(stream);
        ahead
    }

    /// Whether some reader may still want these bytes.
    pub(crate) fn wants(&self, range: &Range<u64>) -> bool {
        let wanted = |stream: &Stream| {
            range.end.saturating_add(BEHIND) > stream.next && range.start < stream.planned.max(stream.next)
        };
        self.streams.iter().any(wanted)
    }
}

impl Stream {
    fn advance(&mut self, read: &Range<u64>, size: u64, limit: u64) -> Range<u64> {
        self.next = self.next.max(read.end);
        self.planned = self.planned.max(self.next);
        // Asking again only when half is used up keeps the pieces large.
        if self.planned - self.next > self.window / 2 {
            return 0..0;
        }
        self.window = (self.window * 2).max(FIRST_WINDOW.min(4 * (read.end - read.start))).min(limit);
        let ahead = self.planned..self.next.saturating_add(self.window).min(size);
        self.planned = self.planned.max(ahead.end);
        ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn fetched(reads: impl IntoIterator<Item = Range<u64>>, size: u64) -> u64 {
        let mut windows = Windows::default();
        reads
            .into_iter()
            .map(|read| windows.note(&read, size, 32 * MIB))
            .map(|ahead| ahead.end.saturating_sub(ahead.start))
            .sum()
    }

    #[test]
    fn a_sequential_reader_gets_everything_ahead_but_its_first_two_reads() {
        assert_eq!(fetched((0..100).map(|i| i * MIB..(i + 1) * MIB), 100 * MIB), 98 * MIB);
    }

    #[test]
    fn late_requests_do_not_end_a_stream() {
        let swapped = [0, 2, 1, 4, 3, 6, 5, 8, 7, 9].map(|i| i * MIB..(i + 1) * MIB);
        assert!(fetched(swapped, 100 * MIB) > 8 * MIB);
    }

    #[test]
    fn random_reads_fetch_nothing_ahead() {
        let random = (0..1000u64).map(|i| (i * 7_919 * 4_093) % (1 << 30)).map(|at| at..at + 4096);
        assert!(fetched(random, 1 << 30) < 20 * MIB);
    }

    #[test]
    fn windows_stay_within_the_limit() {
        let mut windows = Windows::default();
        for i in 0..1000 {
            let ahead = windows.note(&(i * MIB..(i + 1) * MIB), 1 << 40, 8 * MIB);
            assert!(ahead.is_empty() || ahead.end <= (i + 1) * MIB + 8 * MIB);
        }
    }

    #[test]
    fn what_was_read_is_not_wanted_for_long() {
        let mut windows = Windows::default();
        for i in 0..20 {
            windows.note(&(i * MIB..(i + 1) * MIB), 100 * MIB, 8 * MIB);
        }
        assert!(!windows.wants(&(0..MIB)));
        assert!(windows.wants(&(20 * MIB..21 * MIB)));
    }
}
