//! The layouts and numbers of `linux/fuse.h`, protocol 7.45.
//!
//! Structures are `repr(C)` without padding (checked while compiling), in the machine's byte order, and are copied
//! field by field, so nothing here is unsafe.

/// A number or structure with a fixed place in a message.
pub trait Field: Copy + Default {
    /// Its bytes.
    const SIZE: usize;
    /// Reads it from the front of `bytes`, which has at least `SIZE`.
    fn load(bytes: &[u8]) -> Self;
    /// Writes it to the front of `bytes`, which has at least `SIZE`.
    fn store(&self, bytes: &mut [u8]);
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Field for $number {
            const SIZE: usize = size_of::<$number>();
            #[inline]
            fn load(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$number>()];
                own.copy_from_slice(&bytes[..size_of::<$number>()]);
                Self::from_ne_bytes(own)
            }
            #[inline]
            fn store(&self, bytes: &mut [u8]) {
                bytes[..size_of::<$number>()].copy_from_slice(&self.to_ne_bytes());
            }
        }
    )* };
}
numbers!(u16, u32, u64, i32, i64);

impl<const COUNT: usize> Field for [u32; COUNT]
where
    [u32; COUNT]: Default,
{
    const SIZE: usize = 4 * COUNT;
    fn load(bytes: &[u8]) -> Self {
        std::array::from_fn(|index| u32::load(&bytes[4 * index..]))
    }
    fn store(&self, bytes: &mut [u8]) {
        for (index, number) in self.iter().enumerate() {
            number.store(&mut bytes[4 * index..]);
        }
    }
}

