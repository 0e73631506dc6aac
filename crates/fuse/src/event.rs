//! Something that happens once and can be waited for, in any async runtime.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Happens once; later waits end at once.
#[derive(Debug, Default)]
pub struct Event {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    happened: bool,
    waiting: Vec<Waker>,
}

impl Event {
    /// Lets it happen and wakes everyone who waits.
    pub fn set(&self) {
        let waiting = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.happened = true;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ends when it has happened.
    pub async fn wait(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.happened {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
