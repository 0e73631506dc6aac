//! Aligned chunks of an archive: each fetched once however many wait for it, kept in memory and on disk.
//!
//! A flight is the fetching of one chunk. It runs by itself, so that whoever waits for it can give up; when the last
//! one has, it ends.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use sandkeep_objects::{Error, Result};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

use super::disk::DiskCache;
use super::remote::{CONNECTIONS, Remote};
use super::streams::Streams;
use crate::lru::Lru;

/// Bytes of a chunk, aligned in the archive.
pub(super) const CHUNK: u64 = 512 << 10;
/// Bytes fetched ahead of a sequential reader at most.
const MAX_AHEAD: u64 = 16 << 20;
/// Connections that reading ahead leaves to readers that wait.
const URGENT_CONNECTIONS: usize = 2;

/// The chunks of one archive.
#[derive(Debug)]
pub(super) struct Chunks {
    remote: Remote,
    disk: Option<Arc<DiskCache>>,
    memory: Mutex<Lru<u64>>,
    flights: Mutex<HashMap<u64, Flight>>,
    ahead: Semaphore,
    streams: Mutex<Streams>,
    /// Where data end: nothing behind it is fetched ahead.
    data_end: u64,
    runtime: Handle,
}

type Flight = Arc<watch::Sender<Progress>>;

#[derive(Debug, Default)]
struct Progress {
    failures: u32,
    outcome: Option<Result<Bytes>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgency {
    SomebodyWaits,
    Ahead,
}

/// A chunk, or a seat in its flight.
#[derive(Debug)]
pub(super) struct Wanted(State);

#[derive(Debug)]
enum State {
    AtHand(Bytes),
    InFlight(watch::Receiver<Progress>),
}

impl Wanted {
    /// The chunk. Ready at once if it is at hand.
    pub(super) async fn bytes(self) -> Result<Bytes> {
        match self.0 {
            State::AtHand(chunk) => Ok(chunk),
            State::InFlight(mut seat) => match seat.wait_for(|progress| progress.outcome.is_some()).await {
                Ok(progress) => progress.outcome.clone().unwrap_or_else(|| Err(ended())),
                Err(_) => Err(ended()),
            },
        }
    }
}

/// The process is about to stop.
fn ended() -> Error {
    Error::Io { source: Arc::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)) }
}

impl Chunks {
    /// Nothing fetched yet. To be called within the runtime that is to fetch.
    pub(super) fn new(remote: Remote, disk: Option<DiskCache>, budget: u64, data_end: u64) -> Arc<Self> {
        // What is fetched ahead must not push itself out.
        let window = MAX_AHEAD.min(budget / 2) / CHUNK;
        Arc::new(Self {
            remote,
            disk: disk.map(Arc::new),
            memory: Mutex::new(Lru::new(budget)),
            flights: Mutex::default(),
            ahead: Semaphore::new(CONNECTIONS - URGENT_CONNECTIONS),
            streams: Mutex::new(Streams::new(window)),
            data_end,
            runtime: Handle::current(),
        })
    }

    /// Where the archive is.
    pub(super) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Keeps a chunk that was fetched otherwise.
    pub(super) fn keep(&self, number: u64, chunk: &Bytes) {
        Lru::lock(&self.memory).insert(number, chunk.clone());
        self.keep_on_disk(number, chunk);
    }

    /// A chunk, if it is in memory.
    pub(super) fn at_hand(&self, number: u64) -> Option<Bytes> {
        Lru::lock(&self.memory).get(&number)
    }

    /// A chunk that somebody waits for: its flight has started when this returns.
    pub(super) fn want(self: &Arc<Self>, number: u64) -> Wanted {
        Wanted(self.board(number, Urgency::SomebodyWaits))
    }

    /// Notes that data in a chunk is read, and fetches ahead what will be read next.
    pub(super) fn touch(self: &Arc<Self>, number: u64) {
        let ahead = self.streams.lock().unwrap_or_else(PoisonError::into_inner).touch(number);
        for number in ahead.start..ahead.end.min(self.data_end.div_ceil(CHUNK)) {
            if let State::InFlight(mut seat) = self.board(number, Urgency::Ahead) {
                // Keeps the flight going unless it has trouble: whoever needs the chunk starts another.
                self.runtime.spawn(async move {
                    let over = |progress: &Progress| progress.outcome.is_some() || progress.failures > 0;
                    let _ended = seat.wait_for(over).await.is_ok();
                });
            }
        }
    }

