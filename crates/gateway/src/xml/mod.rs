//! S3's documents: written, and read with bounded effort.

mod read;
mod write;

pub(crate) use read::{Document, Record};
pub(crate) use write::Xml;
