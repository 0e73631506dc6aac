//! Guesses from the chunks that are read which ones will be.
//!
//! Works on places in the archive, not on files: a tree that is read in the order of the archive is one long read.

use std::collections::VecDeque;
use std::ops::Range;

/// Readers that are told apart.
const MAX_STREAMS: usize = 16;

/// Recent sequential readers, the latest first.
#[derive(Debug)]
pub(super) struct Streams {
    recent: VecDeque<Stream>,
    max_window: u64,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    last: u64,
    window: u64,
    ahead: u64,
}

impl Streams {
    /// Windows of at most `max_window` chunks.
    pub(super) fn new(max_window: u64) -> Self {
        Self { recent: VecDeque::new(), max_window }
    }

    /// Notes that `chunk` is read; returns the chunks to fetch ahead.
    pub(super) fn touch(&mut self, chunk: u64) -> Range<u64> {
        let follows = |stream: &Stream| (stream.last..=stream.last + 2).contains(&chunk);
        let known = self.recent.iter().position(follows).and_then(|at| self.recent.remove(at));
        let mut stream = known.unwrap_or(Stream { last: chunk, window: 0, ahead: chunk + 1 });
        let fetch = stream.advance(chunk, self.max_window);
        self.recent.push_front(stream);
        self.recent.truncate(MAX_STREAMS);
        fetch
    }
}

impl Stream {
    /// Each chunk read in order doubles the window.
    fn advance(&mut self, chunk: u64, max_window: u64) -> Range<u64> {
        if chunk == self.last {
            return 0..0;
        }
        self.last = chunk;
        self.window = (self.window * 2).max(2).min(max_window);
        let from = self.ahead.max(chunk + 1);
        self.ahead = from.max(chunk + 1 + self.window);
        from..self.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_grow_with_the_run_and_nothing_is_asked_for_twice() {
        let mut streams = Streams::new(8);
        let asked: Vec<_> = [5, 5, 6, 7, 8, 9, 10].map(|chunk| streams.touch(chunk)).into();
        assert_eq!(asked, [0..0, 0..0, 7..9, 9..12, 12..17, 17..18, 18..19]);
    }

    #[test]
    fn jumps_fetch_nothing_and_do_not_end_a_run() {
        let mut streams = Streams::new(8);
        let asked: Vec<_> = [5, 90, 40, 6, 200, 7].map(|chunk| streams.touch(chunk)).into();
        assert_eq!(asked, [0..0, 0..0, 0..0, 7..9, 0..0, 9..12]);
    }
}
