//! The threads of a process that serve all its connections, and handing a connection to another process.

use std::fmt;
use std::sync::Arc;

use crate::channel::Channel;
use crate::connection::{Connection, Negotiated};
use crate::error::Error;
use crate::init::MAX_REQUEST;
use crate::notify::{Notifier, Queue};
use crate::readers::Readers;
use crate::request::Handler;
use crate::slots::Slots;

/// How a connection came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Nobody served it before.
    Fresh,
    /// Its server died: answer the requests that it left in the connection's memory. Without such memory ask the kernel
    /// to send them again (6.9 and newer; else they are lost).
    AfterCrash,
    /// Its server left in order, with nothing unanswered.
    AfterDrain,
}

/// A few threads that read requests of any number of connections. Dropped, it ends with its last connection.
pub struct Pool {
    readers: Arc<Readers>,
    notifications: Queue,
}

impl Pool {
    /// Starts `threads` threads (at least one).
    ///
    /// # Errors
    /// No threads or descriptors left.
    pub fn start(threads: usize) -> Result<Self, Error> {
        let notifications =
            Queue::start().map_err(|source| Error::Serve { step: "notifying thread", source })?;
        Ok(Self { readers: Readers::start(threads.max(1))?, notifications })
    }

    /// Serves a connection with the handler that `handler` makes. It gets the way to notify the kernel, and is called
    /// before the first request is read.
    ///
    /// # Errors
    /// The device cannot be watched, or the agreement allows requests larger than ours.
    pub fn serve(
        &self,
        connection: Connection,
        takeover: Takeover,
        handler: impl FnOnce(Notifier) -> Arc<dyn Handler>,
    ) -> Result<Session, Error> {
        let Connection { device, negotiated, requests } = connection;
        if negotiated.max_write > MAX_REQUEST {
            return Err(Error::LargeRequests { max_write: negotiated.max_write });
        }
        let nonblocking = rustix::io::ioctl_fionbio(&device, true);
        nonblocking.map_err(|error| Error::Serve { step: "FIONBIO", source: error.into() })?;
        let opened = requests.map(Slots::open).transpose();
        let opened = opened.map_err(|error| Error::Serve { step: "request memory", source: error.into() })?;
        let (slots, leftovers) = opened.map_or((None, Vec::new()), |(slots, left)| (Some(slots), left));
        let channel = Channel::new(device, slots);
        let handler = handler(self.notifications.notifier(&channel));
        if takeover == Takeover::AfterCrash
            && channel.slots.is_none()
            && let Err(error) = channel.resend()
        {
            tracing::warn!(%error, "the kernel cannot send unanswered requests again; their callers wait for ever");
        }
        let token = self.readers.add(&channel, handler, leftovers)?;
        Ok(Session { channel, negotiated, readers: Arc::clone(&self.readers), token })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.readers.close();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.readers.threads()).finish_non_exhaustive()
    }
}

/// A connection being served. Dropping it does not end it.
pub struct Session {
    channel: Arc<Channel>,
    negotiated: Negotiated,
    readers: Arc<Readers>,
    token: u64,
}

impl Session {
    /// Waits until no request is read any more and all are answered. True: the kernel ended the connection;
    /// false: it was drained.
    pub async fn finished(&self) -> bool {
        self.channel.idle().await;
        self.channel.ended()
    }

    /// Stops reading, waits until everything that was read is answered, and gives the device back. Unread requests
    /// wait in the kernel for whoever serves it next. Dropped early, nobody reads the connection any more: let a
    /// successor take over with [`Takeover::AfterCrash`].
    ///
    /// # Errors
    /// The connection has ended, or no descriptor is left.
    pub async fn drain(&self) -> Result<Connection, Error> {
        self.readers.remove(self.token);
        self.channel.stop(false);
        if self.finished().await {
            return Err(Error::Ended);
        }
        let device = self.channel.device.try_clone();
        let device = device.map_err(|source| Error::Serve { step: "dup", source })?;
        let requests = self.channel.slots.as_ref().map(|slots| slots.file().try_clone()).transpose();
        let requests = requests.map_err(|source| Error::Serve { step: "dup", source })?;
        Ok(Connection { device, negotiated: self.negotiated, requests })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("negotiated", &self.negotiated).finish_non_exhaustive()
    }
}