macro_rules! layouts {
    ($($(#[$meta:meta])* $name:ident = $size:literal { $($field:ident: $kind:ty),* $(,)? })*) => { $(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[expect(missing_docs, reason = "fields are documented in linux/fuse.h under the same names")]
        pub struct $name { $(pub $field: $kind),* }

        const _: () = {
            assert!(size_of::<$name>() == $size, "the size differs from linux/fuse.h");
            assert!(<$name as Field>::SIZE == $size, "there is padding");
        };

        impl Field for $name {
            const SIZE: usize = 0 $(+ <$kind as Field>::SIZE)*;
            #[inline]
            fn load(bytes: &[u8]) -> Self {
                let mut at = 0;
                $(
                    let $field = <$kind as Field>::load(&bytes[at..]);
                    at += <$kind as Field>::SIZE;
                )*
                let _ = at;
                Self { $($field),* }
            }
            #[inline]
            fn store(&self, bytes: &mut [u8]) {
                let mut at = 0;
                $(
                    self.$field.store(&mut bytes[at..]);
                    at += <$kind as Field>::SIZE;
                )*
                let _ = at;
            }
        }

        impl $name {
            /// Its bytes as the kernel expects them.
            #[inline]
            pub fn to_bytes(&self) -> [u8; $size] {
                let mut bytes = [0; $size];
                self.store(&mut bytes);
                bytes
            }
        }
    )* };
}

layouts! {
    /// `fuse_in_header`.
    InHeader = 40 { len: u32, opcode: u32, unique: u64, nodeid: u64, uid: u32, gid: u32, pid: u32, total_extlen: u16, padding: u16 }
    /// `fuse_out_header`.
    OutHeader = 16 { len: u32, error: i32, unique: u64 }
    /// `fuse_attr`.
    Attr = 88 {
        ino: u64, size: u64, blocks: u64, atime: u64, mtime: u64, ctime: u64, atimensec: u32, mtimensec: u32, ctimensec: u32,
        mode: u32, nlink: u32, uid: u32, gid: u32, rdev: u32, blksize: u32, flags: u32,
    }
    /// `fuse_entry_out`.
    EntryOut = 128 {
        nodeid: u64, generation: u64, entry_valid: u64, attr_valid: u64, entry_valid_nsec: u32, attr_valid_nsec: u32, attr: Attr,
    }
    /// `fuse_attr_out`.
    AttrOut = 104 { attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: Attr }
    /// `fuse_init_in`; kernels before 7.36 send the first 16 bytes.
    InitIn = 64 { major: u32, minor: u32, max_readahead: u32, flags: u32, flags2: u32, unused: [u32; 11] }
    /// `fuse_init_out`.
    InitOut = 64 {
        major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16, congestion_threshold: u16, max_write: u32,
        time_gran: u32, max_pages: u16, map_alignment: u16, flags2: u32, max_stack_depth: u32, unused: [u32; 6],
    }
    /// `fuse_getattr_in`.
    GetattrIn = 16 { getattr_flags: u32, dummy: u32, fh: u64 }
    /// `fuse_setattr_in`.
    SetattrIn = 88 {
        valid: u32, padding: u32, fh: u64, size: u64, lock_owner: u64, atime: u64, mtime: u64, ctime: u64, atimensec: u32,
        mtimensec: u32, ctimensec: u32, mode: u32, unused4: u32, uid: u32, gid: u32, unused5: u32,
    }
    /// `fuse_mknod_in`.
    MknodIn = 16 { mode: u32, rdev: u32, umask: u32, padding: u32 }
    /// `fuse_mkdir_in`.
    MkdirIn = 8 { mode: u32, umask: u32 }
    /// `fuse_rename2_in`.
    Rename2In = 16 { newdir: u64, flags: u32, padding: u32 }
    /// `fuse_open_in`.
    OpenIn = 8 { flags: u32, open_flags: u32 }
    /// `fuse_open_out`.
    OpenOut = 16 { fh: u64, open_flags: u32, backing_id: i32 }
    /// `fuse_create_in`.
    CreateIn = 16 { flags: u32, mode: u32, umask: u32, open_flags: u32 }
    /// `fuse_release_in`.
    ReleaseIn = 24 { fh: u64, flags: u32, release_flags: u32, lock_owner: u64 }
    /// `fuse_flush_in`.
    FlushIn = 24 { fh: u64, unused: u32, padding: u32, lock_owner: u64 }
    /// `fuse_read_in`.
    ReadIn = 40 { fh: u64, offset: u64, size: u32, read_flags: u32, lock_owner: u64, flags: u32, padding: u32 }
    /// `fuse_write_in`.
    WriteIn = 40 { fh: u64, offset: u64, size: u32, write_flags: u32, lock_owner: u64, flags: u32, padding: u32 }
    /// `fuse_write_out`.
    WriteOut = 8 { size: u32, padding: u32 }
    /// `fuse_fsync_in`.
    FsyncIn = 16 { fh: u64, fsync_flags: u32, padding: u32 }
    /// `fuse_setxattr_in` without SETXATTR_EXT.
    SetxattrIn = 8 { size: u32, flags: u32 }
    /// `fuse_getxattr_in`.
    GetxattrIn = 8 { size: u32, padding: u32 }
    /// `fuse_getxattr_out`.
    GetxattrOut = 8 { size: u32, padding: u32 }
    /// `fuse_fallocate_in`.
    FallocateIn = 32 { fh: u64, offset: u64, length: u64, mode: u32, padding: u32 }
    /// `fuse_lseek_in`.
    LseekIn = 24 { fh: u64, offset: u64, whence: u32, padding: u32 }
    /// `fuse_lseek_out`.
    LseekOut = 8 { offset: u64 }
    /// `fuse_copy_file_range_in`.
    CopyFileRangeIn = 56 { fh_in: u64, off_in: u64, nodeid_out: u64, fh_out: u64, off_out: u64, len: u64, flags: u64 }
    /// `fuse_copy_file_range_out`, of the 64 bit form.
    CopyFileRangeOut = 8 { bytes_copied: u64 }
    /// `fuse_kstatfs`.
    Kstatfs = 80 {
        blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, bsize: u32, namelen: u32, frsize: u32, padding: u32,
        spare: [u32; 6],
    }
    /// `fuse_dirent` without its name.
    Dirent = 24 { ino: u64, off: u64, namelen: u32, kind: u32 }
    /// `fuse_interrupt_in`.
    InterruptIn = 8 { unique: u64 }
    /// `fuse_forget_in`.
    ForgetIn = 8 { nlookup: u64 }
    /// `fuse_batch_forget_in`.
    BatchForgetIn = 8 { count: u32, dummy: u32 }
    /// `fuse_forget_one`.
    ForgetOne = 16 { nodeid: u64, nlookup: u64 }
    /// `fuse_notify_inval_inode_out`.
    InvalInodeOut = 24 { ino: u64, off: i64, len: i64 }
    /// `fuse_notify_inval_entry_out` without its name.
    InvalEntryOut = 16 { parent: u64, namelen: u32, flags: u32 }
}

macro_rules! constants {
    ($(#[$meta:meta])* $module:ident: $kind:ty { $($name:ident = $value:expr),* $(,)? }) => {
        $(#[$meta])*
        #[expect(missing_docs, reason = "documented in linux/fuse.h under the same names")]
        pub mod $module { $(pub const $name: $kind = $value;)* }
    };
}

constants! {
    /// `enum fuse_opcode`.
    opcode: u32 {
        LOOKUP = 1, FORGET = 2, GETATTR = 3, SETATTR = 4, READLINK = 5, SYMLINK = 6, MKNOD = 8, MKDIR = 9, UNLINK = 10,
        RMDIR = 11, RENAME = 12, LINK = 13, OPEN = 14, READ = 15, WRITE = 16, STATFS = 17, RELEASE = 18, FSYNC = 20,
        SETXATTR = 21, GETXATTR = 22, LISTXATTR = 23, REMOVEXATTR = 24, FLUSH = 25, INIT = 26, OPENDIR = 27, READDIR = 28,
        RELEASEDIR = 29, FSYNCDIR = 30, CREATE = 35, INTERRUPT = 36, DESTROY = 38, IOCTL = 39, BATCH_FORGET = 42,
        FALLOCATE = 43, READDIRPLUS = 44, RENAME2 = 45, LSEEK = 46, COPY_FILE_RANGE = 47, COPY_FILE_RANGE_64 = 53,
    }
}
constants! {
    /// Flags of FUSE_INIT, both words.
    init: u64 {
        ASYNC_READ = 1, ATOMIC_O_TRUNC = 1 << 3, BIG_WRITES = 1 << 5, DO_READDIRPLUS = 1 << 13, READDIRPLUS_AUTO = 1 << 14,
        ASYNC_DIO = 1 << 15, PARALLEL_DIROPS = 1 << 18, MAX_PAGES = 1 << 22, EXPLICIT_INVAL_DATA = 1 << 25,
        HANDLE_KILLPRIV_V2 = 1 << 28, INIT_EXT = 1 << 30, DIRECT_IO_ALLOW_MMAP = 1 << 36, HAS_RESEND = 1 << 39,
    }
}
constants! {
    /// Bits of `fuse_setattr_in.valid`.
    setattr: u32 {
        MODE = 1, UID = 1 << 1, GID = 1 << 2, SIZE = 1 << 3, ATIME = 1 << 4, MTIME = 1 << 5, FH = 1 << 6, ATIME_NOW = 1 << 7,
        MTIME_NOW = 1 << 8, CTIME = 1 << 10, KILL_SUIDGID = 1 << 11,
    }
}
constants! {
    /// Flags of requests and answers that are no structure's only ones.
    flags: u32 {
        GETATTR_FH = 1, WRITE_KILL_SUIDGID = 1 << 2, FSYNC_FDATASYNC = 1, OPEN_KILL_SUIDGID = 1,
        FOPEN_DIRECT_IO = 1, FOPEN_KEEP_CACHE = 1 << 1, FOPEN_CACHE_DIR = 1 << 3, FOPEN_PARALLEL_DIRECT_WRITES = 1 << 6,
    }
}
constants! {
    /// `enum fuse_notify_code`.
    notify: i32 { INVAL_INODE = 2, INVAL_ENTRY = 3, RESEND = 7 }
}

/// Set by the kernel in the `unique` of a request that it sends again; answers repeat it.
pub const UNIQUE_RESEND: u64 = 1 << 63;
