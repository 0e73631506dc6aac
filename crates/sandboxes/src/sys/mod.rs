//! System calls that need `unsafe` or that rustix does not have. No policy here: each function is one call, or a few
//! that only make sense together.

pub(crate) mod mounts;
pub(crate) mod processes;
pub(crate) mod signals;
pub(crate) mod sockets;
pub(crate) mod threads;

use std::io;

/// The result of a call through libc, whose error is in `errno`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
