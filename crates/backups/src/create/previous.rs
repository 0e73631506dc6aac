//! What an earlier backup of a directory left on this host: where its archive has the content of each file, and by what
//! to tell that a file has not changed since.
//!
//! ```text
//! magic | u32 length | JSON: Base and the bucket | u64 fragments | rows | u64 files | entries | u128 XXH3 of all before
//! entry: u128 hash of the path | signature | u64 start | u64 sparse | u32 fragment | u32 offset | u32 blocks | blocks
//! ```
//! A file that is damaged or of another version is as good as none: the next backup reads everything.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::attributes::Signature;
use super::base::Base;
use crate::squashfs::format::{BlockSize, FRAGMENT_ROW_BYTES, Fragment};
use crate::squashfs::writer::{Content, Tree};

const MAGIC: &[u8; 8] = b"SKPREV01";
const HASH_BYTES: usize = 16;
/// A file that was changed so shortly before a backup may be changed again without another time: some filesystems
/// count whole seconds.
const RACY_SECONDS: i64 = 2;

/// Where the archive is, beside what a new one needs to know of it.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    location: String,
    key_prefix: String,
    seed: u64,
    base: Base,
}

/// By the hash of the path.
type Files = HashMap<u128, (Signature, Content)>;

/// An earlier backup's knowledge.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) base: Base,
    seed: u64,
    files: Files,
}

impl Previous {
    /// What is at `path`, if it is about a backup in that bucket.
    pub(super) fn load(path: &Path, location: &str, key_prefix: &str) -> Option<Self> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::info!(%error, "what is known of the last backup cannot be read");
                return None;
            }
        };
        let parsed = parse(&bytes);
        if parsed.is_none() {
            tracing::info!("what is known of the last backup is damaged");
        }
        parsed
            .filter(|(head, _)| head.location == location && head.key_prefix == key_prefix)
            .map(|(head, files)| Self { base: head.base, seed: head.seed, files })
    }

    /// Where the archive has the content of a file that looks like this; none if it has changed.
    pub(super) fn content(&self, path: &[u8], signature: &Signature) -> Option<Content> {
        let (known, content) = self.files.get(&xxh3_128_with_seed(path, self.seed))?;
        (known == signature && content.size > 0).then(|| content.clone())
    }
}

/// What is to be left for the next backup.
pub(super) struct Draft {
    seed: u64,
    files: Vec<u8>,
    count: u64,
}

impl Draft {
    /// Of the files whose signatures are known and can be trusted later on.
    pub(super) fn new(tree: &Tree, signatures: &[Option<Signature>], seed: u64, now: SystemTime) -> Self {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        let mut draft = Self { seed, files: Vec::new(), count: 0 };
        for entry in &tree.entries {
            let inode = tree.inode(entry.inode);
            let signature =
                signatures[entry.inode as usize].filter(|known| known.changed_at() < now - RACY_SECONDS);
            let (Some(content), Some(signature)) = (inode.content().filter(|_| !inode.gone), signature)
            else {
                continue;
            };
            if content.size == 0 || content.size != signature.size() {
                continue;
            }
            let mut path = tree.path(entry.directory);
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&entry.name);
            draft.add(&path, &signature, content);
        }
        draft
    }

    fn add(&mut self, path: &[u8], signature: &Signature, content: &Content) {
        self.count += 1;
        let bytes = &mut self.files;
        bytes.extend(xxh3_128_with_seed(path, self.seed).to_le_bytes());
        bytes.extend(signature.encode());
        bytes.extend(content.start.to_le_bytes());
        bytes.extend(content.sparse.to_le_bytes());
        let blocks = content.blocks.as_deref().unwrap_or_default();
        for number in [content.fragment, content.fragment_offset, blocks.len() as u32] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(blocks.iter().flat_map(|size| size.0.to_le_bytes()));
    }

    /// Replaces what is at `path`.
    pub(super) fn write(
        self,
        path: &Path,
        location: String,
        key_prefix: String,
        base: Base,
    ) -> io::Result<()> {
        let fragments = base.fragments.clone();
        let head = serde_json::to_vec(&Head { location, key_prefix, seed: self.seed, base })?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend((head.len() as u32).to_le_bytes());
        bytes.extend(head);
        bytes.extend((fragments.len() as u64).to_le_bytes());
        bytes.extend(fragments.iter().flat_map(|fragment| fragment.encode()));
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.files);
        let hash = xxh3_128(&bytes);
        bytes.extend(hash.to_le_bytes());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let temporary = path.with_extension("new");
        fs::write(&temporary, bytes)?;
        fs::rename(temporary, path)
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

