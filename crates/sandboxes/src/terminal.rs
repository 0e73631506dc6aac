//! Terminals, from the daemon's side.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::termios::{Winsize, tcsetwinsize};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::agent::calls::Call;
use crate::follow::{Followed, Follower};
use crate::ring::RingReader;
use crate::{Error, Sandbox};

/// A terminal to see, opened if there is none of that name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalRequest {
    /// Names it. Deleting the session of that name ends it.
    pub name: String,
    /// Whose environment and directory its shell takes over.
    pub session: Option<String>,
    /// Absolute path or name of the shell; none: bash, or sh where there is no bash.
    pub shell: Option<String>,
    /// Width in characters.
    pub columns: u16,
    /// Height in characters.
    pub rows: u16,
}

/// A view of a terminal. Dropping it leaves the terminal as it is.
#[derive(Debug)]
pub struct Terminal {
    output: TerminalOutput,
    input: TerminalInput,
}

/// What a terminal shows.
#[derive(Debug)]
pub struct TerminalOutput {
    follower: Follower,
    ring: RingReader,
    end: Option<(i32, Option<i32>)>,
}

/// Where one types.
#[derive(Debug)]
pub struct TerminalInput {
    master: AsyncFd<OwnedFd>,
}

/// News of a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalEvent {
    /// Bytes to show.
    Output(Vec<u8>),
    /// Its shell has ended; nothing follows.
    Exit {
        /// As a shell has it.
        code: i32,
        /// The signal that ended it.
        signal: Option<i32>,
    },
}

impl Sandbox {
    /// Shows a terminal: first what it showed before (at most 256 KiB), then what it shows.
    pub async fn open_terminal(&self, request: TerminalRequest) -> Result<Terminal, Error> {
        let (follower, (), descriptors) = self.follow(Call::OpenTerminal(request)).await?;
        let [ring, master] = <[OwnedFd; 2]>::try_from(descriptors)
            .map_err(|_| Error::Agent { what: "it sent no terminal".into() })?;
        let opened = (|| {
            let ring = RingReader::new(ring)?;
            let master = crate::sys::watch_for(master, Interest::WRITABLE)?;
            io::Result::Ok((ring, master))
        })();
        let (ring, master) = opened.map_err(|error| self.agent_error(&error))?;
        let output = TerminalOutput { follower, ring, end: None };
        Ok(Terminal { output, input: TerminalInput { master } })
    }
}

impl Terminal {
    /// Both directions, to be used at the same time.
    pub fn split(self) -> (TerminalOutput, TerminalInput) {
        (self.output, self.input)
    }
}

impl TerminalOutput {
    /// What can be shown without waiting. None: nothing now.
    pub fn next_now(&mut self) -> Option<TerminalEvent> {
        let bytes = self.ring.read().unwrap_or_default();
        (!bytes.is_empty()).then_some(TerminalEvent::Output(bytes))
    }

    /// The next news; none if the sandbox ended, or after the exit. Safe to cancel.
    pub async fn next(&mut self) -> Option<TerminalEvent> {
        loop {
            if let Some(event) = self.next_now() {
                return Some(event);
            }
            match self.follower.next().await? {
                Followed::More => {}
                Followed::Over(over) => {
                    self.end = Some((over.code, over.signal));
                    self.follower.set_over();
                }
                Followed::End => {
                    let (code, signal) = self.end?;
                    return Some(TerminalEvent::Exit { code, signal });
                }
            }
        }
    }
}

impl TerminalInput {
    /// Types. Waits while the terminal's program does not read; safe to cancel between bytes only.
    pub async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.master.writable().await?;
            match ready.try_io(|master| Ok(rustix::io::write(master, bytes)?)) {
                Ok(Ok(length)) => bytes = bytes.get(length..).unwrap_or_default(),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    /// Changes its size, for all viewers.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(self.master.as_fd(), size)?)
    }
}
