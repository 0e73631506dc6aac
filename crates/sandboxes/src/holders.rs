//! Who keeps a mount busy.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::Holder;
use crate::cgroup::Group;
use crate::mountinfo::Mount;
use crate::sys::mounts::identity;
use crate::sys::processes::Process;

/// Command lines are shortened to this.
const MAXIMUM_COMMAND: usize = 120;

/// Processes of the sandbox with a working directory, root, open file or mapping in the mount.
pub(crate) fn of(mount: &Mount, pid_one: &Process, group: &Group) -> Vec<Holder> {
    let members = members(pid_one, group);
    let holders = members.into_iter().filter(|pid| holds(*pid, mount));
    holders.map(|pid| Holder { pid: pid.unsigned_abs(), command: command(pid) }).collect()
}

fn members(pid_one: &Process, group: &Group) -> Vec<i32> {
    if group.exists() {
        return group.processes();
    }
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = namespace(pid_one.pid) else { return Vec::new() };
    numbers(Path::new("/proc")).into_iter().filter(|pid| namespace(*pid).as_ref() == Some(&own)).collect()
}

/// Entries of a directory whose names are numbers.
fn numbers(directory: &Path) -> Vec<i32> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn holds(pid: i32, mount: &Mount) -> bool {
    let stands_in = ["cwd", "root"].iter().any(|link| {
        let path = format!("/proc/{pid}/{link}");
        let handle = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        handle.is_ok_and(|handle| identity(handle.as_fd()).is_ok_and(|place| place.id == mount.id))
    });
    stands_in || has_open(pid, mount) || has_mapped(pid, mount)
}

fn has_open(pid: i32, mount: &Mount) -> bool {
    let directory = format!("/proc/{pid}/fdinfo");
    numbers(Path::new(&directory)).into_iter().any(|number| {
        let information = std::fs::read_to_string(format!("{directory}/{number}")).unwrap_or_default();
        let id = information.lines().find_map(|line| line.strip_prefix("mnt_id:"));
        id.is_some_and(|id| id.trim().parse() == Ok(mount.id))
    })
}

/// Fields of a line: addresses, permissions, offset, device, inode, path; the device there has two hexadecimal numbers.
fn has_mapped(pid: i32, mount: &Mount) -> bool {
    let Some((major, minor)) = mount.device.split_once(':') else { return false };
    let (Ok(major), Ok(minor)) = (major.parse::<u32>(), minor.parse::<u32>()) else { return false };
    let device = format!("{major:02x}:{minor:02x}");
    let maps = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    String::from_utf8_lossy(&maps).lines().any(|line| line.split(' ').nth(3) == Some(device.as_str()))
}

fn command(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    line.trim().chars().take(MAXIMUM_COMMAND).collect()
}
