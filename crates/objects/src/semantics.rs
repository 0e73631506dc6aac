//! Rules that every store shares: which conditions hold, which bytes a range names, how long a body is.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};

use crate::{
    Body, ByteRange, ByteStream, Conditions, DeleteConditions, ETag, Error, ObjectInfo, Result,
    WriteConditions,
};

impl Conditions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Judges a read, in the order of precedence of RFC 9110: an ETag condition hides the date condition beside it.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
    pub fn check(&self, info: &ObjectInfo) -> Result<()> {
        if !self.still_wanted(info) {
            return Err(Error::PreconditionFailed);
        }
        if self.is_known(info) { Err(Error::NotModified) } else { Ok(()) }
    }

    /// Judges the source of a copy, where every refusal is [`Error::PreconditionFailed`].
    pub fn check_copy_source(&self, info: &ObjectInfo) -> Result<()> {
        self.check(info).map_err(|_| Error::PreconditionFailed)
    }

    fn still_wanted(&self, info: &ObjectInfo) -> bool {
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tag), _) => tag.matches(&info.etag),
            (None, Some(since)) => whole_seconds(info.last_modified) <= whole_seconds(since),
            (None, None) => true,
        }
    }

    fn is_known(&self, info: &ObjectInfo) -> bool {
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tag), _) => tag.matches(&info.etag),
            (None, Some(since)) => whole_seconds(info.last_modified) <= whole_seconds(since),
            (None, None) => false,
        }
    }
}

impl ETag {
    /// Whether this tag of a condition, which may be `*` or a list, names `other`.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.split(',').map(|tag| tag.trim().trim_matches('"')).any(|tag| tag == "*" || tag == other.0)
    }
}

impl WriteConditions {
    /// Judges a write by the object that it would replace.
    pub fn check(&self, current: Option<&ETag>) -> Result<()> {
        let holds = match self {
            Self::None => true,
            Self::IfAbsent => current.is_none(),
            Self::IfMatch(tag) => current.is_some_and(|current| tag.matches(current)),
            Self::IfNoneMatch(tag) => !current.is_some_and(|current| tag.matches(current)),
        };
        if holds { Ok(()) } else { Err(Error::PreconditionFailed) }
    }
}

impl DeleteConditions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Judges a deletion by the object that would go; where there is none it succeeds.
    pub fn check(&self, current: Option<&ObjectInfo>) -> Result<()> {
        let Some(info) = current else { return Ok(()) };
        let tag = self.if_match.as_ref().is_none_or(|tag| tag.matches(&info.etag));
        let size = self.size.is_none_or(|size| size == info.size);
        let time = |time| whole_seconds(time) == whole_seconds(info.last_modified);
        if tag && size && self.last_modified.is_none_or(time) {
            Ok(())
        } else {
            Err(Error::PreconditionFailed)
        }
    }
}

impl ByteRange {
    /// The bytes this names in an object of `size` bytes.
    ///
    /// # Errors
    /// [`Error::InvalidRange`] if there is no such byte, as always in an empty object.
    pub fn resolve(self, size: u64) -> Result<Range<u64>> {
        let range = match self {
            Self::Bounded { start, end } => start..end.min(size),
            Self::From(start) => start..size,
            Self::Last(length) => size.saturating_sub(length)..size,
        };
        if range.is_empty() { Err(Error::InvalidRange { size: Some(size) }) } else { Ok(range) }
    }

    /// The bytes to read for an optional range; none: all of them.
    pub fn resolve_optional(range: Option<Self>, size: u64) -> Result<Range<u64>> {
        range.map_or(Ok(0..size), |range| range.resolve(size))
    }
}

impl Body {
    /// The bytes, failing with [`Error::Corrupt`] where they are not exactly as many as promised.
    ///
    /// The last piece is held back until the source has ended: whoever received all of it can publish it.
    pub fn into_stream(self) -> ByteStream {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => stream::empty().boxed(),
            Self::Bytes(bytes) => stream::iter([Ok(bytes)]).boxed(),
            Self::Stream { length, stream } | Self::Verified { length, stream, .. } => {
                exact_length(length, stream)
            }
        }
    }
}

/// Passes on exactly `length` bytes of `source`, or fails with [`Error::Corrupt`].
pub fn exact_length(length: u64, source: ByteStream) -> ByteStream {
    Box::pin(ExactLength { source, promised: length, seen: 0, held: None, done: false })
}

struct ExactLength {
    source: ByteStream,
    promised: u64,
    seen: u64,
    held: Option<Bytes>,
    done: bool,
}

impl ExactLength {
    fn refuse(&mut self) -> Poll<Option<Result<Bytes>>> {
        self.done = true;
        let compared = if self.seen > self.promised { "more" } else { "fewer" };
        let what = format!("{compared} bytes than the promised {}", self.promised);
        Poll::Ready(Some(Err(Error::Corrupt { what })))
    }

    fn finish(&mut self) -> Poll<Option<Result<Bytes>>> {
        if self.seen < self.promised {
            return self.refuse();
        }
        self.done = true;
        Poll::Ready(self.held.take().map(Ok))
    }
}

impl Stream for ExactLength {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.done {
            let chunk = match ready!(self.source.poll_next_unpin(context)) {
                None => return self.finish(),
                Some(Err(error)) => {
                    self.done = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(chunk)) => chunk,
            };
            self.seen += chunk.len() as u64;
            if self.seen > self.promised {
                return self.refuse();
            }
            if chunk.is_empty() {
                continue;
            }
            if self.seen < self.promised {
                return Poll::Ready(Some(Ok(chunk)));
            }
            self.held = Some(chunk);
        }
        Poll::Ready(None)
    }
}

/// The time without its fraction, as HTTP dates and the listings of most servers have it.
pub(crate) fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: ByteRange, size: u64, expected: Option<&Range<u64>>) {
        assert_eq!(range.resolve(size).ok().as_ref(), expected, "{range:?} of {size}");
    }

    #[test]
    fn ranges_resolve_as_rfc_9110_says() {
        check(ByteRange::Bounded { start: 0, end: 1 }, 10, Some(&(0..1)));
        check(ByteRange::Bounded { start: 9, end: 100 }, 10, Some(&(9..10)));
        check(ByteRange::Bounded { start: 10, end: 11 }, 10, None);
        check(ByteRange::From(9), 10, Some(&(9..10)));
        check(ByteRange::From(10), 10, None);
        check(ByteRange::Last(3), 10, Some(&(7..10)));
        check(ByteRange::Last(30), 10, Some(&(0..10)));
        check(ByteRange::Last(0), 10, None);
        check(ByteRange::From(0), 0, None);
        check(ByteRange::Last(1), 0, None);
    }

    #[tokio::test]
    async fn the_last_piece_waits_for_the_end_of_the_source() {
        let source = |pieces: Vec<&'static str>| -> ByteStream {
            stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes())))).boxed()
        };
        for (length, pieces, expected) in [
            (0, vec![], Some("")),
            (0, vec![""], Some("")),
            (0, vec!["a"], None),
            (4, vec!["ab", "cd"], Some("abcd")),
            (4, vec!["ab", "cd", ""], Some("abcd")),
            (4, vec!["ab", "cd", "e"], None),
            (4, vec!["ab", "c"], None),
        ] {
            let body = Body::Stream { length, stream: source(pieces) };
            let collected: Result<Vec<Bytes>> =
                body.into_stream().collect::<Vec<_>>().await.into_iter().collect();
            assert_eq!(
                collected.ok().map(|chunks| chunks.concat()),
                expected.map(|text| text.as_bytes().to_vec())
            );
        }
    }
}
