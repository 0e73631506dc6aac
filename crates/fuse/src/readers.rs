//! The reading threads.
//!
//! Each has an epoll of its own in which every device is registered EPOLLEXCLUSIVE: one request wakes one thread, and
//! no thread takes turns with another for a shared epoll (measured: 5.6 against 9.9 microseconds per request).

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::event::{EventfdFlags, epoll, eventfd};

use crate::abi::opcode;
use crate::buffers::Stock;
use crate::channel::{Channel, Permit, Received};
use crate::decode::Operation;
use crate::error::Error;
use crate::reply::Reply;
use crate::request::{Handler, Request, Stored};
use crate::slots::Leftover;

/// Requests of one connection in a row, so that a busy one does not starve the others of a thread.
const FAIR_SHARE: usize = 8;
const EVENTS: usize = 16;
/// Handlers poll futures of filesystems in these threads. Pages count only when touched.
const STACK: usize = 2 << 20;
/// The epoll key of a thread's own wake-up; connections count from 1.
const WAKE: u64 = 0;

pub(crate) struct Readers {
    threads: Vec<Thread>,
    served: RwLock<HashMap<u64, Arc<Served>>>,
    next: AtomicU64,
    closing: AtomicBool,
    stock: Arc<Stock>,
}

struct Thread {
    epoll: OwnedFd,
    wake: OwnedFd,
}

struct Served {
    token: u64,
    channel: Arc<Channel>,
    handler: Arc<dyn Handler>,
}

fn failed(step: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |error| Error::Serve { step, source: error.into() }
}

impl Thread {
    fn new() -> Result<Self, Error> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed("epoll_create1"))?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed("eventfd"))?;
        let data = epoll::EventData::new_u64(WAKE);
        epoll::add(&epoll, &wake, data, epoll::EventFlags::IN).map_err(failed("epoll_ctl"))?;
        Ok(Self { epoll, wake })
    }
}

