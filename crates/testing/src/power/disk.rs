//! The disk with its filesystem, mounted.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sandkeep_vfs::conformance::Served;
use tempfile::TempDir;

use super::file::{DiskFile, name};
use super::medium::{Loss, Medium};

/// How often a busy filesystem is asked again.
const BUSY: usize = 100;

/// A disk whose power can be cut. Takes root, and leaves neither mount nor loop device behind.
#[derive(Debug)]
pub struct PowerDisk {
    medium: Arc<Medium>,
    mounted: Option<Mounted>,
    directory: TempDir,
    served: Option<Served>,
}

/// Where the filesystem is; undone when dropped.
#[derive(Debug)]
struct Mounted {
    device: String,
    directory: PathBuf,
}

impl PowerDisk {
    /// Makes a disk of `size` bytes (kept in memory as far as they are written) with an empty ext4 on it, and mounts it.
    ///
    /// # Panics
    /// Not root; no FUSE, loop device or ext4; no mkfs.ext4.
    pub fn new(size: u64) -> Self {
        let medium = Arc::new(Medium::new(size));
        let served = Served::start(Arc::new(DiskFile(Arc::clone(&medium)))).expect("a FUSE mount");
        let directory = tempfile::Builder::new().prefix("sandkeep-power.").tempdir().expect("a directory");
        let mut disk = Self { medium, mounted: None, directory, served: Some(served) };
        let device = disk.attach();
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-E", "nodiscard,lazy_itable_init=0"]).arg(&device));
        disk.mount(device);
        disk
    }

    /// Where it is mounted.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Flushes that were asked for so far.
    pub fn flushes(&self) -> u64 {
        self.medium.flushes()
    }

    /// From now on flushes are acknowledged and not done: what a store relies on in vain must be lost in a cut, else
    /// the test sees nothing.
    pub fn lie(&self) {
        self.medium.set_lying(true);
    }

    /// Cuts the power: nothing reaches the disk any more, and what was not flushed is lost as `loss` says. Processes
    /// that use the disk must be gone before [`Self::restart`].
    pub fn cut(&self, loss: Loss) {
        self.medium.cut(loss);
    }

    /// The power is back: mounts what survived, which replays the filesystem's journal.
    ///
    /// # Panics
    /// Somebody still uses the disk; the filesystem does not recover.
    pub fn restart(&mut self) {
        let mounted = self.mounted.take().expect("it is mounted");
        mounted.undo().expect("nobody uses the disk any more");
        self.medium.set_lying(false);
        self.medium.power_on();
        let device = self.attach();
        self.mount(device);
    }

    fn attach(&self) -> String {
        let served = self.served.as_ref().expect("it is served until it is dropped");
        let file = served.directory().join(name(&self.medium));
        let found = run(Command::new("losetup").args(["--find", "--show"]).arg(file));
        found.trim().to_owned()
    }

    fn mount(&mut self, device: String) {
        // A guard from here on: what fails below is undone too.
        let mounted = Mounted { device, directory: self.directory.path().to_owned() };
        run(Command::new("mount").args(["-t", "ext4"]).arg(&mounted.device).arg(&mounted.directory));
        self.mounted = Some(mounted);
    }
}

impl Mounted {
    fn undo(self) -> Result<(), String> {
        let mut unmounted = try_run(Command::new("umount").arg(&self.directory));
        for _ in 0..BUSY {
            if unmounted.is_ok() {
                break;
            }
            // A process that another test forks holds our descriptors until its exec.
            std::thread::sleep(Duration::from_millis(20));
            unmounted = try_run(Command::new("umount").arg(&self.directory));
        }
        unmounted?;
        try_run(Command::new("losetup").arg("--detach").arg(&self.device))?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Best effort: a guard has nobody to report to.
        let _ = try_run(Command::new("umount").arg("--lazy").arg(&self.directory));
        let _ = try_run(Command::new("losetup").arg("--detach").arg(&self.device));
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        // In this order: the filesystem, its device, and only then the file below it.
        self.mounted.take();
        if let Some(served) = self.served.take() {
            // In a thread of its own: it waits, which a test's runtime does not allow.
            let _ = std::thread::spawn(move || served.close()).join();
        }
    }
}

fn run(command: &mut Command) -> String {
    try_run(command).unwrap_or_else(|why| panic!("{why}"))
}

fn try_run(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    #[test]
    fn files_that_were_not_synced_are_lost_and_the_others_are_not() {
        let mut disk = PowerDisk::new(64 << 20);
        let path = |name: &str| disk.directory().join(name);
        let mut synced = File::create(path("synced")).expect("a file");
        synced.write_all(&[1; 100_000]).expect("room");
        synced.sync_all().expect("a sync");
        File::open(disk.directory()).expect("the root").sync_all().expect("a sync");
        fs::write(path("unsynced"), [2; 100_000]).expect("room");
        drop(synced);
        disk.cut(Loss::All);
        disk.restart();
        let path = |name: &str| disk.directory().join(name);
        assert_eq!(fs::read(path("synced")).expect("it was synced"), [1; 100_000]);
        assert!(!path("unsynced").exists());
        // The same file on a disk that lies.
        disk.lie();
        let mut lied = File::create(path("lied")).expect("a file");
        lied.write_all(&[3; 100_000]).expect("room");
        lied.sync_all().expect("it says so");
        drop(lied);
        disk.cut(Loss::All);
        disk.restart();
        assert!(!disk.directory().join("lied").exists());
        assert!(disk.flushes() > 2);
    }
}
