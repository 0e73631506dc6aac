//! The whole product through its own command line and HTTP, as a user meets it: real servers, mounts and sandboxes.

mod backups;
mod bad_input;
mod kills;
mod s3_inside;
mod service;
mod standalone;
mod story;
