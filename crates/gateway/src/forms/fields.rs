//! The parts of `multipart/form-data`: fields, and behind them the file.
//! <https://www.rfc-editor.org/rfc/rfc7578>

use crate::fault::{Fault, Outcome};

/// Fields of a form at most.
const FIELDS: usize = 100;

/// The fields before the file; names in lower case, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

/// A form up to its file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) fields: Fields,
    /// What the browser calls the file.
    pub(crate) filename: String,
    /// Where the file's bytes start.
    pub(crate) file_at: usize,
}

impl Fields {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Two fields of one name would be judged as the one and used as the other.
    pub(crate) fn insert(&mut self, name: String, value: String) -> Outcome<()> {
        if self.get(&name).is_some() || self.0.len() == FIELDS {
            return Err(malformed());
        }
        self.0.push((name, value));
        Ok(())
    }
}

/// The boundary that a `Content-Type` names; none if it is no form's.
pub(crate) fn boundary_of(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let named = |parameter: &'_ str| -> Option<()> {
        parameter.trim().get(..9).filter(|name| name.eq_ignore_ascii_case("boundary=")).map(drop)
    };
    let parameter = parameters.split(';').find(|parameter| named(parameter).is_some())?;
    let boundary = parameter.trim()[9..].trim_matches('"');
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

impl Form {
    /// Parses what has arrived; none if the file has not begun yet.
    pub(crate) fn parse(bytes: &[u8], boundary: &str) -> Outcome<Option<Self>> {
        let opening = format!("--{boundary}\r\n");
        if bytes.len() < opening.len() {
            return if opening.as_bytes().starts_with(bytes) { Ok(None) } else { Err(malformed()) };
        }
        if !bytes.starts_with(opening.as_bytes()) {
            return Err(malformed());
        }
        let (mut fields, mut at) = (Fields::default(), opening.len());
        loop {
            let Some(head) = find(&bytes[at..], b"\r\n\r\n") else { return Ok(None) };
            let (name, filename) = part_names(&bytes[at..at + head])?;
            at += head + 4;
            if name == "file" {
                return Ok(Some(Self { fields, filename: filename.unwrap_or_default(), file_at: at }));
            }
            let Some(length) = content_length(&bytes[at..], boundary) else { return Ok(None) };
            let value = std::str::from_utf8(&bytes[at..at + length]).map_err(|_| malformed())?;
            fields.insert(name, value.to_owned())?;
            at += length + 4 + boundary.len();
            match bytes.get(at..at + 2) {
                None => return Ok(None),
                Some(b"\r\n") => at += 2,
                // The form ends without a file.
                Some(_) => return Err(malformed()),
            }
        }
    }
}

/// Bytes before the next boundary; none if it has not arrived.
pub(crate) fn content_length(bytes: &[u8], boundary: &str) -> Option<usize> {
    find(bytes, format!("\r\n--{boundary}").as_bytes())
}

/// Where `wanted`, which starts with a carriage return, is found first.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(next) = bytes[from..].iter().position(|&byte| byte == b'\r') {
        if bytes[from + next..].starts_with(wanted) {
            return Some(from + next);
        }
        from += next + 1;
    }
    None
}

/// `name` and `filename` of a part's head.
fn part_names(head: &[u8]) -> Outcome<(String, Option<String>)> {
    let head = std::str::from_utf8(head).map_err(|_| malformed())?;
    let disposition = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut disposition =
        disposition.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let (_, value) = disposition.next().ok_or_else(malformed)?;
    let name = quoted(value, "name").ok_or_else(malformed)?;
    Ok((name.to_ascii_lowercase(), quoted(value, "filename")))
}

/// The quoted value of a parameter.
fn quoted(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, behind) = rest.split_once("=\"")?;
        let (text, behind) = behind.split_once('"')?;
        if name.trim_matches([' ', ';']).eq_ignore_ascii_case(wanted) {
            return Some(text.to_owned());
        }
        rest = behind;
    }
}

/// What is no form that this endpoint understands.
pub(crate) fn malformed() -> Fault {
    Fault::bad(
        "MalformedPOSTRequest",
        "The body of your POST request is not well-formed multipart/form-data.",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORM: &str = "--B\r\nContent-Disposition: form-data; name=\"Key\"\r\n\r\na/${filename}\r\n--B\r\n\
        content-disposition: form-data; name=\"file\"; filename=\"x y.txt\"\r\nContent-Type: text/plain\r\n\r\n";

    #[test]
    fn a_form_is_parsed_as_it_arrives() {
        for length in 0..FORM.len() {
            assert_eq!(
                Form::parse(&FORM.as_bytes()[..length], "B").expect("the start of a form"),
                None,
                "{length}"
            );
        }
        let form = Form::parse(format!("{FORM}content\r\n--B--\r\n").as_bytes(), "B").expect("a form");
        let form = form.expect("its file has begun");
        assert_eq!((form.filename.as_str(), form.file_at), ("x y.txt", FORM.len()));
        assert_eq!(form.fields.get("key"), Some("a/${filename}"));
        assert_eq!(content_length(b"content\r\n-\r\r\n--B--\r\n", "B"), Some(11));
        for other in ["--C\r\n", "--B--\r\n", "--B\r\nX: y\r\n\r\n", &FORM.replace("file\"", "key\"")] {
            let parsed = Form::parse(format!("{other}\r\n--B--\r\n").as_bytes(), "B");
            assert!(parsed.is_err(), "{other}: {parsed:?}");
        }
    }

    #[test]
    fn boundaries_are_bounded() {
        assert_eq!(boundary_of("multipart/form-data; boundary=ab"), Some("ab"));
        assert_eq!(boundary_of("Multipart/Form-Data; x=y; Boundary=\"a b\""), Some("a b"));
        assert_eq!(boundary_of("multipart/mixed; boundary=ab"), None);
        assert_eq!(boundary_of("multipart/form-data; boundary="), None);
        assert_eq!(boundary_of(&format!("multipart/form-data; boundary={}", "b".repeat(71))), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic(bytes in "(--B\r\n|\r\n|--B|--|[a-z:;=\" \r\n]|name=\"|Content-Disposition:){0,40}") {
            let _ = Form::parse(bytes.as_bytes(), "B");
        }
    }
}
