//! Giving up what the host's root can do, in the one order that works.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::net::{AddressFamily, SocketType};
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Uid, set_dumpable_behavior, setrlimit, setsid,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, ThreadNameSpaceType, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};

use super::filter;
use crate::error::{Doing, Failure};
use crate::sys::{processes, threads};

/// What root may do inside: own, read and serve everything of the sandbox's. Docker's default without MKNOD, NET_RAW,
/// AUDIT_WRITE, SETPCAP and SETFCAP (with which it could make user namespaces again).
const KEPT: [CapabilitySet; 9] = [
    CapabilitySet::CHOWN,
    CapabilitySet::DAC_OVERRIDE,
    CapabilitySet::FOWNER,
    CapabilitySet::FSETID,
    CapabilitySet::KILL,
    CapabilitySet::SETGID,
    CapabilitySet::SETUID,
    CapabilitySet::NET_BIND_SERVICE,
    CapabilitySet::SYS_CHROOT,
];

/// The kernel has 41 now; it refuses numbers it does not know.
const CAPABILITIES: u32 = 64;

/// Open files; the agent and programs inside.
const OPEN_FILES: u64 = 65_536;

/// Enters the user namespace, the last one: every other namespace stays owned by the host's, so that root inside has
/// no power over mounts and network whatever the filter below misses.
pub(super) fn give_up(user_namespace: BorrowedFd<'_>) -> Result<(), Failure> {
    processes::leave_keyring().doing("leave the keyring")?;
    limit_resources().doing("limit resources")?;
    threads::enter(user_namespace, ThreadNameSpaceType::USER).doing("enter the user namespace")?;
    rustix::thread::set_thread_groups(&[]).doing("leave groups")?;
    let (user, group) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(group, group, group).doing("become root inside")?;
    rustix::thread::set_thread_res_uid(user, user, user).doing("become root inside")?;
    setsid().doing("start a session")?;
    drop_capabilities().doing("drop capabilities")?;
    set_no_new_privs(true).doing("give up set-user-id programs")?;
    // After the change of ids, which resets it. Nobody inside may then look into pid 1.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).doing("close /proc/1")?;
    filter::apply()
}

fn limit_resources() -> io::Result<()> {
    let none = Some(0);
    setrlimit(Resource::Core, Rlimit { current: none, maximum: none })?;
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(OPEN_FILES);
    let files = Some(hard.min(OPEN_FILES));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files })?)
}

fn drop_capabilities() -> io::Result<()> {
    let kept = KEPT.into_iter().fold(CapabilitySet::empty(), |all, one| all | one);
    for number in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Err(rustix::io::Errno::INVAL) => break,
            other => other?,
        }
    }
    clear_ambient_capability_set()?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

/// The only network a sandbox has of its own. Every port may be bound by everyone in it.
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    threads::interface_up(&socket, c"lo")?;
    // Root inside has no power over the network namespace, which the low ports would need.
    std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
}
