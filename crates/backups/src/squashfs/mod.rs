//! squashfs 4.0: the format both sides share, and each side.

pub(crate) mod compress;
pub(crate) mod format;
pub(crate) mod reader;
pub(crate) mod writer;
