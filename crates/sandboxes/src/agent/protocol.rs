//! What daemon and agent say to each other.
//!
//! `RUN` with three descriptors: a file with the [`Request`], standard output, standard error. `KILL`: the program and
//! all of its session. Back comes one [`Ending`]. Requests travel in a file because arguments may be larger than any
//! message.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};

/// Message: run the program described in the first descriptor.
pub(crate) const RUN: u8 = b'R';

/// Message: kill it.
pub(crate) const KILL: u8 = b'K';

/// Exit code after a timeout, as timeout(1) has it.
pub(crate) const TIMED_OUT: i32 = 124;

/// Above the kernel's own limit for arguments and environment together (a quarter of the stack, 6 MiB at most).
const MAXIMUM_REQUEST: u64 = 8 * 1024 * 1024;

/// A program to run. Strings have no NUL in them, which is their separator in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// At least one.
    pub(crate) arguments: Vec<CString>,
    /// `NAME=value`.
    pub(crate) environment: Vec<CString>,
    /// Relative to /workspace.
    pub(crate) directory: CString,
    pub(crate) timeout: Option<Duration>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) code: i32,
    pub(crate) timed_out: bool,
}

impl Request {
    /// The request as a file in memory.
    pub(crate) fn write(&self) -> io::Result<OwnedFd> {
        let mut file = File::from(memfd_create("request", MemfdFlags::CLOEXEC)?);
        file.write_all(&self.to_bytes())?;
        file.rewind()?;
        Ok(file.into())
    }

    pub(crate) fn read(file: OwnedFd) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::from(file).take(MAXIMUM_REQUEST).read_to_end(&mut bytes)?;
        Self::from_bytes(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// `timeout in ms, number of arguments, directory, arguments.., environment..`, each ended by a NUL.
    fn to_bytes(&self) -> Vec<u8> {
        let milliseconds = self.timeout.map_or(String::new(), |timeout| timeout.as_millis().to_string());
        let mut bytes = format!("{milliseconds}\0{}\0", self.arguments.len()).into_bytes();
        let strings = [&self.directory].into_iter().chain(&self.arguments).chain(&self.environment);
        strings.for_each(|string| bytes.extend(string.to_bytes_with_nul()));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let timeout = match text()? {
            "" => None,
            milliseconds => Some(Duration::from_millis(milliseconds.parse().ok()?)),
        };
        let count: usize = text()?.parse().ok()?;
        let mut strings = fields.map(|field| CString::new(field).unwrap_or_default());
        let directory = strings.next()?;
        let arguments: Vec<CString> = strings.by_ref().take(count).collect();
        (count > 0 && arguments.len() == count).then(|| Self {
            arguments,
            environment: strings.collect(),
            directory,
            timeout,
        })
    }
}

impl Ending {
    pub(crate) fn to_bytes(self) -> [u8; 5] {
        let [a, b, c, d] = self.code.to_le_bytes();
        [a, b, c, d, u8::from(self.timed_out)]
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, d, timed_out] = *bytes else { return None };
        Some(Self { code: i32::from_le_bytes([a, b, c, d]), timed_out: timed_out != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_arrive_as_they_were_sent() {
        let strings = |list: &[&[u8]]| list.iter().map(|s| CString::new(*s).unwrap()).collect::<Vec<_>>();
        let check = |request: Request| {
            assert_eq!(Request::read(request.write().unwrap()).unwrap(), request);
        };
        let request = Request {
            arguments: strings(&[b"sh", b"-c", b"line 1\nline 2", b"", b"\xff\xfe"]),
            environment: strings(&[b"A=b=c", b"EMPTY="]),
            directory: c"/work space".into(),
            timeout: Some(Duration::from_millis(1500)),
        };
        check(request.clone());
        check(Request { environment: Vec::new(), timeout: None, directory: c"".into(), ..request });
    }

    #[test]
    fn nonsense_is_refused() {
        let check = |bytes: &[u8]| assert_eq!(Request::from_bytes(bytes), None);
        check(b"");
        check(b"\0\0");
        check(b"\x000\0/\0");
        check(b"\x002\0/\0sh\0");
        check(b"x\x001\0/\0sh\0");
        assert_eq!(Ending::from_bytes(b"1234"), None);
    }

    #[test]
    fn endings_arrive_as_they_were_sent() {
        let ending = Ending { code: -3, timed_out: true };
        assert_eq!(Ending::from_bytes(&ending.to_bytes()), Some(ending));
    }
}
