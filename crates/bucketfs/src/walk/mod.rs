//! Tree walks: the directories that a program will list next, listed together.
//!
//! Who lists a directory, one in it and then the next one is walking through a tree (`ls -lR`, `find`, `grep -r`). From
//! there on everything below their common directory is listed without a delimiter: a request for each thousand keys
//! instead of one for each directory. The listings are believed for the metadata age, as all others.

mod builder;
mod task;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandkeep_objects::ListedObject;
use tokio::sync::Notify;

use crate::core::Core;
use crate::listing::Listing;

/// Directories listed in the order of a walk before it is taken for one.
const SURE: u32 = 2;

/// A directory that was listed with others.
#[derive(Debug)]
pub(crate) struct Walked {
    pub(crate) listing: Listing,
    pub(crate) marker: Option<ListedObject>,
}

/// A walk under way.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The path below which everything is listed, and what all keys there start with.
    root: Vec<u8>,
    prefix: Vec<u8>,
    /// The key after which it begins.
    start: Vec<u8>,
    state: Mutex<WalkState>,
    /// Directories were listed, or none will be any more.
    news: Notify,
    /// A directory was taken or is waited for.
    room: Notify,
}

#[derive(Debug, Default)]
struct WalkState {
    /// By path; not yet taken.
    done: HashMap<Vec<u8>, Walked>,
    /// Names in them.
    names: usize,
    /// Objects whose attributes are being asked for.
    asked: usize,
    /// Directories that were changed here since: what was listed of them is outdated.
    changed: HashSet<Vec<u8>>,
    /// The last key that was listed.
    reached: Vec<u8>,
    waiting: usize,
    ended: bool,
}

/// The walk of a mount, if there is one, and what may become one.
#[derive(Debug, Default)]
pub(crate) struct Walks(Mutex<Steps>);

#[derive(Debug, Default)]
struct Steps {
    walk: Option<Arc<Walk>>,
    /// The directory listed last, with when.
    last: Option<(Vec<u8>, Duration)>,
    /// Listings in the order of a walk.
    steps: u32,
}

impl Walks {
    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The walk that goes through a path.
    fn through(&self, path: &[u8]) -> Option<Arc<Walk>> {
        self.steps().walk.clone().filter(|walk| below(path, &walk.root))
    }

    /// Notes that a directory is listed; the directory whose tree is walked through, if that has just become clear.
    fn listed(&self, path: &[u8], now: Duration, pause: Duration) -> Option<Vec<u8>> {
        let mut steps = self.steps();
        let last = steps.last.replace((path.to_vec(), now));
        let root = last
            .filter(|(_, when)| now.saturating_sub(*when) < pause)
            .and_then(|(last, _)| next(&last, path));
        match &root {
            Some(_) => steps.steps += 1,
            None => steps.steps = 0,
        }
        let goes_there = |walk: &Arc<Walk>| {
            let state = walk.state();
            below(path, &walk.root) && (!state.ended || state.done.contains_key(path))
        };
        let known = steps.walk.as_ref().is_some_and(goes_there);
        root.filter(|_| steps.steps >= SURE && !known)
    }

    /// What was listed of a directory is not true any more.
    pub(crate) fn changed(&self, path: &[u8]) {
        let Some(walk) = self.through(path) else { return };
        let mut state = walk.state();
        if let Some(walked) = state.done.remove(path) {
            state.names -= walked.listing.children.len();
        }
        state.changed.insert(path.to_vec());
    }

    /// Directories were moved.
    pub(crate) fn end(&self) {
        let walk = self.steps().walk.take();
        walk.iter().for_each(|walk| walk.end());
    }
}

