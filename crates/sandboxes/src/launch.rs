//! Starting pid 1 of a sandbox, from the daemon's side. Blocks for some milliseconds: call it from a blocking thread.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, openat};

use crate::cgroup::Group;
use crate::error::{Doing, Failure};
use crate::init::{Plan, handshake};
use crate::sys::processes::{Process, Program, start};
use crate::sys::sockets;
use crate::sys::threads::in_thread;
use crate::userns::namespace_of;
use crate::{Error, RuntimeSettings, mountinfo};

/// Building a root takes milliseconds; on an overloaded machine seconds.
const PATIENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

const NAMESPACES: libc::c_int =
    libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// A sandbox whose agent listens.
pub(crate) struct Launched {
    pub(crate) process: Process,
    /// Ids of the mounts that init made.
    pub(crate) own_mounts: Vec<u64>,
}

/// Starts init and waits until it is the agent. On failure the process is gone; groups and directories are not.
pub(crate) fn launch(
    settings: &RuntimeSettings,
    plan: &Plan,
    group: &Group,
    listener: OwnedFd,
) -> Result<Launched, Error> {
    let (ours, theirs) = sockets::pair().doing("make the handshake").map_err(Failure::starting)?;
    let program = program(settings, plan, theirs, listener).map_err(Failure::starting)?;
    let (process, is_in_groups) = start_in(group, &program).doing("start init").map_err(Failure::starting)?;
    // Its end of the handshake is only its own from here on.
    drop(program);
    let joined = if is_in_groups { Ok(()) } else { group.join(process.pid).doing("join the control groups") };
    let finished = shake_hands(ours.as_fd(), joined, &process).and_then(|()| {
        let mounts = mountinfo::of(process.pid).doing("read the mount table").map_err(Failure::starting)?;
        Ok(mounts.iter().map(|mount| mount.id).collect())
    });
    match finished {
        Ok(own_mounts) => Ok(Launched { process, own_mounts }),
        Err(error) => {
            if let Err(error) = process.kill().and_then(|()| process.reap(true)) {
                tracing::warn!(%error, "a failed start could not be ended");
            }
            Err(error)
        }
    }
}

/// Starts init, born in its groups where that works; whether it is in them. A thread of its own, which is moved.
fn start_in(group: &Group, program: &Program) -> io::Result<(Process, bool)> {
    in_thread(|| {
        let unified = group.enter_with_thread().and_then(|()| group.open_unified());
        let Ok(unified) = unified else { return Ok((start(program, NAMESPACES, None)?, false)) };
        match start(program, NAMESPACES, unified.as_ref().map(AsFd::as_fd)) {
            Ok(process) => Ok((process, true)),
            // Hidden by a filter, or a group that takes no processes: perhaps it can still be joined.
            Err(error) if unified.is_some() => {
                tracing::debug!(%error, "init cannot be born in its control group");
                Ok((start(program, NAMESPACES, None)?, false))
            }
            Err(error) => Err(error),
        }
    })
}

fn program(
    settings: &RuntimeSettings,
    plan: &Plan,
    handshake: OwnedFd,
    listener: OwnedFd,
) -> Result<Program, Failure> {
    let user_namespace = namespace_of(plan.id_base).doing("make a user namespace")?;
    let plan = written(plan).doing("write the plan")?;
    let name = settings.program.file_name().unwrap_or_else(|| OsStr::new("sandkeep"));
    let texts = [name].into_iter().chain(settings.init_arguments.iter().map(OsStr::new));
    let arguments = texts.map(c_string).collect::<io::Result<_>>().doing("read the settings")?;
    Ok(Program {
        path: c_string(settings.program.as_os_str()).doing("read the settings")?,
        arguments,
        // In the order of `init::Inheritance`.
        inherited: vec![handshake, plan, listener, user_namespace],
    })
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn written(plan: &Plan) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("plan", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(plan)?)?;
    file.rewind()?;
    Ok(file.into())
}

fn shake_hands(socket: BorrowedFd<'_>, joined: Result<(), Failure>, process: &Process) -> Result<(), Error> {
    // If init failed before it read this, its report is waiting.
    let _ = joined.is_ok() && sockets::send(socket, &[handshake::GO], &[]).is_ok();
    if let (Err(failure), false) = (joined, process.has_ended()) {
        return Err(failure.starting());
    }
    let mut watched = [PollFd::new(&socket, PollFlags::IN)];
    if poll(&mut watched, Some(&PATIENCE)).doing("wait for init").map_err(Failure::starting)? == 0 {
        return Err(io::Error::from(io::ErrorKind::TimedOut))
            .doing("wait for init")
            .map_err(Failure::starting);
    }
    let (message, _) = sockets::receive(socket).doing("hear from init").map_err(Failure::starting)?;
    match message.split_first() {
        Some((&handshake::READY, [])) => Ok(()),
        Some((&handshake::FAILED, report)) => Err(reported(report).starting()),
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof))
            .doing("start init (it ended without a word)")
            .map_err(Failure::starting),
    }
}

fn reported(report: &[u8]) -> Failure {
    let (errno, purpose) = report.split_first_chunk::<4>().unwrap_or((&[0; 4], report));
    let source = io::Error::from_raw_os_error(i32::from_le_bytes(*errno));
    Failure { what: String::from_utf8_lossy(purpose).into_owned(), source }
}

/// A path to `name` in an open directory that is short enough for a socket's address (108 bytes).
pub(crate) fn short_path(directory: &OwnedFd, name: &str) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name)
}

/// A handle on a sandbox's root, which stays its root whatever happens inside.
pub(crate) fn root_of(process: &Process) -> io::Result<OwnedFd> {
    let path = format!("/proc/{}/root", process.pid);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, path, flags, Mode::empty())?;
    // The number could have been used again in between; the descriptor could not.
    if process.has_ended() { Err(io::ErrorKind::NotFound.into()) } else { Ok(root) }
}
