//! The tree below the directory, read once; file content comes later.
//!
//! Owns the order of the tree, hard links, and what is left out. Where names and attributes come from is a [`Walk`].

mod host;
mod overlay;

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use super::attributes::Signature;
use super::directory::{SourceDirectory, is_vanished};
use super::ignored::{Ignored, NameKind, Scope, Verdict};
use super::meter::Meter;
use super::report::{Reason, Report, Weight};
use crate::CreateError;
use crate::selection::{Excludes, Rule};
use crate::squashfs::writer::{
    Attributes, Entry, EntryIndex, InodeIndex, Kind, ROOT, Tree, TreeInode, Xattrs,
};

pub(super) use host::HostWalk;
pub(super) use overlay::OverlayWalk;

/// What the scan needs.
pub(super) struct ScanContext<'a> {
    /// The directory as its users see it: git's files are read here.
    pub(super) source: &'a SourceDirectory,
    pub(super) excludes: &'a Excludes,
    pub(super) ignored: Option<&'a Ignored>,
    pub(super) meter: &'a Meter,
    pub(super) stop: &'a CancellationToken,
}

/// What the scan found.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) tree: Tree,
    pub(super) xattrs: Xattrs,
    /// What each file was when it was scanned; none for what is not read from this host.
    pub(super) signatures: Vec<Option<Signature>>,
}

/// Tells what is in directories.
pub(super) trait Walk {
    /// An open directory.
    type Directory;
    /// What it takes to open one, beside its path.
    type Place: Default;

    /// The directory itself.
    fn root(&mut self) -> rustix::io::Result<Found<Self::Place>>;
    /// Opens a directory by its path below the root.
    fn open(&mut self, path: &[u8], place: Self::Place) -> rustix::io::Result<Self::Directory>;
    /// Its names, sorted by bytes as squashfs wants them.
    fn names(&mut self, directory: &Self::Directory) -> rustix::io::Result<Vec<Box<[u8]>>>;
    /// Kind and size of a name, and how to open it if it is a directory that is to be entered.
    fn glance(&mut self, directory: &Self::Directory, name: &[u8])
    -> rustix::io::Result<Glance<Self::Place>>;
    /// All that there is to know of a name but its content.
    fn look(
        &mut self,
        directory: &Self::Directory,
        name: &[u8],
        path: &[u8],
    ) -> rustix::io::Result<Found<Self::Place>>;
}

/// What can be told of a name at once.
pub(super) struct Glance<P> {
    pub(super) kind: NameKind,
    pub(super) bytes: u64,
    pub(super) place: Option<P>,
}

/// What is at a name.
pub(super) struct Found<P> {
    pub(super) attributes: Attributes,
    pub(super) kind: Kind,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) losses: Vec<Reason>,
    /// The same for all names of a file that has several.
    pub(super) link: Option<Link>,
    pub(super) signature: Option<Signature>,
    /// How to open it, if it is a directory that is to be entered.
    pub(super) place: Option<P>,
}

/// Names a file among those that a scan can find.
pub(super) type Link = (u64, u64);

/// Scans depth first, each directory's names together.
pub(super) fn scan<W: Walk>(
    context: &ScanContext<'_>,
    walk: &mut W,
    report: &mut Report,
) -> Result<Scanned, CreateError> {
    let mut scanner = Scanner {
        context,
        walk,
        report,
        found: Scanned::default(),
        hard_links: HashMap::new(),
        pending: HashMap::new(),
    };
    scanner.add_root()?;
    let mut open = vec![ROOT];
    while let Some(directory) = open.pop() {
        if context.stop.is_cancelled() {
            return Err(CreateError::Cancelled);
        }
        scanner.scan_directory(directory, &mut open)?;
    }
    Ok(scanner.found)
}

struct Scanner<'a, W: Walk> {
    context: &'a ScanContext<'a>,
    walk: &'a mut W,
    report: &'a mut Report,
    found: Scanned,
    hard_links: HashMap<Link, InodeIndex>,
    /// Directories that are to be entered.
    pending: HashMap<InodeIndex, (W::Place, Scope)>,
}

