//! Pages of keys, in both versions of the protocol.

use http::StatusCode;
use sandkeep_objects::{BucketName, ListPage, ListRequest, ListedObject, ObjectMetadata};

use super::buckets::owner;
use crate::call::Call;
use crate::dates::iso_date;
use crate::fault::{Fault, Outcome};
use crate::headers::{DEFAULT_TYPE, quoted};
use crate::query::Query;
use crate::reply::{self, Reply};
use crate::xml::Xml;
use sandkeep_objects::sigv4::encode_path;

/// Entries of a page at most.
const LIMIT: u32 = 1000;

/// How keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As text.
    Plain,
    /// Percent-encoded, so that every key can be in a document.
    Url,
}

impl Encoding {
    pub(super) fn of(query: &Query) -> Outcome<Self> {
        match query.text("encoding-type")? {
            None => Ok(Self::Plain),
            Some(name) if name.eq_ignore_ascii_case("url") => Ok(Self::Url),
            Some(_) => Err(Fault::invalid_argument("Invalid Encoding Method specified in Request")),
        }
    }

    pub(super) fn apply(self, key: &[u8]) -> String {
        match self {
            Self::Plain => String::from_utf8_lossy(key).into_owned(),
            Self::Url => encode_path(key),
        }
    }

    /// As [`Self::apply`] for the prefix of version 1, which boto3 does not decode, and others do: text that is its own
    /// decoding reads the same for both.
    fn apply_to_prefix(self, prefix: &[u8]) -> String {
        match std::str::from_utf8(prefix) {
            Ok(text) if !text.contains(['%', '+']) && text.chars().all(is_fit_for_xml) => text.to_owned(),
            _ => self.apply(prefix),
        }
    }

    pub(super) fn describe(self, document: &mut Xml) {
        if self == Self::Url {
            document.text("EncodingType", "url");
        }
    }
}

/// Whether XML 1.0 has this character.
fn is_fit_for_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// `max-keys` and its relatives: at most 1,000.
pub(super) fn limit(query: &Query, name: &'static str) -> Outcome<u32> {
    let asked = query.number::<u32>(name)?;
    Ok(asked.unwrap_or(LIMIT).min(LIMIT))
}

/// `GET /BUCKET?list-type=2`
pub(super) async fn list_objects_v2(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let query = &call.query;
    let (encoding, limit) = (Encoding::of(query)?, limit(query, "max-keys")?);
    let start_after = query.bytes("start-after").unwrap_or_default();
    let token = query.text("continuation-token")?;
    let page = page(call, bucket, start_after, token, limit).await?;

    let mut document = Xml::document("ListBucketResult");
    describe(&mut document, bucket, query, encoding, limit);
    document.text("Prefix", &encoding.apply(query.bytes("prefix").unwrap_or_default()));
    document.text("KeyCount", &(page.objects.len() + page.common_prefixes.len()).to_string());
    let given = query.has("continuation-token").then(|| token.unwrap_or_default());
    document.optional("ContinuationToken", given).optional("NextContinuationToken", page.next.as_deref());
    if !start_after.is_empty() {
        document.text("StartAfter", &encoding.apply(start_after));
    }
    let shown =
        Shown { owner: is_true(query, "fetch-owner"), metadata: is_true(query, "metadata"), encoding };
    Ok(finish(document, &page, shown))
}

/// `GET /BUCKET`
pub(super) async fn list_objects(call: &Call, bucket: &BucketName) -> Outcome<Reply> {
    let query = &call.query;
    let (encoding, limit) = (Encoding::of(query)?, limit(query, "max-keys")?);
    let marker = query.bytes("marker").unwrap_or_default();
    let page = page(call, bucket, marker, None, limit).await?;

    let mut document = Xml::document("ListBucketResult");
    describe(&mut document, bucket, query, encoding, limit);
    document.text("Prefix", &encoding.apply_to_prefix(query.bytes("prefix").unwrap_or_default()));
    document.text("Marker", &encoding.apply(marker));
    if page.next.is_some() {
        document.optional("NextMarker", last_entry(&page).map(|entry| encoding.apply(entry)).as_deref());
    }
    Ok(finish(document, &page, Shown { owner: true, metadata: false, encoding }))
}

