//! Reading the documents that clients send: a root, its texts, and repeated records of texts.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::fault::{Fault, Outcome};

/// Elements below each other at most: S3's documents have no more than five levels.
const DEPTH: usize = 8;

/// The texts of an element by name.
pub(crate) type Record = BTreeMap<String, String>;

/// A document of a client.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// Texts right below the root.
    pub(crate) texts: Record,
    /// The elements of the name asked for, in order.
    pub(crate) records: Vec<Record>,
}

impl Document {
    /// Parses a document whose root has that name, with at most `limit` records. Other elements are skipped.
    pub(crate) fn parse(bytes: &[u8], root: &str, record: &str, limit: usize) -> Outcome<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::malformed_xml())?;
        let mut parser = Parser::new(root, record, limit);
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        loop {
            match reader.read_event().map_err(|_| Fault::malformed_xml())? {
                Event::Eof => return parser.finish(),
                event => parser.take(&event)?,
            }
        }
    }
}

struct Parser<'p> {
    root: &'p str,
    record: &'p str,
    limit: usize,
    /// Names of the open elements.
    path: Vec<String>,
    /// Text of the innermost element.
    text: String,
    ended: bool,
    document: Document,
}

impl<'p> Parser<'p> {
    fn new(root: &'p str, record: &'p str, limit: usize) -> Self {
        Self {
            root,
            record,
            limit,
            path: Vec::new(),
            text: String::new(),
            ended: false,
            document: Document::default(),
        }
    }

    fn take(&mut self, event: &Event<'_>) -> Outcome<()> {
        match event {
            Event::Start(start) => self.open(start.local_name().as_ref()),
            Event::End(_) => self.close(),
            Event::Text(text) => {
                self.text.push_str(&text.xml10_content());
                Ok(())
            }
            Event::CData(data) => {
                self.text.push_str(&data.xml10_content());
                Ok(())
            }
            Event::GeneralRef(reference) => {
                self.text.push(resolve(reference)?);
                Ok(())
            }
            // Nobody needs a DTD to talk to S3, but attackers like them.
            Event::DocType(_) => Err(Fault::malformed_xml()),
            _ => Ok(()),
        }
    }

    fn open(&mut self, name: &str) -> Outcome<()> {
        let misplaced = self.ended || (self.path.is_empty() && name != self.root);
        if misplaced || self.path.len() == DEPTH {
            return Err(Fault::malformed_xml());
        }
        if self.path.len() == 1 && name == self.record {
            if self.document.records.len() == self.limit {
                return Err(Fault::malformed_xml());
            }
            self.document.records.push(Record::new());
        }
        self.path.push(name.to_owned());
        self.text.clear();
        Ok(())
    }

    fn close(&mut self) -> Outcome<()> {
        let name = self.path.pop().ok_or_else(Fault::malformed_xml)?;
        let text = std::mem::take(&mut self.text);
        match self.path.as_slice() {
            [] => self.ended = true,
            [_] if name != self.record => drop(self.document.texts.insert(name, text)),
            [_, parent] if *parent == self.record => {
                self.document.records.last_mut().ok_or_else(Fault::malformed_xml)?.insert(name, text);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Outcome<Document> {
        if self.ended { Ok(self.document) } else { Err(Fault::malformed_xml()) }
    }
}

fn resolve(reference: &BytesRef<'_>) -> Outcome<char> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| Fault::malformed_xml())? {
        return Ok(character);
    }
    match &**reference {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(Fault::malformed_xml()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&[&str]>) {
        let parsed = Document::parse(text.as_bytes(), "Delete", "Object", 3);
        let keys = parsed.ok().map(|document| {
            document
                .records
                .into_iter()
                .map(|mut record| record.remove("Key").unwrap_or_default())
                .collect::<Vec<_>>()
        });
        assert_eq!(
            keys.as_deref(),
            expected.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).as_deref(),
            "{text}"
        );
    }

    #[test]
    fn records_keep_their_text_exactly() {
        check("<Delete><Object><Key> a&amp;b&#x41; </Key></Object></Delete>", Some(&[" a&bA "]));
        check(
            "<?xml version=\"1.0\"?>\n<Delete xmlns=\"x\">\n <Object>\n<Key>a</Key>\n</Object><Object><Key/></Object>\n</Delete>\n",
            Some(&["a", ""]),
        );
        check("<Delete><Object><Key><![CDATA[<x>]]></Key></Object></Delete>", Some(&["<x>"]));
        check("<Delete/>", Some(&[]));
    }

    #[test]
    fn other_documents_are_refused() {
        check("", None);
        check("<Delete>", None);
        check("<Other/>", None);
        check("<Delete/><Delete/>", None);
        check("<Delete><Object></Delete></Object>", None);
        check("<!DOCTYPE x [<!ENTITY a \"b\">]><Delete/>", None);
        check("<Delete><Object><Key>&a;</Key></Object></Delete>", None);
        check(&format!("<Delete>{}</Delete>", "<Object/>".repeat(4)), None);
        check(&format!("<Delete>{}{}</Delete>", "<a>".repeat(9), "</a>".repeat(9)), None);
    }

    proptest! {
        #[test]
        fn any_document_is_parsed_or_refused(
            text in "(<Delete>|</Delete>|<Object>|</Object>|<Key>|</Key>|<a/>|&amp;|&#x0;|&|<!\\[CDATA\\[|\\]\\]>|<!--|-->|<\\?|\\?>|[a-z<>\"' ]){0,20}",
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let parsed = Document::parse(text.as_bytes(), "Delete", "Object", 3);
            prop_assert!(parsed.is_err() || text.contains("Delete"));
            prop_assert!(Document::parse(&bytes, "Delete", "Object", 3).is_err());
        }
    }
}
