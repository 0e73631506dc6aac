//! FUSE_INIT: what we ask of the kernel, answered by whoever holds the device, before anything is served.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::abi::{self, Field, InitIn, InitOut, init, opcode};
use crate::connection::Negotiated;
use crate::error::Error;

/// Largest READ and WRITE that we agree to: the kernel's own limit of 256 pages of 4 KiB.
pub const MAX_REQUEST: u32 = 1 << 20;

/// The oldest protocol we speak (Linux 5.4): all structures have their present size but INIT.
const MIN_MINOR: u32 = 31;
/// The newest protocol whose additions we know.
const MAX_MINOR: u32 = 45;
/// Readahead and asynchronous requests in flight; the kernel's default of 12 starves a network.
const MAX_BACKGROUND: u16 = 64;
/// Length of INIT before 7.36.
const OLD_INIT: usize = 16;
/// INIT is queued while mounting; a kernel that has not sent it by then never will.
const INIT_LIMIT: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// What we ask for.
///
/// ATOMIC_O_TRUNC: opening with O_TRUNC is one request, so a rewritten file is replaced at once.
/// EXPLICIT_INVAL_DATA: cached pages go when the server says so, not whenever a time differs.
/// HANDLE_KILLPRIV_V2: the server drops set-user-id bits, and in return writes are not preceded by GETXATTR.
/// Left out on purpose: ASYNC_DIO (makes readers with O_DIRECT unkillable), POSIX_LOCKS and FLOCK_LOCKS (the kernel
/// keeps locks itself), WRITEBACK_CACHE (errors must reach their writer), DONT_MASK (the kernel applies the umask).
const WANTED: u64 = init::ASYNC_READ
    | init::ATOMIC_O_TRUNC
    | init::BIG_WRITES
    | init::DO_READDIRPLUS
    | init::READDIRPLUS_AUTO
    | init::PARALLEL_DIROPS
    | init::MAX_PAGES
    | init::EXPLICIT_INVAL_DATA
    | init::HANDLE_KILLPRIV_V2
    | init::INIT_EXT
    | init::DIRECT_IO_ALLOW_MMAP
    | init::HAS_RESEND;

/// The answer to an offer of the kernel.
///
/// # Errors
/// The protocol is older than 7.31 or not version 7.
pub fn negotiate(offer: &InitIn) -> Result<InitOut, Error> {
    if offer.major != 7 || offer.minor < MIN_MINOR {
        return Err(Error::OldProtocol { major: offer.major, minor: offer.minor });
    }
    let extended = u64::from(offer.flags) & init::INIT_EXT != 0;
    let offered = u64::from(offer.flags) | if extended { u64::from(offer.flags2) << 32 } else { 0 };
    let flags = offered & WANTED;
    let page = rustix::param::page_size() as u32;
    Ok(InitOut {
        major: 7,
        minor: offer.minor.min(MAX_MINOR),
        max_readahead: offer.max_readahead,
        flags: flags as u32,
        flags2: (flags >> 32) as u32,
        max_background: MAX_BACKGROUND,
        congestion_threshold: MAX_BACKGROUND / 4 * 3,
        max_write: MAX_REQUEST,
        time_gran: 1,
        max_pages: (MAX_REQUEST / page) as u16,
        ..InitOut::default()
    })
}

/// Reads FUSE_INIT from a fresh device and answers it.
pub(crate) fn answer(device: impl AsFd) -> Result<Negotiated, Error> {
    let mut buffer = vec![0; crate::buffers::HEADROOM + MAX_REQUEST as usize];
    let length = read_first(&device, &mut buffer)?;
    let message = &buffer[..length];
    let (header, body) = message.split_at_checked(abi::InHeader::SIZE).ok_or(Error::NoInit)?;
    let header = abi::InHeader::load(header);
    if header.opcode != opcode::INIT || body.len() < OLD_INIT {
        return Err(Error::NoInit);
    }
    let mut offer = [0; InitIn::SIZE];
    let known = body.len().min(InitIn::SIZE);
    offer[..known].copy_from_slice(&body[..known]);
    let agreed = negotiate(&InitIn::load(&offer))?;
    let body = agreed.to_bytes();
    let answer =
        abi::OutHeader { len: (abi::OutHeader::SIZE + body.len()) as u32, error: 0, unique: header.unique };
    rustix::io::write(&device, &[&answer.to_bytes()[..], &body].concat()).map_err(Error::Init)?;
    let flags = u64::from(agreed.flags) | u64::from(agreed.flags2) << 32;
    Ok(Negotiated { minor: agreed.minor, flags, max_write: agreed.max_write })
}

fn read_first(device: &impl AsFd, buffer: &mut [u8]) -> Result<usize, Error> {
    loop {
        let mut ready = [PollFd::new(device, PollFlags::IN)];
        match rustix::event::poll(&mut ready, Some(&INIT_LIMIT)) {
            Ok(0) => return Err(Error::NoInit),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(Error::Init(error)),
        }
        match rustix::io::read(device, &mut *buffer) {
            Ok(length) => return Ok(length),
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(error) => return Err(Error::Init(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(minor: u32, flags: u64) -> InitIn {
        InitIn { major: 7, minor, flags: flags as u32, flags2: (flags >> 32) as u32, ..InitIn::default() }
    }

    #[test]
    fn only_what_is_offered_and_wanted_is_agreed_on() {
        let agreed = negotiate(&offer(45, u64::MAX)).unwrap();
        let flags = u64::from(agreed.flags) | u64::from(agreed.flags2) << 32;
        assert_eq!(flags, WANTED);
        assert_eq!(flags & init::ASYNC_DIO, 0);
        let agreed = negotiate(&offer(31, init::ASYNC_READ | init::ASYNC_DIO)).unwrap();
        assert_eq!((u64::from(agreed.flags), agreed.flags2, agreed.minor), (init::ASYNC_READ, 0, 31));
    }

    #[test]
    fn the_second_word_counts_only_with_init_ext() {
        let agreed = negotiate(&offer(40, init::HAS_RESEND)).unwrap();
        assert_eq!(agreed.flags2, 0);
    }

    #[test]
    fn requests_are_one_mebibyte_and_newer_minors_are_capped() {
        let agreed = negotiate(&offer(99, u64::MAX)).unwrap();
        assert_eq!((agreed.max_write, agreed.max_pages, agreed.minor), (1 << 20, 256, MAX_MINOR));
    }

    #[test]
    fn old_protocols_are_refused() {
        assert!(matches!(negotiate(&offer(30, 0)), Err(Error::OldProtocol { major: 7, minor: 30 })));
        assert!(matches!(
            negotiate(&InitIn { major: 6, minor: 40, ..InitIn::default() }),
            Err(Error::OldProtocol { .. })
        ));
    }
}
