//! The base `host`: directories, links and a copy of what anyone may read of /etc, made once, below every sandbox's
//! root; and the list of what must be hidden of /usr, which is shown itself.

use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// To be raised when what is below changes; another number makes a new skeleton.
const VERSION: u32 = 1;

/// Paths that every sandbox has, with their permissions.
const DIRECTORIES: [(&str, u32); 33] = [
    ("app", 0o755),
    ("data", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("home/sandbox", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("run/lock", 0o1777),
    ("srv", 0o755),
    ("storage", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/cache/apt", 0o755),
    ("var/cache/apt/archives", 0o755),
    ("var/cache/apt/archives/partial", 0o755),
    ("var/lib", 0o755),
    ("var/lib/apt", 0o755),
    ("var/lib/apt/lists", 0o755),
    ("var/lib/misc", 0o755),
    ("var/local", 0o755),
    ("var/log", 0o755),
    ("var/opt", 0o755),
    ("var/spool", 0o755),
    ("var/tmp", 0o1777),
    ("workspace", 0o755),
];

/// Programs and libraries that are links into /usr on merged hosts, and trees of their own elsewhere.
const TREES: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Below /etc: never shown, although some hosts let everyone read it. Secrets, or facts about the host.
const PRIVATE: [&str; 37] = [
    "NetworkManager",
    "apt/auth.conf",
    "apt/auth.conf.d",
    "cloud",
    "containerd",
    "credstore",
    "credstore.encrypted",
    "docker",
    "environment",
    "environment.d",
    "exports",
    "fstab",
    "gshadow",
    "gshadow-",
    "hostname",
    "hosts",
    "krb5.keytab",
    "kubernetes",
    "letsencrypt",
    "machine-id",
    "netplan",
    "netrc",
    "npmrc",
    "pip.conf",
    "pki/tls/private",
    "rancher",
    "resolv.conf",
    "s3cfg",
    "sandkeep",
    "security/opasswd",
    "shadow",
    "shadow-",
    "ssh",
    "ssl/private",
    "sudoers",
    "sudoers.d",
    "wireguard",
];

/// Nobody answers on the loopback address of a sandbox without network: look-ups fail at once instead of hanging.
const RESOLV_CONF: &str = "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n";

/// A finished skeleton.
#[derive(Clone, Debug)]
pub(crate) struct Skeleton {
    pub(crate) directory: PathBuf,
    /// Trees beside /usr that hold programs (hosts where /bin is not a link).
    pub(crate) trees: Vec<PathBuf>,
}

impl Skeleton {
    /// The one in `state`, made now if it is missing or of another version.
    pub(crate) fn ensure(state: &Path) -> io::Result<Self> {
        let directory = state.join(format!("skeleton-{VERSION}"));
        if !directory.is_dir() {
            let unfinished = state.join("skeleton.new");
            crate::remove::remove_tree(&unfinished)?;
            build(&unfinished)?;
            std::fs::rename(&unfinished, &directory)?;
        }
        let trees = TREES.iter().map(|name| Path::new("/").join(name));
        let trees = trees.filter(|tree| tree.symlink_metadata().is_ok_and(|found| found.is_dir())).collect();
        Ok(Self { directory, trees })
    }

    /// Removes skeletons of other versions; only while no sandbox uses them.
    pub(crate) fn remove_others(&self, state: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(state)? {
            let entry = entry?;
            let is_skeleton = entry.file_name().as_encoded_bytes().starts_with(b"skeleton");
            if is_skeleton && entry.path() != self.directory {
                crate::remove::remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn build(root: &Path) -> io::Result<()> {
    make_directory(root, 0o755)?;
    for (name, mode) in DIRECTORIES {
        make_directory(&root.join(name), mode)?;
    }
    for name in TREES {
        match std::fs::read_link(Path::new("/").join(name)) {
            Ok(target) => symlink(target, root.join(name))?,
            Err(_) if Path::new("/").join(name).is_dir() => make_directory(&root.join(name), 0o755)?,
            Err(_) => {}
        }
    }
    symlink("/run", root.join("var/run"))?;
    symlink("/run/lock", root.join("var/lock"))?;
    copy_readable(Path::new("/etc"), &root.join("etc"), Path::new(""))?;
    let own =
        [("etc/resolv.conf", RESOLV_CONF), ("etc/machine-id", ""), ("etc/hosts", ""), ("etc/hostname", "")];
    for (name, content) in own {
        write_file(&root.join(name), content.as_bytes(), 0o644)?;
    }
    Ok(())
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(mode).create(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

fn write_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    std::fs::write(path, content)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Copies regular files, links and directories that others may read. What vanishes meanwhile is left out.
fn copy_readable(from: &Path, to: &Path, below_etc: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = below_etc.join(entry.file_name());
        if PRIVATE.iter().any(|private| name == Path::new(private)) {
            continue;
        }
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let Ok(metadata) = source.symlink_metadata() else { continue };
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_symlink() {
            symlink(std::fs::read_link(&source)?, target)?;
        } else if metadata.is_dir() && !target.exists() && mode & 0o005 == 0o005 {
            make_directory(&target, mode)?;
            copy_readable(&source, &target, &name)?;
        } else if metadata.is_file() && mode & 0o004 != 0 {
            write_file(&target, &std::fs::read(&source)?, mode)?;
        }
    }
    Ok(())
}

/// Everything below `tree` that others may not read, links aside. Idmapping makes root's files root's inside too, so
/// what is private on the host has to be taken away.
pub(crate) fn private_paths(tree: &Path) -> Vec<OsString> {
    let mut found = Vec::new();
    let mut directories = vec![tree.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            // Not through links: DirEntry says what the entry itself is.
            let Ok(metadata) = entry.metadata() else { continue };
            let kind = metadata.file_type();
            if kind.is_symlink() {
                continue;
            }
            let mode = metadata.permissions().mode();
            let needed = if kind.is_dir() { 0o005 } else { 0o004 };
            let is_special = kind.is_block_device() || kind.is_char_device() || kind.is_socket();
            if mode & needed != needed || is_special {
                found.push(path.into_os_string());
            } else if kind.is_dir() {
                directories.push(path);
            }
        }
    }
    found
}
