//! The walls of this crate: every store by one contract, signatures by AWS's own examples, providers by table, moves of
//! buckets by what is there afterwards.

mod contract;
mod credentials;
mod moves;
mod provider;
mod sigv4;
