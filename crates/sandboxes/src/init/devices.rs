//! /dev and /proc of a sandbox.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::MountAttrFlags;

use super::Plan;
use crate::error::{Doing, Failure};
use crate::overlay::SOURCE;
use crate::sys::mounts::{MountOption, attach_at, clone_tree, new_filesystem};

/// Name and number of each device; all may be used by everyone.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Files of /proc that tell about the whole host or act on it; /dev/null is shown instead.
const MASKED_FILES: [&str; 8] = [
    "kcore",
    "keys",
    "key-users",
    "kpagecount",
    "latency_stats",
    "sched_debug",
    "sysrq-trigger",
    "timer_list",
];

/// Directories of /proc of the same kind; an empty one is shown instead.
const MASKED_DIRECTORIES: [&str; 4] = ["acpi", "asound", "driver", "scsi"];

/// The group `tty` of every distribution, which owns terminals.
const TTY_GROUP: u32 = 5;

/// Device nodes need no space; commands on their way to session shells do ([`crate::agent`]).
const DEV_SIZE: &str = "16m";

pub(super) fn make(plan: &Plan) -> Result<(), Failure> {
    let (dev, owner) = (plan.root.join("dev"), plan.id_base.to_string());
    let owned = |mode, size| {
        let mut options = vec![("uid", owner.as_str()), ("gid", owner.as_str())];
        options.extend([("mode", mode), ("size", size)]);
        options
    };
    let safe = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount("tmpfs", &owned("755", DEV_SIZE), safe, &dev)?;
    make_nodes(&dev, plan.id_base).doing("make the devices")?;
    let group = (plan.id_base + TTY_GROUP).to_string();
    let terminals = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", group.as_str())];
    mount("devpts", &terminals, safe, &dev.join("pts"))?;
    let no_devices = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    mount("tmpfs", &owned("1777", &plan.shared_memory.to_string()), no_devices, &dev.join("shm"))?;
    let proc = plan.root.join("proc");
    mount("proc", &[], safe | MountAttrFlags::MOUNT_ATTR_NODEV, &proc)?;
    mask(&proc, &dev)
}

fn mount(kind: &str, values: &[(&str, &str)], flags: MountAttrFlags, at: &Path) -> Result<(), Failure> {
    let mut options = vec![MountOption::Value("source", SOURCE)];
    if kind == "devpts" {
        options.push(MountOption::Flag("newinstance"));
    }
    options.extend(values.iter().map(|(name, value)| MountOption::Value(name, value)));
    let purpose = format!("mount {kind}");
    let new = new_filesystem(kind, &options, flags).doing(&purpose)?;
    attach_at(new.as_fd(), at).doing(&purpose)
}

fn make_nodes(dev: &Path, owner: u32) -> io::Result<()> {
    for (name, major, minor) in NODES {
        let path = dev.join(name);
        let mode = Mode::from_raw_mode(0o666);
        match mknodat(CWD, &path, FileType::CharacterDevice, mode, makedev(major, minor)) {
            Ok(()) => rustix::fs::chmod(&path, mode)?,
            // Where devices may not be made (a daemon in a container) the host's are shown.
            Err(rustix::io::Errno::PERM) => {
                std::fs::write(&path, "")?;
                attach_at(clone_tree(&Path::new("/dev").join(name), false)?.as_fd(), &path)?;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        chown(&path, Some(owner), Some(owner))?;
    }
    for directory in ["pts", "shm"] {
        std::fs::create_dir(dev.join(directory))?;
    }
    LINKS.iter().try_for_each(|(name, target)| symlink(target, dev.join(name)))
}

fn mask(proc: &Path, dev: &Path) -> Result<(), Failure> {
    for path in MASKED_FILES.map(|name| proc.join(name)) {
        if path.exists() {
            let null = clone_tree(&dev.join("null"), false).doing("mask /proc")?;
            attach_at(null.as_fd(), &path).doing("mask /proc")?;
        }
    }
    for path in MASKED_DIRECTORIES.map(|name| proc.join(name)) {
        if path.is_dir() {
            let flags = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
            mount("tmpfs", &[("size", "4k"), ("mode", "755")], flags, &path)?;
        }
    }
    Ok(())
}
