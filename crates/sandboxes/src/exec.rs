//! Running a program inside.
//!
//! The pipes are the daemon's: what a program writes goes from it to us without passing the agent. Rules:
//! - Nothing is read before [`Execution::next`] asks, so that a slow reader stops the program, not our memory.
//! - When the program itself has ended, everything it wrote is delivered. If others (background jobs) still hold the
//!   pipes, their output is delivered for at most [`LINGER`] more; then `Exit` comes, and what they write later is read
//!   and thrown away, so that they can go on.
//! - Dropping an `Execution` before its `Exit` kills the program with its whole session. A session's command goes on,
//!   if it has begun: the agent keeps the pipes open and reads them empty.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::{Gid, Uid, fchown};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::time::Instant;

use crate::SessionLoss;
use crate::agent::calls::{self, CommandEnd};
use crate::agent::protocol::{self, Ending, Request};
use crate::environment::STANDARD;
use crate::follow::message;
use crate::memory::KillsBefore;
use crate::sys::sockets;

/// How long others than the program itself may keep its output open.
const LINGER: Duration = Duration::from_millis(250);

/// Most bytes of one event; also the size of a pipe.
const CHUNK: usize = 64 * 1024;

/// Exit code of a program that died of SIGKILL.
const KILLED: i32 = 128 + libc::SIGKILL;

/// `bash -c` where there is a bash, decided inside, where the line runs.
pub(crate) const SHELL: &str =
    r#"if [ -x /bin/bash ]; then exec /bin/bash -c "$1"; else exec /bin/sh -c "$1"; fi"#;

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
    /// The end of a session's command that has no exit code; nothing follows.
    Lost(SessionLoss),
}

impl ExecRequest {
    /// What the agent is told. An error if something has a NUL in it.
    pub(crate) fn to_message(&self) -> io::Result<Request> {
        let strings = |list: Vec<Vec<u8>>| {
            list.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>().map_err(io::Error::from)
        };
        let given = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let is_given = |name: &str| self.env.iter().any(|(given, _)| given == name);
        let pairs = STANDARD.into_iter().filter(|(name, _)| !is_given(name)).chain(given);
        let environment = pairs.map(|(name, value)| format!("{name}={value}").into_bytes()).collect();
        let arguments = match &self.command {
            Command::Argv(arguments) => arguments.clone(),
            Command::Shell(line) => {
                ["/bin/sh", "-c", SHELL, "sh", line].map(|part| part.as_bytes().to_vec()).to_vec()
            }
        };
        if arguments.is_empty() || self.env.iter().any(|(name, _)| name.is_empty() || name.contains('=')) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Request {
            arguments: strings(arguments)?,
            environment: strings(environment)?,
            directory: CString::new(self.cwd.clone().unwrap_or_default())?,
            timeout: self.timeout,
        })
    }
}

/// A run in progress. Dropping it kills its process group. Output that nobody takes fills the pipe and stops the
/// program, no more than 64 KiB are held.
#[derive(Debug)]
pub struct Execution {
    control: AsyncFd<OwnedFd>,
    stdout: Stream,
    stderr: Stream,
    timeout: Duration,
    state: State,
    stderr_ends_a_line: bool,
    memory: Option<KillsBefore>,
}

/// One of the two output pipes.
#[derive(Debug)]
struct Stream {
    /// None once it is at its end.
    pipe: Option<Receiver>,
    /// Bytes that were in the pipe when the program ended, still to be delivered.
    owed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Earlier commands of the session run.
    Queued,
    Running,
    /// The program has ended (none: with the whole sandbox); its output is being delivered.
    Draining {
        end: Option<End>,
        until: Option<Instant>,
    },
    Exiting(End),
    Over,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exit(ExitStatus),
    Lost(SessionLoss),
}

/// What can happen while we wait.
enum Happening {
    Readable(Source),
    Began(OwnedFd, OwnedFd),
    Ended(Option<End>),
    LingeredEnough,
}

#[derive(Clone, Copy)]
enum Source {
    Stdout,
    Stderr,
}

impl Execution {
    /// Sends the request over a fresh connection to the agent.
    pub(crate) fn start(connection: OwnedFd, request: &Request, id_base: u32) -> io::Result<Self> {
        let (stdout, their_stdout) = Stream::new(id_base)?;
        let (stderr, their_stderr) = Stream::new(id_base)?;
        let file = request.write()?;
        let descriptors = [file.as_fd(), their_stdout.as_fd(), their_stderr.as_fd()];
        sockets::send(connection.as_fd(), &[protocol::RUN], &descriptors)?;
        Ok(Self {
            control: crate::sys::watch(connection)?,
            stdout,
            stderr,
            timeout: request.timeout.unwrap_or_default(),
            state: State::Running,
            stderr_ends_a_line: true,
            memory: None,
        })
    }

