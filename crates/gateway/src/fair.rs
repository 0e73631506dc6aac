//! Whose request is next: those of one sandbox must not keep those of another waiting.
//!
//! So many requests are served at once, over all sandboxes. Where more wait, the sandbox with the fewest in service is
//! next, and of several the one that was served longest ago. A sandbox of which nothing is in service never waits for
//! others, even when theirs hang: it is served beyond the total.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// What the endpoints of all sandboxes share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FairQueue(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    total: usize,
    in_service: usize,
    lines: BTreeMap<u64, Waiting>,
    next_line: u64,
    /// Turns given so far, as a clock.
    given: u64,
}

/// The requests of one sandbox.
#[derive(Debug)]
struct Waiting {
    limit: usize,
    in_service: usize,
    last_given: u64,
    requests: VecDeque<oneshot::Sender<Turn>>,
}

/// A place for the requests of one sandbox. Dropping it ends the place; turns in progress go on.
#[derive(Debug)]
pub(crate) struct Line {
    queue: FairQueue,
    id: u64,
}

/// A request in service. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Turn {
    queue: FairQueue,
    line: u64,
}

impl FairQueue {
    /// Serves so many at once.
    pub fn new(total: NonZeroUsize) -> Self {
        let (lines, total) = (BTreeMap::new(), total.get());
        Self(Arc::new(Mutex::new(State { total, in_service: 0, lines, next_line: 0, given: 0 })))
    }

    /// Serves so many at once from now on.
    pub fn set_total(&self, total: NonZeroUsize) {
        self.lock().total = total.get();
        self.give();
    }

    /// A place for a sandbox, of which at most `limit` requests are served at once.
    pub(crate) fn line(&self, limit: NonZeroUsize) -> Line {
        let mut state = self.lock();
        let id = state.next_line;
        state.next_line += 1;
        let requests = VecDeque::new();
        state.lines.insert(id, Waiting { limit: limit.get(), in_service: 0, last_given: 0, requests });
        Line { queue: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns while there are any to give. Requests that were given up are passed over.
    fn give(&self) {
        loop {
            let mut state = self.lock();
            let Some((line, request)) = state.next() else { return };
            drop(state);
            // A turn that nobody takes comes back by being dropped here, where nothing is locked.
            drop(request.send(Turn { queue: self.clone(), line }));
        }
    }

    fn leave(&self, line: u64) {
        {
            let mut state = self.lock();
            state.in_service -= 1;
            if let Some(waiting) = state.lines.get_mut(&line) {
                waiting.in_service -= 1;
            }
        }
        self.give();
    }
}

impl State {
    /// The request whose turn it is, counted as in service.
    fn next(&mut self) -> Option<(u64, oneshot::Sender<Turn>)> {
        let room = self.in_service < self.total;
        let may = |waiting: &Waiting| {
            !waiting.requests.is_empty()
                && waiting.in_service < waiting.limit
                && (room || waiting.in_service == 0)
        };
        let lines = self.lines.iter_mut().filter(|(_, waiting)| may(waiting));
        let (id, waiting) = lines.min_by_key(|(_, waiting)| (waiting.in_service, waiting.last_given))?;
        let request = waiting.requests.pop_front()?;
        self.given += 1;
        waiting.last_given = self.given;
        waiting.in_service += 1;
        self.in_service += 1;
        Some((*id, request))
    }
}

impl Line {
    /// Waits for the turn of a request; none once the line has ended.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let (request, turn) = oneshot::channel();
        self.queue.lock().lines.get_mut(&self.id)?.requests.push_back(request);
        self.queue.give();
        turn.await.ok()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let ended = self.queue.lock().lines.remove(&self.id);
        // Its waiting requests are woken outside of the lock.
        drop(ended);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.leave(self.line);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn count(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).expect("not zero")
    }

    /// Turns that are given at once.
    fn take(line: &Line, turns: &mut Vec<Turn>) -> bool {
        match line.turn().now_or_never() {
            Some(turn) => {
                turns.extend(turn);
                true
            }
            None => false,
        }
    }

    #[test]
    fn one_sandbox_leaves_room_for_another() {
        let queue = FairQueue::new(count(4));
        let (greedy, polite) = (queue.line(count(100)), queue.line(count(100)));
        let mut held = Vec::new();
        assert_eq!((0..10).filter(|_| take(&greedy, &mut held)).count(), 4);
        // Everything is in use, and nothing ends: the first request of another is served all the same.
        let mut theirs = Vec::new();
        assert!(take(&polite, &mut theirs));
        assert!(!take(&polite, &mut theirs));
    }

    #[test]
    fn a_sandbox_has_a_limit_of_its_own() {
        let queue = FairQueue::new(count(100));
        let line = queue.line(count(3));
        let mut held = Vec::new();
        assert_eq!((0..10).filter(|_| take(&line, &mut held)).count(), 3);
        held.pop();
        assert!(take(&line, &mut held));
    }

    /// Requests that wait, and the turns that they have got by now.
    struct Crowd {
        waiting: Vec<std::pin::Pin<Box<dyn Future<Output = Option<Turn>>>>>,
        turns: Vec<Turn>,
    }

    impl Crowd {
        fn new(line: Line, requests: usize) -> Self {
            let line = Arc::new(line);
            let wait = |_| {
                let line = Arc::clone(&line);
                let mut request: std::pin::Pin<Box<dyn Future<Output = Option<Turn>>>> =
                    Box::pin(async move { line.turn().await });
                let turn = request.as_mut().now_or_never();
                (request, turn)
            };
            let (mut waiting, mut turns) = (Vec::new(), Vec::new());
            for (request, turn) in (0..requests).map(wait) {
                match turn {
                    Some(turn) => turns.extend(turn),
                    None => waiting.push(request),
                }
            }
            Self { waiting, turns }
        }

        /// In service at the moment.
        fn served(&mut self) -> usize {
            let Self { waiting, turns } = self;
            waiting.retain_mut(|request| match request.as_mut().now_or_never() {
                Some(turn) => {
                    turns.extend(turn);
                    false
                }
                None => true,
            });
            turns.len()
        }
    }

    #[test]
    fn shares_become_equal() {
        let queue = FairQueue::new(count(4));
        let mut greedy = Crowd::new(queue.line(count(100)), 90);
        let mut polite = Crowd::new(queue.line(count(100)), 10);
        assert_eq!((greedy.served(), polite.served()), (4, 1));
        let mut rounds = 0;
        while !polite.waiting.is_empty() {
            // Whoever has most in service ends one, as if all took equally long.
            let (one, other) = (greedy.served(), polite.served());
            assert!(one + other <= 5, "{one} and {other} of 4, and one beyond");
            let ended = if one > other { greedy.turns.pop() } else { polite.turns.pop() };
            drop(ended);
            rounds += 1;
        }
        // Nine waited: each is let in when one of its own ends, once both have the same.
        assert!(rounds <= 12, "the polite one waited for {rounds} ends");
        assert!(greedy.waiting.len() > 80);
    }

    #[tokio::test]
    async fn requests_that_were_given_up_are_passed_over() {
        let queue = FairQueue::new(count(1));
        let line = queue.line(count(10));
        let held = line.turn().await;
        assert!(line.turn().now_or_never().is_none());
        assert!(line.turn().now_or_never().is_none());
        drop(held);
        assert!(line.turn().now_or_never().is_some_and(|turn| turn.is_some()));
    }
}
