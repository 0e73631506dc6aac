//! The rules between keys and paths.
//!
//! A path is the names below the mount's root joined by `/`; the root's is empty. Keys that no path reaches
//! (`a//b`, `.`, `..`, NUL, names above 255 bytes) are never shown and never made.

use sandkeep_objects::ObjectKey;
use sandkeep_vfs::Errno;

use crate::errno::Result;

/// Longest name that Linux lets through, see path_resolution(7).
pub(crate) const MAX_NAME_BYTES: usize = 255;

/// Key rules below one prefix.
#[derive(Debug)]
pub(crate) struct Names {
    prefix: Vec<u8>,
}

/// What a key in the listing of a directory is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Listed<'a> {
    /// The directory's own marker.
    Marker,
    /// A child of this name.
    Child(&'a [u8]),
    /// No path leads there.
    Unreachable,
}

impl Names {
    /// Rules below `prefix`, which is empty or ends with a slash.
    pub(crate) fn new(prefix: &str) -> Self {
        let mut prefix = prefix.as_bytes().to_vec();
        if !prefix.is_empty() && !prefix.ends_with(b"/") {
            prefix.push(b'/');
        }
        Self { prefix }
    }

    /// The key of the object at `path`.
    pub(crate) fn object(&self, path: &[u8]) -> Result<ObjectKey> {
        key([self.prefix.as_slice(), path].concat())
    }

    /// What all keys below the directory at `path` start with.
    pub(crate) fn below(&self, path: &[u8]) -> Vec<u8> {
        let mut prefix = [self.prefix.as_slice(), path].concat();
        if !path.is_empty() {
            prefix.push(b'/');
        }
        prefix
    }

    /// The key of a directory's marker; none for the root of a whole bucket.
    pub(crate) fn marker(&self, path: &[u8]) -> Result<Option<ObjectKey>> {
        match self.below(path) {
            prefix if prefix.is_empty() => Ok(None),
            prefix => key(prefix).map(Some),
        }
    }
}

/// The path of `name` in the directory at `path`.
pub(crate) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

/// Refuses what cannot be a new name.
pub(crate) fn check(name: &[u8]) -> Result<()> {
    match name {
        name if name.len() > MAX_NAME_BYTES => Err(Errno::ENAMETOOLONG),
        name if is_name(name) => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// Tells what a listed key, or a common prefix with its last slash, is in the directory whose keys start with `below`.
pub(crate) fn classify<'a>(below: &[u8], listed: &'a [u8]) -> Listed<'a> {
    let Some(rest) = listed.strip_prefix(below) else { return Listed::Unreachable };
    if rest.is_empty() {
        return Listed::Marker;
    }
    match rest.strip_suffix(b"/").unwrap_or(rest) {
        name if is_name(name) => Listed::Child(name),
        _ => Listed::Unreachable,
    }
}

/// Whether a path may have this name in it.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let special = matches!(name, b"" | b"." | b"..");
    !special && name.len() <= MAX_NAME_BYTES && !name.iter().any(|&byte| byte == b'/' || byte == 0)
}

fn key(bytes: Vec<u8>) -> Result<ObjectKey> {
    ObjectKey::new(bytes).map_err(|_| Errno::ENAMETOOLONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_keys_are_markers_children_or_unreachable() {
        let check =
            |listed: &'static [u8], expected| assert_eq!(classify(b"p/d/", listed), expected, "{listed:?}");
        check(b"p/d/", Listed::Marker);
        check(b"p/d/a", Listed::Child(b"a"));
        check(b"p/d/a/", Listed::Child(b"a"));
        check(b"p/d/\xff", Listed::Child(b"\xff"));
        for unreachable in [&b"p/d//"[..], b"p/d/.", b"p/d/../", b"p/d/a\0b", b"p/d//a", b"q"] {
            assert_eq!(classify(b"p/d/", unreachable), Listed::Unreachable, "{unreachable:?}");
        }
        assert_eq!(classify(b"", &[b'n'; 256]), Listed::Unreachable);
        assert_eq!(classify(b"", &[b'n'; 255]), Listed::Child(&[b'n'; 255]));
    }

    #[test]
    fn paths_become_keys_below_the_prefix() {
        let names = Names::new("p/q");
        assert_eq!(names.object(b"a/b").unwrap().as_bytes(), b"p/q/a/b");
        assert_eq!(names.below(b""), b"p/q/");
        assert_eq!(names.below(b"a"), b"p/q/a/");
        assert_eq!(names.marker(b"").unwrap().unwrap().as_bytes(), b"p/q/");
        assert_eq!(Names::new("").marker(b"").unwrap(), None);
        assert_eq!(names.object(&[b'x'; 1022]), Err(Errno::ENAMETOOLONG));
    }

    #[test]
    fn impossible_names_are_refused() {
        assert_eq!(check(&[b'n'; 256]), Err(Errno::ENAMETOOLONG));
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0"] {
            assert_eq!(check(name), Err(Errno::EINVAL), "{name:?}");
        }
        assert_eq!(check(b"...a b"), Ok(()));
    }
}
