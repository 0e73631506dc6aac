//! Who is busy making, removing or searching for names.
//!
//! A program that looks a name up and then makes it, again and again, is going to make the next one it looks up too; one
//! that looks for many names that are not there is searching (interpreters for modules, git for objects). Such a program
//! is answered from a listing that is kept young for it; everybody else's question goes to the bucket.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sandkeep_vfs::Inode;

/// Threads that are told apart.
const MAX_THREADS: usize = 1024;

/// Names that a thread may look up before it makes one of them: the file, its temporary name, its directory.
const MAX_LOOKED: usize = 4;

/// How often a name may be looked up before it is made. Who asks more often waits for somebody else to make it.
const MAX_LOOKS: u32 = 2;

/// Changes that were foreseen right before a thread counts as busy.
const BUSY: u32 = 2;

/// Different names looked up in vain after which a thread is searching.
const SEARCHING: u32 = 8;

/// Most that are counted, so that a change of habits is noticed soon.
const MAX_STREAK: u32 = 8;

/// After this pause a thread is no longer busy.
const PAUSE: Duration = Duration::from_secs(10);

/// What threads did last.
#[derive(Debug, Default)]
pub(crate) struct Habits {
    threads: Mutex<HashMap<u32, Habit>>,
}

#[derive(Debug, Default)]
struct Habit {
    /// Names looked up and not yet made, with how often; the oldest first.
    looked: VecDeque<(Inode, Vec<u8>, u32)>,
    streak: u32,
    misses: u32,
    last: Duration,
}

impl Habits {
    /// A thread looks a name up. Whether it is busy.
    pub(crate) fn looks(&self, thread: u32, parent: Inode, name: &[u8], now: Duration) -> bool {
        let mut threads = self.threads();
        let Some(habit) = threads.get_mut(&thread) else {
            Self::begin(&mut threads, thread, now).looks(parent, name);
            return false;
        };
        if now.saturating_sub(habit.last) > PAUSE {
            *habit = Habit::default();
        }
        habit.last = now;
        habit.looks(parent, name)
    }

    /// What was looked up is there: nothing follows from that.
    pub(crate) fn found(&self, thread: u32, parent: Inode, name: &[u8]) {
        if let Some(habit) = self.threads().get_mut(&thread) {
            habit.take(parent, name);
        }
    }

    /// A thread made a name.
    pub(crate) fn made(&self, thread: u32, parent: Inode, name: &[u8]) {
        if let Some(habit) = self.threads().get_mut(&thread)
            && habit.take(parent, name)
        {
            habit.streak = (habit.streak + 1).min(MAX_STREAK);
        }
    }

    /// A thread removed a name.
    pub(crate) fn removed(&self, thread: u32, now: Duration) {
        let mut threads = self.threads();
        let habit = match threads.get_mut(&thread) {
            Some(habit) => habit,
            None => Self::begin(&mut threads, thread, now),
        };
        habit.last = now;
        habit.streak = (habit.streak + 1).min(MAX_STREAK);
    }

    fn threads(&self) -> MutexGuard<'_, HashMap<u32, Habit>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(threads: &mut HashMap<u32, Habit>, thread: u32, now: Duration) -> &mut Habit {
        if threads.len() >= MAX_THREADS {
            threads.retain(|_, habit| now.saturating_sub(habit.last) < PAUSE);
        }
        if threads.len() >= MAX_THREADS {
            threads.clear();
        }
        threads.entry(thread).or_insert(Habit { last: now, ..Habit::default() })
    }
}

impl Habit {
    fn looks(&mut self, parent: Inode, name: &[u8]) -> bool {
        let known = self.looked.iter_mut().find(|(in_, of, _)| *in_ == parent && of == name);
        if let Some((_, _, times)) = known {
            *times += 1;
            if *times > MAX_LOOKS {
                (self.streak, self.misses) = (0, 0);
            }
        } else {
            self.looked.push_back((parent, name.to_vec(), 1));
            if self.looked.len() > MAX_LOOKED {
                self.looked.pop_front();
                self.streak = self.streak.saturating_sub(1);
                self.misses = (self.misses + 1).min(SEARCHING);
            }
        }
        self.streak >= BUSY || self.misses >= SEARCHING
    }

    fn take(&mut self, parent: Inode, name: &[u8]) -> bool {
        let before = self.looked.len();
        self.looked.retain(|(in_, of, _)| *in_ != parent || of != name);
        self.looked.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn make(habits: &Habits, name: &str) -> bool {
        let busy = habits.looks(7, Inode::ROOT, name.as_bytes(), NOW);
        habits.made(7, Inode::ROOT, name.as_bytes());
        busy
    }

    #[test]
    fn whoever_makes_what_it_looks_up_is_busy_from_the_third_name_on() {
        let habits = Habits::default();
        assert_eq!(["a", "b", "c", "d"].map(|name| make(&habits, name)), [false, false, true, true]);
        assert!(!habits.looks(8, Inode::ROOT, b"e", NOW));
        assert!(!habits.looks(7, Inode::ROOT, b"e", NOW + PAUSE * 2));
    }

    #[test]
    fn whoever_asks_for_a_name_again_and_again_waits_for_others_and_is_not_busy() {
        let habits = Habits::default();
        for name in ["a", "b", "c"] {
            make(&habits, name);
        }
        let asked = [(); 4].map(|()| habits.looks(7, Inode::ROOT, b"answer", NOW));
        assert_eq!(asked, [true, true, false, false]);
    }

    #[test]
    fn whoever_looks_for_many_names_in_vain_is_searching_until_it_waits_for_one() {
        let habits = Habits::default();
        let looks = |name: u8| habits.looks(7, Inode::ROOT, &[name], NOW);
        assert_eq!((0..20).position(looks), Some(11));
        assert_eq!([21, 21, 21, 22].map(looks), [true, true, false, false]);
    }

    #[test]
    fn names_that_are_found_do_not_count() {
        let habits = Habits::default();
        for name in ["a", "b", "c", "d", "e", "f"] {
            habits.looks(7, Inode::ROOT, b"source", NOW);
            habits.found(7, Inode::ROOT, b"source");
            make(&habits, name);
        }
        assert!(make(&habits, "g"));
    }
}