fn parse(bytes: &[u8]) -> Option<(Head, Files)> {
    let (body, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_BYTES)?)?;
    if xxh3_128(body).to_le_bytes() != hash {
        return None;
    }
    let mut cursor = Cursor(body);
    if cursor.take(MAGIC.len())? != MAGIC {
        return None;
    }
    let length = cursor.u32()? as usize;
    let mut head: Head = serde_json::from_slice(cursor.take(length)?).ok()?;
    let fragments = cursor.u64()? as usize;
    let rows = cursor.take(fragments.checked_mul(FRAGMENT_ROW_BYTES)?)?;
    head.base.fragments = rows.as_chunks().0.iter().map(Fragment::decode).collect();
    let count = cursor.u64()?;
    let mut files = HashMap::new();
    for _ in 0..count {
        let (path, file) = file(&mut cursor)?;
        files.insert(path, file);
    }
    Some((head, files))
}

fn file(cursor: &mut Cursor<'_>) -> Option<(u128, (Signature, Content))> {
    let path = u128::from_le_bytes(cursor.array()?);
    let signature = Signature::decode(&cursor.array()?);
    let (start, sparse) = (cursor.u64()?, cursor.u64()?);
    let (fragment, fragment_offset) = (cursor.u32()?, cursor.u32()?);
    let count = cursor.u32()? as usize;
    let blocks = cursor.take(count.checked_mul(4)?)?.as_chunks().0;
    let blocks: Arc<[BlockSize]> = blocks.iter().map(|size| BlockSize(u32::from_le_bytes(*size))).collect();
    let content = Content {
        size: signature.size(),
        start,
        sparse,
        fragment,
        fragment_offset,
        blocks: (!blocks.is_empty()).then_some(blocks),
        kept: true,
    };
    Some((path, (signature, content)))
}

#[cfg(test)]
mod tests {
    use sandkeep_objects::ETag;

    use super::*;
    use crate::squashfs::format::NO_FRAGMENT;

    fn base() -> Base {
        Base {
            id: "0b5a4e4e-6f0c-4c7b-9d8e-1f2a3b4c5d6e".parse().unwrap(),
            etag: ETag("etag".into()),
            codec: 6,
            flags: 0,
            block_bytes: 131_072,
            data_end: 100,
            segments: Vec::new(),
            contains: Vec::new(),
            fragments: vec![Fragment { start: 96, size: BlockSize(4) }],
        }
    }

    fn signature(number: u8) -> Signature {
        let mut bytes = [number; Signature::BYTES];
        bytes[8..16].copy_from_slice(&7_u64.to_le_bytes());
        Signature::decode(&bytes)
    }

    #[test]
    fn a_record_is_read_as_it_was_written_or_not_at_all() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("deep/record");
        let mut draft = Draft { seed: 5, files: Vec::new(), count: 0 };
        let blocks: Arc<[BlockSize]> = [BlockSize(9)].into();
        let content = Content {
            size: 7,
            start: 96,
            sparse: 1,
            fragment: NO_FRAGMENT,
            fragment_offset: 3,
            blocks: Some(blocks),
            kept: true,
        };
        draft.add(b"a/b", &signature(1), &content);
        draft.write(&path, "here".into(), "p/".into(), base()).unwrap();
        let found = Previous::load(&path, "here", "p/").unwrap();
        assert_eq!((found.base.fragments.clone(), found.base.data_end), (base().fragments, 100));
        let kept = found.content(b"a/b", &signature(1)).unwrap();
        assert_eq!(
            (kept.size, kept.start, kept.sparse, kept.fragment_offset, kept.kept),
            (7, 96, 1, 3, true)
        );
        assert_eq!(kept.blocks.unwrap()[0], BlockSize(9));
        assert!(
            found.content(b"a/b", &signature(2)).is_none() && found.content(b"a", &signature(1)).is_none()
        );
        assert!(
            Previous::load(&path, "there", "p/").is_none() && Previous::load(&path, "here", "").is_none()
        );
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert!(parse(&damaged).is_none(), "{at}");
            assert!(parse(&whole[..at]).is_none(), "{at}");
        }
    }
}
