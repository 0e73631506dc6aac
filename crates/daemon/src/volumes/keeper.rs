//! The keeper: holds the FUSE connections and starts the workers that serve them.
//!
//! It does nothing else, so that it has no reason to die: no credentials read, no network, no data. Threads and blocking
//! calls, one thread per request and one per volume.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec};
use sandkeep_vfs::{Connection, MountOptions, Negotiated};

use super::channel;
use super::protocol::{self, Answer, Job, Report, Request, Volume};
use super::{VolumeError, VolumeId, VolumeStatus};
use crate::roles;

/// Variables that workers see; commands that give credentials need the first two.
const PASSED_ON: [&str; 4] = ["HOME", "PATH", "SANDKEEP_LOG", "TMPDIR"];
/// Deaths of one worker in [`RESTART_WINDOW`] after which its volume is given up.
const MAX_RESTARTS: u32 = 10;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
/// How long a worker may take to open its bucket or archive.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after a worker that did not start.
const RETRY_START: Duration = Duration::from_millis(200);
/// Pause after a request that could not be taken.
const RETRY_ACCEPT: Duration = Duration::from_millis(100);
/// How long beyond its deadline a worker may take to say that it ended.
const END_GRACE: Duration = Duration::from_secs(5);

/// Serves requests from `listener` until told to stop.
pub(crate) fn run(listener: &OwnedFd, program: PathBuf) -> ! {
    let keeper = Arc::new(Keeper { program, state: Mutex::default(), changed: Condvar::new() });
    loop {
        let accepted =
            rustix::net::accept_with(listener, rustix::net::SocketFlags::CLOEXEC).map_err(io::Error::from);
        let answering = accepted.and_then(|socket| answer_in_thread(Arc::clone(&keeper), socket));
        if let Err(error) = answering {
            // Out of descriptors or threads: mounts must go on, so wait for better times.
            tracing::warn!(%error, "a request could not be taken");
            std::thread::sleep(RETRY_ACCEPT);
        }
    }
}

fn answer_in_thread(keeper: Arc<Keeper>, socket: OwnedFd) -> io::Result<()> {
    let answer = move || {
        if let Err(error) = keeper.answer(&socket) {
            tracing::warn!(%error, "a request could not be answered");
        }
    };
    std::thread::Builder::new().name("request".into()).spawn(answer).map(drop)
}

struct Keeper {
    program: PathBuf,
    state: Mutex<State>,
    /// Signalled when a volume is gone.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    volumes: BTreeMap<VolumeId, Entry>,
    next: u64,
}

struct Entry {
    /// Our end of the worker's standard input.
    channel: Arc<OwnedFd>,
    connection_id: u32,
    worker: u32,
    restarts: u32,
    /// Told to end: not to be replaced when it dies.
    ending: bool,
    /// Its last words.
    outcome: Option<VolumeError>,
}

/// Everything needed to start a worker for a volume again.
struct Served {
    id: VolumeId,
    volume: Volume,
    device: OwnedFd,
    /// Where a worker's successor finds what it had read and not answered.
    requests: OwnedFd,
    negotiated: Negotiated,
    since: SystemTime,
}

struct Worker {
    child: Child,
    channel: Arc<OwnedFd>,
}