impl<W: Walk> Scanner<'_, W> {
    fn add_root(&mut self) -> Result<(), CreateError> {
        let found = self.walk.root().map_err(|error| CreateError::read(b"", error))?;
        let scope = self.context.ignored.map(Ignored::top).unwrap_or_default();
        let mut inode = TreeInode::new(found.attributes, 0, found.kind);
        inode.xattr = self.found.xattrs.add(found.xattrs);
        self.found.tree.push_inode(inode);
        self.found.signatures.push(None);
        self.pending.insert(ROOT, (found.place.unwrap_or_default(), scope));
        for reason in found.losses {
            self.report.skip(b".", reason);
        }
        Ok(())
    }

    fn scan_directory(&mut self, index: InodeIndex, open: &mut Vec<InodeIndex>) -> Result<(), CreateError> {
        let path = self.found.tree.path(index);
        let Some((place, scope)) = self.pending.remove(&index) else { return Ok(()) };
        let listed = self.walk.open(&path, place).and_then(|directory| {
            let names = self.walk.names(&directory)?;
            Ok((directory, names))
        });
        let (directory, names) = match listed {
            Ok(listed) => listed,
            Err(error) if is_vanished(error) => {
                self.report.skip(&path, Reason::Vanished);
                return Ok(());
            }
            Err(error) => return Err(CreateError::read(&path, error)),
        };
        let scope = self.enter(scope, &path, &names);
        let first_entry = self.found.tree.entries.len() as EntryIndex;
        let first_inode = self.found.tree.inodes.len() as InodeIndex;
        for name in names {
            let here = Here { index, path: &path, directory: &directory, scope: &scope };
            self.add(&here, name)?;
        }
        let last_entry = self.found.tree.entries.len() as EntryIndex;
        self.found.tree.inode_mut(index).kind = Kind::Directory(first_entry..last_entry);
        // The first of them is to be scanned next.
        let last_inode = self.found.tree.inodes.len() as InodeIndex;
        open.extend((first_inode..last_inode).rev().filter(|child| self.pending.contains_key(child)));
        Ok(())
    }

    fn enter(&self, scope: Scope, path: &[u8], names: &[Box<[u8]>]) -> Scope {
        let has_patterns = names.iter().any(|name| **name == *b".gitignore");
        match self.context.ignored {
            Some(ignored) => ignored.enter(scope, self.context.source, path, has_patterns),
            None => scope,
        }
    }

    fn add(&mut self, here: &Here<'_, W>, name: Box<[u8]>) -> Result<(), CreateError> {
        let path = here.path_of(&name);
        match self.try_add(here, name, &path) {
            Ok(()) => Ok(()),
            Err(error) if is_vanished(error) => {
                self.report.skip(&path, Reason::Vanished);
                Ok(())
            }
            Err(error) => Err(CreateError::read(&path, error)),
        }
    }

    fn try_add(&mut self, here: &Here<'_, W>, name: Box<[u8]>, path: &[u8]) -> rustix::io::Result<()> {
        if let Some(rule) = self.excluding_rule(here.index, &name) {
            return self.leave_out(here, &name, path, rule);
        }
        let mut scope = Scope::default();
        if let Some(ignored) = self.context.ignored {
            let kind = self.walk.glance(here.directory, &name)?.kind;
            match ignored.judge(here.scope, self.context.source, path, kind) {
                Verdict::Keep(inside) => scope = inside,
                Verdict::Ignore(rule) => return self.leave_out(here, &name, path, rule),
            }
        }
        let found = self.walk.look(here.directory, &name, path)?;
        self.push(here.index, name, found, scope);
        Ok(())
    }

    fn excluding_rule(&self, directory: InodeIndex, name: &[u8]) -> Option<Rule> {
        let names = std::iter::once(name).chain(self.found.tree.names_upwards(directory));
        self.context.excludes.rule(&names)
    }

    fn leave_out(
        &mut self,
        here: &Here<'_, W>,
        name: &[u8],
        path: &[u8],
        rule: Rule,
    ) -> rustix::io::Result<()> {
        let glance = self.walk.glance(here.directory, name)?;
        let is_directory = glance.kind == NameKind::Directory;
        let weight = self.weigh(glance, path);
        self.report.leave_out(rule, path, is_directory, weight);
        Ok(())
    }

    /// Counts what is left out. What cannot be read is not counted: it is not wanted either.
    fn weigh(&mut self, glance: Glance<W::Place>, path: &[u8]) -> Weight {
        let mut weight = Weight::default();
        let mut open = Vec::new();
        weight.add(glance, path.to_vec(), &mut open);
        while let Some((path, place)) = open.pop() {
            let Ok(directory) = self.walk.open(&path, place) else { continue };
            for name in self.walk.names(&directory).unwrap_or_default() {
                if let Ok(glance) = self.walk.glance(&directory, &name) {
                    weight.add(glance, join(&path, &name), &mut open);
                }
            }
            if self.context.stop.is_cancelled() {
                break;
            }
        }
        weight
    }

    fn push(&mut self, directory: InodeIndex, name: Box<[u8]>, found: Found<W::Place>, scope: Scope) {
        let tree = &mut self.found.tree;
        let entry = tree.entries.len() as EntryIndex;
        let known = found.link.and_then(|link| self.hard_links.get(&link)).copied();
        let inode = known.unwrap_or(tree.inodes.len() as InodeIndex);
        tree.entries.push(Entry { name, directory, inode });
        match known {
            Some(_) => self.context.meter.found(0),
            None => self.push_inode(entry, found, scope),
        }
    }

    fn push_inode(&mut self, entry: EntryIndex, found: Found<W::Place>, scope: Scope) {
        let mut inode = TreeInode::new(found.attributes, entry, found.kind);
        let bytes = inode.content().filter(|content| !content.kept).map_or(0, |content| content.size);
        inode.xattr = self.found.xattrs.add(found.xattrs);
        let index = self.found.tree.push_inode(inode);
        self.found.signatures.push(found.signature);
        if let Some(link) = found.link {
            self.hard_links.insert(link, index);
        }
        if let Some(place) = found.place {
            self.pending.insert(index, (place, scope));
        }
        for reason in found.losses {
            self.report.skip(&self.found.tree.path(index), reason);
        }
        self.context.meter.found(bytes);
    }
}

/// The directory being scanned.
struct Here<'a, W: Walk> {
    index: InodeIndex,
    path: &'a [u8],
    directory: &'a W::Directory,
    scope: &'a Scope,
}

impl<W: Walk> Here<'_, W> {
    fn path_of(&self, name: &[u8]) -> Vec<u8> {
        join(self.path, name)
    }
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') }
}

impl Weight {
    fn add<P>(&mut self, glance: Glance<P>, path: Vec<u8>, open: &mut Vec<(Vec<u8>, P)>) {
        match (glance.kind, glance.place) {
            (NameKind::Directory, Some(place)) => open.push((path, place)),
            (NameKind::Directory, None) => {}
            (NameKind::File | NameKind::Other, _) => {
                self.files += 1;
                self.bytes += glance.bytes;
            }
        }
    }
}
