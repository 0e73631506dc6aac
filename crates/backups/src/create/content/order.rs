//! Results in the order in which their tasks were given, whatever order they arrive in.

use std::collections::VecDeque;

use super::worker::{Done, Task, Workers};
use crate::CreateError;

/// A place in the order.
struct Slot<T> {
    item: T,
    /// Its task is with a thread.
    is_waiting: bool,
    done: Option<Done>,
}

/// Items in order; each with the result of its task, if it had one.
pub(super) struct InOrder<T> {
    workers: Workers,
    slots: VecDeque<Slot<T>>,
    /// Number of the first slot.
    first: u64,
}

impl<T> InOrder<T> {
    pub(super) fn new(workers: Workers) -> Self {
        Self { workers, slots: VecDeque::new(), first: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Adds an item whose task a thread has to do.
    pub(super) fn submit(&mut self, item: T, task: Task) {
        self.workers.submit(self.first + self.slots.len() as u64, task);
        self.slots.push_back(Slot { item, is_waiting: true, done: None });
    }

    /// Adds an item that needs no work.
    pub(super) fn push(&mut self, item: T) {
        self.slots.push_back(Slot { item, is_waiting: false, done: None });
    }

    /// The first item, once its task is done; none if there are no items.
    pub(super) fn pop(&mut self) -> Result<Option<(T, Option<Done>)>, CreateError> {
        while self.slots.front().is_some_and(|slot| slot.is_waiting) {
            let (number, done) = self.workers.receive()?;
            let slot = &mut self.slots[(number - self.first) as usize];
            slot.is_waiting = false;
            slot.done = Some(done);
        }
        let Some(slot) = self.slots.pop_front() else { return Ok(None) };
        self.first += 1;
        Ok(Some((slot.item, slot.done)))
    }
}
