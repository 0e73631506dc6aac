//! Which operation a request asks for.

use http::{HeaderMap, Method};

use crate::fault::{Fault, Outcome};
use crate::query::Query;
use crate::target::Target;

/// What the endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    AbortUpload,
    CompleteUpload,
    CopyObject,
    CreateBucket,
    CreateUpload,
    DeleteBucket,
    DeleteBucketCors,
    DeleteBucketLifecycle,
    DeleteObject,
    DeleteObjectTagging,
    DeleteObjects,
    GetBucketAcl,
    GetBucketCors,
    GetBucketLifecycle,
    GetBucketLocation,
    GetBucketVersioning,
    GetObject,
    GetObjectAcl,
    GetObjectAttributes,
    GetObjectTagging,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListObjectVersions,
    ListObjects,
    ListObjectsV2,
    ListParts,
    ListUploads,
    PutBucketAcl,
    PutBucketCors,
    PutBucketLifecycle,
    PutObject,
    PutObjectAcl,
    PutObjectTagging,
    UploadPart,
    UploadPartCopy,
}

impl Operation {
    /// Whether it changes nothing.
    pub(crate) fn only_reads(self) -> bool {
        match self {
            Self::GetBucketAcl
            | Self::GetBucketCors
            | Self::GetBucketLifecycle
            | Self::GetBucketLocation
            | Self::GetBucketVersioning
            | Self::GetObject
            | Self::GetObjectAcl
            | Self::GetObjectAttributes
            | Self::GetObjectTagging
            | Self::HeadBucket
            | Self::HeadObject
            | Self::ListBuckets
            | Self::ListObjectVersions
            | Self::ListObjects
            | Self::ListObjectsV2
            | Self::ListParts
            | Self::ListUploads => true,
            Self::AbortUpload
            | Self::CompleteUpload
            | Self::CopyObject
            | Self::CreateBucket
            | Self::CreateUpload
            | Self::DeleteBucket
            | Self::DeleteBucketCors
            | Self::DeleteBucketLifecycle
            | Self::DeleteObject
            | Self::DeleteObjectTagging
            | Self::DeleteObjects
            | Self::PutBucketAcl
            | Self::PutBucketCors
            | Self::PutBucketLifecycle
            | Self::PutObject
            | Self::PutObjectAcl
            | Self::PutObjectTagging
            | Self::UploadPart
            | Self::UploadPartCopy => false,
        }
    }

    /// Whether it reads an object that `x-amz-copy-source` names.
    pub(crate) fn copies(self) -> bool {
        matches!(self, Self::CopyObject | Self::UploadPartCopy)
    }
}

/// Parameters that turn a request into another operation, which this endpoint does not have. They must never fall
/// through: `DELETE ?acl` would delete the object.
const UNSUPPORTED: [&str; 36] = [
    "accelerate",
    "acl",
    "analytics",
    "append",
    "attributes",
    "cors",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "logging",
    "metadataConfiguration",
    "metadataTable",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "position",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "select-type",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versions",
    "website",
];

/// Parameters that change nothing: SDKs name the operation, presigned requests carry their signature, and those of version
/// 2 repeat headers.
const HARMLESS: [&str; 7] =
    ["AWSAccessKeyId", "Expires", "Signature", "content-md5", "content-type", "versionId", "x-id"];

/// Finds the operation of a request.
pub(crate) fn route(
    method: &Method,
    target: &Target,
    query: &Query,
    headers: &HeaderMap,
) -> Outcome<Operation> {
    let (operation, selectors) = match target {
        Target::Service => on_service(method)?,
        Target::Bucket(_) => on_bucket(method, query)?,
        Target::Object(..) => on_object(method, query, headers)?,
    };
    check_parameters(method, query, selectors)?;
    check_version(target, query)?;
    Ok(operation)
}

/// An operation, and the parameters that selected it or belong to it.
type Choice = (Operation, &'static [&'static str]);

