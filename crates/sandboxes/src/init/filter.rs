//! The system call filter: everything is allowed but what has let people out of containers, or only serves that.
//!
//! Written as BPF by hand (seccomp(2), linux/bpf_common.h): the numbers of the x32 ABI have to be refused as a whole,
//! and other architectures answered with an error instead of a kill, which no filter library offers.

use std::io;
use std::mem::offset_of;

use libc::{SYS_clone, SYS_clone3, SYS_ioctl, SYS_socket, c_long, seccomp_data, sock_filter};

use crate::error::{Doing, Failure};
use crate::sys::processes::filter_system_calls;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;

/// Numbers from here on are the x32 ABI on x86-64, and nothing elsewhere.
const FIRST_X32: u32 = 0x4000_0000;

/// Every `CLONE_NEW*` flag of clone(2): time, mount, cgroup, uts, ipc, user, pid, net.
const NEW_NAMESPACES: u32 = 0x7E02_0080;

const AF_VSOCK: u32 = 40;
const AF_ALG: u32 = 38;
const AF_NETLINK: u32 = 16;
const NETLINK_AUDIT: u32 = 9;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541C;

/// Newer than the libc crate; the same number on every architecture.
const OPEN_TREE_ATTR: c_long = 467;

/// Refused with EPERM whatever the arguments.
const REFUSED: &[c_long] = &[
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    // Kernel interfaces with a long list of holes.
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kcmp,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    // The machine as a whole.
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS__sysctl];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[];

/// Installs the filter; no way back.
pub(super) fn apply() -> Result<(), Failure> {
    install().doing("filter system calls")
}

fn install() -> io::Result<()> {
    filter_system_calls(&program())
}

fn program() -> Vec<sock_filter> {
    let mut program = Program::default();
    program.load(offset_of!(seccomp_data, arch));
    program.unless_equal(ARCHITECTURE, fail(libc::ENOSYS));
    program.load(offset_of!(seccomp_data, nr));
    program.if_at_least(FIRST_X32, fail(libc::ENOSYS));
    for number in REFUSED.iter().chain(REFUSED_HERE) {
        program.if_equal(*number as u32, fail(libc::EPERM));
    }
    // Its flags are in memory, which a filter cannot read; libraries then use clone, whose flags it can.
    program.if_equal(SYS_clone3 as u32, fail(libc::ENOSYS));
    program.section(SYS_clone, |section| {
        section.load(argument(0));
        section.if_any_bit(NEW_NAMESPACES, fail(libc::EPERM));
    });
    program.section(SYS_socket, |section| {
        section.load(argument(0));
        section.if_equal(AF_VSOCK, fail(libc::EPERM));
        section.if_equal(AF_ALG, fail(libc::EPERM));
        // The last two instructions belong together: only netlink's audit protocol.
        section.skip_unless_equal(AF_NETLINK, 3);
        section.load(argument(2));
        section.if_equal(NETLINK_AUDIT, fail(libc::EPERM));
    });
    program.section(SYS_ioctl, |section| {
        section.load(argument(1));
        section.if_equal(TIOCSTI, fail(libc::EPERM));
        section.if_equal(TIOCLINUX, fail(libc::EPERM));
    });
    program.end(libc::SECCOMP_RET_ALLOW);
    program.0
}

