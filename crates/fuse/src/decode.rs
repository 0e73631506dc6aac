//! From the bytes behind a request's header to an operation. Pure; never panics, whatever the bytes.

use crate::abi::{self, Field, opcode, setattr};

/// A request that is shorter than its opcode demands, or lacks the NUL behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request {opcode} is malformed")]
pub struct DecodeError {
    /// Its opcode.
    pub opcode: u32,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeChange {
    /// The server's now.
    Now,
    /// Seconds since 1970, and nanoseconds.
    To(i64, u32),
}

/// What the kernel asks for. Names and data borrow from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are those of the system calls of the same names")]
pub enum Operation<'a> {
    Lookup {
        name: &'a [u8],
    },
    Forget {
        count: u64,
    },
    BatchForget(Forgotten<'a>),
    GetAttributes {
        handle: Option<u64>,
    },
    SetAttributes {
        handle: Option<u64>,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeChange>,
        modified: Option<TimeChange>,
        changed: Option<(i64, u32)>,
        drop_set_id: bool,
    },
    ReadLink,
    Symlink {
        name: &'a [u8],
        target: &'a [u8],
    },
    MakeNode {
        name: &'a [u8],
        mode: u32,
        device: u32,
    },
    MakeDirectory {
        name: &'a [u8],
        mode: u32,
    },
    Unlink {
        name: &'a [u8],
    },
    RemoveDirectory {
        name: &'a [u8],
    },
    Rename {
        name: &'a [u8],
        new_parent: u64,
        new_name: &'a [u8],
        flags: u32,
    },
    /// The header's node is the directory that gets the name.
    Link {
        node: u64,
        name: &'a [u8],
    },
    Open {
        flags: u32,
        drop_set_id: bool,
    },
    Read {
        handle: u64,
        offset: u64,
        size: u32,
    },
    Write {
        handle: u64,
        offset: u64,
        drop_set_id: bool,
        data: &'a [u8],
    },
    StatFs,
    Release {
        handle: u64,
    },
    Fsync {
        handle: u64,
        data_only: bool,
    },
    SetXattr {
        name: &'a [u8],
        value: &'a [u8],
        flags: u32,
    },
    GetXattr {
        name: &'a [u8],
        size: u32,
    },
    ListXattrs {
        size: u32,
    },
    RemoveXattr {
        name: &'a [u8],
    },
    Flush {
        handle: u64,
        lock_owner: u64,
    },
    OpenDirectory,
    ReadDirectory {
        handle: u64,
        offset: u64,
        size: u32,
        plus: bool,
    },
    ReleaseDirectory {
        handle: u64,
    },
    FsyncDirectory {
        handle: u64,
    },
    Create {
        name: &'a [u8],
        mode: u32,
        flags: u32,
    },
    Interrupt {
        unique: u64,
    },
    Destroy,
    Ioctl,
    Allocate {
        handle: u64,
        offset: u64,
        length: u64,
        mode: u32,
    },
    Seek {
        handle: u64,
        offset: u64,
        whence: u32,
    },
    CopyRange {
        from: (u64, u64),
        to_node: u64,
        to: (u64, u64),
        length: u64,
        /// The answer has 64 bits.
        wide: bool,
    },
    Unknown {
        opcode: u32,
    },
}

/// The pairs (node, count) of a BATCH_FORGET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten<'a>(&'a [u8]);

impl Iterator for Forgotten<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.0.split_at_checked(abi::ForgetOne::SIZE)?;
        self.0 = rest;
        let one = abi::ForgetOne::load(first);
        Some((one.nodeid, one.nlookup))
    }
}

/// Reads the operation of `opcode` from the bytes behind the header.
///
/// # Errors
/// The bytes are too few, or a name does not end.
pub fn decode(opcode: u32, body: &[u8]) -> Result<Operation<'_>, DecodeError> {
    let mut parser = Parser(body);
    operation(opcode, &mut parser).ok_or(DecodeError { opcode })
}

struct Parser<'a>(&'a [u8]);

impl<'a> Parser<'a> {
    fn structure<T: Field>(&mut self) -> Option<T> {
        self.bytes(T::SIZE).map(T::load)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }

    /// Up to the next NUL.
    fn name(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let name = self.bytes(end)?;
        self.bytes(1)?;
        Some(name)
    }
}

