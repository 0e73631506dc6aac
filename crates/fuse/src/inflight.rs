//! Requests that can be cancelled, by their number.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use crate::abi::UNIQUE_RESEND;

/// Interrupts remembered for requests that have not registered yet. Far more than threads that can be in between.
const EARLY_LIMIT: usize = 64;

pub(crate) type Cancel = Box<dyn FnOnce() + Send>;

/// What FUSE_INTERRUPT can reach. Only requests that wait are here, so answers from a cache cost nothing.
#[derive(Default)]
pub(crate) struct Inflight {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<u64, Cancel>,
    /// The kernel may deliver an interrupt to one thread while another is still polling its target.
    early: VecDeque<u64>,
}

impl Inflight {
    /// Makes a request reachable; calls `cancel` at once if its interrupt is here already.
    pub(crate) fn register(&self, unique: u64, cancel: Cancel) {
        let number = unique & !UNIQUE_RESEND;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = state.early.iter().position(|early| *early == number) {
            state.early.remove(place);
            drop(state);
            cancel();
        } else {
            state.waiting.insert(number, cancel);
        }
    }

    pub(crate) fn unregister(&self, unique: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.remove(&(unique & !UNIQUE_RESEND));
    }

    /// Cancels the request, or remembers the interrupt.
    pub(crate) fn interrupt(&self, unique: u64) {
        let number = unique & !UNIQUE_RESEND;
        let cancel = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let cancel = state.waiting.remove(&number);
            if cancel.is_none() {
                if state.early.len() == EARLY_LIMIT {
                    state.early.pop_front();
                }
                state.early.push_back(number);
            }
            cancel
        };
        if let Some(cancel) = cancel {
            cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counting(count: &Arc<AtomicUsize>) -> Cancel {
        let count = Arc::clone(count);
        Box::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
    }

    #[test]
    fn an_interrupt_reaches_its_target_before_and_after_it_registers() {
        let (inflight, count) = (Inflight::default(), Arc::new(AtomicUsize::new(0)));
        inflight.register(2, counting(&count));
        inflight.interrupt(2 | UNIQUE_RESEND);
        assert_eq!(count.load(Ordering::Relaxed), 1);
        inflight.interrupt(4);
        inflight.register(4, counting(&count));
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_answered_request_is_not_cancelled_and_stale_interrupts_are_bounded() {
        let (inflight, count) = (Inflight::default(), Arc::new(AtomicUsize::new(0)));
        inflight.register(2, counting(&count));
        inflight.unregister(2);
        (0..1000).for_each(|number| inflight.interrupt(number * 2));
        assert_eq!(count.load(Ordering::Relaxed), 0);
        assert_eq!(inflight.state.lock().unwrap().early.len(), EARLY_LIMIT);
    }
}
