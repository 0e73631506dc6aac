//! Copies on the server, of any size.

use futures::{StreamExt, TryStreamExt, stream};
use sandkeep_objects::{
    CompletedPart, CopyRequest, CopySource, CreateUpload, MetadataDirective, ObjectKey, ObjectMetadata,
    PutResponse, WriteConditions,
};
use sandkeep_vfs::Errno;

use crate::core::{Core, pinned};
use crate::errno::{Result, failed, unsupported};
use crate::node::Version;

/// S3 copies at most this in one request.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
const MAX_COPY: u64 = 5 << 30;

/// Parts of larger copies.
const COPY_PART: u64 = 1 << 30;

impl Core {
    /// Copies exactly `version` of an object.
    pub(crate) async fn copy_object(
        &self,
        from: &ObjectKey,
        to: &ObjectKey,
        version: &Version,
        metadata: MetadataDirective,
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        if version.size > MAX_COPY {
            return self.copy_in_parts(from, to, version, metadata, conditions).await;
        }
        let _request = self.request().await?;
        let source = source(from, version);
        let request = CopyRequest { source, key: to.clone(), metadata, conditions, checksum: None };
        match self.store.copy(request.clone()).await {
            Err(error) if request.conditions != WriteConditions::None && unsupported(&error) => {
                let request = CopyRequest { conditions: WriteConditions::None, ..request };
                self.store.copy(request).await.map_err(|error| failed("copy", from, &error))
            }
            result => result.map_err(|error| failed("copy", from, &error)),
        }
    }

    async fn copy_in_parts(
        &self,
        from: &ObjectKey,
        to: &ObjectKey,
        version: &Version,
        metadata: MetadataDirective,
        conditions: WriteConditions,
    ) -> Result<PutResponse> {
        let metadata = self.metadata_for(from, metadata).await?;
        let mut pending = self.begin_upload_with(CreateUpload { key: to.clone(), metadata }).await?;
        let upload = pending.upload.clone();
        let ranges =
            (0..version.size).step_by(COPY_PART as usize).map(|at| at..version.size.min(at + COPY_PART));
        let copies = (1..).zip(ranges).map(|(number, range)| {
            let copied = self.store.upload_part_copy(&upload, number, source(from, version), range);
            async move {
                Ok(CompletedPart {
                    number,
                    etag: copied.await.map_err(|error| failed("copy", from, &error))?,
                })
            }
        });
        let mut parts: Vec<CompletedPart> =
            stream::iter(copies).buffer_unordered(self.settings.transfers.max(1)).try_collect().await?;
        parts.sort_by_key(|part| part.number);
        self.complete(&mut pending, &parts, conditions).await
    }

    async fn metadata_for(&self, from: &ObjectKey, metadata: MetadataDirective) -> Result<ObjectMetadata> {
        match metadata {
            MetadataDirective::Replace(metadata) => Ok(metadata),
            MetadataDirective::Copy => Ok(self.head(from).await?.ok_or(Errno::ESTALE)?.metadata),
        }
    }
}

fn source(key: &ObjectKey, version: &Version) -> CopySource {
    CopySource { bucket: None, key: key.clone(), conditions: pinned(&version.etag) }
}
