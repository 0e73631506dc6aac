//! Listeners of ours inside a sandbox's network.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;

use rustix::thread::ThreadNameSpaceType;

use crate::sys::processes::Process;
use crate::sys::threads::{enter, in_thread};

/// A socket stays in the network namespace in which it was made, whoever accepts.
pub(crate) fn listen(process: &Process, port: u16) -> io::Result<TcpListener> {
    in_thread(|| {
        enter(process.descriptor.as_fd(), ThreadNameSpaceType::NETWORK)?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
    })
}