impl Keeper {
    fn answer(self: &Arc<Self>, socket: &OwnedFd) -> io::Result<()> {
        let Some((request, descriptors)) = channel::receive::<Request>(socket)? else { return Ok(()) };
        let done = |outcome| match outcome {
            Ok(()) => Answer::Done,
            Err(error) => Answer::Failed(error),
        };
        let answer = match request {
            Request::Mount { volume, options } => return self.mount(socket, volume, &options),
            Request::Backup(job) if !descriptors.is_empty() => {
                return self.work(socket, &Job::Backup(job), &descriptors);
            }
            Request::Extract(volume) if !descriptors.is_empty() => {
                return self.work(socket, &Job::Extract(volume), &descriptors);
            }
            Request::Backup(_) | Request::Extract(_) => {
                Answer::Failed(VolumeError::plain("no directory came along"))
            }
            Request::End { id, deadline } => done(self.end(&id, deadline)),
            Request::Abort { id } => done(self.abort(&id)),
            Request::List => Answer::Volumes(self.list()),
            Request::Stop => {
                self.stop();
                channel::send(socket, &Answer::Done, &[])?;
                tracing::info!("the keeper ends");
                std::process::exit(0);
            }
        };
        channel::send(socket, &answer, &[])
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mount(self: &Arc<Self>, socket: &OwnedFd, volume: Volume, options: &MountOptions) -> io::Result<()> {
        match self.try_mount(volume, options) {
            Ok((id, mount)) => channel::send(socket, &Answer::Mounted { id }, &[mount.as_fd()]),
            Err(error) => channel::send(socket, &Answer::Failed(error), &[]),
        }
    }

    fn try_mount(
        self: &Arc<Self>,
        volume: Volume,
        options: &MountOptions,
    ) -> Result<(VolumeId, OwnedFd), VolumeError> {
        let mounted =
            sandkeep_vfs::mount(options).map_err(|error| VolumeError::failed("cannot mount", &error))?;
        let connection_id = sandkeep_vfs::connection_id(&mounted.mount)
            .map_err(|error| VolumeError::failed("cannot identify the mount", &error))?;
        let Connection { device, negotiated, .. } = mounted.connection;
        let requests = sandkeep_vfs::request_memory()
            .map_err(|error| VolumeError::failed("cannot keep requests", &io::Error::from(error)))?;
        let (id, since) = (self.next_id(&volume), SystemTime::now());
        let served = Served { id, volume, device, requests, negotiated, since };
        let worker = self.start_ready(&served, false)?;
        let id = served.id.clone();
        let entry = Entry {
            channel: Arc::clone(&worker.channel),
            connection_id,
            worker: worker.child.id(),
            restarts: 0,
            ending: false,
            outcome: None,
        };
        self.lock().volumes.insert(id.clone(), entry);
        let keeper = Arc::clone(self);
        std::thread::spawn(move || keeper.supervise(&served, worker));
        Ok((id, mounted.mount))
    }

    fn next_id(&self, volume: &Volume) -> VolumeId {
        let kind = match volume {
            Volume::Bucket(_) => "bucket",
            Volume::Backup(_) => "backup",
        };
        let mut state = self.lock();
        state.next += 1;
        VolumeId(format!("{kind}-{}-{}", std::process::id(), state.next))
    }

    /// Starts a worker and waits for its verdict.
    fn start_ready(&self, served: &Served, crashed_before: bool) -> Result<Worker, VolumeError> {
        let Served { volume, negotiated, since, .. } = served;
        let job =
            Job::Serve { volume: volume.clone(), negotiated: *negotiated, since: *since, crashed_before };
        let mut worker = self
            .start(&job, &[&served.device, &served.requests])
            .map_err(|error| VolumeError::failed("cannot start a worker", &error))?;
        let verdict = match readable(&worker.channel, READY_TIMEOUT) {
            Ok(true) => channel::receive::<Report>(&worker.channel),
            Ok(false) => Err(io::Error::from(io::ErrorKind::TimedOut)),
            Err(error) => Err(error),
        };
        let error = match verdict {
            Ok(Some((Report::Ready, _))) => return Ok(worker),
            Ok(Some((Report::Failed(error), _))) => error,
            Ok(_) => VolumeError::plain("the worker died while it opened the volume"),
            Err(error) => VolumeError::failed("the worker does not answer", &error),
        };
        end_child(&mut worker.child);
        Err(error)
    }

    fn start(&self, job: &Job, descriptors: &[&OwnedFd]) -> io::Result<Worker> {
        let (ours, theirs) = channel::pair()?;
        let child = Command::new(&self.program)
            .arg(roles::WORKER)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| PASSED_ON.contains(&name.as_str())))
            .spawn()?;
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut worker = Worker { child, channel: Arc::new(ours) };
        if let Err(error) = channel::send(&worker.channel, job, &descriptors) {
            end_child(&mut worker.child);
            return Err(error);
        }
        Ok(worker)
    }

    /// Lives as long as the volume: replaces its worker whenever one dies without having been told to.
    fn supervise(&self, served: &Served, mut worker: Worker) {
        let mut deaths = Vec::new();
        loop {
            let last_words = channel::receive::<Report>(&worker.channel);
            let status = worker.child.wait();
            let orderly = status.as_ref().is_ok_and(std::process::ExitStatus::success);
            if let Ok(Some((Report::Ended(outcome), _))) = last_words {
                self.with_entry(&served.id, |entry| entry.outcome = outcome);
            }
            if orderly || self.with_entry(&served.id, |entry| entry.ending).unwrap_or(true) {
                break;
            }
            tracing::warn!(volume = served.id.0, ?status, "a worker died and is replaced");
            let Some(next) = self.replace(served, &mut deaths) else { break };
            worker = next;
            self.with_entry(&served.id, |entry| {
                entry.channel = Arc::clone(&worker.channel);
                entry.worker = worker.child.id();
                entry.restarts += 1;
            });
        }
        // With the last descriptor of its device the kernel ends the connection; see fuse(4).
        self.lock().volumes.remove(&served.id);
        self.changed.notify_all();
    }

    /// The next worker. One that dies or fails while it starts counts as a death, too.
    fn replace(&self, served: &Served, deaths: &mut Vec<Instant>) -> Option<Worker> {
        loop {
            deaths.retain(|death| death.elapsed() < RESTART_WINDOW);
            deaths.push(Instant::now());
            if deaths.len() > MAX_RESTARTS as usize {
                tracing::error!(volume = served.id.0, "its workers die again and again: it is given up");
                return None;
            }
            match self.start_ready(served, true) {
                Ok(next) => return Some(next),
                Err(error) => tracing::warn!(volume = served.id.0, %error, "a worker does not start"),
            }
            if self.with_entry(&served.id, |entry| entry.ending).unwrap_or(true) {
                return None;
            }
            std::thread::sleep(RETRY_START);
        }
    }

    fn with_entry<T>(&self, id: &VolumeId, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.lock().volumes.get_mut(id).map(change)
    }

    fn list(&self) -> Vec<VolumeStatus> {
        let status = |(id, entry): (&VolumeId, &Entry)| VolumeStatus {
            id: id.clone(),
            worker: entry.worker,
            restarts: entry.restarts,
        };
        self.lock().volumes.iter().map(status).collect()
    }

    fn abort(&self, id: &VolumeId) -> Result<(), VolumeError> {
        match self.with_entry(id, |entry| entry.connection_id) {
            None => Ok(()),
            Some(connection) => sandkeep_vfs::abort_connection(connection)
                .map_err(|error| VolumeError::failed("cannot abort the mount", &error)),
        }
    }

    fn end(&self, id: &VolumeId, deadline: Duration) -> Result<(), VolumeError> {
        let told = self.with_entry(id, |entry| {
            entry.ending = true;
            (Arc::clone(&entry.channel), entry.worker)
        });
        let Some((channel, worker)) = told else { return Ok(()) };
        // A worker that has just died has nothing more to flush: its supervisor sees it.
        drop(channel::send(&channel, &protocol::Command::End { deadline }, &[]));
        let until = Instant::now() + deadline + END_GRACE;
        let mut state = self.lock();
        let mut outcome = None;
        while let Some(entry) = state.volumes.get(id) {
            outcome.clone_from(&entry.outcome);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                kill(worker);
                return Err(VolumeError::plain(
                    "the worker did not finish its uploads in time and was killed",
                ));
            }
            let tick = left.min(Duration::from_millis(50));
            state = self.changed.wait_timeout(state, tick).unwrap_or_else(PoisonError::into_inner).0;
        }
        outcome.map_or(Ok(()), Err)
    }

    fn stop(&self) {
        let ids: Vec<_> = self.lock().volumes.keys().cloned().collect();
        std::thread::scope(|scope| {
            for id in &ids {
                scope.spawn(move || {
                    if let Err(error) = self.end(id, Duration::from_secs(30)) {
                        tracing::error!(volume = id.0, %error, "ended with an error");
                    }
                });
            }
        });
    }

    /// Starts a worker that answers on the client's own connection, and waits for it.
    fn work(&self, socket: &OwnedFd, job: &Job, directories: &[OwnedFd]) -> io::Result<()> {
        let descriptors: Vec<&OwnedFd> = directories.iter().chain([socket]).collect();
        match self.start(job, &descriptors) {
            Ok(mut worker) => worker.child.wait().map(drop),
            Err(error) => {
                let error = VolumeError::failed("cannot start a worker", &error);
                channel::send(socket, &Answer::Failed(error), &[])
            }
        }
    }
}

/// Waits until the socket can be read or was closed; false: neither in time.
fn readable(socket: &OwnedFd, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: 0 };
    let mut poll = [PollFd::new(socket, PollFlags::IN)];
    loop {
        match rustix::event::poll(&mut poll, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result? > 0),
        }
    }
}

fn end_child(child: &mut Child) {
    drop(child.kill());
    drop(child.wait());
}

fn kill(pid: u32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}
