//! What a process or terminal wrote last, in a file in memory: the agent writes, the daemon reads on its own.
//!
//! | offset | content |
//! |---:|---|
//! | 0 | start: position of the oldest byte that is still whole (u64, little-endian) |
//! | 8 | end: position after the newest byte |
//! | 4096 | byte `position % capacity` |
//!
//! Positions count from the first byte ever written. Before bytes are overwritten, `start` moves past them, so that a
//! reader that looks at `start` after it has read knows what of it is true.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, fstat, memfd_create};

const HEADER: u64 = 4096;

/// Most bytes of one [`RingReader::read`].
const CHUNK: u64 = 64 * 1024;

/// The agent's end.
#[derive(Debug)]
pub(crate) struct RingWriter {
    file: File,
    capacity: u64,
    end: u64,
}

impl RingWriter {
    /// An empty ring. Memory is taken as it fills.
    pub(crate) fn new(capacity: u64) -> io::Result<Self> {
        let file = File::from(memfd_create("ring", MemfdFlags::CLOEXEC)?);
        file.set_len(HEADER + capacity)?;
        Ok(Self { file, capacity, end: 0 })
    }

    /// Adds bytes, forgetting the oldest where there is no room.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let skipped = bytes.len().saturating_sub(self.capacity as usize);
        let end = self.end + bytes.len() as u64;
        self.file.write_all_at(&end.saturating_sub(self.capacity).to_le_bytes(), 0)?;
        let mut position = self.end + skipped as u64;
        let mut rest = bytes.get(skipped..).unwrap_or_default();
        while !rest.is_empty() {
            let place = position % self.capacity;
            let (now, later) = rest.split_at(rest.len().min((self.capacity - place) as usize));
            self.file.write_all_at(now, HEADER + place)?;
            position += now.len() as u64;
            rest = later;
        }
        self.file.write_all_at(&end.to_le_bytes(), 8)?;
        self.end = end;
        Ok(())
    }

    /// What a reader needs.
    pub(crate) fn descriptor(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The daemon's end, with its own position.
#[derive(Debug)]
pub(crate) struct RingReader {
    file: File,
    capacity: u64,
    position: u64,
}

impl RingReader {
    /// Reads from the oldest byte on.
    pub(crate) fn new(file: OwnedFd) -> io::Result<Self> {
        let size = u64::try_from(fstat(&file)?.st_size).unwrap_or_default();
        let capacity = size.checked_sub(HEADER).filter(|capacity| *capacity > 0);
        let capacity = capacity.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { file: file.into(), capacity, position: 0 })
    }

    /// The next bytes; empty if there are none now. What was overwritten meanwhile is left out.
    pub(crate) fn read(&mut self) -> io::Result<Vec<u8>> {
        let (start, end) = self.bounds()?;
        let from = self.position.max(start).min(end);
        let place = from % self.capacity;
        let length = (end - from).min(CHUNK).min(self.capacity - place);
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, HEADER + place)?;
        let overwritten = self.bounds()?.0.saturating_sub(from).min(length);
        self.position = from + length;
        Ok(bytes.split_off(overwritten as usize))
    }

    /// Read until it is the same twice, since a write is not one step for a reader.
    fn bounds(&self) -> io::Result<(u64, u64)> {
        let mut last = self.header()?;
        loop {
            let now = self.header()?;
            if now == last {
                return Ok(now);
            }
            last = now;
        }
    }

    fn header(&self) -> io::Result<(u64, u64)> {
        let number = |offset| {
            let mut bytes = [0; 8];
            self.file.read_exact_at(&mut bytes, offset).map(|()| u64::from_le_bytes(bytes))
        };
        Ok((number(0)?, number(8)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(capacity: u64) -> (RingWriter, RingReader) {
        let writer = RingWriter::new(capacity).unwrap();
        let reader = RingReader::new(writer.descriptor().try_clone_to_owned().unwrap()).unwrap();
        (writer, reader)
    }

    fn all(reader: &mut RingReader) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let piece = reader.read().unwrap();
            if piece.is_empty() {
                return bytes;
            }
            bytes.extend(piece);
        }
    }

    #[test]
    fn the_newest_bytes_stay() {
        let (mut writer, mut reader) = pair(8);
        assert_eq!(all(&mut reader), b"");
        writer.write(b"abc").unwrap();
        assert_eq!(all(&mut reader), b"abc");
        writer.write(b"defghij").unwrap();
        assert_eq!(all(&mut reader), b"defghij");
        writer.write(b"0123456789abcdef").unwrap();
        assert_eq!(all(&mut reader), b"89abcdef");
        let mut late = RingReader::new(writer.descriptor().try_clone_to_owned().unwrap()).unwrap();
        writer.write(b"X").unwrap();
        assert_eq!(all(&mut late), b"9abcdefX");
    }

    #[test]
    fn a_reader_beside_the_writer_sees_no_false_byte() {
        let (mut writer, mut reader) = pair(10_000);
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = std::sync::Arc::clone(&done);
        let thread = std::thread::spawn(move || {
            // Each byte is its position modulo 251.
            let mut position = 0_u64;
            for round in 0..3_000_u64 {
                let piece: Vec<u8> = (0..1 + round % 700).map(|i| ((position + i) % 251) as u8).collect();
                position += piece.len() as u64;
                writer.write(&piece).unwrap();
            }
            flag.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        loop {
            let is_last = done.load(std::sync::atomic::Ordering::SeqCst);
            let piece = reader.read().unwrap();
            let first = reader.position - piece.len() as u64;
            for (offset, byte) in piece.iter().enumerate() {
                assert_eq!(u64::from(*byte), (first + offset as u64) % 251);
            }
            if piece.is_empty() && is_last {
                break;
            }
        }
        thread.join().unwrap();
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        let file = memfd_create("x", MemfdFlags::CLOEXEC).unwrap();
        assert!(RingReader::new(file).is_err());
    }
}
