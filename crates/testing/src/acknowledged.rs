//! Writers that remember what a server acknowledged, and the judgement of what is there after it died.
//!
//! Each writer has keys of its own and does one thing at a time: when the server is killed, at most one change of
//! each is neither acknowledged nor refused. That key may be as before or as after; every other is exactly as last
//! acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use sandkeep_objects::{
    Body, CompletedPart, Conditions, CopyRequest, CopySource, CreateUpload, Credentials, Error, GetRequest,
    ListRequest, MetadataDirective, ObjectKey, ObjectMetadata, ObjectService, ObjectStore, PutRequest,
    S3Client, S3Settings, WriteConditions,
};
use tokio::task::JoinSet;

use crate::power::mixed;

/// Keys of each writer: few, so that most writes replace something.
const KEYS: u64 = 8;

/// Bytes of all parts but the last, the least that S3 allows.
const PART: usize = 5 << 20;

/// A content, by what it is made from; none: there is no object.
type Content = Option<(u64, usize)>;

/// What may be found.
#[derive(Debug, Default)]
struct Ledger {
    acknowledged: BTreeMap<String, Content>,
    /// Changes under way.
    attempted: BTreeMap<String, Content>,
    /// Changes that were acknowledged so far.
    count: u64,
}

/// The writers of one bucket, over all rounds of a test.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged(Arc<Mutex<Ledger>>);

/// What one writer does next.
#[derive(Clone, Copy, Debug)]
enum Change {
    Put(usize),
    Delete,
    CopyFrom(u64),
    Multipart,
}

/// The bucket `bucket` behind an endpoint, without retries that would outlive a killed server.
pub fn bucket(endpoint: &str, credentials: Credentials) -> Arc<dyn ObjectStore> {
    client(endpoint, credentials).bucket(&"bucket".parse().expect("a name"))
}

/// A client of an endpoint.
pub fn client(endpoint: &str, credentials: Credentials) -> S3Client {
    S3Client::new(S3Settings::new(endpoint.parse().expect("a URL"), Some(credentials))).expect("settings")
}

impl Acknowledged {
    /// Starts `writers` that change `store` until it fails or the set is dropped.
    pub fn write(&self, store: &Arc<dyn ObjectStore>, writers: u64, seed: u64) -> JoinSet<()> {
        (0..writers).map(|writer| self.clone().run(Arc::clone(store), writer, seed)).collect()
    }

    /// Changes that were acknowledged so far.
    pub fn count(&self) -> u64 {
        self.ledger().count
    }

