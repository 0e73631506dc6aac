//! `aws-chunked`: content cut into chunks, each perhaps with a signature, and perhaps a trailer behind them.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use bytes::{Buf, Bytes, BytesMut};

use crate::fault::{Fault, Outcome};

/// Bytes of a line at most: a size, a signature, or a checksum with its name.
const LINE: usize = 1024;

/// Lines of a trailer at most.
const TRAILER_LINES: usize = 16;

/// Takes the framing off, without I/O: give it bytes with [`Unframer::feed`], take what is ready with
/// [`Unframer::next`].
#[derive(Debug, Default)]
pub(crate) struct Unframer {
    buffer: BytesMut,
    state: State,
    trailer: Vec<(String, String)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Before a line with a size.
    #[default]
    Size,
    /// Inside a chunk with this many bytes to come.
    Content(u64),
    /// Before the line break behind a chunk's content.
    Break,
    /// Behind the chunk without content.
    Trailer,
    End,
}

/// What the framing contained.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A chunk begins. One without content is the last.
    Chunk {
        /// Its signature, if it has one.
        signature: Option<String>,
        /// Whether it is the last.
        last: bool,
    },
    /// Bytes of content.
    Content(Bytes),
    /// Everything was read; the lines of the trailer in order, names in lower case.
    End(Vec<(String, String)>),
}

impl Unframer {
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece; none if more bytes are needed first.
    pub(crate) fn next(&mut self) -> Outcome<Option<Piece>> {
        match self.state {
            State::Size => self.take_size(),
            State::Content(left) => Ok(self.take_content(left)),
            State::Break => self.take_break(),
            State::Trailer => self.take_trailer(),
            State::End if self.buffer.is_empty() => Ok(None),
            State::End => Err(Fault::invalid_request("There are bytes behind the last chunk")),
        }
    }

    fn take_size(&mut self) -> Outcome<Option<Piece>> {
        let Some(line) = self.take_line()? else { return Ok(None) };
        let (size, extension) = line.split_once(';').unwrap_or((&line, ""));
        let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = digits.then(|| u64::from_str_radix(size, 16).ok()).flatten();
        let size = size.ok_or_else(|| Fault::invalid_request("A chunk has no valid size"))?;
        let signature = extension.trim().strip_prefix("chunk-signature=").map(str::to_owned);
        self.state = if size == 0 { State::Trailer } else { State::Content(size) };
        Ok(Some(Piece::Chunk { signature, last: size == 0 }))
    }

    fn take_content(&mut self, left: u64) -> Option<Piece> {
        let length = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if length == 0 {
            return None;
        }
        let left = left - length as u64;
        self.state = if left == 0 { State::Break } else { State::Content(left) };
        Some(Piece::Content(self.buffer.split_to(length).freeze()))
    }

    fn take_break(&mut self) -> Outcome<Option<Piece>> {
        if self.buffer.len() < 2 {
            return Ok(None);
        }
        if !self.buffer.starts_with(b"\r\n") {
            return Err(Fault::invalid_request("A chunk is longer than its size"));
        }
        self.buffer.advance(2);
        self.state = State::Size;
        self.next()
    }

    fn take_trailer(&mut self) -> Outcome<Option<Piece>> {
        while let Some(line) = self.take_line()? {
            if line.is_empty() {
                self.state = State::End;
                return Ok(Some(Piece::End(std::mem::take(&mut self.trailer))));
            }
            let Some((name, value)) = line.split_once(':').filter(|_| self.trailer.len() < TRAILER_LINES)
            else {
                return Err(malformed_trailer());
            };
            self.trailer.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(None)
    }

    fn take_line(&mut self) -> Outcome<Option<String>> {
        let Some(end) = self.buffer.iter().take(LINE).position(|&byte| byte == b'\n') else {
            return if self.buffer.len() < LINE {
                Ok(None)
            } else {
                Err(Fault::invalid_request("A line of the chunked body is too long"))
            };
        };
        let line = self.buffer.split_to(end + 1);
        let line =
            std::str::from_utf8(&line).map_err(|_| Fault::invalid_request("A chunk has no valid size"))?;
        Ok(Some(line.trim_end_matches('\n').trim_end_matches('\r').to_owned()))
    }
}

/// What stands behind the last chunk cannot be read, or is not what was announced.
pub(super) fn malformed_trailer() -> Fault {
    Fault::bad("MalformedTrailerError", "The request contained trailing data that was not well-formed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds a body in pieces of every size and expects the same each time.
    fn check(body: &str, expected: Result<(&str, usize), &str>) {
        for size in 1..=body.len() {
            let found = unframe(body, size);
            let found =
                found.as_ref().map(|(text, trailer)| (text.as_str(), *trailer)).map_err(|fault| fault.code);
            assert_eq!(found, expected, "{body:?} in pieces of {size}");
        }
    }

    fn unframe(body: &str, size: usize) -> Outcome<(String, usize)> {
        let (mut unframer, mut content, mut trailer) = (Unframer::default(), Vec::new(), None);
        for bytes in body.as_bytes().chunks(size) {
            unframer.feed(bytes);
            while let Some(piece) = unframer.next()? {
                match piece {
                    Piece::Chunk { .. } => {}
                    Piece::Content(bytes) => content.extend_from_slice(&bytes),
                    Piece::End(lines) => trailer = Some(lines.len()),
                }
            }
        }
        let trailer = trailer.ok_or_else(|| Fault::incomplete_body(""))?;
        Ok((String::from_utf8(content).expect("text"), trailer))
    }

    #[test]
    fn framing_comes_off() {
        check("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", Ok(("abcde", 0)));
        check("A;chunk-signature=ff\r\n0123456789\r\n0;chunk-signature=00\r\n\r\n", Ok(("0123456789", 0)));
        check("1\r\na\r\n0\r\nx-amz-checksum-crc32:AAAA\r\nb:c\r\n\r\n", Ok(("a", 2)));
        check("0\r\n\r\n", Ok(("", 0)));
    }

    #[test]
    fn damaged_framing_is_refused() {
        check("3\r\nabc\r\n", Err("IncompleteBody"));
        check("3\r\nabc\r\n0\r\n", Err("IncompleteBody"));
        check("2\r\nabc\r\n0\r\n\r\n", Err("InvalidRequest"));
        check("+3\r\nabc\r\n0\r\n\r\n", Err("InvalidRequest"));
        check("\r\n", Err("InvalidRequest"));
        check("fffffffffffffffff\r\n", Err("InvalidRequest"));
        check("0\r\n\r\nmore", Err("InvalidRequest"));
        check("0\r\nno colon\r\n\r\n", Err("MalformedTrailerError"));
    }

    proptest! {
        #[test]
        fn any_body_means_the_same_however_it_is_cut(
            body in "([0-9a-f]{1,2}\r\n|\r\n|0\r\n\r\n|;chunk-signature=|x-a:b\r\n|[a-c]{0,4}|fffffffffffffffff){0,12}",
            size in 1_usize..9,
        ) {
            let whole = unframe(&body, body.len().max(1)).map_err(|fault| fault.code);
            let cut = unframe(&body, size).map_err(|fault| fault.code);
            prop_assert_eq!(whole, cut);
        }
    }
}
