//! The second life of pid 1: it runs programs for the daemon, keeps what outlives the daemon, and buries the dead.
//!
//! One thread, one loop, which never waits for anyone inside. Each connection is one call ([`calls`], [`protocol`]). A
//! plain program ends with its connection; sessions, processes and terminals are the agent's own and do not.

pub(crate) mod calls;
mod connections;
mod drains;
mod group;
mod processes;
mod program;
pub(crate) mod protocol;
mod run;
mod script;
mod sessions;
mod terminals;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::TerminalRequest;
use crate::sys::{signals, sockets};
use calls::{Call, CommandEnd, Refusal};
use connections::{Connection, ConnectionId, Connections, Role};
use drains::Drains;
use processes::Processes;
use protocol::Ending;
pub(crate) use script::quote;
use sessions::{Job, Sessions, Surroundings, Task, Then};
use terminals::Terminals;

/// Serves until the sandbox is killed.
pub(crate) fn serve(listener: &OwnedFd) -> ! {
    let Ok(children) = signals::children_descriptor() else { crate::sys::processes::exit_now(71) };
    let mounts = openat(CWD, "/proc/self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
    let mut agent = Agent { mounts, ..Agent::default() };
    loop {
        agent.turn(listener, &children);
    }
}

#[derive(Debug, Default)]
struct Agent {
    connections: Connections,
    sessions: Sessions,
    processes: Processes,
    terminals: Terminals,
    drains: Drains,
    /// Says when the mount table has changed.
    mounts: Option<OwnedFd>,
}

/// What we wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Listener,
    Children,
    Mounts,
    Connection(ConnectionId),
    Session(u64),
    Process(u64, usize),
    Terminal(u64),
    Drain(u64),
}

impl Agent {
    fn turn(&mut self, listener: &OwnedFd, children: &OwnedFd) {
        let ready = self.wait(listener.as_fd(), children.as_fd());
        // Said only once per batch of children; who has ended is asked anyway.
        let _ = rustix::io::read(children, &mut [0; 1024][..]);
        for source in ready {
            self.attend(source);
        }
        self.bury();
        self.connections.runs().for_each(|(_, run)| run.ring());
        self.processes.ring();
        self.sessions.ring(&mut self.connections);
        self.connections.sweep();
        self.welcome(listener);
    }

    /// Sleeps until something happens; what.
    fn wait(&self, listener: BorrowedFd<'_>, children: BorrowedFd<'_>) -> Vec<Source> {
        let sources = self.sources(listener, children);
        let interest = |source: &Source| match source {
            Source::Mounts => PollFlags::PRI,
            _ => PollFlags::IN,
        };
        let watched = sources.iter().map(|(source, fd)| PollFd::from_borrowed_fd(*fd, interest(source)));
        let mut events: Vec<PollFd<'_>> = watched.collect();
        match poll(&mut events, self.timeout().as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR | Errno::AGAIN) => return Vec::new(),
            // Out of memory: better slow than dead, since our death is everybody's here.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
        let happened = events.iter().zip(&sources).filter(|(event, _)| !event.revents().is_empty());
        happened.map(|(_, (source, _))| *source).collect()
    }

