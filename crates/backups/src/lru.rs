//! A cache of byte strings that drops what was used longest ago.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Byte strings by key, at most `limit` bytes of them together.
#[derive(Debug)]
pub(crate) struct Lru<K> {
    entries: HashMap<K, Entry>,
    // When each entry was used last; times are unique.
    used: BTreeMap<u64, K>,
    now: u64,
    bytes: u64,
    limit: u64,
}

#[derive(Debug)]
struct Entry {
    value: Bytes,
    used: u64,
}

impl<K: Copy + Eq + Hash> Lru<K> {
    /// An empty cache.
    pub(crate) fn new(limit: u64) -> Self {
        Self { entries: HashMap::new(), used: BTreeMap::new(), now: 0, bytes: 0, limit }
    }

    /// Locks a shared cache. A panic cannot leave it in a state worse than forgetting an entry.
    pub(crate) fn lock(shared: &Mutex<Self>) -> MutexGuard<'_, Self> {
        shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value, which becomes the one used last.
    pub(crate) fn get(&mut self, key: &K) -> Option<Bytes> {
        let entry = self.entries.get_mut(key)?;
        if entry.used != self.now {
            self.used.remove(&entry.used);
            self.now += 1;
            entry.used = self.now;
            self.used.insert(self.now, *key);
        }
        Some(entry.value.clone())
    }

    /// Keeps a value and makes room for it. One that is larger than the whole cache is not kept.
    pub(crate) fn insert(&mut self, key: K, value: Bytes) {
        let length = value.len() as u64;
        if length > self.limit {
            return;
        }
        self.remove(&key);
        while self.bytes + length > self.limit {
            let Some((_, oldest)) = self.used.pop_first() else { break };
            self.remove(&oldest);
        }
        self.now += 1;
        self.bytes += length;
        self.used.insert(self.now, key);
        self.entries.insert(key, Entry { value, used: self.now });
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.used.remove(&entry.used);
            self.bytes -= entry.value.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let mut cache = Lru::new(10);
        cache.insert(1, Bytes::from_static(b"aaaa"));
        cache.insert(2, Bytes::from_static(b"bbbb"));
        assert!(cache.get(&1).is_some());
        cache.insert(3, Bytes::from_static(b"cccc"));
        assert!(cache.get(&2).is_none());
        assert_eq!(cache.get(&1).unwrap(), "aaaa");
        cache.insert(1, Bytes::from_static(b"0123456789"));
        assert!(cache.get(&3).is_none());
        cache.insert(4, Bytes::from_static(b"larger than all"));
        assert!(cache.get(&4).is_none());
        assert_eq!((cache.bytes, cache.entries.len(), cache.used.len()), (10, 1, 1));
    }
}
