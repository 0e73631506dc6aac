//! Tags as clients name them, in headers and documents alike.

use std::collections::BTreeMap;

use http::HeaderMap;

use crate::fault::{Fault, Outcome};
use crate::headers::text;
use crate::query::Query;

/// Tags of an object at most, as on S3.
const LIMIT: usize = 10;

/// Characters of a name at most.
const KEY_LIMIT: usize = 128;

/// Characters of a value at most.
const VALUE_LIMIT: usize = 256;

/// `x-amz-tagging`: parameters as in a URL.
pub(crate) fn of_headers(headers: &HeaderMap) -> Outcome<BTreeMap<String, String>> {
    let Some(header) = text(headers, "x-amz-tagging")? else { return Ok(BTreeMap::new()) };
    let invalid = || Fault::invalid_argument("The header 'x-amz-tagging' shall be encoded as UTF-8");
    checked(Query::parse(header).into_texts().ok_or_else(invalid)?)
}

/// Refuses what cannot be the tags of an object.
pub(crate) fn checked(tags: impl IntoIterator<Item = (String, String)>) -> Outcome<BTreeMap<String, String>> {
    let invalid = |message: &str| Fault::bad("InvalidTag", message);
    let mut known = BTreeMap::new();
    for (key, value) in tags {
        if !(1..=KEY_LIMIT).contains(&key.chars().count()) {
            return Err(invalid("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > VALUE_LIMIT {
            return Err(invalid("The TagValue you have provided is invalid"));
        }
        if known.insert(key, value).is_some() {
            return Err(invalid("Cannot provide multiple Tags with the same key"));
        }
        if known.len() > LIMIT {
            return Err(invalid("Object tags cannot be greater than 10"));
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: Result<&[(&str, &str)], &str>) {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-tagging", header.parse().expect("a value"));
        let found = of_headers(&headers).map_err(|fault| fault.code);
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        assert_eq!(found, expected.map(|tags| tags.iter().map(owned).collect()), "{header}");
    }

    #[test]
    fn tags_are_parameters() {
        check("", Ok(&[]));
        check("a=1&b=x%20y&c", Ok(&[("a", "1"), ("b", "x y"), ("c", "")]));
        check("a=1&a=2", Err("InvalidTag"));
        check("=1", Err("InvalidTag"));
        check("a=%ff", Err("InvalidArgument"));
        check(&format!("{}=1", "k".repeat(129)), Err("InvalidTag"));
        check(&format!("k={}", "v".repeat(257)), Err("InvalidTag"));
        check("a&b&c&d&e&f&g&h&i&j&k", Err("InvalidTag"));
    }
}