    fn board(self: &Arc<Self>, number: u64, urgency: Urgency) -> State {
        if let Some(chunk) = self.at_hand(number) {
            return State::AtHand(chunk);
        }
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&number) {
            return State::InFlight(flight.subscribe());
        }
        // It may have landed just before the lock was taken.
        if let Some(chunk) = self.at_hand(number) {
            return State::AtHand(chunk);
        }
        let (flight, seat) = watch::channel(Progress::default());
        let flight = Arc::new(flight);
        flights.insert(number, Arc::clone(&flight));
        self.runtime.spawn(Arc::clone(self).fly(number, flight, urgency));
        State::InFlight(seat)
    }

    async fn fly(self: Arc<Self>, number: u64, flight: Flight, urgency: Urgency) {
        loop {
            let outcome = tokio::select! {
                outcome = self.obtain(number, &flight, urgency) => Some(outcome),
                () = flight.closed() => None,
            };
            if self.land(number, &flight, outcome) {
                return;
            }
        }
    }

    /// Ends a flight, unless somebody boarded it in the moment it was given up.
    fn land(&self, number: u64, flight: &Flight, outcome: Option<Result<Bytes>>) -> bool {
        let mut flights = self.flights();
        if outcome.is_none() && flight.receiver_count() > 0 {
            return false;
        }
        if let Some(Ok(chunk)) = &outcome {
            Lru::lock(&self.memory).insert(number, chunk.clone());
        }
        flights.remove(&number);
        flight.send_modify(|progress| progress.outcome = outcome);
        true
    }

    async fn obtain(&self, number: u64, flight: &Flight, urgency: Urgency) -> Result<Bytes> {
        if let Some(chunk) = self.load(number).await {
            return Ok(chunk);
        }
        let _turn = match urgency {
            Urgency::Ahead => self.ahead.acquire().await.ok(),
            Urgency::SomebodyWaits => None,
        };
        let failed = || flight.send_modify(|progress| progress.failures += 1);
        let chunk = self.remote.get_patiently(self.range(number), failed).await?;
        self.keep_on_disk(number, &chunk);
        Ok(chunk)
    }

    async fn load(&self, number: u64) -> Option<Bytes> {
        let disk = Arc::clone(self.disk.as_ref().filter(|disk| disk.has(number))?);
        let range = self.range(number);
        let loaded = self.runtime.spawn_blocking(move || disk.load(range)).await.ok()?;
        loaded.inspect_err(|error| tracing::info!(%error, "the chunk cache cannot be read")).ok()
    }

    fn keep_on_disk(&self, number: u64, chunk: &Bytes) {
        if let Some(disk) = &self.disk {
            let (disk, chunk) = (Arc::clone(disk), chunk.clone());
            self.runtime.spawn_blocking(move || disk.store(number, number * CHUNK, &chunk));
        }
    }

    fn range(&self, number: u64) -> Range<u64> {
        number * CHUNK..((number + 1) * CHUNK).min(self.remote.size())
    }

    fn flights(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chunks that hold a range.
pub(super) fn chunks_of(range: &Range<u64>) -> Range<u64> {
    range.start / CHUNK..range.end.div_ceil(CHUNK)
}

/// Joins the parts of a range that lie in its chunks, which are given in order. Copies only if there are several.
pub(super) fn join(range: &Range<u64>, chunks: &[Bytes]) -> Bytes {
    let part = |(number, chunk): (u64, &Bytes)| {
        let first = number * CHUNK;
        let from = range.start.saturating_sub(first).min(chunk.len() as u64) as usize;
        let to = (range.end - first).min(chunk.len() as u64) as usize;
        chunk.slice(from.min(to)..to)
    };
    let mut parts = chunks_of(range).zip(chunks).map(part);
    if let [_] = chunks {
        return parts.next().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
    parts.for_each(|part| whole.extend_from_slice(&part));
    whole.freeze()
}
