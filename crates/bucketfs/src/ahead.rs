//! Directory read-ahead: the files that a program will open next, fetched before it asks.
//!
//! For programs that read many small files in the order of a listing. What was fetched is believed for the metadata age,
//! as everything that was asked: a file that is opened then needs no request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sandkeep_objects::ObjectInfo;
use sandkeep_vfs::Inode;

use crate::core::Core;
use crate::listing::{Child, Listing, ObjectChild};
use crate::lookup::version;
use crate::metadata::Stored;
use crate::names::join;
use crate::node::Node;
use crate::read::{ORDERS, Plan, Progress, Reader};

/// Larger files are read ahead only once they are read.
const MAX_SMALL: u64 = 1 << 20;

/// Directories with more names cost too much to put in order for a file that may be the only one.
const MAX_ORDERED: usize = 50_000;

/// How long a thread that went through one directory in order is expected to do so with the next.
const CARRIED: Duration = Duration::from_secs(5);

/// Threads that are remembered.
const MAX_THREADS: usize = 256;

/// Files of a directory in their orders, and those that were fetched.
#[derive(Debug)]
pub(crate) struct Following {
    names: Vec<(Vec<u8>, Arc<ObjectChild>)>,
    /// Positions by name.
    positions: HashMap<Vec<u8>, [usize; ORDERS]>,
    /// Indexes of `names` by inode number.
    by_number: Vec<usize>,
    progress: Progress,
    /// Age of the listing that the names are from.
    built: Duration,
    fetched: HashMap<Vec<u8>, Fetched>,
}

/// A file that was fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) reader: Arc<Reader>,
    pub(crate) asked: Duration,
}

/// Threads that went through a directory in order, with when.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<HashMap<u32, Duration>>);

impl Followers {
    fn note(&self, thread: u32, now: Duration) {
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() >= MAX_THREADS {
            threads.retain(|_, last| now.saturating_sub(*last) < CARRIED);
        }
        if threads.len() < MAX_THREADS {
            threads.insert(thread, now);
        }
    }

    fn expects(&self, thread: u32, now: Duration) -> bool {
        let threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.get(&thread).is_some_and(|last| now.saturating_sub(*last) < CARRIED)
    }
}

impl Core {
    /// A file is opened for reading: fetches those that will be opened next.
    pub(crate) fn read_along(self: &Arc<Self>, thread: u32, node: &Node) {
        let Some((parent, name)) = self.table.place(node.inode) else { return };
        let Some(directory) = self.table.get(parent) else { return };
        let Some(listing) = directory.state().directory.listing.clone() else { return };
        if !(2..=MAX_ORDERED).contains(&listing.children.len()) {
            return;
        }
        let now = self.clock.monotonic();
        let known = directory
            .state()
            .directory
            .following
            .as_ref()
            .is_some_and(|following| following.knows(&name, &listing));
        if !known {
            let expects = self.followers.expects(thread, now);
            let following = Following::new(&listing, expects, |name| self.table.number(parent, name));
            directory.state().directory.following = Some(Box::new(following));
        }
        let (wanted, sure) = match &mut directory.state().directory.following {
            Some(following) => {
                (following.opened(&name, now, self.settings.metadata_age), following.progress.sure())
            }
            None => return,
        };
        if sure {
            self.followers.note(thread, now);
        }
        self.fetch_files(&directory, wanted);
    }

    fn fetch_files(self: &Arc<Self>, directory: &Arc<Node>, wanted: Vec<(Vec<u8>, Arc<ObjectChild>)>) {
        let Some(path) = self.table.path(directory.inode) else { return };
        let now = self.clock.monotonic();
        for (name, object) in wanted {
            let known = self.table.child(directory.inode, &name);
            if known.is_some_and(|node| !node.is_directory() && node.state().file.dirty()) {
                continue;
            }
            let Ok(key) = self.names.object(&join(&path, &name)) else { continue };
            let reader = Reader::new(object.version.clone());
            // Without memory there is no reading ahead.
            if !reader.begin_first(self, &key) {
                return;
            }
            if let Some(following) = &mut directory.state().directory.following {
                following.fetched.insert(name, Fetched { reader, asked: now });
            }
        }
    }

