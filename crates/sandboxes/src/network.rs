//! Sockets of ours inside a sandbox's network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

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

/// Programs listen on either loopback address, many on one of them only.
pub(crate) fn connect(process: &Process, port: u16, patience: Duration) -> io::Result<TcpStream> {
    in_thread(|| {
        enter(process.descriptor.as_fd(), ThreadNameSpaceType::NETWORK)?;
        let to = |address: IpAddr| TcpStream::connect_timeout(&SocketAddr::new(address, port), patience);
        to(Ipv4Addr::LOCALHOST.into()).or_else(|error| to(Ipv6Addr::LOCALHOST.into()).map_err(|_| error))
    })
}
