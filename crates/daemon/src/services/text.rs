//! Pieces of output that end where characters end.

use bytes::{Bytes, BytesMut};

/// Longest UTF-8 character.
const MAX_CHARACTER: usize = 4;

/// Holds back the start of a character until its end arrives. What is not UTF-8 passes unchanged; no byte is lost.
#[derive(Debug, Default)]
pub(crate) struct TextSplitter {
    held: BytesMut,
}

impl TextSplitter {
    /// Takes bytes and gives those that can be shown already.
    pub(crate) fn push(&mut self, bytes: &Bytes) -> Bytes {
        if self.held.is_empty() && incomplete_tail(bytes) == 0 {
            return bytes.clone();
        }
        self.held.extend_from_slice(bytes);
        let complete = self.held.len() - incomplete_tail(&self.held);
        self.held.split_to(complete).freeze()
    }

    /// Gives what is left at the end.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

/// How many bytes at the end are the start of a character that could still become whole.
fn incomplete_tail(bytes: &[u8]) -> usize {
    let reach = bytes.len().min(MAX_CHARACTER - 1);
    let starts = (1..=reach).find(|back| bytes[bytes.len() - back] & 0b1100_0000 != 0b1000_0000);
    let Some(length) = starts else { return 0 };
    let tail = &bytes[bytes.len() - length..];
    match std::str::from_utf8(tail) {
        // `error_len` is none exactly if more bytes could make it valid.
        Err(error) if error.error_len().is_none() => length,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_a_text_ends_at_characters_and_loses_nothing() {
        let text = "aü€😀z\u{7ff}".as_bytes();
        for size in 1..text.len() {
            let mut splitter = TextSplitter::default();
            let mut whole = Vec::new();
            for piece in text.chunks(size) {
                let shown = splitter.push(&Bytes::copy_from_slice(piece));
                std::str::from_utf8(&shown).expect("whole characters");
                whole.extend_from_slice(&shown);
            }
            assert_eq!(splitter.finish(), Bytes::new());
            assert_eq!(whole, text, "pieces of {size}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        for bytes in [&[0xff, 0xfe, 0x00][..], &[0x80, 0x80, 0x80, 0x80], &[0xc3, 0xc3], &[b'a', 0xf0, 0x9f]]
        {
            let mut splitter = TextSplitter::default();
            let mut whole = splitter.push(&Bytes::copy_from_slice(bytes)).to_vec();
            whole.extend_from_slice(&splitter.finish());
            assert_eq!(whole, bytes);
        }
    }
}
