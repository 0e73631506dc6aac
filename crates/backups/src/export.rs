//! A backup as a tar stream: ustar with pax records for what does not fit (POSIX.1-2001, pax(1)).

use std::collections::HashMap;

use bytes::Bytes;
use sandkeep_vfs::{FileKind, FileSystem, Inode as Node};
use tokio::sync::mpsc;

use crate::walk::{Item, Unreadable, Walk};
use crate::{Image, RestoreError};

const BLOCK: usize = 512;
/// Largest values of ustar's fields.
const MAX_NAME: usize = 100;
const MAX_OCTAL_7: u64 = 0o777_7777;
const MAX_OCTAL_11: u64 = 0o777_7777_7777;
/// Of files that are long enough to be read in pieces, pieces on their way.
const WAITING: usize = 4;

/// Receives the stream; it ends with an error or with the end of the archive.
pub type TarStream = mpsc::Receiver<Result<Bytes, RestoreError>>;

impl Image {
    /// The image as a tar archive with owners, modes, times, hard links and extended attributes. Sockets, which tar does
    /// not know, are left out. The stream ends early when its receiver is dropped.
    pub fn into_tar(self) -> TarStream {
        let (sender, receiver) = mpsc::channel(WAITING);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut tar = Tar { image: self, sender, links: HashMap::new() };
            if let Err(Stop::Unreadable(unreadable)) = runtime.block_on(tar.write()) {
                let path = String::from_utf8_lossy(&unreadable.path).into_owned();
                let what = format!("{path:?} cannot be read: {}", unreadable.errno);
                let id = tar.image.manifest().id.to_string();
                // Whoever has gone does not need to know.
                drop(tar.sender.blocking_send(Err(RestoreError::DamagedArchive { id, what })));
            }
        });
        receiver
    }
}

enum Stop {
    NobodyListens,
    Unreadable(Unreadable),
}

