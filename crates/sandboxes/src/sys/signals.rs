//! The agent's signals: SIGCHLD as a descriptor, reaping, and a clean slate for children.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::check;

/// A child that has ended and not been reaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) pid: i32,
    /// Exit code, or 128 + signal.
    pub(crate) code: i32,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
}

fn set_of(signal: Option<libc::c_int>) -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the whole set before anything reads it.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        if let Some(signal) = signal {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

/// Blocks SIGCHLD and gives a non-blocking descriptor that is readable when children have ended.
pub(crate) fn children_descriptor() -> io::Result<OwnedFd> {
    let set = set_of(Some(libc::SIGCHLD));
    // SAFETY: the set is initialised; the new descriptor is ours.
    unsafe {
        check(libc::c_long::from(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())))?;
        let descriptor = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(libc::c_long::from(descriptor))?;
        Ok(OwnedFd::from_raw_fd(descriptor))
    }
}

/// Gives a new program the signals as every program expects them: nothing blocked, nothing ignored.
pub(crate) fn reset() {
    let empty = set_of(None);
    // SAFETY: default dispositions need no handler; signals that cannot be changed are refused harmlessly.
    unsafe {
        for signal in 1..libc::SIGRTMIN() {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
    }
}

/// A child that has ended; it stays a zombie, so its number is not used again before [`reap`].
pub(crate) fn ended_child() -> Option<Ended> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: a zeroed siginfo_t is valid to write to; for an ended child pid and status are set.
    unsafe {
        let mut information: libc::siginfo_t = std::mem::zeroed();
        let result = libc::waitid(libc::P_ALL, 0, &raw mut information, options);
        if result < 0 || information.si_pid() == 0 {
            return None;
        }
        let status = information.si_status();
        let signal = (information.si_code != libc::CLD_EXITED).then_some(status);
        let code = signal.map_or(status, |signal| 128 + signal);
        Some(Ended { pid: information.si_pid(), code, signal })
    }
}

/// Lets go of an ended child.
pub(crate) fn reap(pid: i32) {
    // SAFETY: a null status pointer is allowed.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
}

/// Sends a signal to a process, or with a negative number to a process group. False if there is none.
pub(crate) fn send(target: i32, signal: libc::c_int) -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(target, signal) == 0 }
}
