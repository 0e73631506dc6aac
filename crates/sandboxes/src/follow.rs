//! Calls to the agent, and following something that it keeps.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use serde::de::DeserializeOwned;
use tokio::io::unix::AsyncFd;

use crate::agent::calls::{self, Call, Over, Refusal};
use crate::sys::sockets;
use crate::{Error, Sandbox};

/// Hears when there is more to read of something, and how it ended.
#[derive(Debug)]
pub(crate) struct Follower {
    connection: AsyncFd<OwnedFd>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Following,
    /// The end is known; what was written before it may still be unread.
    Ending,
    Ended,
}

/// News of what is followed.
pub(crate) enum Followed {
    More,
    Over(Over),
    /// Said once, when everything was read.
    End,
}

impl Follower {
    /// None after the end, or if the sandbox ended. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<Followed> {
        match self.state {
            State::Ended => return None,
            State::Ending => {
                self.state = State::Ended;
                return Some(Followed::End);
            }
            State::Following => {}
        }
        let message = message(&self.connection).await.ok()?.0;
        match message.split_first() {
            Some((&calls::TICK, [])) => {
                // Said before anything is read, so that nothing new is missed. If the agent is gone, the next
                // message says so.
                let _ = sockets::send(self.connection.as_fd(), &[calls::ACK], &[]);
                Some(Followed::More)
            }
            Some((&calls::OVER, over)) => Some(Followed::Over(serde_json::from_slice(over).ok()?)),
            _ => None,
        }
    }

    /// After [`Followed::Over`]: what is left is to be read, then comes the end.
    pub(crate) fn set_over(&mut self) {
        self.state = State::Ending;
    }
}

/// The next message of the agent.
pub(crate) async fn message(connection: &AsyncFd<OwnedFd>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    loop {
        let mut ready = connection.readable().await?;
        match ready.try_io(|socket| sockets::receive(socket.as_fd())) {
            Ok(received) => return received,
            Err(_would_block) => {}
        }
    }
}

impl Sandbox {
    /// Asks the agent something and gives its answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let connection = self.call(&call).await?;
        let connection = crate::sys::watch(connection).map_err(|error| self.agent_error(&error))?;
        Ok(self.answer(&connection, calls::ANSWER).await?.0)
    }

    /// Asks for something to follow; with the descriptors that belong to it.
    pub(crate) async fn follow<T: DeserializeOwned>(
        &self,
        call: Call,
    ) -> Result<(Follower, T, Vec<OwnedFd>), Error> {
        let connection = self.call(&call).await?;
        let connection = crate::sys::watch(connection).map_err(|error| self.agent_error(&error))?;
        let (answer, descriptors) = self.answer(&connection, calls::FOLLOWED).await?;
        Ok((Follower { connection, state: State::Following }, answer, descriptors))
    }

    /// Sends a call over a connection of its own.
    pub(crate) async fn call(&self, call: &Call) -> Result<OwnedFd, Error> {
        let connection = self.connect().await?;
        let sent = calls::document(call)
            .and_then(|document| sockets::send(connection.as_fd(), &[calls::CALL], &[document.as_fd()]));
        sent.map_err(|error| self.agent_error(&error))?;
        Ok(connection)
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        connection: &AsyncFd<OwnedFd>,
        expected: u8,
    ) -> Result<(T, Vec<OwnedFd>), Error> {
        let received = message(connection).await;
        let (message, mut descriptors) = received.map_err(|error| self.agent_error(&error))?;
        let is_known = message == [expected] || message == [calls::ANSWER];
        if !is_known || descriptors.is_empty() {
            return Err(self.agent_error(&io::ErrorKind::InvalidData.into()));
        }
        let rest = descriptors.split_off(1);
        let answer =
            descriptors.pop().map_or_else(|| Err(io::ErrorKind::InvalidData.into()), calls::read_document);
        match answer.map_err(|error: io::Error| self.agent_error(&error))? {
            Ok(answer) => Ok((answer, rest)),
            Err(refusal) => Err(refused(refusal)),
        }
    }
}

fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::SessionExists => Error::SessionExists,
        Refusal::NoSuchProcess => Error::NoSuchProcess,
        Refusal::ProcessExists => Error::ProcessExists,
        Refusal::TooMany { what, limit } => Error::TooMany { what, limit },
        Refusal::Failed { what } => Error::Agent { what },
    }
}