impl From<Unreadable> for Stop {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

struct Tar {
    image: Image,
    sender: mpsc::Sender<Result<Bytes, RestoreError>>,
    links: HashMap<Node, Vec<u8>>,
}

impl Tar {
    async fn write(&mut self) -> Result<(), Stop> {
        let image = &self.image;
        let mut walk = Walk::nested(image).await?;
        while let Some(item) = walk.next().await? {
            if item.attributes.kind == FileKind::Socket {
                continue;
            }
            let link = self.links.get(&item.node).cloned();
            if item.attributes.links > 1 && item.attributes.kind != FileKind::Directory {
                self.links.entry(item.node).or_insert_with(|| name_of(&item));
            }
            let target = match (&link, item.attributes.kind) {
                (Some(first), _) => first.clone(),
                (None, FileKind::Symlink) => image
                    .read_link(item.node)
                    .await
                    .map_err(|errno| Unreadable { path: item.path.clone(), errno })?,
                _ => Vec::new(),
            };
            let xattrs = if link.is_some() { Vec::new() } else { item.xattrs(image).await? };
            let header = headers(&item, link.is_some(), &target, &xattrs);
            send(&self.sender, header.into()).await?;
            if link.is_none() && item.attributes.kind == FileKind::File {
                let size = item.attributes.size;
                let sender = &self.sender;
                item.read(image, 0..size, async |bytes| send(sender, bytes).await).await?;
                send(sender, padding(size as usize)).await?;
            }
        }
        send(&self.sender, vec![0; 2 * BLOCK].into()).await
    }
}

async fn send(sender: &mpsc::Sender<Result<Bytes, RestoreError>>, bytes: Bytes) -> Result<(), Stop> {
    if bytes.is_empty() {
        return Ok(());
    }
    sender.send(Ok(bytes)).await.map_err(|_| Stop::NobodyListens)
}

fn padding(length: usize) -> Bytes {
    vec![0; length.next_multiple_of(BLOCK) - length].into()
}

/// `./a/b`, and a slash behind directories, as GNU tar has it.
fn name_of(item: &Item) -> Vec<u8> {
    let mut name = b"./".to_vec();
    name.extend_from_slice(&item.path);
    if item.attributes.kind == FileKind::Directory && !item.path.is_empty() {
        name.push(b'/');
    }
    name
}

/// A header, behind one with what does not fit into it.
fn headers(item: &Item, is_link: bool, target: &[u8], xattrs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let name = name_of(item);
    let attributes = &item.attributes;
    let is_content = attributes.kind == FileKind::File && !is_link;
    let size = if is_content { attributes.size } else { 0 };
    let mut records = Vec::new();
    let mut record = |key: &[u8], value: &[u8]| records.extend(pax_record(key, value));
    if name.len() > MAX_NAME || !name.is_ascii() {
        record(b"path", &name);
    }
    if target.len() > MAX_NAME || !target.is_ascii() {
        record(b"linkpath", target);
    }
    for (key, value, limit) in [
        (&b"size"[..], size, MAX_OCTAL_11),
        (b"uid", attributes.uid.into(), MAX_OCTAL_7),
        (b"gid", attributes.gid.into(), MAX_OCTAL_7),
    ] {
        if value > limit {
            record(key, value.to_string().as_bytes());
        }
    }
    for (key, value) in xattrs {
        record(&[b"SCHILY.xattr.", key.as_slice()].concat(), value);
    }
    let mut bytes = Vec::new();
    if !records.is_empty() {
        bytes.extend(header(&Fields {
            name: b"./PaxHeaders",
            kind: b'x',
            size: records.len() as u64,
            mode: 0o644,
            ..Fields::default()
        }));
        let padding = padding(records.len());
        bytes.extend(records);
        bytes.extend(padding);
    }
    let kind = match attributes.kind {
        _ if is_link => b'1',
        FileKind::Directory => b'5',
        FileKind::Symlink => b'2',
        FileKind::CharacterDevice => b'3',
        FileKind::BlockDevice => b'4',
        FileKind::Fifo => b'6',
        FileKind::File | FileKind::Socket => b'0',
    };
    bytes.extend(header(&Fields {
        name: &name,
        target,
        kind,
        size,
        mode: attributes.permissions,
        uid: attributes.uid,
        gid: attributes.gid,
        modified: attributes.modified.seconds.max(0).cast_unsigned(),
        device: attributes.device,
    }));
    bytes
}

/// `LENGTH KEY=VALUE\n`, the length counting itself.
fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} ").into_bytes();
    record.extend_from_slice(key);
    record.push(b'=');
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

#[derive(Default)]
struct Fields<'a> {
    name: &'a [u8],
    target: &'a [u8],
    kind: u8,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    modified: u64,
    device: u32,
}

fn header(fields: &Fields<'_>) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut text = |at: usize, text: &[u8], room: usize| {
        let length = text.len().min(room);
        block[at..at + length].copy_from_slice(&text[..length]);
    };
    text(0, fields.name, MAX_NAME);
    text(157, fields.target, MAX_NAME);
    text(257, b"ustar\x0000", 8);
    let octal =
        |value: u64, digits: usize, limit: u64| format!("{:0digits$o}", value.min(limit)).into_bytes();
    text(100, &octal(fields.mode.into(), 7, MAX_OCTAL_7), 7);
    text(108, &octal(fields.uid.into(), 7, MAX_OCTAL_7), 7);
    text(116, &octal(fields.gid.into(), 7, MAX_OCTAL_7), 7);
    text(124, &octal(fields.size, 11, MAX_OCTAL_11), 11);
    text(136, &octal(fields.modified, 11, MAX_OCTAL_11), 11);
    // Of the packing that squashfs, FUSE and the kernel share.
    let (major, minor) = (fields.device >> 8 & 0xfff, fields.device & 0xff | fields.device >> 12 & 0xf_ff00);
    text(329, &octal(major.into(), 7, MAX_OCTAL_7), 7);
    text(337, &octal(minor.into(), 7, MAX_OCTAL_7), 7);
    text(156, &[fields.kind], 1);
    text(148, b"        ", 8);
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}
