//! What the daemon asks of the agent beside running a program, and what it hears.
//!
//! One connection, one call: `CALL` with a file in which the [`Call`] is, as JSON. Back comes
//! - `ANSWER` with a file: a `Result` of the call's answer or a [`Refusal`]; or
//! - for [`Call::Command`]: `BEGAN` with the reading ends of its output and error, then `ENDED` with a [`CommandEnd`];
//! - for [`Call::Follow`] and [`Call::OpenTerminal`]: `FOLLOWED` with the answer's file, then the rings (and the
//!   terminal); then `TICK` whenever there is more, once until an `ACK` comes back; at last `OVER` with an [`Over`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ProcessRequest, ProcessStatus, SessionOptions, TerminalRequest};

pub(crate) const CALL: u8 = b'C';
pub(crate) const ANSWER: u8 = b'A';
pub(crate) const BEGAN: u8 = b'B';
pub(crate) const ENDED: u8 = b'E';
pub(crate) const FOLLOWED: u8 = b'F';
pub(crate) const TICK: u8 = b'T';
pub(crate) const ACK: u8 = b't';
pub(crate) const OVER: u8 = b'O';

/// Above any request that the API takes.
const MAXIMUM_DOCUMENT: u64 = 16 * 1024 * 1024;

/// Changes of an environment; none: the variable is unset.
pub(crate) type Changes = BTreeMap<String, Option<String>>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// Answer: nothing.
    CreateSession {
        id: String,
        options: SessionOptions,
    },
    /// Answer: whether it was there.
    DeleteSession {
        id: String,
    },
    /// Answer: [`crate::SessionInfo`]s.
    Sessions,
    /// Answer: nothing, once it is so.
    ChangeEnvironment {
        session: String,
        changes: Changes,
    },
    /// Answer: the variables given to the session, not those that its commands export.
    Environment {
        session: String,
    },
    Command {
        session: String,
        command: SessionScript,
    },
    /// Answer: [`crate::ProcessInfo`].
    StartProcess(ProcessRequest),
    /// Answer: [`crate::ProcessInfo`]s, oldest first.
    Processes,
    /// Answer: [`crate::ProcessInfo`].
    KillProcess {
        id: String,
        signal: Option<i32>,
    },
    /// Answer: how many got a signal.
    KillProcesses,
    /// Answer: how many ended ones were forgotten.
    CleanUpProcesses,
    /// Answer: [`crate::ProcessInfo`].
    Follow {
        id: String,
    },
    /// Answer: nothing.
    OpenTerminal(TerminalRequest),
}

/// A command for a session's shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionScript {
    pub(crate) line: String,
    /// For this command only.
    pub(crate) env: BTreeMap<String, String>,
    /// For this command only.
    pub(crate) cwd: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

/// Why a call does not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// The session lives already.
    SessionExists,
    NoSuchProcess,
    ProcessExists,
    TooMany {
        what: String,
        limit: usize,
    },
    Failed {
        what: String,
    },
}

/// How a session's command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum CommandEnd {
    Exited {
        code: i32,
    },
    /// The shell ended with it.
    Terminated {
        code: i32,
    },
    /// The session was deleted.
    Destroyed,
    TimedOut {
        after: Duration,
        has_begun: bool,
    },
    Refused,
}

/// How what was followed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Over {
    pub(crate) status: ProcessStatus,
    /// As a shell has it.
    pub(crate) code: i32,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
}

/// JSON in a file in memory.
pub(crate) fn document(content: &impl Serialize) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("call", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(content)?)?;
    file.rewind()?;
    Ok(file.into())
}

pub(crate) fn read_document<T: DeserializeOwned>(file: OwnedFd) -> io::Result<T> {
    let mut bytes = Vec::new();
    File::from(file).take(MAXIMUM_DOCUMENT).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}
