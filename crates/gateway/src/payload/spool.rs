//! Room in memory for bodies that have to be at hand before they are stored: the files of forms, whose length nobody
//! says.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::fault::{Fault, Outcome};

/// Bytes of one such body at most.
pub(crate) const SPOOL_LIMIT: usize = 16 * 1024 * 1024;

/// Bytes of all such bodies at once, over all connections.
const ROOM: usize = 64 * 1024 * 1024;

static FREE: Semaphore = Semaphore::const_new(ROOM);

/// A body being collected. Its room is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Spool {
    limit: usize,
    bytes: BytesMut,
    taken: Option<SemaphorePermit<'static>>,
}

/// A body that was collected, for as long as it is needed.
#[derive(Debug)]
pub(crate) struct Spooled {
    pub(crate) content: Bytes,
    _taken: Option<SemaphorePermit<'static>>,
}

impl Spool {
    /// Takes at most so many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: BytesMut::new(), taken: None }
    }

    /// Adds bytes, or refuses them: nobody waits for room that only others can free.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Outcome<()> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(Fault::too_large(SPOOL_LIMIT as u64));
        }
        let wanted = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let more = FREE.try_acquire_many(wanted).map_err(|_| busy())?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn finish(self) -> Spooled {
        Spooled { content: self.bytes.freeze(), _taken: self.taken }
    }
}

fn busy() -> Fault {
    let message = "Please reduce your request rate: too many forms are on their way.";
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_share_the_room_and_give_it_back() {
        let piece = vec![0; SPOOL_LIMIT];
        let mut spools: Vec<Spool> = Vec::new();
        for _ in 0..ROOM / SPOOL_LIMIT {
            let mut spool = Spool::new(SPOOL_LIMIT);
            spool.push(&piece).expect("room");
            assert_eq!(spool.push(b"x").map_err(|fault| fault.code), Err("EntityTooLarge"));
            spools.push(spool);
        }
        let mut late = Spool::new(SPOOL_LIMIT);
        assert_eq!(late.push(b"x").map_err(|fault| fault.code), Err("SlowDown"));
        let done = spools.pop().expect("a spool").finish();
        assert_eq!(late.push(b"x").map_err(|fault| fault.code), Err("SlowDown"));
        drop(done);
        assert!(late.push(b"x").is_ok());
    }
}
