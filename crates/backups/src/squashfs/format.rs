//! The layouts of squashfs 4.0 as values: what the writer encodes and the reader decodes.
//!
//! Numbers are little endian. Owns no I/O, no compression and no order of tables (see `docs/backup-format.md`).
//! <https://dr-emann.github.io/squashfs/squashfs.html>

/// First four bytes of an archive: `hsqs`.
pub(crate) const MAGIC: u32 = 0x7371_7368;
/// Bytes of the superblock.
pub(crate) const SUPERBLOCK_BYTES: usize = 96;
/// Bytes of a metadata block before compression; only the last of a table is shorter.
pub(crate) const METADATA_BLOCK_BYTES: usize = 8192;
/// In the `u16` before a metadata block: the block is stored as it is.
pub(crate) const METADATA_UNCOMPRESSED: u16 = 0x8000;
/// In the `u32` size of a data or fragment block: the block is stored as it is.
pub(crate) const DATA_UNCOMPRESSED: u32 = 1 << 24;
/// Bytes of a data block before compression, in archives that we write.
pub(crate) const BLOCK_BYTES: usize = 128 * 1024;
/// The largest block size that the format allows.
pub(crate) const MAX_BLOCK_BYTES: u32 = 1024 * 1024;
/// "There is no such table" in the superblock.
pub(crate) const NO_TABLE: u64 = u64::MAX;
/// "In no fragment" in a file's inode.
pub(crate) const NO_FRAGMENT: u32 = u32::MAX;
/// "No extended attributes" in an inode.
pub(crate) const NO_XATTR: u32 = u32::MAX;
/// Entries that follow one directory header at most.
pub(crate) const MAX_ENTRIES_PER_HEADER: usize = 256;
/// Bytes added to the size of every directory listing: the dot entries that are not stored.
pub(crate) const DIRECTORY_SIZE_BIAS: u32 = 3;
/// Bytes of a row of the fragment table.
pub(crate) const FRAGMENT_ROW_BYTES: usize = 16;
/// Bytes of a row of the xattr id table.
pub(crate) const XATTR_ROW_BYTES: usize = 16;
/// Distinct user and group ids that an archive can hold.
pub(crate) const MAX_IDS: usize = u16::MAX as usize;

/// Bits of [`Superblock::flags`].
pub(crate) mod flags {
    /// Set by mksquashfs where duplicate files were stored once.
    pub(crate) const DUPLICATES: u16 = 0x0040;
    /// The export table exists: inodes can be found by number.
    pub(crate) const EXPORTABLE: u16 = 0x0080;
    /// Set by mksquashfs where inodes, data, fragments, xattrs and ids are not compressed.
    pub(crate) const UNCOMPRESSED: u16 = 0x0001 | 0x0002 | 0x0008 | 0x0100 | 0x0800;
    /// There are no extended attributes.
    pub(crate) const NO_XATTRS: u16 = 0x0200;
    /// A metadata block with the codec's options follows the superblock.
    pub(crate) const CODEC_OPTIONS: u16 = 0x0400;
}

/// Codec ids of the superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Codec {
    /// zlib streams.
    Gzip = 1,
    /// lz4 blocks without frame.
    Lz4 = 5,
    /// zstd frames.
    Zstd = 6,
}

impl Codec {
    /// None: a codec we do not know (lzma, lzo, xz).
    pub(crate) fn from_id(id: u16) -> Option<Self> {
        [Self::Gzip, Self::Lz4, Self::Zstd].into_iter().find(|codec| *codec as u16 == id)
    }
}

/// The place of something in a metadata table: the start of its block, counted from the table's start in
/// compressed bytes, and the offset in the block's uncompressed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MetadataRef {
    /// Start of the block in the table; at most 48 bits.
    pub(crate) block: u64,
    /// Offset in the block, below [`METADATA_BLOCK_BYTES`].
    pub(crate) offset: u16,
}

impl MetadataRef {
    /// As stored.
    pub(crate) fn to_raw(self) -> u64 {
        self.block << 16 | u64::from(self.offset)
    }

