//! How many bytes per second a sandbox sends and receives.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What was not used of so much time may be used at once.
const BURST: Duration = Duration::from_millis(250);

/// Bytes per second, over all requests together.
#[derive(Debug)]
pub(crate) struct Throttle {
    rate: NonZeroU64,
    /// When everything that was taken is paid for.
    paid: Mutex<Option<Instant>>,
}

impl Throttle {
    pub(crate) fn new(rate: NonZeroU64) -> Self {
        Self { rate, paid: Mutex::default() }
    }

    /// Returns when so many bytes may have passed; in the order of the calls.
    pub(crate) async fn take(&self, bytes: u64) {
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate.get() as f64);
        let paid = {
            let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            let next = paid.map_or(earliest, |paid| paid.max(earliest)) + cost;
            *paid = Some(next);
            next
        };
        sleep_until(paid).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_their_time() {
        let throttle = Throttle::new(NonZeroU64::new(1_000_000).expect("not zero"));
        let start = Instant::now();
        let takes = (0..100).map(|_| throttle.take(100_000));
        futures::future::join_all(takes).await;
        let spent = start.elapsed();
        assert!((Duration::from_millis(9740)..Duration::from_millis(10_010)).contains(&spent), "{spent:?}");
        tokio::time::sleep(Duration::from_secs(60)).await;
        let start = Instant::now();
        throttle.take(1_000_000).await;
        // A pause earns no more than the burst.
        assert!(start.elapsed() >= Duration::from_millis(740), "{:?}", start.elapsed());
    }
}
