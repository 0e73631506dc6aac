//! Processes that are started and left to themselves: the agent keeps what they write last, and how they ended.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::pipe::{PipeFlags, pipe_with};

use super::calls::{Over, Refusal};
use super::connections::{Connections, Target};
use super::group;
use super::program::{self, Role, Setup};
use super::protocol::{Request, TIMED_OUT};
use super::run::GRACE;
use super::sessions::Surroundings;
use crate::environment::STANDARD;
use crate::exec::SHELL;
use crate::ring::RingWriter;
use crate::sys::signals::Ended;
use crate::{ProcessInfo, ProcessRequest, ProcessStatus};

/// Processes that are remembered, ended ones included: of those the oldest is forgotten for a new one.
const MAXIMUM_PROCESSES: usize = 128;

/// Bytes that are kept of each stream.
const RING: u64 = 512 * 1024;

/// How long an ended process that cleans up after itself can still be asked about.
const AFTERLIFE_MILLISECONDS: u64 = 60_000;

/// Bytes read at once, and how often at the end.
const CHUNK: usize = 16 * 1024;
const LAST_READS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Processes {
    table: BTreeMap<u64, Entry>,
    next_number: u64,
}

#[derive(Debug)]
struct Entry {
    info: ProcessInfo,
    cleans_up: bool,
    streams: [Stream; 2],
    /// When the next signal is due.
    alarm: Option<Instant>,
    timed_out: bool,
    was_killed: bool,
}

#[derive(Debug)]
struct Stream {
    /// None once it is at its end.
    pipe: Option<OwnedFd>,
    ring: RingWriter,
}

impl Processes {
    pub(super) fn start(
        &mut self,
        request: ProcessRequest,
        surroundings: &Surroundings,
    ) -> Result<ProcessInfo, Refusal> {
        self.make_room(&request.id)?;
        let failed = |error: io::Error| Refusal::Failed { what: error.to_string() };
        let (streams, pid) = spawn(&request, surroundings).map_err(failed)?;
        let info = ProcessInfo {
            id: request.id,
            pid: pid.unsigned_abs(),
            command: request.command,
            session: request.session,
            status: ProcessStatus::Running,
            started_at: now(),
            ended_at: None,
            exit_code: None,
        };
        self.next_number += 1;
        let entry = Entry {
            info: info.clone(),
            cleans_up: request.cleans_up,
            streams,
            alarm: request.timeout.map(|timeout| Instant::now() + timeout),
            timed_out: false,
            was_killed: false,
        };
        self.table.insert(self.next_number, entry);
        Ok(info)
    }

    fn make_room(&mut self, id: &str) -> Result<(), Refusal> {
        let old = now().saturating_sub(AFTERLIFE_MILLISECONDS);
        self.table.retain(|_, entry| !(entry.cleans_up && entry.info.ended_at.is_some_and(|at| at < old)));
        match self.number(id) {
            Ok(number) if self.table.get(&number).is_some_and(Entry::is_over) => {
                self.table.remove(&number);
            }
            Ok(_) => return Err(Refusal::ProcessExists),
            Err(_) => {}
        }
        if self.table.len() < MAXIMUM_PROCESSES {
            return Ok(());
        }
        let oldest = self.table.iter().find(|(_, entry)| entry.is_over()).map(|(number, _)| *number);
        let too_many = Refusal::TooMany { what: "processes".into(), limit: MAXIMUM_PROCESSES };
        self.table.remove(&oldest.ok_or(too_many)?);
        Ok(())
    }

    pub(super) fn list(&self) -> Vec<ProcessInfo> {
        self.table.values().map(|entry| entry.info.clone()).collect()
    }

    fn number(&self, id: &str) -> Result<u64, Refusal> {
        let found = self.table.iter().find(|(_, entry)| entry.info.id == id);
        found.map(|(number, _)| *number).ok_or(Refusal::NoSuchProcess)
    }

    /// Sends a signal; none: SIGTERM, and SIGKILL to all that it started if it does not end.
    pub(super) fn kill(&mut self, id: &str, signal: Option<i32>) -> Result<ProcessInfo, Refusal> {
        let number = self.number(id)?;
        let entry = self.table.get_mut(&number).ok_or(Refusal::NoSuchProcess)?;
        entry.kill(signal);
        Ok(entry.info.clone())
    }

    /// How many of them got the signal.
    pub(super) fn kill_all(&mut self) -> usize {
        let alive = self.table.values_mut().filter(|entry| !entry.is_over());
        alive.map(|entry| entry.kill(None)).count()
    }

    /// Forgets the ended ones.
    pub(super) fn clean_up(&mut self) -> usize {
        let before = self.table.len();
        self.table.retain(|_, entry| !entry.is_over());
        before - self.table.len()
    }

    /// Makes a connection follow a process.
    pub(super) fn follow(&self, id: &str, client: u64, connections: &mut Connections) -> Result<(), Refusal> {
        let number = self.number(id)?;
        let entry = self.table.get(&number).ok_or(Refusal::NoSuchProcess)?;
        let rings = [&entry.streams[0], &entry.streams[1]].map(|stream| stream.ring.descriptor());
        let target = Target::Process(number);
        connections.follow(client, target, &entry.info, &rings);
        if let Some(over) = entry.over() {
            connections.over(target, &over);
        }
        Ok(())
    }

