//! The wall of `bucketfs`: buckets in memory behind real mounts. Runs as root.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod conformance;
mod store;
mod world;
