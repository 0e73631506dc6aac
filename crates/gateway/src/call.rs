//! A request on its way through an operation.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use sandkeep_objects::{BucketName, ObjectService, ObjectStore};

use crate::authentication::Authenticated;
use crate::fault::Outcome;
use crate::inbound::Inbound;
use crate::payload::{Payload, is_checksum};
use crate::query::Query;

/// An authenticated request, without its target.
pub(crate) struct Call {
    pub(crate) service: Arc<dyn ObjectService>,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    pub(crate) inbound: Inbound,
    pub(crate) authenticated: Authenticated,
}

impl Call {
    /// The body.
    pub(crate) fn payload(&self) -> Outcome<Payload> {
        Payload::of(&self.headers, self.inbound.clone(), &self.authenticated)
    }

    /// The body at once, bounded.
    pub(crate) async fn document(&self, limit: u64) -> Outcome<Bytes> {
        self.payload()?.collect(limit).await
    }

    /// As [`Self::document`], where the checksum in the headers is not that of the body: a completion sends that
    /// of the object, whose parts were each verified when they came.
    pub(crate) async fn document_without_checksum(&self, limit: u64) -> Outcome<Bytes> {
        let mut headers = self.headers.clone();
        let checksums: Vec<_> = headers.keys().filter(|name| is_checksum(name)).cloned().collect();
        for name in checksums {
            headers.remove(name);
        }
        Payload::of(&headers, self.inbound.clone(), &self.authenticated)?.collect(limit).await
    }

    /// The store of a bucket.
    pub(crate) fn bucket(&self, name: &BucketName) -> Arc<dyn ObjectStore> {
        self.service.bucket(name)
    }
}
