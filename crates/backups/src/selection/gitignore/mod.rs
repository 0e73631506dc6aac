//! git's rules on what is ignored, without git: patterns, globs, the index, settings. Reads no files.
//!
//! `docs/decisions/0030-gitignore-without-git.md` says why this is our own.

mod config;
mod index;
mod patterns;
mod wildmatch;

pub(crate) use config::Config;
pub(crate) use index::{DamagedIndex, Index, TrackedDirectory, parse as parse_index};
pub(crate) use patterns::{Match, Patterns};
