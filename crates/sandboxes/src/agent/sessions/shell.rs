//! The shell of a session, with the files through which it is spoken to.
//!
//! They lie in /dev, which is ours. Code inside could spoil them, and would only spoil the sandbox's own sessions: we
//! follow no link, cross into no other filesystem, and wait for nobody.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, mknodat, openat, openat2, symlinkat,
    unlinkat,
};
use rustix::io::Errno;

use crate::SessionOptions;
use crate::agent::calls::SessionScript;
use crate::agent::protocol::Request;
use crate::agent::{program, script};
use crate::environment::STANDARD;

const DIRECTORY: &str = "sandkeep";
const BASH: &str = "/bin/bash";

/// Files of a session; `after` is written by the shell, `environment` by env(1).
const FILES: [&str; 8] = ["next", "report", "command", "before", "after", "out", "err", "environment"];

/// When a report cannot be read, which only code inside can cause.
const UNKNOWN_CODE: i32 = 255;

/// Above what the kernel lets a program have.
const MAXIMUM_ENVIRONMENT: u64 = 8 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Shell {
    pub(super) pid: i32,
    /// Where its files are.
    pub(super) files: String,
    directory: OwnedFd,
    /// Where it hears that there is something to do; open for both, so that nobody ever waits for the other end.
    next: OwnedFd,
    /// Where it says that it is done.
    pub(super) report: OwnedFd,
    /// Its working directory may be covered by now.
    pub(super) enter_again: bool,
}

/// The reading ends of a command's output.
pub(super) struct Streams {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Shell {
    pub(super) fn start(number: u64, options: &SessionOptions) -> io::Result<Self> {
        let directory = directory_of(number)?;
        let next = fifo(&directory, "next", OFlags::RDWR)?;
        let report = fifo(&directory, "report", OFlags::RDWR)?;
        let nowhere = openat(CWD, "/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        let (stdout, stderr) = (nowhere.as_fd(), nowhere.as_fd());
        let setup = program::Setup { stdin: None, stdout, stderr, role: program::Role::Session };
        let files = format!("/dev/{DIRECTORY}/{number}");
        let pid = program::start(&request(&files, options)?, setup)?;
        Ok(Self { pid, files, directory, next, report, enter_again: false })
    }

    /// Starts a command.
    pub(super) fn run(&mut self, command: &SessionScript) -> io::Result<Streams> {
        let stdout = fifo(&self.directory, "out", OFlags::RDONLY)?;
        let stderr = fifo(&self.directory, "err", OFlags::RDONLY)?;
        self.begin(&command.line, script::before(command, &self.files))?;
        Ok(Streams { stdout, stderr })
    }

    /// Starts something of ours, without output.
    pub(super) fn do_quietly(&mut self, line: &str) -> io::Result<()> {
        for name in ["out", "err"] {
            remove(self.directory.as_fd(), name)?;
            symlinkat("/dev/null", &self.directory, name)?;
        }
        remove(self.directory.as_fd(), "environment")?;
        self.begin(line, None)
    }

    fn begin(&mut self, line: &str, before: Option<String>) -> io::Result<()> {
        remove(self.directory.as_fd(), "after")?;
        let mut word = String::new();
        if let Some(before) = before {
            self.write("before", &before)?;
            word.push('b');
        }
        if std::mem::take(&mut self.enter_again) {
            word.push('c');
        }
        self.write("command", &format!("{line}\0"))?;
        word.push('\0');
        rustix::io::write(&self.next, word.as_bytes())?;
        Ok(())
    }

    fn write(&self, name: &str, content: &str) -> io::Result<()> {
        remove(self.directory.as_fd(), name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?;
        File::from(file).write_all(content.as_bytes())
    }

    /// The exit code that it has just reported, if it has.
    pub(super) fn reported(&self) -> Option<i32> {
        let mut buffer = [0; 64];
        let length = rustix::io::read(&self.report, &mut buffer[..]).ok()?;
        let text = std::str::from_utf8(buffer.get(..length)?).unwrap_or_default();
        Some(text.trim().parse().unwrap_or(UNKNOWN_CODE))
    }

    /// What [`script::environment_capture`] has found; nothing if it could not.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        script::captured(&self.read("environment").unwrap_or_default())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = Vec::new();
        File::from(file).take(MAXIMUM_ENVIRONMENT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Its working directory; the link is read, nothing is looked up.
    pub(super) fn directory(&self) -> Option<String> {
        let path = std::fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()?;
        path.to_str().filter(|path| !path.ends_with(" (deleted)")).map(str::to_owned)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // What code inside has put there may keep it from going; it goes with the sandbox.
        for name in FILES {
            let _ = remove(self.directory.as_fd(), name);
        }
        let _ = unlinkat(CWD, &self.files, AtFlags::REMOVEDIR);
    }
}

fn request(files: &str, options: &SessionOptions) -> io::Result<Request> {
    let standard = STANDARD.into_iter().filter(|(name, _)| !options.env.contains_key(*name));
    let given = options.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let environment = standard.chain(given).map(|(name, value)| CString::new(format!("{name}={value}")));
    let arguments = [BASH, "-c", &script::main_loop(files), "bash"].map(CString::new);
    Ok(Request {
        arguments: arguments.into_iter().collect::<Result<_, _>>()?,
        environment: environment.collect::<Result<_, _>>()?,
        directory: CString::new(options.cwd.clone().unwrap_or_default())?,
        timeout: None,
    })
}

fn directory_of(number: u64) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let below = |directory: &OwnedFd, name: &str| {
        match mkdirat(directory, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV | ResolveFlags::BENEATH;
        openat2(directory, name, flags, Mode::empty(), resolve)
    };
    let all = below(&openat(CWD, "/dev", flags, Mode::empty())?, DIRECTORY)?;
    Ok(below(&all, &number.to_string())?)
}

/// A new fifo in the place of whatever is there, opened.
fn fifo(directory: &OwnedFd, name: &str, flags: OFlags) -> io::Result<OwnedFd> {
    remove(directory.as_fd(), name)?;
    mknodat(directory, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat(directory, name, flags, Mode::empty())?)
}

fn remove(directory: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}
