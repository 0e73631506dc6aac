//! Time as a dependency, so that tests can move it.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// Where a filesystem takes its time from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day, for timestamps of files.
    fn now(&self) -> SystemTime;

    /// Time that never goes back, for the age of what is cached.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts counting.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
