//! Random changes of a directory, as programs make them.

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::archive::noise;

/// A change; names that it cannot be applied to make it nothing.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Write { path: String, seed: u64, bytes: usize },
    Append { path: String, seed: u64, bytes: usize },
    Poke { path: String, at: u64, seed: u64 },
    Truncate { path: String, bytes: u64 },
    Remove { path: String },
    MakeDirectory { path: String },
    Rename { from: String, to: String },
    Link { from: String, to: String },
    Symlink { path: String, target: String },
    Mode { path: String, mode: u32 },
    Attribute { path: String, value: u8 },
    Touch { path: String, seconds: u32 },
}

fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "d"]);
    prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
}

fn size() -> impl Strategy<Value = usize> {
    prop::sample::select(vec![0, 1, 100, 5000, 131_072, 140_000, 300_000])
}

pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let content = || (path(), 0..6_u64, size());
    prop_oneof![
        4 => content().prop_map(|(path, seed, bytes)| Edit::Write { path, seed, bytes }),
        1 => content().prop_map(|(path, seed, bytes)| Edit::Append { path, seed, bytes }),
        1 => (path(), 0..200_000_u64, any::<u64>()).prop_map(|(path, at, seed)| Edit::Poke { path, at, seed }),
        1 => (path(), 0..200_000_u64).prop_map(|(path, bytes)| Edit::Truncate { path, bytes }),
        2 => path().prop_map(|path| Edit::Remove { path }),
        2 => path().prop_map(|path| Edit::MakeDirectory { path }),
        3 => (path(), path()).prop_map(|(from, to)| Edit::Rename { from, to }),
        1 => (path(), path()).prop_map(|(from, to)| Edit::Link { from, to }),
        1 => (path(), path()).prop_map(|(path, target)| Edit::Symlink { path, target }),
        1 => (path(), 0..0o7777_u32).prop_map(|(path, mode)| Edit::Mode { path, mode }),
        1 => (path(), any::<u8>()).prop_map(|(path, value)| Edit::Attribute { path, value }),
        1 => (path(), any::<u32>()).prop_map(|(path, seconds)| Edit::Touch { path, seconds }),
    ]
}

impl Edit {
    pub(crate) fn apply(&self, root: &Path) {
        // What cannot be done is not done.
        let _ = self.try_apply(root);
    }

    fn try_apply(&self, root: &Path) -> std::io::Result<()> {
        match self {
            Self::Write { path, seed, bytes } => {
                let path = within(root, path)?;
                fs::write(path, noise(*seed, *bytes))
            }
            Self::Append { path, seed, bytes } => {
                OpenOptions::new().append(true).open(root.join(path))?.write_all(&noise(*seed, *bytes))
            }
            Self::Poke { path, at, seed } => {
                let mut file = OpenOptions::new().write(true).open(root.join(path))?;
                let length = file.metadata()?.len();
                file.seek(SeekFrom::Start(*at % length.max(1)))?;
                file.write_all(&noise(*seed, 1))
            }
            Self::Truncate { path, bytes } => {
                OpenOptions::new().write(true).open(root.join(path))?.set_len(*bytes)
            }
            Self::Remove { path } => {
                let path = root.join(path);
                if fs::symlink_metadata(&path)?.is_dir() {
                    fs::remove_dir_all(path)
                } else {
                    fs::remove_file(path)
                }
            }
            Self::MakeDirectory { path } => fs::create_dir(within(root, path)?),
            Self::Rename { from, to } => fs::rename(root.join(from), within(root, to)?),
            Self::Link { from, to } => fs::hard_link(root.join(from), within(root, to)?),
            Self::Symlink { path, target } => symlink(target, within(root, path)?),
            Self::Mode { path, mode } => {
                fs::symlink_metadata(root.join(path)).and_then(|about| match about.is_symlink() {
                    true => Ok(()),
                    false => fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode | 0o700)),
                })
            }
            Self::Attribute { path, value } => {
                let flags = rustix::fs::XattrFlags::empty();
                Ok(rustix::fs::lsetxattr(root.join(path), "user.a", &[*value], flags)?)
            }
            Self::Touch { path, seconds } => {
                let time = rustix::fs::Timespec { tv_sec: i64::from(*seconds), tv_nsec: 5 };
                let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                Ok(rustix::fs::utimensat(rustix::fs::CWD, root.join(path), &times, flags)?)
            }
        }
    }
}

/// A path whose parents are directories.
fn within(root: &Path, path: &str) -> std::io::Result<PathBuf> {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap())?;
    Ok(path)
}
