//! Why a server does not accept a signature.

/// A request whose signature is not accepted. [`Self::code`] is the error code of S3 for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The `Authorization` header is of another scheme or cannot be parsed.
    #[error("the authorization header is malformed: {what}")]
    MalformedAuthorization {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The query parameters of a presigned request cannot be parsed.
    #[error("the query parameters of the presigned request are malformed: {what}")]
    MalformedQuery {
        /// What is wrong with them.
        what: &'static str,
    },
    /// Neither `x-amz-date` nor `date` tells when the request was signed.
    #[error("the request has no valid x-amz-date or date header")]
    MissingDate,
    /// `x-amz-content-sha256` is missing, or neither a hash nor a known word.
    #[error("the header x-amz-content-sha256 is missing or invalid")]
    InvalidPayloadHash,
    /// A header that must be signed is not.
    #[error("the header {name} is present but not signed")]
    UnsignedHeader {
        /// The header.
        name: String,
    },
    /// The request was signed too long ago, or for the future.
    #[error("the difference between the request time and the current time is too large")]
    TimeTooSkewed,
    /// A presigned request came too late.
    #[error("the presigned request has expired")]
    Expired,
    /// The signature is not that of this request and this secret.
    #[error("the signature does not match")]
    SignatureMismatch {
        /// What the server signed, for the client's author to compare; holds no secret.
        string_to_sign: String,
    },
}

impl VerifyError {
    /// The error code of S3.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedAuthorization { .. } => "AuthorizationHeaderMalformed",
            Self::MalformedQuery { .. } => "AuthorizationQueryParametersError",
            Self::InvalidPayloadHash => "InvalidArgument",
            Self::MissingDate | Self::UnsignedHeader { .. } | Self::Expired => "AccessDenied",
            Self::TimeTooSkewed => "RequestTimeTooSkewed",
            Self::SignatureMismatch { .. } => "SignatureDoesNotMatch",
        }
    }

    /// The HTTP status of S3 for it.
    pub fn status(&self) -> u16 {
        match self {
            Self::MalformedAuthorization { .. } | Self::MalformedQuery { .. } | Self::InvalidPayloadHash => {
                400
            }
            Self::MissingDate
            | Self::UnsignedHeader { .. }
            | Self::Expired
            | Self::TimeTooSkewed
            | Self::SignatureMismatch { .. } => 403,
        }
    }
}
