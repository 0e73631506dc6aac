//! S3's XML: parsing of answers and the two bodies that requests have.

use serde::de::DeserializeOwned;

use crate::{CompletedPart, Error, ObjectKey, Result};

/// Parses an answer.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let damaged =
        |what: String| Error::Corrupt { what: format!("the answer is not the XML it should be: {what}") };
    let text = std::str::from_utf8(body).map_err(|error| damaged(error.to_string()))?;
    quick_xml::de::from_str(text).map_err(|error| damaged(error.to_string()))
}

/// Body of CompleteMultipartUpload.
pub(super) fn complete(parts: &[CompletedPart]) -> String {
    let mut xml = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for part in parts {
        let tag = quick_xml::escape::escape(&part.etag.0);
        xml.push_str(&format!("<Part><PartNumber>{}</PartNumber><ETag>\"{tag}\"</ETag></Part>", part.number));
    }
    xml + "</CompleteMultipartUpload>"
}

/// Body of DeleteObjects; none if a key cannot stand in XML 1.0 and must be deleted alone.
pub(super) fn delete(keys: &[ObjectKey]) -> Option<String> {
    let mut xml =
        String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
    for key in keys {
        let text = std::str::from_utf8(key.as_bytes()).ok().filter(|text| fits_xml(text))?;
        xml.push_str(&format!("<Object><Key>{}</Key></Object>", quick_xml::escape::escape(text)));
    }
    Some(xml + "</Delete>")
}

/// Control characters are no XML, and parsers fold carriage returns.
fn fits_xml(text: &str) -> bool {
    text.chars().all(|c| c >= ' ' && c != '\u{7f}' && !('\u{fffe}'..='\u{ffff}').contains(&c))
}