    /// Pipes to be read.
    pub(super) fn pipes(&self) -> impl Iterator<Item = (u64, usize, BorrowedFd<'_>)> {
        self.table.iter().flat_map(|(number, entry)| {
            let open = entry.streams.iter().enumerate();
            open.filter_map(|(index, stream)| Some((*number, index, stream.pipe.as_ref()?.as_fd())))
        })
    }

    /// Keeps what can be read of a pipe now.
    pub(super) fn pump(&mut self, number: u64, index: usize, connections: &mut Connections) {
        let stream = self.table.get_mut(&number).and_then(|entry| entry.streams.get_mut(index));
        if stream.is_some_and(|stream| stream.pump()) {
            connections.tick(Target::Process(number));
        }
    }

    /// A child has ended; whether it was one of these.
    pub(super) fn ended(&mut self, ended: Ended, connections: &mut Connections) -> bool {
        let mut all = self.table.iter_mut();
        let is_it = |entry: &Entry| entry.info.pid == ended.pid.unsigned_abs() && !entry.is_over();
        let Some((number, entry)) = all.find(|(_, entry)| is_it(entry)) else { return false };
        entry.end(ended);
        if let Some(over) = entry.over() {
            connections.over(Target::Process(*number), &over);
        }
        true
    }

    /// When the next signal is due.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.table.values().filter_map(|entry| entry.alarm).min()
    }

    /// Sends the signals that are due.
    pub(super) fn ring(&mut self) {
        let now = Instant::now();
        for entry in self.table.values_mut().filter(|entry| entry.alarm.is_some_and(|at| at <= now)) {
            if entry.was_killed {
                entry.alarm = None;
                group::kill(entry.pid());
            } else {
                entry.timed_out = true;
                entry.kill(None);
            }
        }
    }
}

impl Entry {
    fn is_over(&self) -> bool {
        self.info.ended_at.is_some()
    }

    fn pid(&self) -> i32 {
        self.info.pid.cast_signed()
    }

    fn kill(&mut self, signal: Option<i32>) {
        if self.is_over() {
            return;
        }
        if signal.is_none() {
            self.alarm = Some(Instant::now() + GRACE);
            self.was_killed = true;
        }
        group::signal(self.pid(), signal.unwrap_or(libc::SIGTERM));
    }

    fn end(&mut self, ended: Ended) {
        for stream in &mut self.streams {
            for _ in 0..LAST_READS {
                if !stream.pump() {
                    break;
                }
            }
        }
        if self.was_killed {
            group::kill(ended.pid);
        }
        self.alarm = None;
        self.info.ended_at = Some(now());
        self.info.exit_code = Some(if self.timed_out { TIMED_OUT } else { ended.code });
        self.info.status = match (self.was_killed || ended.signal.is_some(), ended.code) {
            (true, _) => ProcessStatus::Killed,
            (false, 0) => ProcessStatus::Completed,
            (false, _) => ProcessStatus::Failed,
        };
    }

    fn over(&self) -> Option<Over> {
        let (status, code, at) = (self.info.status, self.info.exit_code?, self.info.ended_at?);
        Some(Over { status, code, signal: None, at })
    }
}

impl Stream {
    fn new() -> io::Result<(Self, OwnedFd)> {
        let (reading, writing) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&reading, true)?;
        Ok((Self { pipe: Some(reading), ring: RingWriter::new(RING)? }, writing))
    }

    /// Whether something was read.
    fn pump(&mut self) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(pipe, &mut buffer[..]) {
            Ok(length) if length > 0 => {
                // Without memory for it, it is lost; the process goes on.
                let _ = self.ring.write(buffer.get(..length).unwrap_or_default());
                true
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            Ok(_) | Err(_) => {
                self.pipe = None;
                false
            }
        }
    }
}

fn spawn(request: &ProcessRequest, surroundings: &Surroundings) -> io::Result<([Stream; 2], i32)> {
    let (stdout, their_stdout) = Stream::new()?;
    let (stderr, their_stderr) = Stream::new()?;
    let setup = Setup {
        stdin: None,
        stdout: their_stdout.as_fd(),
        stderr: their_stderr.as_fd(),
        role: Role::Program,
    };
    let mut environment: BTreeMap<&str, &str> = STANDARD.into_iter().collect();
    let given = surroundings.environment.iter().chain(&request.env);
    environment.extend(given.map(|(name, value)| (name.as_str(), value.as_str())));
    let strings = environment.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
    let arguments = ["/bin/sh", "-c", SHELL, "sh", &request.command].map(CString::new);
    let start = Request {
        arguments: arguments.into_iter().collect::<Result<_, _>>()?,
        environment: strings.collect::<Result<_, _>>()?,
        directory: CString::new(directory(request, surroundings))?,
        timeout: None,
    };
    Ok(([stdout, stderr], program::start(&start, setup)?))
}

/// Where it starts: its own directory, if relative below the session's.
fn directory(request: &ProcessRequest, surroundings: &Surroundings) -> String {
    let base = surroundings.directory.clone().unwrap_or_default();
    match &request.cwd {
        None => base,
        Some(cwd) if cwd.starts_with('/') || base.is_empty() => cwd.clone(),
        Some(cwd) => format!("{base}/{cwd}"),
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
