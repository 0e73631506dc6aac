//! The S3 client: actions without I/O (one file each), and one transport that carries them.

mod client;
mod settings;

pub use client::S3Client;
pub use settings::{AddressingStyle, Provider, S3Settings};
