//! The walls of this crate: every store by one contract, signatures by AWS's own examples, providers by table.

mod contract;
mod provider;
mod sigv4;
