//! The nouns of a filesystem.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Names a file or directory for the life of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Inode(pub u64);

impl Inode {
    /// The root directory.
    pub const ROOT: Self = Self(1);
}

/// Names an open file or directory. Describe the file in it where possible, because a worker that takes a
/// mount over sees handles that its predecessor gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileHandle(pub u64);

/// The kernel's opaque name of whoever holds a descriptor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockOwner(pub u64);

/// Who asks. Ids are those of the user namespace that the mount belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Thread; 0 for the kernel itself.
    pub pid: u32,
}

/// Seconds and nanoseconds since 1970; seconds may be negative, nanoseconds are 0 to 999,999,999 and count forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds.
    pub nanoseconds: u32,
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self { seconds: after.as_secs() as i64, nanoseconds: after.subsec_nanos() },
            Err(before) => {
                let before = before.duration();
                let carry = u32::from(before.subsec_nanos() > 0);
                Self {
                    seconds: -(before.as_secs() as i64) - i64::from(carry),
                    nanoseconds: (1_000_000_000 * carry) - before.subsec_nanos(),
                }
            }
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        let seconds = Duration::from_secs(time.seconds.unsigned_abs());
        let whole = if time.seconds < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds };
        whole + Duration::from_nanos(u64::from(time.nanoseconds))
    }
}

/// What kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
    /// Character device.
    CharacterDevice,
    /// Block device.
    BlockDevice,
}

impl FileKind {
    /// The `S_IFMT` bits, see inode(7).
    pub fn mode_bits(self) -> u32 {
        match self {
            Self::File => libc::S_IFREG,
            Self::Directory => libc::S_IFDIR,
            Self::Symlink => libc::S_IFLNK,
            Self::Fifo => libc::S_IFIFO,
            Self::Socket => libc::S_IFSOCK,
            Self::CharacterDevice => libc::S_IFCHR,
            Self::BlockDevice => libc::S_IFBLK,
        }
    }

    /// From a `st_mode`; none if its type bits are unknown.
    pub fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & libc::S_IFMT {
            libc::S_IFREG => Self::File,
            libc::S_IFDIR => Self::Directory,
            libc::S_IFLNK => Self::Symlink,
            libc::S_IFIFO => Self::Fifo,
            libc::S_IFSOCK => Self::Socket,
            libc::S_IFCHR => Self::CharacterDevice,
            libc::S_IFBLK => Self::BlockDevice,
            _ => return None,
        })
    }
}

/// What stat(2) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Inode number.
    pub inode: Inode,
    /// Type.
    pub kind: FileKind,
    /// Permission bits with set-user-id, set-group-id and sticky (07777).
    pub permissions: u32,
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Preferred size of I/O in bytes.
    pub block_size: u32,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of device files, as makedev(3) packs it (32 bits).
    pub device: u32,
    /// Last access.
    pub accessed: Timestamp,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Last change of anything.
    pub changed: Timestamp,
}

/// Attributes and how long the kernel may keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributesReply {
    /// The attributes.
    pub attributes: Attributes,
    /// How long they hold.
    pub valid: Duration,
}

/// A name found: what it stands for and how long that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file. `Inode(0)` makes a negative entry: the name is known not to exist for `name_valid`.
    pub attributes: Attributes,
    /// Tells apart two files that had the same inode number at different times.
    pub generation: u64,
    /// How long the name holds.
    pub name_valid: Duration,
    /// How long the attributes hold.
    pub attributes_valid: Duration,
}

/// Flags of open(2), raw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags(pub i32);

impl OpenFlags {
    /// Opened for reading.
    pub fn read(self) -> bool {
        matches!(self.0 & libc::O_ACCMODE, libc::O_RDONLY | libc::O_RDWR)
    }
    /// Opened for writing.
    pub fn write(self) -> bool {
        matches!(self.0 & libc::O_ACCMODE, libc::O_WRONLY | libc::O_RDWR)
    }
    /// `O_APPEND`.
    pub fn append(self) -> bool {
        self.0 & libc::O_APPEND != 0
    }
    /// `O_TRUNC`.
    pub fn truncate(self) -> bool {
        self.0 & libc::O_TRUNC != 0
    }
    /// `O_EXCL`.
    pub fn exclusive(self) -> bool {
        self.0 & libc::O_EXCL != 0
    }
    /// `O_DIRECT`.
    pub fn direct(self) -> bool {
        self.0 & libc::O_DIRECT != 0
    }
}

/// An open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its handle.
    pub handle: FileHandle,
    /// The pages that the kernel kept from an earlier open are still right.
    pub keep_cache: bool,
    /// Bypass the page cache.
    pub direct_io: bool,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The server's now.
    Now,
    /// This.
    To(Timestamp),
}

/// What to change; none: leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permission bits (07777).
    pub permissions: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Truncate or extend with zeros.
    pub size: Option<u64>,
    /// Last access.
    pub accessed: Option<SetTime>,
    /// Last change of the content.
    pub modified: Option<SetTime>,
    /// Last change of anything.
    pub changed: Option<Timestamp>,
}

/// Flags of renameat2(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameFlags {
    /// Fail with EEXIST rather than replace.
    pub no_replace: bool,
    /// Swap both names.
    pub exchange: bool,
    /// Leave a whiteout behind (overlayfs asks for it).
    pub whiteout: bool,
}

/// Flags of setxattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetXattrFlags {
    /// Fail with EEXIST if it is there.
    pub create: bool,
    /// Fail with ENODATA if it is not there.
    pub replace: bool,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Name, without slash or NUL, 1 to 255 bytes.
    pub name: Vec<u8>,
    /// Inode number to show.
    pub inode: Inode,
    /// Type.
    pub kind: FileKind,
    /// Where reading goes on behind this entry: stable while names come and go. Never 0.
    pub next_offset: u64,
    /// All about it, where that costs nothing (readdirplus). `.` and `..` have none.
    pub entry: Option<Entry>,
}

/// What statfs(2) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Bytes of a block, unit of the next three.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Blocks free for everyone.
    pub available_blocks: u64,
    /// Files in all.
    pub files: u64,
    /// Files that could be created.
    pub free_files: u64,
    /// Longest name in bytes.
    pub name_length: u32,
}

/// Direction of lseek(2) within sparse files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// Next data at or behind the offset.
    Data,
    /// Next hole at or behind the offset.
    Hole,
}