    fn sources<'a>(
        &'a self,
        listener: BorrowedFd<'a>,
        children: BorrowedFd<'a>,
    ) -> Vec<(Source, BorrowedFd<'a>)> {
        let mut all = vec![(Source::Listener, listener), (Source::Children, children)];
        all.extend(self.mounts.iter().map(|table| (Source::Mounts, table.as_fd())));
        let connections = self.connections.all();
        all.extend(connections.map(|(id, connection)| (Source::Connection(id), connection.socket.as_fd())));
        all.extend(self.sessions.reports().map(|(number, report)| (Source::Session(number), report)));
        let pipes = self.processes.pipes();
        all.extend(pipes.map(|(number, index, pipe)| (Source::Process(number, index), pipe)));
        all.extend(self.terminals.masters().map(|(number, master)| (Source::Terminal(number), master)));
        all.extend(self.drains.all().map(|(number, drain)| (Source::Drain(number), drain)));
        all
    }

    fn timeout(&self) -> Option<Timespec> {
        let runs = self.connections.all().filter_map(|(_, connection)| match &connection.role {
            Role::Run(run) => run.alarm,
            _ => None,
        });
        let others = [self.processes.next_alarm(), self.sessions.next_alarm()];
        let next = runs.chain(others.into_iter().flatten()).min()?;
        let left = next.saturating_duration_since(Instant::now());
        Some(Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) })
    }

    fn attend(&mut self, source: Source) {
        match source {
            Source::Listener | Source::Children => {}
            Source::Mounts => self.sessions.mounts_changed(),
            Source::Connection(id) => self.hear(id),
            Source::Session(number) => {
                if let Some((surroundings, then)) = self.sessions.heard(number, &mut self.connections) {
                    self.go_on(&surroundings, then);
                }
            }
            Source::Process(number, index) => self.processes.pump(number, index, &mut self.connections),
            Source::Terminal(number) => self.terminals.pump(number, &mut self.connections),
            Source::Drain(number) => self.drains.pump(number),
        }
    }

    /// Reaps children and orphans, and reports the ends of those that someone waits for. Until it is reaped the number
    /// of a child means nobody else.
    fn bury(&mut self) {
        while let Some(ended) = signals::ended_child() {
            let run = self.connections.runs().find(|(_, run)| run.pid == ended.pid);
            if let Some((id, ending)) = run.map(|(id, run)| (id, run.ending(ended))) {
                self.say_ending(id, ending);
            } else if let Some(waiting) = self.sessions.ended(ended, &mut self.connections) {
                waiting.into_iter().for_each(|(surroundings, then)| self.go_on(&surroundings, then));
            } else if !self.processes.ended(ended, &mut self.connections) {
                self.terminals.ended(ended, &mut self.connections);
            }
            signals::reap(ended.pid);
        }
    }

    fn say_ending(&mut self, id: ConnectionId, ending: Ending) {
        self.connections.send(id, &ending.to_bytes(), &[]);
        self.connections.end(id);
    }

    fn welcome(&mut self, listener: &OwnedFd) {
        let mut watched = [PollFd::new(listener, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        while matches!(poll(&mut watched, Some(&at_once)), Ok(1)) {
            let Ok(socket) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) else {
                return;
            };
            self.connections.add(socket);
        }
    }

    fn hear(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(id) else { return };
        if matches!(connection.role, Role::Over) {
            return;
        }
        let (message, descriptors) = match sockets::receive(connection.socket.as_fd()) {
            Ok(received) => received,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
            Err(_) => return self.abandon(id),
        };
        match (message.as_slice(), &connection.role) {
            ([protocol::KILL], Role::Run(run)) => run.kill(),
            ([protocol::RUN], Role::New) => self.run(id, descriptors),
            ([calls::CALL], Role::New) => self.call(id, descriptors),
            ([calls::ACK], Role::Follower { .. }) => self.connections.acknowledged(id),
            // Late, and meant for something that is over.
            ([protocol::KILL | calls::ACK], _) => {}
            _ => self.abandon(id),
        }
    }

    /// The other side is gone or talks nonsense. A plain program that it started goes too; [`Agent::bury`] reaps it.
    fn abandon(&mut self, id: ConnectionId) {
        self.sessions.forget(id);
        match self.connections.remove(id) {
            Some(Connection { role: Role::Run(run), .. }) => run.kill(),
            Some(Connection { role: Role::Command(Some(streams)), .. }) => self.drains.add(streams),
            _ => {}
        }
    }

    fn run(&mut self, id: ConnectionId, descriptors: Vec<OwnedFd>) {
        match run::start(descriptors) {
            run::Started::Run(run) => {
                if let Some(connection) = self.connections.get(id) {
                    connection.role = Role::Run(run);
                }
            }
            run::Started::Ended(ending) => self.say_ending(id, ending),
            run::Started::Nonsense => self.abandon(id),
        }
    }

    fn call(&mut self, id: ConnectionId, mut descriptors: Vec<OwnedFd>) {
        let read = descriptors.pop().map(calls::read_document::<Call>);
        let Some(Ok(call)) = read else { return self.abandon(id) };
        match call {
            Call::CreateSession { id: session, options } => {
                let created = self.sessions.create(&session, options);
                self.connections.answer(id, &created);
            }
            Call::DeleteSession { id: session } => {
                self.terminals.close(&session);
                let was_there = self.sessions.delete(&session, &mut self.connections);
                self.answer(id, was_there);
            }
            Call::Sessions => self.answer(id, self.sessions.list()),
            Call::ChangeEnvironment { session, changes } => self.change_environment(id, &session, changes),
            Call::Environment { session } => self.answer(id, self.sessions.environment(&session)),
            Call::Command { session, command } => self.command(id, &session, command),
            Call::StartProcess(request) => {
                let session = request.session.clone();
                self.beside(id, session.as_deref(), Then::StartProcess(request, id));
            }
            Call::Processes => self.answer(id, self.processes.list()),
            Call::KillProcess { id: process, signal } => {
                let killed = self.processes.kill(&process, signal);
                self.connections.answer(id, &killed);
            }
            Call::KillProcesses => {
                let killed = self.processes.kill_all();
                self.answer(id, killed);
            }
            Call::CleanUpProcesses => {
                let forgotten = self.processes.clean_up();
                self.answer(id, forgotten);
            }
            Call::Follow { id: process } => {
                if let Err(refusal) = self.processes.follow(&process, id, &mut self.connections) {
                    self.connections.answer(id, &Err::<(), _>(refusal));
                }
            }
            Call::OpenTerminal(request) => self.open_terminal(id, request),
        }
    }

    fn answer(&mut self, id: ConnectionId, answer: impl serde::Serialize) {
        self.connections.answer(id, &Ok::<_, Refusal>(answer));
    }

    fn wait_for_answer(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get(id) {
            connection.role = Role::Waiting;
        }
    }

    fn change_environment(&mut self, id: ConnectionId, session: &str, changes: calls::Changes) {
        let submitted = match self.sessions.change(session, &changes) {
            Ok(false) => return self.answer(id, ()),
            Ok(true) => {
                self.wait_for_answer(id);
                let job = Job { client: Some(id), deadline: None, task: Task::Change(changes) };
                self.sessions.submit(session, job, &mut self.connections)
            }
            Err(refusal) => Err(refusal),
        };
        if submitted.is_err() {
            self.connections.answer(id, &submitted);
        }
    }

    fn command(&mut self, id: ConnectionId, session: &str, command: calls::SessionScript) {
        if let Some(connection) = self.connections.get(id) {
            connection.role = Role::Command(None);
        }
        if self.sessions.command(session, command, id, &mut self.connections).is_err() {
            let mut message = vec![calls::ENDED];
            message.extend(serde_json::to_vec(&CommandEnd::Refused).unwrap_or_default());
            self.connections.send(id, &message, &[]);
            self.connections.end(id);
        }
    }

    fn open_terminal(&mut self, id: ConnectionId, request: TerminalRequest) {
        if self.terminals.exists(&request.name) {
            let surroundings = Surroundings::default();
            return self.go_on(&surroundings, Then::OpenTerminal(request, id));
        }
        let session = request.session.clone();
        self.beside(id, session.as_deref(), Then::OpenTerminal(request, id));
    }

    /// Starts something with the surroundings of a session, as its shell has them now; if the shell is busy, as far as
    /// they can be told from outside.
    fn beside(&mut self, id: ConnectionId, session: Option<&str>, then: Then) {
        let known = match session {
            Some(session) => self.sessions.surroundings(session),
            None => Some(Surroundings::default()),
        };
        match (known, session) {
            (Some(surroundings), _) => self.go_on(&surroundings, then),
            (None, Some(session)) => {
                self.wait_for_answer(id);
                let job = Job { client: None, deadline: None, task: Task::Capture(then) };
                if let Err(refusal) = self.sessions.submit(session, job, &mut self.connections) {
                    self.connections.answer(id, &Err::<(), _>(refusal));
                }
            }
            (None, None) => {}
        }
    }

    fn go_on(&mut self, surroundings: &Surroundings, then: Then) {
        match then {
            Then::StartProcess(request, id) => {
                let started = self.processes.start(request, surroundings);
                self.connections.answer(id, &started);
            }
            Then::OpenTerminal(request, id) => {
                let opened = self.terminals.open(&request, surroundings, id, &mut self.connections);
                if opened.is_err() {
                    self.connections.answer(id, &opened);
                }
            }
        }
    }
}
