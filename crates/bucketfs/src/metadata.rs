//! What is stored with an object, in the form that s3fs reads and writes.
//!
//! `mode` (decimal, with type bits), `uid`, `gid`, `mtime`, `atime`, `ctime` (seconds, with nine digits of fraction
//! where there is one) and `xattr` are ours; every other header and `x-amz-meta-*` is kept untouched.
//! <https://github.com/s3fs-fuse/s3fs-fuse/blob/master/src/metaheader.cpp>

use std::collections::BTreeMap;
use std::time::SystemTime;

use sandkeep_objects::ObjectMetadata;
use sandkeep_vfs::{FileKind, Timestamp};

use crate::xattrs;

/// Content type of directory markers.
pub(crate) const DIRECTORY_CONTENT_TYPE: &str = "application/x-directory";

/// S3 takes 2 KiB of user metadata, names included.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
pub(crate) const MAX_USER_METADATA: usize = 2048;

/// What objects without metadata are given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    /// Permissions of files.
    pub(crate) file_mode: u32,
    /// Permissions of directories.
    pub(crate) directory_mode: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
}

/// Everything that is stored beside the bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Type.
    pub(crate) kind: FileKind,
    /// Permission bits (07777).
    pub(crate) permissions: u32,
    /// Owner as stored.
    pub(crate) uid: u32,
    /// Group as stored.
    pub(crate) gid: u32,
    /// Last access.
    pub(crate) accessed: Timestamp,
    /// Last change of the content.
    pub(crate) modified: Timestamp,
    /// Last change of anything.
    pub(crate) changed: Timestamp,
    /// Extended attributes.
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// Headers and user metadata that are not ours.
    pub(crate) foreign: ObjectMetadata,
}

impl Stored {
    /// Something new, all times `now`.
    pub(crate) fn new(kind: FileKind, permissions: u32, owner: (u32, u32), now: Timestamp) -> Self {
        let content_type = (kind == FileKind::Directory).then(|| DIRECTORY_CONTENT_TYPE.to_owned());
        Self {
            kind,
            permissions: permissions & 0o7777,
            uid: owner.0,
            gid: owner.1,
            accessed: now,
            modified: now,
            changed: now,
            xattrs: BTreeMap::new(),
            foreign: ObjectMetadata { content_type, ..ObjectMetadata::default() },
        }
    }

    /// A directory that has no marker.
    pub(crate) fn implied_directory(defaults: &Defaults, time: Timestamp) -> Self {
        Self::new(FileKind::Directory, defaults.directory_mode, (defaults.uid, defaults.gid), time)
    }

    /// Reads the metadata of an object, or of a marker if `directory`.
    pub(crate) fn decode(
        mut metadata: ObjectMetadata,
        last_modified: SystemTime,
        directory: bool,
        defaults: &Defaults,
    ) -> Self {
        let user = &mut metadata.user;
        let mode = take_mode(user);
        let uid = take_number(user, "uid").and_then(|id| u32::try_from(id).ok()).unwrap_or(defaults.uid);
        let gid = take_number(user, "gid").and_then(|id| u32::try_from(id).ok()).unwrap_or(defaults.gid);
        let modified = take_time(user, "mtime").unwrap_or_else(|| last_modified.into());
        let changed = take_time(user, "ctime").unwrap_or(modified);
        let accessed = take_time(user, "atime").unwrap_or(modified);
        let xattrs = take_xattrs(user);
        let kind = kind(mode, directory);
        let default_mode = if directory { defaults.directory_mode } else { defaults.file_mode };
        let permissions = mode.unwrap_or(default_mode) & 0o7777;
        Self { kind, permissions, uid, gid, accessed, modified, changed, xattrs, foreign: metadata }
    }

    /// The metadata to store.
    pub(crate) fn encode(&self) -> ObjectMetadata {
        let mut metadata = self.foreign.clone();
        let mut set = |name: &str, value: String| metadata.user.insert(name.to_owned(), value);
        set("mode", (self.kind.mode_bits() | self.permissions).to_string());
        set("uid", self.uid.to_string());
        set("gid", self.gid.to_string());
        set("atime", format_time(self.accessed));
        set("mtime", format_time(self.modified));
        set("ctime", format_time(self.changed));
        if !self.xattrs.is_empty() {
            set("xattr", xattrs::encode(&self.xattrs));
        }
        metadata
    }

    /// Whether the provider will take this metadata.
    pub(crate) fn fits(&self) -> bool {
        let user = self.encode().user;
        user.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() <= MAX_USER_METADATA
    }
}

fn kind(mode: Option<u32>, directory: bool) -> FileKind {
    match mode.and_then(FileKind::from_mode) {
        _ if directory => FileKind::Directory,
        // A directory is what ends with a slash; the bytes of anything else must stay reachable.
        None | Some(FileKind::Directory) => FileKind::File,
        Some(kind) => kind,
    }
}

/// s3fs writes modes in decimal, rclone in octal: one of the two has a type that exists, or no type.
fn take_mode(user: &mut BTreeMap<String, String>) -> Option<u32> {
    let text = user.get("mode")?.trim();
    let read = |radix| u32::from_str_radix(text, radix).ok().filter(|mode| is_mode(*mode));
    let mode = read(10).or_else(|| read(8))?;
    user.remove("mode");
    Some(mode)
}

