//! Terminals: a shell on a pseudo terminal each, seen by any number of viewers, and what it showed last.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::calls::{Over, Refusal};
use super::connections::{ConnectionId, Connections, Target};
use super::program::{self, Role, Setup};
use super::protocol::Request;
use super::sessions::Surroundings;
use crate::environment::STANDARD;
use crate::ring::RingWriter;
use crate::sys::signals::Ended;
use crate::{ProcessStatus, TerminalRequest};

/// Terminals of one sandbox.
const MAXIMUM_TERMINALS: usize = 64;

/// Bytes that a new viewer sees of what was shown before.
const RING: u64 = 256 * 1024;

const CHUNK: usize = 16 * 1024;
const LAST_READS: usize = 64;

/// Shells that are tried if none is asked for.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

#[derive(Debug, Default)]
pub(super) struct Terminals {
    table: BTreeMap<u64, Terminal>,
    next_number: u64,
}

#[derive(Debug)]
struct Terminal {
    name: String,
    pid: i32,
    master: OwnedFd,
    ring: RingWriter,
    /// Nobody has the other end open any more.
    is_closed: bool,
}

impl Terminals {
    pub(super) fn exists(&self, name: &str) -> bool {
        self.table.values().any(|terminal| terminal.name == name)
    }

    /// Shows a terminal to a connection, opened if there is none of that name.
    pub(super) fn open(
        &mut self,
        request: &TerminalRequest,
        surroundings: &Surroundings,
        client: ConnectionId,
        connections: &mut Connections,
    ) -> Result<(), Refusal> {
        let known = self.table.iter().find(|(_, terminal)| terminal.name == request.name);
        let number = match known.map(|(number, _)| *number) {
            Some(number) => number,
            None => self.start(request, surroundings)?,
        };
        let Some(terminal) = self.table.get(&number) else { return Ok(()) };
        // Whoever came last decides.
        let _ = tcsetwinsize(&terminal.master, size(request));
        let descriptors = [terminal.ring.descriptor(), terminal.master.as_fd()];
        connections.follow(client, Target::Terminal(number), &(), &descriptors);
        Ok(())
    }

    fn start(&mut self, request: &TerminalRequest, surroundings: &Surroundings) -> Result<u64, Refusal> {
        if self.table.len() >= MAXIMUM_TERMINALS {
            return Err(Refusal::TooMany { what: "terminals".into(), limit: MAXIMUM_TERMINALS });
        }
        let failed = |error: io::Error| Refusal::Failed { what: format!("cannot open a terminal: {error}") };
        let terminal = Terminal::start(request, surroundings).map_err(failed)?;
        self.next_number += 1;
        self.table.insert(self.next_number, terminal);
        Ok(self.next_number)
    }

    /// Terminals to be read.
    pub(super) fn masters(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        let open = self.table.iter().filter(|(_, terminal)| !terminal.is_closed);
        open.map(|(number, terminal)| (*number, terminal.master.as_fd()))
    }

    /// Keeps what a terminal shows now.
    pub(super) fn pump(&mut self, number: u64, connections: &mut Connections) {
        if self.table.get_mut(&number).is_some_and(Terminal::pump) {
            connections.tick(Target::Terminal(number));
        }
    }

    /// A child has ended; whether it was the shell of a terminal.
    pub(super) fn ended(&mut self, ended: Ended, connections: &mut Connections) -> bool {
        let found = self.table.iter().find(|(_, terminal)| terminal.pid == ended.pid);
        let Some(number) = found.map(|(number, _)| *number) else { return false };
        if let Some(mut terminal) = self.table.remove(&number) {
            for _ in 0..LAST_READS {
                if !terminal.pump() {
                    break;
                }
            }
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let status = if ended.code == 0 { ProcessStatus::Completed } else { ProcessStatus::Failed };
        let over = Over { status, code: ended.code, signal: ended.signal, at };
        connections.over(Target::Terminal(number), &over);
        true
    }

    /// Ends the terminal of that name, if there is one.
    pub(super) fn close(&self, name: &str) {
        for terminal in self.table.values().filter(|terminal| terminal.name == name) {
            super::group::kill_tree(terminal.pid);
        }
    }
}

impl Terminal {
    fn start(request: &TerminalRequest, surroundings: &Surroundings) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let slave = openat(CWD, name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        tcsetwinsize(&slave, size(request))?;
        rustix::io::ioctl_fionbio(&master, true)?;
        let setup = Setup {
            stdin: Some(slave.as_fd()),
            stdout: slave.as_fd(),
            stderr: slave.as_fd(),
            role: Role::Terminal,
        };
        let pid = program::start(&shell(request, surroundings)?, setup)?;
        let ring = RingWriter::new(RING)?;
        Ok(Self { name: request.name.clone(), pid, master, ring, is_closed: false })
    }

    /// Whether something was read.
    fn pump(&mut self) -> bool {
        let mut buffer = [0; CHUNK];
        match rustix::io::read(&self.master, &mut buffer[..]) {
            Ok(length) if length > 0 => {
                // Without memory for it, it is lost; the shell goes on.
                let _ = self.ring.write(buffer.get(..length).unwrap_or_default());
                true
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            Ok(_) | Err(_) => {
                self.is_closed = true;
                false
            }
        }
    }
}

fn size(request: &TerminalRequest) -> Winsize {
    Winsize { ws_row: request.rows, ws_col: request.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn shell(request: &TerminalRequest, surroundings: &Surroundings) -> io::Result<Request> {
    let given = request.shell.as_deref();
    let is_there = |shell: &&str| std::path::Path::new(shell).exists();
    let shell = given.or_else(|| SHELLS.into_iter().find(is_there)).unwrap_or("/bin/sh");
    let mut environment: BTreeMap<&str, &str> = STANDARD.into_iter().collect();
    environment.insert("TERM", "xterm-256color");
    environment.insert("COLORTERM", "truecolor");
    environment.extend(surroundings.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let strings = environment.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
    Ok(Request {
        arguments: vec![CString::new(shell)?],
        environment: strings.collect::<Result<_, _>>()?,
        directory: CString::new(surroundings.directory.clone().unwrap_or_default())?,
        timeout: None,
    })
}
