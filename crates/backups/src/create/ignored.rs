//! What git ignores below the directory that is archived: finds the repository, and judges each name.
//!
//! The repository may begin above the directory. Everything is opened below the root of the mount namespace that the
//! directory is in, so that files of a sandbox lead to files of that sandbox only.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat, openat2, readlink};
use rustix::io::Errno;

use super::attributes::file_type;
use super::directory::{SourceDirectory, stat_at, stat_open};
use crate::CreateError;
use crate::selection::Rule;
use crate::selection::gitignore::{
    Config, DamagedIndex, Index, Match, Patterns, TrackedDirectory, parse_index,
};

/// Larger files of patterns are not read, and so ignore nothing.
const MAX_PATTERN_BYTES: u64 = 16 << 20;
/// An index of some ten million files.
const MAX_INDEX_BYTES: u64 = 1 << 30;
/// Of files that hold one path.
const MAX_PATH_FILE_BYTES: u64 = 64 << 10;
/// Levels between a directory and the root; deeper ones have no repository above.
const MAX_LEVELS: usize = 4096;
const GITFILE_PREFIX: &[u8] = b"gitdir: ";
const SHA1_BYTES: usize = 20;
const SHA256_BYTES: usize = 32;

type Path = Vec<u8>;

/// The rules of the repository that a directory is in.
pub(super) struct Ignored {
    host: Host,
    index: Index,
    exclude: Arc<Patterns>,
    ignores_case: bool,
    /// From the repository's top to the directory; empty, or ends with a slash.
    prefix: Path,
    top: Scope,
}

/// What holds for the names in one directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// The directory is ignored, and so is all in it that is not tracked.
    ignored: Option<Rule>,
    /// The directory is none of the repository's business: all of it is kept.
    is_opaque: bool,
    levels: Option<Arc<Level>>,
}

/// The patterns of a directory, and those above it.
#[derive(Debug)]
struct Level {
    patterns: Patterns,
    /// Bytes of the directory's path in the repository, the slash behind it included.
    base: usize,
    above: Option<Arc<Level>>,
}

/// What to do with a name.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Archive it. For directories: what holds in it.
    Keep(Scope),
    /// Leave it out with all below it.
    Ignore(Rule),
}

/// As far as git tells files apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    Directory,
    /// Regular, or a symbolic link.
    File,
    /// git does not see it.
    Other,
}

impl NameKind {
    pub(super) fn of(kind: FileType) -> Self {
        match kind {
            FileType::Directory => Self::Directory,
            FileType::RegularFile | FileType::Symlink => Self::File,
            _ => Self::Other,
        }
    }
}

impl Ignored {
    /// Finds the repository that the directory is in; none if it is in none.
    pub(super) fn find(source: &SourceDirectory) -> Result<Option<Self>, CreateError> {
        let Some((host, path)) = Host::around(source) else { return Ok(None) };
        let Some(repository) = Repository::discover(&host, &path) else { return Ok(None) };
        let Some(prefix) = below(&path, &repository.worktree) else { return Ok(None) };
        let prefix = if prefix.is_empty() { prefix } else { [prefix.as_slice(), b"/"].concat() };
        let damaged = |error: DamagedIndex| CreateError::GitIndex {
            path: String::from_utf8_lossy(&join(&repository.git, b"index")).into_owned(),
            what: error.0,
        };
        let index = repository.index(&host).map_err(damaged)?;
        let exclude =
            host.patterns(&join(&repository.common, b"info/exclude"), ".git/info/exclude".to_owned());
        let mut found = Self {
            host,
            index,
            exclude: Arc::new(exclude.unwrap_or_else(|| Patterns::parse(String::new(), b""))),
            ignores_case: repository.config.ignores_case,
            prefix,
            top: Scope::default(),
        };
        found.top = found.walk_down(&repository.worktree);
        Ok(Some(found))
    }

    /// What holds in the directory that is archived.
    pub(super) fn top(&self) -> Scope {
        self.top.clone()
    }

