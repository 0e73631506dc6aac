//! Running a program inside.

use std::time::Duration;

use bytes::Bytes;

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Program and arguments, verbatim; the program is searched in PATH.
    Argv(Vec<Vec<u8>>),
    /// A line for `bash -c` (`sh -c` where there is no bash).
    Shell(String),
}

/// A run.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// What.
    pub command: Command,
    /// Where; none: /workspace. A directory that cannot be entered gives exit 1 and a line on stderr.
    pub cwd: Option<String>,
    /// Added to HOME=/root, PATH and LANG=C.UTF-8.
    pub env: Vec<(String, String)>,
    /// SIGTERM to the process group after it, SIGKILL five seconds later; the exit code is then 124.
    pub timeout: Option<Duration>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitStatus {
    /// Exit code; 128 + signal if a signal ended it; 124 after a timeout; 127 if the program does not exist.
    pub code: i32,
    /// The timeout ended it.
    pub timed_out: bool,
}

/// What a run produces, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEvent {
    /// Bytes of standard output.
    Stdout(Bytes),
    /// Bytes of standard error.
    Stderr(Bytes),
    /// The end; nothing follows.
    Exit(ExitStatus),
}

/// A run in progress. Dropping it kills its process group. Output that nobody takes fills the pipe and stops the
/// program, no more than 64 KiB are held.
#[derive(Debug)]
pub struct Execution {}

impl Execution {
    /// The next event; none after `Exit`, or if the sandbox ended.
    pub async fn next(&mut self) -> Option<ExecEvent> {
        todo!()
    }

    /// Sends SIGKILL to the process group.
    pub fn kill(&self) {
        todo!()
    }
}