    /// Tells a program that is killed whether it was for want of memory.
    pub(crate) fn watching(self, memory: Option<KillsBefore>) -> Self {
        Self { memory, ..self }
    }

    /// A session's command that was sent over this connection.
    pub(crate) fn in_session(connection: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            control: crate::sys::watch(connection)?,
            stdout: Stream { pipe: None, owed: 0 },
            stderr: Stream { pipe: None, owed: 0 },
            timeout: Duration::ZERO,
            state: State::Queued,
            stderr_ends_a_line: true,
            memory: None,
        })
    }

    /// The next event; none after `Exit`, or if the sandbox ended. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Option<ExecEvent> {
        loop {
            if let Some(step) = self.without_waiting() {
                return step;
            }
            match self.happening().await {
                Happening::Readable(source) => {
                    if let Some(event) = self.read(source) {
                        return Some(event);
                    }
                }
                Happening::Began(stdout, stderr) => self.note_beginning(stdout, stderr),
                Happening::Ended(end) => self.note_end(end),
                Happening::LingeredEnough => self.abandon_streams(),
            }
        }
    }

    /// Sends SIGKILL to the process group.
    pub fn kill(&self) {
        // If the agent is gone, so is the group.
        let _ = sockets::send(self.control.as_fd(), &[protocol::KILL], &[]);
    }

    /// What the state alone decides: an event, the end, or none: wait.
    fn without_waiting(&mut self) -> Option<Option<ExecEvent>> {
        match self.state {
            State::Over => Some(None),
            State::Exiting(end) => {
                self.state = State::Over;
                Some(Some(match end {
                    End::Exit(status) => ExecEvent::Exit(status),
                    End::Lost(loss) => ExecEvent::Lost(loss),
                }))
            }
            State::Draining { end, .. } if self.stdout.pipe.is_none() && self.stderr.pipe.is_none() => {
                self.state = end.map_or(State::Over, State::Exiting);
                match self.last_line(end) {
                    Some(line) => Some(Some(self.own_line(&line))),
                    None => self.without_waiting(),
                }
            }
            State::Draining { end, until: None } if self.stdout.owed == 0 && self.stderr.owed == 0 => {
                self.state = State::Draining { end, until: Some(Instant::now() + LINGER) };
                None
            }
            State::Queued | State::Running | State::Draining { .. } => None,
        }
    }

    /// What we have to say about an end, on standard error.
    fn last_line(&self, end: Option<End>) -> Option<String> {
        match end? {
            End::Exit(status) if status.timed_out => {
                Some(format!("Command timed out after {}ms\n", self.timeout.as_millis()))
            }
            End::Exit(ExitStatus { code: KILLED, .. })
            | End::Lost(SessionLoss::Terminated { code: KILLED }) => self.memory.as_ref()?.explanation(),
            End::Exit(_) | End::Lost(_) => None,
        }
    }

    fn own_line(&self, line: &str) -> ExecEvent {
        let start = if self.stderr_ends_a_line { "" } else { "\n" };
        ExecEvent::Stderr(format!("{start}{line}").into())
    }

    async fn happening(&self) -> Happening {
        let (is_running, until) = match self.state {
            State::Draining { until, .. } => (false, until),
            _ => (true, None),
        };
        let deadline = until.unwrap_or_else(Instant::now);
        tokio::select! {
            () = tokio::time::sleep_until(deadline), if until.is_some() => Happening::LingeredEnough,
            () = self.stdout.readable(), if self.stdout.pipe.is_some() => Happening::Readable(Source::Stdout),
            () = self.stderr.readable(), if self.stderr.pipe.is_some() => Happening::Readable(Source::Stderr),
            happening = self.word(), if is_running => happening,
        }
    }

    /// What the agent says next; if it is gone without a word, it has ended.
    async fn word(&self) -> Happening {
        let Ok((message, descriptors)) = message(&self.control).await else { return Happening::Ended(None) };
        match (message.split_first(), <[OwnedFd; 2]>::try_from(descriptors)) {
            (Some((&calls::BEGAN, [])), Ok([stdout, stderr])) => Happening::Began(stdout, stderr),
            (Some((&calls::ENDED, end)), _) => Happening::Ended(serde_json::from_slice(end).ok().map(end_of)),
            _ => Happening::Ended(
                Ending::from_bytes(&message)
                    .map(|Ending { code, timed_out }| End::Exit(ExitStatus { code, timed_out })),
            ),
        }
    }

    fn read(&mut self, source: Source) -> Option<ExecEvent> {
        match source {
            Source::Stdout => self.stdout.read().map(ExecEvent::Stdout),
            Source::Stderr => {
                let bytes = self.stderr.read()?;
                self.stderr_ends_a_line = bytes.last() == Some(&b'\n');
                Some(ExecEvent::Stderr(bytes))
            }
        }
    }

    fn note_beginning(&mut self, stdout: OwnedFd, stderr: OwnedFd) {
        self.state = State::Running;
        // Without them there is nothing to deliver; the end comes all the same.
        self.stdout.pipe = Receiver::from_owned_fd(stdout).ok();
        self.stderr.pipe = Receiver::from_owned_fd(stderr).ok();
    }

    fn note_end(&mut self, end: Option<End>) {
        if let Some(End::Lost(SessionLoss::TimedOut { .. })) = end {
            // It goes on, and so does its output.
            (self.stdout.pipe, self.stderr.pipe) = (None, None);
        }
        self.stdout.count_owed();
        self.stderr.count_owed();
        self.state = State::Draining { end, until: None };
    }

    fn abandon_streams(&mut self) {
        for pipe in [self.stdout.pipe.take(), self.stderr.pipe.take()].into_iter().flatten() {
            tokio::spawn(throw_away(pipe));
        }
    }
}

