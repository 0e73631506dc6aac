//! Messages between daemon, keeper and workers: one JSON value and up to eight descriptors per packet of a
//! SOCK_SEQPACKET socket (unix(7)). Values too large for a packet travel in a memfd.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Descriptors in one packet, the memfd of a large value included.
const MAX_DESCRIPTORS: usize = 8;
/// Larger values go into a memfd; far below the default socket buffer of 208 KiB.
const MAX_INLINE: usize = 32 << 10;
const INLINE: u8 = b'J';
const IN_MEMFD: u8 = b'M';

/// A message and the descriptors that came with it.
pub(crate) type Received<T> = Option<(T, Vec<OwnedFd>)>;

/// Two connected ends; the first is ours, the second is meant for a child's standard input.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Listens at `path`, replacing a stale socket there.
pub(crate) fn listen(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = seqpacket()?;
    let (_directory, short) = short(path)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(short)?)?;
    rustix::net::listen(&socket, 64)?;
    Ok(socket)
}

/// Connects to the listener at `path`.
pub(crate) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket = seqpacket()?;
    let (_directory, short) = short(path)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(short)?)?;
    Ok(socket)
}

/// Addresses have room for 107 bytes, see unix(7); through its opened directory any path fits.
fn short(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    let through = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((directory, through))
}

fn seqpacket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message; blocks while the peer's buffer is full unless the socket does not block.
pub(crate) fn send<T: Serialize>(
    socket: impl AsFd,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    if json.len() <= MAX_INLINE {
        return send_packet(socket.as_fd(), INLINE, &json, descriptors);
    }
    let memfd = to_memfd(&json)?;
    let mut all = vec![memfd.as_fd()];
    all.extend_from_slice(descriptors);
    send_packet(socket.as_fd(), IN_MEMFD, &[], &all)
}

fn to_memfd(bytes: &[u8]) -> io::Result<File> {
    let mut memfd = File::from(rustix::fs::memfd_create("message", MemfdFlags::CLOEXEC)?);
    memfd.write_all(bytes)?;
    Ok(memfd)
}

fn send_packet(
    socket: BorrowedFd<'_>,
    tag: u8,
    body: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for a message"));
    }
    let tag = [tag];
    let parts = [IoSlice::new(&tag), IoSlice::new(body)];
    rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message; none: the peer has closed.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Received<T>> {
    let mut buffer = vec![0; MAX_INLINE + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut buffer)];
    let length = rustix::net::recvmsg(socket, parts, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    match buffer[..length].split_first() {
        None => Ok(None),
        Some((&INLINE, json)) => Ok(Some((serde_json::from_slice(json)?, descriptors))),
        Some((&IN_MEMFD, _)) if !descriptors.is_empty() => {
            let memfd = descriptors.remove(0);
            Ok(Some((from_memfd(memfd)?, descriptors)))
        }
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "a message of no known form")),
    }
}

fn from_memfd<T: DeserializeOwned>(memfd: OwnedFd) -> io::Result<T> {
    let mut file = File::from(memfd);
    file.seek(SeekFrom::Start(0))?;
    let mut json = Vec::new();
    file.read_to_end(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// The same on a tokio runtime. Dropping it closes the connection, which the peer sees.
#[derive(Debug)]
pub(crate) struct AsyncChannel(AsyncFd<OwnedFd>);

impl AsyncChannel {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that change their descriptor; OwnedFd does not"
        )]
        let watched = AsyncFd::with_interest(socket, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self(watched))
    }

    pub(crate) async fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.0.async_io(Interest::WRITABLE, |socket| send(socket, message, descriptors)).await
    }

    pub(crate) async fn receive<T: DeserializeOwned>(&self) -> io::Result<Received<T>> {
        self.0.async_io(Interest::READABLE, |socket| receive(socket)).await
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn values_of_any_size_and_descriptors_arrive() {
        let (left, right) = pair().unwrap();
        for length in [0, 10, MAX_INLINE, 1 << 20] {
            let text = "x".repeat(length);
            send(&left, &text, &[left.as_fd(), right.as_fd()]).unwrap();
            let (received, descriptors) = receive::<String>(&right).unwrap().unwrap();
            assert_eq!((received.len(), descriptors.len()), (length, 2));
        }
        drop(left);
        assert!(receive::<String>(&right).unwrap().is_none());
    }
}
