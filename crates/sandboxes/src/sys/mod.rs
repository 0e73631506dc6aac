//! System calls that need `unsafe` or that rustix does not have. No policy here: each function is one call, or a few
//! that only make sense together.

mod birth;
pub(crate) mod mounts;
pub(crate) mod processes;
pub(crate) mod signals;
pub(crate) mod sockets;
pub(crate) mod threads;

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The result of a call through libc, whose error is in `errno`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Lets tasks wait until a descriptor is readable. Only within the async runtime.
pub(crate) fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    watch_for(descriptor, Interest::READABLE)
}

/// Lets tasks wait until a descriptor is readable or writable. Only within the async runtime.
pub(crate) fn watch_for(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is one descriptor all its life, and the AsyncFd owns it.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, interest) }?)
}
