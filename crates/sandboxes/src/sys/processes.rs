//! Starting processes without copying our memory, and asking after them by descriptor.

use std::ffi::{CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, pidfd_send_signal};

use super::check;

/// Enough for a child that makes a handful of system calls.
const CHILD_STACK_BYTES: usize = 64 * 1024;

/// The first descriptor that a started program finds beside its standard streams.
pub(crate) const FIRST_INHERITED: RawFd = 3;

/// Descriptors are lifted above this before the child puts them in their places, so that none is overwritten.
const ABOVE_INHERITED: RawFd = 64;

/// A process that we started or found again.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its number on the host.
    pub(crate) pid: i32,
    /// Names it for sure, also after its number is used again.
    pub(crate) descriptor: OwnedFd,
}

/// A program to start in new namespaces, without environment and with exactly these descriptors from 3 on.
pub(crate) struct Program {
    pub(crate) path: CString,
    pub(crate) arguments: Vec<CString>,
    pub(crate) inherited: Vec<OwnedFd>,
}

/// What the child needs between clone and exec; everything was prepared by the parent.
struct ChildPlan {
    path: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    null: RawFd,
    inherited: *const RawFd,
    count: c_int,
}

/// Runs in the child, which shares our memory until it executes: system calls only.
extern "C" fn execute(plan: *mut c_void) -> c_int {
    // SAFETY: the parent is suspended (CLONE_VFORK) and keeps the plan alive; nothing here allocates or locks.
    unsafe {
        let plan = &*plan.cast::<ChildPlan>();
        for stream in 0..FIRST_INHERITED {
            libc::dup2(plan.null, stream);
        }
        for index in 0..plan.count {
            libc::dup2(*plan.inherited.add(index as usize), FIRST_INHERITED + index);
        }
        libc::syscall(libc::SYS_close_range, FIRST_INHERITED + plan.count, libc::c_uint::MAX, 0);
        libc::execve(plan.path, plan.arguments, plan.environment);
        libc::_exit(127)
    }
}

/// Starts a program in the given new namespaces (`CLONE_NEW*`), if one is given in a control group of version 2. Costs
/// the same however much memory we use.
pub(crate) fn start(
    program: &Program,
    namespaces: c_int,
    group: Option<BorrowedFd<'_>>,
) -> io::Result<Process> {
    let lift = |descriptor: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(descriptor, ABOVE_INHERITED);
    let lifted = program.inherited.iter().map(|d| lift(d.as_fd())).collect::<Result<Vec<_>, _>>()?;
    let null = lift(std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.as_fd())?;
    let numbers: Vec<RawFd> = lifted.iter().map(AsRawFd::as_raw_fd).collect();
    let mut arguments: Vec<*const c_char> = program.arguments.iter().map(|a| a.as_ptr()).collect();
    arguments.push(std::ptr::null());
    let environment = [std::ptr::null()];
    let plan = ChildPlan {
        path: program.path.as_ptr(),
        arguments: arguments.as_ptr(),
        environment: environment.as_ptr(),
        null: null.as_raw_fd(),
        inherited: numbers.as_ptr(),
        count: numbers.len() as c_int,
    };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | namespaces;
    let mut stack = ChildStack::new();
    let plan = std::ptr::from_ref(&plan).cast_mut().cast();
    // SAFETY: `execute` only makes system calls; plan and stack outlive the child's use of our memory (CLONE_VFORK).
    unsafe {
        match group {
            Some(group) => super::birth::clone_into(group, execute, &mut stack.0, flags, plan),
            None => clone_process(execute, &mut stack, flags, plan),
        }
    }
}

struct ChildStack(Vec<u8>);

impl ChildStack {
    fn new() -> Self {
        Self(vec![0; CHILD_STACK_BYTES])
    }

    /// The highest address, aligned as every ABI wants it.
    fn top(&mut self) -> *mut c_void {
        let end = self.0.as_mut_ptr_range().end;
        end.wrapping_sub(end as usize % 16).cast()
    }
}