    async fn run(self, store: Arc<dyn ObjectStore>, writer: u64, seed: u64) {
        for step in 0.. {
            let random = mixed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (writer << 48) ^ step);
            let key = name(writer, random % KEYS);
            let change = match (random >> 8) % 100 {
                0..=49 => Change::Put([0, 100, 4096, 16_384, 20_000, 300_000][(random >> 16) as usize % 6]),
                50..=69 => Change::Delete,
                70..=93 => Change::CopyFrom((random >> 16) % KEYS),
                _ => Change::Multipart,
            };
            if self.change(&*store, &key, writer, change, random).await.is_err() {
                return;
            }
        }
    }

    async fn change(
        &self,
        store: &dyn ObjectStore,
        key: &str,
        writer: u64,
        change: Change,
        random: u64,
    ) -> Result<(), Error> {
        let after = match change {
            Change::Put(length) => Some((random, length)),
            Change::Delete => None,
            Change::Multipart => Some((random, PART + 1000)),
            Change::CopyFrom(from) => match self.ledger().acknowledged.get(&name(writer, from)) {
                Some(Some(content)) => Some(*content),
                _ => return Ok(()),
            },
        };
        self.ledger().attempted.insert(key.to_owned(), after);
        match change {
            Change::Put(length) => put(store, key, content(random, length)).await?,
            Change::Delete => store.delete(&parsed(key)).await?,
            Change::CopyFrom(from) => copy(store, key, &name(writer, from)).await?,
            Change::Multipart => upload(store, key, &content(random, PART + 1000)).await?,
        }
        let mut ledger = self.ledger();
        ledger.attempted.remove(key);
        ledger.acknowledged.insert(key.to_owned(), after);
        ledger.count += 1;
        Ok(())
    }

    /// What is not as it was acknowledged, each in a sentence. What was under way counts from now on as it is found.
    pub async fn judge(&self, store: &dyn ObjectStore) -> Result<Vec<String>, Error> {
        let attempted = std::mem::take(&mut self.ledger().attempted);
        let mut listed = listed(store).await?;
        let mut wrong = Vec::new();
        let keys: BTreeSet<String> =
            self.ledger().acknowledged.keys().chain(attempted.keys()).cloned().collect();
        for key in keys {
            let before = self.ledger().acknowledged.get(&key).copied().flatten();
            let possible = [Some(before), attempted.get(&key).copied()];
            let bytes = read(store, &key).await?;
            let is = |of: &Content| of.map(|(seed, length)| content(seed, length)) == bytes;
            match possible.into_iter().flatten().find(is) {
                Some(found) => drop(self.ledger().acknowledged.insert(key.clone(), found)),
                None => {
                    let found = bytes.as_ref().map(Bytes::len);
                    wrong.push(format!("{key}: {found:?} bytes instead of one of {possible:?}"));
                }
            }
            if listed.remove(&key).is_some() != bytes.is_some() {
                wrong.push(format!("{key}: the listing contradicts the object"));
            }
        }
        wrong.extend(listed.into_keys().map(|key| format!("{key} was never written")));
        Ok(wrong)
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(writer: u64, number: u64) -> String {
    format!("writer{writer}/{number}")
}

fn parsed(key: &str) -> ObjectKey {
    key.parse().expect("a key")
}

/// Bytes that no other seed makes.
fn content(seed: u64, length: usize) -> Bytes {
    let words = (0_u64..).flat_map(|at| mixed(seed ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
    words.take(length).collect()
}

async fn put(store: &dyn ObjectStore, key: &str, bytes: Bytes) -> Result<(), Error> {
    let request = PutRequest {
        key: parsed(key),
        metadata: ObjectMetadata::default(),
        conditions: WriteConditions::None,
    };
    store.put(request, Body::Bytes(bytes)).await.map(drop)
}

async fn copy(store: &dyn ObjectStore, key: &str, from: &str) -> Result<(), Error> {
    // S3 refuses a copy onto itself that changes nothing.
    let metadata = MetadataDirective::Replace(ObjectMetadata::default());
    let source = CopySource { bucket: None, key: parsed(from), conditions: Conditions::default() };
    let conditions = WriteConditions::None;
    let request = CopyRequest { source, key: parsed(key), metadata, conditions, checksum: None };
    store.copy(request).await.map(drop)
}

async fn upload(store: &dyn ObjectStore, key: &str, bytes: &Bytes) -> Result<(), Error> {
    let request = CreateUpload { key: parsed(key), metadata: ObjectMetadata::default() };
    let upload = store.create_upload(request).await?;
    let mut parts = Vec::new();
    for (number, part) in (1..).zip([bytes.slice(..PART), bytes.slice(PART..)]) {
        let etag = store.upload_part(&upload, number, Body::Bytes(part)).await?;
        parts.push(CompletedPart { number, etag });
    }
    store.complete_upload(&upload, &parts, WriteConditions::None).await.map(drop)
}

async fn read(store: &dyn ObjectStore, key: &str) -> Result<Option<Bytes>, Error> {
    match store.get(GetRequest::whole(parsed(key))).await {
        Err(Error::NoSuchKey { .. }) => Ok(None),
        Err(error) => Err(error),
        Ok(found) => Ok(Some(found.body.try_collect::<Vec<Bytes>>().await?.concat().into())),
    }
}

async fn listed(store: &dyn ObjectStore) -> Result<BTreeMap<String, u64>, Error> {
    let (mut request, mut found) = (ListRequest::default(), BTreeMap::new());
    loop {
        let page = store.list(request.clone()).await?;
        found.extend(page.objects.into_iter().map(|object| (object.key.display(), object.size)));
        match page.next {
            Some(next) => request.continuation = Some(next),
            None => return Ok(found),
        }
    }
}
