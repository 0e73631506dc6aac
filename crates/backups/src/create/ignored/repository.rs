//! The repository that a directory is in: found and read below the root of the directory's mount namespace.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat, openat2, readlink};
use rustix::io::Errno;

use super::Path;
use crate::create::attributes::file_type;
use crate::create::directory::{SourceDirectory, stat_open};
use crate::selection::gitignore::{Config, DamagedIndex, Index, Patterns, parse_index};

/// Larger files of patterns are not read, and so ignore nothing.
pub(super) const MAX_PATTERN_BYTES: u64 = 16 << 20;
/// An index of some ten million files.
const MAX_INDEX_BYTES: u64 = 1 << 30;
/// Of files that hold one path.
pub(super) const MAX_PATH_FILE_BYTES: u64 = 64 << 10;
/// Levels between a directory and the root; deeper ones have no repository above.
const MAX_LEVELS: usize = 4096;
const GITFILE_PREFIX: &[u8] = b"gitdir: ";
const SHA1_BYTES: usize = 20;
const SHA256_BYTES: usize = 32;

/// A repository, its places as paths from the root.
pub(super) struct Repository {
    pub(super) git: Path,
    /// Where what several worktrees share is.
    pub(super) common: Path,
    pub(super) worktree: Path,
    pub(super) config: Config,
}

impl Repository {
    /// Looks in the directory and above it, as far as the filesystem reaches.
    pub(super) fn discover(host: &Host, path: &[u8]) -> Option<Self> {
        let mut level = path.to_vec();
        let device = host.device(&level)?;
        loop {
            if let Some(git) = host.git_directory_of(&level) {
                return Self::open(host, git, level);
            }
            if host.is_git_directory(&level) || level == b"/" {
                return None;
            }
            level = parent(&level);
            if host.device(&level)? != device {
                return None;
            }
        }
    }

    fn open(host: &Host, git: Path, level: Path) -> Option<Self> {
        let common = host.common(&git);
        let mut config = Config::default();
        config.read(&host.read(&join(&common, b"config"), MAX_PATTERN_BYTES).unwrap_or_default());
        if config.has_worktree_config {
            let own = host.read(&join(&git, b"config.worktree"), MAX_PATTERN_BYTES);
            config.read(&own.unwrap_or_default());
        }
        let worktree = match &config.worktree {
            Some(worktree) => host.real_path(&join(&git, worktree))?,
            None if config.is_bare => return None,
            None => level,
        };
        Some(Self { git, common, worktree, config })
    }

    pub(super) fn index(&self, host: &Host) -> Result<Index, DamagedIndex> {
        let hash_bytes = if self.config.is_sha256 { SHA256_BYTES } else { SHA1_BYTES };
        let read = |name: &[u8]| host.read_strictly(&join(&self.git, name), MAX_INDEX_BYTES);
        let Some(bytes) = read(b"index")? else { return Ok(Index::default()) };
        let own = parse_index(&bytes, hash_bytes)?;
        let shared = match &own.shared {
            None => None,
            Some(name) => {
                let bytes = read(format!("sharedindex.{name}").as_bytes())?;
                Some(parse_index(
                    &bytes.ok_or(DamagedIndex("the index that it shares is missing"))?,
                    hash_bytes,
                )?)
            }
        };
        Ok(own.into_index(shared, self.config.ignores_case))
    }
}

/// The files that processes see where the directory is.
pub(super) struct Host {
    root: OwnedFd,
}

impl Host {
    /// The root of the directory's mount namespace, and the directory's path there; none if it has none.
    pub(super) fn around(source: &SourceDirectory) -> Option<(Self, Path)> {
        let directory = source.open_directory(b"").ok()?;
        let path = path_of(&directory)?;
        let wanted = stat_open(&directory).ok()?;
        let mut level = directory;
        let mut stat = wanted;
        for _ in 0..MAX_LEVELS {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let above = openat(&level, "..", flags, Mode::empty()).ok()?;
            let stat_above = stat_open(&above).ok()?;
            let is_same = |one: &rustix::fs::Statx, other: &rustix::fs::Statx| {
                (one.stx_ino, one.stx_dev_major, one.stx_dev_minor, one.stx_mnt_id)
                    == (other.stx_ino, other.stx_dev_major, other.stx_dev_minor, other.stx_mnt_id)
            };
            if is_same(&stat, &stat_above) {
                let host = Self { root: above };
                // A path that was renamed or covered leads elsewhere.
                let there = host.open(&path, OFlags::PATH).ok()?;
                return is_same(&wanted, &stat_open(&there).ok()?).then_some((host, path));
            }
            (level, stat) = (above, stat_above);
        }
        None
    }

