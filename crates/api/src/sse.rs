//! Server-sent events: written and read, free of I/O.
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>

use std::mem;

/// Longest event that [`Decoder`] keeps; more is an error of the sender.
pub const MAX_EVENT_BYTES: usize = 16 << 20;

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type; empty: none was given.
    pub name: String,
    /// Its data, lines joined by `\n`.
    pub data: String,
}

/// Writes an event; every line of `data` gets its own field.
pub fn encode(name: Option<&str>, data: &str) -> String {
    let mut text = String::with_capacity(data.len() + 32);
    if let Some(name) = name {
        text.push_str("event: ");
        text.push_str(name);
        text.push('\n');
    }
    for line in data.split('\n') {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text
}

/// The event was longer than [`MAX_EVENT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTooLong;

/// Reads events from bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Decoder {
    /// Takes a piece and gives the events that it completed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, EventTooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            if byte == b'\n' {
                let line = mem::take(&mut self.line);
                events.extend(self.take_line(&line));
            } else if self.line.len() + self.event.data.len() >= MAX_EVENT_BYTES {
                return Err(EventTooLong);
            } else {
                self.line.push(byte);
            }
        }
        Ok(events)
    }

    fn take_line(&mut self, line: &[u8]) -> Option<Event> {
        let line = String::from_utf8_lossy(line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "data" => self.add_data(value),
            // Comments, `id`, `retry` and fields to come carry nothing for us.
            _ => {}
        }
        None
    }

    fn add_data(&mut self, value: &str) {
        if mem::replace(&mut self.has_data, true) {
            self.event.data.push('\n');
        }
        self.event.data.push_str(value);
    }

    fn dispatch(&mut self) -> Option<Event> {
        let event = mem::take(&mut self.event);
        mem::take(&mut self.has_data).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_pieces_of_any_size() {
        let text = encode(Some("stdout"), "aGk=") + ": comment\r\n" + &encode(None, "a\nb");
        let expected = [
            Event { name: "stdout".into(), data: "aGk=".into() },
            Event { name: String::new(), data: "a\nb".into() },
        ];
        for size in 1..text.len() {
            let mut decoder = Decoder::default();
            let events: Vec<Event> =
                text.as_bytes().chunks(size).flat_map(|piece| decoder.push(piece).expect("short")).collect();
            assert_eq!(events, expected, "pieces of {size}");
        }
    }
}
