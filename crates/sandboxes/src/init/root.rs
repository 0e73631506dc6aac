//! Putting the root together in init's own mount namespace, and moving into it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::mount::{MountAttrFlags, UnmountFlags, unmount};
use rustix::process::{chdir, pivot_root};

use super::{Plan, devices};
use crate::error::{Doing, Failure};
use crate::overlay::{self, RootLook, UpperLayer};
use crate::sys::mounts::{attach_at, clone_tree, map_owners, restrict};

/// Where programs are looked for; `python` is provided beside the first `python3` here.
const PROGRAM_DIRECTORIES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Everything below `plan.root`, ready to be entered.
pub(super) fn build(plan: &Plan, user_namespace: BorrowedFd<'_>) -> Result<(), Failure> {
    let builder = Builder { plan, user_namespace };
    builder.layered(&plan.skeleton, &plan.root_layer, &plan.root)?;
    for (tree, layer) in &plan.trees {
        builder.layered(tree, layer, &inside(&plan.root, tree))?;
    }
    builder.hide()?;
    builder.provide_python().doing("provide python")?;
    builder.write_names().doing("write the host name")?;
    for path in &plan.exposed {
        builder.expose(path)?;
    }
    devices::make(plan)
}

struct Builder<'a> {
    plan: &'a Plan,
    user_namespace: BorrowedFd<'a>,
}

impl Builder<'_> {
    /// An overlay over a host directory, whose owners are shifted into the sandbox's block.
    fn layered(&self, lower: &Path, layer: &UpperLayer, target: &Path) -> Result<(), Failure> {
        let shown = lower.display();
        let tree = clone_tree(lower, false).doing(format!("clone {shown}"))?;
        // A filesystem that cannot be idmapped still serves: its files belong to nobody inside.
        let mapped = map_owners(tree.as_fd(), self.user_namespace);
        if let Err(error) = mapped.as_ref().err().map_or(Ok(()), unsupported_is_fine) {
            return Err(error).doing(format!("shift the owners of {shown}"));
        }
        let look = RootLook::owned_by(self.plan.id_base);
        let merged: OwnedFd =
            overlay::with_attached(&tree, &self.plan.scratch, |root| overlay::make(root, layer, look))?;
        attach_at(merged.as_fd(), target).doing(format!("attach the overlay of {shown}"))
    }

    /// Deletes through the overlay: the upper layer then says that there is nothing, which cannot be undone inside.
    fn hide(&self) -> Result<(), Failure> {
        for path in &self.plan.hidden {
            let place = inside(&self.plan.root, path);
            let removed = match place.symlink_metadata() {
                Ok(found) if found.is_dir() => std::fs::remove_dir_all(&place),
                Ok(_) => std::fs::remove_file(&place),
                Err(error) => Err(error),
            };
            match removed {
                // The host's package manager may have been quicker.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.doing("hide private files of the host")?,
            }
        }
        Ok(())
    }

    /// Programs written for containers call `python`, which Debian does not have.
    fn provide_python(&self) -> io::Result<()> {
        let has = |name: &str| {
            PROGRAM_DIRECTORIES
                .into_iter()
                .map(Path::new)
                .find(|directory| inside(&self.plan.root, directory).join(name).symlink_metadata().is_ok())
        };
        let (None, Some(directory)) = (has("python"), has("python3")) else { return Ok(()) };
        let link = inside(&self.plan.root, Path::new("/usr/local/bin/python"));
        let Some(parent) = link.parent() else { return Ok(()) };
        std::fs::create_dir_all(parent)?;
        symlink(directory.join("python3"), &link)?;
        lchown(&link, Some(self.plan.id_base), Some(self.plan.id_base))
    }

    fn write_names(&self) -> io::Result<()> {
        let name = &self.plan.hostname;
        let hosts = format!(
            "127.0.0.1\tlocalhost s3.internal\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{name}\n"
        );
        for (file, content) in [("etc/hosts", hosts), ("etc/hostname", format!("{name}\n"))] {
            let path = self.plan.root.join(file);
            std::fs::write(&path, content)?;
            chown(path, Some(self.plan.id_base), Some(self.plan.id_base))?;
        }
        Ok(())
    }

    /// A read-only view without shifted owners, so that only what everyone may read can be read inside.
    fn expose(&self, path: &Path) -> Result<(), Failure> {
        let purpose = format!("expose {}", path.display());
        let tree = clone_tree(path, true).doing(&purpose)?;
        let flags = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV;
        restrict(tree.as_fd(), flags).doing(&purpose)?;
        let target = inside(&self.plan.root, path);
        make_mount_point(path, &target).doing(&purpose)?;
        attach_at(tree.as_fd(), &target).doing(&purpose)
    }
}

fn unsupported_is_fine(error: &io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EPERM) => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.unwrap_or(libc::EIO))),
    }
}

fn make_mount_point(source: &Path, target: &Path) -> io::Result<()> {
    if source.is_dir() {
        return std::fs::create_dir_all(target);
    }
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).open(target).map(drop)
}

/// An absolute host path below the root under construction; `..` and the like are left out.
fn inside(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let names = path.as_ref().components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let below: PathBuf = names.collect::<Vec<&OsStr>>().into_iter().collect();
    root.join(below)
}

/// Makes the new root the root of the mount namespace; nothing of the host's tree stays reachable.
pub(super) fn enter(root: &Path) -> Result<(), Failure> {
    chdir(root).doing("enter the root")?;
    // Both the same: the old root ends up on top of the new one and is taken away (pivot_root(2)).
    pivot_root(".", ".").doing("make it the root")?;
    unmount(".", UnmountFlags::DETACH).doing("let go of the host's tree")?;
    chdir("/").doing("enter the root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_paths_stay_below_the_root() {
        let check =
            |path: &str, expected: &str| assert_eq!(inside(Path::new("/r"), path), Path::new(expected));
        check("/usr", "/r/usr");
        check("/a/../../b", "/r/a/b");
        check("/", "/r");
    }
}