    /// What was fetched ahead of a name and is still believed, once the bucket has answered; none if it has another
    /// version by now.
    pub(crate) async fn fetched_ahead(&self, parent: &Node, name: &[u8]) -> Option<(Fetched, ObjectInfo)> {
        let fetched = parent.state().directory.following.as_ref()?.fetched.get(name)?.clone();
        let age = self.clock.monotonic().saturating_sub(fetched.asked);
        if age >= self.settings.metadata_age {
            return None;
        }
        let info = fetched.reader.first_info().await?;
        Some((fetched, info))
    }

    /// Takes what was fetched ahead of a file that is opened.
    pub(crate) async fn take_fetched(&self, node: &Node) {
        let Some((parent, name)) = self.table.place(node.inode) else { return };
        let Some(parent) = self.table.get(parent) else { return };
        let fetched = self.fetched_ahead(&parent, &name).await;
        if let Some(following) = &mut parent.state().directory.following {
            following.fetched.remove(&name);
        }
        let Some((fetched, info)) = fetched else { return };
        let stored = Stored::decode(info.metadata.clone(), info.last_modified, false, &self.defaults);
        node.adopt_object(&stored, &version(&info), fetched.asked);
        let mut state = node.state();
        let same = state.file.version.as_ref().is_some_and(|version| version.etag == info.etag);
        if same && state.file.reader.is_none() && state.file.draft.is_none() {
            state.file.reader = Some(fetched.reader);
        }
    }
}

impl Following {
    fn new(listing: &Listing, expects: bool, number: impl Fn(&[u8]) -> Inode) -> Self {
        let files = listing.children.iter().filter_map(|(name, child)| match child {
            Child::Object(object) if (1..=MAX_SMALL).contains(&object.version.size) => {
                Some((name.clone(), Arc::clone(object)))
            }
            _ => None,
        });
        let names: Vec<_> = files.collect();
        let numbers: Vec<Inode> = names.iter().map(|(name, _)| number(name)).collect();
        let mut by_number: Vec<usize> = (0..names.len()).collect();
        by_number.sort_by_key(|&index| numbers[index].0);
        let mut positions: HashMap<Vec<u8>, [usize; ORDERS]> =
            names.iter().enumerate().map(|(index, (name, _))| (name.clone(), [index, 0])).collect();
        for (position, &index) in by_number.iter().enumerate() {
            if let Some(both) = positions.get_mut(&names[index].0) {
                both[1] = position;
            }
        }
        let progress = if expects { Progress::expecting() } else { Progress::default() };
        Self { names, positions, by_number, progress, built: listing.fetched, fetched: HashMap::new() }
    }

    /// Whether nothing more could be learned of a name from a listing.
    fn knows(&self, name: &[u8], listing: &Listing) -> bool {
        self.built == listing.fetched || self.positions.contains_key(name)
    }

    /// Files to fetch now that this one is opened.
    fn opened(&mut self, name: &[u8], now: Duration, age: Duration) -> Vec<(Vec<u8>, Arc<ObjectChild>)> {
        let Some(&at) = self.positions.get(name) else { return Vec::new() };
        let too_old = |fetched: &Fetched| now.saturating_sub(fetched.asked) >= age;
        let wasted = self.fetched.get(name).is_some_and(too_old);
        self.fetched.retain(|_, fetched| !too_old(fetched));
        let Some(Plan { order, files }) = self.progress.opened(at, self.names.len(), wasted) else {
            return Vec::new();
        };
        let index = |position: usize| if order == 0 { position } else { self.by_number[position] };
        files.map(|position| self.names[index(position)].clone()).collect()
    }
}
