//! The first life of pid 1: it builds the root, moves into it, gives up its powers and becomes the agent.

mod devices;
mod filter;
mod privileges;
mod root;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Failure};
use crate::overlay::UpperLayer;
use crate::sys::processes::inherited;
use crate::sys::{processes, sockets, threads};

/// What the daemon decided; it arrives over an inherited descriptor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Where the root is put together.
    pub(crate) root: PathBuf,
    /// An empty directory for layers on their way.
    pub(crate) scratch: PathBuf,
    /// The lowest layer of the root, and what is above it.
    pub(crate) skeleton: PathBuf,
    pub(crate) root_layer: UpperLayer,
    /// Host directories with programs, each with its upper layer, shown at the same place.
    pub(crate) trees: Vec<(PathBuf, UpperLayer)>,
    /// Paths below the trees that are taken away.
    pub(crate) hidden: Vec<OsString>,
    /// Host paths shown read-only at the same place.
    pub(crate) exposed: Vec<PathBuf>,
    pub(crate) id_base: u32,
    pub(crate) hostname: String,
    /// Bytes of /dev/shm.
    pub(crate) shared_memory: u64,
}

/// Messages between daemon and init: one byte, and with a failure its errno and purpose.
pub(crate) mod handshake {
    /// To init: you are in your control groups.
    pub(crate) const GO: u8 = b'G';
    /// From init: the agent listens.
    pub(crate) const READY: u8 = b'R';
    /// From init: errno (4 bytes), purpose.
    pub(crate) const FAILED: u8 = b'E';
}

/// Descriptors that init is started with, in this order.
struct Inheritance {
    handshake: OwnedFd,
    plan: OwnedFd,
    listener: OwnedFd,
    user_namespace: OwnedFd,
}

impl Inheritance {
    fn take() -> io::Result<Self> {
        Ok(Self {
            handshake: inherited(0)?,
            plan: inherited(1)?,
            listener: inherited(2)?,
            user_namespace: inherited(3)?,
        })
    }
}

/// Never returns: becomes the agent or ends the process.
pub(crate) fn main() -> ! {
    let Ok(inheritance) = Inheritance::take() else { processes::exit_now(70) };
    // Started by hand this would build its root over the caller's: only pid 1 of a new namespace goes on.
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        processes::exit_now(70);
    }
    let handshake = inheritance.handshake.as_fd();
    let built = std::panic::catch_unwind(|| build(&inheritance))
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::Other)).doing("not to panic"));
    match built {
        Ok(()) => {}
        Err(failure) => {
            // If the daemon is gone too, nobody is left to tell.
            let _ = sockets::send(handshake, &failure_message(&failure), &[]);
            processes::exit_now(70);
        }
    }
    if sockets::send(handshake, &[handshake::READY], &[]).is_err() {
        processes::exit_now(70);
    }
    let Inheritance { listener, .. } = inheritance;
    crate::agent::serve(&listener)
}

fn failure_message(failure: &Failure) -> Vec<u8> {
    let errno = failure.source.raw_os_error().unwrap_or(libc::EIO);
    let mut message = vec![handshake::FAILED];
    message.extend(errno.to_le_bytes());
    message.extend(failure.what.as_bytes().iter().take(1000));
    message
}

fn build(inheritance: &Inheritance) -> Result<(), Failure> {
    let plan = read_plan(&inheritance.plan).doing("read the plan")?;
    let user_namespace = inheritance.user_namespace.as_fd();
    crate::overlay::make_all_private().doing("make mounts private")?;
    root::build(&plan, user_namespace)?;
    privileges::loopback_up().doing("bring the loopback up")?;
    rustix::system::sethostname(plan.hostname.as_bytes()).doing("set the host name")?;
    wait_for_groups(inheritance)?;
    root::enter(&plan.root)?;
    privileges::give_up(user_namespace)
}

fn read_plan(descriptor: &OwnedFd) -> io::Result<Plan> {
    let mut text = Vec::new();
    File::from(descriptor.try_clone()?).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// The daemon puts us into our groups while we build; the namespace of groups starts where we are then.
fn wait_for_groups(inheritance: &Inheritance) -> Result<(), Failure> {
    let (message, _) = sockets::receive(inheritance.handshake.as_fd()).doing("wait for the daemon")?;
    if message != [handshake::GO] {
        return Err(io::Error::from(io::ErrorKind::ConnectionAborted)).doing("wait for the daemon");
    }
    threads::separate(UnshareFlags::NEWCGROUP).doing("leave the host's control groups")
}
