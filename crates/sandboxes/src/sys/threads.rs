//! Threads that are thrown away after they have entered a namespace or taken on an identity.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::Mode;
use rustix::process::umask;
use rustix::thread::{
    ThreadNameSpaceType, UnshareFlags, capabilities, move_into_thread_name_spaces, set_capabilities,
    unshare_unsafe,
};

/// Runs something in a thread of its own, so that what it changes about itself ends with it.
pub(crate) fn in_thread<T: Send, E: Send + From<io::Error>>(
    work: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("sandkeep-inside".into()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A copy of the mount table, or of whatever else `flags` name, for this thread.
pub(crate) fn separate(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: CLONE_FILES is never among the flags, so descriptors stay valid for all threads.
    Ok(unsafe { unshare_unsafe(flags) }?)
}

/// Enters namespaces of the process that a pidfd names.
pub(crate) fn enter(process: BorrowedFd<'_>, namespaces: ThreadNameSpaceType) -> io::Result<()> {
    if namespaces.contains(ThreadNameSpaceType::MOUNT) {
        // setns(2) refuses a mount namespace while root and working directory are shared with other threads.
        separate(UnshareFlags::FS)?;
    }
    Ok(move_into_thread_name_spaces(process, namespaces)?)
}

/// Makes the files that this thread creates belong to `id` (user and group), whatever the process's umask is. The
/// thread keeps all its capabilities.
pub(crate) fn create_files_as(id: u32) -> io::Result<()> {
    separate(UnshareFlags::FS)?;
    umask(Mode::WGRP | Mode::WOTH);
    let kept = capabilities(None)?;
    // SAFETY: plain system calls on the calling thread only.
    unsafe {
        libc::setfsgid(id);
        libc::setfsuid(id);
    }
    // Leaving id 0 took the capabilities about files away from the effective set.
    Ok(set_capabilities(None, kept)?)
}

/// Switches a network interface on.
pub(crate) fn interface_up(socket: &std::os::fd::OwnedFd, name: &std::ffi::CStr) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: all-zero is a valid ifreq; only its name and flags are read.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (place, byte) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
        *place = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the structure is what this request takes and outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    super::check(libc::c_long::from(result)).map(drop)
}