    /// The scopes from the repository's top to the directory.
    fn walk_down(&self, worktree: &[u8]) -> Scope {
        let mut scope = Scope::default();
        let mut at = 0;
        while let Some(length) = self.prefix[at..].iter().position(|byte| *byte == b'/') {
            let directory = self.prefix[..at.saturating_sub(1)].to_vec();
            let file = join(&join(worktree, &directory), b".gitignore");
            scope = self.with_patterns(scope, &directory, |source| self.host.patterns(&file, source));
            let path = &self.prefix[..at + length];
            scope = match self.judge_directory(&scope, path) {
                Verdict::Keep(scope) => scope,
                // It is archived because it was asked for; what is in it stays ignored.
                Verdict::Ignore(rule) => Scope { ignored: Some(rule), ..scope },
            };
            at += length + 1;
        }
        scope
    }

    /// Reads the patterns of a directory that is about to be scanned; `path` is below the archived one.
    pub(super) fn enter(
        &self,
        scope: Scope,
        source: &SourceDirectory,
        path: &[u8],
        has_patterns: bool,
    ) -> Scope {
        if !has_patterns {
            return scope;
        }
        let inside = self.inside(path);
        let file = if path.is_empty() { b".gitignore".to_vec() } else { [path, b"/.gitignore"].concat() };
        self.with_patterns(scope, &inside, |name| {
            let text = read_regular(source.open_file(&file).ok()?, MAX_PATTERN_BYTES)?;
            Some(Patterns::parse(name, &text))
        })
    }

    fn with_patterns(
        &self,
        scope: Scope,
        directory: &[u8],
        read: impl FnOnce(String) -> Option<Patterns>,
    ) -> Scope {
        if scope.is_opaque || scope.ignored.is_some() {
            return scope;
        }
        let name = String::from_utf8_lossy(&join_relative(directory, b".gitignore")).into_owned();
        let Some(patterns) = read(name).filter(|patterns| !patterns.is_empty()) else { return scope };
        let base = if directory.is_empty() { 0 } else { directory.len() + 1 };
        let level = Level { patterns, base, above: scope.levels };
        Scope { levels: Some(Arc::new(level)), ..scope }
    }

    /// The path in the repository of one below the archived directory.
    fn inside(&self, path: &[u8]) -> Path {
        match path {
            b"" => self.prefix.strip_suffix(b"/").unwrap_or_default().to_vec(),
            path => [self.prefix.as_slice(), path].concat(),
        }
    }

    /// Judges a name; `path` is below the archived directory.
    pub(super) fn judge(
        &self,
        scope: &Scope,
        source: &SourceDirectory,
        path: &[u8],
        kind: NameKind,
    ) -> Verdict {
        if scope.is_opaque || path == b".git" || path.ends_with(b"/.git") {
            return Verdict::Keep(opaque());
        }
        let inside = self.inside(path);
        match kind {
            NameKind::Other => Verdict::Keep(Scope::default()),
            NameKind::File => self.judge_file(scope, &inside),
            NameKind::Directory => match self.judge_directory(scope, &inside) {
                Verdict::Keep(scope) if self.is_foreign(&inside, source, path) => {
                    Verdict::Keep(Scope { is_opaque: true, ..scope })
                }
                verdict => verdict,
            },
        }
    }

    fn judge_file(&self, scope: &Scope, path: &[u8]) -> Verdict {
        match self.rule(scope, path, false) {
            Some(rule) if !self.index.has_file(path) => Verdict::Ignore(rule),
            _ => Verdict::Keep(Scope::default()),
        }
    }

    fn judge_directory(&self, scope: &Scope, path: &[u8]) -> Verdict {
        if scope.is_opaque {
            return Verdict::Keep(scope.clone());
        }
        match (self.index.directory(path), self.rule(scope, path, true)) {
            (TrackedDirectory::Submodule, _) => Verdict::Keep(opaque()),
            (TrackedDirectory::No, Some(rule)) => Verdict::Ignore(rule),
            (_, ignored) => Verdict::Keep(Scope { ignored, ..scope.clone() }),
        }
    }

    /// Why a name would be ignored if it is not tracked.
    fn rule(&self, scope: &Scope, path: &[u8], is_directory: bool) -> Option<Rule> {
        if scope.ignored.is_some() {
            return scope.ignored.clone();
        }
        let mut level = scope.levels.as_ref();
        while let Some(this) = level {
            let path = path.get(this.base..).unwrap_or_default();
            if let Some(found) = this.patterns.last_match(path, is_directory, self.ignores_case) {
                return rule_of(&this.patterns, found);
            }
            level = this.above.as_ref();
        }
        let found = self.exclude.last_match(path, is_directory, self.ignores_case)?;
        rule_of(&self.exclude, found)
    }