fn on_service(method: &Method) -> Outcome<Choice> {
    match *method {
        Method::GET => Ok((Operation::ListBuckets, &[])),
        _ => Err(Fault::method_not_allowed()),
    }
}

fn on_bucket(method: &Method, query: &Query) -> Outcome<Choice> {
    let has = |name| query.has(name);
    match *method {
        Method::GET if has("location") => Ok((Operation::GetBucketLocation, &["location"])),
        Method::GET if has("versioning") => Ok((Operation::GetBucketVersioning, &["versioning"])),
        Method::GET if has("acl") => Ok((Operation::GetBucketAcl, &["acl"])),
        Method::PUT if has("acl") => Ok((Operation::PutBucketAcl, &["acl"])),
        Method::GET if has("lifecycle") => Ok((Operation::GetBucketLifecycle, &["lifecycle"])),
        Method::PUT if has("lifecycle") => Ok((Operation::PutBucketLifecycle, &["lifecycle"])),
        Method::DELETE if has("lifecycle") => Ok((Operation::DeleteBucketLifecycle, &["lifecycle"])),
        Method::GET if has("cors") => Ok((Operation::GetBucketCors, &["cors"])),
        Method::PUT if has("cors") => Ok((Operation::PutBucketCors, &["cors"])),
        Method::DELETE if has("cors") => Ok((Operation::DeleteBucketCors, &["cors"])),
        Method::GET if has("uploads") => Ok((Operation::ListUploads, &["uploads"])),
        Method::GET if has("versions") => Ok((Operation::ListObjectVersions, &["versions"])),
        Method::GET if query.bytes("list-type") == Some(b"2") => Ok((Operation::ListObjectsV2, &[])),
        Method::GET => Ok((Operation::ListObjects, &[])),
        Method::HEAD => Ok((Operation::HeadBucket, &[])),
        Method::PUT => Ok((Operation::CreateBucket, &[])),
        Method::DELETE => Ok((Operation::DeleteBucket, &[])),
        Method::POST if has("delete") => Ok((Operation::DeleteObjects, &["delete"])),
        Method::POST => Err(Fault::not_implemented("POST to a bucket")),
        _ => Err(Fault::method_not_allowed()),
    }
}

fn on_object(method: &Method, query: &Query, headers: &HeaderMap) -> Outcome<Choice> {
    let has = |name| query.has(name);
    let copies = headers.contains_key("x-amz-copy-source");
    match *method {
        Method::GET if has("uploadId") => Ok((Operation::ListParts, &["uploadId"])),
        Method::GET if has("acl") => Ok((Operation::GetObjectAcl, &["acl"])),
        Method::GET if has("tagging") => Ok((Operation::GetObjectTagging, &["tagging"])),
        Method::GET if has("attributes") => Ok((Operation::GetObjectAttributes, &["attributes"])),
        Method::GET => Ok((Operation::GetObject, &[])),
        Method::HEAD => Ok((Operation::HeadObject, &[])),
        Method::PUT if has("acl") && !copies => Ok((Operation::PutObjectAcl, &["acl"])),
        Method::PUT if has("tagging") && !copies => Ok((Operation::PutObjectTagging, &["tagging"])),
        Method::PUT if has("uploadId") && copies => {
            Ok((Operation::UploadPartCopy, &["uploadId", "partNumber"]))
        }
        Method::PUT if has("uploadId") => Ok((Operation::UploadPart, &["uploadId", "partNumber"])),
        Method::PUT if copies => Ok((Operation::CopyObject, &[])),
        Method::PUT => Ok((Operation::PutObject, &[])),
        Method::POST if has("uploads") => Ok((Operation::CreateUpload, &["uploads"])),
        Method::POST if has("uploadId") => Ok((Operation::CompleteUpload, &["uploadId"])),
        Method::POST => Err(Fault::not_implemented("POST to an object")),
        Method::DELETE if has("uploadId") => Ok((Operation::AbortUpload, &["uploadId"])),
        Method::DELETE if has("tagging") => Ok((Operation::DeleteObjectTagging, &["tagging"])),
        Method::DELETE => Ok((Operation::DeleteObject, &[])),
        _ => Err(Fault::method_not_allowed()),
    }
}

