//! Pages of keys: an ordered scan that jumps over everything a common prefix stands for.

use data_encoding::BASE64URL_NOPAD;
use rusqlite::{Connection, params};

use super::rows::{BucketId, info_from_row};
use crate::listing::{MAX_PAGE, group, successor};
use crate::{Error, ListPage, ListRequest, ListedObject, ObjectKey, Result};

const SCAN: &str = "SELECT size, etag, modified, metadata, key FROM objects
    WHERE bucket = ?1 AND key >= ?2 ORDER BY key LIMIT ?3";

/// One page.
pub(super) fn list(connection: &Connection, bucket: BucketId, request: &ListRequest) -> Result<ListPage> {
    let limit = if request.limit == 0 { MAX_PAGE } else { request.limit.min(MAX_PAGE) } as usize;
    let Some(start) = first_candidate(request)? else { return Ok(ListPage::default()) };
    let mut scan = Scan { connection, bucket, request, limit, page: ListPage::default() };
    let mut position = Some(start);
    while let Some(from) = position {
        position = scan.run(from)?;
    }
    Ok(scan.page)
}

/// The smallest key that the page may contain; none if there cannot be one.
fn first_candidate(request: &ListRequest) -> Result<Option<Vec<u8>>> {
    let after = match &request.continuation {
        Some(token) => Some(decode_token(token)?),
        None if request.start_after.is_empty() => Some(Vec::new()),
        None => match group_of(request, &request.start_after) {
            Some(group) => successor(group),
            None => Some(next_key(&request.start_after)),
        },
    };
    Ok(after.map(|after| after.max(request.prefix.clone())))
}

struct Scan<'s> {
    connection: &'s Connection,
    bucket: BucketId,
    request: &'s ListRequest,
    limit: usize,
    page: ListPage,
}

impl Scan<'_> {
    /// Takes keys from `from` on; returns where to go on behind a common prefix, or nothing at the end.
    fn run(&mut self, mut from: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let mut select = self.connection.prepare_cached(SCAN)?;
        // One more than fits tells whether there is another page.
        let room = self.limit - self.entries() + 1;
        let mut rows = select.query(params![self.bucket.0, from, room as i64])?;
        while let Some(row) = rows.next()? {
            let key = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
            if !key.starts_with(&self.request.prefix) {
                return Ok(None);
            }
            if self.entries() == self.limit {
                self.page.next = Some(BASE64URL_NOPAD.encode(&from));
                return Ok(None);
            }
            if let Some(group) = group_of(self.request, key) {
                self.page.common_prefixes.push(group.to_vec());
                return Ok(successor(group));
            }
            from = next_key(key);
            self.page.objects.push(listed(key, row)?);
        }
        Ok(None)
    }

    fn entries(&self) -> usize {
        self.page.objects.len() + self.page.common_prefixes.len()
    }
}

fn listed(key: &[u8], row: &rusqlite::Row<'_>) -> Result<ListedObject> {
    let info = info_from_row(row)?;
    Ok(ListedObject {
        key: ObjectKey::new(key)?,
        size: info.size,
        etag: info.etag,
        last_modified: info.last_modified,
        metadata: Some(info.metadata),
    })
}

/// The common prefix that stands for a key, if one does.
fn group_of<'k>(request: &ListRequest, key: &'k [u8]) -> Option<&'k [u8]> {
    group(key, &request.prefix, &request.delimiter)
}

