//! One served connection: its device, and how many requests of it are still to be answered.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::io::Errno;

use crate::abi::{Field, OutHeader, notify};
use crate::event::Event;
use crate::inflight::Inflight;
use crate::slots::{Slot, Slots};

/// More pieces of an answer than writev(2) takes are joined first.
const FEW_PIECES: usize = 16;

pub(crate) struct Channel {
    pub(crate) device: OwnedFd,
    /// Where requests outlive us; none: in the reading threads' own buffers.
    pub(crate) slots: Option<Arc<Slots>>,
    pub(crate) inflight: Inflight,
    /// Requests read and not answered, and threads that are about to read.
    outstanding: AtomicUsize,
    /// Nobody may read any more: the connection was drained or has ended.
    stopped: AtomicBool,
    ended: AtomicBool,
    /// Stopped, and nothing is outstanding.
    idle: Event,
}

/// What reading gave.
pub(crate) enum Received {
    /// In the permit's slot if it has one, else in the thread's buffer.
    Message(usize, Permit),
    Nothing,
    Ended,
}

impl Channel {
    pub(crate) fn new(device: OwnedFd, slots: Option<Arc<Slots>>) -> Arc<Self> {
        Arc::new(Self {
            device,
            slots,
            inflight: Inflight::default(),
            outstanding: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            idle: Event::default(),
        })
    }

    /// Reads the next request without waiting.
    pub(crate) fn receive(self: &Arc<Self>, buffer: &mut [u8]) -> Received {
        let Some(mut permit) = self.permit() else { return Received::Nothing };
        loop {
            let read = match &self.slots {
                None => rustix::io::read(&self.device, &mut *buffer),
                Some(slots) => slots.receive(&self.device).map(|(slot, length)| {
                    permit.slot = Some(slot);
                    length
                }),
            };
            match read {
                Ok(length) => return Received::Message(length, permit),
                // ENOENT: the request was interrupted while the kernel copied it to us.
                Err(Errno::INTR | Errno::NOENT) => continue,
                Err(Errno::AGAIN) => return Received::Nothing,
                Err(Errno::NODEV) => return Received::Ended,
                Err(error) => {
                    tracing::debug!(%error, "the FUSE connection ended");
                    return Received::Ended;
                }
            }
        }
    }

    /// Counts first and looks at `stopped` then, as `stop` sets first and counts then: one of both sees the other.
    fn permit(self: &Arc<Self>) -> Option<Permit> {
        self.outstanding.fetch_add(1, Ordering::SeqCst);
        let permit = Permit { channel: Arc::clone(self), slot: None };
        (!self.stopped()).then_some(permit)
    }

    /// For a request that an earlier server read; before anything else is read.
    pub(crate) fn inherited(self: &Arc<Self>, slot: Arc<Slot>) -> Permit {
        self.outstanding.fetch_add(1, Ordering::SeqCst);
        Permit { channel: Arc::clone(self), slot: Some(slot) }
    }

    /// Sends what an earlier server was about to answer.
    pub(crate) fn answer_again(&self, message: &[u8]) {
        match rustix::io::write(&self.device, message) {
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => tracing::debug!(%error, "the kernel refused a recorded answer"),
        }
    }

    /// Nobody reads from now on.
    pub(crate) fn stop(&self, ended: bool) {
        self.ended.fetch_or(ended, Ordering::SeqCst);
        self.stopped.store(true, Ordering::SeqCst);
        if self.outstanding.load(Ordering::SeqCst) == 0 {
            self.idle.set();
        }
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Waits until it is stopped and everything that was read is answered.
    pub(crate) async fn idle(&self) {
        self.idle.wait().await;
    }

    /// Answers a request. The kernel says ENOENT where its caller is gone, which is no error.
    pub(crate) fn answer(&self, unique: u64, errno: i32, pieces: &[&[u8]]) {
        match self.send(unique, -errno, pieces) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) if self.stopped() => {}
            // Refused answers leave their caller waiting for ever: give a plain one.
            Err(error) if errno == 0 => {
                tracing::warn!(%error, "the kernel refused an answer; its caller gets EIO");
                self.answer(unique, libc::EIO, &[]);
            }
            Err(error) => tracing::debug!(%error, "the kernel refused an error answer"),
        }
    }

    /// Puts every request that was read but not answered back into the kernel's queue.
    pub(crate) fn resend(&self) -> Result<(), Errno> {
        self.notify(notify::RESEND, &[])
    }

    /// Sends a notification.
    pub(crate) fn notify(&self, code: i32, pieces: &[&[u8]]) -> Result<(), Errno> {
        self.send(0, code, pieces)
    }

    fn send(&self, unique: u64, error: i32, pieces: &[&[u8]]) -> Result<(), Errno> {
        if pieces.len() >= FEW_PIECES {
            return self.send(unique, error, &[&pieces.concat()]);
        }
        let length = OutHeader::SIZE + pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let header = OutHeader { len: length as u32, error, unique }.to_bytes();
        let mut slices = [IoSlice::new(&[]); FEW_PIECES];
        slices[0] = IoSlice::new(&header);
        for (slice, piece) in slices[1..].iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
        }
        // The kernel takes a message whole or not at all.
        rustix::io::writev(&self.device, &slices[..=pieces.len()]).map(drop)
    }
}

/// The right to read a request, then the duty to answer it.
pub(crate) struct Permit {
    pub(crate) channel: Arc<Channel>,
    pub(crate) slot: Option<Arc<Slot>>,
}

impl Permit {
    /// Answers; a successor would find the answer until the kernel has it.
    pub(crate) fn answer(&self, unique: u64, errno: i32, pieces: &[&[u8]]) {
        if let Some(slot) = &self.slot {
            let length = OutHeader::SIZE + pieces.iter().map(|piece| piece.len()).sum::<usize>();
            slot.record(&OutHeader { len: length as u32, error: -errno, unique }, pieces);
        }
        self.channel.answer(unique, errno, pieces);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.settle();
        }
        let left = self.channel.outstanding.fetch_sub(1, Ordering::SeqCst) - 1;
        if left == 0 && self.channel.stopped() {
            self.channel.idle.set();
        }
    }
}
