//! The second life of pid 1: it runs programs for the daemon and buries the dead.
//!
//! One thread, one loop. Each connection is one run: a request with descriptors comes, an ending goes back. A
//! connection that closes before its program has ended takes the program with it. The daemon may die and come back.

mod group;
mod program;
pub(crate) mod protocol;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::sys::signals::{self, Ended};
use crate::sys::sockets;
use protocol::{Ending, Request};

/// Between the polite signal at a timeout and the deadly one.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until the sandbox is killed.
pub(crate) fn serve(listener: &OwnedFd) -> ! {
    let Ok(children) = signals::children_descriptor() else { crate::sys::processes::exit_now(71) };
    let mut agent = Agent { connections: Vec::new() };
    loop {
        agent.turn(listener, &children);
    }
}

struct Agent {
    connections: Vec<Connection>,
}

struct Connection {
    socket: OwnedFd,
    run: Option<Run>,
    is_over: bool,
}

struct Run {
    pid: i32,
    /// When the next signal is due.
    alarm: Option<Instant>,
    timed_out: bool,
}

impl Agent {
    fn turn(&mut self, listener: &OwnedFd, children: &OwnedFd) {
        let ready = self.wait(listener.as_fd(), children.as_fd());
        self.bury();
        for (connection, _) in self.connections.iter_mut().zip(ready).filter(|(_, is_ready)| *is_ready) {
            connection.hear();
        }
        self.connections.iter_mut().for_each(Connection::ring);
        self.connections.retain(|connection| !connection.is_over);
        self.welcome(listener);
    }

    /// Sleeps until something happens; which connections have something to say.
    fn wait(&self, listener: BorrowedFd<'_>, children: BorrowedFd<'_>) -> Vec<bool> {
        let sockets = self.connections.iter().map(|connection| connection.socket.as_fd());
        let watched = [listener, children].into_iter().chain(sockets);
        let mut events: Vec<PollFd<'_>> =
            watched.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN)).collect();
        let next = self.connections.iter().filter_map(|c| c.run.as_ref()?.alarm).min();
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        match poll(&mut events, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR | Errno::AGAIN) => return Vec::new(),
            // Out of memory: better slow than dead, since our death is everybody's here.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
        // Said only once per batch of children; who has ended is asked anyway.
        let _ = rustix::io::read(children, &mut [0; 1024][..]);
        events.iter().skip(2).map(|event| !event.revents().is_empty()).collect()
    }

    /// Reaps children and orphans, and reports the ends of runs.
    fn bury(&mut self) {
        while let Some(ended) = signals::ended_child() {
            let runs = |connection: &&mut Connection| {
                connection.run.as_ref().is_some_and(|run| run.pid == ended.pid)
            };
            if let Some(connection) = self.connections.iter_mut().find(runs) {
                connection.report(ended);
            }
            signals::reap(ended.pid);
        }
    }

    fn welcome(&mut self, listener: &OwnedFd) {
        let mut watched = [PollFd::new(listener, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        while matches!(poll(&mut watched, Some(&at_once)), Ok(1)) {
            let Ok(socket) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) else {
                return;
            };
            self.connections.push(Connection { socket, run: None, is_over: false });
        }
    }
}

impl Connection {
    fn hear(&mut self) {
        if self.is_over {
            return;
        }
        match sockets::receive(self.socket.as_fd()) {
            Ok((message, _)) if message.is_empty() => self.abandon(),
            Ok((message, _)) if message == [protocol::KILL] => self.kill(),
            Ok((message, descriptors)) if message == [protocol::RUN] && self.run.is_none() => {
                self.start(descriptors);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => self.abandon(),
        }
    }

    fn start(&mut self, descriptors: Vec<OwnedFd>) {
        let Ok([request, stdout, stderr]) = <[OwnedFd; 3]>::try_from(descriptors) else {
            return self.abandon();
        };
        let Ok(request) = Request::read(request) else { return self.abandon() };
        match program::start(&request, stdout.as_fd(), stderr.as_fd()) {
            Ok(pid) => {
                let alarm = request.timeout.map(|timeout| Instant::now() + timeout);
                self.run = Some(Run { pid, alarm, timed_out: false });
            }
            Err(error) => {
                program::complain(stderr.as_fd(), &format!("cannot start a process: {error}"));
                self.end(Ending { code: 126, timed_out: false });
            }
        }
    }

    /// Sends the signal that is due.
    fn ring(&mut self) {
        let Some(run) = self.run.as_mut() else { return };
        if run.alarm.is_none_or(|at| at > Instant::now()) {
            return;
        }
        if run.timed_out {
            run.alarm = None;
            group::kill(run.pid);
        } else {
            run.alarm = Some(Instant::now() + GRACE);
            run.timed_out = true;
            group::signal(run.pid, libc::SIGTERM);
        }
    }

    /// The program has ended, and is still a zombie, so that its number means nobody else.
    fn report(&mut self, ended: Ended) {
        let Some(run) = self.run.take() else { return };
        if run.timed_out {
            group::kill(run.pid);
        }
        let code = if run.timed_out { protocol::TIMED_OUT } else { ended.code };
        self.end(Ending { code, timed_out: run.timed_out });
    }

    fn end(&mut self, ending: Ending) {
        // If nobody listens any more, nobody wants to know.
        let _ = sockets::send(self.socket.as_fd(), &ending.to_bytes(), &[]);
        self.is_over = true;
    }

    fn kill(&self) {
        if let Some(run) = &self.run {
            group::kill(run.pid);
        }
    }

    /// The other side is gone or talks nonsense. What it started goes too; [`Agent::bury`] reaps it.
    fn abandon(&mut self) {
        self.kill();
        self.is_over = true;
    }
}
