//! From the kernel's requests to calls of [`FileSystem`].
//!
//! Every request becomes a future that is polled once in the thread that read it: what a cache can answer costs no
//! switch of threads. What is not ready then moves to the runtime. Reading operations are cancelled by an interrupt;
//! changing ones run to their end, so that no change happens which nobody is told of.

mod answer;
mod changes;
mod directory;
mod files;
mod privileges;
mod run;
mod xattrs;

use std::sync::Arc;

use sandkeep_fuse::{Handler, Notifier, Operation, Reply, Request};
use tokio::runtime::Handle;

use crate::{Caller, Errno, FileSystem, Inode};

/// Longest name; see NAME_MAX in limits.h. The kernel lets up to 4095 bytes through.
const NAME_LIMIT: usize = 255;

/// Serves one connection.
pub(crate) struct Adapter {
    filesystem: Arc<dyn FileSystem>,
    notifier: Notifier,
    runtime: Handle,
}

/// What every call of the filesystem starts from.
struct Call {
    filesystem: Arc<dyn FileSystem>,
    notifier: Notifier,
    runtime: Handle,
    caller: Caller,
    inode: Inode,
    reply: Reply,
}

impl Adapter {
    pub(crate) fn new(filesystem: Arc<dyn FileSystem>, notifier: Notifier, runtime: Handle) -> Self {
        Self { filesystem, notifier, runtime }
    }

    fn call(&self, request: &Request<'_>, reply: Reply) -> Call {
        let header = request.header();
        Call {
            filesystem: Arc::clone(&self.filesystem),
            notifier: self.notifier.clone(),
            runtime: self.runtime.clone(),
            caller: Caller { uid: header.uid, gid: header.gid, pid: header.pid },
            inode: Inode(header.node),
            reply,
        }
    }
}

impl Handler for Adapter {
    fn request(&self, request: Request<'_>, reply: Reply) {
        let operation = match request.operation() {
            Ok(operation) => operation,
            Err(error) => {
                tracing::warn!(%error, "the kernel sent what we cannot read");
                return reply.error(Errno::EIO.0);
            }
        };
        let call = self.call(&request, reply);
        if let Operation::Write { handle, offset, drop_set_id, .. } = operation {
            return call.write(handle, offset, drop_set_id, request.into_data());
        }
        call.dispatch(operation);
    }

    fn forget(&self, node: u64, count: u64) {
        let _runtime = self.runtime.enter();
        self.filesystem.forget(Inode(node), count);
    }
}

impl Call {
    fn dispatch(self, operation: Operation<'_>) {
        match operation {
            Operation::Lookup { name } => self.lookup(name),
            Operation::GetAttributes { handle } => self.attributes(handle),
            Operation::ReadLink => self.read_link(),
            Operation::StatFs => self.statfs(),
            Operation::Open { flags, drop_set_id } => self.open(flags, drop_set_id),
            Operation::Read { handle, offset, size } => self.read(handle, offset, size),
            Operation::Release { handle } => self.release(handle),
            Operation::Flush { handle, lock_owner } => self.flush(handle, lock_owner),
            Operation::Fsync { handle, data_only } => self.fsync(handle, data_only),
            Operation::Allocate { handle, offset, length, mode } => {
                self.allocate(handle, offset, length, mode);
            }
            Operation::Seek { handle, offset, whence } => self.seek(handle, offset, whence),
            Operation::OpenDirectory => self.open_directory(),
            Operation::ReadDirectory { handle, offset, size, plus } => {
                self.read_directory(handle, offset, size, plus);
            }
            Operation::ReleaseDirectory { handle } => self.release_directory(handle),
            Operation::FsyncDirectory { handle } => self.fsync_directory(handle),
            Operation::GetXattr { name, size } => self.get_xattr(name, size),
            Operation::ListXattrs { size } => self.list_xattrs(size),
            Operation::SetXattr { name, value, flags } => self.set_xattr(name, value, flags),
            Operation::RemoveXattr { name } => self.remove_xattr(name),
            // ENOSYS would say that no file takes ioctls; ENOTTY says that this one does not.
            Operation::Ioctl => self.reply.error(Errno::ENOTTY.0),
            other => self.change(other),
        }
    }

    fn change(self, operation: Operation<'_>) {
        match operation {
            Operation::SetAttributes { .. } => self.set_attributes(operation),
            Operation::Symlink { name, target } => self.symlink(name, target),
            Operation::MakeNode { name, mode, device } => self.make_node(name, mode, device),
            Operation::MakeDirectory { name, mode } => self.make_directory(name, mode),
            Operation::Create { name, mode, flags } => self.create(name, mode, flags),
            Operation::Unlink { name } => self.unlink(name),
            Operation::RemoveDirectory { name } => self.remove_directory(name),
            Operation::Rename { name, new_parent, new_name, flags } => {
                self.rename(name, new_parent, new_name, flags);
            }
            Operation::Link { node, name } => self.link(node, name),
            Operation::CopyRange { .. } => self.copy_range(operation),
            // STATX, TMPFILE, SYNCFS, POLL, BMAP, ACCESS and what newer kernels know: the kernel goes without.
            _ => self.reply.error(Errno::ENOSYS.0),
        }
    }
}

/// A name to keep beyond the request.
fn name(bytes: &[u8]) -> Result<Vec<u8>, Errno> {
    if bytes.len() > NAME_LIMIT { Err(Errno::ENAMETOOLONG) } else { Ok(bytes.to_vec()) }
}
