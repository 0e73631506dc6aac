//! The S3 client: actions without I/O (one file each), and one transport that carries them.

mod action;
mod actions;
mod bucket;
mod client;
mod failure;
mod headers;
mod provider;
mod retry;
mod settings;
mod signers;
mod sourced;
mod transport;
mod xml;

pub use client::S3Client;
pub use provider::{Quirks, merge_options, mount_source, region_of};
pub use settings::{AddressingStyle, Provider, S3Settings};
