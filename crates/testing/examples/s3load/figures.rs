//! What was measured.

use std::time::Duration;

use serde_json::{Value, json};

/// Requests, how long each took, and the bytes of their content.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    microseconds: Vec<u32>,
    bytes: u64,
    pub(crate) seconds: f64,
}

impl Figures {
    pub(crate) fn add(&mut self, took: Duration, bytes: u64) {
        self.microseconds.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        self.bytes += bytes;
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.microseconds.extend(other.microseconds);
        self.bytes += other.bytes;
    }

    pub(crate) fn json(mut self) -> Value {
        self.microseconds.sort_unstable();
        let requests = self.microseconds.len();
        let at = |share: usize| {
            let index = (requests * share / 100).min(requests.saturating_sub(1));
            self.microseconds.get(index).map_or(0.0, |&time| f64::from(time) / 1000.0)
        };
        json!({
            "requests": requests,
            "seconds": self.seconds,
            "per_second": requests as f64 / self.seconds,
            "p50_ms": at(50),
            "p99_ms": at(99),
            "mb_per_second": self.bytes as f64 / 1e6 / self.seconds,
        })
    }
}
