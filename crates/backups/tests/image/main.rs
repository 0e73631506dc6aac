//! Backups opened as filesystems: archives of mksquashfs and of our own writer, whole and damaged, over stores that
//! count and fail, through the trait and through the kernel.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod archives;
mod faults;
mod mounted;
mod opening;
mod reading;
mod store;
mod trees;
