//! Progress, counted from all threads and reported a few times a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Progress, ProgressSink};

const REPORT_INTERVAL: Duration = Duration::from_millis(200);

/// Counters of a backup being made.
pub(super) struct Meter {
    entries: AtomicU64,
    total_bytes: AtomicU64,
    read_bytes: AtomicU64,
    uploaded_bytes: AtomicU64,
    copied_bytes: AtomicU64,
    sink: Arc<dyn ProgressSink>,
    reported: Mutex<Option<Instant>>,
}

impl Meter {
    pub(super) fn new(sink: Arc<dyn ProgressSink>) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            entries: zero(),
            total_bytes: zero(),
            read_bytes: zero(),
            uploaded_bytes: zero(),
            copied_bytes: zero(),
            sink,
            reported: Mutex::new(None),
        }
    }

    pub(super) fn found(&self, bytes: u64) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tick();
    }

    pub(super) fn read(&self, bytes: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tick();
    }

    pub(super) fn uploaded(&self, bytes: u64) {
        self.uploaded_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tick();
    }

    pub(super) fn copied(&self, bytes: u64) {
        self.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tick();
    }

    /// Begins again: what was done so far did not count.
    pub(super) fn reset(&self) {
        let all =
            [&self.entries, &self.total_bytes, &self.read_bytes, &self.uploaded_bytes, &self.copied_bytes];
        for counter in all {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Bytes that the server copied so far.
    pub(super) fn copied_bytes(&self) -> u64 {
        self.copied_bytes.load(Ordering::Relaxed)
    }

    /// Reports the state as it is now, however recent the last report is.
    pub(super) fn report(&self) {
        self.sink.report(Progress {
            entries: self.entries.load(Ordering::Relaxed),
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            uploaded_bytes: self.uploaded_bytes.load(Ordering::Relaxed),
            copied_bytes: self.copied_bytes.load(Ordering::Relaxed),
        });
    }

    fn tick(&self) {
        // Another thread that holds the lock is just about to report.
        let Ok(mut reported) = self.reported.try_lock() else { return };
        if reported.is_some_and(|last| last.elapsed() < REPORT_INTERVAL) {
            return;
        }
        *reported = Some(Instant::now());
        drop(reported);
        self.report();
    }
}
