//! What this host offers, found by trying (never by version), once, in this one place.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, OFlags};
use rustix::mount::MountAttrFlags;
use serde::Serialize;

use crate::cgroup::{CgroupVersion, Cgroups};
use crate::error::{Doing, Failure};
use crate::files::open_below;
use crate::overlay::{self, RootLook, UpperLayer, in_private_namespace};
use crate::sys::mounts::{MountOption, attach_at, attach_beneath, clone_tree, map_owners, new_filesystem};
use crate::userns::namespace_of;

/// A block of ids for trying out; no sandbox is started with it.
const TRIAL_BASE: u32 = 524_288;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Features {
    /// Version of the kernel, for people.
    pub kernel: String,
    /// User namespaces can be made.
    pub user_namespaces: bool,
    /// Mounts can be made and moved as descriptors.
    pub detached_mounts: bool,
    /// Paths can be resolved below a root.
    pub openat2: bool,
    /// Owners of /usr can be shifted.
    pub idmapped_mounts: bool,
    /// A mount can be put beneath another.
    pub mount_beneath: bool,
    /// Overlays with all that ours use.
    pub overlay: bool,
    /// /dev/fuse is there.
    pub fuse_device: bool,
    /// Control groups.
    pub cgroups: Cgroups,
}

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Without it nothing starts.
    Required,
    /// Without it something is weaker; a fallback is used.
    Better,
}

/// One line of what `doctor` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub name: String,
    /// How much it matters.
    pub need: Need,
    /// Whether it is there.
    pub is_there: bool,
    /// What is used instead, or what to do, if it is not.
    pub remedy: String,
}

impl Features {
    /// Tries everything out. Leaves nothing behind. Takes some milliseconds; blocks.
    pub fn probe() -> Self {
        let trial = in_private_namespace(try_mounts).unwrap_or_default();
        Self {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            user_namespaces: namespace_of(TRIAL_BASE).is_ok(),
            detached_mounts: trial.detached,
            openat2: has_openat2(),
            idmapped_mounts: try_idmap().is_ok(),
            mount_beneath: trial.beneath,
            overlay: trial.overlay,
            fuse_device: Path::new("/dev/fuse").exists(),
            cgroups: Cgroups::find(),
        }
    }

    /// What was found in words, with remedies.
    pub fn findings(&self) -> Vec<Finding> {
        use Need::{Better, Required};
        let limits = |name| self.cgroups.controllers.contains_key(name);
        let sysctl =
            "run as root, or set sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone";
        let kernel = "a kernel from 6.1 on, and the right to mount (root, or a container with CAP_SYS_ADMIN)";
        let cgroups =
            "run where control groups can be written (systemd: Delegate=yes); there is no limit until then";
        [
            ("user namespaces", Required, self.user_namespaces, sysctl),
            ("detached mounts", Required, self.detached_mounts, kernel),
            ("openat2", Required, self.openat2, kernel),
            ("overlay mounts", Required, self.overlay, kernel),
            (
                "idmapped mounts",
                Better,
                self.idmapped_mounts,
                "files of /usr belong to nobody and stay read-only",
            ),
            ("mounting beneath", Better, self.mount_beneath, "Linux 6.5; propagation is used instead"),
            ("FUSE device", Better, self.fuse_device, "modprobe fuse; buckets and backups cannot be mounted"),
            ("memory limits", Better, limits("memory"), cgroups),
            ("process limits", Better, limits("pids"), cgroups),
            ("processor limits", Better, limits("cpu"), cgroups),
            ("killing whole groups", Better, self.cgroups.kill, "pid 1 is killed instead"),
        ]
        .map(|(name, need, is_there, remedy)| Finding {
            name: name.into(),
            need,
            is_there,
            remedy: remedy.into(),
        })
        .into()
    }

    /// The first thing without which nothing starts.
    pub(crate) fn missing(&self) -> Option<String> {
        let missing = |finding: &Finding| finding.need == Need::Required && !finding.is_there;
        let finding = self.findings().into_iter().find(missing)?;
        Some(format!("no {}: {}", finding.name, finding.remedy))
    }

    /// Which version limits a resource, for people.
    pub fn limited_by(&self, controller: &str) -> Option<&CgroupVersion> {
        self.cgroups.controllers.get(controller)
    }
}

fn has_openat2() -> bool {
    open_directory("/").is_ok_and(|root| open_below(root.as_fd(), Path::new("/"), OFlags::PATH).is_ok())
}

fn open_directory(path: &str) -> io::Result<OwnedFd> {
    overlay::open_path(Path::new(path))
}

fn try_idmap() -> io::Result<()> {
    let namespace = namespace_of(TRIAL_BASE)?;
    map_owners(clone_tree(Path::new("/usr"), false)?.as_fd(), namespace.as_fd())
}

#[derive(Default)]
struct Trial {
    detached: bool,
    beneath: bool,
    overlay: bool,
}

fn memory_filesystem() -> Result<OwnedFd, Failure> {
    let options = [MountOption::Value("source", overlay::SOURCE)];
    new_filesystem("tmpfs", &options, MountAttrFlags::empty()).doing("mount tmpfs")
}

/// In a private namespace /tmp may be covered.
fn try_mounts() -> Result<Trial, Failure> {
    let place = Path::new("/tmp");
    let below = memory_filesystem()?;
    attach_at(below.as_fd(), place).doing("attach tmpfs")?;
    let root = overlay::open_path(place).doing("open tmpfs")?;
    let overlay = try_overlay(place).is_ok();
    let beneath = memory_filesystem().is_ok_and(|next| attach_beneath(next.as_fd(), root.as_fd()).is_ok());
    Ok(Trial { detached: true, beneath, overlay })
}

fn try_overlay(place: &Path) -> Result<OwnedFd, Failure> {
    let lower = place.join("lower");
    std::fs::create_dir(&lower).doing("make a directory")?;
    let root = rustix::fs::openat(CWD, &lower, OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty());
    let root = root.doing("open a directory")?;
    overlay::make(root.as_fd(), &UpperLayer::new(place.join("layer")), RootLook::owned_by(0))
}
