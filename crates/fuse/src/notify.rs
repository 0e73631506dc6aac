//! Telling the kernel to forget what it has cached.

use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};

use rustix::io::Errno;

use crate::abi::{InvalEntryOut, InvalInodeOut, notify};
use crate::channel::Channel;

/// Notifications that wait for their turn.
const QUEUE_LIMIT: usize = 1 << 16;

struct Notification {
    channel: Arc<Channel>,
    code: i32,
    body: Vec<u8>,
}

/// Sends notifications from a thread of its own.
///
/// The kernel may have to wait for a page or a directory that a request holds which we have not answered yet; a
/// handler that notified by itself would wait for itself.
#[derive(Clone)]
pub(crate) struct Queue(SyncSender<Notification>);

impl Queue {
    /// Starts the thread; it ends with the last sender.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_LIMIT);
        std::thread::Builder::new().name("fuse-notify".to_owned()).spawn(move || deliver(&receiver))?;
        Ok(Self(sender))
    }

    pub(crate) fn notifier(&self, channel: &Arc<Channel>) -> Notifier {
        Notifier { queue: self.clone(), channel: Arc::downgrade(channel) }
    }
}

fn deliver(receiver: &Receiver<Notification>) {
    while let Ok(Notification { channel, code, body }) = receiver.recv() {
        if channel.stopped() {
            continue;
        }
        match channel.notify(code, &[&body]) {
            // ENOENT: nothing of it was cached. ENOTDIR, ENOTEMPTY, EBUSY: the name is in use otherwise by now.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::NOTEMPTY | Errno::BUSY) => {}
            Err(error) => tracing::debug!(%error, code, "the kernel refused a notification"),
        }
    }
}

/// Tells the kernel to forget. Calls return at once; nothing happens once the connection has ended.
#[derive(Clone)]
pub struct Notifier {
    queue: Queue,
    channel: Weak<Channel>,
}

impl Notifier {
    /// Drops cached pages of a node (length 0: to its end) and its attributes.
    pub fn invalidate_node(&self, node: u64, offset: u64, length: u64) {
        let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.invalidate(InvalInodeOut { ino: node, off: bounded(offset), len: bounded(length) });
    }

    /// Drops the cached attributes of a node.
    pub fn invalidate_attributes(&self, node: u64) {
        // A negative offset leaves the pages alone, see fuse_reverse_inval_inode.
        self.invalidate(InvalInodeOut { ino: node, off: -1, len: 0 });
    }

    fn invalidate(&self, body: InvalInodeOut) {
        self.send(notify::INVAL_INODE, body.to_bytes().to_vec());
    }

    /// Drops a cached name.
    pub fn invalidate_entry(&self, parent: u64, name: &[u8]) {
        let head = InvalEntryOut { parent, namelen: name.len() as u32, flags: 0 };
        self.send(notify::INVAL_ENTRY, [&head.to_bytes()[..], name, &[0]].concat());
    }

    fn send(&self, code: i32, body: Vec<u8>) {
        let Some(channel) = self.channel.upgrade() else { return };
        if let Err(TrySendError::Full(_)) = self.queue.0.try_send(Notification { channel, code, body }) {
            tracing::warn!(
                code,
                "too many notifications wait; one is lost, and what it names may be seen stale"
            );
        }
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notifier")
    }
}
