//! Sessions: one persistent bash each, whose commands run one after the other.
//!
//! A session is only an entry until its first command; then its shell is started. When the shell ends, the entry is gone
//! with all it knew, and the next use of the id begins anew.

mod session;
mod shell;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::calls::{Changes, Refusal, SessionScript};
use super::connections::{ConnectionId, Connections};
use super::group;
use crate::sys::signals::Ended;
use crate::{ProcessRequest, SessionInfo, SessionOptions, TerminalRequest};
use session::Session;
pub(super) use session::{Job, Task};

/// Sessions of one sandbox; each costs a few MB once its shell runs.
const MAXIMUM_SESSIONS: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Sessions {
    table: BTreeMap<String, Session>,
    next_number: u64,
}

/// What waits for the environment of a session.
#[derive(Debug)]
pub(super) enum Then {
    StartProcess(ProcessRequest, ConnectionId),
    OpenTerminal(TerminalRequest, ConnectionId),
}

/// The surroundings of a session's commands, for something that is started beside them.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) directory: Option<String>,
}

impl Sessions {
    pub(super) fn create(&mut self, id: &str, options: SessionOptions) -> Result<(), Refusal> {
        if self.table.contains_key(id) {
            return Err(Refusal::SessionExists);
        }
        self.entry(id)?.options = options;
        Ok(())
    }

    pub(super) fn list(&self) -> Vec<SessionInfo> {
        let info = |(id, session): (&String, &Session)| SessionInfo {
            id: id.clone(),
            is_running: session.pid().is_some(),
            is_busy: session.is_busy(),
            command_timeout: session.options.command_timeout,
        };
        self.table.iter().map(info).collect()
    }

    /// What was given to a session.
    pub(super) fn environment(&self, id: &str) -> BTreeMap<String, String> {
        self.table.get(id).map(|session| session.options.env.clone()).unwrap_or_default()
    }

    /// Ends a session with everything it started. False if there is none.
    pub(super) fn delete(&mut self, id: &str, connections: &mut Connections) -> bool {
        let Some(mut session) = self.table.remove(id) else { return false };
        if let Some(pid) = session.pid() {
            group::kill_tree(pid);
        }
        session.destroyed(connections);
        true
    }

    /// Queues a command for a session, made if it is missing.
    pub(super) fn command(
        &mut self,
        id: &str,
        command: SessionScript,
        client: ConnectionId,
        connections: &mut Connections,
    ) -> Result<(), Refusal> {
        let timeout = command.timeout.or(self.entry(id)?.options.command_timeout);
        let deadline = timeout.and_then(|timeout| Some((Instant::now().checked_add(timeout)?, timeout)));
        let job = Job { client: Some(client), deadline, task: Task::Command(command) };
        self.submit(id, job, connections)
    }

    /// When someone stops waiting.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.table.values().filter_map(Session::next_alarm).min()
    }

    /// Tells those who have waited long enough.
    pub(super) fn ring(&mut self, connections: &mut Connections) {
        let now = Instant::now();
        self.table.values_mut().for_each(|session| session.ring(now, connections));
    }

    /// Queues something for a session, made if it is missing.
    pub(super) fn submit(
        &mut self,
        id: &str,
        job: Job,
        connections: &mut Connections,
    ) -> Result<(), Refusal> {
        let session = self.entry(id)?;
        session.queue.push_back(job);
        session.advance(connections);
        Ok(())
    }

    /// Changes the variables of a session; the job that tells a shell that runs already, if there is one.
    pub(super) fn change(&mut self, id: &str, changes: &Changes) -> Result<bool, Refusal> {
        let session = self.entry(id)?;
        for (name, value) in changes {
            match value {
                Some(value) => session.options.env.insert(name.clone(), value.clone()),
                None => session.options.env.remove(name),
            };
        }
        Ok(session.pid().is_some())
    }

    /// The surroundings of a session that can be told without asking its shell; none: ask by [`Task::Capture`].
    pub(super) fn surroundings(&self, id: &str) -> Option<Surroundings> {
        match self.table.get(id) {
            Some(session) if session.pid().is_some() && !session.is_busy() => None,
            Some(session) => Some(session.surroundings()),
            None => Some(Surroundings::default()),
        }
    }

    fn entry(&mut self, id: &str) -> Result<&mut Session, Refusal> {
        if !self.table.contains_key(id) {
            if self.table.len() >= MAXIMUM_SESSIONS {
                return Err(Refusal::TooMany { what: "sessions".into(), limit: MAXIMUM_SESSIONS });
            }
            self.next_number += 1;
            self.table.insert(id.to_owned(), Session::new(self.next_number));
        }
        self.table.get_mut(id).ok_or(Refusal::Failed { what: "the session is gone".into() })
    }

    /// Where shells report that a command has ended.
    pub(super) fn reports(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>)> {
        self.table.values().filter_map(|session| Some((session.number, session.report()?)))
    }

    /// A shell has reported something.
    pub(super) fn heard(
        &mut self,
        number: u64,
        connections: &mut Connections,
    ) -> Option<(Surroundings, Then)> {
        let session = self.table.values_mut().find(|session| session.number == number)?;
        session.heard(connections)
    }

    /// A child has ended; whether it was a shell, and what waited for it.
    pub(super) fn ended(
        &mut self,
        ended: Ended,
        connections: &mut Connections,
    ) -> Option<Vec<(Surroundings, Then)>> {
        let (id, session) = self.table.iter_mut().find(|(_, session)| session.pid() == Some(ended.pid))?;
        let id = id.clone();
        let waiting = session.terminated(ended.code, connections);
        let queue = std::mem::take(&mut session.queue);
        self.table.remove(&id);
        self.begin_anew(&id, queue, connections);
        Some(waiting)
    }

    /// What was queued behind the command that ended a shell is the next use of the id.
    fn begin_anew(&mut self, id: &str, queue: VecDeque<Job>, connections: &mut Connections) {
        if queue.is_empty() {
            return;
        }
        if let Ok(session) = self.entry(id) {
            session.queue = queue;
            session.advance(connections);
        }
    }

    /// A client has left: what it waits for in vain is not run; what runs goes on.
    pub(super) fn forget(&mut self, client: ConnectionId) {
        self.table.values_mut().for_each(|session| session.forget(client));
    }

    /// Working directories may be covered now.
    pub(super) fn mounts_changed(&mut self) {
        self.table.values_mut().for_each(Session::enter_again);
    }
}
