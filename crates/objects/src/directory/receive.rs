//! Takes in a body: small ones into memory, others into a file, hashed on the way.

use std::io::Write;
use std::num::NonZeroU64;

use bytes::Bytes;
use futures::StreamExt;
use md5::{Digest, Md5};
use rustix::fs::{Advice, fadvise};

use super::failure::io_failure;
use super::files::NewFile;
use super::readers::blocking;
use super::service::Inner;
use crate::{Body, ByteStream, Checksum, ChecksumAlgorithm, ChecksumHasher, Result};

/// Bodies up to this size are kept in the index: a row costs less than a file with two syncs.
pub(super) const INLINE_LIMIT: u64 = 16 * 1024;

/// Bytes collected before they are written; one such piece is collected while another is written.
const PIECE: usize = 256 * 1024;

/// Bytes after which the disk is told to begin: writing is then nearly done when the last byte comes, and the sync short.
const WRITE_BEHIND: u64 = 8 * 1024 * 1024;

/// A body that no commit has published.
#[derive(Debug)]
pub(super) enum NewBody {
    /// For the index.
    Inline(Bytes),
    /// In a synced file.
    File(NewFile),
}

/// What was taken in.
#[derive(Debug)]
pub(super) struct Received<B> {
    pub(super) body: B,
    pub(super) md5: [u8; 16],
    pub(super) size: u64,
    /// The one that was asked for, or the one that the body brought.
    pub(super) checksum: Option<Checksum>,
}

/// Takes in the body of an object.
pub(super) async fn receive(inner: &Inner, body: Body) -> Result<Received<NewBody>> {
    inner.check_room().await?;
    let size = body.length();
    if size > INLINE_LIMIT {
        let Received { body, md5, size, checksum } = receive_file(inner, body, None).await?;
        return Ok(Received { body: NewBody::File(body), md5, size, checksum });
    }
    let checksum = body.checksum();
    let bytes = match body {
        Body::Bytes(bytes) => bytes,
        stream => collect(stream.into_stream()).await?,
    };
    let md5 = Md5::digest(&bytes).into();
    Ok(Received { body: NewBody::Inline(bytes), md5, size, checksum: checksum.get() })
}

/// Takes in a body that becomes a file whatever its size, and computes a checksum on the way.
pub(super) async fn receive_file(
    inner: &Inner,
    body: Body,
    wanted: Option<ChecksumAlgorithm>,
) -> Result<Received<NewFile>> {
    inner.check_room().await?;
    let brought = body.checksum();
    let mut stream = body.into_stream();
    let hasher = wanted.map(ChecksumAlgorithm::hasher);
    let mut sink = Sink { file: inner.new_file().await?, md5: Md5::new(), hasher, begun: 0 };
    let mut piece = next_piece(&mut stream).await?;
    while !piece.is_empty() {
        let writing = blocking(move || sink.write(&piece));
        let (written, next) = tokio::join!(writing, next_piece(&mut stream));
        (sink, piece) = (written?, next?);
    }
    let mut received = blocking(move || sink.finish()).await?;
    received.checksum = received.checksum.or_else(|| brought.get());
    Ok(received)
}

async fn collect(mut stream: ByteStream) -> Result<Bytes> {
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes.into())
}

/// Collects about [`PIECE`] bytes; none at the end.
async fn next_piece(stream: &mut ByteStream) -> Result<Vec<Bytes>> {
    let (mut piece, mut length) = (Vec::new(), 0);
    while length < PIECE
        && let Some(chunk) = stream.next().await
    {
        let chunk = chunk?;
        length += chunk.len();
        piece.push(chunk);
    }
    Ok(piece)
}

/// A file being filled.
struct Sink {
    file: NewFile,
    md5: Md5,
    hasher: Option<ChecksumHasher>,
    /// Bytes that the disk was told to write.
    begun: u64,
}

impl Sink {
    fn write(mut self, piece: &[Bytes]) -> Result<Self> {
        for chunk in piece {
            self.file.file.write_all(chunk).map_err(io_failure)?;
            self.file.size += chunk.len() as u64;
            self.md5.update(chunk);
            if let Some(hasher) = &mut self.hasher {
                hasher.update(chunk);
            }
        }
        self.begin_writing();
        Ok(self)
    }

    /// Linux starts to write dirty pages it is told to forget, and keeps them meanwhile.
    fn begin_writing(&mut self) {
        if let Some(length) = NonZeroU64::new(self.file.size - self.begun)
            && length.get() >= WRITE_BEHIND
        {
            // Where this is not possible the sync takes longer, nothing more.
            let _ = fadvise(&self.file.file, self.begun, Some(length), Advice::DontNeed);
            self.begun = self.file.size;
        }
    }

    fn finish(mut self) -> Result<Received<NewFile>> {
        self.file.file.sync_all().map_err(io_failure)?;
        let size = self.file.size;
        self.file.md5 = self.md5.finalize().into();
        let checksum = self.hasher.map(ChecksumHasher::checksum);
        Ok(Received { md5: self.file.md5, body: self.file, size, checksum })
    }
}