    /// From what is stored.
    pub(crate) fn from_raw(raw: u64) -> Self {
        Self { block: raw >> 16, offset: raw as u16 }
    }
}

/// Size of a data or fragment block as stored; zero: a block of zeros that takes no space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockSize(pub(crate) u32);

impl BlockSize {
    /// A block of zeros.
    pub(crate) const HOLE: Self = Self(0);

    /// Of a block with `bytes` stored bytes.
    pub(crate) fn new(bytes: usize, compressed: bool) -> Self {
        Self(bytes as u32 | if compressed { 0 } else { DATA_UNCOMPRESSED })
    }

    /// Bytes it takes in the archive.
    pub(crate) fn stored_bytes(self) -> u32 {
        self.0 & (DATA_UNCOMPRESSED - 1)
    }

    /// Whether it has to be decompressed.
    pub(crate) fn is_compressed(self) -> bool {
        self.0 & DATA_UNCOMPRESSED == 0
    }
}

/// A row of the fragment table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Absolute position of the block.
    pub(crate) start: u64,
    /// Its size.
    pub(crate) size: BlockSize,
}

impl Fragment {
    /// As stored.
    pub(crate) fn encode(self) -> [u8; FRAGMENT_ROW_BYTES] {
        let mut row = [0; FRAGMENT_ROW_BYTES];
        row[..8].copy_from_slice(&self.start.to_le_bytes());
        row[8..12].copy_from_slice(&self.size.0.to_le_bytes());
        row
    }

    /// From what is stored.
    pub(crate) fn decode(row: &[u8; FRAGMENT_ROW_BYTES]) -> Self {
        Self { start: read_u64(row, 0), size: BlockSize(read_u32(row, 8)) }
    }
}

/// The first 96 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// Inodes in the archive.
    pub(crate) inode_count: u32,
    /// Creation time, seconds since 1970.
    pub(crate) created: u32,
    /// Bytes of a data block before compression: a power of two from 4 KiB to 1 MiB.
    pub(crate) block_bytes: u32,
    /// Rows of the fragment table.
    pub(crate) fragment_count: u32,
    /// Codec id; see [`Codec`].
    pub(crate) codec: u16,
    /// See [`flags`].
    pub(crate) flags: u16,
    /// Rows of the id table.
    pub(crate) id_count: u16,
    /// The root directory's inode.
    pub(crate) root: MetadataRef,
    /// Bytes of the archive up to the end of the last table; what follows is padding and private.
    pub(crate) bytes_used: u64,
    /// Absolute positions of the tables' indexes (id, xattr, fragment, export) or of their first block (inode,
    /// directory); [`NO_TABLE`] where there is none.
    pub(crate) id_table: u64,
    /// See [`Self::id_table`].
    pub(crate) xattr_table: u64,
    /// See [`Self::id_table`].
    pub(crate) inode_table: u64,
    /// See [`Self::id_table`].
    pub(crate) directory_table: u64,
    /// See [`Self::id_table`].
    pub(crate) fragment_table: u64,
    /// See [`Self::id_table`].
    pub(crate) export_table: u64,
}

/// Why 96 bytes are not a superblock of ours to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SuperblockError {
    /// Other magic number.
    Magic,
    /// Not version 4.0.
    Version,
    /// Not a power of two in range, or not the one that its logarithm says.
    BlockSize,
}

impl Superblock {
    /// As stored.
    pub(crate) fn encode(&self) -> [u8; SUPERBLOCK_BYTES] {
        let mut bytes = Vec::with_capacity(SUPERBLOCK_BYTES);
        for number in [MAGIC, self.inode_count, self.created, self.block_bytes, self.fragment_count] {
            bytes.extend(number.to_le_bytes());
        }
        let logarithm = self.block_bytes.trailing_zeros() as u16;
        for number in [self.codec, logarithm, self.flags, self.id_count, 4, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.root.to_raw().to_le_bytes());
        let positions = [
            self.bytes_used,
            self.id_table,
            self.xattr_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        ];
        for position in positions {
            bytes.extend(position.to_le_bytes());
        }
        bytes.try_into().expect("the fields above are 96 bytes")
    }

