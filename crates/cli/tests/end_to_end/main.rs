//! The whole product through its own command line and HTTP, as a user meets it: real servers, mounts and sandboxes.

mod backups;
mod bad_input;
mod crashes;
mod endpoint;
mod keys;
mod kills;
mod outgrown;
mod peers;
mod s3_inside;
mod service;
mod sessions;
mod standalone;
mod story;
