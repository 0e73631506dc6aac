//! Everything in an image, in the order of the archive.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use sandkeep_vfs::{
    Attributes, Caller, DirectoryEntry, Errno, FileHandle, FileKind, FileSystem, Inode as Node,
};

use crate::Image;

/// Names asked for at once.
const LISTED: usize = 1024;
/// Bytes asked for at once.
pub(crate) const READ_BYTES: u32 = 1 << 20;
/// Reads under way: the image fetches ahead, this keeps its unpacking busy.
const CONCURRENT_READS: usize = 4;
const NOBODY: Caller = Caller { uid: 0, gid: 0, pid: 0 };

/// A name in an image.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Below the root; empty for the root.
    pub(crate) path: Vec<u8>,
    pub(crate) node: Node,
    pub(crate) attributes: Attributes,
}

/// What could not be read, and why.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) path: Vec<u8>,
    pub(crate) errno: Errno,
}

/// Goes through an image: each directory's names together, then what is in its directories.
pub(crate) struct Walk<'a> {
    image: &'a Image,
    open: Vec<Item>,
    ready: Vec<Item>,
    is_nested: bool,
}

impl<'a> Walk<'a> {
    pub(crate) async fn new(image: &'a Image) -> Result<Self, Unreadable> {
        let attributes = image.attributes(Node::ROOT, None).await;
        let attributes = attributes.map_err(|errno| Unreadable { path: Vec::new(), errno })?.attributes;
        let root = Item { path: Vec::new(), node: Node::ROOT, attributes };
        Ok(Self { image, open: vec![root.clone()], ready: vec![root], is_nested: false })
    }

    /// What is in a directory follows it at once, as tar wants it.
    pub(crate) async fn nested(image: &'a Image) -> Result<Self, Unreadable> {
        Ok(Self { open: Vec::new(), is_nested: true, ..Self::new(image).await? })
    }

    /// The next name; the root comes first.
    pub(crate) async fn next(&mut self) -> Result<Option<Item>, Unreadable> {
        while self.ready.is_empty() {
            let Some(directory) = self.open.pop() else { return Ok(None) };
            let mut names = self.names(&directory).await?;
            names.reverse();
            // The first of them is to be opened next.
            self.open
                .extend(names.iter().filter(|item| item.attributes.kind == FileKind::Directory).cloned());
            self.ready = names;
        }
        let next = self.ready.pop();
        if let Some(directory) =
            next.as_ref().filter(|next| self.is_nested && next.attributes.kind == FileKind::Directory)
        {
            let names = self.names(directory).await?;
            self.ready.extend(names.into_iter().rev());
        }
        Ok(next)
    }

    async fn names(&self, directory: &Item) -> Result<Vec<Item>, Unreadable> {
        let failed = |errno| Unreadable { path: directory.path.clone(), errno };
        let mut names = Vec::new();
        let mut offset = 0;
        loop {
            let handle = FileHandle(directory.node.0);
            let page = self.image.read_directory(directory.node, handle, offset, LISTED, true).await;
            let page = page.map_err(failed)?;
            let Some(last) = page.last() else { return Ok(names) };
            offset = last.next_offset;
            for entry in page.into_iter().filter(|entry| !matches!(entry.name.as_slice(), b"." | b"..")) {
                names.push(self.item(directory, entry).await?);
            }
        }
    }

    async fn item(&self, directory: &Item, entry: DirectoryEntry) -> Result<Item, Unreadable> {
        let path = match directory.path.as_slice() {
            b"" => entry.name.clone(),
            above => [above, &entry.name].join(&b'/'),
        };
        let failed = |errno| Unreadable { path: path.clone(), errno };
        let found = match entry.entry {
            Some(found) => found,
            None => self.image.lookup(NOBODY, directory.node, &entry.name).await.map_err(failed)?,
        };
        if found.attributes.inode.0 == 0 {
            return Err(failed(Errno::EIO));
        }
        Ok(Item { path, node: found.attributes.inode, attributes: found.attributes })
    }
}

impl Item {
    /// Visits a part of a file's content, in order.
    pub(crate) async fn read<E>(
        &self,
        image: &Image,
        range: std::ops::Range<u64>,
        mut visit: impl AsyncFnMut(Bytes) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<Unreadable>,
    {
        let step = u64::from(READ_BYTES);
        let starts = (range.start..range.end).step_by(READ_BYTES as usize);
        let reads = starts.map(|start| {
            let length = step.min(range.end - start) as u32;
            image.read(self.node, FileHandle(self.node.0), start, length)
        });
        let mut reads = std::pin::pin!(stream::iter(reads).buffered(CONCURRENT_READS));
        while let Some(read) = reads.next().await {
            for bytes in read.map_err(|errno| Unreadable { path: self.path.clone(), errno })? {
                visit(bytes).await?;
            }
        }
        Ok(())
    }

    /// All extended attributes.
    pub(crate) async fn xattrs(&self, image: &Image) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Unreadable> {
        let failed = |errno| Unreadable { path: self.path.clone(), errno };
        let mut found = Vec::new();
        for name in image.list_xattrs(self.node).await.map_err(failed)? {
            let value = image.get_xattr(self.node, &name).await.map_err(failed)?;
            found.push((name, value));
        }
        Ok(found)
    }
}

/// Reads all that there is; the path of what cannot be read is the error.
pub(crate) async fn read_everything(image: &Image, read: &(dyn Fn(u64) + Sync)) -> Result<(), Vec<u8>> {
    let failed = |unreadable: Unreadable| unreadable.path;
    let mut walk = Walk::new(image).await.map_err(failed)?;
    while let Some(item) = walk.next().await.map_err(failed)? {
        item.xattrs(image).await.map_err(failed)?;
        if item.attributes.kind == FileKind::Symlink {
            image.read_link(item.node).await.map_err(|_| item.path.clone())?;
        }
        if item.attributes.kind == FileKind::File {
            let visit = async |bytes: Bytes| -> Result<(), Unreadable> {
                read(bytes.len() as u64);
                Ok(())
            };
            item.read(image, 0..item.attributes.size, visit).await.map_err(failed)?;
        }
    }
    Ok(())
}
