//! What people and programs read: data on standard output, talk on standard error.

use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::error::Error;

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn json(self) -> bool {
        self.json
    }

    /// A result: as JSON, or as the sentence.
    pub(crate) fn result<T: Serialize>(self, value: &T, sentence: impl FnOnce() -> String) {
        if self.json {
            self.line(&serde_json::to_string(value).expect("our own types are JSON"));
        } else {
            self.line(&sentence());
        }
    }

    /// A list: as a JSON array, or as a table.
    pub(crate) fn list<T: Serialize>(self, items: &[T], header: &[&str], row: impl Fn(&T) -> Vec<String>) {
        if self.json {
            self.line(&serde_json::to_string(items).expect("our own types are JSON"));
            return;
        }
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(header);
        for item in items {
            table.add_row(row(item));
        }
        self.line(&table.trim_fmt());
    }

    /// A line of data.
    pub(crate) fn line(self, line: &str) {
        self.data(format!("{line}\n").as_bytes());
    }

    /// Raw data.
    pub(crate) fn data(self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        // A reader that left early, such as `head`, is no error of ours.
        drop(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }

    /// Bytes that a program in a sandbox wrote to its standard error.
    pub(crate) fn error_data(self, bytes: &[u8]) {
        drop(io::stderr().lock().write_all(bytes));
    }

    /// Something that whoever reads the result should know.
    pub(crate) fn note(self, text: &str) {
        drop(writeln!(anstream::stderr(), "\x1b[33mnote\x1b[0m: {text}"));
    }

    /// Why the command failed, and what to do.
    pub(crate) fn failure(self, error: &Error) {
        if self.json {
            let object =
                serde_json::json!({ "error": error.message, "code": error.code, "hint": error.hint });
            drop(writeln!(io::stderr(), "{object}"));
            return;
        }
        drop(writeln!(anstream::stderr(), "\x1b[31merror\x1b[0m: {}", error.message));
        if let Some(hint) = &error.hint {
            drop(writeln!(anstream::stderr(), "\x1b[36mhint\x1b[0m: {hint}"));
        }
    }
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