fn is_mode(mode: u32) -> bool {
    mode <= 0o7777 || (mode <= 0o177_777 && FileKind::from_mode(mode).is_some())
}

fn take_number(user: &mut BTreeMap<String, String>, name: &str) -> Option<i64> {
    let number = user.get(name)?.trim().parse().ok()?;
    user.remove(name);
    Some(number)
}

fn take_time(user: &mut BTreeMap<String, String>, name: &str) -> Option<Timestamp> {
    let time = parse_time(user.get(name)?.trim())?;
    user.remove(name);
    Some(time)
}

fn take_xattrs(user: &mut BTreeMap<String, String>) -> BTreeMap<String, Vec<u8>> {
    match user.get("xattr").and_then(|text| xattrs::decode(text)) {
        Some(xattrs) => {
            user.remove("xattr");
            xattrs
        }
        None => BTreeMap::new(),
    }
}

/// Reads `12`, `12.5`, `12.345678901`; a fraction counts forward, also from negative seconds, as s3fs has it.
fn parse_time(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some(Timestamp { seconds: seconds.parse().ok()?, nanoseconds: digits.parse().ok()? })
}

fn format_time(time: Timestamp) -> String {
    match time.nanoseconds {
        0 => time.seconds.to_string(),
        nanoseconds => format!("{}.{nanoseconds:09}", time.seconds),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEFAULTS: Defaults = Defaults { file_mode: 0o644, directory_mode: 0o755, uid: 7, gid: 8 };

    fn metadata(user: &[(&str, &str)]) -> ObjectMetadata {
        let user = user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ObjectMetadata { user, ..ObjectMetadata::default() }
    }

    fn decode(user: &[(&str, &str)]) -> Stored {
        Stored::decode(metadata(user), SystemTime::UNIX_EPOCH, false, &DEFAULTS)
    }

    #[test]
    fn what_s3fs_wrote_is_understood() {
        let stored = decode(&[
            ("mode", "33188"),
            ("uid", "1000"),
            ("gid", "1001"),
            ("mtime", "1700000000.000000012"),
            ("ctime", "-2.5"),
            ("xattr", "%7B%22user.a%22%3A%22Yg%3D%3D%22%7D"),
            ("colour", "blue"),
        ]);
        assert_eq!(
            (stored.kind, stored.permissions, stored.uid, stored.gid),
            (FileKind::File, 0o644, 1000, 1001)
        );
        assert_eq!(stored.modified, Timestamp { seconds: 1_700_000_000, nanoseconds: 12 });
        assert_eq!(stored.changed, Timestamp { seconds: -2, nanoseconds: 500_000_000 });
        assert_eq!(stored.xattrs["user.a"], b"b");
        assert_eq!(stored.foreign, metadata(&[("colour", "blue")]));
    }

    #[test]
    fn objects_without_metadata_get_defaults() {
        let stored = decode(&[]);
        assert_eq!((stored.kind, stored.permissions, stored.uid, stored.gid), (FileKind::File, 0o644, 7, 8));
        assert_eq!(stored.modified, Timestamp::default());
    }

    #[test]
    fn what_cannot_be_read_is_kept() {
        let stored = decode(&[("mtime", "yesterday"), ("xattr", "{")]);
        assert_eq!(stored.foreign, metadata(&[("mtime", "yesterday"), ("xattr", "{")]));
    }

    #[test]
    fn modes_are_understood_in_decimal_and_in_octal() {
        for (text, permissions) in [("33188", 0o644), ("100640", 0o640), ("420", 0o644), ("0", 0)] {
            assert_eq!(decode(&[("mode", text)]).permissions, permissions, "{text}");
        }
        let kept = decode(&[("mode", "drwx")]);
        assert_eq!((kept.permissions, kept.foreign), (0o644, metadata(&[("mode", "drwx")])));
    }

    #[test]
    fn symbolic_links_are_objects_with_their_type_in_the_mode() {
        assert_eq!(decode(&[("mode", "41471")]).kind, FileKind::Symlink);
    }

    fn any_time() -> impl Strategy<Value = Timestamp> {
        (-99_999_999_999i64..99_999_999_999, 0u32..1_000_000_000)
            .prop_map(|(seconds, nanoseconds)| Timestamp { seconds, nanoseconds })
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            permissions in 0u32..0o10000, uid: u32, gid: u32, times in [any_time(), any_time(), any_time()],
            xattrs in proptest::collection::btree_map("user\\.[ -~é]{1,20}", any::<Vec<u8>>(), 0..4),
            content_type in proptest::option::of("[a-z/]+"),
        ) {
            let [accessed, modified, changed] = times;
            let foreign = ObjectMetadata { content_type, ..metadata(&[("other", "kept")]) };
            let stored = Stored { kind: FileKind::File, permissions, uid, gid, accessed, modified, changed, xattrs, foreign };
            prop_assert_eq!(Stored::decode(stored.encode(), SystemTime::UNIX_EPOCH, false, &DEFAULTS), stored);
        }

        #[test]
        fn nothing_in_a_header_makes_decoding_fail(mode: String, time: String, xattr: String) {
            let _ = decode(&[("mode", &mode), ("mtime", &time), ("xattr", &xattr)]);
        }
    }
}