impl Readers {
    pub(crate) fn start(threads: usize) -> Result<Arc<Self>, Error> {
        let readers = Arc::new(Self {
            threads: (0..threads).map(|_| Thread::new()).collect::<Result<_, _>>()?,
            served: RwLock::default(),
            next: AtomicU64::new(WAKE + 1),
            closing: AtomicBool::new(false),
            stock: Stock::new(threads),
        });
        for index in 0..threads {
            let own = Arc::clone(&readers);
            let builder = std::thread::Builder::new().name(format!("fuse-{index}")).stack_size(STACK);
            let started = builder.spawn(move || own.run(index));
            if let Err(source) = started {
                readers.close();
                return Err(Error::Serve { step: "reading thread", source });
            }
        }
        Ok(readers)
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Reads a connection from now on.
    pub(crate) fn add(
        &self,
        channel: &Arc<Channel>,
        handler: Arc<dyn Handler>,
        leftovers: Vec<Leftover>,
    ) -> Result<u64, Error> {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        let served = Arc::new(Served { token, channel: Arc::clone(channel), handler });
        // First, since what comes after them may depend on them.
        leftovers.into_iter().for_each(|leftover| served.take_over(leftover));
        self.served.write().unwrap_or_else(PoisonError::into_inner).insert(token, served);
        for thread in &self.threads {
            let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            let data = epoll::EventData::new_u64(token);
            if let Err(error) = epoll::add(&thread.epoll, &channel.device, data, flags) {
                self.remove(token);
                channel.stop(false);
                return Err(failed("epoll_ctl")(error));
            }
        }
        Ok(token)
    }

    /// Reads a connection no more. Other descriptors of the device may live on, so closing ours would not do.
    pub(crate) fn remove(&self, token: u64) {
        let removed = self.served.write().unwrap_or_else(PoisonError::into_inner).remove(&token);
        let Some(served) = removed else { return };
        for thread in &self.threads {
            // Not registered, if adding it failed half-way.
            let _ = epoll::delete(&thread.epoll, &served.channel.device);
        }
        if self.closing.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Lets the threads end when the last connection has.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        for thread in &self.threads {
            // Fails only when 2^64 wake-ups wait already.
            let _ = rustix::io::write(&thread.wake, &1_u64.to_ne_bytes());
        }
    }

    fn finished(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
            && self.served.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn run(&self, index: usize) {
        let thread = &self.threads[index];
        let mut buffer = self.stock.take();
        let mut events = Vec::with_capacity(EVENTS);
        while !self.finished() {
            events.clear();
            // An error can only be EINTR: descriptor and buffer are ours.
            let _ = epoll::wait(&thread.epoll, rustix::buffer::spare_capacity(&mut events), None);
            for event in &events {
                let token = event.data.u64();
                if token == WAKE {
                    let _ = rustix::io::read(&thread.wake, &mut [0; 8]);
                } else {
                    self.read(token, &mut buffer);
                }
            }
        }
    }

    fn read(&self, token: u64, buffer: &mut Vec<u8>) {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner).get(&token).cloned();
        let Some(served) = served else { return };
        for _ in 0..FAIR_SHARE {
            match served.channel.receive(buffer) {
                Received::Message(length, permit) => {
                    let stored = match permit.slot.clone() {
                        Some(slot) => Stored::Slot(slot),
                        None => Stored::Thread { buffer, stock: &self.stock },
                    };
                    if let Some(request) = Request::new(stored, length) {
                        served.dispatch(request, permit);
                    }
                }
                Received::Nothing => return,
                Received::Ended => {
                    self.remove(served.token);
                    served.channel.stop(true);
                    return;
                }
            }
        }
    }
}

impl Served {
    /// Answers what an earlier server left, or says again what it had decided.
    fn take_over(&self, leftover: Leftover) {
        let Leftover { slot, length, answer, is_interrupted } = leftover;
        let header = slot.header();
        let permit = self.channel.inherited(Arc::clone(&slot));
        match (answer, header.opcode) {
            (Some(answer), _) => self.channel.answer_again(&answer),
            // Nobody waits, and node references are not relied on after a crash.
            (None, opcode::FORGET | opcode::BATCH_FORGET) => {}
            (None, _) => {
                if let Some(request) = Request::new(Stored::Slot(slot), length) {
                    self.dispatch(request, permit);
                }
                if is_interrupted {
                    self.channel.inflight.interrupt(header.unique);
                }
            }
        }
    }

    fn dispatch(&self, request: Request<'_>, permit: Permit) {
        // Whatever a panic leaves half done belongs to the handler; its Reply answers EIO while unwinding.
        let unique = request.header().unique;
        let outcome = catch_unwind(AssertUnwindSafe(|| match request.header().opcode {
            opcode::FORGET | opcode::BATCH_FORGET | opcode::INTERRUPT | opcode::DESTROY => {
                self.note(&request);
            }
            _ => self.handler.request(request, Reply::new(unique, permit)),
        }));
        if outcome.is_err() {
            tracing::error!("a FUSE request panicked");
        }
    }

    /// Requests that nobody answers (FORGET, INTERRUPT) or whose answer nobody reads (DESTROY, before an unmount).
    fn note(&self, request: &Request<'_>) {
        match request.operation() {
            Ok(Operation::Forget { count }) => self.handler.forget(request.header().node, count),
            Ok(Operation::BatchForget(forgotten)) => {
                forgotten.for_each(|(node, count)| self.handler.forget(node, count));
            }
            Ok(Operation::Interrupt { unique }) => {
                if let Some(slots) = &self.channel.slots {
                    slots.interrupt(unique);
                }
                self.channel.inflight.interrupt(unique);
            }
            Ok(_) => self.channel.answer(request.header().unique, 0, &[]),
            Err(error) => tracing::warn!(%error, "the kernel sent what we cannot read"),
        }
    }
}