/// The smallest byte string greater than `key`.
fn next_key(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// A token is the smallest key of the next page.
fn decode_token(token: &str) -> Result<Vec<u8>> {
    BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| Error::InvalidContinuation)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Bound;

    use proptest::prelude::*;
    use rusqlite::StatementStatus;

    use super::super::index::create_tables;
    use super::*;
    use crate::ETag;
    use crate::listing::fill_page;

    const BUCKET: BucketId = BucketId(1);

    /// 100,000 keys `d000/0000.txt` in 100 directories.
    fn big_bucket() -> Connection {
        let connection = Connection::open_in_memory().expect("memory");
        create_tables(&connection).expect("tables");
        connection
            .execute_batch(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
                 INSERT INTO objects (bucket, key, size, etag, modified)
                 SELECT 1, CAST(printf('d%03d/%04d.txt', i / 1000, i % 1000) AS BLOB), 1, 'e', 0 FROM n",
            )
            .expect("rows");
        connection
    }

    /// SQLite's own count of work for the page.
    fn steps(connection: &Connection, request: &ListRequest) -> (ListPage, i32) {
        let page = list(connection, BUCKET, request).expect("page");
        let select = connection.prepare_cached(SCAN).expect("the statement that the listing used");
        let work = select.reset_status(StatementStatus::VmStep);
        assert!(work > 0, "the work of another statement was counted");
        (page, work)
    }

    #[test]
    fn a_page_costs_what_it_contains_not_what_the_bucket_contains() {
        let connection = big_bucket();
        let directories = ListRequest { delimiter: b"/".to_vec(), ..ListRequest::default() };
        let (page, work) = steps(&connection, &directories);
        assert_eq!((page.objects.len(), page.common_prefixes.len(), page.next), (0, 100, None));
        assert!(work < 100 * 100, "{work} steps for 100 common prefixes");

        let ten = ListRequest { prefix: b"d050/".to_vec(), limit: 10, ..ListRequest::default() };
        let (page, work) = steps(&connection, &ten);
        assert_eq!((page.objects.len(), page.next.is_some()), (10, true));
        assert!(work < 10 * 50, "{work} steps for ten keys");
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let connection = big_bucket();
        let mut request = ListRequest { prefix: b"d0".to_vec(), limit: 999, ..ListRequest::default() };
        let mut keys = Vec::new();
        loop {
            let page = list(&connection, BUCKET, &request).expect("page");
            keys.extend(page.objects.into_iter().map(|object| object.key));
            let Some(next) = page.next else { break };
            request.continuation = Some(next);
        }
        assert_eq!(keys.len(), 100_000);
        assert!(keys.is_sorted());
    }

    /// All pages, each as its keys and common prefixes, by this listing and by the one over any ordered source.
    fn pages(
        keys: &BTreeSet<Vec<u8>>,
        request: &ListRequest,
        list: impl Fn(&ListRequest) -> Result<ListPage>,
    ) -> Vec<Page> {
        let (mut request, mut pages) = (request.clone(), Vec::new());
        while pages.len() <= keys.len() {
            let page = list(&request).expect("page");
            let keys = page.objects.into_iter().map(|object| object.key.as_bytes().to_vec()).collect();
            pages.push((keys, page.common_prefixes));
            match page.next {
                Some(next) => request.continuation = Some(next),
                None => return pages,
            }
        }
        panic!("the listing of {keys:?} does not end")
    }

    type Page = (Vec<Vec<u8>>, Vec<Vec<u8>>);

    fn by_model(keys: &BTreeSet<Vec<u8>>, request: &ListRequest) -> Result<ListPage> {
        fill_page(request, |from| {
            let found = keys.range::<[u8], _>((from, Bound::Unbounded)).next();
            Ok(found.map(|key| ListedObject {
                key: ObjectKey::new(key.clone()).expect("a key"),
                size: 0,
                etag: ETag(String::new()),
                last_modified: std::time::SystemTime::UNIX_EPOCH,
                metadata: None,
            }))
        })
    }

    fn word(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(
            prop_oneof![Just(b'a'), Just(b'b'), Just(b'/'), Just(0), Just(0xff)],
            length,
        )
    }

    proptest! {
        #[test]
        fn listings_are_those_of_the_model(
            keys in proptest::collection::btree_set(word(1..6), 0..30),
            prefix in word(0..3),
            delimiter in word(0..3),
            start_after in word(0..4),
            limit in 1_u32..7,
        ) {
            let connection = Connection::open_in_memory().expect("memory");
            create_tables(&connection).expect("tables");
            for key in &keys {
                let sql = "INSERT INTO objects (bucket, key, size, etag, modified) VALUES (1, ?1, 0, '', 0)";
                connection.execute(sql, [key]).expect("a row");
            }
            let request = ListRequest { prefix, delimiter, start_after, limit, ..ListRequest::default() };
            let found = pages(&keys, &request, |request| list(&connection, BUCKET, request));
            prop_assert_eq!(found, pages(&keys, &request, |request| by_model(&keys, request)));
        }
    }
}
