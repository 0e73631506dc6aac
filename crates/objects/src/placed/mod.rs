//! Buckets in two places: the embedded store, and a store elsewhere that takes over when one machine is too small.
//!
//! A name means the embedded bucket while there is one, else the bucket elsewhere. New buckets are made elsewhere as
//! soon as there is an elsewhere. Moving an embedded bucket there copies it while it is used, then holds its writes
//! for a moment and gives the embedded one another name: that one commit of the index is the switch.

mod copies;
mod gates;
mod journal;
mod migrate;
mod object;
mod pages;
mod service;
mod status;
mod store;

pub use service::{PlacedService, Placement, StoredBucket};
pub use status::{MigrationError, MigrationOptions, MigrationOutcome, MigrationPhase, MigrationStatus};