    fn open(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        // openat2 refuses flags that have no meaning for a mere handle.
        let harmless =
            if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK | OFlags::NOCTTY };
        let flags = flags | OFlags::CLOEXEC | harmless;
        openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
    }

    fn read(&self, path: &[u8], limit: u64) -> Option<Vec<u8>> {
        read_regular(self.open(path, OFlags::RDONLY).ok()?, limit)
    }

    /// None if there is no such file; whatever else prevents reading it is an error.
    fn read_strictly(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, DamagedIndex> {
        match self.open(path, OFlags::RDONLY) {
            Err(Errno::NOENT) => Ok(None),
            Err(_) => Err(DamagedIndex("it cannot be opened")),
            Ok(file) => read_regular(file, limit).map(Some).ok_or(DamagedIndex("it cannot be read")),
        }
    }

    /// git does not follow a link from here.
    pub(super) fn patterns(&self, path: &[u8], source: String) -> Option<Patterns> {
        let file = self.open(path, OFlags::RDONLY | OFlags::NOFOLLOW).ok()?;
        Some(Patterns::parse(source, &read_regular(file, MAX_PATTERN_BYTES)?))
    }

    fn kind(&self, path: &[u8]) -> Option<FileType> {
        let file = self.open(path, OFlags::PATH).ok()?;
        Some(file_type(&stat_open(&file).ok()?))
    }

    fn device(&self, path: &[u8]) -> Option<(u32, u32)> {
        let stat = stat_open(&self.open(path, OFlags::PATH).ok()?).ok()?;
        Some((stat.stx_dev_major, stat.stx_dev_minor))
    }

    fn real_path(&self, path: &[u8]) -> Option<Path> {
        path_of(&self.open(path, OFlags::PATH | OFlags::DIRECTORY).ok()?)
    }

    /// What `.git` in a directory leads to.
    fn git_directory_of(&self, level: &[u8]) -> Option<Path> {
        let git = join(level, b".git");
        match self.kind(&git)? {
            FileType::Directory => Some(self.real_path(&git)?).filter(|git| self.is_git_directory(git)),
            FileType::RegularFile => {
                let text = self.read(&git, MAX_PATH_FILE_BYTES)?;
                let target = self.real_path(&join(level, gitfile_target(&text)?))?;
                self.is_git_directory(&target).then_some(target)
            }
            _ => None,
        }
    }

    pub(super) fn is_git_directory(&self, path: &[u8]) -> bool {
        let head = self.open(&join(path, b"HEAD"), OFlags::PATH | OFlags::NOFOLLOW);
        let common = self.common(path);
        let is_directory = |name: &[u8]| self.kind(&join(&common, name)) == Some(FileType::Directory);
        head.is_ok() && is_directory(b"objects") && is_directory(b"refs")
    }

    fn common(&self, git: &[u8]) -> Path {
        match self.read(&join(git, b"commondir"), MAX_PATH_FILE_BYTES) {
            Some(text) => join(git, text.trim_ascii_end()),
            None => git.to_vec(),
        }
    }
}

pub(super) fn gitfile_target(text: &[u8]) -> Option<&[u8]> {
    let target = text.strip_prefix(GITFILE_PREFIX)?;
    let end = target.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'))?;
    Some(&target[..=end])
}

/// All of a regular file, unless it is longer.
pub(super) fn read_regular(file: OwnedFd, limit: u64) -> Option<Vec<u8>> {
    let stat = stat_open(&file).ok()?;
    if file_type(&stat) != FileType::RegularFile || stat.stx_size > limit {
        return None;
    }
    let mut text = Vec::with_capacity(stat.stx_size as usize);
    File::from(file).take(limit).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The path of an open directory in its mount namespace.
pub(super) fn path_of(directory: &OwnedFd) -> Option<Path> {
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    Some(readlink(link, Vec::new()).ok()?.into_bytes()).filter(|path| path.starts_with(b"/"))
}

pub(super) fn join(path: &[u8], name: &[u8]) -> Path {
    if name.starts_with(b"/") { name.to_vec() } else { [path, b"/", name].concat() }
}

pub(super) fn join_relative(path: &[u8], name: &[u8]) -> Path {
    if path.is_empty() { name.to_vec() } else { join(path, name) }
}

fn parent(path: &[u8]) -> Path {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) if at > 0 => path[..at].to_vec(),
        _ => b"/".to_vec(),
    }
}

/// What follows `top` in a path; none if it is not below it.
pub(super) fn below(path: &[u8], top: &[u8]) -> Option<Path> {
    let top = top.strip_suffix(b"/").unwrap_or(top);
    let rest = path.strip_prefix(top)?;
    match rest {
        b"" | b"/" => Some(Vec::new()),
        rest => rest.strip_prefix(b"/").map(<[u8]>::to_vec),
    }
}