pub(super) async fn page(
    call: &Call,
    bucket: &BucketName,
    start_after: &[u8],
    continuation: Option<&str>,
    limit: u32,
) -> Outcome<ListPage> {
    if limit == 0 {
        // For the store, 0 means as many as possible.
        call.service.head_bucket(bucket).await?;
        return Ok(ListPage::default());
    }
    let request = ListRequest {
        prefix: call.query.bytes("prefix").unwrap_or_default().to_vec(),
        delimiter: call.query.bytes("delimiter").unwrap_or_default().to_vec(),
        start_after: start_after.to_vec(),
        continuation: continuation.map(str::to_owned),
        limit,
    };
    Ok(call.bucket(bucket).list(request).await?)
}

pub(super) fn describe(
    document: &mut Xml,
    bucket: &BucketName,
    query: &Query,
    encoding: Encoding,
    limit: u32,
) {
    document.text("Name", bucket.as_str()).text("MaxKeys", &limit.to_string());
    if let Some(delimiter) = query.bytes("delimiter").filter(|delimiter| !delimiter.is_empty()) {
        document.text("Delimiter", &encoding.apply(delimiter));
    }
    encoding.describe(document);
}

/// What an entry tells beyond the ordinary.
#[derive(Clone, Copy, Debug)]
struct Shown {
    owner: bool,
    /// MinIO's extension: stored headers, which save a HEAD for each entry.
    /// <https://github.com/minio/minio-go/blob/master/api-list.go>
    metadata: bool,
    encoding: Encoding,
}

fn is_true(query: &Query, name: &str) -> bool {
    query.bytes(name) == Some(b"true")
}

fn finish(mut document: Xml, page: &ListPage, shown: Shown) -> Reply {
    document.text("IsTruncated", if page.next.is_some() { "true" } else { "false" });
    for object in &page.objects {
        document.element("Contents", |entry| contents(entry, object, shown));
    }
    common_prefixes(&mut document, &page.common_prefixes, shown.encoding);
    reply::xml(StatusCode::OK, document.finish())
}

fn contents(entry: &mut Xml, object: &ListedObject, shown: Shown) {
    entry
        .text("Key", &shown.encoding.apply(object.key.as_bytes()))
        .text("LastModified", &iso_date(object.last_modified))
        .text("ETag", &quoted(&object.etag))
        .text("Size", &object.size.to_string());
    if shown.owner {
        owner(entry, "Owner");
    }
    entry.text("StorageClass", "STANDARD");
    if let Some(metadata) = object.metadata.as_ref().filter(|metadata| shown.metadata && fits(metadata)) {
        entry.element("UserMetadata", |list| user_metadata(list, metadata));
    }
}

/// Whether all names can be those of elements; otherwise the reader has to ask with HEAD.
fn fits(metadata: &ObjectMetadata) -> bool {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    metadata.user.keys().all(|name| plain(name))
}

/// Elements named by headers.
fn user_metadata(list: &mut Xml, metadata: &ObjectMetadata) {
    list.text("content-type", metadata.content_type.as_deref().unwrap_or(DEFAULT_TYPE));
    let standard = [
        ("cache-control", &metadata.cache_control),
        ("content-disposition", &metadata.content_disposition),
        ("content-encoding", &metadata.content_encoding),
        ("content-language", &metadata.content_language),
        ("expires", &metadata.expires),
    ];
    for (name, value) in standard {
        list.optional(name, value.as_deref());
    }
    for (name, value) in &metadata.user {
        list.text(&format!("X-Amz-Meta-{name}"), value);
    }
}

pub(super) fn common_prefixes(document: &mut Xml, prefixes: &[Vec<u8>], encoding: Encoding) {
    for prefix in prefixes {
        document.element("CommonPrefixes", |entry| {
            entry.text("Prefix", &encoding.apply(prefix));
        });
    }
}

/// The last key or common prefix of a page, whichever comes later.
pub(super) fn last_entry(page: &ListPage) -> Option<&[u8]> {
    let key = page.objects.last().map(|object| object.key.as_bytes());
    key.max(page.common_prefixes.last().map(Vec::as_slice))
}