fn operation<'a>(opcode: u32, parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    if let Some(named) = names(opcode, parser) {
        return named;
    }
    match opcode {
        opcode::FORGET => Some(Operation::Forget { count: parser.structure::<abi::ForgetIn>()?.nlookup }),
        opcode::BATCH_FORGET => batch_forget(parser),
        opcode::GETATTR => {
            let request: abi::GetattrIn = parser.structure()?;
            let given = request.getattr_flags & abi::flags::GETATTR_FH != 0;
            Some(Operation::GetAttributes { handle: given.then_some(request.fh) })
        }
        opcode::SETATTR => Some(set_attributes(&parser.structure()?)),
        opcode::READLINK => Some(Operation::ReadLink),
        opcode::STATFS => Some(Operation::StatFs),
        opcode::LISTXATTR => {
            Some(Operation::ListXattrs { size: parser.structure::<abi::GetxattrIn>()?.size })
        }
        opcode::INTERRUPT => {
            Some(Operation::Interrupt { unique: parser.structure::<abi::InterruptIn>()?.unique })
        }
        opcode::DESTROY => Some(Operation::Destroy),
        opcode::IOCTL => Some(Operation::Ioctl),
        _ => handles(opcode, parser).unwrap_or(Some(Operation::Unknown { opcode })),
    }
}

/// Requests that carry names. The outer option: whether it is one of them.
fn names<'a>(opcode: u32, parser: &mut Parser<'a>) -> Option<Option<Operation<'a>>> {
    Some(match opcode {
        opcode::LOOKUP => parser.name().map(|name| Operation::Lookup { name }),
        opcode::SYMLINK => symlink(parser),
        opcode::MKNOD => make_node(parser),
        opcode::MKDIR => make_directory(parser),
        opcode::UNLINK => parser.name().map(|name| Operation::Unlink { name }),
        opcode::RMDIR => parser.name().map(|name| Operation::RemoveDirectory { name }),
        opcode::RENAME => parser.structure().and_then(|new_parent| rename(new_parent, 0, parser)),
        opcode::RENAME2 => parser
            .structure::<abi::Rename2In>()
            .and_then(|request| rename(request.newdir, request.flags, parser)),
        opcode::LINK => link(parser),
        opcode::SETXATTR => set_xattr(parser),
        opcode::GETXATTR => get_xattr(parser),
        opcode::REMOVEXATTR => parser.name().map(|name| Operation::RemoveXattr { name }),
        opcode::CREATE => create(parser),
        _ => return None,
    })
}

fn symlink<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    Some(Operation::Symlink { name: parser.name()?, target: parser.name()? })
}

fn make_node<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::MknodIn = parser.structure()?;
    Some(Operation::MakeNode { name: parser.name()?, mode: request.mode, device: request.rdev })
}

fn make_directory<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::MkdirIn = parser.structure()?;
    Some(Operation::MakeDirectory { name: parser.name()?, mode: request.mode })
}

fn rename<'a>(new_parent: u64, flags: u32, parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    Some(Operation::Rename { name: parser.name()?, new_parent, new_name: parser.name()?, flags })
}

fn link<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    Some(Operation::Link { node: parser.structure()?, name: parser.name()? })
}

fn set_xattr<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::SetxattrIn = parser.structure()?;
    let name = parser.name()?;
    Some(Operation::SetXattr { name, value: parser.bytes(request.size as usize)?, flags: request.flags })
}

fn get_xattr<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::GetxattrIn = parser.structure()?;
    Some(Operation::GetXattr { name: parser.name()?, size: request.size })
}

fn create<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::CreateIn = parser.structure()?;
    Some(Operation::Create { name: parser.name()?, mode: request.mode, flags: request.flags })
}

