//! Backups of directories: where they go ([`place`]), making them, showing them, and the list of them.

mod catalogue;
mod create;
mod freeze;
mod place;
mod restore;
mod transfer;

pub(crate) use create::ProgressReceiver;
