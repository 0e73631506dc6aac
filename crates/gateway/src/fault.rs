//! Errors of requests, as S3 names them.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>

use http::StatusCode;
use sandkeep_objects::sigv4::VerifyError;
use sandkeep_objects::{Error, KeyError};

/// Why a request is refused.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// Further elements of the error document.
    pub(crate) details: Vec<(&'static str, String)>,
    /// Size of the object whose range was missed, for `Content-Range`.
    pub(crate) object_size: Option<u64>,
}

/// What a request of S3 does.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), details: Vec::new(), object_size: None }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn invalid_argument(message: impl Into<String>) -> Self {
        Self::bad("InvalidArgument", message)
    }

    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::bad("InvalidRequest", message)
    }

    pub(crate) fn malformed_xml() -> Self {
        Self::bad("MalformedXML", "The XML you provided was not well-formed or did not validate")
    }

    pub(crate) fn incomplete_body(message: impl Into<String>) -> Self {
        Self::bad("IncompleteBody", message)
    }

    pub(crate) fn not_implemented(what: impl std::fmt::Display) -> Self {
        let message = format!("{what} is not supported by this endpoint");
        Self::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    pub(crate) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "The specified method is not allowed against this resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        Self::bad("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
            .with("MaxSizeAllowed", limit.to_string())
    }

    fn not_found(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    fn internal(error: &Error) -> Self {
        let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        let text = chain.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        tracing::error!(error = text, "the store fails");
        let message = "We encountered an internal error. Please try again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::TooLong { .. } => Self::bad("KeyTooLongError", "Your key is too long"),
            KeyError::Empty => Self::invalid_argument("Object key must have at least one byte"),
            KeyError::InvalidBucketName { name } => {
                Self::bad("InvalidBucketName", "The specified bucket is not valid").with("BucketName", name)
            }
        }
    }
}

impl From<VerifyError> for Fault {
    fn from(error: VerifyError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::FORBIDDEN);
        Self::new(status, error.code(), error.to_string())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSuchKey { key } => {
                Self::not_found("NoSuchKey", "The specified key does not exist.").with("Key", key)
            }
            Error::NoSuchBucket { bucket } => {
                Self::not_found("NoSuchBucket", "The specified bucket does not exist")
                    .with("BucketName", bucket)
            }
            Error::NoSuchUpload { upload } => {
                let message = "The specified upload does not exist. The upload ID may be invalid, or the upload \
                               may have been aborted or completed.";
                Self::not_found("NoSuchUpload", message).with("UploadId", upload)
            }
            Error::BucketExists { bucket } => {
                let message =
                    "Your previous request to create the named bucket succeeded and you already own it.";
                Self::new(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou", message).with("BucketName", bucket)
            }
            Error::BucketNotEmpty { bucket } => {
                let message = "The bucket you tried to delete is not empty";
                Self::new(StatusCode::CONFLICT, "BucketNotEmpty", message).with("BucketName", bucket)
            }
            Error::BucketBusy { .. } => {
                let message =
                    "A conflicting operation is currently in progress against this bucket. Try again.";
                Self::new(StatusCode::CONFLICT, "OperationAborted", message)
            }
            Error::Key(error) => error.into(),
            other => refused(other),
        }
    }
}

/// What is wrong with the request rather than with what it names.
fn refused(error: Error) -> Fault {
    match error {
        Error::InvalidPart { number } => {
            let message =
                "One or more of the specified parts could not be found, or are not in ascending order.";
            Fault::bad("InvalidPart", message).with("PartNumber", number.to_string())
        }
        Error::PartTooSmall { number } => {
            let message = "Your proposed upload is smaller than the minimum allowed size";
            Fault::bad("EntityTooSmall", message).with("PartNumber", number.to_string())
        }
        Error::PreconditionFailed => {
            let message = "At least one of the pre-conditions you specified did not hold";
            Fault::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", message)
        }
        Error::NotModified => Fault::new(StatusCode::NOT_MODIFIED, "NotModified", "Not Modified"),
        Error::InvalidRange { size } => invalid_range(size),
        Error::InvalidContinuation => Fault::invalid_argument("The continuation token provided is incorrect"),
        Error::TooLarge => {
            Fault::bad("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
        }
        Error::Unsupported { what } => Fault::not_implemented(what),
        Error::AccessDenied => Fault::access_denied("Access Denied"),
        Error::NoSpace => {
            let message = "No space is left in the store";
            Fault::new(StatusCode::INSUFFICIENT_STORAGE, "InsufficientStorage", message)
        }
        error => Fault::internal(&error),
    }
}

fn invalid_range(size: Option<u64>) -> Fault {
    let message = "The requested range is not satisfiable";
    let mut fault = Fault::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message);
    fault.object_size = size;
    match size {
        Some(size) => fault.with("ActualObjectSize", size.to_string()),
        None => fault,
    }
}
