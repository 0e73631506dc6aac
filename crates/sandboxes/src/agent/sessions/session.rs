//! One session: its queue, and what its shell does now.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::shell::{Shell, Streams};
use super::{Surroundings, Then};
use crate::SessionOptions;
use crate::agent::calls::{self, Changes, CommandEnd, Refusal, SessionScript};
use crate::agent::connections::{ConnectionId, Connections, Role};
use crate::agent::script;

#[derive(Debug)]
pub(super) struct Session {
    /// Names its files.
    pub(super) number: u64,
    pub(super) options: SessionOptions,
    pub(super) queue: VecDeque<Job>,
    shell: Option<Shell>,
    current: Option<Job>,
}

/// Something for a shell to do.
#[derive(Debug)]
pub(in crate::agent) struct Job {
    /// Who waits for it.
    pub(in crate::agent) client: Option<ConnectionId>,
    /// Until when, and how long that is.
    pub(in crate::agent) deadline: Option<(Instant, Duration)>,
    pub(in crate::agent) task: Task,
}

#[derive(Debug)]
pub(in crate::agent) enum Task {
    Command(SessionScript),
    Change(Changes),
    Capture(Then),
}

impl Session {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            options: SessionOptions::default(),
            queue: VecDeque::new(),
            shell: None,
            current: None,
        }
    }

    pub(super) fn pid(&self) -> Option<i32> {
        self.shell.as_ref().map(|shell| shell.pid)
    }

    pub(super) fn report(&self) -> Option<BorrowedFd<'_>> {
        self.shell.as_ref().map(|shell| shell.report.as_fd())
    }

    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some() || !self.queue.is_empty()
    }

    pub(super) fn enter_again(&mut self) {
        if let Some(shell) = &mut self.shell {
            shell.enter_again = true;
        }
    }

    /// Without asking the shell what its commands exported.
    pub(super) fn surroundings(&self) -> Surroundings {
        let directory = self.shell.as_ref().and_then(Shell::directory);
        Surroundings {
            environment: self.options.env.clone(),
            directory: directory.or_else(|| self.options.cwd.clone()),
        }
    }

    /// Gives the shell its next task, if it has none.
    pub(super) fn advance(&mut self, connections: &mut Connections) {
        while self.current.is_none() {
            let Some(job) = self.queue.pop_front() else { return };
            match self.begin(&job, connections) {
                Ok(()) => self.current = Some(job),
                Err(error) => refuse(&job, &format!("cannot use the session's shell: {error}"), connections),
            }
        }
    }

    fn begin(&mut self, job: &Job, connections: &mut Connections) -> std::io::Result<()> {
        let shell = match &mut self.shell {
            Some(shell) => shell,
            none => none.insert(Shell::start(self.number, &self.options)?),
        };
        match &job.task {
            Task::Command(command) => {
                let Streams { stdout, stderr } = shell.run(command)?;
                let Some(client) = job.client else { return Ok(()) };
                connections.send(client, &[calls::BEGAN], &[stdout.as_fd(), stderr.as_fd()]);
                if let Some(connection) = connections.get(client) {
                    connection.role = Role::Command(Some([stdout, stderr]));
                }
                Ok(())
            }
            Task::Change(changes) => shell.do_quietly(&script::environment_change(changes)),
            Task::Capture(_) => shell.do_quietly(&script::environment_capture(&shell.files)),
        }
    }

    /// The shell has reported an end.
    pub(super) fn heard(&mut self, connections: &mut Connections) -> Option<(Surroundings, Then)> {
        let code = self.shell.as_ref()?.reported()?;
        let job = self.current.take()?;
        let mut then = None;
        match job.task {
            Task::Command(_) => end_command(job.client, CommandEnd::Exited { code }, connections),
            Task::Change(_) => answer(job.client, &Ok(()), connections),
            Task::Capture(waiting) => then = Some((self.captured(), waiting)),
        }
        self.advance(connections);
        then
    }

    fn captured(&self) -> Surroundings {
        let mut surroundings = self.surroundings();
        let seen = self.shell.as_ref().map(Shell::environment).unwrap_or_default();
        if !seen.is_empty() {
            surroundings.environment = seen;
        }
        surroundings
    }

    /// The shell has ended; what waited for its surroundings gets those that are known.
    pub(super) fn terminated(
        &mut self,
        code: i32,
        connections: &mut Connections,
    ) -> Vec<(Surroundings, Then)> {
        self.shell = None;
        let environment = BTreeMap::clone(&self.options.env);
        let known = Surroundings { environment, directory: self.options.cwd.clone() };
        match self.current.take() {
            Some(Job { client, task: Task::Command(_), .. }) => {
                end_command(client, CommandEnd::Terminated { code }, connections);
                Vec::new()
            }
            Some(job @ Job { task: Task::Change(_), .. }) => {
                refuse(&job, "the session's shell has ended", connections);
                Vec::new()
            }
            Some(Job { task: Task::Capture(then), .. }) => vec![(known, then)],
            None => Vec::new(),
        }
    }

    /// The session is deleted: everyone who waits is told.
    pub(super) fn destroyed(&mut self, connections: &mut Connections) {
        self.shell = None;
        for job in self.current.take().into_iter().chain(std::mem::take(&mut self.queue)) {
            match job.task {
                Task::Command(_) => end_command(job.client, CommandEnd::Destroyed, connections),
                Task::Change(_) | Task::Capture(_) => refuse(&job, "the session was deleted", connections),
            }
        }
    }

    /// When someone stops waiting.
    pub(super) fn next_alarm(&self) -> Option<Instant> {
        self.queue.iter().chain(&self.current).filter_map(|job| Some(job.deadline?.0)).min()
    }

    /// Tells those who have waited long enough. What runs goes on.
    pub(super) fn ring(&mut self, now: Instant, connections: &mut Connections) {
        self.queue.iter().filter(|job| job.is_late(now)).for_each(|job| job.give_up(false, connections));
        self.queue.retain(|job| !job.is_late(now));
        if let Some(job) = self.current.as_mut().filter(|job| job.is_late(now)) {
            job.give_up(true, connections);
            (job.client, job.deadline) = (None, None);
        }
    }

    pub(super) fn forget(&mut self, client: ConnectionId) {
        self.queue.retain(|job| job.client != Some(client) || !matches!(job.task, Task::Command(_)));
        if let Some(job) = self.current.as_mut().filter(|job| job.client == Some(client)) {
            (job.client, job.deadline) = (None, None);
        }
    }
}

