//! Pages of a listing over any ordered source of keys.

use std::ops::Bound;

use data_encoding::HEXLOWER;

use crate::{Error, ListPage, ListRequest, ListedObject, Result};

/// The most keys and common prefixes in a page.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
pub const MAX_PAGE: u32 = 1_000;

/// Fills one page by asking `first_in` for the first object at or after a position, which skips a whole
/// group with one question.
pub(crate) fn fill_page(
    request: &ListRequest,
    mut first_in: impl FnMut(Bound<&[u8]>) -> Result<Option<ListedObject>>,
) -> Result<ListPage> {
    let mut page = ListPage::default();
    let mut position = Some(Position::of(request)?);
    let limit = page_limit(request.limit);
    let mut last = None;
    while let Some(from) = position {
        let found =
            first_in(from.as_bound())?.filter(|object| object.key.as_bytes().starts_with(&request.prefix));
        let Some(object) = found else { break };
        if page.objects.len() + page.common_prefixes.len() == limit {
            page.next = last.map(|last: Entry| last.token());
            break;
        }
        let entry = Entry::of(object.key.as_bytes(), request);
        position = entry.following();
        match &entry {
            Entry::Key(_) => page.objects.push(object),
            Entry::Group(group) => page.common_prefixes.push(group.clone()),
        }
        last = Some(entry);
    }
    Ok(page)
}

fn page_limit(limit: u32) -> usize {
    if limit == 0 { MAX_PAGE as usize } else { limit.min(MAX_PAGE) as usize }
}

/// Where a page starts.
enum Position {
    At(Vec<u8>),
    After(Vec<u8>),
}

impl Position {
    fn of(request: &ListRequest) -> Result<Self> {
        let last = match &request.continuation {
            Some(token) => Some(Entry::from_token(token)?),
            None if request.start_after.is_empty() => None,
            None => Some(Entry::of(&request.start_after, request)),
        };
        // Behind the last group of all there is nothing; a key of 0xff bytes longer than any can stand for that.
        let from = match last {
            None => Self::At(Vec::new()),
            Some(entry) => {
                entry.following().unwrap_or_else(|| Self::At(vec![0xff; crate::MAX_KEY_BYTES + 1]))
            }
        };
        Ok(from.not_before(&request.prefix))
    }

    fn not_before(self, prefix: &[u8]) -> Self {
        let (Self::At(key) | Self::After(key)) = &self;
        if key.as_slice() < prefix { Self::At(prefix.to_vec()) } else { self }
    }

    fn as_bound(&self) -> Bound<&[u8]> {
        match self {
            Self::At(key) => Bound::Included(key),
            Self::After(key) => Bound::Excluded(key),
        }
    }
}

/// What a page is made of.
enum Entry {
    Key(Vec<u8>),
    Group(Vec<u8>),
}

impl Entry {
    fn of(key: &[u8], request: &ListRequest) -> Self {
        match group(key, &request.prefix, &request.delimiter) {
            Some(group) => Self::Group(group.to_vec()),
            None => Self::Key(key.to_vec()),
        }
    }

    fn following(&self) -> Option<Position> {
        match self {
            Self::Key(key) => Some(Position::After(key.clone())),
            Self::Group(group) => successor(group).map(Position::At),
        }
    }

    fn token(&self) -> String {
        match self {
            Self::Key(key) => format!("k{}", HEXLOWER.encode(key)),
            Self::Group(group) => format!("g{}", HEXLOWER.encode(group)),
        }
    }

    fn from_token(token: &str) -> Result<Self> {
        let decode = |hex: &str| HEXLOWER.decode(hex.as_bytes()).map_err(|_| Error::InvalidContinuation);
        match token.split_at_checked(1) {
            Some(("k", hex)) => decode(hex).map(Self::Key),
            Some(("g", hex)) => decode(hex).map(Self::Group),
            _ => Err(Error::InvalidContinuation),
        }
    }
}

/// The part of `key` up to and with the first delimiter behind `prefix`.
pub(crate) fn group<'a>(key: &'a [u8], prefix: &[u8], delimiter: &[u8]) -> Option<&'a [u8]> {
    let rest = key.strip_prefix(prefix)?;
    if delimiter.is_empty() {
        return None;
    }
    let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some(&key[..prefix.len() + at + delimiter.len()])
}

/// The first key behind all that start with `prefix`; none if there cannot be one.
pub(crate) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut next = prefix[..=kept].to_vec();
    next[kept] += 1;
    Some(next)
}
