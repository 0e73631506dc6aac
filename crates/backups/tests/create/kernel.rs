//! Mounts in a mount namespace of a child process, which end with it, however the test ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A shell that waits in its own mount namespace.
pub(crate) struct MountNamespace {
    child: Child,
}

impl MountNamespace {
    /// Runs the script there; it must succeed.
    pub(crate) fn with(script: &str) -> Self {
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-e", "-c"])
            .arg(format!("{script}\necho ready\nread wait"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let namespace = Self { child };
        assert_eq!(line, "ready\n", "the script failed: {script}");
        namespace
    }

    /// An archive mounted by the kernel.
    pub(crate) fn with_archive(archive: &Path) -> (Self, PathBuf) {
        let point = archive.with_extension("mounted");
        std::fs::create_dir_all(&point).unwrap();
        let script = format!("mount -t squashfs -o ro,loop {archive:?} {point:?}");
        let namespace = Self::with(&script);
        let path = namespace.path(&point);
        (namespace, path)
    }

    /// How a path in the namespace is reached from here.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        Path::new("/proc")
            .join(self.child.id().to_string())
            .join("root")
            .join(path.strip_prefix("/").unwrap())
    }
}

impl Drop for MountNamespace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
