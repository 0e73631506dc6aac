//! The daemon's connections: each is one call.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::Serialize;

use super::calls::{self, Over, Refusal};
use super::run::Run;
use crate::sys::sockets;

/// Names a connection for as long as the agent lives.
pub(super) type ConnectionId = u64;

/// What a connection is about.
#[derive(Debug)]
pub(super) enum Role {
    /// Nothing was asked yet.
    New,
    /// A program, which ends with the connection.
    Run(Run),
    /// A session's command; the reading ends of its streams once it has begun.
    Command(Option<[OwnedFd; 2]>),
    /// An answer that comes later, or the client's end.
    Waiting,
    /// Is told when there is more to read of something.
    Follower { of: Target, is_told: bool, has_missed: bool },
    /// Everything was said.
    Over,
}

/// What can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Process(u64),
    Terminal(u64),
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) role: Role,
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    table: BTreeMap<ConnectionId, Connection>,
    next: ConnectionId,
}

impl Connections {
    pub(super) fn add(&mut self, socket: OwnedFd) {
        self.next += 1;
        self.table.insert(self.next, Connection { socket, role: Role::New });
    }

    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.table.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.table.remove(&id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.table.iter().map(|(id, connection)| (*id, connection))
    }

    pub(super) fn runs(&mut self) -> impl Iterator<Item = (ConnectionId, &mut Run)> {
        self.table.iter_mut().filter_map(|(id, connection)| match &mut connection.role {
            Role::Run(run) => Some((*id, run)),
            _ => None,
        })
    }

    /// Closes those that are over.
    pub(super) fn sweep(&mut self) {
        self.table.retain(|_, connection| !matches!(connection.role, Role::Over));
    }

    /// Sends something. If nobody listens any more, nobody wants to know.
    pub(super) fn send(&mut self, id: ConnectionId, message: &[u8], descriptors: &[BorrowedFd<'_>]) {
        if let Some(connection) = self.table.get(&id) {
            let _ = sockets::send(connection.socket.as_fd(), message, descriptors);
        }
    }

    /// The last word of a connection that waits for one.
    pub(super) fn answer(&mut self, id: ConnectionId, answer: &Result<impl Serialize, Refusal>) {
        if let Ok(document) = calls::document(answer) {
            self.send(id, &[calls::ANSWER], &[document.as_fd()]);
        }
        self.end(id);
    }

    pub(super) fn end(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.get_mut(&id) {
            connection.role = Role::Over;
        }
    }

    /// Makes a connection a follower, with an answer and the descriptors that it needs.
    pub(super) fn follow(
        &mut self,
        id: ConnectionId,
        of: Target,
        answer: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) {
        let answer: Result<_, Refusal> = Ok(answer);
        let Ok(document) = calls::document(&answer) else { return self.end(id) };
        let all: Vec<_> = [document.as_fd()].into_iter().chain(descriptors.iter().copied()).collect();
        self.send(id, &[calls::FOLLOWED], &all);
        if let Some(connection) = self.table.get_mut(&id) {
            connection.role = Role::Follower { of, is_told: false, has_missed: false };
        }
    }

    /// Tells followers that there is more, each once until it has taken note.
    pub(super) fn tick(&mut self, target: Target) {
        for connection in self.table.values_mut() {
            if let Role::Follower { of, is_told, has_missed } = &mut connection.role
                && *of == target
            {
                if *is_told {
                    *has_missed = true;
                } else {
                    *is_told = sockets::send(connection.socket.as_fd(), &[calls::TICK], &[]).is_ok();
                }
            }
        }
    }

    /// A follower has taken note.
    pub(super) fn acknowledged(&mut self, id: ConnectionId) {
        let Some(connection) = self.table.get_mut(&id) else { return };
        if let Role::Follower { is_told, has_missed, .. } = &mut connection.role {
            *is_told = std::mem::take(has_missed)
                && sockets::send(connection.socket.as_fd(), &[calls::TICK], &[]).is_ok();
        }
    }

    /// Tells followers that it is over.
    pub(super) fn over(&mut self, target: Target, over: &Over) {
        let mut message = vec![calls::OVER];
        message.extend(serde_json::to_vec(over).unwrap_or_default());
        for connection in self.table.values_mut() {
            if matches!(connection.role, Role::Follower { of, .. } if of == target) {
                let _ = sockets::send(connection.socket.as_fd(), &message, &[]);
                // It may still take note of something; closing now would reset the connection.
                connection.role = Role::Waiting;
            }
        }
    }
}