impl Walk {
    fn state(&self) -> MutexGuard<'_, WalkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.state().ended = true;
        self.news.notify_waiters();
        self.room.notify_one();
    }

    /// The listing of a directory as soon as it is there; none if it will not come.
    async fn take(&self, path: &[u8], keys: &[u8]) -> Option<Walked> {
        let _waiting = Waiting::begin(self);
        loop {
            let news = self.news.notified();
            {
                let mut state = self.state();
                if let Some(walked) = state.done.remove(path) {
                    state.names -= walked.listing.children.len();
                    self.room.notify_one();
                    return Some(walked);
                }
                let passed = !state.reached.is_empty()
                    && state.reached.as_slice() > keys
                    && !state.reached.starts_with(keys);
                if state.ended || passed || state.changed.contains(path) || keys < self.start.as_slice() {
                    return None;
                }
            }
            self.room.notify_one();
            news.await;
        }
    }
}

/// Somebody waits for a directory, also if its future is dropped.
struct Waiting<'a>(&'a Walk);

impl<'a> Waiting<'a> {
    fn begin(walk: &'a Walk) -> Self {
        walk.state().waiting += 1;
        Self(walk)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl Core {
    /// The listing of a directory from a walk through its tree, if it is young enough.
    pub(crate) async fn walked(&self, path: &[u8]) -> Option<Listing> {
        let walk = self.walks.through(path)?;
        let walked = walk.take(path, &self.names.below(path)).await?;
        let age = self.clock.monotonic().saturating_sub(walked.listing.fetched);
        (age < self.settings.metadata_age).then_some(walked.listing)
    }

    /// When a walk saw a directory that has no marker; none if it did not, or too long ago.
    pub(crate) fn seen_without_marker(&self, path: &[u8]) -> Option<Duration> {
        let walk = self.walks.through(path)?;
        let state = walk.state();
        let walked = state.done.get(path).filter(|walked| walked.marker.is_none())?;
        let age = self.clock.monotonic().saturating_sub(walked.listing.fetched);
        (age < self.settings.metadata_age).then_some(walked.listing.fetched)
    }

    /// Notes that a directory is listed, and begins to list what comes next if that is clear.
    pub(crate) fn step(self: &Arc<Self>, path: &[u8]) {
        let pause = self.settings.metadata_age;
        let Some(root) = self.walks.listed(path, self.clock.monotonic(), pause) else { return };
        let prefix = self.names.below(&root);
        // Without the slash, so that what the directory contains is listed too.
        let mut start = self.names.below(path);
        start.pop();
        let walk =
            Walk { root, prefix, start, state: Mutex::default(), news: Notify::new(), room: Notify::new() };
        let walk = Arc::new(walk);
        let former = self.walks.steps().walk.replace(Arc::clone(&walk));
        former.iter().for_each(|former| former.end());
        self.runtime.spawn(task::run(Arc::clone(self), walk));
    }
}

fn below(path: &[u8], root: &[u8]) -> bool {
    match root {
        b"" => !path.is_empty(),
        root => path.strip_prefix(root).is_some_and(|rest| rest.starts_with(b"/")),
    }
}

/// If one who has listed `last` and now lists `path` may be walking through a tree, the directory that is walked through.
fn next(last: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    if below(path, last) {
        return Some(last.to_vec());
    }
    let parent = path.iter().rposition(|&byte| byte == b'/').map_or(&b""[..], |slash| &path[..slash]);
    (path > last && below(last, parent)).then(|| parent.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(paths: &[&str]) -> Vec<Option<String>> {
        let walks = Walks::default();
        let now = Duration::from_secs(1);
        let root = |path: &&str| walks.listed(path.as_bytes(), now, now);
        paths.iter().map(root).map(|root| root.map(|root| String::from_utf8(root).unwrap())).collect()
    }

    #[test]
    fn a_directory_the_first_in_it_and_the_second_are_a_walk() {
        assert_eq!(roots(&["t", "t/a", "t/b"]), [None, None, Some("t".to_owned())]);
        assert_eq!(roots(&["", "a", "b"]), [None, None, Some(String::new())]);
        assert_eq!(roots(&["t", "t/a", "t/a/x", "t/b"])[3], Some("t".to_owned()));
    }

    #[test]
    fn going_here_and_there_is_none() {
        assert_eq!(roots(&["t", "u", "t", "v", "t/a"]), [const { None }; 5]);
        assert_eq!(roots(&["t/a", "t/a", "t/a"]), [const { None }; 3]);
    }
}
