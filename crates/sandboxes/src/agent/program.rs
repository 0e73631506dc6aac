//! Becoming a program: what happens in the child between fork and exec.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{chdir, setsid, umask};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::protocol::Request;
use crate::sys::{processes, signals};

/// Where everyone starts.
const HOME_OF_COMMANDS: &CStr = c"/workspace";

const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Where a program's streams lead, and what else it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup<'a> {
    /// None: nothing to read.
    pub(super) stdin: Option<BorrowedFd<'a>>,
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
    pub(super) role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Program,
    /// The shell of a session: whatever its programs start stays below it, and it starts somewhere in any case.
    Session,
    /// Like that, and standard input is its terminal.
    Terminal,
}

/// Starts the program in a session of its own. What goes wrong after the fork is said on its standard error and by its
/// exit code, as a shell would.
pub(super) fn start(request: &Request, setup: Setup<'_>) -> io::Result<i32> {
    match processes::fork()? {
        Some(pid) => Ok(pid),
        None => processes::exit_now(become_program(request, setup)),
    }
}

/// A line on a descriptor.
pub(super) fn complain(to: BorrowedFd<'_>, line: &str) {
    // There is nowhere else to complain about this.
    let _ = rustix::io::write(to, format!("{line}\n").as_bytes());
}

/// Returns only if it fails: the exit code.
fn become_program(request: &Request, setup: Setup<'_>) -> i32 {
    signals::reset();
    if let Err(error) = set_up(setup) {
        complain(setup.stderr, &format!("cannot set up the process: {error}"));
        return NOT_EXECUTABLE;
    }
    let stderr = rustix::stdio::stderr();
    let entered = enter(&request.directory).or_else(|error| match setup.role {
        Role::Program => Err(error),
        Role::Session | Role::Terminal => enter_home(request),
    });
    if let Err(error) = entered {
        let directory = request.directory.to_string_lossy();
        complain(stderr, &format!("Failed to change directory to {directory}: {}", describe(&error)));
        return 1;
    }
    let error = execute(request);
    let name = request.arguments.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is_missing = error.kind() == io::ErrorKind::NotFound;
    let reason =
        if is_missing && !name.contains('/') { "command not found".into() } else { describe(&error) };
    complain(stderr, &format!("bash: {name}: {reason}"));
    if is_missing { NOT_FOUND } else { NOT_EXECUTABLE }
}

fn set_up(setup: Setup<'_>) -> io::Result<()> {
    setsid()?;
    let nothing = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(setup.stdin.unwrap_or(nothing.as_fd()))?;
    dup2_stdout(setup.stdout)?;
    dup2_stderr(setup.stderr)?;
    if setup.role != Role::Program {
        processes::adopt_orphans()?;
    }
    if setup.role == Role::Terminal {
        processes::take_terminal()?;
    }
    processes::close_from(processes::FIRST_INHERITED);
    umask(Mode::WGRP | Mode::WOTH);
    // Closed already, together with everything else.
    std::mem::forget(nothing);
    Ok(())
}

fn enter(directory: &CStr) -> io::Result<()> {
    // If it is gone, an absolute directory may still be there.
    let _ = chdir(HOME_OF_COMMANDS);
    let wanted = if directory.is_empty() { HOME_OF_COMMANDS } else { directory };
    Ok(chdir(wanted)?)
}

/// The program's own home, or at least somewhere.
fn enter_home(request: &Request) -> io::Result<()> {
    let home = request.environment.iter().rev().find_map(|entry| entry.to_bytes().strip_prefix(b"HOME="));
    Ok(chdir(home.unwrap_or(b"/")).or_else(|_| chdir("/"))?)
}

/// The system's words, without Rust's "(os error 2)".
fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Tries every place where the program could be, as execvp(3) does.
fn execute(request: &Request) -> io::Error {
    let mut refusal = io::Error::from_raw_os_error(libc::ENOENT);
    for path in candidates(request) {
        let error = processes::replace(&path, &request.arguments, &request.environment);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => {}
            Some(libc::EACCES) => refusal = error,
            Some(libc::ENOEXEC) => return interpret(&path, request),
            _ => return error,
        }
    }
    refusal
}

/// A script without a first line that says by what.
fn interpret(path: &CString, request: &Request) -> io::Error {
    let mut arguments: Vec<CString> = vec![c"sh".into(), path.clone()];
    arguments.extend(request.arguments.iter().skip(1).cloned());
    processes::replace(&c"/bin/sh".into(), &arguments, &request.environment)
}

fn candidates(request: &Request) -> Vec<CString> {
    let Some(name) = request.arguments.first().filter(|name| !name.is_empty()) else { return Vec::new() };
    if name.to_bytes().contains(&b'/') {
        return vec![name.clone()];
    }
    let path = request.environment.iter().rev().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
    let directories = path.unwrap_or_default().split(|byte| *byte == b':');
    let place = |directory: &[u8]| {
        let directory = std::path::Path::new(std::ffi::OsStr::from_bytes(directory));
        let file = directory.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        CString::new(file.into_os_string().as_bytes().to_vec()).ok()
    };
    directories.filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_searched_in_the_given_path() {
        let check = |name: &str, path: &str, expected: &[&str]| {
            let request = Request {
                arguments: vec![CString::new(name).unwrap()],
                environment: vec![c"PATH=/overridden".into(), CString::new(format!("PATH={path}")).unwrap()],
                directory: c"".into(),
                timeout: None,
            };
            let found: Vec<_> = candidates(&request).into_iter().map(|p| p.into_string().unwrap()).collect();
            assert_eq!(found, expected);
        };
        check("ls", "/usr/bin:/bin", &["/usr/bin/ls", "/bin/ls"]);
        check("./ls", "/usr/bin", &["./ls"]);
        check("", "/usr/bin", &[]);
    }
}