const fn fail(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

/// Where the lower half of an argument lies. Both architectures are little-endian, and all these arguments are ints.
const fn argument(index: usize) -> usize {
    offset_of!(seccomp_data, args) + index * 8
}

#[derive(Default)]
struct Program(Vec<sock_filter>);

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

impl Program {
    fn push(&mut self, code: u32, k: u32, jt: u8, jf: u8) {
        self.0.push(sock_filter { code: code as u16, jt, jf, k });
    }

    fn load(&mut self, offset: usize) {
        self.push(LOAD, offset as u32, 0, 0);
    }

    fn end(&mut self, answer: u32) {
        self.push(RETURN, answer, 0, 0);
    }

    fn test(&mut self, how: u32, value: u32, skip_if_true: u8, skip_if_false: u8) {
        self.push(libc::BPF_JMP | how | libc::BPF_K, value, skip_if_true, skip_if_false);
    }

    fn if_equal(&mut self, value: u32, answer: u32) {
        self.test(libc::BPF_JEQ, value, 0, 1);
        self.end(answer);
    }

    fn unless_equal(&mut self, value: u32, answer: u32) {
        self.test(libc::BPF_JEQ, value, 1, 0);
        self.end(answer);
    }

    fn if_at_least(&mut self, value: u32, answer: u32) {
        self.test(libc::BPF_JGE, value, 0, 1);
        self.end(answer);
    }

    fn if_any_bit(&mut self, bits: u32, answer: u32) {
        self.test(libc::BPF_JSET, bits, 0, 1);
        self.end(answer);
    }

    fn skip_unless_equal(&mut self, value: u32, instructions: u8) {
        self.test(libc::BPF_JEQ, value, 0, instructions);
    }

    /// Checks of one call's arguments; who passes them is allowed.
    fn section(&mut self, number: c_long, checks: impl FnOnce(&mut Self)) {
        let mut section = Self::default();
        checks(&mut section);
        section.end(libc::SECCOMP_RET_ALLOW);
        self.skip_unless_equal(number as u32, section.0.len() as u8);
        self.0.extend(section.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn judge(arch: u32, number: u32, arguments: [u64; 3]) -> u32 {
        let program = program();
        let word = |offset: u32| match offset as usize {
            at if at == offset_of!(seccomp_data, nr) => number,
            at if at == offset_of!(seccomp_data, arch) => arch,
            at => arguments[(at - argument(0)) / 8] as u32,
        };
        let (mut accumulator, mut next) = (0, 0);
        loop {
            let step = program[next];
            next += 1;
            let is = |code: u32| u32::from(step.code) == code;
            let jump = |how| is(libc::BPF_JMP | how | libc::BPF_K);
            let holds = if is(LOAD) {
                accumulator = word(step.k);
                continue;
            } else if is(RETURN) {
                return step.k;
            } else if jump(libc::BPF_JEQ) {
                accumulator == step.k
            } else if jump(libc::BPF_JGE) {
                accumulator >= step.k
            } else {
                accumulator & step.k != 0
            };
            next += usize::from(if holds { step.jt } else { step.jf });
        }
    }

    #[test]
    fn only_what_is_dangerous_is_refused() {
        let allowed = libc::SECCOMP_RET_ALLOW;
        let check = |number: c_long, arguments: [u64; 3], expected: u32| {
            assert_eq!(judge(ARCHITECTURE, number as u32, arguments), expected, "{number} {arguments:?}");
        };
        check(libc::SYS_read, [0; 3], allowed);
        check(libc::SYS_mount, [0; 3], fail(libc::EPERM));
        check(libc::SYS_vhangup, [0; 3], fail(libc::EPERM));
        check(SYS_clone3, [0; 3], fail(libc::ENOSYS));
        check(SYS_clone, [libc::SIGCHLD as u64, 0, 0], allowed);
        check(SYS_clone, [libc::CLONE_NEWUSER as u64, 0, 0], fail(libc::EPERM));
        check(SYS_clone, [libc::CLONE_NEWCGROUP as u64, 0, 0], fail(libc::EPERM));
        check(SYS_socket, [libc::AF_INET as u64, 1, 0], allowed);
        check(SYS_socket, [u64::from(AF_VSOCK), 1, 0], fail(libc::EPERM));
        check(SYS_socket, [u64::from(AF_NETLINK), 3, 0], allowed);
        check(SYS_socket, [u64::from(AF_NETLINK), 3, u64::from(NETLINK_AUDIT)], fail(libc::EPERM));
        check(SYS_socket, [libc::AF_INET as u64, 3, u64::from(NETLINK_AUDIT)], allowed);
        check(SYS_ioctl, [0, u64::from(TIOCSTI), 0], fail(libc::EPERM));
        check(SYS_ioctl, [0, libc::TIOCGWINSZ, 0], allowed);
    }

    #[test]
    fn other_abis_have_no_calls_at_all() {
        let i386 = 0x4000_0003;
        assert_eq!(judge(i386, 21, [0; 3]), fail(libc::ENOSYS));
        assert_eq!(judge(ARCHITECTURE, FIRST_X32 | 165, [0; 3]), fail(libc::ENOSYS));
    }
}
