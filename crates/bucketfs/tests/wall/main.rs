//! The wall of `bucketfs`: buckets in memory behind real mounts. Runs as root.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod conformance;
mod content;
mod foreign;
mod model;
mod peers;
mod programs;
mod publishing;
mod requests;
mod sharing;
mod store;
mod world;
