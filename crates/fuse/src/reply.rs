//! The right to answer one request.

use std::fmt;

use crate::abi::UNIQUE_RESEND;
use crate::channel::Permit;

/// Answers one request, once, from any thread. Dropped unanswered it answers EIO, so that no caller waits for ever.
pub struct Reply {
    unique: u64,
    permit: Permit,
    answered: bool,
    interruptible: bool,
}

impl Reply {
    pub(crate) fn new(unique: u64, permit: Permit) -> Self {
        Self { unique, permit, answered: false, interruptible: false }
    }

    /// The kernel sends this request a second time, because who read it first has died.
    pub fn is_resent(&self) -> bool {
        self.unique & UNIQUE_RESEND != 0
    }

    /// Calls `cancel` (once, from a reading thread, possibly at once) when the caller is interrupted before the
    /// answer. The answer should then be EINTR, soon.
    pub fn on_interrupt(&mut self, cancel: impl FnOnce() + Send + 'static) {
        self.interruptible = true;
        self.permit.channel.inflight.register(self.unique, Box::new(cancel));
    }

    /// Succeeds with the pieces, one after another.
    pub fn data(mut self, pieces: &[&[u8]]) {
        self.send(0, pieces);
    }

    /// Fails with a positive error number.
    pub fn error(mut self, errno: i32) {
        self.send(errno, &[]);
    }

    fn send(&mut self, errno: i32, pieces: &[&[u8]]) {
        self.answered = true;
        if self.interruptible {
            self.permit.channel.inflight.unregister(self.unique);
        }
        self.permit.answer(self.unique, errno, pieces);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.answered {
            self.send(libc::EIO, &[]);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("unique", &self.unique).finish_non_exhaustive()
    }
}
