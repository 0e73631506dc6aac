//! Creating backups, judged by others: `unsquashfs`, the kernel, and what is in the bucket afterwards.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archive;
mod catalogue;
mod changing;
mod checkpoints;
mod description;
mod edits;
mod excludes;
mod fidelity;
mod freezing;
mod gitignore;
mod kernel;
mod moving;
mod scripted;
mod uploads;
