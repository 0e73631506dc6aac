//! A plain program: it belongs to its connection and ends with it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::protocol::{self, Ending, Request};
use super::{group, program};
use crate::sys::signals::Ended;

/// Between the polite signal and the deadly one.
pub(super) const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Run {
    pub(super) pid: i32,
    /// When the next signal is due.
    pub(super) alarm: Option<Instant>,
    timed_out: bool,
}

/// What became of a request to run something.
pub(super) enum Started {
    Run(Run),
    Ended(Ending),
    Nonsense,
}

/// Starts what the descriptors describe.
pub(super) fn start(descriptors: Vec<OwnedFd>) -> Started {
    let Ok([request, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
        return Started::Nonsense;
    };
    let Ok(request) = Request::read(request) else { return Started::Nonsense };
    let (stdout, stderr) = (stdout.as_fd(), stderr.as_fd());
    let setup = program::Setup { stdin: None, stdout, stderr, role: program::Role::Program };
    match program::start(&request, setup) {
        Ok(pid) => {
            let alarm = request.timeout.map(|timeout| Instant::now() + timeout);
            Started::Run(Run { pid, alarm, timed_out: false })
        }
        Err(error) => {
            program::complain(stderr, &format!("cannot start a process: {error}"));
            Started::Ended(Ending { code: 126, timed_out: false })
        }
    }
}

impl Run {
    /// Sends the signal that is due.
    pub(super) fn ring(&mut self) {
        if self.alarm.is_none_or(|at| at > Instant::now()) {
            return;
        }
        if self.timed_out {
            self.alarm = None;
            group::kill(self.pid);
        } else {
            self.alarm = Some(Instant::now() + GRACE);
            self.timed_out = true;
            group::signal(self.pid, libc::SIGTERM);
        }
    }

    pub(super) fn kill(&self) {
        group::kill(self.pid);
    }

    /// The program has ended, and is still a zombie, so that its number means nobody else.
    pub(super) fn ending(&self, ended: Ended) -> Ending {
        if self.timed_out {
            group::kill(self.pid);
        }
        let code = if self.timed_out { protocol::TIMED_OUT } else { ended.code };
        Ending { code, timed_out: self.timed_out }
    }
}