    /// Whether a directory without tracked files is a repository of its own: git does not look into those.
    fn is_foreign(&self, inside: &[u8], source: &SourceDirectory, path: &[u8]) -> bool {
        self.index.directory(inside) == TrackedDirectory::No && self.has_repository(source, path)
    }

    fn has_repository(&self, source: &SourceDirectory, path: &[u8]) -> bool {
        let git = [path, b"/.git"].concat();
        if let Ok(directory) = source.open_directory(&git) {
            let has = |name: &[u8]| stat_at(directory.as_fd(), name).ok();
            let is_directory =
                |name: &[u8]| has(name).is_some_and(|stat| file_type(&stat) == FileType::Directory);
            return has(b"HEAD").is_some()
                && (has(b"commondir").is_some() || is_directory(b"objects") && is_directory(b"refs"));
        }
        let Ok(file) = source.open_file(&git) else { return false };
        let Some(text) = read_regular(file, MAX_PATH_FILE_BYTES) else { return false };
        let Ok(directory) = source.open_directory(path) else { return false };
        let Some(at) = path_of(&directory) else { return false };
        gitfile_target(&text).is_some_and(|target| self.host.is_git_directory(&join(&at, target)))
    }
}

fn opaque() -> Scope {
    Scope { is_opaque: true, ..Scope::default() }
}

fn rule_of(patterns: &Patterns, found: Match) -> Option<Rule> {
    found.is_ignored.then(|| Rule::Gitignore {
        pattern: patterns.text_of(found.line),
        source: format!("{}:{}", patterns.source, found.line),
    })
}

/// A repository, its places as paths from the root.
struct Repository {
    git: Path,
    /// Where what several worktrees share is.
    common: Path,
    worktree: Path,
    config: Config,
}

impl Repository {
    /// Looks in the directory and above it, as far as the filesystem reaches.
    fn discover(host: &Host, path: &[u8]) -> Option<Self> {
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

    fn index(&self, host: &Host) -> Result<Index, DamagedIndex> {
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
struct Host {
    root: OwnedFd,
}

impl Host {
    /// The root of the directory's mount namespace, and the directory's path there; none if it has none.
    fn around(source: &SourceDirectory) -> Option<(Self, Path)> {
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
    fn patterns(&self, path: &[u8], source: String) -> Option<Patterns> {
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

    fn is_git_directory(&self, path: &[u8]) -> bool {
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

fn gitfile_target(text: &[u8]) -> Option<&[u8]> {
    let target = text.strip_prefix(GITFILE_PREFIX)?;
    let end = target.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'))?;
    Some(&target[..=end])
}

/// All of a regular file, unless it is longer.
fn read_regular(file: OwnedFd, limit: u64) -> Option<Vec<u8>> {
    let stat = stat_open(&file).ok()?;
    if file_type(&stat) != FileType::RegularFile || stat.stx_size > limit {
        return None;
    }
    let mut text = Vec::with_capacity(stat.stx_size as usize);
    File::from(file).take(limit).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The path of an open directory in its mount namespace.
fn path_of(directory: &OwnedFd) -> Option<Path> {
    let link = format!("/proc/self/fd/{}", directory.as_raw_fd());
    Some(readlink(link, Vec::new()).ok()?.into_bytes()).filter(|path| path.starts_with(b"/"))
}

fn join(path: &[u8], name: &[u8]) -> Path {
    if name.starts_with(b"/") { name.to_vec() } else { [path, b"/", name].concat() }
}

fn join_relative(path: &[u8], name: &[u8]) -> Path {
    if path.is_empty() { name.to_vec() } else { join(path, name) }
}

fn parent(path: &[u8]) -> Path {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) if at > 0 => path[..at].to_vec(),
        _ => b"/".to_vec(),
    }
}

/// What follows `top` in a path; none if it is not below it.
fn below(path: &[u8], top: &[u8]) -> Option<Path> {
    let top = top.strip_suffix(b"/").unwrap_or(top);
    let rest = path.strip_prefix(top)?;
    match rest {
        b"" | b"/" => Some(Vec::new()),
        rest => rest.strip_prefix(b"/").map(<[u8]>::to_vec),
    }
}