fn end_of(end: CommandEnd) -> End {
    match end {
        CommandEnd::Exited { code } => End::Exit(ExitStatus { code, timed_out: false }),
        CommandEnd::Terminated { code } => End::Lost(SessionLoss::Terminated { code }),
        CommandEnd::Destroyed => End::Lost(SessionLoss::Destroyed),
        CommandEnd::TimedOut { after, has_begun } => End::Lost(SessionLoss::TimedOut { after, has_begun }),
        CommandEnd::Refused => End::Lost(SessionLoss::Refused),
    }
}

/// Reads a pipe empty until its last writer is gone.
async fn throw_away(pipe: Receiver) {
    let mut buffer = vec![0; CHUNK];
    while pipe.readable().await.is_ok() {
        match pipe.try_read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

impl Stream {
    /// A pipe: our end, and the program's, which belongs to root inside so that it can open /dev/stdout.
    fn new(id_base: u32) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        fchown(&theirs, Some(Uid::from_raw(id_base)), Some(Gid::from_raw(id_base)))?;
        let flags = rustix::fs::fcntl_getfl(&ours)? | rustix::fs::OFlags::NONBLOCK;
        rustix::fs::fcntl_setfl(&ours, flags)?;
        Ok((Self { pipe: Some(Receiver::from_owned_fd(ours)?), owed: 0 }, theirs))
    }

    async fn readable(&self) {
        match &self.pipe {
            // An error shows again at the read.
            Some(pipe) => drop(pipe.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Bytes, if there are any right now; notes the end.
    fn read(&mut self) -> Option<Bytes> {
        let pipe = self.pipe.as_ref()?;
        let mut buffer = Vec::with_capacity(CHUNK);
        match pipe.try_read_buf(&mut buffer) {
            Ok(length) if length > 0 => {
                self.owed = self.owed.saturating_sub(length);
                buffer.shrink_to_fit();
                Some(buffer.into())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(_) | Err(_) => {
                self.owed = 0;
                self.pipe = None;
                None
            }
        }
    }

    fn count_owed(&mut self) {
        let waiting = self.pipe.as_ref().and_then(|pipe| rustix::io::ioctl_fionread(pipe).ok());
        self.owed = waiting.unwrap_or(0) as usize;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(command: Command, env: &[(&str, &str)]) -> ExecRequest {
        let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        ExecRequest { command, cwd: None, env, timeout: None }
    }

    #[test]
    fn the_environment_is_small_and_can_be_overridden() {
        let check = |env: &[(&str, &str)], expected: &[&str]| {
            let message = request(Command::Argv(vec![b"env".to_vec()]), env).to_message().unwrap();
            let texts: Vec<_> = message.environment.iter().map(|entry| entry.to_str().unwrap()).collect();
            assert_eq!(texts, expected);
        };
        let path = format!("PATH={}", STANDARD[1].1);
        check(&[("A", "b=c")], &["HOME=/root", &path, "LANG=C.UTF-8", "A=b=c"]);
        check(&[("PATH", "/x")], &["HOME=/root", "LANG=C.UTF-8", "PATH=/x"]);
    }

    #[test]
    fn what_no_program_can_get_is_refused() {
        let check = |command, env: &[(&str, &str)]| assert!(request(command, env).to_message().is_err());
        check(Command::Argv(vec![]), &[]);
        check(Command::Argv(vec![b"a\0b".to_vec()]), &[]);
        check(Command::Shell("a\0b".into()), &[]);
        check(Command::Shell("true".into()), &[("A=B", "")]);
        check(Command::Shell("true".into()), &[("", "x")]);
    }
}
