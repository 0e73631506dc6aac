//! clone3(2) into a control group: to move a process afterwards waits for a grace period of the kernel (7 ms and more).

use std::arch::asm;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::processes::Process;

/// `struct clone_args` of linux/sched.h, up to the member that is needed.
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The lowest bits of clone(2)'s flags are the signal at the child's end; clone3 has it apart.
const SIGNAL: c_int = 0xff;

/// # Safety
/// `entry` must be sound to run in shared memory and never return, with `argument` and the stack alive until the child
/// is done with them.
pub(super) unsafe fn clone_into(
    group: BorrowedFd<'_>,
    entry: extern "C" fn(*mut c_void) -> c_int,
    stack: &mut [u8],
    flags: c_int,
    argument: *mut c_void,
) -> io::Result<Process> {
    let mut descriptor: RawFd = -1;
    let start = stack.as_mut_ptr();
    let size = stack.len() - stack.as_mut_ptr_range().end as usize % 16;
    let arguments = CloneArguments {
        flags: u64::from((flags & !SIGNAL).cast_unsigned()) | libc::CLONE_PIDFD as u64 | CLONE_INTO_CGROUP,
        pidfd: std::ptr::from_mut(&mut descriptor) as u64,
        exit_signal: u64::from((flags & SIGNAL).cast_unsigned()),
        stack: start as u64,
        stack_size: size as u64,
        cgroup: group.as_raw_fd() as u64,
        ..CloneArguments::default()
    };
    // SAFETY: promised by the caller; the arguments are alive and say how long they are.
    let pid = unsafe { clone3(&arguments, entry, argument) };
    if pid < 0 {
        return Err(io::Error::from_raw_os_error(pid.unsigned_abs() as i32));
    }
    // SAFETY: the kernel just made this descriptor for us.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(Process { pid: pid as i32, descriptor })
}

/// The child starts on its own stack, where nothing is to return to, so it goes on from here into `entry`.
///
/// # Safety
/// As [`clone_into`].
#[cfg(target_arch = "x86_64")]
unsafe fn clone3(
    arguments: &CloneArguments,
    entry: extern "C" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
) -> isize {
    let result;
    // SAFETY: the parent sees a plain system call; the child never comes out of this block.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") std::ptr::from_ref(arguments),
            in("rsi") size_of::<CloneArguments>(),
            in("r12") argument,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// # Safety
/// As [`clone_into`].
#[cfg(target_arch = "aarch64")]
unsafe fn clone3(
    arguments: &CloneArguments,
    entry: extern "C" fn(*mut c_void) -> c_int,
    argument: *mut c_void,
) -> isize {
    let result;
    // SAFETY: the parent sees a plain system call; the child never comes out of this block.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") std::ptr::from_ref(arguments) as isize => result,
            in("x1") size_of::<CloneArguments>(),
            in("x20") argument,
            in("x21") entry,
        );
    }
    result
}
