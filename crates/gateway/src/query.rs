//! The parameters of a request.

use std::str::FromStr;

use sandkeep_objects::sigv4::decode_query;

use crate::fault::{Fault, Outcome};

/// Decoded parameters in the order sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Query {
    pub(crate) fn parse(raw: &str) -> Self {
        Self { pairs: decode_query(raw) }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.bytes(name).is_some()
    }

    /// The first value of that name.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.pairs.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| &value[..])
    }

    /// The value, which must be UTF-8; empty values count as none.
    pub(crate) fn text(&self, name: &str) -> Outcome<Option<&str>> {
        let wrong = |_| Fault::invalid_argument(format!("{name} is not UTF-8"));
        let value = self.bytes(name).map(std::str::from_utf8).transpose().map_err(wrong)?;
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// A number; none if there is no value.
    pub(crate) fn number<T: FromStr>(&self, name: &'static str) -> Outcome<Option<T>> {
        let wrong = |text: &str| {
            Fault::invalid_argument(format!("Provided {name} not an integer or within integer range"))
                .with("ArgumentName", name)
                .with("ArgumentValue", text)
        };
        self.text(name)?.map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }

    /// All pairs; none if one of them is not UTF-8.
    pub(crate) fn into_texts(self) -> Option<Vec<(String, String)>> {
        let text = |bytes| String::from_utf8(bytes).ok();
        let pairs = self.pairs.into_iter().filter(|(name, value)| !(name.is_empty() && value.is_empty()));
        pairs.map(|(name, value)| Some((text(name)?, text(value)?))).collect()
    }

    /// All names, those that are not UTF-8 made readable.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.pairs.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned())
    }
}
