//! What git ignores below the directory that is archived: finds the repository, and judges each name.
//!
//! The repository may begin above the directory. Everything is opened below the root of the mount namespace that the
//! directory is in, so that files of a sandbox lead to files of that sandbox only.

mod repository;

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::FileType;

use self::repository::{
    Host, MAX_PATH_FILE_BYTES, MAX_PATTERN_BYTES, Repository, below, gitfile_target, join, join_relative,
    path_of, read_regular,
};
use super::attributes::file_type;
use super::directory::{SourceDirectory, stat_at};
use crate::CreateError;
use crate::selection::Rule;
use crate::selection::gitignore::{DamagedIndex, Index, Match, Patterns, TrackedDirectory};

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
