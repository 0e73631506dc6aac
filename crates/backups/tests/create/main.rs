//! Creating backups, judged by others: `unsquashfs`, the kernel, and what is in the bucket afterwards.

mod archive;
mod catalogue;
mod changing;
mod description;
mod excludes;
mod fidelity;
mod kernel;
mod scripted;
mod uploads;