/// Reads ignore parameters that nobody knows, as S3 does; changes refuse them.
fn check_parameters(method: &Method, query: &Query, selectors: &[&str]) -> Outcome<()> {
    check_doubled(query)?;
    let reads = [Method::GET, Method::HEAD].contains(method);
    let refused = |name: &String| {
        let name = name.as_str();
        let fine = selectors.contains(&name) || HARMLESS.contains(&name) || name.starts_with("X-Amz-");
        !fine && (!reads || UNSUPPORTED.contains(&name))
    };
    match query.names().find(refused) {
        Some(name) => Err(Fault::not_implemented(format!("the parameter {name}"))),
        None => Ok(()),
    }
}

/// Two values of one name are taken differently by whoever reads them: the judge one, the store the other.
fn check_doubled(query: &Query) -> Outcome<()> {
    let mut names: Vec<String> = query.names().collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(Fault::invalid_argument("A parameter is given twice").with("ArgumentName", &pair[0]))
        }
        None => Ok(()),
    }
}

/// There is one version of an object, whose id is `null`.
fn check_version(target: &Target, query: &Query) -> Outcome<()> {
    match query.text("versionId")? {
        None | Some("null") => Ok(()),
        Some(_) if !matches!(target, Target::Object(..)) => Ok(()),
        Some(id) => {
            Err(Fault::bad("InvalidArgument", "Invalid version id specified").with("ArgumentValue", id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<Operation, &str>) {
        let (method, path) = line.split_once(' ').expect("METHOD PATH");
        let (path, raw_query) = path.split_once('?').unwrap_or((path, ""));
        let target = Target::of(&HeaderMap::new(), path).expect("target");
        let found =
            route(&method.parse().expect("method"), &target, &Query::parse(raw_query), &HeaderMap::new());
        assert_eq!(
            found.as_ref().map_err(|fault| fault.code),
            expected.as_ref().map_err(|code| *code),
            "{line}"
        );
    }

    #[test]
    fn plain_requests_find_their_operation() {
        check("GET /", Ok(Operation::ListBuckets));
        check("GET /b?list-type=2&prefix=x", Ok(Operation::ListObjectsV2));
        check("GET /b?prefix=x&unknown", Ok(Operation::ListObjects));
        check("GET /b/k?response-content-type=a&x-id=GetObject&X-Amz-Signature=0", Ok(Operation::GetObject));
        check("PUT /b/k?x-id=PutObject", Ok(Operation::PutObject));
        check("PUT /b/k?uploadId=u&partNumber=1", Ok(Operation::UploadPart));
        check("POST /b/k?uploads=", Ok(Operation::CreateUpload));
        check("POST /b?delete", Ok(Operation::DeleteObjects));
        check("DELETE /b/k?versionId=null", Ok(Operation::DeleteObject));
    }

    #[test]
    fn what_is_not_supported_never_becomes_something_else() {
        for line in [
            "DELETE /b/k?acl",
            "DELETE /b/k?tagging&acl",
            "PUT /b/k?tagging&uploadId=u",
            "PUT /b?tagging",
            "DELETE /b?policy",
            "DELETE /b?lifecycle&policy",
            "PUT /b?versioning",
            "PUT /b/k?acl&uploadId=u",
            "PUT /b/k?retention",
            "PUT /b/k?partNumber=1",
            "PUT /b/k?anything-new",
            "DELETE /b?versions",
            "GET /b?policy",
            "HEAD /b/k?uploads",
            "POST /b/k?restore",
            "POST /b/k?select&select-type=2",
            "POST /b/k?uploads&tagging",
            "POST /b",
        ] {
            check(line, Err("NotImplemented"));
        }
        check("DELETE /b/k?versionId=3", Err("InvalidArgument"));
        check("DELETE /", Err("MethodNotAllowed"));
        check("PATCH /b/k", Err("MethodNotAllowed"));
    }
}