    /// Checks what makes the other fields meaningful, not their ranges.
    pub(crate) fn decode(bytes: &[u8; SUPERBLOCK_BYTES]) -> Result<Self, SuperblockError> {
        if read_u32(bytes, 0) != MAGIC {
            return Err(SuperblockError::Magic);
        }
        if (read_u16(bytes, 28), read_u16(bytes, 30)) != (4, 0) {
            return Err(SuperblockError::Version);
        }
        let block_bytes = read_u32(bytes, 12);
        let in_range = (4096..=MAX_BLOCK_BYTES).contains(&block_bytes) && block_bytes.is_power_of_two();
        if !in_range || block_bytes.trailing_zeros() != u32::from(read_u16(bytes, 22)) {
            return Err(SuperblockError::BlockSize);
        }
        Ok(Self {
            inode_count: read_u32(bytes, 4),
            created: read_u32(bytes, 8),
            block_bytes,
            fragment_count: read_u32(bytes, 16),
            codec: read_u16(bytes, 20),
            flags: read_u16(bytes, 24),
            id_count: read_u16(bytes, 26),
            root: MetadataRef::from_raw(read_u64(bytes, 32)),
            bytes_used: read_u64(bytes, 40),
            id_table: read_u64(bytes, 48),
            xattr_table: read_u64(bytes, 56),
            inode_table: read_u64(bytes, 64),
            directory_table: read_u64(bytes, 72),
            fragment_table: read_u64(bytes, 80),
            export_table: read_u64(bytes, 88),
        })
    }
}

/// Types of inodes; the extended form of each is the basic one plus 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum InodeType {
    /// Directory.
    Directory = 1,
    /// Regular file.
    File = 2,
    /// Symbolic link.
    Symlink = 3,
    /// Block device.
    BlockDevice = 4,
    /// Character device.
    CharacterDevice = 5,
    /// Named pipe.
    Fifo = 6,
    /// Unix socket.
    Socket = 7,
}

/// Added to an [`InodeType`] for the extended form.
pub(crate) const EXTENDED: u16 = 7;

impl InodeType {
    /// Of a basic type number, as directory entries carry it.
    pub(crate) fn from_basic(number: u16) -> Option<Self> {
        [
            Self::Directory,
            Self::File,
            Self::Symlink,
            Self::BlockDevice,
            Self::CharacterDevice,
            Self::Fifo,
            Self::Socket,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == number)
    }

    /// Of an inode's type number, and whether it is the extended form.
    pub(crate) fn from_number(number: u16) -> Option<(Self, bool)> {
        if number > EXTENDED {
            return Self::from_basic(number - EXTENDED).map(|kind| (kind, true));
        }
        Self::from_basic(number).map(|kind| (kind, false))
    }
}

/// The header of every inode: type `u16`, then these fields in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InodeHeader {
    /// Permission bits with setuid, setgid and sticky; no type bits.
    pub(crate) mode: u16,
    /// Row of the id table.
    pub(crate) uid_row: u16,
    /// Row of the id table.
    pub(crate) gid_row: u16,
    /// Seconds since 1970.
    pub(crate) mtime: u32,
    /// From 1.
    pub(crate) number: u32,
}

/// An inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inode {
    /// What all have.
    pub(crate) header: InodeHeader,
    /// Row of the xattr id table, or [`NO_XATTR`].
    pub(crate) xattr: u32,
    /// Names of it; 2 plus subdirectories for a directory.
    pub(crate) links: u32,
    /// What each kind has.
    pub(crate) body: InodeBody,
}

/// What an inode holds by kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InodeBody {
    /// A directory.
    Directory(DirectoryBody),
    /// A regular file.
    File(FileBody),
    /// A symbolic link's target.
    Symlink(Vec<u8>),
    /// A block device's number, see [`encode_device`].
    BlockDevice(u32),
    /// A character device's number, see [`encode_device`].
    CharacterDevice(u32),
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
}

