//! From keys in their order to the listings of directories. Pure.

use std::sync::Arc;
use std::time::Duration;

use sandkeep_objects::ListedObject;

use super::Walked;
use crate::listing::{Child, Listing};
use crate::metadata::Defaults;
use crate::names::{is_name, join};

/// Directories whose keys are being listed: each within the one before.
pub(super) struct Builder {
    root: Vec<u8>,
    prefix: Vec<u8>,
    open: Vec<(Vec<u8>, Vec<u8>, Walked)>,
}

impl Builder {
    pub(super) fn new(root: &[u8], prefix: &[u8]) -> Self {
        Self { root: root.to_vec(), prefix: prefix.to_vec(), open: Vec::new() }
    }

    /// Takes the next key in; returns the directories that are complete now, by path. `former` is what was known of a
    /// directory before.
    pub(super) fn add(
        &mut self,
        object: ListedObject,
        fetched: Duration,
        defaults: &Defaults,
        former: impl Fn(&[u8]) -> Option<Arc<Listing>>,
    ) -> Vec<(Vec<u8>, Walked)> {
        let key = object.key.as_bytes().to_vec();
        let Some(rest) = key.strip_prefix(self.prefix.as_slice()) else { return Vec::new() };
        let mut names: Vec<&[u8]> = rest.split(|&byte| byte == b'/').collect();
        let leaf = names.pop().unwrap_or_default();
        let reachable = names.iter().take_while(|name| is_name(name)).count();
        let same = self
            .open
            .iter()
            .zip(&names[..reachable])
            .take_while(|((_, open, _), name)| open == *name)
            .count();
        let finished = self.open.drain(same..).map(|(path, _, walked)| (path, walked)).collect();
        for name in &names[same..reachable] {
            self.enter(name, fetched);
        }
        if reachable == names.len()
            && let Some((path, _, walked)) = self.open.last_mut()
        {
            match leaf {
                b"" => walked.marker = Some(object),
                leaf if is_name(leaf) => {
                    walked.listing.add_object(leaf, object, former(path).as_deref(), defaults);
                }
                _ => {}
            }
        }
        finished
    }

    /// The directories that are complete because there are no more keys.
    pub(super) fn finish(self) -> Vec<(Vec<u8>, Walked)> {
        self.open.into_iter().map(|(path, _, walked)| (path, walked)).collect()
    }

    fn enter(&mut self, name: &[u8], fetched: Duration) {
        let parent = match self.open.last_mut() {
            Some((path, _, walked)) => {
                // A directory hides the object of its name.
                walked.listing.children.insert(name.to_vec(), Child::Directory);
                path.clone()
            }
            None => self.root.clone(),
        };
        let listing = Listing { fetched, ..Listing::default() };
        self.open.push((join(&parent, name), name.to_vec(), Walked { listing, marker: None }));
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use sandkeep_objects::{ETag, ObjectKey};

    use super::*;

    const DEFAULTS: Defaults = Defaults { file_mode: 0o644, directory_mode: 0o755, uid: 0, gid: 0 };

    /// Each directory with its children, directories with a slash, in the order in which they are complete.
    fn walk(keys: &[&str]) -> Vec<String> {
        let mut builder = Builder::new(b"r", b"p/r/");
        let mut done = Vec::new();
        for key in keys {
            let key = ObjectKey::new(key.as_bytes().to_vec()).unwrap();
            let object = ListedObject {
                key,
                size: 1,
                etag: ETag("e".to_owned()),
                last_modified: SystemTime::UNIX_EPOCH,
                metadata: None,
            };
            done.extend(builder.add(object, Duration::ZERO, &DEFAULTS, |_| None));
        }
        done.extend(builder.finish());
        done.iter().map(|(path, walked)| describe(path, walked)).collect()
    }

    fn describe(path: &[u8], walked: &Walked) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let child = |(name, child): (&Vec<u8>, &Child)| match child {
            Child::Directory => format!("{}/", text(name)),
            _ => text(name),
        };
        let children: Vec<String> = walked.listing.children.iter().map(child).collect();
        let marker = if walked.marker.is_some() { "*" } else { "" };
        format!("{}{marker}: {}", text(path), children.join(" "))
    }

    #[test]
    fn directories_are_complete_with_the_first_key_behind_them() {
        let keys = ["p/r/a/", "p/r/a/1", "p/r/a/b/c/2", "p/r/a/z", "p/r/d-", "p/r/d/3"];
        assert_eq!(walk(&keys), ["r/a/b: c/", "r/a/b/c: 2", "r/a*: 1 b/ z", "r/d: 3"]);
    }

    #[test]
    fn a_directory_hides_the_object_of_its_name_and_what_no_path_reaches_is_left_out() {
        assert_eq!(walk(&["p/r/a/b", "p/r/a/b/1"]), ["r/a: b/", "r/a/b: 1"]);
        assert_eq!(walk(&["p/r/a//x", "p/r/a/./y", "p/r/a/1"]), ["r/a: 1"]);
    }
}