impl Job {
    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|(at, _)| at <= now)
    }

    fn give_up(&self, has_begun: bool, connections: &mut Connections) {
        if let Some((_, after)) = self.deadline {
            end_command(self.client, CommandEnd::TimedOut { after, has_begun }, connections);
        }
    }
}

fn end_command(client: Option<ConnectionId>, end: CommandEnd, connections: &mut Connections) {
    let Some(client) = client else { return };
    let mut message = vec![calls::ENDED];
    message.extend(serde_json::to_vec(&end).unwrap_or_default());
    connections.send(client, &message, &[]);
    // One that began stays open: as long as the daemon reads, the streams are its own.
    if connections.get(client).is_some_and(|connection| matches!(connection.role, Role::Command(None))) {
        connections.end(client);
    }
}

fn answer(client: Option<ConnectionId>, answer: &Result<(), Refusal>, connections: &mut Connections) {
    if let Some(client) = client {
        connections.answer(client, answer);
    }
}

fn refuse(job: &Job, what: &str, connections: &mut Connections) {
    match &job.task {
        Task::Command(_) => end_command(job.client, CommandEnd::Refused, connections),
        Task::Change(_) | Task::Capture(_) => {
            let client = match &job.task {
                Task::Capture(Then::StartProcess(_, client) | Then::OpenTerminal(_, client)) => Some(*client),
                Task::Command(_) | Task::Change(_) => job.client,
            };
            answer(client, &Err(Refusal::Failed { what: what.into() }), connections);
        }
    }
}
