//! When and how soon to try again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::StatusCode;

/// Tries in all.
pub(super) const MAX_ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Retries that may be outstanding before a client stops adding load to a server in trouble.
const BUDGET: i64 = 500;
const COST: i64 = 5;

/// Lets retries through while enough requests succeed.
#[derive(Debug)]
pub(super) struct Budget(AtomicI64);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicI64::new(BUDGET))
    }
}

impl Budget {
    pub(super) fn succeeded(&self) {
        if self.0.load(Ordering::Relaxed) < BUDGET {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether one more retry may be made.
    pub(super) fn take(&self) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left >= COST).then(|| left - COST))
            .is_ok()
    }
}

/// Answers that another try may better.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// The pause before try `attempt` (1 for the first retry): doubling, half of it random, so that clients that failed
/// together do not come back together.
pub(super) fn pause(attempt: u32) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE);
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    full / 2 + (full / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}