/// Where a directory's listing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DirectoryBody {
    /// Place of the listing in the directory table; the block has 32 bits.
    pub(crate) listing: MetadataRef,
    /// Bytes of the listing plus [`DIRECTORY_SIZE_BIAS`].
    pub(crate) size: u32,
    /// Inode number of the parent; of the root: inode count plus 1.
    pub(crate) parent: u32,
    /// For lookups in large directories, in order.
    pub(crate) index: Vec<DirectoryIndex>,
}

/// Points to a directory header that stands first in its metadata block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryIndex {
    /// Bytes of the listing before the header.
    pub(crate) listing_offset: u32,
    /// Start of the metadata block in the directory table.
    pub(crate) block: u32,
    /// Name of the first entry behind the header.
    pub(crate) name: Vec<u8>,
}

/// Where a file's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileBody {
    /// Absolute position of the first block.
    pub(crate) start: u64,
    /// Bytes of the file.
    pub(crate) size: u64,
    /// Bytes in holes.
    pub(crate) sparse: u64,
    /// Row of the fragment table, or [`NO_FRAGMENT`].
    pub(crate) fragment: u32,
    /// Where the tail starts in the fragment's uncompressed bytes.
    pub(crate) fragment_offset: u32,
    /// `size / block` of them where the tail is in a fragment, else rounded up.
    pub(crate) blocks: Vec<BlockSize>,
}

/// A header in a directory listing; entries follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryHeader {
    /// Entries that follow; stored minus one.
    pub(crate) count: u32,
    /// Start of the metadata block in the inode table that holds all their inodes.
    pub(crate) inode_block: u32,
    /// Inode number that the entries' differences refer to.
    pub(crate) inode_number: u32,
}

impl DirectoryHeader {
    /// Bytes as stored.
    pub(crate) const BYTES: usize = 12;

    /// As stored.
    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&(self.count - 1).to_le_bytes());
        bytes[4..8].copy_from_slice(&self.inode_block.to_le_bytes());
        bytes[8..].copy_from_slice(&self.inode_number.to_le_bytes());
        bytes
    }
}

/// Bytes of a directory entry before its name: inode offset `u16`, inode number difference `i16`,
/// basic type `u16`, name length minus one `u16`.
pub(crate) const DIRECTORY_ENTRY_BYTES: usize = 8;

/// Bytes of the xattr table's header: position of the key-value blocks `u64`, rows `u32`, unused `u32`; the
/// positions of the row blocks follow.
pub(crate) const XATTR_HEADER_BYTES: usize = 16;
/// In an xattr's type: the value is a `u64` reference to a value elsewhere.
pub(crate) const XATTR_VALUE_ELSEWHERE: u16 = 0x0100;
/// Prefixes of extended attributes; the type stored is the index.
pub(crate) const XATTR_PREFIXES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];

/// A row of the xattr id table: the attributes of one or more inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct XattrRow {
    /// Place of the first, from the start of the key-value blocks.
    pub(crate) first: MetadataRef,
    /// How many.
    pub(crate) count: u32,
    /// Bytes they take before compression.
    pub(crate) bytes: u32,
}

impl XattrRow {
    /// As stored.
    pub(crate) fn encode(self) -> [u8; XATTR_ROW_BYTES] {
        let mut row = [0; XATTR_ROW_BYTES];
        row[..8].copy_from_slice(&self.first.to_raw().to_le_bytes());
        row[8..12].copy_from_slice(&self.count.to_le_bytes());
        row[12..].copy_from_slice(&self.bytes.to_le_bytes());
        row
    }

    /// From what is stored.
    pub(crate) fn decode(row: &[u8; XATTR_ROW_BYTES]) -> Self {
        Self {
            first: MetadataRef::from_raw(read_u64(row, 0)),
            count: read_u32(row, 8),
            bytes: read_u32(row, 12),
        }
    }
}

/// A device number as stored: Linux's `new_encode_dev`, 12 bits of major and 20 of minor.
pub(crate) fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12
}

/// Two bytes at `at`.
pub(crate) fn read_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes at `at`.
pub(crate) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from(read_u16(bytes, at)) | u32::from(read_u16(bytes, at + 2)) << 16
}

/// Eight bytes at `at`.
pub(crate) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from(read_u32(bytes, at)) | u64::from(read_u32(bytes, at + 4)) << 32
}