/// # Safety
/// `entry` must be sound to run in shared memory, with `argument` and the stack alive until the child is done with them.
unsafe fn clone_process(
    entry: extern "C" fn(*mut c_void) -> c_int,
    stack: &mut ChildStack,
    flags: c_int,
    argument: *mut c_void,
) -> io::Result<Process> {
    let mut descriptor: RawFd = -1;
    // SAFETY: promised by the caller; CLONE_PIDFD stores the descriptor where the parent_tid argument points.
    let pid = check(libc::c_long::from(unsafe {
        libc::clone(
            entry,
            stack.top(),
            flags | libc::CLONE_PIDFD,
            argument,
            std::ptr::from_mut(&mut descriptor),
        )
    }))?;
    // SAFETY: the kernel just made this descriptor for us.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(Process { pid: pid as i32, descriptor })
}

/// A process that only waits to be killed: it holds a user namespace until we have a descriptor of it.
extern "C" fn wait_to_be_killed(_: *mut c_void) -> c_int {
    loop {
        // SAFETY: no arguments; only a deadly signal ends it, so it never comes back to write errno.
        unsafe { libc::pause() };
    }
}

/// Runs `look` on a process in a new user namespace that does nothing, and ends it.
pub(crate) fn with_new_user_namespace<T>(look: impl FnOnce(i32) -> io::Result<T>) -> io::Result<T> {
    // CLONE_FILES instead of a copy: nothing is inherited that could keep a pipe open. Exit signal 0: no SIGCHLD.
    let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_NEWUSER;
    let mut stack = ChildStack::new();
    // SAFETY: the child touches nothing but its stack, which lives until we have waited for its end.
    let holder = unsafe { clone_process(wait_to_be_killed, &mut stack, flags, std::ptr::null_mut()) }?;
    let seen = look(holder.pid);
    holder.kill()?;
    holder.reap(true)?;
    seen
}

impl Process {
    /// Sends SIGKILL; fine if it has ended.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.descriptor, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it has ended, reaped or not.
    pub(crate) fn has_ended(&self) -> bool {
        let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(poll(&mut descriptors, Some(&at_once)), Ok(0))
    }

    /// Takes its exit status away, so that no zombie stays; nothing happens if it is not our child.
    pub(crate) fn reap(&self, wait: bool) -> io::Result<()> {
        let options = libc::WEXITED | libc::__WALL | if wait { 0 } else { libc::WNOHANG };
        // SAFETY: an all-zero siginfo_t is a valid place for the kernel to write.
        let mut information: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let descriptor = self.descriptor.as_raw_fd() as libc::id_t;
        // SAFETY: the descriptor is ours and the pointer is valid through the call.
        let result = unsafe { libc::waitid(libc::P_PIDFD, descriptor, &raw mut information, options) };
        match check(libc::c_long::from(result)) {
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: RawFd) {
    // SAFETY: used right before exec only, where nothing owns the descriptors any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
}

/// Takes over a descriptor that the program was started with.
pub(crate) fn inherited(position: c_int) -> io::Result<OwnedFd> {
    let number = FIRST_INHERITED + position;
    // SAFETY: fcntl on any number is harmless; it tells whether the descriptor exists.
    check(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }))?;
    // SAFETY: it exists, was put there for us, and each position is taken once, before anything else is opened.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Forks the single-threaded agent: the child's number, or none in the child.
pub(crate) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: only called by pid 1 of a sandbox, which has one thread, so that the child may do anything.
    let pid = check(libc::c_long::from(unsafe { libc::fork() }))?;
    Ok((pid != 0).then_some(pid as i32))
}

/// Replaces the program; returns only if that fails.
pub(crate) fn replace(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with a null pointer and their strings are alive.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Makes orphans among this process's descendants its children, instead of pid 1's; survives exec.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })).map(drop)
}

/// Makes the terminal on standard input that of this process's session, whose leader it is.
pub(crate) fn take_terminal() -> io::Result<()> {
    // SAFETY: no memory is involved.
    check(libc::c_long::from(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })).map(drop)
}

/// Ends this process at once, without running anything else.
pub(crate) fn exit_now(code: c_int) -> ! {
    // SAFETY: never returns.
    unsafe { libc::_exit(code) }
}

/// Joins a fresh, empty session keyring, so that keys of the daemon's session stay out of reach.
pub(crate) fn leave_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
    let name: *const c_char = std::ptr::null();
    // SAFETY: a null name asks for an anonymous keyring.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) };
    match check(result) {
        // A kernel without keyrings has none to leave.
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        other => other.map(drop),
    }
}

/// Installs a system call filter for this process and all its children.
pub(crate) fn filter_system_calls(instructions: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which is alive and has the given length.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, std::ptr::from_ref(&program))
    })
    .map(drop)
}
