//! Copies one object to another store, and makes sure that it arrived.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{StreamExt, TryStreamExt, stream};
use md5::{Digest, Md5};

use super::journal::{Copied, fingerprint_of};
use super::status::MigrationError;
use crate::{
    Body, ByteRange, ByteStream, CompletedPart, Conditions, CreateUpload, ETag, Error, GetRequest,
    ObjectInfo, ObjectKey, ObjectMetadata, ObjectStore, PutRequest, Result, WriteConditions,
};

type Outcome<T> = std::result::Result<T, MigrationError>;

/// S3's limits of one request and of parts.
const LARGEST: u64 = 5 << 30;
const SMALLEST_PART: u64 = 5 << 20;
const MOST_PARTS: usize = 10_000;
/// Parts where the object's own cannot be kept.
const PART: u64 = 32 << 20;
/// Parts of one object at once.
const PARALLEL: usize = 4;
/// An object that changes while it is copied, or arrives damaged, is copied again so often.
const ATTEMPTS: usize = 4;

/// Makes the target's object what the source's is: none, where there is none.
pub(super) async fn copy(
    source: &dyn ObjectStore,
    target: &dyn ObjectStore,
    key: &ObjectKey,
) -> Outcome<Option<Copied>> {
    let mut attempt = 1;
    loop {
        match try_copy(source, target, key).await {
            Err(MigrationError::Object { source, .. }) if attempt < ATTEMPTS && is_passing(&source) => {
                tracing::debug!(key = key.display(), error = %source, "an object is copied again");
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Whether another try may come out better.
fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt { .. }
            | Error::NoSuchKey { .. }
            | Error::NoSuchUpload { .. }
            | Error::PreconditionFailed
            | Error::Unreachable { .. }
            | Error::Server { .. }
    )
}

async fn try_copy(
    source: &dyn ObjectStore,
    target: &dyn ObjectStore,
    key: &ObjectKey,
) -> Outcome<Option<Copied>> {
    let failed = |source| MigrationError::Object { key: key.display(), source };
    let info = match source.head(key, Conditions::default()).await {
        Err(Error::NoSuchKey { .. }) => {
            target.delete(key).await.map_err(failed)?;
            return Ok(None);
        }
        info => info.map_err(failed)?,
    };
    let parts = plan(source, target, key, &info).await.map_err(failed)?;
    let copy = Copy { source, target, key, info: &info };
    let etag = copy.run(&parts).await.map_err(failed)?;
    copy.compare_metadata().await?;
    Ok(Some(Copied { fingerprint: fingerprint_of(&info), etag }))
}

/// How the object is cut; nothing: it is sent at once. The cuts it was made of keep its ETag.
async fn plan(
    source: &dyn ObjectStore,
    target: &dyn ObjectStore,
    key: &ObjectKey,
    info: &ObjectInfo,
) -> Result<Vec<u64>> {
    let own: Vec<u64> = source.object_parts(key).await?.iter().map(|part| part.size).collect();
    if own.is_empty() && info.size <= LARGEST {
        return Ok(own);
    }
    let (last, before) = own.split_last().map_or((0, &[][..]), |(last, before)| (*last, before));
    let equal =
        before.windows(2).all(|pair| pair[0] == pair[1]) && before.first().is_none_or(|first| last <= *first);
    let fits = own.iter().sum::<u64>() == info.size
        && own.len() <= MOST_PARTS
        && own.iter().all(|part| *part <= LARGEST)
        && before.iter().all(|part| *part >= SMALLEST_PART)
        && (equal || !target.wants_equal_parts());
    if fits {
        return Ok(own);
    }
    let size = PART.max(info.size.div_ceil(MOST_PARTS as u64));
    let whole = usize::try_from(info.size / size).unwrap_or(MOST_PARTS);
    let rest = Some(info.size % size).filter(|rest| *rest > 0);
    Ok(std::iter::repeat_n(size, whole).chain(rest).collect())
}

/// One object on its way.
struct Copy<'c> {
    source: &'c dyn ObjectStore,
    target: &'c dyn ObjectStore,
    key: &'c ObjectKey,
    info: &'c ObjectInfo,
}

impl Copy<'_> {
    /// The ETag that it has there, once its bytes are known to be the same.
    async fn run(&self, parts: &[u64]) -> Result<ETag> {
        let (etag, expected) = match parts {
            [] => self.at_once().await?,
            parts => self.in_parts(parts).await?,
        };
        // Most stores name contents by their MD5, so that the answer proves what arrived. Others are asked for it.
        if etag != expected {
            self.read_back().await?;
        }
        Ok(etag)
    }

    async fn read(&self, range: Option<ByteRange>) -> Result<ByteStream> {
        let conditions = Conditions { if_match: Some(self.info.etag.clone()), ..Conditions::default() };
        Ok(self.source.get(GetRequest { key: self.key.clone(), range, conditions }).await?.body)
    }

    async fn at_once(&self) -> Result<(ETag, ETag)> {
        let (body, digest) = hashed(self.read(None).await?);
        let metadata = self.info.metadata.clone();
        let request = PutRequest { key: self.key.clone(), metadata, conditions: WriteConditions::None };
        let stored = self.target.put(request, Body::Stream { length: self.info.size, stream: body }).await?;
        let expected = ETag(HEXLOWER.encode(&digest.finish()));
        // The embedded store names what was written at once by its MD5 as well.
        if is_md5(&self.info.etag) && self.info.etag != expected {
            return Err(Error::Corrupt { what: "the embedded object is not what its ETag says".into() });
        }
        Ok((stored.etag, expected))
    }

    async fn in_parts(&self, parts: &[u64]) -> Result<(ETag, ETag)> {
        let metadata = self.info.metadata.clone();
        let upload = self.target.create_upload(CreateUpload { key: self.key.clone(), metadata }).await?;
        let sent = self.send_parts(&upload, parts).await;
        let sent = match sent {
            Ok(sent) => sent,
            Err(error) => {
                // What failed is what matters.
                drop(self.target.abort_upload(&upload).await);
                return Err(error);
            }
        };
        let completed: Vec<CompletedPart> = (1..)
            .zip(&sent)
            .map(|(number, (etag, _))| CompletedPart { number, etag: etag.clone() })
            .collect();
        let made = self.target.complete_upload(&upload, &completed, WriteConditions::None).await?;
        let digests: Vec<u8> = sent.iter().flat_map(|(_, digest)| digest.clone()).collect();
        let expected = format!("{}-{}", HEXLOWER.encode(&Md5::digest(&digests)), sent.len());
        Ok((made.etag, ETag(expected)))
    }

    async fn send_parts(&self, upload: &crate::Upload, parts: &[u64]) -> Result<Vec<(ETag, Vec<u8>)>> {
        let starts = parts.iter().scan(0, |at, size| {
            let start = *at;
            *at += size;
            Some(start)
        });
        let ranges: Vec<(u32, u64, u64)> =
            (1..).zip(starts.zip(parts)).map(|(number, (start, size))| (number, start, *size)).collect();
        let send = |(number, start, size): (u32, u64, u64)| async move {
            let range = ByteRange::Bounded { start, end: start + size };
            let (body, digest) = hashed(self.read(Some(range)).await?);
            let etag =
                self.target.upload_part(upload, number, Body::Stream { length: size, stream: body }).await?;
            Ok((etag, digest.finish()))
        };
        stream::iter(ranges).map(send).buffered(PARALLEL).try_collect().await
    }

    /// Reads both sides and compares them.
    async fn read_back(&self) -> Result<()> {
        let there = self.target.get(GetRequest::whole(self.key.clone())).await?;
        let (here, there) = futures::try_join!(digest_of(self.read(None).await?), digest_of(there.body))?;
        match here == there {
            true => Ok(()),
            false => Err(Error::Corrupt { what: "the copy has other bytes".into() }),
        }
    }

    async fn compare_metadata(&self) -> Outcome<()> {
        let failed = |source| MigrationError::Object { key: self.key.display(), source };
        let changed = |what| MigrationError::Changed { key: self.key.display(), what };
        let there = self.target.head(self.key, Conditions::default()).await.map_err(failed)?;
        if there.size != self.info.size {
            return Err(failed(Error::Corrupt { what: format!("the copy has {} bytes", there.size) }));
        }
        let own = &self.info.metadata;
        if !is_kept(own, &there.metadata) {
            return Err(changed("metadata"));
        }
        if own.tags.is_empty() {
            return Ok(());
        }
        let tagged = async {
            if self.target.tags(self.key).await? == own.tags {
                return Ok(true);
            }
            // Some stores leave out those that a multipart upload began with.
            self.target.set_tags(self.key, own.tags.clone()).await?;
            Ok(self.target.tags(self.key).await? == own.tags)
        };
        match tagged.await {
            Ok(true) => Ok(()),
            Ok(false) | Err(Error::Unsupported { .. }) => Err(changed("tags")),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Whether everything is there; a store may add a content type where there was none.
fn is_kept(own: &ObjectMetadata, there: &ObjectMetadata) -> bool {
    let content_type = own.content_type.is_none() || own.content_type == there.content_type;
    content_type
        && own.cache_control == there.cache_control
        && own.content_disposition == there.content_disposition
        && own.content_encoding == there.content_encoding
        && own.content_language == there.content_language
        && own.expires == there.expires
        && own.user == there.user
}

fn is_md5(etag: &ETag) -> bool {
    etag.0.len() == 32 && etag.0.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The hash of what has passed.
#[derive(Clone)]
struct Passing(Arc<Mutex<Md5>>);

impl Passing {
    fn finish(self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().finalize().to_vec()
    }
}

fn hashed(body: ByteStream) -> (ByteStream, Passing) {
    let passing = Passing(Arc::new(Mutex::new(Md5::new())));
    let hash = passing.clone();
    let body = body.inspect_ok(move |bytes: &Bytes| {
        hash.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
    });
    (body.boxed(), passing)
}

async fn digest_of(mut body: ByteStream) -> Result<Vec<u8>> {
    let mut hash = Md5::new();
    while let Some(bytes) = body.try_next().await? {
        hash.update(&bytes);
    }
    Ok(hash.finalize().to_vec())
}