/// Requests about open files. The outer option: whether it is one of them.
fn handles<'a>(opcode: u32, parser: &mut Parser<'a>) -> Option<Option<Operation<'a>>> {
    Some(match opcode {
        opcode::OPEN => open(parser),
        opcode::OPENDIR => Some(Operation::OpenDirectory),
        opcode::READ => parser.structure().map(|request: abi::ReadIn| Operation::Read {
            handle: request.fh,
            offset: request.offset,
            size: request.size,
        }),
        opcode::READDIR | opcode::READDIRPLUS => read_directory(parser, opcode == opcode::READDIRPLUS),
        opcode::WRITE => write(parser),
        opcode::RELEASE => release(parser).map(|handle| Operation::Release { handle }),
        opcode::RELEASEDIR => release(parser).map(|handle| Operation::ReleaseDirectory { handle }),
        opcode::FSYNC => fsync(parser).map(|(handle, data_only)| Operation::Fsync { handle, data_only }),
        opcode::FSYNCDIR => fsync(parser).map(|(handle, _)| Operation::FsyncDirectory { handle }),
        opcode::FLUSH => flush(parser),
        opcode::FALLOCATE => allocate(parser),
        opcode::LSEEK => seek(parser),
        opcode::COPY_FILE_RANGE | opcode::COPY_FILE_RANGE_64 => {
            copy_range(parser, opcode == opcode::COPY_FILE_RANGE_64)
        }
        _ => return None,
    })
}

fn open<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::OpenIn = parser.structure()?;
    let drop_set_id = request.open_flags & abi::flags::OPEN_KILL_SUIDGID != 0;
    Some(Operation::Open { flags: request.flags, drop_set_id })
}

fn write<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::WriteIn = parser.structure()?;
    Some(Operation::Write {
        handle: request.fh,
        offset: request.offset,
        drop_set_id: request.write_flags & abi::flags::WRITE_KILL_SUIDGID != 0,
        data: parser.bytes(request.size as usize)?,
    })
}

fn read_directory<'a>(parser: &mut Parser<'a>, plus: bool) -> Option<Operation<'a>> {
    let request: abi::ReadIn = parser.structure()?;
    Some(Operation::ReadDirectory { handle: request.fh, offset: request.offset, size: request.size, plus })
}

fn release(parser: &mut Parser<'_>) -> Option<u64> {
    Some(parser.structure::<abi::ReleaseIn>()?.fh)
}

fn fsync(parser: &mut Parser<'_>) -> Option<(u64, bool)> {
    let request: abi::FsyncIn = parser.structure()?;
    Some((request.fh, request.fsync_flags & abi::flags::FSYNC_FDATASYNC != 0))
}

fn flush<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::FlushIn = parser.structure()?;
    Some(Operation::Flush { handle: request.fh, lock_owner: request.lock_owner })
}

fn allocate<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::FallocateIn = parser.structure()?;
    let abi::FallocateIn { fh: handle, offset, length, mode, .. } = request;
    Some(Operation::Allocate { handle, offset, length, mode })
}

fn seek<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::LseekIn = parser.structure()?;
    Some(Operation::Seek { handle: request.fh, offset: request.offset, whence: request.whence })
}

fn copy_range<'a>(parser: &mut Parser<'a>, wide: bool) -> Option<Operation<'a>> {
    let request: abi::CopyFileRangeIn = parser.structure()?;
    Some(Operation::CopyRange {
        from: (request.fh_in, request.off_in),
        to_node: request.nodeid_out,
        to: (request.fh_out, request.off_out),
        length: request.len,
        wide,
    })
}

fn batch_forget<'a>(parser: &mut Parser<'a>) -> Option<Operation<'a>> {
    let request: abi::BatchForgetIn = parser.structure()?;
    let length = (request.count as usize).checked_mul(abi::ForgetOne::SIZE)?;
    Some(Operation::BatchForget(Forgotten(parser.bytes(length)?)))
}

fn set_attributes(request: &abi::SetattrIn) -> Operation<'static> {
    let has = |bit: u32| request.valid & bit != 0;
    let time = |set: u32, now: u32, seconds: u64, nanoseconds: u32| match (has(now), has(set)) {
        (true, _) => Some(TimeChange::Now),
        (false, true) => Some(TimeChange::To(seconds as i64, nanoseconds)),
        (false, false) => None,
    };
    Operation::SetAttributes {
        handle: has(setattr::FH).then_some(request.fh),
        mode: has(setattr::MODE).then_some(request.mode),
        uid: has(setattr::UID).then_some(request.uid),
        gid: has(setattr::GID).then_some(request.gid),
        size: has(setattr::SIZE).then_some(request.size),
        accessed: time(setattr::ATIME, setattr::ATIME_NOW, request.atime, request.atimensec),
        modified: time(setattr::MTIME, setattr::MTIME_NOW, request.mtime, request.mtimensec),
        changed: has(setattr::CTIME).then_some((request.ctime as i64, request.ctimensec)),
        drop_set_id: has(setattr::KILL_SUIDGID),
    }
}
